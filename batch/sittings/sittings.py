"""Sittings: one fine-tune plus its renders for one employee, from the hand-in to the end.

A person has one active sitting at most; a partial unique index holds that. Every step is a guarded update: who changes
a sitting must hold the fence that the claim gave out, and zero rows changed means somebody else was first. A
cancellation raises the fence as well, so nothing of a cancelled run can be written afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from secrets import randbelow
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, update
from sqlmodel import Session, col, select

from batch.models import ACTIVE, Consent, Employee, Photo, Sitting, SittingState
from batch.people import department_looks, employees, ways
from batch.photos import decisions, photos
from batch.sittings import copies
from batch.visit import consents, invitations
from batch.visit.consents import ConsentMissing
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Conflict, Unprocessable
from likeness.locale.marks import N_
from tenants import credits, suspension
from tenants.models import CUTOUT
from tenants.webhooks.events import Event

FREE_RESHOOTS = 2
REFUND_AFTER_FAILURES = 3

STEPS: dict[SittingState, Collection[SittingState]] = {
    # Back to READY is a run that could not start or was lost before its first checkpoint.
    SittingState.TRAINING: (SittingState.RENDERING, SittingState.READY),
    # Headshots are judged beside the rendering, and what the judge refuses is rendered again.
    SittingState.RENDERING: (SittingState.READY,),
}
RUNNING = (SittingState.TRAINING, SittingState.RENDERING)
REASON_LENGTH = 300
NOT_MADE_HERE = N_("The way of making headshots that you chose is not available here any more. Nothing was made.")
NOTHING: Mapping[UUID, str] = MappingProxyType({})


class RecipeNotOffered(Unprocessable):
    """The company does not offer this way of making headshots, or the person did not agree to it."""

    title = "Choose how your headshots are made"


class TooFewPhotos(Conflict):
    """A sitting starts from six accepted photos, a studio portrait from one."""

    title = "More photos are needed"


class AlreadyDone(Conflict):
    """The person has their headshots; another set is a reshoot."""

    title = "Your headshots are made already"


def submit(session: Session, employee_id: UUID, now: datetime, recipe: str | None = None) -> Sitting:
    """Hands the photos in: a sitting that is ready for the cluster. Handing in twice gives the same sitting.

    Without a recipe it is the company's first that the person agreed to and that has enough photos.
    Raises `ConsentMissing`, `RecipeNotOffered`, `TooFewPhotos`, `WhoMissing`, `AlreadyDone` and, when the company has
    none left, `NoCredits`.
    """
    suspension.check(session)
    photos.permitted(session, employee_id)
    latest = latest_of(session, employee_id)
    if latest and latest.state in ACTIVE:
        return latest
    if latest and latest.state == SittingState.DONE:
        raise AlreadyDone("Your headshots are made. If none of them is you, ask for a reshoot.")
    chosen = _enough_photos(session, employee_id, now, recipe)
    credits.reserve(session, employee_id)
    sitting = Sitting(tenant_id=tenant_of(session), employee_id=employee_id, seed=_seed(), recipe=chosen)
    return _begin(session, sitting, now)


class NothingToReshoot(Conflict):
    """A reshoot follows a sitting that ended."""

    title = "There is nothing to take again yet"


def reshoot(
    session: Session, employee_id: UUID, now: datetime, recipe: str | None = None
) -> Sitting | None:
    """Another sitting, free twice. The headshots of the one before stay until one of the new ones is released.

    None when both free reshoots are used up: then the credit is refunded, and the headshots there are stay.
    Raises `ConsentMissing`, `NothingToReshoot`, `TooFewPhotos` and `WhoMissing`.
    """
    suspension.check(session)
    photos.permitted(session, employee_id)
    latest = latest_of(session, employee_id)
    if latest and latest.state in ACTIVE and latest.reshoot_of:
        return latest
    if latest is None or latest.state not in (SittingState.DONE, SittingState.FAILED):
        raise NothingToReshoot("Your headshots are not finished yet. You can ask for a reshoot once they are.")
    if _reshoots(session, employee_id) >= FREE_RESHOOTS:
        credits.refund(session, employee_id)
        return None
    chosen = _enough_photos(session, employee_id, now, recipe)
    sitting = Sitting(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        seed=_seed(),
        recipe=chosen,
        reshoot_of=latest.id,
    )
    return _begin(session, sitting, now)


def _begin(session: Session, sitting: Sitting, now: datetime) -> Sitting:
    choose_looks(session, sitting)
    sitting.created_at = sitting.changed_at = now
    session.add(sitting)
    session.flush()
    event = "sitting.reshot" if sitting.reshoot_of else "sitting.submitted"
    _record(session, event, sitting.employee_id, sitting.id, caller=f"employee:{sitting.employee_id}")
    return sitting


def choose_looks(session: Session, sitting: Sitting) -> None:
    """Those that the person gets at this moment, and keeps from then on."""
    person = employees.get(session, sitting.employee_id)
    sitting.looks = [look.id for look in department_looks.meant_for(session, person)]


def latest_of(session: Session, employee_id: UUID) -> Sitting | None:
    return session.exec(
        select(Sitting)
        .where(col(Sitting.tenant_id) == tenant_of(session), col(Sitting.employee_id) == employee_id)
        .order_by(col(Sitting.created_at).desc())
        .limit(1)
    ).first()


def ready(session: Session, limit: int, recipe: str) -> list[Sitting]:
    """The tenant's sittings that wait to be made by this recipe, oldest first; nobody restricted or without consent."""
    agreed = select(Consent.id).where(
        col(Consent.tenant_id) == col(Sitting.tenant_id),
        col(Consent.employee_id) == col(Sitting.employee_id),
        col(Consent.withdrawn_at).is_(None),
    )
    return list(
        session.exec(
            select(Sitting)
            .join(
                Employee,
                (col(Employee.tenant_id) == col(Sitting.tenant_id)) & (col(Employee.id) == col(Sitting.employee_id)),
            )
            .where(
                col(Sitting.tenant_id) == tenant_of(session),
                col(Sitting.state) == SittingState.READY,
                col(Sitting.recipe) == recipe,
                col(Employee.restricted_at).is_(None),
                agreed.exists(),
            )
            .order_by(col(Sitting.created_at))
            .limit(limit)
        )
    )


