"""HR's page of released headshots over all batches: who is there, who is missing, and what to take with them as what."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Stream
from sqlmodel import Session

from batch.delivery import disclosure, downloads, names, shelf
from batch.delivery.api import send
from batch.delivery.delivery import DeliveryChoice, NobodyChosen
from batch.delivery.names import PatternRefused
from batch.delivery.shelf import Part, ShelfPlace
from batch.people import employees
from batch.people.departments import Grouping
from batch.people.employees import EmployeeProfile
from batch.photos import rejections
from batch.roster import batches, listings, naming, searching
from batch.sittings import approvals, copies
from batch.sittings.headshots import Released
from dashboard.desk import people as desk_people
from dashboard.desk.desk import DESK, TONES, Form, Ticks, show
from dashboard.desk.finding import filters
from dashboard.reader import reader
from likeness.ground.db import utc_now
from likeness.ground.errors import Gone, LikenessError, Unprocessable
from likeness.keys.keys import KeyFolder
from likeness.locale.languages import LANGUAGES, RIGHT_TO_LEFT
from likeness.locale.marks import N_
from likeness.web.guards import kernel_of, signed_in
from tenants import looks, tenants
from tenants.members import members, permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

ON_A_PAGE, NEWEST = 30, 8
SHOWN_EACH = 4
"""Pictures of one person in their place; how many more there are is said."""
FOR = {
    "entra": ("Entra ID, Microsoft 365", N_("one picture each, 648 px and at most 100 kB, with a list and the script")),
    "google": ("Google Workspace", N_("the same, with a list for GAM")),
    "directory": (N_("Other directories"), N_("648 px, JPEG, at most 100 kB")),
    "square": (N_("Square"), N_("1,024 px: intranet")),
    "portrait": (N_("Portrait 4:5"), N_("1,024 px wide: print and press")),
    "circle": (N_("Circle"), N_("1,024 px, PNG with empty corners")),
}
EXAMPLE = EmployeeProfile("Nadia Kovač", "nadia@company.example", "10482", "Design", "Zürich")


@get("/desk/headshots", sync_to_thread=True, guards=DESK)
def show_shelf(request: Request[Any, Any, Any]) -> Response[str]:
    return _shelf_page(request)


@get("/desk/batches/{batch_id:uuid}/headshots", sync_to_thread=True, guards=DESK)
def show_shelf_of(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[str]:
    return _shelf_page(request, batch_id)


def _shelf_page(
    request: Request[Any, Any, Any], batch_id: UUID | None = None, problem: LikenessError | None = None
) -> Response[str]:
    kernel, now = kernel_of(request), utc_now()
    asked, part, at = _asked(request, batch_id)
    pattern = str(request.query_params.get("names", "")).strip()[:200] or names.USUAL
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        may = permissions.of(member.roles)
        if asked.batch_id is not None:
            batches.get(session, asked.batch_id)
        with_gaps = Permission.PEOPLE_READ in may
        found = shelf.places(
            session, kernel.keys, asked, now, ON_A_PAGE + 1, part=part, skip=(at - 1) * ON_A_PAGE, with_gaps=with_gaps
        )
        named = {one.id: naming.of(kernel.keys, one) for one in batches.list_batches(session)}
        counts = shelf.counts(session, now, asked.batch_id)
        takable = counts.usable, counts.new_headshots
        if asked.words or asked.department:
            takable = shelf.takable(session, kernel.keys, asked, now)
        called = looks.names(session)
        waiting = [asked.batch_id] if asked.batch_id else list(copies.waiting_by_batch(session))
        asked_back = [(one, each) for one in waiting for each in desk_people.asked_back(session, kernel, one)]
        named_people = [*(one.id for one in found[:ON_A_PAGE]), *(one.person_id for _, one in asked_back)]
        listings.note(session, named_people, now, caller=str(signed_in(request)))
        taken = downloads.of_company(session, member.id, NEWEST)
        approves, to_approve = tenants.get(session).approves, approvals.count(session, now)
        who = _names_of(session, kernel.keys, {one.member_id for one in taken})
        query, choose = partial(_query, asked, part), filters.wanted(str(request.query_params.get("choose", "")))
        says = reader(request)
        say = says.gettext
        opened = (
            filters.opened(session, kernel.keys, says, asked, choose, query) if choose == Grouping.DEPARTMENT else None
        )
    context = {
        "places": found[:ON_A_PAGE],
        "more": len(found) > ON_A_PAGE,
        "page": at,
        "first": (at - 1) * ON_A_PAGE + 1,
        "part": part,
        "parts": [one for one in Part if with_gaps or one not in (Part.RELEASED, Part.GAPS)],
        "asked": asked,
        "batch_id": asked.batch_id,
        "named": named,
        "counts": counts,
        "takable": takable,
        "approves": approves,
        "to_approve": to_approve,
        "approval": approvals.of,
        "looks": called,
        "asked_back": asked_back,
        "taken": taken,
        "who": who,
        "presets": [(name, *about) for name, about in FOR.items()],
        "presets_named": {"entra": say("for Entra ID"), "google": say("for Google Workspace")}
        | {name: say(FOR[name][0]) for name in ("directory", "square", "portrait", "circle")},
        "preset": str(request.query_params.get("preset", "square")),
        "pattern": pattern,
        "fields": names.FIELDS,
        "example": _example(found, named, called, pattern),
        "shown_each": SHOWN_EACH,
        "tones": TONES,
        "moment": now.isoformat(timespec="microseconds"),
        "query": query,
        "filters": [filters.menu(asked, Grouping.DEPARTMENT, opened, query), filters.batches(says, asked, named, query)],
        "said_so_far": parse_qsl(query()),
        "problem": problem,
    }
    return show(request, member, "desk/headshots.html", context, problem.status if problem else 200)


def _asked(request: Request[Any, Any, Any], batch_id: UUID | None) -> tuple[searching.PeopleSearch, Part, int]:
    """What the address asks for. Anything odd in it means everybody, as an old bookmark may hold it."""
    values = request.query_params
    if batch_id is None:
        with suppress(ValueError):
            batch_id = UUID(str(values.get("batch", "")))
    part = str(values.get("part", ""))
    asked = searching.PeopleSearch(
        words=str(values.get("q", "")).strip()[:200],
        department=str(values.get("department", "")).strip()[:200],
        batch_id=batch_id,
    )
    at = max(1, whole_number(str(values.get("page", "1")), 99_999) or 1)
    return asked, Part(part) if part in set(Part) else Part.ALL, at


def _query(asked: searching.PeopleSearch, shown: Part, **changes: Any) -> str:
    """The address of the same question with some of it changed."""
    values: dict[str, Any] = {
        "q": asked.words, "department": asked.department, "batch": asked.batch_id or "",
        "part": "" if shown == Part.ALL else shown,
    } | changes  # fmt: skip
    return urlencode({name: value for name, value in values.items() if value})


def _names_of(session: Session, keys: KeyFolder, ids: set[UUID]) -> dict[UUID, str]:
    found = {}
    for one in ids:
        with suppress(LikenessError):
            found[one] = members.profile(keys, members.get(session, one)).name
    return found


def _example(
    found: list[ShelfPlace], named: dict[UUID, str], called: dict[UUID, str], pattern: str
) -> tuple[str, PatternRefused | None]:
    """How a file would be called, or what is wrong with the pattern."""
    first = next((one for one in found if one.headshots), None)
    who, look, batch = EXAMPLE, "Studio grey", "Autumn"
    if first is not None:
        who = replace(EXAMPLE, full_name=first.name, department=first.department)
        look = called.get(first.headshots[0].headshot.look_id, look)
        batch = named.get(first.batch_id, batch)
    try:
        return f"{names.pattern(pattern).fill(names.values(who, look, batch))}.jpg", None
    except PatternRefused as problem:
        return "", problem


@get("/desk/headshots/archive", sync_to_thread=True, guards=DESK)
def download(request: Request[Any, Any, Any]) -> Stream | Response[str]:
    """The form's answer: people who are ticked, what is new, or everything of the batch that is shown."""
    try:
        return send(request, _wanted(request))
    except Unprocessable as problem:
        return _shelf_page(request, None, problem)


