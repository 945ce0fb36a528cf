"""What HR does about one person: a fresh link, another invitation, and copies that the person asks to have deleted."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, post
from litestar.params import FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch import copies, employees, invitations
from batch.models import Employee
from likeness.db import utc_now
from likeness.errors import Gone
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web import kernel_of, only, signed_in
from tenants import access
from tenants.models import Role

DESK = [only(Kind.MEMBER)]


@dataclass(frozen=True)
class AskedBack:
    """Copies of one person that HR downloaded and was asked to delete."""

    employee_id: UUID
    name: str
    count: int
    downloaded_at: datetime
    asked_at: datetime


def asked_back(session: Session, kernel: Kernel, batch_id: UUID) -> list[AskedBack]:
    """What waits for HR's word, one line a person, the oldest first."""
    found: dict[UUID, AskedBack] = {}
    for request, employee in copies.waiting(session, batch_id):
        name, one = "A deleted person", found.get(employee.id)
        with suppress(Gone):
            name = employees.profile(kernel.keys, employee).full_name
        count = one.count + 1 if one else 1
        downloaded_at = max(one.downloaded_at, request.downloaded_at) if one else request.downloaded_at
        asked_at = one.asked_at if one else request.asked_at
        found[employee.id] = AskedBack(employee.id, name, count, downloaded_at, asked_at)
    return list(found.values())


@post("/desk/batches/{batch_id:uuid}/people/{employee_id:uuid}/remind", sync_to_thread=True, guards=DESK)
def remind(request: Request[Any, Any, Any], batch_id: FromPath[UUID], employee_id: FromPath[UUID]) -> Response[Any]:
    """A fresh link to the address of the roster."""
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        person = _person(request, session, batch_id, employee_id)
        invitations.resend(session, person.id, utc_now(), caller=str(signed_in(request)))
    return Redirect(f"/desk/batches/{batch_id}?reminded=1", status_code=303)


@post("/desk/batches/{batch_id:uuid}/people/{employee_id:uuid}/invite", sync_to_thread=True, guards=DESK)
def invite(request: Request[Any, Any, Any], batch_id: FromPath[UUID], employee_id: FromPath[UUID]) -> Response[Any]:
    """Asks somebody again who did not take part; before their day comes the answer names it."""
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        person = _person(request, session, batch_id, employee_id)
        invitations.invite(session, person, utc_now())
    return Redirect(f"/desk/batches/{batch_id}?asked_again=1", status_code=303)


@post("/desk/batches/{batch_id:uuid}/people/{employee_id:uuid}/copies", sync_to_thread=True, guards=DESK)
def say_copies_deleted(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], employee_id: FromPath[UUID]
) -> Response[Any]:
    """HR says that its copies are deleted, which the person reads on their page."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        person = _person(request, session, batch_id, employee_id)
        count = copies.say_deleted(session, person.id, caller.id, utc_now())
    return Redirect(f"/desk/batches/{batch_id}?copies={count}", status_code=303)


def _person(request: Request[Any, Any, Any], session: Session, batch_id: UUID, employee_id: UUID) -> Employee:
    """Somebody of this batch, for HR. Raises `EmployeeMissing`."""
    access.require(session, signed_in(request), Role.HR)
    person = employees.get(session, employee_id)
    if person.batch_id != batch_id:
        raise employees.EmployeeMissing
    return person


routes: list[Any] = [remind, invite, say_copies_deleted]
