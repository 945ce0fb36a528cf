"""Legal's pages: what was erased and what proves it, the ledger, and holds. Everything here names people by opaque ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from sqlmodel import col, select

from compliance import holds
from compliance.api import may_read
from compliance.desk import informing, telling
from compliance.erasure import certifying, erasures
from compliance.holds import HoldWords
from compliance.models import Excuse, Hold, Means
from compliance.retention import lateness
from dashboard.legal import words
from dashboard.legal.erasing import certificate_file
from dashboard.legal.requests import FieldRefused
from dashboard.pages import page, part_of
from likeness import checkpoints, ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Conflict, LikenessError
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.paging import Mark
from tenants.members import chains, members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Member, Role
from tenants.plain import whole_number

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
NEWEST = 100
"""Erasures, and holds, on a page."""
ON_A_PAGE = 30
"""Entries of the log: on a phone each is a card of its own."""
MOST_NUMBER = 10**15


@dataclass(frozen=True)
class HoldLine:
    """A hold with what the reader can do about it, and who else could."""

    row: Hold
    words: HoldWords
    mine: bool
    """The reader is the first of two, and waits for the second."""
    act: str
    """`confirm`, `ask` to lift, `lift`, `take-back` for one that keeps nothing yet, or nothing."""
    others: list[str]
    """Names of those who may be the second of two."""


@get("/legal", sync_to_thread=True, guards=DESK)
def show_erasures(request: Request[Any, Any, Any]) -> Response[str]:
    return _erasures_page(request)


def _erasures_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    now = utc_now()
    of_erasures, of_holds = part_of(request, Mark, NEWEST, "erasures"), part_of(request, Mark, NEWEST, "holds")
    with desk(request, Permission.ACTS_READ) as (session, member):
        gone = erasures.all_erasures(session, of_erasures.lines, before=of_erasures.after)
        issued = certifying.by_erasure(session, [one.id for one in gone])
        late = lateness.of_company(session, now)
        everybody = chains.desk(session)
        kept = holds.all_holds(session, of_holds.lines, before=of_holds.after)
        lines = [_hold_line(kernel_of(request), everybody, one, member, now) for one in kept[:NEWEST]]
        waiting = informing.waiting(session)
        counted = {"erasures": erasures.count(session), "holds": holds.count(session)}
    context = {
        "roles": member.roles,
        "me": member.id,
        "problem": problem,
        "erasures": gone[:NEWEST],
        "older_erasures": of_erasures.onward(gone, lambda one: Mark(one.requested_at, one.id)),
        "later_erasures": of_erasures.after is not None,
        "certificates": issued,
        "holds": lines,
        "older_holds": of_holds.onward(kept, lambda one: Mark(one.placed_at, one.id)),
        "later_holds": of_holds.after is not None,
        "counted": counted,
        "two": chains.two_of(everybody, Role.LEGAL, now),
        "waiting": waiting,
        "means": list(Means),
        "excuses": list(Excuse),
        "late": late,
        "late_before": now - lateness.ERASED_WITHIN,
        "today": now.date(),
        "person": request.query_params.get("person", "")[:36],
        "said": words,
    }
    return page(request, "legal/erasures.html", context, status=problem.status if problem else 200)


def _hold_line(kernel: Kernel, everybody: Mapping[UUID, Member], hold: Hold, member: Member, now: datetime) -> HoldLine:
    me, told = member.id, holds.words(kernel.keys, hold) if may_read(member) else holds.FOR_LEGAL
    could = holds.seconds(everybody, hold)
    asked, first, act = holds.lift_asked(everybody, hold), hold.placed_by, ""
    if hold.lifted_at is not None or hold.expires_at <= now:
        could = []
    elif hold.confirmed_at is None:
        act = "confirm" if me in could else "take-back"
    elif asked is None:
        act = "ask"
    else:
        first, act = asked[0], "lift" if me in could else ""
    names = [members.profile(kernel.keys, everybody[one]).name for one in could if one != me]
    return HoldLine(hold, told, first == me, act, sorted(names))


@post("/legal/erasures/{erasure_id:uuid}/inform", sync_to_thread=True, guards=DESK)
def inform_of_copies(request: Request[Any, Any, Any], erasure_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Who has copies of somebody who is deleted was told by other means."""
    return _copies_settled(request, erasure_id, how=data.get("reason", ""))


