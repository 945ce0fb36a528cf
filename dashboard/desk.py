"""HR's pages: drop a workbook, watch everybody get their headshots, download what was released.

Nothing here shows a selfie, a headshot that was not released, or why somebody opted out.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch import batches, employees, framing, funnel, headshots, imports, invitations, mailing
from batch.batches import RosterLine
from batch.funnel import Stage
from batch.headshots import Released
from batch.mailing import MailNote
from batch.models import Batch
from dashboard import people as desk_people
from dashboard import swatches
from dashboard.pages import page
from dashboard.visit import usual_seconds
from likeness.db import utc_now
from likeness.errors import Gone, LikenessError
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web import kernel_of, only, signed_in
from tenants import access, credits, looks, tenants
from tenants.models import Look, Member, Role, Tenant

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
ON_A_PAGE = 50
MOST_SHOWN = 100

FILLS = {
    **dict.fromkeys((Stage.ADDED, Stage.INVITED, Stage.DELIVERED), "fill-1"),
    **dict.fromkeys((Stage.OPENED, Stage.CONSENTED), "fill-2"),
    **dict.fromkeys((Stage.UPLOADING, Stage.QUEUED), "fill-3"),
    **dict.fromkeys((Stage.TRAINING, Stage.RENDERING, Stage.IN_REVIEW), "fill-4"),
    Stage.READY: "fill-5",
    **dict.fromkeys((Stage.CHOSEN, Stage.EXPORTED), "fill-6"),
    Stage.OPTED_OUT: "fill-aside",
    **dict.fromkeys((Stage.BOUNCED, Stage.STUCK, Stage.FAILED), "fill-bad"),
}
TONES = {
    **dict.fromkeys((Stage.QUEUED, Stage.TRAINING, Stage.RENDERING, Stage.IN_REVIEW), "tag-live"),
    **dict.fromkeys((Stage.CHOSEN, Stage.EXPORTED), "tag-good"),
    **dict.fromkeys((Stage.BOUNCED, Stage.STUCK, Stage.FAILED), "tag-bad"),
}
UNDER_WAY = (Stage.QUEUED, Stage.TRAINING, Stage.RENDERING, Stage.IN_REVIEW)
REMINDABLE = (*invitations.REMIND_ABOUT, Stage.INVITED, Stage.BOUNCED)


@dataclass(frozen=True)
class BatchLine:
    row: Batch
    people: int
    chosen: int
    attention: int


@dataclass(frozen=True)
class Needy:
    """Somebody whom HR could help; the name is None once the person was erased."""

    id: UUID
    name: str | None
    stage: Stage
    since: datetime
    photos: int
    mail: MailNote | None


@dataclass(frozen=True)
class Shown:
    """A released headshot with the words beside it."""

    release: Any
    headshot: Any
    name: str
    department: str | None
    look: str


def hr(request: Request[Any, Any, Any], session: Session) -> Member:
    return access.require(session, signed_in(request), Role.HR)


def show(
    request: Request[Any, Any, Any], member: Member, name: str, context: Mapping[str, Any], status: int = 200
) -> Response[str]:
    return page(request, name, {"roles": member.roles, "problem": None} | dict(context), status=status)


@get("/desk", sync_to_thread=True, guards=DESK)
def show_batches(request: Request[Any, Any, Any]) -> Response[str]:
    return batches_page(request)


def batches_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    now = utc_now()
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = hr(request, session)
        tenant = tenants.get(session)
        balance = credits.balance(session)
        everybody = funnel.lines(session, now)
        known = batches.list_batches(session)
    context = {
        "tenant": tenant,
        "balance": balance,
        "batches": [_batch_line(batch, everybody, now) for batch in known],
        "problem": problem,
    }
    return show(request, member, "desk/batches.html", context, problem.status if problem else 200)


def _batch_line(batch: Batch, everybody: list[funnel.Line], now: datetime) -> BatchLine:
    lines = [line for line in everybody if line.batch_id == batch.id]
    chosen = sum(line.stage in (Stage.CHOSEN, Stage.EXPORTED) for line in lines)
    return BatchLine(batch, len(lines), chosen, len(funnel.attention(lines, now)))


@post("/desk/batches/{batch_id:uuid}/{act:str}", sync_to_thread=True, guards=DESK)
def change_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID], act: FromPath[str]) -> Response[Any]:
    """Invites, undoes or revokes: what one button of the batch's page does."""
    caller, now = signed_in(request), utc_now()
    try:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            hr(request, session)
            match act:
                case "invite":
                    counted = {"invited": batches.invite(session, batch_id, now)}
                case "revoke":
                    counted = {"revoked": batches.revoke(session, batch_id, now, caller=str(caller))}
                case "undo":
                    undone = imports.undo(session, kernel_of(request).keys, batch_id, now, caller=str(caller))
                    counted = asdict(undone) | {"undone": 1}
                case _:
                    raise batches.BatchMissing("There is nothing like that to do with a batch.")
    except LikenessError as problem:
        if problem.status != 409:
            raise
        return _batch_page(request, batch_id, problem=problem)
    return to_batch(batch_id, **counted)


