"""The JSON edge of importing: a workbook is dropped, looked at, imported, and for a while undone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from batch.reading import workbook
from batch.reading.workbook import ColumnQuestion, ColumnRead, Problem
from batch.roster import batches, imports, merging, raw_workbooks
from batch.roster.api import DESK, BatchShown, TimeRefused, batch_shown, later
from batch.roster.imports import ImportPreview, ImportResult, ReadFile, Source, UndoResult
from likeness.ground.db import utc_now
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.described import FOR_PEOPLE, SLOW_BODY
from likeness.web.files import saved
from likeness.web.guards import kernel_of, signed_in
from likeness.web.threads import PAGES, READINGS
from likeness.web.uploads import Form, form_in, in_flight
from tenants.members import access
from tenants.members.access import desk
from tenants.members.permissions import Permission

LARGEST_WORKBOOK = 10 * 2**20
WORKBOOKS_AT_ONCE = 16
READS = {"room": READINGS.name}
"""Routes that read a workbook are worked apart from pages: it takes seconds."""
SAMPLE = 20
Short = Annotated[str, Meta(max_length=200)]


@dataclass
class PersonRead:
    row: int
    employee_key: str | None
    full_name: str
    email: str
    department: str | None
    site: str | None
    manager_email: str | None
    language: str | None


@dataclass
class ReadingShown:
    """What the file says; nothing of it is written yet. `sample` holds the first rows without errors.

    `digest` stands for all that is shown here: an import names it. While `questions` are open nothing is imported; a
    `mapping` that names the field answers one.
    """

    digest: str
    sheet: str
    sheets: list[str]
    hidden_sheets: list[str]
    header_row: int
    hidden_rows: int
    encoding: str
    mapping: dict[str, str]
    columns: list[ColumnRead]
    unknown_columns: list[str]
    questions: list[ColumnQuestion]
    notes: list[str]
    good_rows: int
    failed_rows: int
    sample: list[PersonRead]
    problems: list[Problem]


@dataclass
class Dropped:
    batch: BatchShown
    reading: ReadingShown


class FileAnswers(Struct, forbid_unknown_fields=True):
    """How the file is to be read, where the program's own guess is wrong: our field to the file's column, or to "".

    Hidden rows are read only with `hidden_rows`; a hidden sheet is read when it is named. `encoding` is of CSV files.
    """

    sheet: Short | None = None
    header_row: Annotated[int, Meta(ge=1, le=1_048_576)] | None = None
    mapping: dict[str, Short] | None = None
    hidden_rows: bool = False
    encoding: Short | None = None

    def meant(self) -> workbook.ReadingChoices:
        return workbook.ReadingChoices(self.sheet, self.header_row, self.mapping or {}, self.hidden_rows, self.encoding)


class Commit(FileAnswers, forbid_unknown_fields=True):
    """`digest` is that of the preview that is imported. `send_at` holds the invitations back until then. `pack` is one of
    `GET /packs`, or null for the looks for everybody; without it the batch keeps what it has."""

    digest: Short = ""
    invite: bool = False
    send_at: datetime | None = None
    pack: UUID | UnsetType | None = UNSET


@get("/template", guards=DESK, sync_to_thread=True)
def download_template(request: Request[Any, Any, Any], language: FromQuery[str] = "en") -> Response[bytes]:
    """An empty roster to fill in."""
    access.check(request, Permission.PEOPLE_IMPORT)
    return saved(workbook.template(language), "likeness-template.xlsx")


@post("/batches", guards=DESK, status_code=201, request_max_body_size=WITH_FILE, opt={"refuses": SLOW_BODY},
      summary="Drop a workbook (multipart: `workbook`, `name`, `due_on`)")  # fmt: skip
async def drop_workbook(request: Request[Any, Any, Any]) -> Dropped:
    """Writes nothing of anybody: shows what would be imported. The same file again gives the same batch."""
    caller = signed_in(request)
    source = await threads.run(PAGES, _source, request)
    with in_flight(caller.tenant, caller.id, request, LARGEST_WORKBOOK, WORKBOOKS_AT_ONCE):
        form = await form_in(request, "workbook", LARGEST_WORKBOOK)
        due_on = _day(form.values.get("due_on", ""))
        return await threads.run(READINGS, _dropped, request, source, form, due_on)


def _dropped(request: Request[Any, Any, Any], source: Source, form: Form, due_on: date | None) -> Dropped:
    kernel = kernel_of(request)
    read, name = imports.read_new(source, form.data, form.filename), form.values.get("name", "")
    with desk(request, Permission.PEOPLE_IMPORT) as (session, member):
        batch, shown = imports.drop(
            session, kernel.keys, kernel.objects, form.data, form.filename, name, due_on, member.id, utc_now(), read
        )
        return Dropped(batch_shown(kernel.keys, batch), _reading_shown(shown))


@post("/batches/{batch_id:uuid}/workbook", guards=DESK, status_code=200, request_max_body_size=WITH_FILE,
      opt={"refuses": SLOW_BODY}, summary="Drop a corrected workbook")  # fmt: skip
async def drop_again(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Dropped:
    """For the problem rows of a batch; committing merges them in."""
    caller = signed_in(request)
    source = await threads.run(PAGES, _source, request)
    with in_flight(caller.tenant, caller.id, request, LARGEST_WORKBOOK, WORKBOOKS_AT_ONCE):
        form = await form_in(request, "workbook", LARGEST_WORKBOOK)
        return await threads.run(READINGS, _dropped_again, request, batch_id, source, form)


def _dropped_again(request: Request[Any, Any, Any], batch_id: UUID, source: Source, form: Form) -> Dropped:
    kernel, caller = kernel_of(request), signed_in(request)
    read = imports.read_new(source, form.data, form.filename)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        batch, shown = imports.drop_again(
            session, kernel.keys, kernel.objects, batch_id, form.data, form.filename, str(caller), utc_now(), read
        )
        return Dropped(batch_shown(kernel.keys, batch), _reading_shown(shown))


@delete("/batches/{batch_id:uuid}/workbook", guards=DESK, sync_to_thread=True)
def discard(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> None:
    """The kept file goes without being imported, and a batch that holds nobody goes with it."""
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        batch = batches.locked(session, batch_id)
        raw_workbooks.discard(session, kernel.keys, kernel.objects, batch, utc_now(), caller=str(caller))


@post("/batches/{batch_id:uuid}/preview", guards=DESK, status_code=200, sync_to_thread=True, opt=READS)
def preview(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[FileAnswers]) -> ReadingShown:
    """The dry run, also against the roster. Writes nothing."""
    kernel = kernel_of(request)
    read = imports.read_kept(kernel.keys, kernel.objects, _source(request, batch_id), data.meant())
    return _reading_shown(_previewed(request, batch_id, read))


def _previewed(request: Request[Any, Any, Any], batch_id: UUID, read: ReadFile) -> ImportPreview:
    kernel = kernel_of(request)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        return imports.preview(session, kernel.keys, kernel.objects, batch_id, read=read)


@post("/batches/{batch_id:uuid}/commit", guards=DESK, status_code=200, sync_to_thread=True, opt=READS)
def commit(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[Commit]) -> ImportResult:
    """Imports the rows without errors of the preview whose digest is named. Doing it twice changes nothing."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    send_at = later(data.send_at, now)
    read = imports.read_kept(kernel.keys, kernel.objects, _source(request, batch_id), data.meant())
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        if not isinstance(data.pack, UnsetType):
            access.permit(session, caller, Permission.BATCHES_CHANGE)
            batches.choose_pack(session, batch_id, data.pack, caller=str(caller))
        return imports.commit(
            session,
            kernel.keys,
            kernel.objects,
            batch_id,
            digest=data.digest,
            invite=data.invite,
            caller=str(caller),
            now=now,
            send_at=send_at,
            how=data.meant(),
            read=read,
        )


