"""How people come onto the roster: a workbook comes in, is looked at, and becomes people; for a while it can be undone.

Dropping and looking write nothing of anybody. What is imported is what was shown: a preview has a digest, and an import
names it. All of it is safe to repeat: the same bytes make one batch, and the same row makes one person, found by
employee number or address.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from batch.models import Batch, Employee, Invitation
from batch.people import employees, lines
from batch.people.funnel import Stage
from batch.reading import headings, workbook
from batch.reading.workbook import Problem, Reading, ReadingChoices, WorkbookUnreadable
from batch.roster import batches, corrections, listings, naming, raw_workbooks
from batch.roster.batches import BatchMissing
from batch.roster.merging import Judged, Merge, RowVerdict
from batch.visit import invitations
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict, Unavailable, Unprocessable
from likeness.jobs import jobs
from likeness.keys.keys import KeyFolder
from likeness.mail.mail import Mail
from likeness.sandbox.child import ChildFailed
from likeness.store.objects import Objects
from tenants import tenants
from tenants.plain import one_line
from tenants.webhooks import deliveries
from tenants.webhooks.events import Event

UNDO_WITHIN = corrections.KEPT_FOR
# Of how many earlier imports the company's answers are remembered.
REMEMBERED = 50


class TooLateToUndo(Conflict):
    """An import can be undone for 15 minutes."""

    title = "This import can no longer be undone"


class WorkbookKnown(Conflict):
    """The same file makes one batch, never a part of two."""

    title = "This file came before"


class WorkbookRefused(Unprocessable):
    """Nothing could be read from the file."""

    title = "This file cannot be read"


class NotWhatWasShown(Conflict):
    """What would be imported differs from what somebody looked at."""

    title = "Nothing was imported"


class QuestionsOpen(Conflict):
    """Which column is meant is for a person to say."""

    title = "Nothing was imported"


@dataclass(frozen=True)
class ImportPreview:
    """What the file says, laid over the roster. `digest` stands for all of it: an import names the one it was shown."""

    reading: Reading
    digest: str
    judged: Sequence[Judged]
    missing: Sequence[Employee]
    """Who is on the roster and not in the file; nothing happens to them."""

    def of(self, *verdicts: RowVerdict) -> list[Judged]:
        return [one for one in self.judged if one.verdict in verdicts]


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
    """`removed` were added by the import, `restored` were corrected by it and are as before.

    `kept` have opened their invitation already or answered it; `still_corrected` were corrected again since, or consented
    at their new address. `mailed` are those of the removed to whom a mail had gone: its link no longer works.
    """

    removed: int
    restored: int
    kept: int
    still_corrected: int
    mailed: int


@dataclass(frozen=True)
class Source:
    """What has to be known to read a file: where it is kept, and what the company said about files of its shape.

    Reading takes seconds in a child process, and no transaction is open meanwhile: an edge asks for the source in one,
    reads, and goes on in another, which looks whether the batch still has this file.
    """

    tenant: UUID
    remembered: dict[str, dict[str, str]]
    workbook_id: UUID | None = None


@dataclass(frozen=True)
class ReadFile:
    """A file's bytes and what they say."""

    data: bytes
    reading: Reading
    source: Source


def source(session: Session, batch_id: UUID | None = None) -> Source:
    """Of the batch's kept file, or of one that just came. Raises `BatchMissing` and `WorkbookGone`."""
    if batch_id is None:
        return Source(tenant_of(session), _remembered(session))
    return Source(tenant_of(session), _remembered(session), raw_workbooks.kept(batches.get(session, batch_id)))


def read_new(source: Source, data: bytes, filename: str) -> ReadFile:
    """What a file that just came says. Raises `WorkbookRefused`."""
    return ReadFile(data, _read(source, data, filename, None), source)


