"""Headshots: what passed the judge, the person's choice among them, and what they release to HR.

Until a headshot is released only its owner knows of it: for HR it does not exist. A headshot whose time is up is gone
for everybody at that minute, also when the sweep that deletes it comes later.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlmodel import Session, col, select

from batch import copies, framing, photos
from batch.models import ACTIVE, Employee, Headshot, Release, Sitting, SittingState
from batch.presets import PRESETS
from likeness import ledger
from likeness.db import on_rollback, tenant_of
from likeness.errors import Conflict, NotFound, Unprocessable
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.objects import Objects, person_path
from tenants import tenants

MOST_RELEASED = 100
"""In one request; a person has about a dozen."""


class HeadshotMissing(NotFound):
    """There is no such headshot, or it is somebody else's, or it was not released."""


class SittingLost(Conflict):
    """The sitting was cancelled or taken over; nothing of this run is kept."""


def keep(
    session: Session,
    objects: Objects,
    keys: KeyFolder,
    sitting: Sitting,
    look_id: UUID,
    number: int,
    picture: bytes,
    likeness_ratio: float,
    now: datetime,
) -> Headshot:
    """Seals a picture as it is, PNG or WebP, under the person's headshot key and records it; once for each number.

    Raises `SittingLost` when the sitting is no longer the one that was claimed.
    """
    _check_held(session, sitting)
    known = _numbered(session, sitting.id, number)
    if known:
        return known
    path = person_path(sitting.tenant_id, sitting.employee_id, KeyClass.HEADSHOT, uuid4())
    on_rollback(session, lambda: objects.delete(path))
    objects.put(path, picture, keys.open_or_create(_ref(sitting.tenant_id, sitting.employee_id)))
    return record(
        session,
        sitting.id,
        sitting.employee_id,
        look_id=look_id,
        number=number,
        path=path,
        size=len(picture),
        likeness_ratio=likeness_ratio,
        now=now,
    )


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
        created_at=now,
        due_at=now + timedelta(days=tenants.get(session).headshot_days),
    )
    session.add(headshot)
    session.flush()
    ledger.record(session, "headshot.kept", subject=employee_id, objects=[headshot.id])
    return headshot


def _check_held(session: Session, sitting: Sitting) -> None:
    held = session.exec(
        select(Sitting.id)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.id) == sitting.id,
            col(Sitting.fence) == sitting.fence,
            col(Sitting.state).in_(ACTIVE),
        )
        .with_for_update(read=True)
    ).first()
    if held is None:
        raise SittingLost("This sitting was cancelled or taken over.")


def _numbered(session: Session, sitting_id: UUID, number: int) -> Headshot | None:
    return session.exec(
        select(Headshot).where(
            col(Headshot.tenant_id) == tenant_of(session),
            col(Headshot.sitting_id) == sitting_id,
            col(Headshot.number) == number,
        )
    ).first()


def _ref(tenant: UUID, employee_id: UUID) -> KeyRef:
    return KeyRef(tenant, employee_id, KeyClass.HEADSHOT)


def of(session: Session, employee_id: UUID, now: datetime) -> list[Headshot]:
    """The person's headshots, those of the newest sitting first, the likest first; never those of one under way."""
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
                col(Sitting.state) == SittingState.DONE,
            )
            .order_by(col(Sitting.created_at).desc(), col(Headshot.likeness_ratio).desc(), col(Headshot.number))
        )
    )


def get(session: Session, employee_id: UUID, headshot_id: UUID, now: datetime) -> Headshot:
    """Raises `HeadshotMissing`."""
    headshot = next((found for found in of(session, employee_id, now) if found.id == headshot_id), None)
    if headshot is None:
        raise HeadshotMissing("There is no such headshot.")
    return headshot


def picture(kernel: Kernel, tenant: UUID, employee_id: UUID, headshot_id: UUID, now: datetime) -> bytes:
    """For its owner. Raises `HeadshotMissing`."""
    with kernel.db.transaction(tenant) as session:
        headshot = get(session, employee_id, headshot_id, now)
        loosened = framing.of_company(session)
    return framing.framed(opened(kernel, headshot), headshot, PRESETS["square"], loosened)


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


class NothingToRelease(Unprocessable):
    title = "Choose at least one headshot"


