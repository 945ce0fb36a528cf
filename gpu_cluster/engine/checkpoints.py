"""One person's state in the middle of a training: as bytes, and sealed under their own key beside the training.

Nothing of a pack is ever in one file: an erasure takes each person's part along and leaves the others' alone.
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from gpu_cluster.bases.recipe import Recipe

log = logging.getLogger(__name__)

LENGTH = struct.Struct("<Q")
"""What a safetensors file begins with: how long its header of JSON is."""


class OfAnotherTraining(ValueError):
    """The state belongs to another recipe or seed, from before an upgrade say; its person begins anew."""


@dataclass(frozen=True)
class State:
    """Where one person's training is: the adapter's numbers with their first and second moments, on the CPU."""

    step: int
    theta: Tensor
    first: Tensor
    second: Tensor


def dump(state: State, recipe: Recipe, seed: int = 0) -> bytes:
    about = {"recipe": recipe.as_json(), "seed": str(seed), "step": str(state.step)}
    return save({"theta": state.theta, "first": state.first, "second": state.second}, about)


def read(data: bytes, recipe: Recipe, seed: int = 0) -> State:
    """Bit for bit what was dumped. Raises OfAnotherTraining."""
    about = _about(data)
    if about.get("recipe") != recipe.as_json() or about.get("seed") != str(seed):
        raise OfAnotherTraining("the checkpoint belongs to another recipe or seed")
    return State(int(about["step"]), **load(data))


def _about(data: bytes) -> dict[str, Any]:
    (length,) = LENGTH.unpack_from(data)
    about: dict[str, Any] = json.loads(data[LENGTH.size : LENGTH.size + length]).get("__metadata__", {})
    return about


class Keeper:
    """Seals the newest state of each person in a thread, so that no training waits for a network or a disk.

    What cannot be kept, because a store is full or away for instance, costs the checkpoint and not the training.
    """

    def __init__(self, seal: Callable[[str, State], None]) -> None:
        self._seal, self._lock = seal, Lock()
        self._newest: dict[str, State] = {}
        self._thread = ThreadPoolExecutor(1, "checkpoints")

    def keep(self, states: Mapping[str, State]) -> None:
        """A state that still waits gives way to the newer one, so that memory holds two of a person at most."""
        with self._lock:
            self._newest |= states
        self._thread.submit(self._seal_newest)

    def close(self) -> None:
        """Waits for what is being sealed."""
        self._thread.shutdown()

    def _seal_newest(self) -> None:
        while (waiting := self._next()) is not None:
            try:
                self._seal(*waiting)
            except Exception as error:
                log.warning("a checkpoint was not kept", extra={"error": type(error).__name__})

    def _next(self) -> tuple[str, State] | None:
        with self._lock:
            return self._newest.popitem() if self._newest else None