def read_kept(keys: KeyFolder, objects: Objects, source: Source, how: ReadingChoices | None = None) -> ReadFile:
    """Raises `WorkbookGone` and `WorkbookRefused`."""
    data = raw_workbooks.bytes_of(keys, objects, source.tenant, source.workbook_id)
    return ReadFile(data, _read(source, data, "", how), source)


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
    read: ReadFile | None = None,
) -> tuple[Batch, ImportPreview]:
    """Keeps the file and says what is in it. The same bytes give the same batch. Raises `WorkbookRefused`."""
    reading = (read or read_new(source(session), data, filename)).reading
    tenant = tenant_of(session)
    name = one_line(name or filename, 120, "name of the batch")
    digest = raw_workbooks.digest(keys, tenant, data)
    session.execute(
        insert(Batch)
        .values(
            id=uuid4(), tenant_id=tenant, due_on=due_on, created_by=created_by, created_at=now,
            workbook_digest=digest, mapping={},
        )
        .on_conflict_do_nothing()
    )  # fmt: skip
    batch = _holding(session, digest)
    assert batch is not None
    if batch.sealed_name is None and batch.unsealed_name is None:
        naming.first(session, keys, batch, name, now)
    if batch.workbook_id is None:
        raw_workbooks.keep(session, keys, objects, batch, data, now)
        ledger.record(session, "batch.dropped", caller=f"member:{created_by}", objects=[batch.id])
    return batch, _shown(session, keys, batch, reading, f"member:{created_by}")


def drop_again(
    session: Session,
    keys: KeyFolder,
    objects: Objects,
    batch_id: UUID,
    data: bytes,
    filename: str,
    caller: str,
    now: datetime,
    read: ReadFile | None = None,
) -> tuple[Batch, ImportPreview]:
    """A corrected file for a batch that exists, such as its problem rows: committing it merges them in."""
    batch = batches.locked(session, batch_id)
    reading = (read or read_new(source(session), data, filename)).reading
    digest = raw_workbooks.digest(keys, batch.tenant_id, data)
    if digest != batch.workbook_digest and _holding(session, digest) is not None:
        raise WorkbookKnown("This file came before, as a batch of its own.")
    if digest != batch.workbook_digest or batch.workbook_id is None:
        batch.workbook_digest = digest
        raw_workbooks.replace(session, keys, objects, batch, data, now)
    ledger.record(session, "batch.dropped", caller=caller, objects=[batch.id])
    return batch, _shown(session, keys, batch, reading, caller)


def preview(
    session: Session,
    keys: KeyFolder,
    objects: Objects,
    batch_id: UUID,
    how: ReadingChoices | None = None,
    read: ReadFile | None = None,
) -> ImportPreview:
    """What the kept file says, with the problems it has with the roster. Writes nothing. Raises `WorkbookGone`."""
    batch = batches.get(session, batch_id)
    read = read or read_kept(keys, objects, source(session, batch_id), how)
    _refuse_other_file(batch, read)
    return _laid_over(session, keys, batch, read.reading)[1]


def commit(
    session: Session,
    keys: KeyFolder,
    objects: Objects,
    batch_id: UUID,
    *,
    digest: str,
    invite: bool,
    caller: str,
    now: datetime,
    send_at: datetime | None = None,
    own_hour: bool = False,
    how: ReadingChoices | None = None,
    read: ReadFile | None = None,
) -> ImportResult:
    """Writes the rows without errors; the others stay listed. People known already keep their batch and are corrected.
    With `own_hour` the mails leave at the hour of `send_at` where each person is.

    `digest` is that of the preview: anything else than what it stands for is refused. Raises `NotWhatWasShown`,
    `QuestionsOpen`, `WorkbookGone`, `QuotaExceeded` and, with `invite`, `NoCredits`; then nothing is written.
    """
    batch = batches.locked(session, batch_id)
    if batch.undone_at is not None:
        raise BatchMissing
    read = read or read_kept(keys, objects, source(session, batch_id), how)
    _refuse_other_file(batch, read)
    reading = read.reading
    # Imports of one company wait for each other, so that two of them never add the same person.
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 9))"), {"key": str(batch.tenant_id)})
    merge, looked_at = _laid_over(session, keys, batch, reading)
    _refuse_other_than_shown(merge, digest, looked_at.digest)
    if reading.questions:
        raise QuestionsOpen("{question} Say which one, and import then.", question=reading.questions[0].message)
    tenants.check_quota(session, there=employees.how_many(session), adding=len(merge.new))
    corrected = merge.of(RowVerdict.CORRECTED, RowVerdict.ADDRESS_ASKED)
    before = {one.employee.id: one.employee.profile for one in corrected if one.employee is not None}
    created = merge.write(batch, now, caller=caller)
    lines.record(session, merge.contradicted, caller=caller)
    corrections.remember(session, batch, before, now)
    own = keys if own_hour else None
    invited = invitations.invite_all(session, created, now, send_at=send_at, keys=own) if invite else []
    if created or merge.updated or batch.imported_at is None:
        batch.imported_at = now
    _remember(batch, reading, how)
    session.add(batch)
    if created or merge.updated:
        ledger.record(session, "batch.imported", caller=caller, objects=[batch.id])
        deliveries.happened(session, Event.BATCH_IMPORTED, {"batch_id": batch.id}, now)
    return ImportResult(
        created=len(created),
        updated=merge.updated,
        unchanged=merge.unchanged,
        invited=len(invited),
        problems=merge.reading.problems,
        asked=len(merge.asked),
    )


