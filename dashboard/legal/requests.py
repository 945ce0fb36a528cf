"""Legal's page of requests: what is due, late and held, one person found by name, and what is decided about a case.

The list shows ids that name nobody; names stand only under a search, which the log holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch.people import employees
from compliance import holds, requests
from compliance.desk import answering, finding, informing
from compliance.desk.api import turn
from compliance.models import (
    BY_ERASURE,
    BY_PACKAGE,
    Excuse,
    Extension,
    Means,
    Method,
    Refusal,
    RequestKind,
    Verification,
)
from dashboard.legal import words
from dashboard.pages import page, part_of
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.paging import Turn
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
HttpRequest = Request[Any, Any, Any]
KNOWN = (404, 409, 422)
ON_A_PAGE = 100


class FieldRefused(Unprocessable):
    """A field of a form that cannot be read."""

    title = "A field cannot be read"


@get("/legal/requests", sync_to_thread=True, guards=DESK)
def show_requests(request: Request[Any, Any, Any]) -> Response[str]:
    return _list(request)


def _list(
    request: Request[Any, Any, Any],
    problem: LikenessError | None = None,
    found: tuple[list[finding.FoundPerson], bool] | None = None,
) -> Response[str]:
    now, part = utc_now(), part_of(request, Turn, ON_A_PAGE)
    with desk(request, Permission.ACTS_READ) as (session, member):
        listed = requests.all_requests(session, part.lines, after=part.after)
        counts = requests.counts(session, now)
        held = holds.held(session, now)
        unconfirmed = {one.id for one in requests.unconfirmed(session, now)}
    context = {
        "roles": member.roles, "problem": problem, "now": now, "found": found, "held": held, "unconfirmed": unconfirmed,
        "open": [one for one in listed[:ON_A_PAGE] if one.done_at is None],
        "ended": [one for one in listed[:ON_A_PAGE] if one.done_at is not None],
        "counts": counts, "after": part.onward(listed, turn), "later": part.after is not None,
        "said": words, "whys": list(finding.Why), "kinds": list(RequestKind),
        "methods": [one for one in Method if one != Method.SIGNED_IN],
    }  # fmt: skip
    return page(request, "legal/requests.html", context, status=problem.status if problem else 200)


@post("/legal/people", sync_to_thread=True, guards=DESK, status_code=200)
def search(request: Request[Any, Any, Any], data: Form) -> Response[str]:
    """A form that is posted, so that no name stands in an address."""
    try:
        with desk(request, Permission.PERSON_FIND) as (session, _):
            keys, caller = kernel_of(request).keys, str(signed_in(request))
            found = finding.find(session, keys, data.get("name", ""), why=data.get("why", ""), caller=caller)
    except LikenessError as problem:
        if problem.status not in KNOWN:
            raise
        return _list(request, problem)
    return _list(request, found=found)


@post("/legal/requests", sync_to_thread=True, guards=DESK)
def enter(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """What came by letter."""
    try:
        with desk(request, Permission.REQUESTS_DECIDE) as (session, _):
            person = employees.get(session, _id(data.get("employee_id", "")))
            case = answering.enter(
                session, person.id, data.get("kind", ""), data.get("method", ""), utc_now(),
                caller=str(signed_in(request)),
            )  # fmt: skip
    except LikenessError as problem:
        if problem.status not in KNOWN:
            raise
        return _list(request, problem)
    return Redirect(f"/legal/requests/{case.id}", status_code=303)


def _id(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise FieldRefused("Find the person by name first, and enter the request beside the name.") from None


@get("/legal/requests/{request_id:uuid}", sync_to_thread=True, guards=DESK)
def show_request(request: Request[Any, Any, Any], request_id: FromPath[UUID]) -> Response[str]:
    return _case(request, request_id)


def _case(request: Request[Any, Any, Any], request_id: UUID, problem: LikenessError | None = None) -> Response[str]:
    now = utc_now()
    with desk(request, Permission.ACTS_READ) as (session, member):
        case = requests.get(session, request_id)
        events = requests.timeline(session, case)
        held = case.employee_id in holds.held(session, now)
        copies = informing.of_person(session, case.employee_id) if case.kind in BY_ERASURE else []
        passed_on = requests.of_before(session, case)
    context = {
        "roles": member.roles, "problem": problem, "now": now, "case": case, "events": events, "held": held,
        "itself": case.kind in BY_PACKAGE | BY_ERASURE, "unreached": informing.unreached(case),
        "said": words, "means": list(Means), "copies": copies, "passed_on": passed_on,
        "ways": [one for one in Verification if one != Verification.SIGNED_IN],
        "extensions": list(Extension), "refusals": list(Refusal), "excuses": list(Excuse),
    }  # fmt: skip
    return page(request, "legal/request.html", context, status=problem.status if problem else 200)


@dataclass(frozen=True)
class Decision:
    """Who decides about which case, and why, where the step asks for a reason."""

    session: Session
    kernel: Kernel
    case: UUID
    member: UUID
    caller: str
    reason: str
    now: datetime


@contextmanager
def _deciding(request: HttpRequest, case: UUID, data: Mapping[str, str]) -> Iterator[Decision]:
    with desk(request, Permission.REQUESTS_DECIDE) as (session, member):
        yield Decision(
            session, kernel_of(request), case, member.id, str(signed_in(request)), data.get("reason", ""), utc_now()
        )


def _decided(
    request: HttpRequest, case: UUID, data: Mapping[str, str], step: Callable[[Decision], object]
) -> Response[Any]:
    try:
        with _deciding(request, case, data) as decision:
            step(decision)
    except LikenessError as problem:
        if problem.status not in (409, 422):
            raise
        return _case(request, case, problem)
    return Redirect(f"/legal/requests/{case}", status_code=303)


@post("/legal/requests/{request_id:uuid}/verify", sync_to_thread=True, guards=DESK)
def verify(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    """It is known who asks."""
    return _decided(
        request, request_id, data, lambda it: requests.verify(it.session, it.case, it.reason, it.now, caller=it.caller)
    )


@post("/legal/requests/{request_id:uuid}/extend", sync_to_thread=True, guards=DESK)
def extend(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Two months more, which the person is told with the reason."""
    return _decided(
        request, request_id, data,
        lambda it: answering.extend(it.session, it.kernel, it.case, it.reason, it.now, caller=it.caller),
    )  # fmt: skip


