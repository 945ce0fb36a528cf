"""What the company says of released headshots before it uses them, where it has chosen to.

It approves one, or asks for another picture for a reason from a short list: about the picture and never about the person,
and nobody writes a word. The person changes it, releases another, has them made again, or keeps it as it is; then it stands
as released, and nobody asks again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.models import Employee, Headshot, Release
from batch.people import employees
from batch.photos import photos, rejections
from batch.sittings import headshots
from batch.sittings.headshots import HeadshotMissing, Released
from batch.visit import invitations
from likeness import ledger
from likeness.ground.db import oldest_first
from likeness.ground.errors import Conflict, Unprocessable
from likeness.keys.keys import KeyFolder
from likeness.locale.marks import N_
from tenants import tenants
from tenants.webhooks.events import Event

REASONS: Mapping[str, str] = {
    "crop": N_("The crop does not fit your company's pictures."),
    "backdrop": N_("The backdrop is not one that your company uses."),
    "expression": N_("Your company's guide asks for another expression."),
    "glare": N_("Light is reflected in the glasses."),
    "dress": N_("The clothes are not as your company's dress code is now."),
    "quality": N_("The picture is not sharp or not bright enough."),
}
"""What the person reads. There is none about body, skin, hair, health or religion, and no free text."""


class Approval(StrEnum):
    """Of a released headshot, where the company approves them."""

    WAITING = "waiting"
    APPROVED = "approved"
    RETURNED = "returned"
    """Another picture was asked for, and the person has not answered."""
    KEPT = "kept"
    """The person keeps it as it is; the company may still approve it."""


class NotApproving(Conflict):
    """The company uses what is released as it is."""

    title = "Your company does not approve headshots"


class AskedAlready(Conflict):
    """Approved ones stay, and nobody is asked twice about one picture."""

    title = "Another picture cannot be asked for"


class NoReason(Unprocessable):
    title = "Choose a reason from the list"


def of(release: Release) -> Approval:
    if release.approved_at is not None:
        return Approval.APPROVED
    if release.returned_at is None:
        return Approval.WAITING
    return Approval.KEPT if release.kept_at is not None else Approval.RETURNED


def waiting(
    session: Session, now: datetime, most: int, *, answered: bool = False, after: tuple[datetime, UUID] | None = None
) -> list[Released]:
    """What HR has not said anything of, oldest first; those `after` a moment and a headshot. `answered` are the ones about
    which it has asked, and that it has not approved since."""
    which = col(Release.returned_at).is_not(None) if answered else col(Release.returned_at).is_(None)
    query = headshots.joined(select(Release, Headshot, Employee), session, None, now)
    query = query.where(col(Release.approved_at).is_(None), which)
    in_turn = oldest_first(query, col(Release.at), col(Headshot.shelf_id), most, after)
    return [Released(*row) for row in session.exec(in_turn)]


def count(session: Session, now: datetime) -> int:
    """How many wait for HR; 0 where the company does not approve."""
    if not tenants.get(session).approves:
        return 0
    waits = (col(Release.approved_at).is_(None), col(Release.returned_at).is_(None))
    return int(session.execute(headshots.joined(select(func.count()), session, None, now).where(*waits)).scalar_one())


def approve(session: Session, shelf_ids: Collection[UUID], now: datetime, *, caller: str) -> int:
    """All of these or, when one is not there any more, none. Returns how many were not approved before.

    Raises `NotApproving` and `HeadshotMissing`.
    """
    _check(session)
    fresh = [one for one in _chosen(session, shelf_ids, now) if one.release.approved_at is None]
    for one in fresh:
        if of(one.release) == Approval.WAITING:
            rejections.count(session, rejections.LOOKED_AT_BY_HR, now)
        one.release.approved_at = now
        session.add(one.release)
        ledger.record(session, "release.approved", caller=caller, subject=one.employee.id, objects=[one.headshot.id])
        employees.tell_programs(
            session, Event.HEADSHOT_APPROVED, one.employee.id, now, headshot_id=one.headshot.shelf_id
        )
    session.flush()
    return len(fresh)


def ask_for_another(
    session: Session, keys: KeyFolder, shelf_id: UUID, reason: str, now: datetime, *, caller: str
) -> None:
    """The person gets a mail, and reads the reason on their page in their language.

    Raises `NotApproving`, `NoReason`, `HeadshotMissing` and `AskedAlready`.
    """
    _check(session)
    if reason not in REASONS:
        raise NoReason("Choose one of: {names}.", names=", ".join(REASONS))
    (one,) = _chosen(session, [shelf_id], now)
    if of(one.release) != Approval.WAITING:
        raise AskedAlready("It is approved, or its owner was asked about it. You can approve it, or leave it.")
    one.release.returned_at, one.release.returned_for = now, reason
    session.add(one.release)
    session.flush()
    rejections.count(session, rejections.LOOKED_AT_BY_HR, now)
    rejections.count(session, f"{rejections.ANOTHER}{reason}", now)
    ledger.record(
        session, "release.returned", caller=caller, subject=one.employee.id, objects=[one.headshot.id],
        detail=(keys, {"reason": reason}),
    )  # fmt: skip
    invitations.tell(session, one.employee.id, "another", now)


def keep(session: Session, employee_id: UUID, headshot_id: UUID, now: datetime) -> None:
    """The person keeps what they released. Raises `HeadshotMissing`."""
    photos.hold(session, employee_id)
    mine = headshots.releases(session, employee_id)
    release = next((one for one in mine if one.headshot_id == headshot_id and of(one) == Approval.RETURNED), None)
    if release is None:
        raise HeadshotMissing("Nobody asked for another picture in its place.")
    release.kept_at = now
    session.add(release)
    session.flush()
    ledger.record(
        session, "release.kept", caller=f"employee:{employee_id}", subject=employee_id, objects=[headshot_id]
    )


@dataclass(frozen=True)
class AnotherAsked:
    """Another picture was asked for in the place of this one."""

    headshot: Headshot
    at: datetime
    reason: str


def asked_of(session: Session, employee_id: UUID, now: datetime) -> list[AnotherAsked]:
    """What this person has not answered yet."""
    mine = {one.id: one for one in headshots.of(session, employee_id, now)}
    return [
        AnotherAsked(mine[one.headshot_id], one.returned_at, REASONS[one.returned_for])
        for one in headshots.releases(session, employee_id)
        if one.headshot_id in mine and of(one) == Approval.RETURNED and one.returned_at and one.returned_for
    ]


def _check(session: Session) -> None:
    if not tenants.get(session).approves:
        raise NotApproving("What people release is used as it is. An owner or HR can change that in the settings.")


def _chosen(session: Session, shelf_ids: Collection[UUID], now: datetime) -> Sequence[Released]:
    query = headshots.joined(select(Release, Headshot, Employee), session, None, now)
    chosen = query.where(col(Headshot.shelf_id).in_(shelf_ids)).with_for_update(of=Release)
    found = [Released(*row) for row in session.exec(chosen)]
    if not found or {one.headshot.shelf_id for one in found} != set(shelf_ids):
        raise HeadshotMissing("There is no such headshot. Its owner may have taken it back.")
    return found
