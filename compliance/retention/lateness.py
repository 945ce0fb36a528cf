"""How late deletions are, read from the rows that should be gone, so that a sweep that does not run is seen as well.

What a standing hold keeps is not late. Nothing here names a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from batch.people.held import COVERS
from compliance import holds, stores
from likeness.ground.db import tenant_of
from likeness.kernel import Kernel
from tenants import tenants

ERASED_WITHIN = timedelta(minutes=10)
"""An erasure waits less than a minute for a run to stop, then for its own look at every store."""
TOLD_AFTER = timedelta(minutes=10)
"""Sweeps come once a minute and try again what failed: what is still there after ten needs somebody."""


@dataclass(frozen=True)
class Lateness:
    """What of one company should be gone and is not. `seconds` is how long the oldest of it is late."""

    objects: int
    erasures: int
    seconds: float

    @property
    def told(self) -> bool:
        return self.seconds > TOLD_AFTER.total_seconds()


# The tables stand in `stores.DUE`; their names are the program's own.
OVERDUE = " union all ".join(
    f"select due_at from {due.table} where tenant_id = :tenant and due_at <= :now"  # noqa: S608
    f" and not {COVERS.format(table=due.table, cls=due.cls)}"
    for due in stores.DUE
)
OBJECTS = text(
    f"select count(*), min(due_at) from ({OVERDUE} union all select workbook_due_at from batch"  # noqa: S608
    " where tenant_id = :tenant and workbook_due_at <= :now and workbook_id is not null) late"
)
ERASURES = text(
    """
    select count(*), min(greatest(requested_at, settled_at)) from erasure
    where tenant_id = :tenant and state in ('requested', 'deleting', 'verifying', 'verified')
      and greatest(requested_at, settled_at) <= :asked and employee_id <> all(cast(:held as uuid[]))
    """
)


def of_company(session: Session, now: datetime) -> Lateness:
    facts = {"tenant": tenant_of(session), "now": now, "asked": now - ERASED_WITHIN, "held": _held(session, now),
             "holds_now": now}  # fmt: skip
    objects, due = session.execute(OBJECTS, facts).one()
    erasures, asked = session.execute(ERASURES, facts).one()
    since = [(now - due).total_seconds()] if due else []
    since += [(now - asked - ERASED_WITHIN).total_seconds()] if asked else []
    return Lateness(objects, erasures, max(since, default=0.0))


def of_all(kernel: Kernel, now: datetime) -> dict[UUID, Lateness]:
    """Company by company, because a transaction sees one only."""
    found = {}
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            found[tenant] = of_company(session, now)
    return found


def seconds(kernel: Kernel, now: datetime) -> float:
    """How long the oldest thing of any company is late: the figure that the alarm watches."""
    return max((late.seconds for late in of_all(kernel, now).values()), default=0.0)


def _held(session: Session, now: datetime) -> list[UUID]:
    return list(holds.held(session, now))
