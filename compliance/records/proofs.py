"""The newest proofs over all companies, as counts and times: the look for leftovers, the trial restore, the models."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, SQLModel, col, select

from batch.photos import rejections
from compliance.models import Certificate, Erasure
from likeness.evidence.outside import Drill
from likeness.ground.db import tenant_of
from likeness.kernel import Kernel
from tenants import tenants

FRESH = timedelta(minutes=1)
"""Anybody may open the page, and each reading asks every company's rows."""
RECENT = timedelta(days=30)


@dataclass(frozen=True)
class Proofs:
    read_at: datetime
    looked_at: datetime | None
    """When a re-scan last ended; None before the first."""
    passed: int
    """Deletions that were certified in the last 30 days."""
    failed: int
    """Looks of these that found something, or a store that did not answer, and were done again."""
    models: int
    """Models of one person that are there right now."""
    drilled: Drill | None
    """The newest trial restore; None before the first."""
    tally: rejections.PhotoTally
    """Why photos were refused, over all companies."""


_known: dict[int, Proofs] = {}
_lock = threading.Lock()


def newest(kernel: Kernel, now: datetime) -> Proofs:
    """At most a minute old."""
    with _lock:
        known = _known.get(id(kernel.db))
        if known is None or not known.read_at <= now < known.read_at + FRESH:
            _known.clear()
            known = _known[id(kernel.db)] = _read(kernel, now)
        return known


def _read(kernel: Kernel, now: datetime) -> Proofs:
    looked: list[datetime] = []
    passed = failed = models = 0
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            last, certified, again, here = _of_company(session, tenant, now)
        looked += [last] if last else []
        passed, failed, models = passed + certified, failed + again, models + here
    drilled = kernel.db.outside.last_drill()
    return Proofs(now, max(looked, default=None), passed, failed, models, drilled, rejections.everywhere(kernel, now))


def _of_company(session: Session, tenant: UUID, now: datetime) -> tuple[datetime | None, int, int, int]:
    mine = col(Certificate.tenant_id) == tenant_of(session)
    newest_of = session.exec(
        select(Certificate).where(mine).order_by(col(Certificate.issued_at).desc()).limit(1)
    ).first()
    certified = session.exec(
        select(func.count()).select_from(Certificate).where(mine, col(Certificate.issued_at) > now - RECENT)
    ).one()
    again = session.exec(
        select(func.coalesce(func.sum(col(Erasure.failures)), 0)).where(
            col(Erasure.tenant_id) == tenant, col(Erasure.requested_at) > now - RECENT
        )
    ).one()
    weights = SQLModel.metadata.tables["weights"]
    here = session.execute(
        select(func.count()).select_from(weights).where(weights.c.tenant_id == tenant_of(session))
    ).scalar_one()
    return _looked(newest_of), int(certified), int(again), int(here)


def _looked(certificate: Certificate | None) -> datetime | None:
    """When the look ended that this certificate rests on."""
    if certificate is None:
        return None
    finished = certificate.document.get("verification", {}).get("finished_at")
    return datetime.fromisoformat(finished) if finished else certificate.issued_at
