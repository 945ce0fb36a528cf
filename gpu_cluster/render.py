"""Turns prompts into headshots of one person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.adapters import inside, merged
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base, Box, Held, oval
from gpu_cluster.train import Cancelled

RINGS = (0.9, 1.0, 1.1)
"""Sizes of the ovals that a held face, and the place of a head, consist of, as parts of its box."""
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
    """A training picture, and where its face is, that headshots may be built around."""

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
    held while the base draws alone, and with `head_only` it is the one place where `lora` has a say.
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
            held, where = _anchored(base, recipe, anchors, [shots[i].seed for i in batch])
            # Put in and taken out for each batch: the base is as it was whenever the caller has its hands on it.
            with _person(base, recipe, lora, where) as step_ended, torch.inference_mode():

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
                    held=held,
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
def _person(
    base: Base, recipe: Recipe, lora: Mapping[str, Tensor] | None, where: Tensor | None
) -> Iterator[Callable[[], None]]:
    """The base, and the person in it after the steps that the base draws first; yields what is to follow each step.

    The person is let in as far as `where` says, everywhere if it is None.
    """
    if not lora:
        yield lambda: None
        return
    steps, first = count(), round(recipe.base_first * recipe.render_steps)
    with merged(base.network, lora, base.network_name) as put, ExitStack() as after_first:
        put(False)

        def step_ended() -> None:
            if next(steps) == first:
                if where is None:
                    put(True)
                else:
                    after_first.enter_context(inside(base.network, put, where))

        step_ended()
        yield step_ended


def _anchored(
    base: Base, recipe: Recipe, anchors: Sequence[Anchor], seeds: Sequence[int]
) -> tuple[Held | None, Tensor | None]:
    """What the pictures of these seeds are held to, and where in them the person is let in."""
    if not anchors or recipe.anchor == 0:
        return None, None
    chosen = [anchors[seed % len(anchors)] for seed in seeds]
    latents = base.encode_image([anchor.photo for anchor in chosen])
    height, width = latents.shape[-2:]
    held = Held(latents, torch.stack([_until(recipe, anchor, height, width) for anchor in chosen]))
    if not recipe.head_only:
        return held, None
    where = torch.stack([_head(anchor, height, width) for anchor in chosen])
    # Guidance stresses what the words change; stressed as well, the person's change would reach beyond the head.
    return held, where / max(1.0, recipe.guidance)


def _head(anchor: Anchor, height: int, width: int) -> Tensor:
    """(1, height, width), 0..1: the head, with a soft rim; everything where nobody knows where the head is."""
    if anchor.head is None:
        return torch.ones(1, height, width)
    head = _sized(anchor.head, HEAD)
    return torch.stack([oval(anchor.photo, _sized(head, part), height, width) for part in RINGS]).mean(0)


def _until(recipe: Recipe, anchor: Anchor, height: int, width: int) -> Tensor:
    """(1, height, width), in shares of the steps: the most in the middle of the face, and towards its rim ever less.

    What is let go early still takes shape with its surroundings (differential diffusion, arXiv:2306.00950). With one
    moment for all, the selfie's wall stood around the face like a halo.
    """
    face = torch.stack([oval(anchor.photo, _sized(anchor.face, part), height, width) for part in RINGS]).mean(0)
    if anchor.head is None:
        return recipe.anchor * face
    head = oval(anchor.photo, _sized(anchor.head, HEAD), height, width)
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
