"""What a studio tells while it works, and what it is told: read and written from different threads."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any
from uuid import UUID

from gpu_cluster.engine.orders import Progress


class Board:
    """Progress by sitting, and the sittings that were cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._progress: dict[UUID, Progress] = {}
        self._cancelled: set[UUID] = set()

    def tell(self, sitting: UUID, **changes: Any) -> None:
        """Each call counts as a sign of life, whether or not anything else changed."""
        with self._lock:
            now = self._progress.get(sitting, Progress())
            self._progress[sitting] = replace(now, signs=now.signs + 1, **changes)

    def progress(self) -> dict[UUID, Progress]:
        with self._lock:
            return dict(self._progress)

    def cancel(self, sitting: UUID) -> None:
        with self._lock:
            self._cancelled.add(sitting)

    def is_cancelled(self, sitting: UUID) -> bool:
        with self._lock:
            return sitting in self._cancelled
