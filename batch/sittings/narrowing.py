"""One of the things that a person agreed to is taken back alone: what was made for it goes, and the rest goes on.

Where nothing could be made any more without it, everything is withdrawn; the floor above does that.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from batch.models import ACTIVE, Headshot, Purpose, Sitting
from batch.people import ways
from batch.photos import photos
from batch.sittings import headshots, resemblance, sittings
from batch.sittings.runs import Weights
from batch.visit import consents
from likeness.ground.db import tenant_of


@dataclass(frozen=True)
class WithdrawalEffects:
    """What taking one purpose back does, told before it is done."""

    alone: bool
    """The rest goes on. Otherwise nothing could be made any more, and everything is withdrawn."""
    headshots: int
    released: int
    running: bool
    model: bool


def follows(session: Session, employee_id: UUID, now: datetime) -> dict[Purpose, WithdrawalEffects]:
    """For each purpose that the person agreed to and has not taken back."""
    standing = consents.standing(session, employee_id)
    handed = {release.headshot_id for release in headshots.releases(session, employee_id)}
    told = {}
    for purpose in standing:
        sat = _sat_for(session, employee_id, purpose)
        made = _made_in(session, employee_id, sat, now)
        told[purpose] = WithdrawalEffects(
            alone=purpose != Purpose.BIOMETRIC and bool(standing - {purpose, Purpose.BIOMETRIC}),
            headshots=len(made),
            released=sum(one.id in handed for one in made),
            running=any(one.state in ACTIVE for one in sat),
            model=purpose == Purpose.HEADSHOTS and _modelled(session, employee_id),
        )
    return told


def withdraw_one(session: Session, employee_id: UUID, purpose: Purpose | str, now: datetime) -> bool:
    """False where no other way is left to go on with; then nothing is changed. Raises `PurposeMissing`."""
    photos.hold(session, employee_id)
    if not consents.narrow(session, employee_id, purpose, now):
        return False
    sat = _sat_for(session, employee_id, purpose)
    if any(one.state in ACTIVE for one in sat):
        sittings.cancel(session, employee_id)
    released = {release.headshot_id for release in headshots.releases(session, employee_id)}
    for headshot in _made_in(session, employee_id, sat, now):
        if headshot.id in released:
            headshots.unrelease(session, employee_id, headshot.id, now)
        headshot.due_at = now
        session.add(headshot)
    resemblance.end(session, employee_id, sat, now)
    if purpose == Purpose.HEADSHOTS:
        session.execute(
            update(Weights)
            .where(col(Weights.tenant_id) == tenant_of(session), col(Weights.employee_id) == employee_id)
            .values(due_at=func.least(col(Weights.due_at), now))
        )
    return True


def _sat_for(session: Session, employee_id: UUID, purpose: Purpose | str) -> list[Sitting]:
    mine = (col(Sitting.tenant_id) == tenant_of(session), col(Sitting.employee_id) == employee_id)
    agreed = [one.given_at for one in consents.of(session, employee_id) if one.purpose == Purpose.DRAWN]

    def ordered_for(one: Sitting) -> Purpose:
        """Drawing had no purpose of its own before: what was ordered then rests on the one to headshots."""
        theirs = ways.purpose_of(one.recipe)
        before = theirs == Purpose.DRAWN and not any(at <= one.created_at for at in agreed)
        return Purpose.HEADSHOTS if before else theirs

    return [one for one in session.exec(select(Sitting).where(*mine)) if ordered_for(one) == purpose]


def _modelled(session: Session, employee_id: UUID) -> bool:
    mine = (col(Weights.tenant_id) == tenant_of(session), col(Weights.employee_id) == employee_id)
    return session.exec(select(Weights.id).where(*mine).limit(1)).first() is not None


def _made_in(session: Session, employee_id: UUID, sat: Collection[Sitting], now: datetime) -> list[Headshot]:
    """Whatever came of these sittings and is not due yet, also what the person has not been shown."""
    there = select(Headshot).where(
        col(Headshot.tenant_id) == tenant_of(session),
        col(Headshot.employee_id) == employee_id,
        col(Headshot.sitting_id).in_([one.id for one in sat]),
        col(Headshot.due_at) > now,
    )
    return list(session.exec(there.order_by(col(Headshot.id))))
