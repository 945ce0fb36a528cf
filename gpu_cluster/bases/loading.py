"""Loads the base model that a recipe names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import entry_points

import torch
from diffusers import DiffusionPipeline

from gpu_cluster.bases import weights
from gpu_cluster.bases.base import Base
from gpu_cluster.bases.flux2 import Flux2Klein
from gpu_cluster.bases.recipe import FREE_LICENCE, Recipe
from gpu_cluster.bases.sdxl import Sdxl
from gpu_cluster.bases.z_image import ZImage


class LicenceNotAccepted(ValueError):
    """The base's licence carries conditions that the operator has not accepted."""


FAMILIES: Mapping[str, type[Base]] = {
    "StableDiffusionXLPipeline": Sdxl,
    "Flux2KleinPipeline": Flux2Klein,
    "ZImagePipeline": ZImage,
}


def load(recipe: Recipe, device: str = "cpu", accepted: Collection[str] = (), fixed: Collection[str] = ()) -> Base:
    """A warm base; `fixed` as in `weights.verify`. Raises LicenceNotAccepted before a byte of it is read, WeightsChanged
    before one of it is used, and ValueError for a family nobody knows."""
    if recipe.licence != FREE_LICENCE and recipe.licence not in accepted:
        raise LicenceNotAccepted(f"{recipe.name} is under {recipe.licence}, which has not been accepted")
    weights.verify(recipe, fixed)
    source = weights.source(recipe, fixed=fixed)
    kind = DiffusionPipeline.load_config(source)["_class_name"]
    family = _family(recipe.family) if recipe.family else FAMILIES.get(kind)
    if family is None:
        raise ValueError(f"{recipe.name}: no family knows a {kind}")
    # Each part is read in the precision that it keeps: what was rounded once does not come back.
    precisions = {"default": getattr(torch, recipe.dtype), **dict.fromkeys(family.exact, torch.float32)}
    # Pickled weights run code when they are opened, so only safetensors are.
    pipeline = DiffusionPipeline.from_pretrained(
        source, dtype=precisions, use_safetensors=True
    )
    return family(pipeline.to(device), recipe.resolution)


def load_twin(recipe: Recipe, base: Base, fixed: Collection[str] = ()) -> Base:
    """What the recipe's pictures are drawn with: its twin, which shares with the base all but the network, or the base.
    Both were compared with what is fixed when the base was loaded."""
    if not recipe.twin:
        return base
    own = (base.network_name, "scheduler")
    shared = {name: part for name, part in base.pipeline.components.items() if name not in own}
    pipeline = DiffusionPipeline.from_pretrained(
        weights.source(recipe, recipe.twin, fixed), dtype=base.dtype, use_safetensors=True, **shared
    )
    return type(base)(pipeline.to(base.device), recipe.resolution)


def _family(name: str) -> type[Base]:
    """Raises ValueError where no installed package declares it."""
    for point in entry_points(group="likeness.families", name=name):
        found: type[Base] = point.load()
        return found
    raise ValueError(f"no installed package declares the family {name}")
