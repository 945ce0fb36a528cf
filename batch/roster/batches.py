"""Batches: people who came with one workbook, as HR sees them and invites them. How they came is in `imports.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, true
from sqlmodel import Session, col, select

from batch.models import AddressChange, Batch, Employee
from batch.people import departments, employees, notes
from batch.people import funnel as funnels
from batch.people.employees import EmployeeProfile
from batch.people.funnel import FunnelLine, Stage
from batch.reading import workbook
from batch.reading.headings import FIELDS
from batch.roster import listings, naming
from batch.roster.merging import CALLED, KEY_THREADS
from batch.visit import addresses, invitations, mailing
from batch.visit.mailing import MailNote
from likeness import ledger
from likeness.ground.db import newest_first, row_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, Gone, NotFound
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.keys.keys import KeyFolder
from likeness.locale.marks import Told
from tenants import packs
from tenants.bounds import bound_to
from tenants.plain import one_line

UNANSWERED = (Stage.INVITED, Stage.DELIVERED, Stage.OPENED, Stage.BOUNCED)


class BatchMissing(NotFound):
    """The company has no such batch."""

    title = "There is no such batch"


class AnsweredAlready(Conflict):
    """There is no invitation that waits for an answer."""

    title = "No invitation waits for an answer"


@dataclass(frozen=True)
class RosterLine:
    """One person for HR's list; `id` is that of the line. Who it is stays empty once the person's key was destroyed,
    `since` for who opted out."""

    id: UUID
    row: int
    stage: Stage
    since: datetime | None
    photos: int
    name: str
    email: str
    employee_key: str | None
    department: str | None
    site: str | None
    manager_email: str | None
    address_waits_until: datetime | None = None
    """Another address was imported for them, and they have until then to say whether it is theirs."""
    mail: MailNote | None = None
    """What there is to say of the newest mail to them."""
    invite_from: date | None = None
    """The day from which somebody who does not take part may be invited again."""


def get(session: Session, batch_id: UUID) -> Batch:
    batch = session.exec(
        select(Batch).where(col(Batch.tenant_id) == tenant_of(session), col(Batch.id) == batch_id, _seen(session))
    ).one_or_none()
    if batch is None:
        raise BatchMissing
    return batch


def _seen(session: Session) -> ColumnElement[bool]:
    """Whoever works for some departments sees the batches that hold somebody of these."""
    if bound_to(session) is None:
        return true()
    people = select(Employee.id).where(
        col(Employee.tenant_id) == col(Batch.tenant_id),
        col(Employee.batch_id) == col(Batch.id),
        departments.within(session),
    )
    return people.exists()


def list_batches(
    session: Session, most: int | None = None, *, before: tuple[datetime, UUID] | None = None
) -> list[Batch]:
    """Newest first, without those that were undone; at most so many, those `before` the moment and the id of one."""
    query = select(Batch).where(*_listed(session))
    return list(session.exec(newest_first(query, col(Batch.created_at), col(Batch.id), most, before)))


def count(session: Session) -> int:
    """How many `list_batches` would list."""
    return session.exec(select(func.count(col(Batch.id))).where(*_listed(session))).one()


def _listed(session: Session) -> tuple[ColumnElement[bool], ...]:
    return col(Batch.tenant_id) == tenant_of(session), col(Batch.undone_at).is_(None), _seen(session)


def change(
    session: Session, keys: KeyFolder, batch_id: UUID, *, name: str, due_on: date | None, caller: str,
    note: str | None = None,
) -> Batch:  # fmt: skip
    """Another name or due day, which reminders follow, or another note to everybody; without one it stays as it is."""
    batch = locked(session, batch_id)
    if note is not None:
        notes.give(session, keys, batch, note)
    batch.due_on = due_on
    naming.give(session, keys, batch, one_line(name, 120, "name of the batch"))
    ledger.record(session, "batch.changed", caller=caller, objects=[batch.id])
    return batch


def choose_pack(session: Session, batch_id: UUID, pack_id: UUID | None, *, caller: str) -> Batch:
    """Which looks its people get whose department has none of its own; None: those for everybody. What was begun keeps the
    looks that it began with. Raises `PackMissing`."""
    batch = locked(session, batch_id)
    if batch.pack_id != pack_id:
        batch.pack_id = packs.get(session, pack_id).id if pack_id else None
        session.add(batch)
        ledger.record(session, "batch.changed", caller=caller, objects=[batch.id])
    return batch


def invite(
    session: Session, batch_id: UUID, now: datetime, *, send_at: datetime | None = None, keys: KeyFolder | None = None
) -> int:
    """Invites everybody of the batch who was not invited yet, with `keys` at that hour where each of them is; returns how
    many. Raises `NoCredits`."""
    added = [line.employee_id for line in lines(session, batch_id, now) if line.stage == Stage.ADDED]
    return len(invitations.invite_all(session, added, now, send_at=send_at, keys=keys))


@jobs.actor(lane=Lane.PRIVACY)
def destroy_keys(attempt: jobs.Attempt, *employee_ids: str) -> None:
    """Destroys the profile keys of people whose rows are gone, and those of batches that were undone."""
    with attempt.transaction() as session:
        wanted = {UUID(one) for one in employee_ids}
        alive = set(
            session.exec(
                select(Employee.id).where(col(Employee.tenant_id) == attempt.tenant, col(Employee.id).in_(wanted))
            )
        )
    refs = [employees.profile_ref(attempt.tenant, one) for one in sorted(wanted - alive)]
    with ThreadPoolExecutor(KEY_THREADS) as threads:
        list(threads.map(lambda ref: attempt.kernel.keys.destroy(ref, utc_now()), refs))


def revoke(session: Session, batch_id: UUID, now: datetime, *, caller: str) -> int:
    """Takes back every invitation that nobody has answered yet; returns how many."""
    people = [line.employee_id for line in lines(session, batch_id, now) if line.stage in UNANSWERED]
    revoked = invitations.revoke(session, people, now)
    ledger.record(session, "batch.revoked", caller=caller, objects=[batch_id])
    return revoked


def revoke_one(session: Session, employee_id: UUID, now: datetime) -> None:
    """The same for one person. Raises `AnsweredAlready`."""
    if employees.stage(session, employee_id, now) not in UNANSWERED or not invitations.revoke(session, [employee_id], now):
        raise AnsweredAlready("No invitation of this person waits for an answer.")


def funnel(session: Session, batch_id: UUID, now: datetime) -> dict[Stage, int]:
    """How many stand where; the numbers sum to the roster."""
    get(session, batch_id)
    counted = {one.stage: one.people for one in funnels.tallies(session, now, batch_id=batch_id)}
    return {stage: counted.get(stage, 0) for stage in Stage}


def people(session: Session, keys: KeyFolder, batch_id: UUID, now: datetime) -> list[RosterLine]:
    """Everybody of the batch as HR may see them, in the order of the workbook."""
    return seen(session, keys, lines(session, batch_id, now))


def page(
    session: Session,
    keys: KeyFolder,
    batch_id: UUID,
    now: datetime,
    most: int,
    *,
    after: tuple[int, UUID] | None = None,
    skip: int = 0,
    stage: Stage | None = None,
    mails: Mapping[UUID, MailNote] | None = None,
) -> list[RosterLine]:
    """At most so many of a batch that the caller has found, after a line's row and id or after so many lines; nobody else's
    name is opened. `mails` are the notes of the whole batch, where they were read already."""
    lines = funnels.page(session, now, batch_id, most, after=after, skip=skip, stage=stage)
    return seen(session, keys, lines, mails)


def departments_of(session: Session, keys: KeyFolder, batch: Batch, people: int) -> list[str]:
    """The departments that the batch's people work in. Names are sealed, so one line of each is opened, the first that
    still can be; and they are kept in memory until the batch changes."""
    name = (batch.id, batch.imported_at, people, bound_to(session))
    if (known := _departments.get(name)) is None:
        somebody = select(Employee.department_index, Employee.id, Employee.profile).where(
            col(Employee.tenant_id) == tenant_of(session),
            col(Employee.batch_id) == batch.id,
            departments.within(session),
        )
        named: dict[bytes | None, str] = {}
        for index, employee_id, sealed in session.exec(somebody):
            # Who was erased has no name any more, and others of the department may.
            if index not in named and (who := _profile(keys, batch.tenant_id, employee_id, sealed)).email:
                named[index] = who.department or ""
        _departments[name] = known = sorted(one for one in named.values() if one)
        while len(_departments) > MOST_REMEMBERED:
            _departments.pop(next(iter(_departments)), None)
    return known


_departments: dict[tuple[object, ...], list[str]] = {}
MOST_REMEMBERED = 2_000


def profiles(session: Session, keys: KeyFolder, some: Sequence[FunnelLine]) -> dict[UUID, EmployeeProfile]:
    """By person, of those whom this transaction's member may see."""
    return employees.profiles(session, keys, [line.employee_id for line in some])


