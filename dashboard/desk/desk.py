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

from batch.models import Batch
from batch.people import employees, funnel, notes
from batch.people.funnel import Stage
from batch.pilots import pilots
from batch.roster import batches, imports, listings, naming, searching, undoing
from batch.sittings import forecast, headshots
from batch.visit import invitations, mailing
from batch.visit.mailing import MailNote
from dashboard.desk import people as desk_people
from dashboard.pages import page, part_of
from dashboard.reader import reader
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, Gone, LikenessError
from likeness.identity import Kind
from likeness.jobs import held
from likeness.kernel import Kernel
from likeness.locale.marks import NN_
from likeness.web.files import saved
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.paging import Mark
from tenants import credits, packs, tenants
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Member
from tenants.plain import whole_number

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
MaybeForm = Annotated[dict[str, str] | None, Body(media_type=RequestEncodingType.URL_ENCODED)]
Ticks = Annotated[dict[str, Any], Body(media_type=RequestEncodingType.URL_ENCODED)]
"""A form in which one name may stand several times."""
ON_A_PAGE = 50
AGAIN = ("inviting", "inviting_later", "own_clock", "trying", "revoking", "act")
"""What the part that says how far an act is asks again with."""
MOST_SHOWN = 100

FILLS = {
    **dict.fromkeys((Stage.ADDED, Stage.INVITED, Stage.DELIVERED), "fill-1"),
    **dict.fromkeys((Stage.OPENED, Stage.CONSENTED), "fill-2"),
    **dict.fromkeys((Stage.UPLOADING, Stage.QUEUED), "fill-3"),
    **dict.fromkeys((Stage.TRAINING, Stage.RENDERING), "fill-4"),
    Stage.READY: "fill-5",
    **dict.fromkeys((Stage.CHOSEN, Stage.EXPORTED), "fill-6"),
    Stage.OPTED_OUT: "fill-aside",
    **dict.fromkeys((Stage.BOUNCED, Stage.STUCK, Stage.FAILED), "fill-bad"),
}
TONES = {
    **dict.fromkeys((Stage.QUEUED, Stage.TRAINING, Stage.RENDERING), "tag-live"),
    **dict.fromkeys((Stage.CHOSEN, Stage.EXPORTED), "tag-good"),
    **dict.fromkeys((Stage.BOUNCED, Stage.STUCK, Stage.FAILED), "tag-bad"),
}
UNDER_WAY = (Stage.QUEUED, Stage.TRAINING, Stage.RENDERING)
REMINDABLE = (*invitations.REMIND_ABOUT, Stage.INVITED, Stage.BOUNCED)


@dataclass(frozen=True)
class BatchLine:
    row: Batch
    name: str
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


def show(
    request: Request[Any, Any, Any], member: Member, name: str, context: Mapping[str, Any], status: int = 200
) -> Response[str]:
    return page(request, name, {"roles": member.roles, "problem": None} | dict(context), status=status)


@get("/desk/batches", sync_to_thread=True, guards=DESK)
def show_batches(request: Request[Any, Any, Any]) -> Response[str]:
    return batches_page(request)


def batches_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    now, part = utc_now(), part_of(request, Mark, ON_A_PAGE)
    with desk(request, Permission.BATCHES_READ) as (session, member):
        tenant = tenants.get(session)
        balance = credits.balance(session)
        counted = funnel.tallies(session, now)
        found = batches.list_batches(session, part.lines, before=part.after)
        known, count = found[: part.most], batches.count(session)
        names = {batch.id: naming.of(kernel_of(request).keys, batch) for batch in known}
    context = {
        "tenant": tenant,
        "balance": balance,
        "batches": [_batch_line(batch, names[batch.id], counted) for batch in known],
        "count": count,
        "after": part.onward(found, lambda one: Mark(one.created_at, one.id)),
        "later": part.after is not None,
        "said": _said(request),
        "problem": problem,
    }
    return show(request, member, "desk/batches.html", context, problem.status if problem else 200)


