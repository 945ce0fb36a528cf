"""Headshots: what passed the judge, the person's choice among them, and what they release to HR.

Until a headshot is released only its owner knows of it: for HR it does not exist. A headshot whose time is up is gone
for everybody at that minute, also when the sweep that deletes it comes later.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, true, update
from sqlmodel import Session, col, select

from batch.marks import credential
from batch.models import Employee, Headshot, Release, Sitting, SittingState
from batch.people import departments, employees, held
from batch.photos import photos, rejections
from batch.sittings import copies, framing
from batch.vision.presets import PRESETS
from batch.visit import consents
from likeness import ledger
from likeness.ground.db import after_commit, oldest_first, rows_of, tenant_of
from likeness.ground.errors import NotFound, Unprocessable
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import Objects
from tenants import tenants
from tenants.webhooks.events import Event

MOST_RELEASED = 100
"""In one request; a person has about a dozen."""


class HeadshotMissing(NotFound):
    """There is no such headshot, or it is somebody else's, or it was not released."""

    title = "There is no such headshot"


def record(
    session: Session,
    sitting_id: UUID,
    employee_id: UUID,
    *,
    look_id: UUID,
    number: int,
    path: str,
    size: int,
    likeness_ratio: float | None,
    now: datetime,
    question: str | None = None,
    loosening: float | None = None,
    photo_id: UUID | None = None,
) -> Headshot:
    """The row of an object that a run has written; its last day is set here."""
    headshot = Headshot(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        sitting_id=sitting_id,
        look_id=look_id,
        number=number,
        path=path,
        bytes=size,
        likeness_ratio=likeness_ratio,
        question=question,
        loosening=loosening,
        photo_id=photo_id,
        created_at=now,
        due_at=now + timedelta(days=tenants.get(session).headshot_days),
    )
    session.add(headshot)
    framing.loosen(session, loosening)
    session.flush()
    ledger.record(session, "headshot.kept", subject=employee_id, objects=[headshot.id])
    rejections.count(session, rejections.SHOWN, now)
    return headshot


def _ref(tenant: UUID, employee_id: UUID) -> KeyRef:
    return KeyRef(tenant, employee_id, KeyClass.HEADSHOT)


def of(session: Session, employee_id: UUID, now: datetime, *, drafts: bool = False) -> list[Headshot]:
    """The person's headshots, those of the newest sitting first, the likest first; never those of one under way, and an
    edit that was not kept only with `drafts`."""
    return list(
        session.exec(
            select(Headshot)
            .join(
                Sitting,
                (col(Sitting.tenant_id) == col(Headshot.tenant_id)) & (col(Sitting.id) == col(Headshot.sitting_id)),
            )
            .where(
                col(Headshot.tenant_id) == tenant_of(session),
                col(Headshot.employee_id) == employee_id,
                col(Headshot.due_at) > now,
                true() if drafts else col(Headshot.draft).is_(False),
                col(Sitting.state) == SittingState.DONE,
            )
            .order_by(col(Sitting.created_at).desc(), col(Headshot.likeness_ratio).desc(), col(Headshot.number))
        )
    )


def get(session: Session, employee_id: UUID, headshot_id: UUID, now: datetime, *, drafts: bool = False) -> Headshot:
    """Raises `HeadshotMissing`."""
    mine = of(session, employee_id, now, drafts=drafts)
    headshot = next((found for found in mine if found.id == headshot_id), None)
    if headshot is None:
        raise HeadshotMissing("There is no such headshot.")
    return headshot


def picture(kernel: Kernel, tenant: UUID, employee_id: UUID, headshot_id: UUID, now: datetime) -> bytes:
    """For its owner. Raises `HeadshotMissing`."""
    with kernel.db.transaction(tenant) as session:
        headshot = get(session, employee_id, headshot_id, now)
        loosened = framing.of_company(session)
    return square(kernel, headshot, loosened)


