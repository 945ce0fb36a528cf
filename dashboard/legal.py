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
from sqlmodel import Session, col, select

from compliance import erasures, holds, lateness
from compliance.models import Hold
from dashboard.erasing import certificate_file
from dashboard.pages import page
from likeness import ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.web import kernel_of, only, signed_in
from tenants import access, chains, members
from tenants.models import Member, Role

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
NEWEST = 200


@dataclass(frozen=True)
class HoldLine:
    """A hold with what the reader can do about it, and who else could."""

    row: Hold
    mine: bool
    """The reader is the first of two, and waits for the second."""
    act: str
    """`confirm`, `ask` to lift, `lift`, `take-back` for one that keeps nothing yet, or nothing."""
    others: list[str]
    """Names of those who may be the second of two."""


class FieldRefused(Unprocessable):
    """A field of a form that cannot be read."""


def _legal(request: Request[Any, Any, Any], session: Session) -> Member:
    return access.require(session, signed_in(request), Role.LEGAL)


@get("/legal", sync_to_thread=True, guards=DESK)
def show_erasures(request: Request[Any, Any, Any]) -> Response[str]:
    return _erasures_page(request)


def _erasures_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    now = utc_now()
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = _legal(request, session)
        found = erasures.all_erasures(session)[:NEWEST]
        newest = erasures.certificates_by_erasure(session)
        late = lateness.of_company(session, now)
        everybody = chains.desk(session)
        lines = [_hold_line(kernel_of(request), everybody, one, member.id, now) for one in holds.all_holds(session)]
    context = {
        "roles": member.roles,
        "me": member.id,
        "problem": problem,
        "erasures": found,
        "certificates": newest,
        "holds": lines,
        "two": chains.two_of(everybody, Role.LEGAL, now),
        "late": late,
        "late_before": now - lateness.ERASED_WITHIN,
        "today": now.date(),
    }
    return page(request, "legal/erasures.html", context, status=problem.status if problem else 200)


def _hold_line(kernel: Kernel, everybody: Mapping[UUID, Member], hold: Hold, me: UUID, now: datetime) -> HoldLine:
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
    return HoldLine(hold, first == me, act, sorted(names))


@get("/legal/certificates/{certificate_id:uuid}", sync_to_thread=True, guards=DESK)
def download_certificate(request: Request[Any, Any, Any], certificate_id: FromPath[UUID]) -> Response[str]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        _legal(request, session)
        return certificate_file(erasures.certificate(session, certificate_id))


@get("/legal/ledger", sync_to_thread=True, guards=DESK)
def show_ledger(request: Request[Any, Any, Any]) -> Response[str]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = _legal(request, session)
        entries = session.exec(
            select(LedgerEntry)
            .where(col(LedgerEntry.tenant_id) == tenant_of(session))
            .order_by(col(LedgerEntry.sequence).desc())
            .limit(NEWEST)
        ).all()
    context = {"roles": member.roles, "problem": None, "entries": entries, "checked": None}
    return page(request, "legal/ledger.html", context)


@get("/legal/ledger/check", sync_to_thread=True, guards=DESK)
def check_ledger(request: Request[Any, Any, Any]) -> Response[str]:
    """Walks the whole chain. Raises `LedgerBroken`."""
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = _legal(request, session)
        checked = ledger.verify(session)
        head = ledger.head(session)
    context = {"roles": member.roles, "problem": None, "entries": [head] if head else [], "checked": checked}
    return page(request, "legal/ledger.html", context)


@post("/legal/holds", sync_to_thread=True, guards=DESK)
def place_hold(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """It keeps nothing until a second member of legal confirms it."""
    now = utc_now()
    try:
        with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
            member = _legal(request, session)
            holds.place(
                session,
                _id(data.get("employee_id", "")),
                basis=data.get("basis", ""),
                reference=data.get("reference", ""),
                reason=data.get("reason", ""),
                expires_at=_end_of(data.get("until", "")),
                placed_by=member.id,
                now=now,
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
        raise FieldRefused("The person's id has the form 8-4-4-4-12, as the ledger's export shows it.") from None


def _end_of(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise FieldRefused("Write the last day as year-month-day.") from None
    return datetime.combine(day, time(23, 59), UTC)


@post("/legal/holds/{hold_id:uuid}/{act:str}", sync_to_thread=True, guards=DESK)
def change_hold(request: Request[Any, Any, Any], hold_id: FromPath[UUID], act: FromPath[str]) -> Response[Any]:
    """Confirms a hold or lifts it; each takes two persons who could not have made each other."""
    try:
        with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
            member = _legal(request, session)
            match act:
                case "confirm":
                    holds.confirm(session, hold_id, confirmed_by=member.id, now=utc_now())
                case "lift":
                    holds.lift(session, hold_id, lifted_by=member.id, now=utc_now())
                case _:
                    raise holds.HoldMissing("There is nothing like that to do with a hold.")
    except LikenessError as problem:
        if problem.status != 409:
            raise
        return _erasures_page(request, problem)
    return Redirect("/legal", status_code=303)


routes: list[Any] = [show_erasures, download_certificate, show_ledger, check_ledger, place_hold, change_hold]
