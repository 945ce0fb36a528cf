"""A warm base model on a GPU node, which works on one order at a time. Knows no Ray and no database."""

from __future__ import annotations

import gc
import time
from typing import Any
from uuid import UUID

from gpu_cluster.bases import load
from gpu_cluster.board import Board
from gpu_cluster.faces import Faces
from gpu_cluster.judge import Calibration
from gpu_cluster.making import Equipment, Making
from gpu_cluster.orders import Order, Outcome, Progress
from gpu_cluster.processors import Processors
from gpu_cluster.recipe import Recipe
from gpu_cluster.scratch import scratch_folder, sweep_scratch


class Studio:
    """Serves orders of one tenant and is then thrown away with its process."""

    def __init__(self, recipe: dict[str, Any], licences: tuple[str, ...], device: str = "cpu") -> None:
        started = time.monotonic()
        sweep_scratch()
        self._device, self._board = device, Board()
        chosen = Recipe.from_dict(recipe)
        base = load(chosen, device, accepted=licences)
        calibration = Calibration.of(chosen.source())
        self.equipment = Equipment(chosen, base, Faces(), calibration, time.monotonic() - started)

    def progress(self) -> dict[UUID, Progress]:
        """By sitting. Called from another thread while `work` runs."""
        return self._board.progress()

    def cancel(self, sitting: UUID) -> None:
        """Takes effect within one training step or one rendered batch."""
        self._board.cancel(sitting)

    def work(self, order: Order) -> list[Outcome]:
        """Runs the whole order. One person's failure is that person's outcome and leaves the others alone."""
        # Anew for each order, because a studio may have waited for hours, and what was busy then says nothing.
        processors = Processors() if self._device == "cpu" else None
        with scratch_folder() as scratch:
            outcomes = Making(self.equipment, order, self._board, processors, scratch).run()
        gc.collect()
        return outcomes
