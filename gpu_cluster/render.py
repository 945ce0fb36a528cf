"""Turns prompts into headshots of one person."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.adapters import merged
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base
from gpu_cluster.train import Cancelled


@dataclass(frozen=True)
class Shot:
    """One picture to make."""

    prompt: str
    seed: int
    negative: str = ""


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
    skip: Collection[int] = (),
    progress: Callable[[int, int], None] = _silent,
    cancelled: Callable[[], bool] = _never,
) -> Iterator[tuple[int, Image.Image]]:
    """Pictures with their index in `shots`; `skip` names those that an earlier attempt has made.

    A picture depends on its own shot only: its noise comes from its seed, whichever batch it is made in. Without
    `lora` the base shows whomever it likes, or whom the `references` show (recipes of the strategy "reference";
    NoReferences from any other base).
    `progress(made, wanted)` follows each batch. Raises Cancelled within one step of `cancelled()` turning true.
    """

    def stop_if_cancelled() -> None:
        if cancelled():
            raise Cancelled

    wanted = [index for index in range(len(shots)) if index not in skip]
    # A family may encode "nothing unwanted" otherwise than an empty line, and then does so for a whole batch: who has
    # negative words is drawn apart from who has none, so that nobody's picture depends on a neighbour's words.
    waiting = sorted(wanted, key=lambda index: bool(shots[index].negative))
    size, made = recipe.render_batch, 0
    while made < len(waiting):
        stop_if_cancelled()
        negative = bool(shots[waiting[made]].negative)
        batch = [i for i in waiting[made : made + size] if bool(shots[i].negative) == negative]
        person = merged(base.network, lora, base.network_name) if lora else nullcontext()
        try:
            # Put in and taken out for each batch: the base is as it was whenever the caller has its hands on it.
            with person, torch.inference_mode():
                images = base.generate(
                    [shots[i].prompt for i in batch],
                    [shots[i].negative for i in batch],
                    [shots[i].seed for i in batch],
                    steps=recipe.render_steps,
                    guidance=recipe.guidance,
                    after_step=stop_if_cancelled,
                    references=references,
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


def _enlarged(image: Image.Image, smallest: int) -> Image.Image:
    if min(image.size) >= smallest:
        return image
    scale = smallest / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)
