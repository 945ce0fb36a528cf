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

from batch.models import Employee
from batch.people import employees
from batch.sittings import copies
from batch.visit import invitations
from likeness.ground.db import utc_now
from likeness.ground.errors import Gone
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.web.guards import only, signed_in
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]

SAID_OF_PHOTOS = {
    "unreadable": N_("could not be read"),
    "no_face": N_("no face found"),
    "small_face": N_("face too small"),
    "several_faces": N_("several people in it"),
    "blurred": N_("blurred"),
    "too_dark": N_("face very dark"),
    "half_dark": N_("half of the face dark"),
    "too_bright": N_("burnt out to white"),
    "far_side": N_("turned far to the side"),
    "another_person": N_("may show another person"),
    "near_duplicate": N_("nearly the same as another"),
}
"""What HR may read of photos that do not count, by the code of the finding; what was mended is no reason."""


@dataclass(frozen=True)
class AskedBack:
    """Copies of one person that HR downloaded and was asked to delete."""

    person_id: UUID
    name: str
    """Empty once nobody can read it any more."""
    count: int
    downloaded_at: datetime
    asked_at: datetime


def asked_back(session: Session, kernel: Kernel, batch_id: UUID) -> list[AskedBack]:
    """What waits for HR's word, one line a person, the oldest first."""
    found: dict[UUID, AskedBack] = {}
    for request, employee in copies.waiting(session, batch_id):
        name, one = "", found.get(employee.id)
        with suppress(Gone):
            name = employees.profile(kernel.keys, employee).full_name
        count = one.count + 1 if one else 1
        downloaded_at = max(one.downloaded_at, request.downloaded_at) if one else request.downloaded_at
        asked_at = one.asked_at if one else request.asked_at
        found[employee.id] = AskedBack(employee.roster_id, name, count, downloaded_at, asked_at)
    return list(found.values())


@post("/desk/batches/{batch_id:uuid}/people/{person_id:uuid}/remind", sync_to_thread=True, guards=DESK)
def remind(request: Request[Any, Any, Any], batch_id: FromPath[UUID], person_id: FromPath[UUID]) -> Response[Any]:
    """A fresh link to the address of the roster."""
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        person = _person(session, batch_id, person_id)
        invitations.resend(session, person.id, utc_now(), caller=str(signed_in(request)))
    return Redirect(f"/desk/batches/{batch_id}?reminded=1", status_code=303)


@post("/desk/batches/{batch_id:uuid}/people/{person_id:uuid}/invite", sync_to_thread=True, guards=DESK)
def invite(request: Request[Any, Any, Any], batch_id: FromPath[UUID], person_id: FromPath[UUID]) -> Response[Any]:
    """Asks somebody again who did not take part; before their day comes the answer names it."""
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        person = _person(session, batch_id, person_id)
        invitations.invite(session, person, utc_now())
    return Redirect(f"/desk/batches/{batch_id}?asked_again=1", status_code=303)


@post("/desk/batches/{batch_id:uuid}/people/{person_id:uuid}/copies", sync_to_thread=True, guards=DESK)
def say_copies_deleted(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], person_id: FromPath[UUID]
) -> Response[Any]:
    """HR says that its copies are deleted, which the person reads on their page."""
    with desk(request, Permission.PEOPLE_CHANGE) as (session, member):
        person = _person(session, batch_id, person_id)
        count = copies.say_deleted(session, person.id, member.id, utc_now())
    return Redirect(f"/desk/batches/{batch_id}?copies={count}", status_code=303)


def _person(session: Session, batch_id: UUID, person_id: UUID) -> Employee:
    """Somebody of this batch. Raises `EmployeeMissing`."""
    person = employees.on_roster(session, person_id)
    if person.batch_id != batch_id:
        raise employees.EmployeeMissing
    return person


routes: list[Any] = [remind, invite, say_copies_deleted]
