"""The JSON edge of a change of address: the person's own answer, by the link in their mail or in their visit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Struct
from sqlmodel import Session

from batch.models import AddressChange
from batch.visit import addresses
from likeness.ground.db import utc_now
from likeness.identity import Kind, tenant_in
from likeness.kernel import Kernel
from likeness.web.guards import kernel_of, only, signed_in
from tenants import tenants
from tenants.tries import counted

EMPLOYEE = [only(Kind.EMPLOYEE)]
PUBLIC = {"public": True}
PRIVATE = {"cache-control": "no-store"}


@dataclass
class AddressQuestion:
    """Whether another address is the person's; silence until `until` empties their visit."""

    controller: str
    address: str
    until: datetime


class AddressAnswer(Struct, forbid_unknown_fields=True):
    answer: Literal["confirm", "refuse"]


@get("/address-changes/{token:str}", opt=PUBLIC, sync_to_thread=True)
def look_at_question(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[AddressQuestion]:
    """Changes nothing."""
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        return Response(_question(session, kernel, addresses.look_up(session, token)), headers=PRIVATE)


@post("/address-changes/{token:str}", opt=PUBLIC, status_code=204, sync_to_thread=True)
def answer_question(request: Request[Any, Any, Any], token: FromPath[str], data: JSONBody[AddressAnswer]) -> None:
    kernel = kernel_of(request)
    with counted(request), kernel.db.transaction(_tenant(token)) as session:
        _answer(session, kernel, addresses.look_up(session, token), data.answer)


@get("/visit/address", guards=EMPLOYEE, sync_to_thread=True)
def show_own_question(request: Request[Any, Any, Any]) -> AddressQuestion:
    """Raises `ChangeUnknown` when nothing is asked."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        return _question(session, kernel, _own(session, caller.id))


@post("/visit/address", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def answer_own_question(request: Request[Any, Any, Any], data: JSONBody[AddressAnswer]) -> None:
    """For somebody who is signed in; this session goes on, all others end."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        _answer(session, kernel, _own(session, caller.id), data.answer, keep=caller.session)


def _own(session: Session, employee_id: UUID) -> AddressChange:
    change = addresses.pending_of(session, employee_id)
    if change is None:
        raise addresses.ChangeUnknown("No change of address waits for your answer.")
    return change


def _answer(session: Session, kernel: Kernel, change: AddressChange, answer: str, keep: UUID | None = None) -> None:
    if answer == "confirm":
        addresses.confirm(session, kernel.keys, change, utc_now(), keep=keep)
    else:
        addresses.refuse(session, change, utc_now())


def _question(session: Session, kernel: Kernel, change: AddressChange) -> AddressQuestion:
    return AddressQuestion(tenants.get(session).name, addresses.new_address(kernel.keys, change), change.until)


def _tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise addresses.AddressLinkUnknown("This link is not complete. Copy the whole address and try again.")
    return tenant


routes: list[Any] = [look_at_question, answer_question, show_own_question, answer_own_question]