def opened(kernel: Kernel, headshot: Headshot) -> bytes:
    """The picture as it is kept, of a headshot that the caller may see."""
    return kernel.objects.get(headshot.path, kernel.keys.open(_ref(headshot.tenant_id, headshot.employee_id)))


def kind(picture: bytes) -> str:
    """The file's ending: `png`, `webp` or `jpg`."""
    if picture[:4] == b"RIFF" and picture[8:12] == b"WEBP":
        return "webp"
    return "jpg" if picture[:2] == b"\xff\xd8" else "png"


def favourite(
    session: Session, employee_id: UUID, headshot_id: UUID, now: datetime, *, chosen: bool = True
) -> Headshot:
    """Marks a headshot, for the person's own eyes; releasing is another act. Raises `HeadshotMissing`."""
    headshot = get(session, employee_id, headshot_id, now)
    if chosen != (headshot.favourite_at is not None):
        headshot.favourite_at = now if chosen else None
        session.add(headshot)
        _record(session, "headshot.marked" if chosen else "headshot.unmarked", employee_id, headshot_id)
    return headshot


def discard(
    session: Session,
    objects: Objects,
    employee_id: UUID,
    headshot_id: UUID,
    now: datetime,
    *,
    event: str = "headshot.removed",
    facts: Mapping[str, str] | None = None,
) -> None:
    """The person deletes one headshot for good: it is taken back first, and its object goes once this is committed. One
    that a legal hold keeps is due: nobody sees or uses it from now on, and it goes when the hold ends.

    Raises `HeadshotMissing`.
    """
    photos.hold(session, employee_id)
    headshot = get(session, employee_id, headshot_id, now, drafts=True)
    if any(given.headshot_id == headshot_id for given in releases(session, employee_id)):
        unrelease(session, employee_id, headshot_id, now)
    if held.covers(session, "headshot", headshot_id, now):
        headshot.due_at = now
        session.add(headshot)
    else:
        path = headshot.path
        session.delete(headshot)
        after_commit(session, lambda: objects.delete(path))
    session.flush()
    _record(session, event, employee_id, headshot_id, facts)


class NothingToRelease(Unprocessable):
    title = "Choose at least one headshot"


def check_agreed(session: Session, employee_id: UUID) -> None:
    """Whoever withdrew hands nothing over, also until what they had is deleted. Raises `ConsentMissing`."""
    if not consents.standing(session, employee_id):
        raise consents.ConsentMissing("You have withdrawn your consent, so nothing is handed over.")


def release(
    session: Session, employee_id: UUID, headshot_ids: Collection[UUID], now: datetime, *, first: Collection[UUID] = ()
) -> list[Release]:
    """The person gives these headshots to HR: all of them or, when one is not theirs, none. Safe to repeat. What is to
    stand `first` counts as released last, because a directory shows that.

    Releasing one of a reshoot accepts it: what was not released of the sittings before is deleted. An edit takes the place
    of the one that it was made of, which is taken back, and so is what the company asked to have changed.
    Raises `NothingToRelease`, `HeadshotMissing` and `ConsentMissing`.
    """
    if not 0 < len(headshot_ids) <= MOST_RELEASED:
        raise NothingToRelease("Please choose between 1 and {n} headshots.", n=MOST_RELEASED)
    photos.hold(session, employee_id)
    mine = {headshot.id: headshot for headshot in of(session, employee_id, now)}
    chosen = set(headshot_ids)
    if not chosen <= mine.keys():
        raise HeadshotMissing("There is no such headshot.")
    check_agreed(session, employee_id)
    given = {release.headshot_id: release for release in releases(session, employee_id)}
    for headshot_id in sorted(chosen - given.keys()):
        release = Release(tenant_id=tenant_of(session), employee_id=employee_id, headshot_id=headshot_id, at=now)
        if headshot_id in first:
            release.at += timedelta(microseconds=1)
        copies.give_again(session, release)
        session.add(release)
        given[headshot_id] = release
        _record(session, "release.given", employee_id, headshot_id)
        number = mine[headshot_id].shelf_id
        employees.tell_programs(session, Event.HEADSHOT_RELEASED, employee_id, now, headshot_id=number)
    session.flush()
    returned = {one.headshot_id for one in given.values() if one.returned_at and not (one.approved_at or one.kept_at)}
    replaced = {one for headshot_id in chosen if (one := mine[headshot_id].edit_of) in given} - chosen
    for headshot_id in replaced | (returned - chosen):
        unrelease(session, employee_id, headshot_id, now)
    _retire(session, employee_id, {mine[headshot_id].sitting_id for headshot_id in chosen}, replaced, now)
    return [given[headshot_id] for headshot_id in sorted(chosen)]


