"""Who left the company: on the day that its rule gives, everything of theirs goes, with the company's own line."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlmodel import Session

from batch.directory import people
from compliance.erasure import erasures
from compliance.models import Trigger
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from tenants import tenants


@jobs.every(timedelta(minutes=5), deletes=True)
def delete_leavers(kernel: Kernel, now: datetime) -> None:
    due: dict[UUID, list[UUID]] = {}

    def look(session: Session) -> None:
        due[tenant_of(session)] = [one for one in people.due(session, now) if erasures.open_of(session, one) is None]

    tenants.for_each(kernel, look)
    for tenant, leavers in due.items():
        sweeping.each(kernel, "leavers", tenant, leavers, now, partial(_delete, now=now))


def _delete(session: Session, employee_id: UUID, *, now: datetime) -> None:
    # Asked once more, because the directory may have taken it back meanwhile.
    if employee_id in people.due(session, now):
        erasures.request(session, employee_id, trigger=Trigger.LEAVER, requested_by=ledger.SYSTEM, now=now)
