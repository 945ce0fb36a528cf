"""What sweeps share: each item by itself, so that one that fails holds up no other and is tried again after a pause."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlmodel import Session

from likeness.kernel import Kernel
from likeness.store.storage import StoreSilent

log = logging.getLogger(__name__)
Item = TypeVar("Item", bound=Hashable)

FAILURES_IN_A_ROW = 20
"""So many one after the other, and it is not the items: what they need is away, and the next round will see."""
SILENCES = 3
"""So often in one round a store kept its answer back until the time-out: it is not waited for again before the next."""


def each(
    kernel: Kernel, sweep: str, tenant: UUID, items: Iterable[Item], now: datetime, act: Callable[[Session, Item], None]
) -> int:
    """Runs `act` for each item in a transaction of its own; returns how many went well, as `alone` does."""

    def within(item: Item) -> None:
        with kernel.db.transaction(tenant) as session:
            act(session, item)

    return alone(kernel, sweep, tenant, items, now, within)


def alone(
    kernel: Kernel, sweep: str, tenant: UUID, items: Iterable[Item], now: datetime, act: Callable[[Item], None]
) -> int:
    """Runs `act` for each item, without a transaction: for what asks the object store, which may be slow to answer; returns
    how many went well.

    What fails is counted, logged, and left alone for a pause that grows to a quarter of an hour.
    """
    paused, done, row, silent = kernel.failures.paused(sweep, now), 0, 0, 0
    for item in items:
        if item in paused:
            continue
        try:
            act(item)
        except Exception as error:  # One item's trouble must not keep the others waiting.
            failed(kernel, sweep, tenant, item, now)
            row, silent = row + 1, silent + isinstance(error, StoreSilent)
            if row >= FAILURES_IN_A_ROW or silent >= SILENCES:
                break
        else:
            kernel.failures.forget(sweep, item)
            done, row = done + 1, 0
    return done


def failed(kernel: Kernel, sweep: str, tenant: UUID, item: Hashable, now: datetime) -> None:
    """Counts a failure; to be called where the exception is handled, for the log."""
    count = kernel.failures.note(sweep, item, now)
    log.exception("a sweep failed for one item", extra={"tenant": str(tenant), "sweep": sweep, "count": count})