@post("/batches/{batch_id:uuid}/problems", guards=DESK, status_code=200, sync_to_thread=True, opt=READS)
def download_problems_read_so(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[FileAnswers]
) -> Response[bytes]:
    """The rows with errors of a file that is read in another way than the program would."""
    return _problems(request, batch_id, data.meant())


@get("/batches/{batch_id:uuid}/problems", guards=DESK, sync_to_thread=True, opt=READS)
def download_problems(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    """A workbook of the rows with errors, with every column of the file and the reasons; correct it and drop it again."""
    return _problems(request, batch_id, workbook.ReadingChoices())


@get("/batches/{batch_id:uuid}/changes", guards=DESK, sync_to_thread=True, opt=READS)
def download_changes(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    """All that the import would do, as a workbook: who is new, corrected, unchanged or missing, and every warning."""
    return _changes(request, batch_id, workbook.ReadingChoices())


@post("/batches/{batch_id:uuid}/changes", guards=DESK, status_code=200, sync_to_thread=True, opt=READS)
def download_changes_read_so(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[FileAnswers]
) -> Response[bytes]:
    """The same of a file that is read in another way than the program would."""
    return _changes(request, batch_id, data.meant())


def _changes(request: Request[Any, Any, Any], batch_id: UUID, how: workbook.ReadingChoices) -> Response[bytes]:
    kernel, caller = kernel_of(request), str(signed_in(request))
    read = imports.read_kept(kernel.keys, kernel.objects, _source(request, batch_id), how)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        found = imports.preview(session, kernel.keys, kernel.objects, batch_id, read=read)
        rows = merging.change_rows(
            session, kernel.keys, found.judged, found.missing, found.reading.problems, utc_now(), caller=caller
        )
    return saved(rows, "changes.xlsx")


def _problems(request: Request[Any, Any, Any], batch_id: UUID, how: workbook.ReadingChoices) -> Response[bytes]:
    kernel = kernel_of(request)
    read = imports.read_kept(kernel.keys, kernel.objects, _source(request, batch_id), how)
    rows = imports.problem_rows(_previewed(request, batch_id, read), read, how)
    return saved(rows, "problem-rows.xlsx")


@post("/batches/{batch_id:uuid}/undo", guards=DESK, opt=FOR_PEOPLE, status_code=200, sync_to_thread=True)
def undo(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> UndoResult:
    """Within 15 minutes. It asks for no fresh sign-in, because the import asked for none (decision 0060)."""
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        return imports.undo(session, kernel.keys, batch_id, utc_now(), caller=str(caller))


def _source(request: Request[Any, Any, Any], batch_id: UUID | None = None) -> Source:
    """Before a byte of an upload or of a kept file is read: whoever asks may import."""
    with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
        return imports.source(session, batch_id)


def _reading_shown(shown: ImportPreview) -> ReadingShown:
    reading = shown.reading
    return ReadingShown(
        digest=shown.digest,
        sheet=reading.sheet,
        sheets=list(reading.sheets),
        hidden_sheets=list(reading.hidden_sheets),
        header_row=reading.header_row,
        hidden_rows=reading.hidden_rows,
        encoding=reading.encoding,
        mapping=reading.mapping,
        columns=list(reading.columns),
        unknown_columns=list(reading.unknown_columns),
        questions=list(reading.questions),
        notes=list(reading.notes),
        good_rows=len(reading.rows),
        failed_rows=len(reading.failed),
        sample=[PersonRead(**vars(row)) for row in reading.rows[:SAMPLE]],
        problems=list(reading.problems),
    )


def _day(typed: str) -> date | None:
    try:
        return date.fromisoformat(typed.strip()) if typed.strip() else None
    except ValueError:
        raise TimeRefused("Write the due day as 2026-12-31.") from None


routes: list[Any] = [
    discard,
    download_template,
    drop_workbook,
    drop_again,
    preview,
    commit,
    download_problems,
    download_problems_read_so,
    download_changes,
    download_changes_read_so,
    undo,
]
