"""Whether the weights of a recipe's base are on this machine, without loading them."""

from __future__ import annotations

import json
from pathlib import Path

from gpu_cluster.recipe import Recipe

HEAVY = ("unet", "transformer", "vae", "text_encoder", "text_encoder_2")
"""The parts of a diffusers folder that have weights."""


def missing(recipe: Recipe) -> str:
    """What is missing, in a sentence; empty when every file is there."""
    folder = _folder(recipe)
    if folder is None:
        return f"neither the folder {recipe.source()} nor a copy of it in the cache of Hugging Face's hub was found."
    parts = json.loads((folder / "model_index.json").read_text())
    for part in HEAVY:
        if (parts.get(part) or [None])[0] is not None and not _whole(folder / part):
            return f"{folder} is not complete: {part} has no weights, or not all of them."
    return ""


def _folder(recipe: Recipe) -> Path | None:
    folder = Path(recipe.source())
    if (folder / "model_index.json").is_file():
        return folder
    if recipe.source().count("/") != 1:
        return None
    from huggingface_hub import try_to_load_from_cache  # It takes a while, and a folder does not need it.

    found = try_to_load_from_cache(recipe.source(), "model_index.json")
    return Path(found).parent if isinstance(found, str) else None


def _whole(part: Path) -> bool:
    """A model in pieces has an index that names them; a download that broke off lacks some."""
    indexes = list(part.glob("*.safetensors.index.json"))
    named = {name for index in indexes for name in json.loads(index.read_text())["weight_map"].values()}
    if named:
        return all((part / name).is_file() for name in named)
    return any(part.glob("*.safetensors"))