def _wanted(request: Request[Any, Any, Any]) -> DeliveryChoice:
    """Raises `NobodyChosen`."""
    values = request.query_params
    which = str(values.get("which", "all"))
    people: list[UUID] = []
    batch, moment = None, None
    with suppress(ValueError):
        people = [UUID(str(one)) for one in dict.fromkeys(values.getall("person", []))]
    with suppress(ValueError):
        batch = UUID(str(values.get("batch", "")))
    with suppress(ValueError):
        moment = datetime.fromisoformat(str(values.get("moment", "")))
    if which == "ticked" and not people:
        raise NobodyChosen("Tick the people whose headshots you want, or download all of them. Nothing was downloaded.")
    return DeliveryChoice(
        batch,
        tuple(people) if which == "ticked" else (),
        moment or utc_now() if which == "new" else None,
        str(values.get("preset", "square")),
        str(values.get("names", "")) or names.USUAL,
        words=str(values.get("q", "")).strip()[:200] if which != "ticked" else "",
        department=str(values.get("department", "")).strip()[:200] if which != "ticked" else "",
    )


@get("/desk/headshots/approval", sync_to_thread=True, guards=DESK)
def show_approval(request: Request[Any, Any, Any]) -> Response[str]:
    return _approval_page(request)


def _approval_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    """What waits for the company's word, and what it asked to have changed."""
    kernel, now = kernel_of(request), utc_now()
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        waiting = approvals.waiting(session, now, ON_A_PAGE + 1)
        asked = approvals.waiting(session, now, ON_A_PAGE + 1, answered=True)
        named = {one.employee.id: _name(kernel.keys, one) for one in (*waiting, *asked)}
        listings.note(
            session, [one.employee.roster_id for one in (*waiting, *asked)], now, caller=str(signed_in(request))
        )
        context = {
            "waiting": waiting[:ON_A_PAGE],
            "more": len(waiting) > ON_A_PAGE,
            "asked": asked[:ON_A_PAGE],
            "named": named,
            "looks": looks.names(session),
            "reasons": approvals.REASONS,
            "of": approvals.of,
            "tally": rejections.of_company(session, now),
            "approves": tenants.get(session).approves,
            "approved": request.query_params.get("approved", ""),
            "problem": problem,
        }
    return show(request, member, "desk/approval.html", context, problem.status if problem else 200)


