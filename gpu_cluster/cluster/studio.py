"""A warm base model on a GPU node, which works on one order at a time. Knows no Ray and no database."""

from __future__ import annotations

import gc
import time
from typing import Any
from uuid import UUID

from gpu_cluster.bases.loading import load, load_twin
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.cluster.bench import Bench
from gpu_cluster.engine.board import Board
from gpu_cluster.engine.faces import Faces
from gpu_cluster.engine.judge import Calibration
from gpu_cluster.engine.lease import Lease
from gpu_cluster.engine.making import Equipment, Making
from gpu_cluster.engine.orders import Order, Outcome
from likeness.sandbox.offline import offline


class Studio(Bench):
    """Serves orders of one tenant, one after the other, and is then thrown away with its process. What is cancelled ends
    within one training step or one rendered batch."""

    def __init__(
        self, recipe: dict[str, Any], licences: tuple[str, ...], weights: tuple[str, ...] = (), device: str = "cpu"
    ) -> None:
        """Raises `WeightsChanged` where this machine does not hold the `weights` that are fixed."""
        super().__init__()
        started = time.monotonic()
        chosen = Recipe.from_dict(recipe)
        base = load(chosen, device, licences, weights)
        calibration = Calibration.of(chosen.source())
        draws = load_twin(chosen, base, weights)
        self.equipment = Equipment(chosen, base, draws, Faces(), calibration, time.monotonic() - started)
        self._tenant: UUID | None = None

    def work(self, order: Order, sealed: bytes) -> list[Outcome]:
        """Runs the whole order. Raises ValueError for an order of another tenant than the first one's."""
        if self._tenant not in (None, order.tenant):
            raise ValueError("a studio that has met one company's faces serves no other company")
        self._tenant = order.tenant
        lease, self._board = Lease.opened(sealed, order, self._recipient), Board()
        try:
            outcomes = offline(Making(self.equipment, order, lease, self._board).run)
        finally:
            lease.end()
        gc.collect()
        return outcomes
