"""Sittings: one fine-tune plus its renders for one employee, from the hand-in to the end.

A person has one active sitting at most; a partial unique index holds that. Every step is a guarded update: who changes
a sitting must hold the fence that the claim gave out, and zero rows changed means somebody else was first. A
cancellation raises the fence as well, so nothing of a cancelled run can be written afterwards.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from secrets import randbelow
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from batch import consents, copies, decisions, invitations, photos, ways
from batch.consents import ConsentMissing
from batch.models import ACTIVE, Consent, Employee, Photo, Sitting, SittingState
from likeness import ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import Conflict, NotFound, Unprocessable
from tenants import credits
from tenants.models import CUTOUT

FREE_RESHOOTS = 2
REFUND_AFTER_FAILURES = 3

STEPS: dict[SittingState, Collection[SittingState]] = {
    # Back to READY is a run that could not start or was lost before its first checkpoint.
    SittingState.TRAINING: (SittingState.RENDERING, SittingState.READY),
    SittingState.RENDERING: (SittingState.JUDGING, SittingState.READY),
    # Headshots that the judge refuses are rendered again.
    SittingState.JUDGING: (SittingState.RENDERING, SittingState.READY),
}
RUNNING = (SittingState.TRAINING, SittingState.RENDERING, SittingState.JUDGING)
REASON_LENGTH = 300


class SittingMissing(NotFound):
    """There is no such sitting, or it is somebody else's."""


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


class ReasonMissing(Unprocessable):
    title = "Say what was wrong with the headshots"


def reshoot(
    session: Session, employee_id: UUID, reason: str, now: datetime, recipe: str | None = None
) -> Sitting | None:
    """Another sitting, free twice. The headshots of the one before stay until one of the new ones is released.

    None when both free reshoots are used up: then the credit is refunded, and the headshots there are stay.
    Raises `ReasonMissing`, `ConsentMissing`, `NothingToReshoot`, `TooFewPhotos` and `WhoMissing`.
    """
    reason = reason.strip()[:REASON_LENGTH]
    if not reason:
        raise ReasonMissing("Please say in a few words what was wrong with the headshots.")
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
        reshoot_reason=reason,
    )
    return _begin(session, sitting, now)


def _begin(session: Session, sitting: Sitting, now: datetime) -> Sitting:
    sitting.created_at = sitting.changed_at = now
    session.add(sitting)
    session.flush()
    event = "sitting.reshot" if sitting.reshoot_of else "sitting.submitted"
    _record(session, event, sitting.employee_id, sitting.id, caller=f"employee:{sitting.employee_id}")
    return sitting


def latest_of(session: Session, employee_id: UUID) -> Sitting | None:
    return session.exec(
        select(Sitting)
        .where(col(Sitting.tenant_id) == tenant_of(session), col(Sitting.employee_id) == employee_id)
        .order_by(col(Sitting.created_at).desc())
        .limit(1)
    ).first()


def get(session: Session, sitting_id: UUID) -> Sitting:
    """Raises `SittingMissing`."""
    found = session.exec(
        select(Sitting).where(col(Sitting.tenant_id) == tenant_of(session), col(Sitting.id) == sitting_id)
    ).first()
    if found is None:
        raise SittingMissing("There is no such sitting.")
    return found


def ready(session: Session, limit: int, *, portraits: bool = False) -> list[Sitting]:
    """The tenant's sittings that wait for the cluster, oldest first; nobody restricted or without consent. Studio
    portraits need no GPU and are taken apart from those that train a model."""
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
                col(Sitting.recipe) == CUTOUT if portraits else col(Sitting.recipe) != CUTOUT,
                col(Employee.restricted_at).is_(None),
                agreed.exists(),
            )
            .order_by(col(Sitting.created_at))
            .limit(limit)
        )
    )


