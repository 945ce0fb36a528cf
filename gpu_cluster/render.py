"""Turns prompts into headshots of one person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.adapters import merged
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base, Box, Held, oval
from gpu_cluster.train import Cancelled

RINGS = (0.9, 1.0, 1.1)
"""Sizes of the ovals that the held face consists of, as parts of its box."""
HEAD = 0.8
"""The same of the held head: in the whole of its box, the selfie's wall would come with it."""


@dataclass(frozen=True)
class Shot:
    """One picture to make."""

    prompt: str
    seed: int
    negative: str = ""


@dataclass(frozen=True)
class Anchor:
    """A training picture, a square, and where its face is, that headshots may be built around."""

    photo: Image.Image
    face: Box
    head: Box | None = None
    """Held as long as the base draws alone: it would give the person somebody else's hair."""


def _silent(made: int, wanted: int) -> None:
    """The progress of a caller who does not ask."""


def _never() -> bool:
    return False


def render(
    base: Base,
    recipe: Recipe,
    lora: Mapping[str, Tensor] | None,
    shots: Sequence[Shot],
    *,
    references: Sequence[Image.Image] = (),
    anchors: Sequence[Anchor] = (),
    skip: Collection[int] = (),
    progress: Callable[[int, int], None] = _silent,
    cancelled: Callable[[], bool] = _never,
) -> Iterator[tuple[int, Image.Image]]:
    """Pictures with their index in `shots`; `skip` names those that an earlier attempt has made.

    A picture depends on its own shot only: its noise comes from its seed, whichever batch it is made in. Without
    `lora` the base shows whomever it likes, or whom the `references` show (recipes of the strategy "reference";
    NoReferences from any other base). With `anchors` and a recipe whose `anchor` is above 0, the middle of the face is
    held to one of them, chosen by the seed, for that share of the steps, and its rim for less; the rest of the head is
    held while the base draws alone.
    `progress(made, wanted)` follows each batch. Raises Cancelled within one step of `cancelled()` turning true.
    """

    def stop_if_cancelled() -> None:
        if cancelled():
            raise Cancelled

    waiting = [index for index in range(len(shots)) if index not in skip]
    size, made = recipe.render_batch, 0
    while made < len(waiting):
        stop_if_cancelled()
        batch = waiting[made : made + size]
        try:
            # Put in and taken out for each batch: the base is as it was whenever the caller has its hands on it.
            with _person(base, recipe, lora) as step_ended, torch.inference_mode():

                def after_step(step_ended: Callable[[], None] = step_ended) -> None:
                    stop_if_cancelled()
                    step_ended()

                images = base.generate(
                    [shots[i].prompt for i in batch],
                    [shots[i].negative for i in batch],
                    [shots[i].seed for i in batch],
                    steps=recipe.render_steps,
                    guidance=recipe.guidance,
                    after_step=after_step,
                    references=references,
                    held=_held(base, recipe, anchors, [shots[i].seed for i in batch]),
                )
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        made += len(batch)
        progress(made, len(waiting))
        for index, image in zip(batch, images, strict=True):
            yield index, _enlarged(image, recipe.smallest)


@contextmanager
def _person(base: Base, recipe: Recipe, lora: Mapping[str, Tensor] | None) -> Iterator[Callable[[], None]]:
    """The base, and the person in it after the steps that the base draws first; yields what is to follow each step."""
    steps, first = count(), round(recipe.base_first * recipe.render_steps)
    with ExitStack() as inside:

        def step_ended() -> None:
            if next(steps) == first and lora:
                inside.enter_context(merged(base.network, lora, base.network_name))

        step_ended()
        yield step_ended


def _held(base: Base, recipe: Recipe, anchors: Sequence[Anchor], seeds: Sequence[int]) -> Held | None:
    if not anchors or recipe.anchor == 0:
        return None
    chosen = [anchors[seed % len(anchors)] for seed in seeds]
    latents = base.encode_image([anchor.photo for anchor in chosen])
    height, width = latents.shape[-2:]
    until = torch.stack([_until(recipe, anchor, height, width) for anchor in chosen])
    return Held(latents, until)


def _until(recipe: Recipe, anchor: Anchor, height: int, width: int) -> Tensor:
    """(1, height, width), in shares of the steps: the most in the middle of the face, and towards its rim ever less.

    What is let go early still takes shape with its surroundings (differential diffusion, arXiv:2306.00950). With one
    moment for all, the selfie's wall stood around the face like a halo.
    """
    face = torch.stack([oval(anchor.photo, _sized(anchor.face, part), height, width) for part in RINGS]).mean(0)
    if anchor.head is None:
        return recipe.anchor * face
    head = oval(anchor.photo, _sized(anchor.head, HEAD), height, width)
    # Below the chin are the selfie's collar and tie, which the words may want otherwise.
    head[:, round(anchor.face[3] * height) :] = 0
    return torch.maximum(recipe.anchor * face, recipe.base_first * head)


def _sized(box: Box, part: float) -> Box:
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    return (x - part * (x - left), y - part * (y - top), x + part * (right - x), y + part * (bottom - y))


def _enlarged(image: Image.Image, smallest: int) -> Image.Image:
    if min(image.size) >= smallest:
        return image
    scale = smallest / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)
