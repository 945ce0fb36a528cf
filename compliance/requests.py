"""Data-subject requests: when one came, when an answer is due, when it was given."""

from __future__ import annotations

import calendar
from datetime import datetime
from uuid import UUID

from sqlalchemy import update
from sqlmodel import Session, col, select

from compliance.models import Request, RequestKind
from likeness import ledger
from likeness.db import tenant_of


def receive(session: Session, employee_id: UUID, kind: RequestKind, now: datetime, *, caller: str) -> Request:
    """The same request twice is one case while the first is open."""
    known = session.exec(
        select(Request)
        .where(
            col(Request.tenant_id) == tenant_of(session),
            col(Request.employee_id) == employee_id,
            col(Request.kind) == kind,
            col(Request.done_at).is_(None),
        )
        .limit(1)
    ).first()
    if known is not None:
        return known
    case = Request(
        tenant_id=tenant_of(session), employee_id=employee_id, kind=kind, received_at=now, due_at=a_month_after(now)
    )
    session.add(case)
    session.flush()
    ledger.record(session, "request.received", caller=caller, subject=employee_id, objects=[case.id])
    return case


def close(session: Session, employee_id: UUID, kind: RequestKind, now: datetime) -> None:
    done = session.execute(
        update(Request)
        .where(
            col(Request.tenant_id) == tenant_of(session),
            col(Request.employee_id) == employee_id,
            col(Request.kind) == kind,
            col(Request.done_at).is_(None),
        )
        .values(done_at=now)
        .returning(col(Request.id))
    ).scalars()
    for case_id in done:
        ledger.record(session, "request.answered", subject=employee_id, objects=[case_id])


def of(session: Session, employee_id: UUID) -> list[Request]:
    return list(
        session.exec(
            select(Request)
            .where(col(Request.tenant_id) == tenant_of(session), col(Request.employee_id) == employee_id)
            .order_by(col(Request.received_at))
        )
    )


def a_month_after(at: datetime) -> datetime:
    """One calendar month (GDPR article 12(3)): the same day of the next month, or its last day when there is none."""
    year, month = (at.year + 1, 1) if at.month == 12 else (at.year, at.month + 1)
    return at.replace(year=year, month=month, day=min(at.day, calendar.monthrange(year, month)[1]))