def _retire(
    session: Session, employee_id: UUID, accepted: Collection[UUID], replaced: Collection[UUID], now: datetime
) -> None:
    """What is not released of the sittings before an accepted one is due now, and so is what an edit replaced; the
    retention sweep deletes it."""
    order = list(
        session.exec(
            select(Sitting.id)
            .where(col(Sitting.tenant_id) == tenant_of(session), col(Sitting.employee_id) == employee_id)
            .order_by(col(Sitting.created_at))
        )
    )
    before = order[: max(order.index(sitting_id) for sitting_id in accepted)]
    released = select(Release.headshot_id).where(col(Release.tenant_id) == tenant_of(session))
    retired = session.execute(
        update(Headshot)
        .where(
            col(Headshot.tenant_id) == tenant_of(session),
            col(Headshot.employee_id) == employee_id,
            col(Headshot.sitting_id).in_(before) | col(Headshot.id).in_(replaced),
            col(Headshot.id).not_in(released),
            col(Headshot.due_at) > now,
        )
        .values(due_at=now)
        .returning(col(Headshot.id))
    ).all()
    for row in retired:
        _record(session, "headshot.retired", employee_id, row.id)


def unrelease(session: Session, employee_id: UUID, headshot_id: UUID, now: datetime) -> None:
    """Takes a headshot back from HR, which is asked to delete a copy that it has downloaded. Raises `HeadshotMissing`."""
    photos.hold(session, employee_id)
    release = next((found for found in releases(session, employee_id) if found.headshot_id == headshot_id), None)
    if release is None:
        raise HeadshotMissing("This headshot is not released.")
    copies.ask_back(session, release, now)
    session.delete(release)
    session.flush()
    _record(session, "release.taken-back", employee_id, headshot_id)
    number = copies.shelf_ids(session, employee_id)[headshot_id]
    employees.tell_programs(session, Event.HEADSHOT_TAKEN_BACK, employee_id, now, headshot_id=number)


def releases(session: Session, employee_id: UUID) -> list[Release]:
    """What this person has released, oldest first."""
    return rows_of(session, Release, col(Release.employee_id) == employee_id, by=col(Release.at))


@dataclass(frozen=True)
class Released:
    """One headshot that HR may have."""

    release: Release
    headshot: Headshot
    employee: Employee


def released(
    session: Session,
    batch_id: UUID | None,
    now: datetime,
    *,
    employee_ids: Collection[UUID] = (),
    shelf_id: UUID | None = None,
    people: Collection[UUID] = (),
    not_fetched_before: datetime | None = None,
    in_use: bool = False,
    held: bool = False,
) -> list[Released]:
    """What the people of a batch, or of all batches, have released, in the order of the workbook; of these `people` alone,
    by the ids of their lines or of themselves, and only what nobody had downloaded before a time, where these are given;
    `in_use` without what is not approved yet. The releases are `held` until the transaction ends."""
    query = joined(select(Release, Headshot, Employee), session, batch_id, now).order_by(
        col(Employee.row), col(Employee.roster_id), col(Release.at), col(Headshot.number)
    )
    if employee_ids:
        query = query.where(col(Employee.id).in_(employee_ids))
    if in_use:
        query = query.where(usable(session))
    if shelf_id is not None:
        query = query.where(col(Headshot.shelf_id) == shelf_id)
    if people:
        query = query.where(col(Employee.roster_id).in_(people))
    if not_fetched_before is not None:
        query = query.where(col(Release.downloaded_at).is_(None) | (col(Release.downloaded_at) >= not_fetched_before))
    if held:
        query = query.with_for_update(of=Release)
    return [Released(*row) for row in session.exec(query)]