@post("/legal/requests/{request_id:uuid}/approve", sync_to_thread=True, guards=DESK)
def approve(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    return _decided(request, request_id, data, lambda it: requests.approve(it.session, it.case, it.member, it.now))


@post("/legal/requests/{request_id:uuid}/carry-out", sync_to_thread=True, guards=DESK)
def carry_out(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    return _decided(
        request, request_id, data,
        lambda it: answering.carry_out(it.session, it.kernel, it.case, it.now, caller=it.caller),
    )  # fmt: skip


@post("/legal/requests/{request_id:uuid}/inform", sync_to_thread=True, guards=DESK)
def inform(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Whom no mail reaches was told by other means, which the reason says."""
    return _decided(
        request, request_id, data,
        lambda it: informing.by_hand(it.session, it.case, it.now, caller=it.caller, how=it.reason),
    )  # fmt: skip


@post("/legal/requests/{request_id:uuid}/excuse", sync_to_thread=True, guards=DESK)
def excuse(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Recipients were not told, for this reason."""
    return _decided(
        request, request_id, data,
        lambda it: informing.by_hand(it.session, it.case, it.now, caller=it.caller, excuse=it.reason),
    )  # fmt: skip


@post("/legal/requests/{request_id:uuid}/confirm", sync_to_thread=True, guards=DESK)
def confirm(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    """The person was told by other means that the request was received."""
    return _decided(
        request, request_id, data,
        lambda it: answering.confirm_receipt(it.session, it.case, it.reason, it.now, caller=it.caller),
    )  # fmt: skip


@post("/legal/requests/{request_id:uuid}/answer", sync_to_thread=True, guards=DESK)
def answer(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    return _decided(
        request, request_id, data,
        lambda it: answering.answer(it.session, it.kernel, it.case, it.now, caller=it.caller),
    )  # fmt: skip


@post("/legal/requests/{request_id:uuid}/refuse", sync_to_thread=True, guards=DESK)
def refuse(request: HttpRequest, request_id: FromPath[UUID], data: Form) -> Response[Any]:
    return _decided(
        request, request_id, data,
        lambda it: answering.refuse(it.session, it.kernel, it.case, it.reason, it.now, caller=it.caller),
    )  # fmt: skip


routes: list[Any] = [
    show_requests, search, enter, show_request, verify, extend, approve, carry_out, inform, excuse, confirm,
    answer, refuse,
]  # fmt: skip
