"""What failed in a sweep, remembered so that it is left alone for a while."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from datetime import datetime, timedelta

LONGEST_PAUSE = timedelta(minutes=15)


class Failures:
    """Which items of which sweep failed, how often, and until when each is left alone; forgotten with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, Hashable], tuple[int, datetime]] = {}

    def note(self, sweep: str, item: Hashable, now: datetime) -> int:
        """Returns how often it has failed by now. The first time it is tried again in the next round."""
        with self._lock:
            count = self._known.get((sweep, item), (0, now))[0] + 1
            pause = min(timedelta(seconds=30 * 2 ** min(count, 10)), LONGEST_PAUSE) if count > 1 else timedelta()
            self._known[sweep, item] = (count, now + pause)
            return count

    def forget(self, sweep: str, item: Hashable) -> None:
        with self._lock:
            self._known.pop((sweep, item), None)

    def count(self, sweep: str, item: Hashable) -> int:
        with self._lock:
            return self._known.get((sweep, item), (0, None))[0]

    def paused(self, sweep: str, now: datetime) -> set[Hashable]:
        with self._lock:
            return {item for (of, item), (_, until) in self._known.items() if of == sweep and until > now}
