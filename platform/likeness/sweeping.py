"""What sweeps share: each item by itself, so that one that fails holds up no other and is tried again after a pause."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

if TYPE_CHECKING:
    from sqlmodel import Session

    from likeness.kernel import Kernel

log = logging.getLogger(__name__)
Item = TypeVar("Item", bound=Hashable)

LONGEST_PAUSE = timedelta(minutes=15)
FAILURES_IN_A_ROW = 20
"""So many one after the other, and it is not the items: what they need is away, and the next round will see."""


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


def each(
    kernel: Kernel, sweep: str, tenant: UUID, items: Iterable[Item], now: datetime, act: Callable[[Session, Item], None]
) -> int:
    """Runs `act` for each item in a transaction of its own; returns how many went well.

    What fails is counted, logged, and left alone for a pause that grows to a quarter of an hour.
    """
    paused, done, row = kernel.failures.paused(sweep, now), 0, 0
    for item in items:
        if item in paused:
            continue
        try:
            with kernel.db.transaction(tenant) as session:
                act(session, item)
        except Exception:  # One item's trouble must not keep the others waiting.
            failed(kernel, sweep, tenant, item, now)
            row += 1
            if row >= FAILURES_IN_A_ROW:
                break
        else:
            kernel.failures.forget(sweep, item)
            done, row = done + 1, 0
    return done


def failed(kernel: Kernel, sweep: str, tenant: UUID, item: Hashable, now: datetime) -> None:
    """Counts a failure; to be called where the exception is handled, for the log."""
    count = kernel.failures.note(sweep, item, now)
    log.exception("a sweep failed for one item", extra={"tenant": str(tenant), "sweep": sweep, "count": count})
