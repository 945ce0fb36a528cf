"""The JSON edge of requests: the person's own, HR's intake, and legal's desk."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request as HttpRequest
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from sqlmodel import Session

from batch.people import employees
from compliance import requests
from compliance.desk import answering, finding, informing
from compliance.models import Erasure, Request
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web.files import saved
from likeness.web.guards import kernel_of, only, own, signed_in
from likeness.web.paging import ON_A_PAGE, After, Most, Page, Turn
from tenants.members.access import desk
from tenants.members.permissions import Permission

EMPLOYEE = [only(Kind.EMPLOYEE)]
DESK = [only(Kind.MEMBER)]


@dataclass
class OwnWish:
    kind: str


@dataclass
class CaseShown:
    """A request as its person and HR see it. `receipt` is shown once, with an erasure."""

    id: UUID
    number: str
    kind: str
    regime: str
    received_at: datetime
    due_at: datetime
    done_at: datetime | None
    refusal: str | None
    receipt: str | None = None


def shown(case: Request, receipt: str | None = None) -> CaseShown:
    return CaseShown(
        case.id, case.number, case.kind, case.regime, case.received_at, case.due_at, case.done_at, case.refusal, receipt
    )


@post("/visit/requests", guards=EMPLOYEE, status_code=202, sync_to_thread=True)
def ask(request: HttpRequest[Any, Any, Any], data: JSONBody[OwnWish]) -> CaseShown:
    """A request of the person who is signed in. It begins at once, and a mail confirms it within a minute."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        return shown(*answering.ask(session, kernel, caller.id, data.kind, utc_now()))


@get("/visit/requests", guards=EMPLOYEE, sync_to_thread=True)
def list_own(request: HttpRequest[Any, Any, Any]) -> list[CaseShown]:
    with own(request) as (session, caller):
        return [shown(one) for one in requests.seen_by(session, caller.id)]


@post("/visit/processing/resume", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def go_on(request: HttpRequest[Any, Any, Any]) -> None:
    """The person who had the use of their photos stopped lets it go on."""
    with own(request) as (session, caller):
        employees.speaking(session, caller)
        answering.go_on(session, caller.id)


@dataclass
class EnteredWish:
    kind: str
    method: str


@post("/people/{person_id:uuid}/requests", guards=DESK, status_code=201, sync_to_thread=True)
def enter_for_person(
    request: HttpRequest[Any, Any, Any], person_id: FromPath[UUID], data: JSONBody[EnteredWish]
) -> CaseShown:
    """HR enters a request that came by letter, for a line of its list; legal decides about it."""
    with desk(request, Permission.REQUESTS_ENTER) as (session, _):
        person = employees.on_roster(session, person_id)
        caller = str(signed_in(request))
        return shown(answering.enter(session, person.id, data.kind, data.method, utc_now(), caller=caller))


# Legal


@dataclass
class RequestDetails:
    id: UUID
    number: str
    employee_id: UUID
    kind: str
    regime: str
    method: str
    received_at: datetime
    due_at: datetime
    acknowledged_at: datetime | None
    verified_at: datetime | None
    verification: str | None
    extended_at: datetime | None
    extension: str | None
    approved_at: datetime | None
    dispatched_at: datetime | None
    answer_asked_at: datetime | None
    done_at: datetime | None
    delivered_at: datetime | None
    refusal: str | None
    recipients: list[dict[str, Any]]


def case_shown(case: Request) -> RequestDetails:
    facts = case.model_dump()
    names = RequestDetails.__dataclass_fields__.keys() - {"number"}
    return RequestDetails(number=case.number, **{name: facts[name] for name in names})


@dataclass
class LegalWish:
    employee_id: UUID
    kind: str
    method: str


@get("/requests", guards=DESK, sync_to_thread=True)
def list_requests(
    request: HttpRequest[Any, Any, Any], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[RequestDetails]]:
    """Open ones first, and of these the one that is due first; then the ended ones, newest first. While there are more, the
    header `Link` names the next page."""
    page = Page(Turn, most, after)
    with desk(request, Permission.ACTS_READ) as (session, _):
        found = requests.all_requests(session, page.lines, after=page.after)
        return page.answer(request, found, turn, case_shown)


def turn(case: Request) -> Turn:
    return Turn(case.done_at is not None, case.done_at or case.due_at, case.id)


@post("/requests", guards=DESK, status_code=201, sync_to_thread=True)
def enter(request: HttpRequest[Any, Any, Any], data: JSONBody[LegalWish]) -> RequestDetails:
    with desk(request, Permission.REQUESTS_DECIDE) as (session, _):
        person = employees.get(session, data.employee_id)
        caller = str(signed_in(request))
        return case_shown(answering.enter(session, person.id, data.kind, data.method, utc_now(), caller=caller))


@get("/requests/{request_id:uuid}", guards=DESK, sync_to_thread=True)
def show_request(request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID]) -> RequestDetails:
    with desk(request, Permission.ACTS_READ) as (session, _):
        return case_shown(requests.get(session, request_id))