def release(session: Session, employee_id: UUID, headshot_ids: Collection[UUID], now: datetime) -> list[Release]:
    """The person gives these headshots to HR: all of them or, when one is not theirs, none. Safe to repeat.

    Releasing one of a reshoot accepts it: what was not released of the sittings before is deleted.
    Raises `NothingToRelease` and `HeadshotMissing`.
    """
    if not 0 < len(headshot_ids) <= MOST_RELEASED:
        raise NothingToRelease(f"Please choose between 1 and {MOST_RELEASED} headshots.")
    photos.hold(session, employee_id)
    mine = {headshot.id: headshot for headshot in of(session, employee_id, now)}
    chosen = set(headshot_ids)
    if not chosen <= mine.keys():
        raise HeadshotMissing("There is no such headshot.")
    given = {release.headshot_id: release for release in releases(session, employee_id)}
    for headshot_id in sorted(chosen - given.keys()):
        release = Release(tenant_id=tenant_of(session), employee_id=employee_id, headshot_id=headshot_id, at=now)
        copies.give_again(session, release)
        session.add(release)
        given[headshot_id] = release
        _record(session, "release.given", employee_id, headshot_id)
    session.flush()
    _retire(session, employee_id, {mine[headshot_id].sitting_id for headshot_id in chosen}, now)
    return [given[headshot_id] for headshot_id in sorted(chosen)]


def _retire(session: Session, employee_id: UUID, accepted: Collection[UUID], now: datetime) -> None:
    """What is not released of the sittings before an accepted one is due now; the retention sweep deletes it."""
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
            col(Headshot.sitting_id).in_(before),
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


def releases(session: Session, employee_id: UUID) -> list[Release]:
    """What this person has released, oldest first."""
    return list(
        session.exec(
            select(Release)
            .where(col(Release.tenant_id) == tenant_of(session), col(Release.employee_id) == employee_id)
            .order_by(col(Release.at))
        )
    )


@dataclass(frozen=True)
class Released:
    """One headshot that HR may have."""

    release: Release
    headshot: Headshot
    employee: Employee


def released(
    session: Session, batch_id: UUID, now: datetime, *, employee_id: UUID | None = None, headshot_id: UUID | None = None
) -> list[Released]:
    """What the people of a batch have released, in the order of the workbook."""
    query = (
        select(Release, Headshot, Employee)
        .join(
            Headshot,
            (col(Headshot.tenant_id) == col(Release.tenant_id)) & (col(Headshot.id) == col(Release.headshot_id)),
        )
        .join(
            Employee,
            (col(Employee.tenant_id) == col(Release.tenant_id)) & (col(Employee.id) == col(Release.employee_id)),
        )
        .where(
            col(Release.tenant_id) == tenant_of(session),
            col(Employee.batch_id) == batch_id,
            col(Employee.opted_out_at).is_(None),
            col(Employee.restricted_at).is_(None),
            col(Headshot.due_at) > now,
        )
        .order_by(col(Employee.row), col(Employee.id), col(Release.at), col(Headshot.number))
    )
    if employee_id is not None:
        query = query.where(col(Employee.id) == employee_id)
    if headshot_id is not None:
        query = query.where(col(Headshot.id) == headshot_id)
    return [Released(*row) for row in session.exec(query)]


def picture_for_desk(
    kernel: Kernel, tenant: UUID, batch_id: UUID, headshot_id: UUID, now: datetime, *, caller: str
) -> bytes:
    """A released headshot, for HR; that it was looked at is recorded first. Raises `HeadshotMissing`."""
    with kernel.db.transaction(tenant) as session:
        found = released(session, batch_id, now, headshot_id=headshot_id)
        if not found:
            raise HeadshotMissing("There is no such headshot.")
        ledger.record(session, "headshot.viewed", caller=caller, subject=found[0].employee.id, objects=[headshot_id])
        loosened = framing.of_company(session)
    return framing.framed(opened(kernel, found[0].headshot), found[0].headshot, PRESETS["square"], loosened)


def _record(session: Session, event: str, employee_id: UUID, headshot_id: UUID) -> None:
    ledger.record(session, event, caller=f"employee:{employee_id}", subject=employee_id, objects=[headshot_id])
