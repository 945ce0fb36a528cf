"""Batches: a workbook comes in, is looked at, and becomes people. Dropping and looking write nothing of anybody.

The raw file is kept sealed for 24 hours at most, so that its problem rows can be downloaded and corrected. All of it is
safe to repeat: the same bytes make one batch, and the same row makes one person, found by employee number or address.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from batch import addresses, employees, invitations, workbook
from batch import funnel as funnels
from batch.child import ChildFailed
from batch.employees import EmployeeProfile
from batch.funnel import Line, Stage
from batch.merging import KEY_THREADS, Merge
from batch.models import AddressChange, Batch, Employee
from batch.workbook import Problem, Reading, WorkbookUnreadable
from likeness import jobs, ledger
from likeness.db import after_commit, on_rollback, tenant_of, utc_now
from likeness.errors import Conflict, Gone, NotFound, Unavailable, Unprocessable
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.lanes import Lane
from likeness.mail import Mail
from likeness.objects import Objects, tenant_path
from tenants import quotas, tenants
from tenants.plain import one_line

KEEP_WORKBOOK = timedelta(hours=24)
UNDO_WITHIN = timedelta(minutes=15)
WORKBOOKS = "workbooks"


class BatchMissing(NotFound):
    """The company has no such batch."""


class WorkbookGone(Gone):
    """The raw file was deleted, 24 hours after it came."""


class TooLateToUndo(Conflict):
    """An import can be undone for 15 minutes."""


class WorkbookKnown(Conflict):
    """The same file makes one batch, never a part of two."""


class WorkbookRefused(Unprocessable):
    """Nothing could be read from the file."""


@dataclass(frozen=True)
class ImportResult:
    """How many people are new, corrected, and as before; `problems` holds what kept rows out, and warnings."""

    created: int
    updated: int
    unchanged: int
    invited: int
    problems: tuple[Problem, ...]
    asked: int = 0
    """How many of the corrected have another address, which they are asked about first."""


@dataclass(frozen=True)
class UndoResult:
    """`kept` have opened their invitation already or answered it."""

    removed: int
    kept: int


@dataclass(frozen=True)
class RosterLine:
    """One person for HR's list. Who it is stays empty once the person's key was destroyed, `since` for who opted out."""

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


def get(session: Session, batch_id: UUID) -> Batch:
    batch = session.exec(
        select(Batch).where(col(Batch.tenant_id) == tenant_of(session), col(Batch.id) == batch_id)
    ).one_or_none()
    if batch is None:
        raise BatchMissing
    return batch


def list_batches(session: Session) -> list[Batch]:
    """Newest first, without those that were undone."""
    return list(
        session.exec(
            select(Batch)
            .where(col(Batch.tenant_id) == tenant_of(session), col(Batch.undone_at).is_(None))
            .order_by(col(Batch.created_at).desc())
        )
    )


def drop(
    session: Session,
    keys: KeyFolder,
    objects: Objects,
    data: bytes,
    filename: str,
    name: str,
    due_on: date | None,
    created_by: UUID,
    now: datetime,
) -> tuple[Batch, Reading]:
    """Keeps the file and says what is in it. The same bytes give the same batch. Raises `WorkbookRefused`.

    Columns are matched as in the company's last import where that has an opinion.
    """
    reading = _read(data, filename, mapping=_last_mapping(session))
    tenant = tenant_of(session)
    name = one_line(name or filename, 120, "name of the batch")
    digest = _digest(keys, tenant, data)
    session.execute(
        insert(Batch)
        .values(
            id=uuid4(), tenant_id=tenant, name=name, due_on=due_on, created_by=created_by, created_at=now,
            workbook_digest=digest, mapping=reading.mapping,
        )
        .on_conflict_do_nothing()
    )  # fmt: skip
    batch = _holding(session, digest)
    assert batch is not None
    if batch.workbook_id is None:
        _keep(session, keys, objects, batch, data, now)
        ledger.record(session, "batch.dropped", caller=f"member:{created_by}", objects=[batch.id])
    return batch, reading


def drop_again(
    session: Session,
    keys: KeyFolder,
    objects: Objects,
    batch_id: UUID,
    data: bytes,
    filename: str,
    caller: str,
    now: datetime,
) -> tuple[Batch, Reading]:
    """A corrected file for a batch that exists, such as its problem rows: committing it merges them in."""
    batch = _locked(session, batch_id)
    reading = _read(data, filename, mapping=batch.mapping)
    digest = _digest(keys, batch.tenant_id, data)
    if digest != batch.workbook_digest and _holding(session, digest) is not None:
        raise WorkbookKnown("This file came before, as a batch of its own.")
    if digest != batch.workbook_digest or batch.workbook_id is None:
        if (before := batch.workbook_id) is not None:
            # Only once the new file is certainly in its place; what a crash leaves of the old one goes after a day.
            after_commit(session, lambda: _destroy(keys, objects, batch.tenant_id, before, now))
            ledger.record(session, "workbook.deleted", objects=[batch.id])
        batch.mapping, batch.workbook_digest = reading.mapping, digest
        _keep(session, keys, objects, batch, data, now)
    ledger.record(session, "batch.dropped", caller=caller, objects=[batch.id])
    return batch, reading


def change(session: Session, batch_id: UUID, *, name: str, due_on: date | None, caller: str) -> Batch:
    """Another name or due day; reminders follow the day."""
    batch = _locked(session, batch_id)
    batch.name, batch.due_on = one_line(name, 120, "name of the batch"), due_on
    session.add(batch)
    ledger.record(session, "batch.changed", caller=caller, objects=[batch.id])
    return batch


def preview(
    session: Session,
    keys: KeyFolder,
    objects: Objects,
    batch_id: UUID,
    *,
    sheet: str | None = None,
    header_row: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Reading:
    """What the kept file says, with the problems it has with the roster. Writes nothing. Raises `WorkbookGone`."""
    batch = get(session, batch_id)
    reading = _reread(keys, objects, batch, sheet, header_row, mapping)
    return Merge(session, keys, reading).reading


def commit(
    session: Session,
    keys: KeyFolder,
    objects: Objects,
    batch_id: UUID,
    *,
    invite: bool,
    caller: str,
    now: datetime,
    send_at: datetime | None = None,
    sheet: str | None = None,
    header_row: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> ImportResult:
    """Writes the rows without errors; the others stay listed. People known already keep their batch and are corrected.

    Raises `WorkbookGone`, `QuotaExceeded` and, with `invite`, `NoCredits`; then nothing is written.
    """
    batch = _locked(session, batch_id)
    if batch.undone_at is not None:
        raise BatchMissing
    reading = _reread(keys, objects, batch, sheet, header_row, mapping)
    # Imports of one company wait for each other, so that two of them never add the same person.
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 9))"), {"key": str(batch.tenant_id)})
    merge = Merge(session, keys, reading)
    quotas.check(session, adding=len(merge.new))
    created = merge.write(batch, now, caller=caller)
    invited = invitations.invite_all(session, created, now, send_at=send_at) if invite else []
    if created or batch.imported_at is None:
        batch.imported_at = now
    batch.mapping = reading.mapping
    session.add(batch)
    if created or merge.updated:
        ledger.record(session, "batch.imported", caller=caller, objects=[batch.id])
    return ImportResult(
        created=len(created),
        updated=merge.updated,
        unchanged=merge.unchanged,
        invited=len(invited),
        problems=merge.reading.problems,
        asked=len(merge.asked),
    )


def invite(session: Session, batch_id: UUID, now: datetime, *, send_at: datetime | None = None) -> int:
    """Invites everybody of the batch who was not invited yet; returns how many. Raises `NoCredits`."""
    added = [line.employee_id for line in lines(session, batch_id, now) if line.stage == Stage.ADDED]
    return len(invitations.invite_all(session, added, now, send_at=send_at))


def problem_rows(session: Session, keys: KeyFolder, objects: Objects, batch_id: UUID) -> bytes:
    """The rows that could not be taken, as they stand in the file, with a column that says why."""
    return workbook.failed_rows(preview(session, keys, objects, batch_id))


def undo(session: Session, batch_id: UUID, now: datetime, *, caller: str) -> UndoResult:
    """Removes whom the last import added, unless they opened their invitation. Raises `TooLateToUndo`.

    Their rows go at once; their keys are destroyed by a job, which a crash cannot lose.
    """
    batch = _locked(session, batch_id)
    if batch.imported_at is None or now - batch.imported_at > UNDO_WITHIN:
        raise TooLateToUndo("An import can be undone within 15 minutes. You can still revoke the invitations.")
    everybody = lines(session, batch_id, now)
    fresh = set(
        session.exec(
            select(Employee.id).where(
                col(Employee.tenant_id) == batch.tenant_id,
                col(Employee.batch_id) == batch.id,
                col(Employee.created_at) >= batch.imported_at,
            )
        )
    )
    untouched = (Stage.ADDED, Stage.INVITED, Stage.DELIVERED, Stage.BOUNCED)
    gone = [line.employee_id for line in everybody if line.employee_id in fresh and line.stage in untouched]
    invitations.revoke(session, gone, now)
    for table, column in ((Mail, Mail.owner_id), (Employee, Employee.id)):
        session.execute(delete(table).where(col(table.tenant_id) == batch.tenant_id, col(column).in_(gone)))
    for start in range(0, len(gone), 100):
        part = [str(one) for one in gone[start : start + 100]]
        jobs.send(session, destroy_keys, *part, key=f"undo:{part[0]}")
    if len(gone) == len(everybody):
        # The same file may be dropped anew, which then makes a new batch.
        batch.undone_at, batch.workbook_digest, batch.workbook_due_at = now, None, now
        session.add(batch)
    ledger.record(session, "batch.undone", caller=caller, objects=[batch.id])
    return UndoResult(removed=len(gone), kept=len(everybody) - len(gone))


@jobs.actor(lane=Lane.PRIVACY)
def destroy_keys(attempt: jobs.Attempt, *employee_ids: str) -> None:
    """Destroys the profile keys of people whose rows are gone."""
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
    unanswered = (Stage.INVITED, Stage.DELIVERED, Stage.OPENED, Stage.BOUNCED)
    people = [line.employee_id for line in lines(session, batch_id, now) if line.stage in unanswered]
    revoked = invitations.revoke(session, people, now)
    ledger.record(session, "batch.revoked", caller=caller, objects=[batch_id])
    return revoked


def funnel(session: Session, batch_id: UUID, now: datetime) -> dict[Stage, int]:
    """How many stand where; the numbers sum to the roster."""
    return funnels.counts(lines(session, batch_id, now))


def people(session: Session, keys: KeyFolder, batch_id: UUID, now: datetime) -> list[RosterLine]:
    """Everybody of the batch as HR may see them, in the order of the workbook."""
    everybody = lines(session, batch_id, now)
    sealed = session.exec(
        select(Employee).where(col(Employee.tenant_id) == tenant_of(session), col(Employee.batch_id) == batch_id)
    )
    by_id = {employee.id: employee for employee in sealed}
    waiting = addresses.pending(session)
    return [
        _roster_line(keys, line, by_id[line.employee_id], waiting.get(line.employee_id))
        for line in everybody
        if line.employee_id in by_id
    ]


def status_export(session: Session, keys: KeyFolder, batch_id: UUID, now: datetime) -> bytes:
    """The roster as a workbook with the columns of the import, and where everybody stands."""
    columns = ("Employee ID", "Full name", "Email", "Department", "Site", "Manager email", "Stage", "Since (UTC)")
    rows = [
        (p.employee_key, p.name, p.email, p.department, p.site, p.manager_email, p.stage,
         f"{p.since:%Y-%m-%d %H:%M}" if p.since else None)
        for p in people(session, keys, batch_id, now)
    ]  # fmt: skip
    return workbook.export(columns, rows)


@jobs.every(timedelta(minutes=10))
def forget_workbooks(kernel: Kernel, now: datetime) -> None:
    """Raw files go after 24 hours, those too that a crash left without a batch."""

    def forget_due(session: Session) -> None:
        tenant = tenant_of(session)
        due = session.exec(
            select(Batch)
            .where(col(Batch.tenant_id) == tenant, col(Batch.workbook_due_at) <= now)
            .with_for_update(skip_locked=True)
        ).all()
        for batch in due:
            forget_workbook(session, kernel.keys, kernel.objects, batch, now)
        for stored in kernel.objects.list(f"tenants/{tenant}/{WORKBOOKS}"):
            if stored.modified < now - KEEP_WORKBOOK:
                _destroy(kernel.keys, kernel.objects, tenant, UUID(stored.path.rpartition("/")[2]), now)

    tenants.for_each(kernel, forget_due)


def forget_workbook(session: Session, keys: KeyFolder, objects: Objects, batch: Batch, now: datetime) -> None:
    """Destroys the raw file and its key; safe to repeat."""
    if batch.workbook_id is not None:
        _destroy(keys, objects, batch.tenant_id, batch.workbook_id, now)
        ledger.record(session, "workbook.deleted", objects=[batch.id])
    batch.workbook_id = batch.workbook_due_at = None
    session.add(batch)


def _destroy(keys: KeyFolder, objects: Objects, tenant: UUID, workbook_id: UUID, now: datetime) -> None:
    keys.destroy(_workbook_key(tenant, workbook_id), now)
    objects.delete(tenant_path(tenant, WORKBOOKS, workbook_id))


def _keep(session: Session, keys: KeyFolder, objects: Objects, batch: Batch, data: bytes, now: datetime) -> None:
    batch.workbook_id, batch.workbook_due_at = uuid4(), now + KEEP_WORKBOOK
    tenant, workbook_id = batch.tenant_id, batch.workbook_id
    on_rollback(session, lambda: _destroy(keys, objects, tenant, workbook_id, now))
    objects.put(tenant_path(tenant, WORKBOOKS, workbook_id), data, keys.open_or_create(_workbook_key(tenant, workbook_id)))
    session.add(batch)
    session.flush()


def _workbook_key(tenant: UUID, workbook_id: UUID) -> KeyRef:
    return KeyRef(tenant, workbook_id, KeyClass.PROFILE)


def _reread(
    keys: KeyFolder,
    objects: Objects,
    batch: Batch,
    sheet: str | None,
    header_row: int | None,
    mapping: Mapping[str, str] | None,
) -> Reading:
    if batch.workbook_id is None:
        raise WorkbookGone("The file was deleted, 24 hours after it came. Please drop it again.")
    data = objects.get(
        tenant_path(batch.tenant_id, WORKBOOKS, batch.workbook_id),
        keys.open(_workbook_key(batch.tenant_id, batch.workbook_id)),
    )
    return _read(data, "", sheet=sheet, header_row=header_row, mapping=mapping or batch.mapping)


def _read(
    data: bytes,
    filename: str,
    *,
    sheet: str | None = None,
    header_row: int | None = None,
    mapping: Mapping[str, str] | None = None,
) -> Reading:
    try:
        return workbook.read(data, filename, sheet=sheet, header_row=header_row, mapping=mapping)
    except WorkbookUnreadable as error:
        raise WorkbookRefused(str(error)) from None
    except ChildFailed:
        raise Unavailable("The workbook cannot be read right now. Please try again in a moment.") from None


def _digest(keys: KeyFolder, tenant: UUID, data: bytes) -> str:
    return hmac.digest(keys.index_key(tenant), data, "sha256").hex()


def _holding(session: Session, digest: str) -> Batch | None:
    """The batch that these bytes made."""
    return session.exec(
        select(Batch)
        .where(col(Batch.tenant_id) == tenant_of(session), col(Batch.workbook_digest) == digest)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def _last_mapping(session: Session) -> dict[str, str]:
    """How the company's columns were matched the last time."""
    last = session.exec(
        select(Batch.mapping)
        .where(col(Batch.tenant_id) == tenant_of(session), col(Batch.imported_at).is_not(None))
        .order_by(col(Batch.imported_at).desc())
        .limit(1)
    ).first()
    return dict(last or {})


def _locked(session: Session, batch_id: UUID) -> Batch:
    batch = session.exec(
        select(Batch)
        .where(col(Batch.tenant_id) == tenant_of(session), col(Batch.id) == batch_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if batch is None:
        raise BatchMissing
    return batch


def lines(session: Session, batch_id: UUID, now: datetime) -> list[Line]:
    """Everybody's place, without anything personal. Raises `BatchMissing`."""
    get(session, batch_id)
    return funnels.lines(session, now, batch_id=batch_id)


def _roster_line(keys: KeyFolder, line: Line, employee: Employee, change: AddressChange | None) -> RosterLine:
    who = EmployeeProfile(full_name="", email="")
    with suppress(Gone):
        who = employees.profile(keys, employee)
    return RosterLine(
        id=line.employee_id,
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
        address_waits_until=change.until if change else None,
    )