def photos_for(session: Session, sitting: Sitting) -> list[Photo]:
    """The accepted photos to train on, oldest first. Raises `ConsentMissing` once the consent was withdrawn."""
    if not consents.standing(session, sitting.employee_id):
        raise ConsentMissing("The consent was withdrawn.")
    return photos.accepted(session, sitting.employee_id)


def claim(session: Session, sitting_id: UUID, now: datetime, *, lost: int | None = None) -> int | None:
    """Takes a ready sitting for a run and returns the fence to write with; None when somebody else was first.

    `lost` is the fence of a run whose heartbeat stopped: its sitting is taken over, and whatever the lost run still
    writes is refused.
    """
    held = [col(Sitting.state) == SittingState.READY]
    if lost is not None:
        held = [col(Sitting.state).in_(RUNNING), col(Sitting.fence) == lost]
    claimed = session.execute(
        update(Sitting)
        .where(col(Sitting.tenant_id) == tenant_of(session), col(Sitting.id) == sitting_id, *held)
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


def finish(session: Session, sitting_id: UUID, fence: int) -> bool:
    """The headshots are kept and the person may choose; False when the sitting is no longer ours."""
    employee_id = _step(session, sitting_id, fence, RUNNING, state=SittingState.DONE)
    if employee_id is None:
        return False
    _record(session, "sitting.done", employee_id, sitting_id)
    invitations.tell_ready(session, employee_id, utc_now())
    return True


def fail(session: Session, sitting_id: UUID, fence: int, reason: str) -> bool:
    """Ends a sitting without headshots; `reason` is plain words of the program. A third failure refunds the credit."""
    employee_id = _step(session, sitting_id, fence, RUNNING, state=SittingState.FAILED, failure=reason[:REASON_LENGTH])
    if employee_id is None:
        return False
    _record(session, "sitting.failed", employee_id, sitting_id)
    if _count(session, employee_id, SittingState.FAILED) >= REFUND_AFTER_FAILURES:
        credits.refund(session, employee_id)
    return True


def cancel(session: Session, employee_id: UUID) -> int:
    """Ends whatever is under way for this person and returns how many sittings that were; the cluster stops by itself.

    A credit that paid for no headshots goes back to the company.
    """
    ended = session.execute(
        update(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.employee_id) == employee_id,
            col(Sitting.state).in_(ACTIVE),
        )
        .values(state=SittingState.CANCELLED, fence=col(Sitting.fence) + 1, changed_at=func.now())
        .returning(col(Sitting.id))
    ).all()
    for row in ended:
        _record(session, "sitting.cancelled", employee_id, row.id)
    if ended and not _count(session, employee_id, SittingState.DONE):
        credits.release(session, employee_id)
    return len(ended)


def withdraw(session: Session, employee_id: UUID, now: datetime) -> int:
    """Takes the consent back and ends what is under way; returns how many sittings were ended.

    What the person handed in is erased from here on by whoever watches for withdrawn consents.
    """
    photos.hold(session, employee_id)
    ended = cancel(session, employee_id)
    copies.take_all_back(session, employee_id, now)
    consents.withdraw(session, employee_id, now)
    return ended


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
    raise TooFewPhotos(f"{count} of your photos are accepted and {needed} are needed. Please add some more.")


def _count(session: Session, employee_id: UUID, state: SittingState) -> int:
    return session.exec(
        select(func.count())
        .select_from(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.employee_id) == employee_id,
            col(Sitting.state) == state,
        )
    ).one()


def _reshoots(session: Session, employee_id: UUID) -> int:
    """Those that were cancelled gave nothing and do not count."""
    return session.exec(
        select(func.count())
        .select_from(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.employee_id) == employee_id,
            col(Sitting.reshoot_of).is_not(None),
            col(Sitting.state) != SittingState.CANCELLED,
        )
    ).one()


def _record(session: Session, event: str, employee_id: UUID, about: UUID, *, caller: str = ledger.SYSTEM) -> None:
    ledger.record(session, event, caller=caller, subject=employee_id, objects=[about])


def _seed() -> int:
    return randbelow(2**31)