@dataclass(frozen=True)
class InLine:
    """Counts of the tenant's sittings; `oldest` is how long the first that waits has waited, in seconds."""

    waiting: int
    running: int
    oldest: float


def in_line(session: Session, now: datetime) -> InLine:
    mine = col(Sitting.tenant_id) == tenant_of(session)
    first = select(func.count(), func.min(Sitting.created_at)).where(mine, col(Sitting.state) == SittingState.READY)
    waiting, since = session.execute(first).one()
    running = select(func.count()).select_from(Sitting).where(mine, col(Sitting.state).in_(RUNNING))
    return InLine(waiting, session.exec(running).one(), (now - since).total_seconds() if since else 0.0)


def photos_for(session: Session, sitting: Sitting) -> list[Photo]:
    """The accepted photos to make it of, oldest first. Raises `ConsentMissing` unless the person agreed to what its recipe
    does, and did not take that back."""
    if ways.purpose_of(sitting.recipe) not in consents.standing(session, sitting.employee_id):
        raise ConsentMissing("There is no consent to this way of making headshots.")
    return photos.accepted(session, sitting.employee_id)


def claim(session: Session, sitting_id: UUID, now: datetime) -> int | None:
    """Takes a ready sitting for a run and returns the fence to write with; None when somebody else was first.

    Whatever an earlier run still writes is refused.
    """
    claimed = session.execute(
        update(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.id) == sitting_id,
            col(Sitting.state) == SittingState.READY,
        )
        .values(state=SittingState.TRAINING, fence=col(Sitting.fence) + 1, changed_at=now)
        .returning(col(Sitting.fence), col(Sitting.employee_id))
    ).first()
    if claimed is None:
        return None
    _record(session, "sitting.claimed", claimed.employee_id, sitting_id)
    fence: int = claimed.fence
    return fence


def advance(session: Session, sitting_id: UUID, fence: int, from_: SittingState, to: SittingState) -> bool:
    """One step on the cluster; False when the sitting is no longer ours or no longer in that state."""
    if to not in STEPS.get(from_, ()):
        raise ValueError(f"a sitting does not go from {from_} to {to}")
    return _step(session, sitting_id, fence, (from_,), state=to) is not None


def finish(
    session: Session,
    sitting_id: UUID,
    fence: int,
    missed: Mapping[UUID, str] = NOTHING,
    unused: Mapping[UUID, str] = NOTHING,
) -> bool:
    """The headshots are kept and the person may choose; False when the sitting is no longer ours.

    `missed` are the looks of which there are none, `unused` the photos that nothing came of, each with what was wrong.
    """
    ended = {"state": SittingState.DONE, "missed": _named(missed), "unused": _named(unused)}
    employee_id = _step(session, sitting_id, fence, RUNNING, **ended)
    if employee_id is None:
        return False
    _record(session, "sitting.done", employee_id, sitting_id)
    credits.charge(session, employee_id)
    invitations.tell(session, employee_id, "ready", utc_now())
    employees.tell_programs(session, Event.HEADSHOTS_READY, employee_id, utc_now())
    return True


