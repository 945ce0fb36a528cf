"""Legal holds: a person's things are kept past their day because a court said so, in the sight of two people.

One member of the legal role places a hold, another confirms it, and it ends on a day that was set at the start; lifting
it earlier takes two as well. Two means two who could not have made each other (`tenants/chains.py`), and who both worked
for legal before it was asked for. Only a confirmed hold that stands keeps anything; retention and erasure ask here before
they delete.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_
from sqlmodel import Session, col, select

from batch import employees
from compliance.models import Basis, Hold
from likeness import ledger
from likeness.db import tenant_of
from likeness.errors import Conflict, NotFound, Unprocessable
from tenants import chains
from tenants.models import Member, Role
from tenants.plain import one_line

LONGEST = timedelta(days=366)


class HoldMissing(NotFound):
    """The company has no such hold."""


class HoldRefused(Unprocessable):
    """A hold needs a warrant or a subpoena, its reference, a reason, and a day on which it ends."""


class SamePerson(Conflict):
    """Who placed the hold cannot be the one who confirms it."""


class NotApart(Conflict):
    """The two could be one: one of them invited the other or gave them their role, directly or through others."""


class NotThereBefore(Conflict):
    """Who is to be the second of two did not work for legal yet when the first one asked."""


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
    """Raises `HoldMissing`, `HoldEnded`, `SamePerson`, `NotApart` and `NotThereBefore`."""
    hold = _locked(session, hold_id)
    if hold.lifted_at is not None or hold.expires_at <= now:
        raise HoldEnded("This hold has ended already.")
    if hold.confirmed_by is None:
        _check_second(session, hold.placed_by, hold.placed_at, confirmed_by, "confirm a hold")
        hold.confirmed_by, hold.confirmed_at = confirmed_by, now
        session.add(hold)
        _record(session, "hold.confirmed", hold, confirmed_by)
    return hold


def lift(session: Session, hold_id: UUID, *, lifted_by: UUID, now: datetime) -> Hold:
    """The first of two asks for it, the second lifts it, and deletion resumes within a minute. One that nobody confirmed
    keeps nothing, so one person takes it back.

    Raises `HoldMissing`, `SamePerson`, `NotApart` and `NotThereBefore`.
    """
    hold = _locked(session, hold_id)
    if hold.lifted_at is not None:
        return hold
    if hold.confirmed_at is None or hold.expires_at <= now:
        hold.lifted_at = now
        _record(session, "hold.lifted", hold, lifted_by)
    elif (asked := lift_asked(chains.desk(session), hold)) is None:
        hold.lift_asked_by, hold.lift_asked_at = lifted_by, now
        _record(session, "hold.lift-asked", hold, lifted_by)
    else:
        _check_second(session, *asked, lifted_by, "lift a hold")
        hold.lifted_by, hold.lifted_at = lifted_by, now
        _record(session, "hold.lifted", hold, lifted_by)
    session.add(hold)
    return hold


def seconds(everybody: Mapping[UUID, Member], hold: Hold) -> list[UUID]:
    """Who may finish what one of two asked for: to confirm this hold, or to lift it."""
    asked = (hold.placed_by, hold.placed_at) if hold.confirmed_at is None else lift_asked(everybody, hold)
    return [one for one in everybody if asked and _may_be_second(everybody, *asked, one)]


def lift_asked(everybody: Mapping[UUID, Member], hold: Hold) -> tuple[UUID, datetime] | None:
    """Who is the first of two to lift it, and since when; a wish of somebody who no longer works for legal is void."""
    member = everybody.get(hold.lift_asked_by) if hold.lift_asked_by else None
    if member is None or hold.lift_asked_at is None or member.disabled_at is not None or Role.LEGAL not in member.roles:
        return None
    return member.id, hold.lift_asked_at


def _may_be_second(everybody: Mapping[UUID, Member], first: UUID, asked_at: datetime, second: UUID) -> bool:
    return chains.apart(everybody, first, second) and chains.held_before(everybody[second], Role.LEGAL, asked_at)


def _check_second(session: Session, first: UUID, asked_at: datetime, second: UUID, what: str) -> None:
    if first == second:
        raise SamePerson(f"It takes a second person to {what}: you were the first.")
    everybody = chains.desk(session)
    if not chains.apart(everybody, first, second):
        raise NotApart(
            f"It takes two to {what} who did not invite each other or give each other their roles, directly or through"
            " others. You and the first one stand in such a chain. Ask somebody else of legal."
        )
    if not _may_be_second(everybody, first, asked_at, second):
        raise NotThereBefore(
            f"To {what}, the second person must have worked for legal, and signed in, before the first one asked. Ask"
            " somebody who had."
        )


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
