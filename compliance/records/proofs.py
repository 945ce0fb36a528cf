"""The newest proofs over all companies, as counts: looks for leftovers, and the trial restore.

The page is everybody's, and many installations serve one company. A count of today, or the moment of the last look, would
tell whoever knows its people that one of them withdrew a moment ago. So a month is told when it is over, and had many.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.photos import rejections
from compliance.models import Certificate, Erasure
from likeness.evidence.outside import Drill
from likeness.ground.db import Database, tenant_of
from likeness.kernel import Kernel
from tenants import tenants

FRESH = timedelta(minutes=1)
"""Anybody may open the page, and each reading asks every company's rows."""
LEAST = 10
"""Deletions below which nothing is said of them: of a few people could guess whose they were."""


@dataclass(frozen=True)
class Proofs:
    read_at: datetime
    passed: int
    """Deletions that were certified in the last whole month."""
    failed: int
    """Looks of these that found something, or a store that did not answer, and were done again."""
    drilled: Drill | None
    """The newest trial restore; None before the first."""
    tally: rejections.PhotoTally
    """Why photos were refused, over all companies."""

    @property
    def told(self) -> bool:
        return self.passed >= LEAST

    @property
    def told_of_drill(self) -> bool:
        return self.drilled is not None and self.drilled.acts + self.drilled.people >= LEAST


_known: WeakKeyDictionary[Database, Proofs] = WeakKeyDictionary()
_lock = threading.Lock()


def newest(kernel: Kernel, now: datetime) -> Proofs:
    """At most a minute old."""
    with _lock:
        known = _known.get(kernel.db)
        if known is None or not known.read_at <= now < known.read_at + FRESH:
            known = _known[kernel.db] = _read(kernel, now)
        return known


def _read(kernel: Kernel, now: datetime) -> Proofs:
    passed = failed = 0
    until = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    since = (until - timedelta(days=1)).replace(day=1)
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            certified, again = _of_company(session, since, until)
        passed, failed = passed + certified, failed + again
    return Proofs(now, passed, failed, kernel.db.outside.last_drill(), rejections.everywhere(kernel, now))


def _of_company(session: Session, since: datetime, until: datetime) -> tuple[int, int]:
    issued, asked = col(Certificate.issued_at), col(Erasure.requested_at)
    certified = session.exec(
        select(func.count())
        .select_from(Certificate)
        .where(col(Certificate.tenant_id) == tenant_of(session), issued >= since, issued < until)
    ).one()
    again = session.exec(
        select(func.coalesce(func.sum(col(Erasure.failures)), 0)).where(
            col(Erasure.tenant_id) == tenant_of(session), asked >= since, asked < until
        )
    ).one()
    return int(certified), int(again)