def _batch_line(batch: Batch, name: str, counted: list[funnel.StageTally]) -> BatchLine:
    mine = [one for one in counted if one.batch_id == batch.id]
    chosen = sum(one.people for one in mine if one.stage in (Stage.CHOSEN, Stage.EXPORTED))
    return BatchLine(batch, name, sum(one.people for one in mine), chosen, sum(len(one.needy) for one in mine))


class Tried(Exception):
    """Rolls a trial back: what was done with whom is known, and nothing of it stays."""


def act_in(values: Mapping[str, Any]) -> UUID | None:
    """The id of an act that waits, in an address or a form; anything odd is none."""
    with suppress(ValueError):
        return UUID(str(values.get("act", "")))
    return None


@post("/desk/batches/{batch_id:uuid}/undo", sync_to_thread=True, guards=DESK)
def undo(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[Any]:
    """Asks for no fresh sign-in, because the import asked for none (decision 0060)."""
    keys, caller = kernel_of(request).keys, str(signed_in(request))
    try:
        with desk(request, Permission.PEOPLE_IMPORT) as (session, _):
            undone = imports.undo(session, keys, batch_id, utc_now(), caller=caller)
    except Conflict as problem:
        return batch_page(request, batch_id, problem=problem)
    return to_batch(batch_id, **asdict(undone), undone=1)


def to_batch(batch_id: UUID, **counted: object) -> Response[Any]:
    return Redirect(f"/desk/batches/{batch_id}?{urlencode(counted)}", status_code=303)


SAID = {
    "discarded": NN_("The file is deleted, and nothing of it was imported", "The file is deleted, and nothing of it was"
        " imported"),
    "changed": NN_("Name and day are changed", "Name and day are changed"),
    "created": NN_("1 person added", "{n} people added"),
    "updated": NN_("1 corrected", "{n} corrected"),
    "asked": NN_("1 asked about a new address first", "{n} asked about their new addresses first"),
    "invited": NN_("1 invited", "{n} invited"),
    "inviting": NN_("1 person is invited", "{n} people are invited"),
    "inviting_later": NN_(
        "1 person is invited by a mail at the time that you chose",
        "{n} people are invited by mails at the time that you chose",
    ),
    "own_clock": NN_(
        "1 of them by the clock of their own site, everybody else by your company's",
        "{n} of them by the clocks of their own sites, everybody else by your company's",
    ),
    "trying": NN_("{n} person is invited, and nobody else", "{n} people are invited, and nobody else"),
    "revoking": NN_("1 invitation is taken back", "{n} invitations are taken back"),
    "taken_back": NN_("Undone: nobody was invited, and no invitation was taken back", "Undone: nobody was invited, and no"
        " invitation was taken back"),
    "removed": NN_("1 person removed again", "{n} people removed again"),
    "restored": NN_("1 correction taken back", "{n} corrections taken back"),
    "kept": NN_(
        "1 person stays, because they have opened their invitation",
        "{n} people stay, because they have opened their invitations",
    ),
    "still_corrected": NN_(
        "1 correction stays, because it was changed or confirmed since",
        "{n} corrections stay, because they were changed or confirmed since",
    ),
    "mailed": NN_("1 mail had been sent; its link no longer works", "{n} mails had been sent; their links no longer work"),
    "reminded": NN_("A fresh link goes to them, unless they have answered already", "{n} fresh links"),
    "asked_again": NN_("1 person is invited again", "{n} people are invited again"),
    "copies": NN_("It is recorded that 1 copy is deleted", "It is recorded that {n} copies are deleted"),
}


def _said(request: Request[Any, Any, Any]) -> str:
    """What the button before did, counted in the address; only numbers are taken from there."""
    parts, said = [], reader(request)
    for name, (one, many) in SAID.items():
        count = str(request.query_params.get(name, ""))[:7]
        if count.isdecimal() and (int(count) or name in ("created", "inviting", "inviting_later", "revoking")):
            parts.append(said.ngettext(one, many, int(count)))
    if request.query_params.get("undone") and not parts:
        return said.gettext("There was nothing left to undo.")
    # What an undo did and did not is a sentence each.
    return said.stop(*parts) if request.query_params.get("undone") else said.stop(said.enumerated(parts)) if parts else ""


@get("/desk/batches/{batch_id:uuid}", sync_to_thread=True, guards=DESK)
def show_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    return batch_page(request, batch_id)


PARTS = ("done", "live", "roster")
"""What of the page is fetched by itself; the page says nothing else then, so nothing else is asked for."""


def batch_page(request: Request[Any, Any, Any], batch_id: UUID, problem: LikenessError | None = None) -> Response[str]:
    kernel, now = kernel_of(request), utc_now()
    target = request.headers.get("hx-target", "") if request.headers.get("hx-request") else ""
    parts = (target,) if target in PARTS else ("", *PARTS)
    with desk(request, Permission.PEOPLE_READ) as (session, member):
        batch = batches.get(session, batch_id)
        tallies = {one.stage: one for one in funnel.tallies(session, now, batch_id=batch_id)}
        counts = {stage: tallies[stage].people if stage in tallies else 0 for stage in Stage}
        mails = mailing.notes(session, batch_id) if "live" in parts else None
        context: dict[str, Any] = {"batch": batch, "counts": counts, "total": sum(counts.values()), "tones": TONES}
        named: list[UUID] = []
        if "roster" in parts:
            found = _found(request, session, kernel, batch, counts, mails, now)
            named += [one.id for one in found["people"]]
            context |= found | {"remindable": REMINDABLE}
        if "done" in parts or "live" in parts:
            pilot = pilots.Pilot(pilots.tried(session, batch_id, now), counts[Stage.ADDED])
            tried = batches.seen(session, kernel.keys, pilot.lines, mails)
            named += [one.id for one in tried]
            context |= {"pilot": pilot, "tried": tried}
        if mails is not None:
            needy = _in_need(session, tallies, mails, now)
            attention = [_needy(session, kernel, line, mails.get(line.employee_id)) for line in needy[:MOST_SHOWN]]
            named += [one.id for one in attention if one.name]
            context |= {
                "attention": attention,
                "needing": len(needy),
                "ages": {stage: one.age for stage, one in tallies.items() if one.age},
                "fills": FILLS,
                "eta": forecast.of_line(session, now, batch_id),
            }
        if "done" in parts:
            context |= _done(request, session, now)
        if "" in parts:
            asked_back = desk_people.asked_back(session, kernel, batch_id)
            named += [one.person_id for one in asked_back]
            context |= {
                "asked_back": asked_back,
                "released": headshots.count_released(session, batch_id, now),
                "packs": packs.listed(session),
            }
        listings.note(session, named, now, caller=str(signed_in(request)))
    fresh = batch.imported_at is not None and now - batch.imported_at < imports.UNDO_WITHIN
    if "" in parts:
        context |= {
            "batch_name": naming.of(kernel.keys, batch),
            "note": notes.of(kernel.keys, batch),
            "longest_note": notes.LONGEST,
            "undo_until": batch.imported_at + imports.UNDO_WITHIN if fresh and batch.imported_at else None,
        }
    shown = show(request, member, "desk/batch.html", context | {"problem": problem}, problem.status if problem else 200)
    if target == "done" and context["standing"] == "done":
        # The stages of the list are those of before the act, so it is fetched again.
        shown.headers["HX-Trigger"] = "act-done"
    return shown


def _done(request: Request[Any, Any, Any], session: Session, now: datetime) -> dict[str, Any]:
    """How far the act is that a button before began, and what may be sent after it."""
    asked, act = request.query_params, act_in(request.query_params)
    begin = pilots.begin_held if "trying" in asked else undoing.begin_with_batch
    return {
        "act": act,
        "standing": held.standing(session, begin, act, now) if act else None,
        "refused": undoing.refused(session, act) if act else 0,
        "said": _said(request),
        "again": urlencode({name: asked[name] for name in AGAIN if name in asked}),
        "trying": "trying" in asked,
        # What may still be sent changes with the act that ends, so it comes along with the part that says so.
        "fetched": request.headers.get("hx-target") == "done",
        "zone": tenants.get(session).time_zone.replace("_", " "),
        "pilot_size": pilots.SIZE,
        "balance": credits.balance(session),
    }


def _in_need(
    session: Session, tallies: Mapping[Stage, funnel.StageTally], mails: Mapping[UUID, MailNote], now: datetime
) -> list[funnel.FunnelLine]:
    """Who stands still in the product, and then whom only a mail did not reach, each in the order of the list."""
    still = {person for one in tallies.values() for person in one.needy}
    unsent = {person for person, note in mails.items() if note.send_again}
    if not still | unsent:
        return []
    lines = funnel.lines(session, now, among=still | unsent)
    return sorted(
        (line for line in lines if line.employee_id in still or line.stage != Stage.OPTED_OUT),
        key=lambda line: line.employee_id not in still,
    )


def _needy(session: Session, kernel: Kernel, line: funnel.FunnelLine, mail: MailNote | None) -> Needy:
    name = None
    with suppress(Gone):
        name = employees.profile(kernel.keys, employees.get(session, line.employee_id)).full_name
    return Needy(line.roster_id, name, line.stage, line.since, line.photos, mail)


def _found(
    request: Request[Any, Any, Any],
    session: Session,
    kernel: Kernel,
    batch: Batch,
    counts: Mapping[Stage, int],
    mails: Mapping[UUID, MailNote] | None,
    now: datetime,
) -> dict[str, Any]:
    """One page of what the filters ask for; only whom it shows is opened, unless names are sought."""
    asked = request.query_params
    query = str(asked.get("q", "")).strip()[:200]
    stage, department = str(asked.get("stage", "")), str(asked.get("department", ""))
    at = max(1, whole_number(str(asked.get("page", "1")), 99_999) or 1)
    skip = (at - 1) * ON_A_PAGE
    wanted = Stage(stage) if stage in set(Stage) else None
    matching = None
    # One more than is shown says whether there are more.
    if query or department:
        sought = searching.PeopleSearch(query, (wanted,) if wanted else (), department, batch.id)
        people = [one for _, one in searching.people(session, kernel.keys, sought, now, ON_A_PAGE + 1, skip=skip)]
    else:
        people = batches.page(session, kernel.keys, batch.id, now, ON_A_PAGE + 1, skip=skip, stage=wanted, mails=mails)
        matching = counts[wanted] if wanted else sum(counts.values())
    more = len(people) > ON_A_PAGE
    if stage and wanted is None:
        people, matching, more = [], 0, False
    people = people[:ON_A_PAGE]
    return {
        "people": people,
        "matching": matching if matching is not None or more else skip + len(people),
        "more": more,
        "page": at,
        "first": skip + 1,
        "query": str(asked.get("q", "")).strip(),
        "chosen_stage": stage,
        "chosen_department": department,
        "departments": batches.departments_of(session, kernel.keys, batch, sum(counts.values())),
        "filter": urlencode({"q": query, "stage": stage, "department": department}),
    }


@get("/desk/batches/{batch_id:uuid}/status", sync_to_thread=True, guards=DESK)
def download_status(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    kernel = kernel_of(request)
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        data = batches.status_export(
            session, kernel.keys, batch_id, utc_now(), caller=str(signed_in(request)), told=reader(request).told
        )
    return saved(data, f"status-{utc_now():%Y-%m-%d}.xlsx")


routes: list[Any] = [
    show_batches,
    undo,
    show_batch,
    download_status,
]