def seen(
    session: Session, keys: KeyFolder, everybody: Sequence[FunnelLine], mails: Mapping[UUID, MailNote] | None = None
) -> list[RosterLine]:
    """These lines as HR may see them; `mails` are notes of theirs, where they were read already."""
    if not everybody:
        return []
    who = profiles(session, keys, everybody)
    waiting = addresses.pending(session, who)
    if mails is None:
        mails = mailing.notes(session, employee_ids=who)
    again = funnels.again_from(session, [line.employee_id for line in everybody if line.stage == Stage.OPTED_OUT])
    return [
        replace(
            _roster_line(line, who[line.employee_id], waiting.get(line.employee_id), mails.get(line.employee_id)),
            invite_from=again.get(line.employee_id),
        )
        for line in everybody
        if line.employee_id in who
    ]


def status_export(
    session: Session, keys: KeyFolder, batch_id: UUID, now: datetime, *, caller: str, told: Callable[[str], str] = str
) -> bytes:
    """The roster as a workbook with the columns of the import, and where everybody stands, as `told` says headings."""
    everybody = people(session, keys, batch_id, now)
    listings.note(session, [one.id for one in everybody], now, caller=caller)
    columns = (*(CALLED[field] for field in FIELDS if field != "language"), Told("Stage"), Told("Since (UTC)"))
    rows = [
        (p.employee_key, p.name, p.email, p.department, p.site, p.manager_email, told(Told(p.stage)),
         f"{p.since:%Y-%m-%d %H:%M}" if p.since else None)
        for p in everybody
    ]  # fmt: skip
    return workbook.export([told(one) for one in columns], rows, sheet=told(Told("People")))