def to_batch(batch_id: UUID, **counted: int) -> Response[Any]:
    return Redirect(f"/desk/batches/{batch_id}?{urlencode(counted)}", status_code=303)


SAID = {
    "created": ("1 person added", "{} people added"),
    "updated": ("1 corrected", "{} corrected"),
    "asked": ("1 asked about a new address first", "{} asked about their new addresses first"),
    "invited": ("1 invited", "{} invited"),
    "revoked": ("1 invitation revoked", "{} invitations revoked"),
    "removed": ("1 person removed again", "{} people removed again"),
    "restored": ("1 correction taken back", "{} corrections taken back"),
    "kept": (
        "1 person stays, because they have opened their invitation",
        "{} people stay, because they have opened their invitations",
    ),
    "still_corrected": (
        "1 correction stays, because it was changed or confirmed since",
        "{} corrections stay, because they were changed or confirmed since",
    ),
    "mailed": ("1 mail had been sent; its link no longer works", "{} mails had been sent; their links no longer work"),
    "reminded": ("A fresh link goes to them, unless they have answered already", "{} fresh links"),
    "asked_again": ("1 person is invited again", "{} people are invited again"),
    "copies": ("It is recorded that 1 copy is deleted", "It is recorded that {} copies are deleted"),
}


def _said(request: Request[Any, Any, Any]) -> str:
    """What the button before did, counted in the address; only numbers are taken from there."""
    parts = []
    for name, (one, many) in SAID.items():
        count = str(request.query_params.get(name, ""))[:7]
        if count.isdecimal() and (int(count) or name in ("created", "revoked")):
            parts.append(one if int(count) == 1 else many.format(int(count)))
    if request.query_params.get("undone") and not parts:
        return "There was nothing left to undo."
    # What an undo did and did not is a sentence each.
    return (". " if request.query_params.get("undone") else ", ").join(parts) + "." if parts else ""


@get("/desk/batches/{batch_id:uuid}", sync_to_thread=True, guards=DESK)
def show_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    return _batch_page(request, batch_id)


def _batch_page(request: Request[Any, Any, Any], batch_id: UUID, problem: LikenessError | None = None) -> Response[str]:
    kernel, now = kernel_of(request), utc_now()
    # The funnel asks every few seconds; opening everybody's sealed name for it would cost a second for a large roster.
    live = request.headers.get("hx-target") == "live"
    with kernel.db.transaction(signed_in(request).tenant) as session:
        member = hr(request, session)
        batch = batches.get(session, batch_id)
        lines = funnel.lines(session, now, batch_id=batch_id)
        people = [] if live else batches.people(session, kernel.keys, batch_id, now)
        mails = mailing.notes(session, batch_id)
        needy = funnel.attention(lines, now)
        asked = {line.employee_id for line in needy}
        needy += [
            line
            for line in lines
            if line.employee_id not in asked
            and line.stage != funnel.Stage.OPTED_OUT
            and (note := mails.get(line.employee_id))
            and note.send_again
        ]
        attention = [_needy(session, kernel, line, mails.get(line.employee_id)) for line in needy[:MOST_SHOWN]]
        released = len(headshots.released(session, batch_id, now))
        asked_back = [] if live else desk_people.asked_back(session, kernel, batch_id)
        usual = usual_seconds(session)
    counts = funnel.counts(lines)
    waiting = sum(counts[stage] for stage in UNDER_WAY)
    fresh = batch.imported_at is not None and now - batch.imported_at < imports.UNDO_WITHIN
    context = {
        "batch": batch,
        "total": len(lines),
        "counts": counts,
        "ages": funnel.ages(lines, now),
        "attention": attention,
        "fills": FILLS,
        "tones": TONES,
        "remindable": REMINDABLE,
        "released": released,
        "asked_back": asked_back,
        "eta": usual * waiting if usual and waiting else None,
        "undo_until": batch.imported_at + imports.UNDO_WITHIN if fresh and batch.imported_at else None,
        "departments": sorted({line.department for line in people if line.department}),
        "said": _said(request),
        "problem": problem,
        **_found(request, people),
    }
    return show(request, member, "desk/batch.html", context, problem.status if problem else 200)


def _needy(session: Session, kernel: Kernel, line: funnel.Line, mail: MailNote | None) -> Needy:
    name = None
    with suppress(Gone):
        name = employees.profile(kernel.keys, employees.get(session, line.employee_id)).full_name
    return Needy(line.employee_id, name, line.stage, line.since, line.photos, mail)


