"""What the person said of headshots that are not them, and what follows for those that are made afterwards.

Such a headshot is deleted and never shown again. How like them the judge had found it stays with the person: whatever is
made for them from then on has to be liker than that. It is a number of one person and is asked for nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from batch.models import Headshot, NotMe, Release, Sitting
from batch.people import held
from batch.people.employees import EmployeeMissing
from batch.photos import decisions, photos, rejections
from batch.photos.photos import PhotoMissing
from batch.sittings import headshots
from batch.sittings.headshots import HeadshotMissing
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Gone
from likeness.ground.lanes import Lane
from likeness.jobs import held as waiting
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef, KeyUnavailable, SealBroken
from likeness.store.objects import Objects
from tenants import tenants

CONTEXT = "not-me/outside"

MARGIN = 0.035
"""By so much (one standard deviation, 168 looks at eight photographs of one person) the ratio of one and the same picture
moves with the two selfies that it is compared with: what is hardly liker than a headshot that was not them is as unlike."""
HIGHEST = 0.9
"""In the same looks 19 % of the person's own photographs lie under it, and of 26 people's 14 % under 0.85: a higher bar
would keep away what is right."""


def least_ratio(rejected: Collection[float], accepted: Collection[float]) -> float:
    """The likeness ratio that headshots must have from now on; 0 where nothing asks for one.

    It lies above every rejected one, but for those that the judge found as like the person as one they accepted: there the
    person sees what the measure does not, and it says nothing. Nothing that they accepted would be refused by it.
    """
    least = min(accepted, default=inf)
    told = [ratio for ratio in rejected if ratio < least]
    return min(max(told) + MARGIN, least, HIGHEST) if told else 0.0


@dataclass(frozen=True)
class RejectionEffects:
    """What saying "not me" of a headshot does, told before it is done."""

    keeps_away: bool
    """Nothing that is no liker passes afterwards. False where the judge cannot tell it from what is right."""
    photo: bool
    """It was cut from a photo that is here, which goes as well, with every other portrait that was cut from it."""
    portraits: int
    """Such other portraits."""


def bar(session: Session, employee_id: UUID) -> float:
    """For what is made for this person next."""
    return least_ratio(_rejected(session, employee_id), _accepted(session, employee_id))


@dataclass(frozen=True)
class RejectionsSaid:
    count: int
    """Headshots of which they said so, among those that the judge had measured."""
    keeps_away: bool
    """Nothing passes that is no liker than the likest of them."""


def told(session: Session, employee_id: UUID) -> RejectionsSaid:
    rejected = _rejected(session, employee_id)
    least = least_ratio(rejected, _accepted(session, employee_id))
    return RejectionsSaid(len(rejected), bool(rejected) and least > max(rejected))


def follows(session: Session, headshot: Headshot, now: datetime) -> RejectionEffects:
    ratio, person = headshot.likeness_ratio, headshot.employee_id
    accepted = _accepted(session, person, but=headshot.id)
    after = least_ratio([*_rejected(session, person), *([] if ratio is None else [ratio])], accepted)
    photo = headshot.photo_id is not None and _there(session, person, headshot.photo_id)
    return RejectionEffects(ratio is not None and ratio < after, photo, len(_beside(session, headshot, now)))


class TooLateToKeepHeadshot(Gone):
    """The ten seconds are over, or the headshot was kept already."""

    title = "This headshot can no longer be kept"


def reject_soon(session: Session, employee_id: UUID, headshot_id: UUID, now: datetime) -> None:
    """The person says that a headshot is not them. For ten seconds nothing is done, but that they see it no more, so that
    whoever touched the wrong place can keep it. Raises `HeadshotMissing`.
    """
    photos.hold(session, employee_id)
    headshot = headshots.get(session, employee_id, headshot_id, now)
    if headshot.id in hidden(session, employee_id, now):
        raise HeadshotMissing("There is no such headshot.")
    waiting.hold(session, let_go, [(str(employee_id), str(headshot.id))], now)
    _record(session, "headshot.leaving", employee_id, headshot.id)


def leaving(session: Session, employee_id: UUID, now: datetime) -> list[UUID]:
    """Headshots of which they said so within the last seconds, which they can keep."""
    return [UUID(headshot_id) for _, _, headshot_id in waiting.waiting(session, let_go, employee_id, now)]


def hidden(session: Session, employee_id: UUID, now: datetime) -> set[UUID]:
    """What they are not shown any more, although it is not deleted yet: these headshots, with all that goes with them."""
    found = set[UUID]()
    for _, _, headshot_id in waiting.undone(session, let_go, employee_id):
        with suppress(HeadshotMissing):
            headshot = headshots.get(session, employee_id, UUID(headshot_id), now)
            found |= {headshot.id, *(one.id for one in _beside(session, headshot, now))}
    return found


def keep(session: Session, employee_id: UUID, headshot_id: UUID, now: datetime) -> None:
    """It is them after all. Raises `TooLateToKeepHeadshot`."""
    photos.hold(session, employee_id)
    acts = [act for act, _, one in waiting.waiting(session, let_go, employee_id, now) if one == str(headshot_id)]
    try:
        for act in acts:
            waiting.call_off(session, let_go, UUID(act), now)
    except waiting.TooLateToTakeBack:
        acts = []
    if not acts:
        raise TooLateToKeepHeadshot("Its deletion has begun, or you have kept it already. Your page shows how it is now.")
    _record(session, "headshot.stays", employee_id, headshot_id)


def _record(session: Session, event: str, employee_id: UUID, headshot_id: UUID) -> None:
    ledger.record(session, event, caller=f"employee:{employee_id}", subject=employee_id, objects=[headshot_id])


@jobs.actor(lane=Lane.PRIVACY)
def let_go(attempt: jobs.Attempt, act: str, employee_id: str, headshot_id: str) -> None:
    """The ten seconds are over."""
    kernel = attempt.kernel
    with attempt.finishing() as session, suppress(EmployeeMissing, HeadshotMissing):
        reject(session, kernel.objects, kernel.keys, UUID(employee_id), UUID(headshot_id), utc_now())


def reject(
    session: Session, objects: Objects, keys: KeyFolder, employee_id: UUID, headshot_id: UUID, now: datetime
) -> None:
    """The person said that a headshot is not them: it is taken back and deleted for good, and the bar follows. One that
    was cut from a photo goes with that photo and with whatever else was cut from it, or the same would be made again.

    Raises `HeadshotMissing`.
    """
    photos.hold(session, employee_id)
    headshot = headshots.get(session, employee_id, headshot_id, now)
    note(session, headshot, now)
    rejections.count(session, rejections.NOT_ME, now)
    also = _beside(session, headshot, now)
    for one in (headshot, *also):
        facts = _sealed(keys, one)
        headshots.discard(session, objects, employee_id, one.id, now, event="headshot.not-me", facts=facts)
    if headshot.photo_id is not None:
        with suppress(PhotoMissing):
            decisions.remove(session, objects, employee_id, headshot.photo_id)


def note(session: Session, headshot: Headshot, at: datetime) -> None:
    """A studio portrait was compared with nothing, so there is nothing to keep of it."""
    if headshot.likeness_ratio is not None:
        session.add(
            NotMe(
                tenant_id=headshot.tenant_id,
                employee_id=headshot.employee_id,
                sitting_id=headshot.sitting_id,
                created_at=at,
                likeness_ratio=headshot.likeness_ratio,
            )
        )


def _sealed(keys: KeyFolder, headshot: Headshot) -> dict[str, str]:
    """What a restored database needs where the headshot came after the backup. It is kept outside the database, so it is
    sealed: with the person's key it is gone."""
    if headshot.likeness_ratio is None:
        return {}
    said = json.dumps([str(headshot.sitting_id), headshot.likeness_ratio]).encode()
    with suppress(Gone, KeyUnavailable):
        key = keys.open_or_create(_ref(headshot.tenant_id, headshot.employee_id))
        return {"sealed": key.seal(said, CONTEXT).hex()}
    return {}


