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
from gpu_cluster.faces import Faces
from gpu_cluster.matte import FACE, wall
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base, Box, Held, oval, sized
from gpu_cluster.train import Cancelled

RINGS = (0.9, 1.0, 1.1)
"""Sizes of the ovals that the held face consists of, as parts of its box."""
HEAD_UNTIL = 0.35
"""Share of the steps in which the head around the face is held: without that, hair is less and less the person's."""
FACE_WALL = (0.1, 0.5)
"""How much of a place may be the selfie's wall: up to the first it is held with the face, from the second on not at all."""
HEAD_WALL = (0.25, 0.75)
"""The same of the head, which is let go so early that what came along of the wall is drawn over."""
AROUND = 1.15
"""Size of the oval, as a part of the head's box, in which a drawn picture is fitted to the held face."""


@dataclass(frozen=True)
class Shot:
    """One picture to make."""

    prompt: str
    seed: int
    negative: str = ""


@dataclass(frozen=True)
class Anchor:
    """A training picture, a square, and where its face and the head with its hair are, to build headshots around."""

    photo: Image.Image
    face: Box
    head: Box

    @classmethod
    def among(cls, photos: Sequence[Image.Image], faces: Faces) -> list[Anchor]:
        """The photos whose faces are most like those of the others (see `Faces.typical`)."""
        places = [(photo, faces.front(photo), faces.head(photo)) for photo in faces.typical(photos)]
        return [cls(photo, face, head) for photo, face, head in places if face and head]


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
    held while hair takes shape, and drawn anew at the end, down to the chin and with what is just beside it, so that it
    goes with the face. Places where the base sees the selfie's wall are let go early or not held (see `wall`).
    `progress(made, wanted)` follows each batch. Raises Cancelled within one step of `cancelled()` turning true.
    """

    def stop_if_cancelled() -> None:
        if cancelled():
            raise Cancelled

    waiting = [index for index in range(len(shots)) if index not in skip]
    # Before anybody is in the base: words for a backdrop are its own.
    holds = _holds(base, recipe, anchors, [shots[i].seed for i in waiting], stop_if_cancelled)
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
                    held=_held(holds, [shots[i].seed for i in batch]),
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


def _holds(
    base: Base, recipe: Recipe, anchors: Sequence[Anchor], seeds: Sequence[int], before_each: Callable[[], None]
) -> dict[int, Held]:
    """What each picture is held to, by its seed, which chooses the anchor; an anchor nobody chooses costs nothing."""
    if not anchors or recipe.anchor == 0:
        return {}
    made: dict[int, Held] = {}
    for number in sorted({seed % len(anchors) for seed in seeds}):
        before_each()
        made[number] = _hold(base, recipe, anchors[number])
    return {seed: made[seed % len(anchors)] for seed in seeds}


def _held(holds: Mapping[int, Held], seeds: Sequence[int]) -> Held | None:
    if not holds:
        return None
    chosen = [holds[seed] for seed in seeds]
    return Held(
        torch.cat([one.latents for one in chosen]),
        torch.cat([one.until for one in chosen]),
        torch.cat([one.around for one in chosen]),
    )


def _hold(base: Base, recipe: Recipe, anchor: Anchor) -> Held:
    """What one anchor holds a picture to, a batch of one."""
    latents = base.encode_image([anchor.photo])
    behind = wall(base, anchor.photo, anchor.face, anchor.head).cpu()
    height, width = behind.shape[-2:]
    around = oval(anchor.photo, sized(anchor.head, AROUND), height, width)
    # Dress follows the words, and less so where collars were drawn anew together with the head.
    around[:, max(0, round(anchor.face[3] * height) - 1) :] = 0
    return Held(latents, _until(recipe, anchor, behind)[None], around[None])


def _until(recipe: Recipe, anchor: Anchor, behind: Tensor) -> Tensor:
    """(1, height, width), in shares of the steps: the most in the middle of the face, and towards its rim ever less.

    What is let go early still takes shape with its surroundings (differential diffusion, arXiv:2306.00950). With one
    moment for all, the selfie's wall stood around the face like a halo. `behind` is of the same shape, see `wall`.
    """
    height, width = behind.shape[-2:]
    rings = torch.stack([oval(anchor.photo, sized(anchor.face, part), height, width) for part in RINGS]).mean(0)
    # Whatever is thought to be wall, the middle of the face is none.
    middle = oval(anchor.photo, sized(anchor.face, FACE), height, width)
    face = rings * torch.maximum(middle, _without(behind, *FACE_WALL))
    head = oval(anchor.photo, anchor.head, height, width) * _without(behind, *HEAD_WALL)
    # Below the chin are the selfie's collar and tie, which the words may want otherwise.
    head[:, round(anchor.face[3] * height) :] = 0
    return torch.maximum(recipe.anchor * face, HEAD_UNTIL * head)


def _without(behind: Tensor, whole: float, nothing: float) -> Tensor:
    """How long a place is held beside one that shows no wall: 1 up to `whole` of wall, 0 from `nothing` on."""
    return ((nothing - behind) / (nothing - whole)).clamp(0.0, 1.0)


def _enlarged(image: Image.Image, smallest: int) -> Image.Image:
    if min(image.size) >= smallest:
        return image
    scale = smallest / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)
