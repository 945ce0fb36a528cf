"""The JSON edge of HR's part: batches, their people and where they stand. `routes` is a part of the floor's router."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct

from batch import batches, employees, funnel, invitations, workbook
from batch.batches import ImportResult, RosterLine
from batch.funnel import Line, Stage
from batch.models import Batch
from batch.uploads import form_in
from batch.workbook import Problem, Reading
from likeness.db import utc_now
from likeness.errors import Unprocessable
from likeness.identity import Caller, Kind
from likeness.kernel import Kernel
from likeness.web import kernel_of, only, signed_in
from tenants import access
from tenants.models import Role

DESK = [only(Kind.MEMBER)]
LARGEST_WORKBOOK = 10 * 2**20
SAMPLE = 20
FURTHEST = timedelta(days=60)
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class TimeRefused(Unprocessable):
    """A day or time that cannot be meant."""


@dataclass
class BatchShown:
    id: UUID
    name: str
    due_on: date | None
    created_at: datetime
    imported_at: datetime | None
    undo_until: datetime | None
    workbook_until: datetime | None


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
    """What the file says; nothing of it is written yet. `sample` holds the first rows without errors."""

    sheet: str
    sheets: list[str]
    header_row: int
    mapping: dict[str, str]
    columns: list[str]
    unknown_columns: list[str]
    good_rows: int
    failed_rows: int
    sample: list[PersonRead]
    problems: list[Problem]


@dataclass
class Dropped:
    batch: BatchShown
    reading: ReadingShown


class How(Struct, forbid_unknown_fields=True):
    """How the file is to be read, where the program's own guess is wrong: our field to the file's heading."""

    sheet: Annotated[str, Meta(max_length=200)] | None = None
    header_row: Annotated[int, Meta(ge=1, le=1_048_576)] | None = None
    mapping: dict[str, str] | None = None


class Commit(How, forbid_unknown_fields=True):
    """`send_at` holds the invitations back until then."""

    invite: bool = False
    send_at: datetime | None = None


class Invite(Struct, forbid_unknown_fields=True):
    send_at: datetime | None = None


class BatchWords(Struct, forbid_unknown_fields=True):
    name: str
    due_on: date | None = None


@dataclass
class StageShown:
    stage: Stage
    people: int
    median_seconds: int
    oldest_seconds: int


@dataclass
class FunnelShown:
    """The people of all stages sum to the roster."""

    roster: int
    stages: list[StageShown]


@dataclass
class NeedsHelp:
    employee_id: UUID
    stage: Stage
    since: datetime
    photos: int


@dataclass
class Count:
    people: int


@dataclass
class Person:
    id: UUID
    batch_id: UUID
    name: str
    email: str
    employee_key: str | None
    department: str | None
    site: str | None
    stage: Stage


@get("/template", guards=DESK, sync_to_thread=True)
def download_template(request: Request[Any, Any, Any], language: FromQuery[str] = "en") -> Response[bytes]:
    """An empty roster to fill in."""
    return _file(workbook.template(language), "likeness-template.xlsx")


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
        batch, reading = batches.drop(
            session, kernel.keys, kernel.objects, data, filename, name, due_on, caller.id, utc_now()
        )
        return Dropped(_batch_shown(batch), _reading_shown(reading))


@post("/batches/{batch_id:uuid}/workbook", guards=DESK, status_code=200, summary="Drop a corrected workbook")
async def drop_again(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Dropped:
    """For the problem rows of a batch; committing merges them in."""
    kernel, caller = kernel_of(request), signed_in(request)
    await asyncio.to_thread(_must_be_hr, kernel, caller)
    form = await form_in(request, "workbook", LARGEST_WORKBOOK)
    return await asyncio.to_thread(_dropped_again, kernel, caller, batch_id, form.data, form.filename)


def _dropped_again(kernel: Kernel, caller: Caller, batch_id: UUID, data: bytes, filename: str) -> Dropped:
    with kernel.db.transaction(caller.tenant) as session:
        batch, reading = batches.drop_again(
            session, kernel.keys, kernel.objects, batch_id, data, filename, str(caller), utc_now()
        )
        return Dropped(_batch_shown(batch), _reading_shown(reading))


@get("/batches", guards=DESK, sync_to_thread=True)
def list_batches(request: Request[Any, Any, Any]) -> list[BatchShown]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return [_batch_shown(batch) for batch in batches.list_batches(session)]


@get("/batches/{batch_id:uuid}", guards=DESK, sync_to_thread=True)
def show_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> BatchShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return _batch_shown(batches.get(session, batch_id))


@patch("/batches/{batch_id:uuid}", guards=DESK, sync_to_thread=True)
def change_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[BatchWords]) -> BatchShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return _batch_shown(batches.change(session, batch_id, name=data.name, due_on=data.due_on, caller=str(caller)))


@post("/batches/{batch_id:uuid}/preview", guards=DESK, status_code=200, sync_to_thread=True)
def preview(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[How]) -> ReadingShown:
    """The dry run, also against the roster. Writes nothing."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        reading = batches.preview(
            session,
            kernel.keys,
            kernel.objects,
            batch_id,
            sheet=data.sheet,
            header_row=data.header_row,
            mapping=data.mapping,
        )
    return _reading_shown(reading)