def _found(request: Request[Any, Any, Any], people: list[RosterLine]) -> dict[str, Any]:
    """The part of the roster that the filters ask for."""
    asked = request.query_params
    query = str(asked.get("q", "")).strip()
    stage, department = str(asked.get("stage", "")), str(asked.get("department", ""))
    number = str(asked.get("page", "1"))[:5]
    found = [
        line
        for line in people
        if (not stage or line.stage == stage)
        and (not department or line.department == department)
        and query.casefold() in " ".join((line.name or "", line.email or "", line.employee_key or "")).casefold()
    ]
    at = max(1, int(number)) if number.isdecimal() else 1
    first = (at - 1) * ON_A_PAGE
    return {
        "people": found[first : first + ON_A_PAGE],
        "matching": len(found),
        "page": at,
        "first": first + 1,
        "query": query,
        "chosen_stage": stage,
        "chosen_department": department,
        "filter": urlencode({"q": query, "stage": stage, "department": department}),
    }


def excel(data: bytes, name: str) -> Response[bytes]:
    return Response(
        data,
        media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        headers={"content-disposition": f'attachment; filename="{name}"', "cache-control": "private, no-store"},
    )


@get("/desk/batches/{batch_id:uuid}/status", sync_to_thread=True, guards=DESK)
def download_status(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    kernel = kernel_of(request)
    with kernel.db.transaction(signed_in(request).tenant) as session:
        hr(request, session)
        data = batches.status_export(session, kernel.keys, batch_id, utc_now())
    return excel(data, "status.xlsx")


@get("/desk/batches/{batch_id:uuid}/headshots", sync_to_thread=True, guards=DESK)
def show_released(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    kernel = kernel_of(request)
    with kernel.db.transaction(signed_in(request).tenant) as session:
        member = hr(request, session)
        batch = batches.get(session, batch_id)
        released = headshots.released(session, batch_id, utc_now())
        asked_back = desk_people.asked_back(session, kernel, batch_id)
        named = {one: looks.get(session, one) for one in {item.headshot.look_id for item in released}}
        loosened = framing.of_company(session)
    shown = [_shown(kernel, item, named[item.headshot.look_id]) for item in released]
    about = {
        "portraits": any(item.headshot.loosening is not None for item in released),
        "loosened": loosened,
        "asked_back": asked_back,
    }
    return show(request, member, "desk/headshots.html", {"batch": batch, "released": shown} | about)


def _shown(kernel: Kernel, item: Released, look: Look) -> Shown:
    who = employees.profile(kernel.keys, item.employee)
    return Shown(item.release, item.headshot, who.full_name, who.department, look.name)


@get("/desk/looks", sync_to_thread=True, guards=DESK)
def show_looks(request: Request[Any, Any, Any]) -> Response[str]:
    return _looks_page(request)


def _looks_page(
    request: Request[Any, Any, Any], problem: LikenessError | None = None, typed: Mapping[str, str] | None = None
) -> Response[str]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = hr(request, session)
        known = looks.list_looks(session)
    context = {
        "looks": [swatches.swatch(look) for look in known],
        "choices": swatches.CHOICES,
        "typed": typed or {},
        "problem": problem,
    }
    return show(request, member, "desk/looks.html", context, problem.status if problem else 200)


@post("/desk/looks", sync_to_thread=True, guards=DESK)
def add_look(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    caller = signed_in(request)
    words = {word: data.get(word, "") for word in ("name", "backdrop", "dress", "framing", "light")}
    try:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            hr(request, session)
            looks.add(session, **words, caller=str(caller))
    except LikenessError as problem:
        if problem.status not in (409, 422):
            raise
        return _looks_page(request, problem, words)
    return Redirect("/desk/looks", status_code=303)


@post("/desk/looks/{look_id:uuid}/retire", sync_to_thread=True, guards=DESK)
def retire_look(request: Request[Any, Any, Any], look_id: FromPath[UUID]) -> Response[Any]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        hr(request, session)
        looks.retire(session, look_id, caller=str(caller))
    return Redirect("/desk/looks", status_code=303)


@get("/desk/credits", sync_to_thread=True, guards=DESK)
def show_credits(request: Request[Any, Any, Any]) -> Response[str]:
    with kernel_of(request).db.transaction(signed_in(request).tenant) as session:
        member = hr(request, session)
        balance, movements = credits.balance(session), credits.movements(session)
        tenant: Tenant = tenants.get(session)
    context = {"balance": balance, "movements": movements, "quota": tenant.employee_quota}
    return show(request, member, "desk/credits.html", context)


routes: list[Any] = [
    show_batches,
    change_batch,
    show_batch,
    download_status,
    show_released,
    show_looks,
    add_look,
    retire_look,
    show_credits,
]
