"""Copies of headshots that HR downloaded. They lie outside of Likeness, so all it can do is ask, and say what was answered.

Taking a headshot back asks HR to delete its copy. Both see the request, and what HR says; nobody here can see the copy.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlmodel import Session, col, select

from batch.models import Employee, Headshot, Release, TakeBack
from batch.people import departments, employees
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import NotFound
from likeness.ledger import LedgerEntry
from tenants.webhooks.events import Event


class CopyMissing(NotFound):
    """The company has no such request, or it was answered."""

    title = "Nobody asks for this any more"


@dataclass(frozen=True)
class HeldCopies:
    """What HR has of one person: copies it may keep, and copies that it was asked to delete."""

    times: tuple[datetime, ...]
    """When each copy that it may keep was downloaded for the first time."""
    asked: tuple[TakeBack, ...]
    deleted: tuple[TakeBack, ...]

    @property
    def kept(self) -> int:
        return len(self.times)


def of(session: Session, employee_id: UUID) -> HeldCopies:
    tenant = tenant_of(session)
    downloaded = session.exec(
        select(Release.downloaded_at)
        .where(col(Release.tenant_id) == tenant, col(Release.employee_id) == employee_id)
        .order_by(col(Release.downloaded_at))
    ).all()
    asked = session.exec(
        select(TakeBack)
        .where(col(TakeBack.tenant_id) == tenant, col(TakeBack.employee_id) == employee_id)
        .order_by(col(TakeBack.asked_at))
    ).all()
    outlived = _outlived(session, employee_id, {one.headshot_id for one in asked})
    return HeldCopies(
        times=tuple(sorted([*(at for at in downloaded if at is not None), *outlived])),
        asked=tuple(one for one in asked if one.deleted_at is None),
        deleted=tuple(one for one in asked if one.deleted_at is not None),
    )


def _outlived(session: Session, employee_id: UUID, taken_back: Collection[UUID | None]) -> list[datetime]:
    """When HR first downloaded each headshot whose last day here has come: its release is gone, and HR's copy is not."""
    tenant = tenant_of(session)
    here = set(
        session.exec(
            select(Headshot.id).where(col(Headshot.tenant_id) == tenant, col(Headshot.employee_id) == employee_id)
        )
    )
    entries = session.exec(
        select(LedgerEntry.objects, LedgerEntry.at)
        .where(
            col(LedgerEntry.tenant_id) == tenant,
            col(LedgerEntry.subject) == str(employee_id),
            col(LedgerEntry.event) == "release.downloaded",
        )
        .order_by(col(LedgerEntry.sequence).desc())
    )
    first = {UUID(one): at for objects, at in entries for one in objects}
    return [at for one, at in first.items() if one not in here and one not in taken_back]


def ask_back(session: Session, release: Release, now: datetime) -> None:
    """HR is asked to delete the copy that it downloaded; nothing happens where it has none."""
    if release.downloaded_at is None:
        return
    request = TakeBack(
        tenant_id=release.tenant_id,
        employee_id=release.employee_id,
        headshot_id=release.headshot_id,
        downloaded_at=release.downloaded_at,
        asked_at=now,
    )
    session.add(request)
    session.flush()
    ledger.record(
        session,
        "copy.asked-back",
        caller=f"employee:{release.employee_id}",
        subject=release.employee_id,
        objects=[request.id, release.headshot_id],
    )


def give_again(session: Session, release: Release) -> None:
    """The person releases once more what they took back: the request is over, and the copy HR has is one it may keep."""
    over = session.execute(
        delete(TakeBack)
        .where(
            col(TakeBack.tenant_id) == release.tenant_id,
            col(TakeBack.employee_id) == release.employee_id,
            col(TakeBack.headshot_id) == release.headshot_id,
        )
        .returning(col(TakeBack.downloaded_at), col(TakeBack.deleted_at))
    ).first()
    if over is not None and over.deleted_at is None:
        release.downloaded_at = over.downloaded_at


def take_all_back(session: Session, employee_id: UUID, now: datetime) -> None:
    """Everything that this person released, at once."""
    released = session.exec(
        select(Release).where(col(Release.tenant_id) == tenant_of(session), col(Release.employee_id) == employee_id)
    ).all()
    numbers = shelf_ids(session, employee_id)
    for release in released:
        ask_back(session, release, now)
        session.delete(release)
        ledger.record(
            session,
            "release.taken-back",
            caller=f"employee:{employee_id}",
            subject=employee_id,
            objects=[release.headshot_id],
        )
        employees.tell_programs(
            session, Event.HEADSHOT_TAKEN_BACK, employee_id, now, headshot_id=numbers[release.headshot_id]
        )
    session.flush()


def shelf_ids(session: Session, employee_id: UUID) -> dict[UUID, UUID]:
    """What HR and its programs call each headshot of the person by, which is not what the log calls it."""
    found = session.exec(
        select(Headshot.id, Headshot.shelf_id).where(
            col(Headshot.tenant_id) == tenant_of(session), col(Headshot.employee_id) == employee_id
        )
    )
    return dict(found.all())


def waiting(session: Session, batch_id: UUID) -> list[tuple[TakeBack, Employee]]:
    """The requests of a batch that HR has not answered, oldest first."""
    return [
        (row[0], row[1])
        for row in session.exec(
            select(TakeBack, Employee)
            .join(
                Employee,
                (col(Employee.tenant_id) == col(TakeBack.tenant_id)) & (col(Employee.id) == col(TakeBack.employee_id)),
            )
            .where(
                col(TakeBack.tenant_id) == tenant_of(session),
                col(TakeBack.deleted_at).is_(None),
                col(Employee.batch_id) == batch_id,
                departments.within(session),
            )
            .order_by(col(TakeBack.asked_at))
        )
    ]


def waiting_by_batch(session: Session) -> dict[UUID, int]:
    """How many of them each batch has, where it has any."""
    found = session.execute(
        select(Employee.batch_id, func.count())
        .join(
            TakeBack,
            (col(TakeBack.tenant_id) == col(Employee.tenant_id)) & (col(TakeBack.employee_id) == col(Employee.id)),
        )
        .where(
            col(Employee.tenant_id) == tenant_of(session),
            col(TakeBack.deleted_at).is_(None),
            departments.within(session),
        )
        .group_by(col(Employee.batch_id))
    )
    return {batch_id: count for batch_id, count in found}


def say_deleted(session: Session, employee_id: UUID, member_id: UUID, now: datetime) -> int:
    """HR says that its copies of this person which were asked back are deleted. Raises `CopyMissing`."""
    answered = session.execute(
        update(TakeBack)
        .where(
            col(TakeBack.tenant_id) == tenant_of(session),
            col(TakeBack.employee_id) == employee_id,
            col(TakeBack.deleted_at).is_(None),
        )
        .values(deleted_at=now, deleted_by=member_id)
        .returning(col(TakeBack.id))
    ).all()
    if not answered:
        raise CopyMissing("There is no copy that this person asked you to delete.")
    ledger.record(
        session,
        "copy.deleted",
        caller=f"member:{member_id}",
        subject=employee_id,
        objects=[row.id for row in answered],
    )
    return len(answered)