def fail(
    session: Session,
    sitting_id: UUID,
    fence: int,
    reason: str,
    missed: Mapping[UUID, str] = NOTHING,
    unused: Mapping[UUID, str] = NOTHING,
) -> bool:
    """Ends a sitting without headshots; `reason` is plain words of the program. A third failure refunds the credit."""
    ended = {
        "state": SittingState.FAILED, "failure": reason[:REASON_LENGTH], "missed": _named(missed),
        "unused": _named(unused),
    }  # fmt: skip
    employee_id = _step(session, sitting_id, fence, RUNNING, **ended)
    if employee_id is None:
        return False
    _record(session, "sitting.failed", employee_id, sitting_id)
    # Whoever closed the page was told that a mail comes.
    invitations.tell(session, employee_id, "failed", utc_now())
    if _count(session, employee_id, col(Sitting.state) == SittingState.FAILED) >= REFUND_AFTER_FAILURES:
        credits.refund(session, employee_id)
    return True


def cancel(session: Session, employee_id: UUID, *, give_back: bool = True) -> int:
    """Ends whatever is under way for this person and returns how many sittings that were.

    A credit that paid for no headshots goes back to the company.
    """
    ended = consents.end_sittings(session, employee_id)
    if give_back and ended and not _count(session, employee_id, col(Sitting.state) == SittingState.DONE):
        credits.release(session, employee_id)
    return ended


def turn_away(session: Session, base: str) -> list[UUID]:
    """Ends what waits for another base than the one there is, and returns these sittings: each is made with what its
    person agreed to or not at all. They keep their photos and are mailed and read why; a credit that paid for nothing goes
    back."""
    ended = session.execute(
        update(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.state) == SittingState.READY,
            col(Sitting.recipe).not_in((CUTOUT, base)),
        )
        .values(
            state=SittingState.CANCELLED, failure=NOT_MADE_HERE, fence=col(Sitting.fence) + 1, changed_at=func.now()
        )
        .returning(col(Sitting.id), col(Sitting.employee_id))
    ).all()
    for row in ended:
        _record(session, "sitting.cancelled", row.employee_id, row.id)
        if not _count(session, row.employee_id, col(Sitting.state) == SittingState.DONE):
            credits.release(session, row.employee_id)
        invitations.tell(session, row.employee_id, "not-made", utc_now())
    return [row.id for row in ended]


def withdraw(session: Session, employee_id: UUID, now: datetime) -> int:
    """Takes the consent back and ends what is under way; returns how many sittings were ended.

    What the person handed in is erased from here on by whoever watches for withdrawn consents.
    """
    photos.hold(session, employee_id)
    # Whether its credit comes back now or when the invitation ends is decided with the consent.
    ended = cancel(session, employee_id, give_back=False)
    copies.take_all_back(session, employee_id, now)
    consents.withdraw(session, employee_id, now)
    return ended


def _named(found: Mapping[UUID, str]) -> dict[str, str]:
    return {str(one): name for one, name in found.items()}


def _step(session: Session, sitting_id: UUID, fence: int, states: Collection[str], **values: Any) -> UUID | None:
    """Whose sitting it was, None when nothing changed."""
    changed = session.execute(
        update(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.id) == sitting_id,
            col(Sitting.fence) == fence,
            col(Sitting.state).in_(states),
        )
        .values(changed_at=func.now(), **values)
        .returning(col(Sitting.employee_id))
    ).first()
    employee_id: UUID | None = changed.employee_id if changed else None
    return employee_id


def _enough_photos(session: Session, employee_id: UUID, now: datetime, recipe: str | None) -> str:
    """The recipe of the sitting that begins."""
    agreed = consents.recipes(session, employee_id)
    if recipe is not None:
        if recipe not in agreed:
            raise RecipeNotOffered("Your company does not offer this, or you have not agreed to it.")
        agreed = [recipe]
    # A photo whose time is up is gone for the person, also when the sweep has not come by yet.
    count = sum(photo.due_at > now for photo in photos.accepted(session, employee_id))
    for one in agreed:
        if count >= ways.photos_for(one).needed:
            decisions.hand_over(session, employee_id)
            return one
    needed = min((ways.photos_for(one).needed for one in agreed), default=ways.MODEL.needed)
    raise TooFewPhotos(
        "Accepted so far: {count}; needed: {needed}. Please add some more.", count=count, needed=needed
    )


def _count(session: Session, employee_id: UUID, *which: ColumnElement[bool]) -> int:
    mine = (col(Sitting.tenant_id) == tenant_of(session), col(Sitting.employee_id) == employee_id)
    return session.exec(select(func.count()).select_from(Sitting).where(*mine, *which)).one()


def _reshoots(session: Session, employee_id: UUID) -> int:
    """Those that were cancelled gave nothing and do not count."""
    given = (col(Sitting.reshoot_of).is_not(None), col(Sitting.state) != SittingState.CANCELLED)
    return _count(session, employee_id, *given)


def _record(session: Session, event: str, employee_id: UUID, about: UUID, *, caller: str = ledger.SYSTEM) -> None:
    ledger.record(session, event, caller=caller, subject=employee_id, objects=[about])


def _seed() -> int:
    return randbelow(2**31)
