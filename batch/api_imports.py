"""The JSON edge of importing: a workbook is dropped, looked at, imported, and for a while undone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from batch import imports, workbook
from batch.api_desk import DESK, BatchShown, TimeRefused, batch_shown, file_answer, later
from batch.imports import ImportResult, Preview, UndoResult
from batch.uploads import form_in
from batch.workbook import ColumnRead, Problem, Question
from likeness.db import utc_now
from likeness.identity import Caller
from likeness.kernel import Kernel
from likeness.web import kernel_of, signed_in
from tenants import access
from tenants.models import Role

LARGEST_WORKBOOK = 10 * 2**20
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
    questions: list[Question]
    notes: list[str]
    good_rows: int
    failed_rows: int
    sample: list[PersonRead]
    problems: list[Problem]


@dataclass
class Dropped:
    batch: BatchShown
    reading: ReadingShown


class How(Struct, forbid_unknown_fields=True):
    """How the file is to be read, where the program's own guess is wrong: our field to the file's column, or to "".

    Hidden rows are read only with `hidden_rows`; a hidden sheet is read when it is named. `encoding` is of CSV files.
    """

    sheet: Short | None = None
    header_row: Annotated[int, Meta(ge=1, le=1_048_576)] | None = None
    mapping: dict[str, Short] | None = None
    hidden_rows: bool = False
    encoding: Short | None = None

    def meant(self) -> workbook.How:
        return workbook.How(self.sheet, self.header_row, self.mapping or {}, self.hidden_rows, self.encoding)


class Commit(How, forbid_unknown_fields=True):
    """`digest` is that of the preview that is imported. `send_at` holds the invitations back until then."""

    digest: Short = ""
    invite: bool = False
    send_at: datetime | None = None


@get("/template", guards=DESK, sync_to_thread=True)
def download_template(request: Request[Any, Any, Any], language: FromQuery[str] = "en") -> Response[bytes]:
    """An empty roster to fill in."""
    return file_answer(workbook.template(language), "likeness-template.xlsx")


@post("/batches", guards=DESK, status_code=201, summary="Drop a workbook (multipart: `workbook`, `name`, `due_on`)")
async def drop_workbook(request: Request[Any, Any, Any]) -> Dropped:
    """Writes nothing of anybody: shows what would be imported. The same file again gives the same batch."""
    kernel, caller = kernel_of(request), signed_in(request)
    await asyncio.to_thread(_must_be_hr, kernel, caller)
    form = await form_in(request, "workbook", LARGEST_WORKBOOK)
    due_on = _day(form.values.get("due_on", ""))
    return await asyncio.to_thread(
        _dropped, kernel, caller, form.data, form.filename, form.values.get("name", ""), due_on
    )


def _dropped(kernel: Kernel, caller: Caller, data: bytes, filename: str, name: str, due_on: date | None) -> Dropped:
    with kernel.db.transaction(caller.tenant) as session:
        batch, shown = imports.drop(
            session, kernel.keys, kernel.objects, data, filename, name, due_on, caller.id, utc_now()
        )
        return Dropped(batch_shown(batch), _reading_shown(shown))


@post("/batches/{batch_id:uuid}/workbook", guards=DESK, status_code=200, summary="Drop a corrected workbook")
async def drop_again(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Dropped:
    """For the problem rows of a batch; committing merges them in."""
    kernel, caller = kernel_of(request), signed_in(request)
    await asyncio.to_thread(_must_be_hr, kernel, caller)
    form = await form_in(request, "workbook", LARGEST_WORKBOOK)
    return await asyncio.to_thread(_dropped_again, kernel, caller, batch_id, form.data, form.filename)


def _dropped_again(kernel: Kernel, caller: Caller, batch_id: UUID, data: bytes, filename: str) -> Dropped:
    with kernel.db.transaction(caller.tenant) as session:
        batch, shown = imports.drop_again(
            session, kernel.keys, kernel.objects, batch_id, data, filename, str(caller), utc_now()
        )
        return Dropped(batch_shown(batch), _reading_shown(shown))


@post("/batches/{batch_id:uuid}/preview", guards=DESK, status_code=200, sync_to_thread=True)
def preview(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[How]) -> ReadingShown:
    """The dry run, also against the roster. Writes nothing."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        shown = imports.preview(session, kernel.keys, kernel.objects, batch_id, data.meant())
    return _reading_shown(shown)


@post("/batches/{batch_id:uuid}/commit", guards=DESK, status_code=200, sync_to_thread=True)
def commit(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[Commit]) -> ImportResult:
    """Imports the rows without errors of the preview whose digest is named. Doing it twice changes nothing."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return imports.commit(
            session,
            kernel.keys,
            kernel.objects,
            batch_id,
            digest=data.digest,
            invite=data.invite,
            caller=str(caller),
            now=now,
            send_at=later(data.send_at, now),
            how=data.meant(),
        )


@post("/batches/{batch_id:uuid}/problems", guards=DESK, status_code=200, sync_to_thread=True)
def download_problems_read_so(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[How]
) -> Response[bytes]:
    """The rows with errors of a file that is read in another way than the program would."""
    return _problems(request, batch_id, data.meant())


@get("/batches/{batch_id:uuid}/problems", guards=DESK, sync_to_thread=True)
def download_problems(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    """A workbook of the rows with errors, with every column of the file and the reasons; correct it and drop it again."""
    return _problems(request, batch_id, workbook.How())


def _problems(request: Request[Any, Any, Any], batch_id: UUID, how: workbook.How) -> Response[bytes]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        rows = imports.problem_rows(session, kernel.keys, kernel.objects, batch_id, how)
    return file_answer(rows, "problem-rows.xlsx")


@post("/batches/{batch_id:uuid}/undo", guards=DESK, status_code=200, sync_to_thread=True)
def undo(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> UndoResult:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return imports.undo(session, kernel.keys, batch_id, utc_now(), caller=str(caller))


def _must_be_hr(kernel: Kernel, caller: Caller) -> None:
    """Before a byte of the upload is read."""
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)


def _reading_shown(shown: Preview) -> ReadingShown:
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
    download_template,
    drop_workbook,
    drop_again,
    preview,
    commit,
    download_problems,
    download_problems_read_so,
    undo,
]
