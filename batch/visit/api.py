"""The JSON edge of an employee's visit up to their consent. `routes` is a part of the floor's router."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from litestar import Request, Response, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Struct

from batch.people import employees
from batch.people.funnel import Stage
from batch.visit import arrivals, consents, invitations, notices
from likeness.ground.db import utc_now
from likeness.identity import Kind, LinkUnknown, start_session, tenant_in
from likeness.kernel import Kernel
from likeness.web.guards import cookie, end_before, kernel_of, only, own, signed_in
from tenants import tenants
from tenants.tries import counted

EMPLOYEE = [only(Kind.EMPLOYEE)]
PUBLIC = {"public": True}
PRIVATE = {"cache-control": "no-store"}


@dataclass
class LinkShown:
    """`used` and `expired` links offer to mail a fresh one to the same address."""

    state: Literal["open", "used", "expired"]
    controller: str


@dataclass
class VisitBegun:
    go_to: str


@dataclass
class Renewed:
    message: str


@dataclass
class NoticeShown:
    """What to read before answering; `purposes` are asked one at a time, and none is ticked."""

    id: UUID
    version: str
    language: str
    text: str
    digest: str
    purposes: dict[str, str]


@dataclass
class Visit:
    name: str
    language: str
    controller: str
    stage: Stage
    consented: bool
    opted_out: bool
    source_days: int
    headshot_days: int


@dataclass
class GivenConsent:
    purpose: str
    notice_id: UUID
    given_at: datetime
    withdrawn_at: datetime | None


class ConsentAnswer(Struct, forbid_unknown_fields=True):
    purposes: list[str]
    notice_id: UUID
    typed_name: str
    named_otherwise: bool = False
    """The list has the name wrong: what was typed is the person's own."""


@get("/links/{token:str}", opt=PUBLIC, sync_to_thread=True)
def look_at_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[LinkShown]:
    """Consumes nothing."""
    with counted(request):
        shown = _looked_up(kernel_of(request), token)
    return Response(shown, headers=PRIVATE)


def _looked_up(kernel: Kernel, token: str) -> LinkShown:
    with kernel.db.transaction(_tenant(token)) as session:
        found = invitations.look_up(session, token, utc_now())
        return LinkShown(found.state, tenants.get(session).name)


@post("/links/{token:str}", opt=PUBLIC, status_code=200, sync_to_thread=True)
def open_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[VisitBegun]:
    """Consumes the link and signs the employee in."""
    kernel = kernel_of(request)
    with counted(request):
        value = enter(kernel, token, utc_now())
    end_before(request)
    response = Response(VisitBegun("/visit"), headers=PRIVATE)
    response.set_cookie(**cookie(kernel.settings, value))
    return response


def enter(kernel: Kernel, token: str, now: datetime, *, language: str | None = None) -> str:
    """The cookie of a new session for whom the link is; `language` is what they chose on its page.

    Raises `LinkUnknown`, `LinkUsed` or `LinkExpired`.
    """
    with kernel.db.transaction(_tenant(token)) as session:
        employee_id = invitations.accept(session, token, now)
        arrivals.by_link(session, kernel, employee_id, now)
        if language is not None:
            employees.choose_language(session, kernel.keys, employee_id, language)
        return start_session(session, Kind.EMPLOYEE, employee_id, now)


@post("/links/{token:str}/renew", opt=PUBLIC, status_code=202, sync_to_thread=True)
def renew_link(request: Request[Any, Any, Any], token: FromPath[str]) -> Renewed:
    """Mails a fresh link to the address of the invitation, never to another one."""
    with counted(request), kernel_of(request).db.transaction(_tenant(token)) as session:
        invitations.renew(session, token, utc_now())
    return Renewed("A fresh link is on its way to the address that this one was sent to.")


@get("/visit", guards=EMPLOYEE, sync_to_thread=True)
def show_visit(request: Request[Any, Any, Any]) -> Visit:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employee, tenant = employees.get(session, caller.id), tenants.get(session)
        who = employees.profile(kernel.keys, employee)
        return Visit(
            name=who.full_name,
            language=employees.words(kernel.keys, employee, tenant).language,
            controller=tenant.name,
            stage=employees.stage(session, employee.id, utc_now()),
            consented=consents.is_current(session, employee.id),
            opted_out=employee.opted_out_at is not None,
            source_days=tenant.source_days,
            headshot_days=tenant.headshot_days,
        )


class NewLanguage(Struct, forbid_unknown_fields=True):
    language: str


@put("/visit/language", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def choose_language(request: Request[Any, Any, Any], data: JSONBody[NewLanguage]) -> None:
    """Pages and mails of the person are in this language from now on; it goes before the one in the company's list."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employees.choose_language(session, kernel.keys, caller.id, data.language)


@get("/visit/notice", guards=EMPLOYEE, sync_to_thread=True)
def show_notice(request: Request[Any, Any, Any], language: FromQuery[str] = "") -> NoticeShown:
    """In the language asked for, else the employee's own, else English."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        own = employees.words(kernel.keys, employees.get(session, caller.id), tenants.get(session)).language
        notice = notices.current(session, language or own)
        return NoticeShown(
            id=notice.id,
            version=notice.version,
            language=notice.language,
            text=notice.text,
            digest=notice.digest,
            purposes={str(purpose): words for purpose, words in consents.words(session, notice.language).items()},
        )


@get("/visit/consent", guards=EMPLOYEE, sync_to_thread=True)
def list_consents(request: Request[Any, Any, Any]) -> list[GivenConsent]:
    with own(request) as (session, caller):
        employees.get(session, caller.id)
        return [GivenConsent(c.purpose, c.notice_id, c.given_at, c.withdrawn_at) for c in consents.of(session, caller.id)]


@post("/visit/consent", guards=EMPLOYEE, status_code=201, sync_to_thread=True)
def give_consent(request: Request[Any, Any, Any], data: JSONBody[ConsentAnswer]) -> list[GivenConsent]:
    """Only the person themselves: no other kind of caller comes this far."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        given = consents.give(
            session, kernel.keys, caller.id, data.purposes, data.notice_id, data.typed_name, utc_now(),
            named_otherwise=data.named_otherwise,
        )  # fmt: skip
        return [GivenConsent(c.purpose, c.notice_id, c.given_at, c.withdrawn_at) for c in given]


@post("/visit/decline", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def decline(request: Request[Any, Any, Any]) -> None:
    """One step, without a reason."""
    with own(request) as (session, caller):
        employees.speaking(session, caller)
        consents.decline(session, caller.id, utc_now())


def _tenant(token: str) -> UUID:
    tenant = tenant_in(token)
    if tenant is None:
        raise LinkUnknown("This link is not complete. Copy the whole address and try again.")
    return tenant


routes: list[Any] = [
    look_at_link,
    open_link,
    renew_link,
    show_visit,
    choose_language,
    show_notice,
    list_consents,
    give_consent,
    decline,
]