def note_again(session: Session, keys: KeyFolder, employee_id: UUID, sealed: str, at: datetime) -> None:
    """After a restore that brought no such headshot back: it may be made again of the sitting that came back."""
    try:
        said = keys.open(_ref(tenant_of(session), employee_id)).open(bytes.fromhex(sealed), CONTEXT)
    except (Gone, KeyUnavailable, SealBroken, ValueError):
        return  # Deleted with everything else of the person, or lost: nobody is kept from starting by it.
    sitting_id, ratio = json.loads(said)
    mine = (col(Sitting.tenant_id) == tenant_of(session), col(Sitting.employee_id) == employee_id)
    sitting = session.exec(select(Sitting).where(*mine, col(Sitting.id) == UUID(sitting_id))).one_or_none()
    if sitting is not None:
        said_at: dict[str, Any] = {"created_at": at, "likeness_ratio": ratio}
        session.add(NotMe(tenant_id=sitting.tenant_id, employee_id=employee_id, sitting_id=sitting.id, **said_at))


def _ref(tenant: UUID, employee_id: UUID) -> KeyRef:
    return KeyRef(tenant, employee_id, KeyClass.LOG_DETAIL)


def end(session: Session, employee_id: UUID, sat: Collection[Sitting], now: datetime) -> None:
    """What was said of headshots of these sittings counts for nothing, once the person takes back what they were made for.
    It goes at once, or when the legal hold ends that keeps it."""
    session.execute(
        update(NotMe)
        .where(
            col(NotMe.tenant_id) == tenant_of(session),
            col(NotMe.employee_id) == employee_id,
            col(NotMe.sitting_id).in_([one.id for one in sat]),
            col(NotMe.ended_at).is_(None),
        )
        .values(ended_at=now)
    )
    _forget_ended(session, now)


