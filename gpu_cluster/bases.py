"""Loads the base model that a recipe names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import entry_points

import torch
from diffusers import DiffusionPipeline

from gpu_cluster.recipe import FREE_LICENCE, Recipe
from gpu_cluster.recipes.base import Base
from gpu_cluster.recipes.flux2 import Flux2Klein
from gpu_cluster.recipes.sdxl import Sdxl
from gpu_cluster.recipes.z_image import ZImage


class LicenceNotAccepted(ValueError):
    """The base's licence carries conditions that the operator has not accepted."""


FAMILIES: Mapping[str, type[Base]] = {
    "StableDiffusionXLPipeline": Sdxl,
    "Flux2KleinPipeline": Flux2Klein,
    "ZImagePipeline": ZImage,
}


def load(recipe: Recipe, device: str = "cpu", accepted: Collection[str] = ()) -> Base:
    """A warm base. Raises LicenceNotAccepted before a byte of it is read, ValueError for a family nobody knows."""
    if recipe.licence != FREE_LICENCE and recipe.licence not in accepted:
        raise LicenceNotAccepted(f"{recipe.name} is under {recipe.licence}, which has not been accepted")
    # Pickled weights run code when they are opened, so only safetensors are.
    pipeline = DiffusionPipeline.from_pretrained(  # type: ignore[no-untyped-call]
        recipe.source(), dtype=getattr(torch, recipe.dtype), use_safetensors=True
    )
    family = _family(recipe.family) if recipe.family else FAMILIES.get(type(pipeline).__name__)
    if family is None:
        raise ValueError(f"{recipe.name}: no family knows a {type(pipeline).__name__}")
    return family(pipeline.to(device), recipe.resolution)


def _family(name: str) -> type[Base]:
    """Raises ValueError where no installed package declares it."""
    for point in entry_points(group="likeness.families", name=name):
        found: type[Base] = point.load()
        return found
    raise ValueError(f"no installed package declares the family {name}")