def released_in_turn(
    session: Session, batch_id: UUID, now: datetime, most: int, *, after: tuple[datetime, UUID] | None = None
) -> list[Released]:
    """The same of a batch, in the order of release; at most so many, those `after` a moment and a headshot."""
    query = joined(select(Release, Headshot, Employee), session, batch_id, now)
    in_turn = oldest_first(query, col(Release.at), col(Headshot.shelf_id), most, after)
    return [Released(*row) for row in session.exec(in_turn)]


def count_released(session: Session, batch_id: UUID, now: datetime) -> int:
    """How many `released` would list."""
    return int(session.execute(joined(select(func.count()), session, batch_id, now)).scalar_one())


@dataclass(frozen=True)
class NotFetched:
    headshots: int
    first_gone: datetime | None


def not_fetched(session: Session, now: datetime) -> NotFetched:
    """What was released and not downloaded yet, in all batches, and when the first of it is deleted here."""
    query = joined(select(func.count(), func.min(Headshot.due_at)), session, None, now)
    found = session.execute(query.where(col(Release.downloaded_at).is_(None), usable(session))).one()
    return NotFetched(*found)


def usable(session: Session) -> ColumnElement[bool]:
    """Of releases: what the company may download, all of it unless it approves each."""
    return col(Release.approved_at).is_not(None) if tenants.get(session).approves else true()


def joined(query: Any, session: Session, batch_id: UUID | None, now: datetime) -> Any:
    """A query of releases with their headshots and people, of those that HR may have: of a batch, or of all."""
    same_headshot = (col(Headshot.tenant_id) == col(Release.tenant_id)) & (col(Headshot.id) == col(Release.headshot_id))
    same_person = (col(Employee.tenant_id) == col(Release.tenant_id)) & (col(Employee.id) == col(Release.employee_id))
    return (
        query.select_from(Release)
        .join(Headshot, same_headshot)
        .join(Employee, same_person)
        .where(
            col(Release.tenant_id) == tenant_of(session),
            col(Employee.batch_id) == batch_id if batch_id is not None else true(),
            departments.within(session),
            col(Employee.opted_out_at).is_(None),
            col(Employee.restricted_at).is_(None),
            col(Headshot.due_at) > now,
        )
    )


def viewed(
    session: Session, batch_id: UUID, shelf_id: UUID, now: datetime, *, caller: str, in_use: bool = False
) -> tuple[Headshot, float]:
    """A released headshot for HR, with the company's frame; that it is looked at goes on record before its picture is
    opened. Raises `HeadshotMissing`."""
    found = released(session, batch_id, now, shelf_id=shelf_id, in_use=in_use)
    if not found:
        raise HeadshotMissing("There is no such headshot.")
    headshot, person = found[0].headshot, found[0].employee
    ledger.record(session, "headshot.viewed", caller=caller, subject=person.id, objects=[headshot.id])
    return headshot, framing.of_company(session)


def square(kernel: Kernel, headshot: Headshot, loosened: float) -> bytes:
    return framing.framed(opened(kernel, headshot), headshot, PRESETS["square"], loosened, credential.of(kernel))


def _record(
    session: Session, event: str, employee_id: UUID, headshot_id: UUID, facts: Mapping[str, str] | None = None
) -> None:
    by = f"employee:{employee_id}"
    ledger.record(session, event, caller=by, subject=employee_id, objects=[headshot_id], facts=facts)
