"""The JSON edge of what deletes people without their asking: HR for a person or a batch, an owner for the company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from batch.people import employees
from compliance.desk import deleting, leaving
from compliance.desk.deleting import DeletionPreview
from compliance.models import Certificate, Departure
from compliance.proof import stored
from likeness.ground.db import utc_now
from likeness.identity import Kind, tenant_in
from likeness.web.guards import fresh, kernel_of, only, signed_in
from likeness.web.streaming import PRIVATE, download
from tenants.members import access
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.tries import counted

DESK = [only(Kind.MEMBER)]
PUBLIC = {"public": True}


@dataclass
class Counted:
    """What would go, or goes: `people` with `objects` pictures and models. `held` ones wait for the end of a legal hold."""

    people: int
    held: int
    under_way: int
    objects: int
    by_class: dict[str, int]
    bytes: int


def shown(said: DeletionPreview) -> Counted:
    return Counted(said.people, said.held, said.under_way, said.total, said.objects, said.size)


@dataclass
class ErasureConfirmed:
    """The numbers of the preview; where they are others now nothing is deleted."""

    people: int
    objects: int


@get("/people/{person_id:uuid}/erasure", guards=DESK, sync_to_thread=True)
def preview_person(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> Counted:
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        person = employees.on_roster(session, person_id)
        return shown(deleting.preview(session, kernel_of(request), [person.id], utc_now()))


@post("/people/{person_id:uuid}/erasure", guards=[*DESK, fresh], status_code=202, sync_to_thread=True)
def delete_person(request: Request[Any, Any, Any], person_id: FromPath[UUID], data: JSONBody[ErasureConfirmed]) -> Counted:
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        person = employees.on_roster(session, person_id)
        return _deleted(request, session, [person.id], data)


@get("/batches/{batch_id:uuid}/erasure", guards=DESK, sync_to_thread=True)
def preview_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Counted:
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        people = deleting.people_of(session, batch_id)
        return shown(deleting.preview(session, kernel_of(request), people, utc_now()))


@post("/batches/{batch_id:uuid}/erasure", guards=[*DESK, fresh], status_code=202, sync_to_thread=True)
def delete_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[ErasureConfirmed]) -> Counted:
    """Everybody of the batch whom the caller may see."""
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        return _deleted(request, session, deleting.people_of(session, batch_id), data)


def _deleted(request: Request[Any, Any, Any], session: Any, people: list[UUID], wish: ErasureConfirmed) -> Counted:
    said = deleting.delete(
        session, kernel_of(request), people, utc_now(), caller=str(signed_in(request)),
        counted_people=wish.people, counted_objects=wish.objects,
    )  # fmt: skip
    return shown(said)


# The company


@dataclass
class LeavingWish:
    """`name` is the company's, typed; `people` the number of the preview."""

    name: str
    people: int
    hand_back: bool


@dataclass
class DepartureShown:
    """`certificate` is the newest one, `first_certificate` the one before it once a second one followed."""

    id: UUID
    asked_at: datetime
    begins_at: datetime
    hand_back: bool
    handed_back_at: datetime | None
    begun_at: datetime | None
    ended_at: datetime | None
    certificate: str | None
    first_certificate: str | None = None
    receipt: str | None = None
    """Shown once: with it the certificate is fetched when nobody can sign in any more."""


def departure_shown(one: Departure, texts: Sequence[str] = (), receipt: str | None = None) -> DepartureShown:
    """`texts` are those of its certificates, oldest first."""
    return DepartureShown(
        one.id,
        one.asked_at,
        one.begins_at,
        one.hand_back,
        one.returned_at,
        one.begun_at,
        one.ended_at,
        texts[-1] if texts else None,
        texts[0] if len(texts) > 1 else None,
        receipt,
    )


@get("/leaving", guards=DESK, sync_to_thread=True)
def preview_leaving(request: Request[Any, Any, Any]) -> Counted:
    """Everybody of the company, with what is stored of them."""
    with desk(request, Permission.COMPANY_LEAVE) as (session, _):
        return shown(leaving.preview(session, kernel_of(request), utc_now()))


@post("/leaving", guards=[*DESK, fresh], status_code=202, sync_to_thread=True)
def leave(request: Request[Any, Any, Any], data: JSONBody[LeavingWish]) -> DepartureShown:
    """The company leaves in a day, with everything deleted. Until then an owner can call it off."""
    with desk(request, Permission.COMPANY_LEAVE) as (session, member):
        made, receipt = leaving.ask(
            session, kernel_of(request), member.id, utc_now(), name=data.name, counted=data.people,
            hand_back=data.hand_back,
        )  # fmt: skip
        return departure_shown(made, receipt=receipt)


@post("/leaving/call-off", guards=DESK, status_code=200, sync_to_thread=True)
def call_off(request: Request[Any, Any, Any]) -> DepartureShown:
    with desk(request, Permission.COMPANY_LEAVE) as (session, member):
        return departure_shown(leaving.call_off(session, member.id, utc_now()))


@get("/leaving/package", guards=[*DESK, fresh], sync_to_thread=True)
def hand_back(request: Request[Any, Any, Any]) -> Stream:
    """The list of people and the released headshots, as a ZIP, for a company that leaves. The log is legal's:
    `GET /ledger/export`."""
    access.check(request, Permission.COMPANY_PACKAGE)
    kernel, caller = kernel_of(request), signed_in(request)
    return download(
        lambda: leaving.pieces(kernel, caller.tenant, utc_now(), caller=str(caller)),
        tenant=caller.tenant,
        filename="company.zip",
        media_type="application/zip",
    )


@get("/departures/{token:str}", opt=PUBLIC, sync_to_thread=True)
def show_departure(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[DepartureShown]:
    """How far a departure is, and at last its signed certificates: for whoever holds the receipt. Raises
    `CertificateChanged`."""
    departure, issued = behind(request, token)
    texts = [stored.text(kernel_of(request), one) for one in issued]
    return Response(departure_shown(departure, texts), headers=PRIVATE)


def behind(request: Request[Any, Any, Any], token: str) -> tuple[Departure, list[Certificate]]:
    """Only wrong receipts count as tries. Raises `DepartureUnknown`."""
    tenant = tenant_in(token)
    if tenant is None:
        raise leaving.DepartureUnknown("There is no such receipt.")
    with counted(request), kernel_of(request).db.transaction(tenant) as session:
        departure = leaving.by_receipt(session, token)
    with kernel_of(request).db.transaction(tenant) as session:
        return departure, leaving.certificates_of(session, departure)


handlers = [
    preview_person, delete_person, preview_batch, delete_batch, preview_leaving, leave, call_off, hand_back,
    show_departure,
]  # fmt: skip