def locked(session: Session, batch_id: UUID) -> Batch:
    batch = row_of(session, Batch, batch_id, locked=True)
    if batch is None:
        raise BatchMissing
    return batch


def lines(session: Session, batch_id: UUID, now: datetime) -> list[FunnelLine]:
    """Everybody's place, without anything personal. Raises `BatchMissing`."""
    get(session, batch_id)
    return funnels.lines(session, now, batch_id=batch_id)


def _profile(keys: KeyFolder, tenant: UUID, employee_id: UUID, sealed: bytes) -> EmployeeProfile:
    """Empty once the person's key was destroyed."""
    with suppress(Gone):
        return EmployeeProfile.opened(keys.open(employees.profile_ref(tenant, employee_id)), sealed)
    return EmployeeProfile(full_name="", email="")


def _roster_line(
    line: FunnelLine, who: EmployeeProfile, change: AddressChange | None, mail: MailNote | None
) -> RosterLine:
    return RosterLine(
        id=line.roster_id,
        row=line.row,
        stage=line.stage,
        since=funnels.shown_since(line),
        photos=line.photos,
        name=who.full_name,
        email=who.email,
        employee_key=who.employee_key,
        department=who.department,
        site=who.site,
        manager_email=who.manager_email,
        address_waits_until=change.until if change and line.stage != Stage.OPTED_OUT else None,
        mail=mail if line.stage != Stage.OPTED_OUT else None,
    )
