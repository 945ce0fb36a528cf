"""Turns prompts into headshots of one person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.bases.base import Base, Drawing
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.engine.adapters import merged
from gpu_cluster.engine.train import Cancelled


@dataclass(frozen=True)
class Shot:
    """One picture to make."""

    prompt: str
    seed: int


def _never() -> bool:
    return False


def render(
    base: Base,
    recipe: Recipe,
    lora: Mapping[str, Tensor] | None,
    shots: Sequence[Shot],
    *,
    references: Sequence[Image.Image] = (),
    cancelled: Callable[[], bool] = _never,
) -> Iterator[tuple[int, Image.Image]]:
    """Pictures with their index in `shots`.

    A picture depends on its own shot only: its noise comes from its seed, whichever batch it is made in. Without
    `lora` the base shows whomever it likes, or whom the `references` show (recipes of the strategy "reference";
    NoReferences from any other base).
    Raises Cancelled within one step of `cancelled()` turning true.
    """

    def stop_if_cancelled() -> None:
        if cancelled():
            raise Cancelled

    size, made = recipe.render_batch, 0
    while made < len(shots):
        stop_if_cancelled()
        batch = shots[made : made + size]
        person = merged(base.network, lora, base.network_name) if lora else nullcontext()
        try:
            # Put in and taken out for each batch: the base is as it was whenever the caller has its hands on it.
            with person, torch.inference_mode():
                images = base.generate(
                    Drawing(
                        [shot.prompt for shot in batch],
                        [shot.seed for shot in batch],
                        steps=recipe.render_steps,
                        guidance=recipe.guidance,
                        after_step=stop_if_cancelled,
                        references=references,
                    )
                )
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
            continue
        first, made = made, made + len(batch)
        for index, image in enumerate(images, first):
            yield index, _enlarged(image, recipe.smallest)


def _enlarged(image: Image.Image, smallest: int) -> Image.Image:
    if min(image.size) >= smallest:
        return image
    scale = smallest / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.LANCZOS)
