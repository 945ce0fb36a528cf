"""The JSON edge of what deletes people without their asking: HR for a person or a batch, an owner for the company."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from batch.people import employees
from compliance.desk import deleting, leaving
from compliance.desk.deleting import DeletionPreview, Going
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
        going = deleting.whom(session, [employees.on_roster(session, person_id).id], utc_now())
    return shown(deleting.preview(kernel_of(request), going))


@post("/people/{person_id:uuid}/erasure", guards=[*DESK, fresh], status_code=202, sync_to_thread=True)
def delete_person(
    request: Request[Any, Any, Any], person_id: FromPath[UUID], data: JSONBody[ErasureConfirmed]
) -> Response[Counted]:
    """It begins at once. The header `Location` names the preview, whose `under_way` counts the person until they are gone;
    asked again meanwhile, nothing begins a second time, and the answer is 409, since nobody is left to delete."""
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        going = deleting.whom(session, [employees.on_roster(session, person_id).id], utc_now())
    return _deleted(request, going, data)


@get("/batches/{batch_id:uuid}/erasure", guards=DESK, sync_to_thread=True)
def preview_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Counted:
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        going = deleting.whom(session, deleting.people_of(session, batch_id), utc_now())
    return shown(deleting.preview(kernel_of(request), going))


@post("/batches/{batch_id:uuid}/erasure", guards=[*DESK, fresh], status_code=202, sync_to_thread=True)
def delete_batch(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[ErasureConfirmed]
) -> Response[Counted]:
    """Everybody of the batch whom the caller may see, one after the other from now on; each gets a mail when it begins with
    them. The header `Location` names the preview, whose `under_way` counts those who are not gone yet. Asked again
    meanwhile, nothing begins a second time, and the answer is 409, since nobody is left to delete; a request that is
    repeated with its `Idempotency-Key` gets the first answer."""
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        going = deleting.whom(session, deleting.people_of(session, batch_id), utc_now())
    return _deleted(request, going, data)


def _deleted(request: Request[Any, Any, Any], going: Going, wish: ErasureConfirmed) -> Response[Counted]:
    said = deleting.counted(kernel_of(request), going, wish.people, wish.objects)
    with desk(request, Permission.PEOPLE_ERASE) as (session, _):
        deleting.ask(session, going.people, utc_now(), caller=str(signed_in(request)), waits=timedelta())
    return Response(shown(said), status_code=202, headers={"location": request.url.path})


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
        going = leaving.everybody(session, utc_now())
    return shown(deleting.preview(kernel_of(request), going))


@post("/leaving", guards=[*DESK, fresh], status_code=202, sync_to_thread=True)
def leave(request: Request[Any, Any, Any], data: JSONBody[LeavingWish]) -> DepartureShown:
    """The company leaves in a day, with everything deleted. Until then an owner can call it off."""
    with desk(request, Permission.COMPANY_LEAVE) as (session, _):
        going = leaving.everybody(session, utc_now())
    said = deleting.preview(kernel_of(request), going)
    with desk(request, Permission.COMPANY_LEAVE) as (session, member):
        made, receipt = leaving.ask(
            session, kernel_of(request), member.id, utc_now(), name=data.name, counted=data.people, said=said,
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
