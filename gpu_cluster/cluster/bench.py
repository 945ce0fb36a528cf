"""Where an order is worked on, as the fleet sees it from outside."""

from __future__ import annotations

from uuid import UUID

from gpu_cluster.engine.board import Board
from gpu_cluster.engine.orders import Progress
from likeness.keys.recipient import Recipient
from likeness.sandbox.offline import offline


class Bench:
    """`progress` and `cancel` are called from another thread while an order is worked on."""

    def __init__(self) -> None:
        # A machine that cannot close the way out serves nobody, and nobody's photos are blamed for it.
        offline(lambda: None)
        self._board, self._recipient = Board(), Recipient()

    def public_key(self) -> bytes:
        """What the lease of an order is sealed to."""
        return self._recipient.public

    def progress(self) -> dict[UUID, Progress]:
        """By sitting of the newest order."""
        return self._board.progress()

    def cancel(self, sitting: UUID) -> None:
        self._board.cancel(sitting)
