"""Legal holds: a person's things are kept past their day because a court said so, in the sight of two people.

One member of the legal role places a hold, another confirms it, and it ends on a day that was set at the start. Only a
confirmed hold that stands keeps anything; retention and erasure ask here before they delete.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_
from sqlmodel import Session, col, select

from batch import employees
from compliance.models import Basis, Hold
from likeness import ledger
from likeness.db import tenant_of
from likeness.errors import Conflict, NotFound, Unprocessable
from tenants.plain import one_line

LONGEST = timedelta(days=366)


class HoldMissing(NotFound):
    """The company has no such hold."""


class HoldRefused(Unprocessable):
    """A hold needs a warrant or a subpoena, its reference, a reason, and a day on which it ends."""


class SamePerson(Conflict):
    """Who placed the hold cannot be the one who confirms it."""


class HoldEnded(Conflict):
    """The hold was lifted or has run out."""


def place(
    session: Session,
    employee_id: UUID,
    *,
    basis: str,
    reference: str,
    reason: str,
    expires_at: datetime,
    placed_by: UUID,
    now: datetime,
) -> Hold:
    """It keeps nothing until a second person confirms it. Raises `HoldRefused` and `EmployeeMissing`."""
    employees.get(session, employee_id)
    if basis not in set(Basis):
        raise HoldRefused("Faces are kept past their day for a warrant or a subpoena only. Say which of the two it is.")
    if not reference.strip() or not reason.strip():
        raise HoldRefused("Please give the reference of the warrant or subpoena, and the reason.")
    if expires_at.tzinfo is None or not now < expires_at <= now + LONGEST:
        raise HoldRefused("A hold ends on a day within a year; it can be placed anew then.")
    hold = Hold(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        basis=basis,
        reference=one_line(reference, 200, "reference"),
        reason=one_line(reason, 500, "reason"),
        placed_by=placed_by,
        placed_at=now,
        expires_at=expires_at,
    )
    session.add(hold)
    session.flush()
    _record(session, "hold.placed", hold, placed_by)
    return hold


def confirm(session: Session, hold_id: UUID, *, confirmed_by: UUID, now: datetime) -> Hold:
    """Raises `HoldMissing`, `SamePerson` and `HoldEnded`."""
    hold = _locked(session, hold_id)
    if hold.lifted_at is not None or hold.expires_at <= now:
        raise HoldEnded("This hold has ended already.")
    if hold.placed_by == confirmed_by:
        raise SamePerson("A second person has to confirm a hold.")
    if hold.confirmed_by is None:
        hold.confirmed_by, hold.confirmed_at = confirmed_by, now
        session.add(hold)
        _record(session, "hold.confirmed", hold, confirmed_by)
    return hold


def lift(session: Session, hold_id: UUID, *, lifted_by: UUID, now: datetime) -> Hold:
    """Deletion resumes within a minute. Raises `HoldMissing`."""
    hold = _locked(session, hold_id)
    if hold.lifted_at is None:
        hold.lifted_at = now
        session.add(hold)
        _record(session, "hold.lifted", hold, lifted_by)
    return hold


def of(session: Session, employee_id: UUID) -> list[Hold]:
    """Every hold there was, oldest first: the person sees them."""
    return list(
        session.exec(
            select(Hold)
            .where(col(Hold.tenant_id) == tenant_of(session), col(Hold.employee_id) == employee_id)
            .order_by(col(Hold.placed_at))
        )
    )


def all_holds(session: Session) -> list[Hold]:
    return list(
        session.exec(select(Hold).where(col(Hold.tenant_id) == tenant_of(session)).order_by(col(Hold.placed_at).desc()))
    )


def held(session: Session, now: datetime) -> set[UUID]:
    """The people whose things are kept right now."""
    return set(session.exec(select(Hold.employee_id).where(standing(session, now))))


def standing(session: Session, now: datetime) -> ColumnElement[bool]:
    return and_(
        col(Hold.tenant_id) == tenant_of(session),
        col(Hold.confirmed_at).is_not(None),
        col(Hold.lifted_at).is_(None),
        col(Hold.expires_at) > now,
    )


def _locked(session: Session, hold_id: UUID) -> Hold:
    hold = session.exec(
        select(Hold).where(col(Hold.tenant_id) == tenant_of(session), col(Hold.id) == hold_id).with_for_update()
    ).one_or_none()
    if hold is None:
        raise HoldMissing("There is no such hold.")
    return hold


def _record(session: Session, event: str, hold: Hold, member_id: UUID) -> None:
    ledger.record(session, event, caller=f"member:{member_id}", subject=hold.employee_id, objects=[hold.id])
