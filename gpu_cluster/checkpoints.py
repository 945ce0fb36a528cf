"""A pack's checkpoint, taken apart by person and put together again.

Each person's part is sealed under their own key, so that an erasure takes it along and leaves the others' parts alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from gpu_cluster.recipe import Recipe

PARTS = ("theta", "first", "second")


def split(path: Path) -> dict[str, bytes]:
    """Each person's part by key, as a checkpoint of a pack of one."""
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
        return {
            key: save(
                {f"0.{part}": file.get_tensor(f"{row}.{part}") for part in PARTS},
                {**about, "people": json.dumps([[key, step]])},
            )
            for row, (key, step) in enumerate(json.loads(about["people"]))
        }


def join(parts: Iterable[bytes], path: Path, scratch: Path, recipe: Recipe) -> None:
    """Writes one checkpoint for a pack from the parts of its people, who may be at different steps.

    A part of another recipe, from before an upgrade say, is left out: its person begins anew.
    """
    tensors: dict[str, Tensor] = {}
    people: list[tuple[str, int]] = []
    about: dict[str, str] = {}
    one = scratch / "part.safetensors"
    for part in parts:
        one.write_bytes(part)
        with safe_open(one, framework="pt") as file:
            said = dict(file.metadata())
            if said["recipe"] != recipe.as_json():
                continue
            about = said
            tensors |= {f"{len(people)}.{name}": file.get_tensor(f"0.{name}") for name in PARTS}
            people += json.loads(said["people"])
    if people:
        path.write_bytes(save(tensors, {**about, "people": json.dumps(people)}))