@post("/legal/erasures/{erasure_id:uuid}/excuse", sync_to_thread=True, guards=DESK)
def excuse_copies(request: Request[Any, Any, Any], erasure_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Who has copies cannot be told, for this reason."""
    return _copies_settled(request, erasure_id, excuse=data.get("reason", ""))


def _copies_settled(request: Request[Any, Any, Any], erasure_id: UUID, **said: str) -> Response[Any]:
    try:
        with desk(request, Permission.REQUESTS_DECIDE) as (session, _):
            informing.erasure_by_hand(session, erasure_id, utc_now(), caller=str(signed_in(request)), **said)
    except LikenessError as problem:
        if problem.status not in (409, 422):
            raise
        return _erasures_page(request, problem)
    return Redirect("/legal#copies-title", status_code=303)


@get("/legal/certificates/{certificate_id:uuid}", sync_to_thread=True, guards=DESK)
def download_certificate(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> Response[str]:
    with desk(request, Permission.ACTS_READ) as (session, _):
        return certificate_file(kernel_of(request), erasures.certificate(session, certificate_id))


@get("/legal/ledger", sync_to_thread=True, guards=DESK)
def show_ledger(request: Request[Any, Any, Any]) -> Response[str]:
    with desk(request, Permission.ACTS_READ) as (session, member):
        mine = select(LedgerEntry).where(col(LedgerEntry.tenant_id) == tenant_of(session))
        before = whole_number(request.query_params.get("before", ""), MOST_NUMBER)
        if before is not None:
            mine = mine.where(col(LedgerEntry.sequence) < before)
        entries = session.exec(mine.order_by(col(LedgerEntry.sequence).desc()).limit(ON_A_PAGE + 1)).all()
    context = {"roles": member.roles, "problem": None, "entries": entries[:ON_A_PAGE], "checked": None,
               "older": len(entries) > ON_A_PAGE, "newest": before is None, "callers": words.CALLERS}  # fmt: skip
    return page(request, "legal/ledger.html", context)


@get("/legal/ledger/check", sync_to_thread=True, guards=DESK)
def check_ledger(request: Request[Any, Any, Any]) -> Response[str]:
    """Walks the whole chain. Raises `LedgerBroken`."""
    with desk(request, Permission.ACTS_READ) as (session, member):
        checked = ledger.verify(session)
        checkpoints.check(session, utc_now())
        head = ledger.head(session)
    context = {"roles": member.roles, "problem": None, "entries": [head] if head else [], "checked": checked,
               "older": False, "newest": False, "callers": words.CALLERS}  # fmt: skip
    return page(request, "legal/ledger.html", context)


@post("/legal/holds", sync_to_thread=True, guards=DESK)
def place_hold(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """It keeps nothing until a second member of legal confirms it."""
    now = utc_now()
    try:
        with desk(request, Permission.HOLDS_CHANGE) as (session, member):
            holds.place(
                session,
                kernel_of(request).keys,
                _id(data.get("employee_id", "")),
                basis=data.get("basis", ""),
                reference=data.get("reference", ""),
                reason=data.get("reason", ""),
                expires_at=_end_of(data.get("until", "")),
                placed_by=member.id,
                now=now,
                classes=[cls for cls in holds.NAMES if data.get(cls) == "yes"],
                made_from=_start_of(data.get("made_from", "")),
                made_until=_end_of(data["made_until"]) if data.get("made_until") else None,
                barred=data.get("barred") == "yes",
            )
    except LikenessError as problem:
        if problem.status not in (404, 409, 422):
            raise
        return _erasures_page(request, problem)
    return Redirect("/legal", status_code=303)


def _id(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise FieldRefused("Find the person by name under Requests, and place the hold from there.") from None


def _start_of(text: str) -> datetime | None:
    return _end_of(text).replace(hour=0, minute=0) if text else None


def _end_of(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise FieldRefused("Write the last day as year-month-day.") from None
    return datetime.combine(day, time(23, 59), UTC)


@post("/legal/holds/{hold_id:uuid}/confirm", sync_to_thread=True, guards=DESK)
def confirm_hold(request: Request[Any, Any, Any], hold_id: FromPath[UUID]) -> Response[Any]:
    """It takes two persons who could not have made each other."""
    try:
        with desk(request, Permission.HOLDS_CHANGE) as (session, member):
            telling.confirm(session, kernel_of(request), hold_id, confirmed_by=member.id, now=utc_now())
    except Conflict as problem:
        return _erasures_page(request, problem)
    return Redirect("/legal", status_code=303)


@post("/legal/holds/{hold_id:uuid}/lift", sync_to_thread=True, guards=DESK)
def lift_hold(request: Request[Any, Any, Any], hold_id: FromPath[UUID]) -> Response[Any]:
    """One that is confirmed takes two persons here too; the first asks for it."""
    try:
        with desk(request, Permission.HOLDS_CHANGE) as (session, member):
            holds.lift(session, hold_id, lifted_by=member.id, now=utc_now())
    except Conflict as problem:
        return _erasures_page(request, problem)
    return Redirect("/legal", status_code=303)


routes: list[Any] = [
    show_erasures,
    inform_of_copies,
    excuse_copies,
    download_certificate,
    show_ledger,
    check_ledger,
    place_hold,
    confirm_hold,
    lift_hold,
]