@contextmanager
def deciding(request: HttpRequest[Any, Any, Any]) -> Iterator[tuple[Session, Kernel, UUID, str]]:
    with desk(request, Permission.REQUESTS_DECIDE) as (session, member):
        yield session, kernel_of(request), member.id, str(signed_in(request))


@dataclass
class ReasonCode:
    """A code, never free text alone."""

    reason: str


@post("/requests/{request_id:uuid}/verify", guards=DESK, status_code=200, sync_to_thread=True)
def verify(request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID], data: JSONBody[ReasonCode]) -> RequestDetails:
    """Says how it is known who asks: `known-in-person` or `called-back`."""
    with deciding(request) as (session, _, _member, caller):
        return case_shown(requests.verify(session, request_id, data.reason, utc_now(), caller=caller))


@post("/requests/{request_id:uuid}/extend", guards=DESK, status_code=200, sync_to_thread=True)
def extend(request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID], data: JSONBody[ReasonCode]) -> RequestDetails:
    with deciding(request) as (session, kernel, _, caller):
        return case_shown(answering.extend(session, kernel, request_id, data.reason, utc_now(), caller=caller))


@post("/requests/{request_id:uuid}/approve", guards=DESK, status_code=200, sync_to_thread=True)
def approve(request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID]) -> RequestDetails:
    with deciding(request) as (session, _, member_id, _caller):
        return case_shown(requests.approve(session, request_id, member_id, utc_now()))


@post("/requests/{request_id:uuid}/carry-out", guards=DESK, status_code=200, sync_to_thread=True)
def carry_out(request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID]) -> RequestDetails:
    """Deletes, stops, or tells the person that the package is ready."""
    with deciding(request) as (session, kernel, _, caller):
        return case_shown(answering.carry_out(session, kernel, request_id, utc_now(), caller=caller))


@dataclass
class Recipients:
    """`how` they were informed by other means: `by-telephone`, `in-person`, `by-letter` or `by-another-message`; or an
    `excuse`: `impossible` or `disproportionate-effort`."""

    how: str | None = None
    excuse: str | None = None


@post("/requests/{request_id:uuid}/recipients", guards=DESK, status_code=200, sync_to_thread=True)
def settle_recipients(
    request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID], data: JSONBody[Recipients]
) -> RequestDetails:
    """Legal says how everybody was informed who downloaded headshots and whom no mail reaches, or why not."""
    with deciding(request) as (session, _, _member, caller):
        case = informing.by_hand(session, request_id, utc_now(), caller=caller, how=data.how, excuse=data.excuse)
        return case_shown(case)


@dataclass
class CopiesLeft:
    """A deletion of which somebody who has copies is not informed yet."""

    id: UUID
    employee_id: UUID
    requested_at: datetime
    recipients: list[dict[str, Any]]
    settled_at: datetime | None


def copies_left(erasure: Erasure) -> CopiesLeft:
    return CopiesLeft(
        erasure.id, erasure.employee_id, erasure.requested_at, erasure.recipients, erasure.recipients_settled_at
    )