@jobs.every(timedelta(minutes=5), deletes=True)
def forget_ended(kernel: Kernel, now: datetime) -> None:
    """What a legal hold kept, once it ends."""
    tenants.for_each(kernel, partial(_forget_ended, now=now))


def _forget_ended(session: Session, now: datetime) -> None:
    ended = (col(NotMe.tenant_id) == tenant_of(session), col(NotMe.ended_at).is_not(None))
    session.execute(delete(NotMe).where(*ended, held.free("not_me", KeyClass.HEADSHOT, now)))


def _rejected(session: Session, employee_id: UUID) -> Sequence[float]:
    mine = (col(NotMe.tenant_id) == tenant_of(session), col(NotMe.employee_id) == employee_id)
    return session.exec(select(NotMe.likeness_ratio).where(*mine, col(NotMe.ended_at).is_(None))).all()


def _accepted(session: Session, employee_id: UUID, but: UUID | None = None) -> list[float]:
    """Of the headshots that the person has released."""
    same = (col(Release.tenant_id) == col(Headshot.tenant_id)) & (col(Release.headshot_id) == col(Headshot.id))
    mine = (col(Headshot.tenant_id) == tenant_of(session), col(Headshot.employee_id) == employee_id)
    found = session.exec(select(Headshot.id, Headshot.likeness_ratio).join(Release, same).where(*mine)).all()
    return [ratio for headshot_id, ratio in found if ratio is not None and headshot_id != but]


def _there(session: Session, employee_id: UUID, photo_id: UUID) -> bool:
    try:
        photos.get(session, employee_id, photo_id)
    except PhotoMissing:
        return False
    return True


def _beside(session: Session, headshot: Headshot, now: datetime) -> list[Headshot]:
    """The other portraits that were cut from the same photo."""
    if headshot.photo_id is None:
        return []
    mine = headshots.of(session, headshot.employee_id, now, drafts=True)
    return [one for one in mine if one.photo_id == headshot.photo_id and one.id != headshot.id]
