"""The last day of names: of whom nothing new was kept or asked for a year, everything goes, and a certificate says so.

It is the day that the notice tells. A hold and an open request keep a person, and so does the company's own directory of
users, which says itself when somebody leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func
from sqlmodel import Session, SQLModel, col, select

from batch.models import NAMES_DAYS, Employee
from compliance import holds
from compliance.erasure import erasures
from compliance.models import EVERYTHING, OPEN, Erasure, Request, Trigger
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from tenants import tenants

LAST = (
    ("invitation", "expires_at"), ("consent", "given_at"), ("photo", "due_at"), ("upload", "due_at"), ("weights", "due_at"),
    ("headshot", "due_at"), ("release", "at"), ("sitting", "changed_at"), ("web_session", "seen_at"),
)  # fmt: skip
"""What a person has a last day by; the newest of them counts."""
AT_ONCE = 100


@jobs.every(timedelta(hours=1), deletes=True)
def forget(kernel: Kernel, now: datetime) -> None:
    tenants.each_id(kernel, forget_of, now)


def forget_of(kernel: Kernel, tenant: UUID, now: datetime) -> None:
    with kernel.db.transaction(tenant) as session:
        over = past(session, now)
    sweeping.each(kernel, "names", tenant, over, now, partial(_begin, now=now))


def past(session: Session, now: datetime) -> list[UUID]:
    """People whose last day has come."""
    tenant = tenant_of(session)
    under_way = select(Erasure.employee_id).where(
        col(Erasure.tenant_id) == tenant, col(Erasure.scope) == EVERYTHING, col(Erasure.state).in_(OPEN)
    )
    asked = select(Request.employee_id).where(col(Request.tenant_id) == tenant, col(Request.done_at).is_(None))
    return list(
        session.exec(
            select(Employee.id)
            .where(
                col(Employee.tenant_id) == tenant,
                col(Employee.user_name_index).is_(None),
                func.greatest(col(Employee.created_at), *_days()) <= now - timedelta(days=NAMES_DAYS),
                col(Employee.id).not_in(under_way),
                col(Employee.id).not_in(asked),
                col(Employee.id).not_in(holds.held(session, now)),
            )
            .order_by(col(Employee.created_at))
            .limit(AT_ONCE)
        )
    )


def _days() -> Iterator[ColumnElement[Any]]:
    for name, column in LAST:
        table = SQLModel.metadata.tables[name]
        person = table.c.subject_id if name == "web_session" else table.c.employee_id
        yield (
            table.select()
            .with_only_columns(func.max(table.c[column]))
            .where(table.c.tenant_id == col(Employee.tenant_id), person == col(Employee.id))
            .correlate(Employee)
            .scalar_subquery()
        )


def _begin(session: Session, employee_id: UUID, *, now: datetime) -> None:
    erasures.request(session, employee_id, trigger=Trigger.RETENTION, requested_by=ledger.SYSTEM, now=now)
