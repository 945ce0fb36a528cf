"""The JSON edge of HR's part: batches, their people and where they stand. `routes` is a part of the floor's router."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from batch import batches, employees, funnel, imports, invitations
from batch.batches import RosterLine
from batch.funnel import Line, Stage
from batch.models import Batch
from likeness.db import utc_now
from likeness.errors import Unprocessable
from likeness.identity import Kind
from likeness.web import kernel_of, only, signed_in
from tenants import access
from tenants.models import Role

DESK = [only(Kind.MEMBER)]
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


@get("/batches", guards=DESK, sync_to_thread=True)
def list_batches(request: Request[Any, Any, Any]) -> list[BatchShown]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return [batch_shown(batch) for batch in batches.list_batches(session)]


@get("/batches/{batch_id:uuid}", guards=DESK, sync_to_thread=True)
def show_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> BatchShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return batch_shown(batches.get(session, batch_id))


@patch("/batches/{batch_id:uuid}", guards=DESK, sync_to_thread=True)
def change_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[BatchWords]) -> BatchShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return batch_shown(batches.change(session, batch_id, name=data.name, due_on=data.due_on, caller=str(caller)))


@post("/batches/{batch_id:uuid}/invite", guards=DESK, status_code=200, sync_to_thread=True)
def invite(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[Invite]) -> Count:
    """Invites everybody who was not invited yet."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        access.require(session, caller, Role.HR)
        return Count(batches.invite(session, batch_id, now, send_at=later(data.send_at, now)))


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
    return file_answer(status, "status.xlsx")


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


def batch_shown(batch: Batch) -> BatchShown:
    return BatchShown(
        id=batch.id,
        name=batch.name,
        due_on=batch.due_on,
        created_at=batch.created_at,
        imported_at=batch.imported_at,
        undo_until=batch.imported_at + imports.UNDO_WITHIN if batch.imported_at else None,
        workbook_until=batch.workbook_due_at,
    )


def _needs_help(line: Line) -> NeedsHelp:
    return NeedsHelp(line.employee_id, line.stage, line.since, line.photos)


def file_answer(data: bytes, name: str) -> Response[bytes]:
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(data, media_type=XLSX, headers=headers)


def later(send_at: datetime | None, now: datetime) -> datetime | None:
    if send_at is None:
        return None
    if send_at.tzinfo is None or not now - timedelta(minutes=5) <= send_at <= now + FURTHEST:
        raise TimeRefused("Invitations can be sent within the next 60 days; name the time zone.")
    return send_at


routes: list[Any] = [
    list_batches,
    show_batch,
    change_batch,
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