@post("/batches/{batch_id:uuid}/commit", guards=DESK, status_code=200, sync_to_thread=True)
def commit(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[Commit]) -> ImportResult:
    """Imports the rows without errors; the others stay listed. Doing it twice changes nothing."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return batches.commit(
            session,
            kernel.keys,
            kernel.objects,
            batch_id,
            invite=data.invite,
            caller=str(caller),
            now=now,
            send_at=_later(data.send_at, now),
            sheet=data.sheet,
            header_row=data.header_row,
            mapping=data.mapping,
        )


@get("/batches/{batch_id:uuid}/problems", guards=DESK, sync_to_thread=True)
def download_problems(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    """A workbook of the rows with errors and the reasons; correct it and drop it again."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        rows = batches.problem_rows(session, kernel.keys, kernel.objects, batch_id)
    return _file(rows, "problem-rows.xlsx")


@post("/batches/{batch_id:uuid}/undo", guards=DESK, status_code=200, sync_to_thread=True)
def undo(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> batches.UndoResult:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return batches.undo(session, batch_id, utc_now(), caller=str(caller))


@post("/batches/{batch_id:uuid}/invite", guards=DESK, status_code=200, sync_to_thread=True)
def invite(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[Invite]) -> Count:
    """Invites everybody who was not invited yet."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return Count(batches.invite(session, batch_id, now, send_at=_later(data.send_at, now)))


@post("/batches/{batch_id:uuid}/revoke", guards=DESK, status_code=200, sync_to_thread=True)
def revoke(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Count:
    """Takes back every invitation that was not answered yet."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return Count(batches.revoke(session, batch_id, utc_now(), caller=str(caller)))


@get("/batches/{batch_id:uuid}/people", guards=DESK, sync_to_thread=True)
def list_people(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> list[RosterLine]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return batches.people(session, kernel.keys, batch_id, utc_now())


@get("/batches/{batch_id:uuid}/funnel", guards=DESK, sync_to_thread=True)
def show_funnel(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> FunnelShown:
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        lines = batches.lines(session, batch_id, now)
    ages = funnel.ages(lines, now)
    nobody = funnel.Age(timedelta(), timedelta())
    stages = [
        StageShown(
            stage=stage,
            people=people,
            median_seconds=int(ages.get(stage, nobody).median.total_seconds()),
            oldest_seconds=int(ages.get(stage, nobody).oldest.total_seconds()),
        )
        for stage, people in funnel.counts(lines).items()
    ]
    return FunnelShown(len(lines), stages)


@get("/batches/{batch_id:uuid}/attention", guards=DESK, sync_to_thread=True)
def list_attention(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> list[NeedsHelp]:
    """Those whom somebody at HR could help: bounced, stuck, failed, or short of photos."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return [_needs_help(line) for line in funnel.attention(batches.lines(session, batch_id, now), now)]


@get("/batches/{batch_id:uuid}/status", guards=DESK, sync_to_thread=True)
def download_status(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    """The roster as a workbook, with where everybody stands."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        status = batches.status_export(session, kernel.keys, batch_id, utc_now())
    return _file(status, "status.xlsx")


@get("/employees/{employee_id:uuid}", guards=DESK, sync_to_thread=True)
def show_person(request: Request[Any, Any, Any], employee_id: FromPath[UUID]) -> Person:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        employee = employees.get(session, employee_id)
        who = employees.profile(kernel.keys, employee)
        return Person(
            id=employee.id,
            batch_id=employee.batch_id,
            name=who.full_name,
            email=who.email,
            employee_key=who.employee_key,
            department=who.department,
            site=who.site,
            stage=employees.stage(session, employee.id, utc_now()),
        )


@post("/employees/{employee_id:uuid}/invite", guards=DESK, status_code=204, sync_to_thread=True)
def invite_person(request: Request[Any, Any, Any], employee_id: FromPath[UUID]) -> None:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        invitations.invite(session, employees.get(session, employee_id), utc_now())


@post("/employees/{employee_id:uuid}/resend", guards=DESK, status_code=204, sync_to_thread=True)
def resend_link(request: Request[Any, Any, Any], employee_id: FromPath[UUID]) -> None:
    """A fresh link to the address of the roster."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        invitations.resend(session, employee_id, utc_now(), caller=str(caller))


@post("/employees/{employee_id:uuid}/revoke", guards=DESK, status_code=204, sync_to_thread=True)
def revoke_person(request: Request[Any, Any, Any], employee_id: FromPath[UUID]) -> None:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        invitations.revoke(session, [employees.get(session, employee_id).id], utc_now())


def _must_be_hr(kernel: Kernel, caller: Caller) -> None:
    """Before a byte of the upload is read."""
    with kernel.db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)


def _batch_shown(batch: Batch) -> BatchShown:
    return BatchShown(
        id=batch.id,
        name=batch.name,
        due_on=batch.due_on,
        created_at=batch.created_at,
        imported_at=batch.imported_at,
        undo_until=batch.imported_at + batches.UNDO_WITHIN if batch.imported_at else None,
        workbook_until=batch.workbook_due_at,
    )


def _reading_shown(reading: Reading) -> ReadingShown:
    return ReadingShown(
        sheet=reading.sheet,
        sheets=list(reading.sheets),
        header_row=reading.header_row,
        mapping=reading.mapping,
        columns=list(reading.columns),
        unknown_columns=list(reading.unknown_columns),
        good_rows=len(reading.rows),
        failed_rows=len(reading.failed),
        sample=[PersonRead(**vars(row)) for row in reading.rows[:SAMPLE]],
        problems=list(reading.problems),
    )


def _needs_help(line: Line) -> NeedsHelp:
    return NeedsHelp(line.employee_id, line.stage, line.since, line.photos)


def _file(data: bytes, name: str) -> Response[bytes]:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(data, media_type=XLSX, headers=headers)


def _day(typed: str) -> date | None:
    try:
        return date.fromisoformat(typed.strip()) if typed.strip() else None
    except ValueError:
        raise TimeRefused("Write the due day as 2026-12-31.") from None


def _later(send_at: datetime | None, now: datetime) -> datetime | None:
    if send_at is None:
        return None
    if send_at.tzinfo is None or not now - timedelta(minutes=5) <= send_at <= now + FURTHEST:
        raise TimeRefused("Invitations can be sent within the next 60 days; name the time zone.")
    return send_at


routes: list[Any] = [
    download_template,
    drop_workbook,
    drop_again,
    list_batches,
    show_batch,
    change_batch,
    preview,
    commit,
    download_problems,
    undo,
    invite,
    revoke,
    list_people,
    show_funnel,
    list_attention,
    download_status,
    show_person,
    invite_person,
    resend_link,
    revoke_person,
]