def problem_rows(
    found: ImportPreview, read: ReadFile, how: ReadingChoices | None = None, *, told: Callable[[str], str] = str
) -> bytes:
    """The rows that could not be taken, with every column as it stands in the file and one that says why.

    Reads the file once more, so no transaction is open.
    """
    rows = sorted({problem.row for problem in found.reading.errors})
    # Rows that only the roster contradicts are good ones to the reader, so they are asked for by number.
    whole = _read(read.source, read.data, "", how, also=rows)
    return workbook.failed_rows(replace(whole, problems=found.reading.problems), told=told)


def undo(session: Session, keys: KeyFolder, batch_id: UUID, now: datetime, *, caller: str) -> UndoResult:
    """Removes whom the last import added, unless they opened their invitation, and takes its corrections back.

    Their rows go at once; their keys are destroyed by a job, which a crash cannot lose. Raises `TooLateToUndo`.
    """
    batch = batches.locked(session, batch_id)
    if batch.imported_at is None or now - batch.imported_at > UNDO_WITHIN:
        raise TooLateToUndo("An import can be undone within 15 minutes. You can still revoke the invitations.")
    everybody = batches.lines(session, batch_id, now)
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
    # Also where the invitation was taken back since: whoever came may have handed something in.
    opened = (col(Invitation.tenant_id) == batch.tenant_id, col(Invitation.opened_at).is_not(None))
    gone_on = set(session.exec(select(Invitation.employee_id).where(*opened)))
    leaving = [line for line in everybody if line.employee_id in fresh - gone_on and line.stage in untouched]
    gone = [line.employee_id for line in leaving]
    invitations.revoke(session, gone, now)
    for table, column in ((Mail, Mail.owner_id), (Employee, Employee.id)):
        session.execute(delete(table).where(col(table.tenant_id) == batch.tenant_id, col(column).in_(gone)))
    listings.forget(session, gone)
    for start in range(0, len(gone), 100):
        part = [str(one) for one in gone[start : start + 100]]
        jobs.send(session, batches.destroy_keys, *part, key=f"undo:{part[0]}")
    restored, still = corrections.take_back(session, keys, batch, now, caller=caller)
    if len(gone) == len(everybody) and not still:
        # The same file may be dropped anew, which then makes a new batch.
        batch.undone_at, batch.workbook_digest, batch.workbook_due_at = now, None, now
        batch.sealed_name = batch.unsealed_name = None
        session.add(batch)
        jobs.send(session, batches.destroy_keys, str(batch.id), key=f"undo:{batch.id}")
    ledger.record(session, "batch.undone", caller=caller, objects=[batch.id])
    return UndoResult(
        removed=len(gone),
        restored=restored,
        kept=len(fresh) - len(gone),
        still_corrected=still,
        mailed=sum(line.stage in (Stage.DELIVERED, Stage.BOUNCED) for line in leaving),
    )


