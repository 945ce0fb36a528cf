"""Batches: people who came with one workbook, as HR sees them and invites them. How they came is in `imports.py`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch import addresses, employees, invitations, mailing, workbook
from batch import funnel as funnels
from batch.employees import EmployeeProfile
from batch.funnel import Line, Stage
from batch.mailing import MailNote
from batch.merging import KEY_THREADS
from batch.models import AddressChange, Batch, Employee
from likeness import jobs, ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import Gone, NotFound
from likeness.keys import KeyFolder
from likeness.lanes import Lane
from tenants.plain import one_line


class BatchMissing(NotFound):
    """The company has no such batch."""


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
    mail: MailNote | None = None
    """What there is to say of the newest mail to them."""
    invite_from: date | None = None
    """The day from which somebody who does not take part may be invited again."""


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


def change(session: Session, batch_id: UUID, *, name: str, due_on: date | None, caller: str) -> Batch:
    """Another name or due day; reminders follow the day."""
    batch = locked(session, batch_id)
    batch.name, batch.due_on = one_line(name, 120, "name of the batch"), due_on
    session.add(batch)
    ledger.record(session, "batch.changed", caller=caller, objects=[batch.id])
    return batch


def invite(session: Session, batch_id: UUID, now: datetime, *, send_at: datetime | None = None) -> int:
    """Invites everybody of the batch who was not invited yet; returns how many. Raises `NoCredits`."""
    added = [line.employee_id for line in lines(session, batch_id, now) if line.stage == Stage.ADDED]
    return len(invitations.invite_all(session, added, now, send_at=send_at))


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
    waiting, mails = addresses.pending(session), mailing.notes(session, batch_id)
    aside = [line.employee_id for line in everybody if line.stage == Stage.OPTED_OUT]
    again = invitations.again_from(session, aside)
    return [
        replace(
            _roster_line(
                keys, line, by_id[line.employee_id], waiting.get(line.employee_id), mails.get(line.employee_id)
            ),
            invite_from=again.get(line.employee_id),
        )
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


def locked(session: Session, batch_id: UUID) -> Batch:
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


def _roster_line(
    keys: KeyFolder, line: Line, employee: Employee, change: AddressChange | None, mail: MailNote | None
) -> RosterLine:
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
        mail=mail if line.stage != Stage.OPTED_OUT else None,
    )