def _name(keys: KeyFolder, one: Released) -> str:
    with suppress(Gone):
        return employees.profile(keys, one.employee).full_name
    return ""


@post("/desk/headshots/approval", sync_to_thread=True, guards=DESK)
def approve(request: Request[Any, Any, Any], data: Ticks) -> Response[Any]:
    """What is ticked, or the one whose button it was."""
    chosen: list[UUID] = []
    with suppress(ValueError):
        ticked = data.get("one") or data.get("headshot", [])
        chosen = [UUID(each) for each in ([ticked] if isinstance(ticked, str) else ticked)]
    if not chosen:
        return _approval_page(request, NobodyChosen(N_("Tick the headshots that you approve. Nothing was changed.")))
    with desk(request, Permission.HEADSHOTS_APPROVE) as (session, _):
        count = approvals.approve(session, chosen, utc_now(), caller=str(signed_in(request)))
    return Redirect(f"/desk/headshots/approval?approved={count}", status_code=303)


@post("/desk/headshots/{headshot_id:uuid}/another", sync_to_thread=True, guards=DESK)
def ask_for_another(request: Request[Any, Any, Any], headshot_id: FromPath[UUID], data: Form) -> Response[Any]:
    caller = str(signed_in(request))
    try:
        with desk(request, Permission.HEADSHOTS_APPROVE) as (session, _):
            approvals.ask_for_another(
                session, kernel_of(request).keys, headshot_id, data.get("reason", ""), utc_now(), caller=caller
            )
    except (approvals.NoReason, approvals.AskedAlready) as problem:
        return _approval_page(request, problem)
    return Redirect("/desk/headshots/approval", status_code=303)


@get("/desk/headshots/disclosure", sync_to_thread=True, guards=DESK)
def show_disclosure(request: Request[Any, Any, Any]) -> Response[str]:
    """What to say where headshots are published, in every language that there is."""
    kernel = kernel_of(request)
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        counted, accepted = disclosure.counts(session, utc_now()), disclosure.accepted(session)
        tenant = tenants.get(session)
        by = UUID(accepted.caller.partition(":")[2]) if accepted else None
        called = _names_of(session, kernel.keys, {by} if by else set()).get(by) if by else None
    context = {
        "counts": counted, "accepted": accepted, "by": called, "duties": disclosure.DUTIES,
        "places": disclosure.PLACES, "own": tenant.language, "languages": LANGUAGES, "right_to_left": RIGHT_TO_LEFT,
        "wording": {language: disclosure.wording(language) for language in LANGUAGES},
    }  # fmt: skip
    return show(request, member, "desk/disclosure.html", context)


@post("/desk/headshots/disclosure", sync_to_thread=True, guards=DESK)
def accept_disclosure(request: Request[Any, Any, Any]) -> Redirect:
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        disclosure.accept(session, f"member:{member.id}")
    return Redirect("/desk/headshots/disclosure", status_code=303)


routes: list[Any] = [
    show_shelf, show_shelf_of, download, show_approval, approve, ask_for_another, show_disclosure, accept_disclosure,
]  # fmt: skip