@get("/erasures/recipients", guards=DESK, sync_to_thread=True)
def list_copies_left(request: HttpRequest[Any, Any, Any]) -> list[CopiesLeft]:
    """Deletions of which somebody who downloaded headshots is to be told by hand, because no mail reaches them."""
    with desk(request, Permission.ACTS_READ) as (session, _):
        return [copies_left(one) for one in informing.waiting(session)]


@post("/erasures/{erasure_id:uuid}/recipients", guards=DESK, status_code=200, sync_to_thread=True)
def settle_copies(
    request: HttpRequest[Any, Any, Any], erasure_id: FromPath[UUID], data: JSONBody[Recipients]
) -> CopiesLeft:
    """Legal says how they were told, or why they cannot be; then a request to delete is answered."""
    with deciding(request) as (session, _, _member, caller):
        return copies_left(
            informing.erasure_by_hand(session, erasure_id, utc_now(), caller=caller, how=data.how, excuse=data.excuse)
        )


@post("/requests/{request_id:uuid}/confirm-receipt", guards=DESK, status_code=200, sync_to_thread=True)
def confirm_receipt(
    request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID], data: JSONBody[ReasonCode]
) -> RequestDetails:
    """Legal told the person by other means that the request was received; `reason` says by which."""
    with deciding(request) as (session, _, _member, caller):
        return case_shown(answering.confirm_receipt(session, request_id, data.reason, utc_now(), caller=caller))


@post("/requests/{request_id:uuid}/answer", guards=DESK, status_code=200, sync_to_thread=True)
def answer(request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID]) -> RequestDetails:
    with deciding(request) as (session, kernel, _, caller):
        return case_shown(answering.answer(session, kernel, request_id, utc_now(), caller=caller))


@post("/requests/{request_id:uuid}/refuse", guards=DESK, status_code=200, sync_to_thread=True)
def refuse(request: HttpRequest[Any, Any, Any], request_id: FromPath[UUID], data: JSONBody[ReasonCode]) -> RequestDetails:
    with deciding(request) as (session, kernel, _, caller):
        return case_shown(answering.refuse(session, kernel, request_id, data.reason, utc_now(), caller=caller))


@get("/requests/record", guards=DESK, sync_to_thread=True)
def show_record(request: HttpRequest[Any, Any, Any]) -> Response[str]:
    """The 24-month record with the six fields of section 7101, as CSV. It names nobody."""
    with desk(request, Permission.ACTS_READ) as (session, _):
        lines = answering.record(session)
    written = io.StringIO()
    csv.writer(written).writerows([answering.FIELDS, *lines])
    return saved(written.getvalue(), f"requests-{utc_now():%Y-%m-%d}.csv", "text/csv")


@dataclass
class Search:
    """`why` is one of `request-by-letter`, `answer-to-the-person`, `order-of-a-court`, `question-of-an-authority` and
    `people-of-a-breach`."""

    name: str
    why: str


@dataclass
class PersonFound:
    id: UUID
    name: str
    email: str
    requests: list[RequestDetails]
    late: bool
    held: bool
    erasure_state: str | None


@post("/people/search", guards=DESK, status_code=200, sync_to_thread=True)
def search(request: HttpRequest[Any, Any, Any], data: JSONBody[Search]) -> list[PersonFound]:
    """Legal finds a person by name, for a reason. The log says who searched, why, and who was shown; the person reads that
    they were found."""
    now = utc_now()
    with desk(request, Permission.PERSON_FIND) as (session, _):
        keys, caller = kernel_of(request).keys, str(signed_in(request))
        found, _more = finding.find(session, keys, data.name, why=data.why, caller=caller)
    return [
        PersonFound(
            one.id, one.name, one.email, [case_shown(case) for case in one.requests], one.late(now), one.held(now),
            one.erasure.state if one.erasure else None,
        )
        for one in found
    ]  # fmt: skip


handlers = [
    ask, list_own, go_on, enter_for_person, list_requests, enter, show_record, show_request, verify, extend, approve,
    carry_out, settle_recipients, list_copies_left, settle_copies, confirm_receipt, answer, refuse, search,
]  # fmt: skip
