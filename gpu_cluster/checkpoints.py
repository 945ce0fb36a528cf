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


def join(parts: Iterable[bytes], path: Path, scratch: Path) -> None:
    """Writes one checkpoint for a pack from the parts of its people, who may be at different steps."""
    tensors: dict[str, Tensor] = {}
    people: list[tuple[str, int]] = []
    about: dict[str, str] = {}
    one = scratch / "part.safetensors"
    for row, part in enumerate(parts):
        one.write_bytes(part)
        with safe_open(one, framework="pt") as file:
            about = dict(file.metadata())
            people += json.loads(about["people"])
            tensors |= {f"{row}.{name}": file.get_tensor(f"0.{name}") for name in PARTS}
    if people:
        path.write_bytes(save(tensors, {**about, "people": json.dumps(people)}))