def _shown(session: Session, keys: KeyFolder, batch: Batch, reading: Reading, caller: str) -> ImportPreview:
    """Of a file that just came: whose lines it would have given to somebody else is on record, whether it is imported."""
    merge, shown = _laid_over(session, keys, batch, reading)
    lines.record(session, merge.contradicted, caller=caller)
    return shown


def _laid_over(session: Session, keys: KeyFolder, batch: Batch, reading: Reading) -> tuple[Merge, ImportPreview]:
    merge = Merge(session, keys, reading)
    seal = keys.index_key(batch.tenant_id)
    read = [
        batch.workbook_digest, reading.sheet, reading.header_row, sorted(reading.mapping.items()),
        reading.with_hidden_rows, reading.encoding, [tuple(vars(row).values()) for row in reading.rows],
    ]  # fmt: skip
    done = [
        (
            one.row.row, one.verdict, str(one.employee.roster_id) if one.employee else "",
            asdict(one.before) if one.before else None, asdict(one.after) if one.after else None,
        )
        for one in merge.judged
    ]  # fmt: skip
    digest = ".".join(
        hmac.digest(seal, json.dumps(what, ensure_ascii=False).encode(), "sha256").hex()[:32] for what in (read, done)
    )
    return merge, ImportPreview(merge.reading, digest, merge.judged, merge.missing)


def _refuse_other_than_shown(merge: Merge, shown: str, digest: str) -> None:
    """The first half of a digest stands for the file as it was read, the second for what that does to the roster."""
    if not shown:
        raise NotWhatWasShown("An import follows a preview and names its digest. Look at the preview first.")
    if not hmac.compare_digest(shown.partition(".")[0].encode(), digest.partition(".")[0].encode()):
        raise NotWhatWasShown(
            "The file would be read in another way than you were shown. Look at the preview again, then import."
        )
    # Repeating an import that was done finds nothing left to do, and that is no contradiction.
    if not hmac.compare_digest(shown.encode(), digest.encode()) and (merge.new or merge.updated):
        raise NotWhatWasShown(
            "The list of people has changed since you looked, so the import would do something else. Look at the preview"
            " again, then import."
        )


def _refuse_other_file(batch: Batch, read: ReadFile) -> None:
    if batch.workbook_id != read.source.workbook_id:
        raise NotWhatWasShown("Another file came for this batch meanwhile. Look at the preview again, then import.")


def _read(
    source: Source, data: bytes, filename: str, how: ReadingChoices | None, *, also: list[int] | None = None
) -> Reading:
    """As the caller says, else as the company answered for a file with the same headings."""
    try:
        return workbook.read(data, filename, how, remembered=source.remembered, also=also or ())
    except WorkbookUnreadable as error:
        why = error.told
        raise WorkbookRefused(why.sentence, many=why.many, **why.values) from None
    except ChildFailed:
        raise Unavailable("The workbook cannot be read right now. Please try again in a moment.") from None


def _remembered(session: Session) -> dict[str, dict[str, str]]:
    """What the company said about columns, by the set of headings it was said about. No other file is read by it."""
    said = session.execute(
        select(Batch.shape, Batch.mapping)
        .where(
            col(Batch.tenant_id) == tenant_of(session),
            col(Batch.imported_at).is_not(None),
            col(Batch.undone_at).is_(None),
            col(Batch.shape).is_not(None),
        )
        .order_by(col(Batch.imported_at).desc())
        .limit(REMEMBERED)
    )
    found: dict[str, dict[str, str]] = {}
    for shape, mapping in said:
        found.setdefault(shape, dict(mapping))
    return found


def _remember(batch: Batch, reading: Reading, how: ReadingChoices | None) -> None:
    """Only what somebody said, or had said before: the program's own guess is made anew for each file."""
    if (how and how.mapping) or reading.remembered:
        batch.shape = reading.shape
        batch.mapping = {name: reading.mapping.get(name, "") for name in headings.CHOICES}


def _holding(session: Session, digest: str) -> Batch | None:
    """The batch that these bytes made."""
    return session.exec(
        select(Batch)
        .where(col(Batch.tenant_id) == tenant_of(session), col(Batch.workbook_digest) == digest)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
