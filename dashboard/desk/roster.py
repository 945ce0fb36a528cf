"""HR's people over all batches: found, sorted and chosen on one page, and one person looked at closely."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID, uuid4

from litestar import Request, Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from litestar.response import Redirect
from sqlmodel import Session

from batch.delivery import statement
from batch.models import Employee
from batch.people import department_looks, employees, funnel, lines
from batch.people.funnel import Stage
from batch.photos import decisions
from batch.roster import batches, listings, naming, person, searching, undoing
from batch.roster.batches import RosterLine
from batch.roster.person import CorrectedFields
from batch.roster.searching import PeopleSearch, SortOrder, TooManyToSort
from batch.sittings import headshots, retakes
from batch.visit import reminders
from compliance.desk import deleting
from dashboard.desk import people as desk_people
from dashboard.desk.desk import DESK, REMINDABLE, TONES, Form, Ticks, Tried, act_in, show
from dashboard.desk.finding import filters, question
from dashboard.reader import reader
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, LikenessError, Unprocessable
from likeness.jobs import held
from likeness.locale.marks import N_, NN_
from likeness.locale.words import Words
from likeness.web.guards import fresh, kernel_of, signed_in
from tenants import views
from tenants.members import members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

ON_A_PAGE = undoing.MOST_TICKED
SAID = {
    "invited": NN_("1 person is invited", "{n} people are invited"),
    "later": NN_("1 person will be invited tomorrow at 09:00", "{n} people will be invited tomorrow at 09:00"),
    "own_clock": NN_(
        "For 1 of them that is the time of their own site; for the others the company's",
        "For {n} of them that is the time of their own sites; for the others the company's",
    ),
    "reminded": NN_("A fresh link goes to 1 person", "Fresh links go to {n} people"),
    "revoked": NN_("1 invitation is taken back", "{n} invitations are taken back"),
    "left_out": NN_(
        "1 of those you ticked is left as they were: their stage does not allow it, or a mail went to them just now",
        "{n} of those you ticked are left as they were: their stages do not allow it, or a mail went to them just now",
    ),
    "left": NN_(
        "1 person who matches is left as they were, because their stage does not allow it",
        "{n} people who match are left as they were, because their stages do not allow it",
    ),
    "corrected": NN_("The line is corrected", "The line is corrected"),
    "asked": NN_("The line is corrected; the new address waits for the person's own word, which they are asked"
                 " for", "The line is corrected; the new address waits for the person's own word, which they are asked"
                         " for"),
    "deleted": NN_("The deletion of 1 person is asked for", "The deletion of {n} people is asked for"),
    "held": NN_(
        "1 person is under a legal hold, and is deleted when it ends",
        "{n} people are under a legal hold, and are deleted when it ends",
    ),
    "undone": NN_("Undone: nothing was done with 1 person", "Undone: nothing was done with {n} people"),
    "waved": NN_("1 photo counts now", "{n} photos count now"),
}


@get("/desk/people", sync_to_thread=True, guards=DESK)
def show_people(request: Request[Any, Any, Any]) -> Response[str]:
    return _people_page(request)


def _people_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    kernel, now = kernel_of(request), utc_now()
    asked, at = question.asked_by(request.query_params)
    # The numbers on the chips count everybody, which takes longer than a page of people: they are fetched after it.
    part = request.headers.get("hx-target")
    menu = filters.wanted(str(request.query_params.get("choose", "")))
    if part == "find":
        with desk(request, Permission.PEOPLE_READ) as (session, _):
            searching.make_ready(session, kernel.keys)
        return Response("", status_code=204)
    counting = part in ("chips", "matching") or (menu is not None and part == f"pick_{menu}")
    with desk(request, Permission.PEOPLE_READ) as (session, member):
        named = {batch.id: naming.of(kernel.keys, batch) for batch in batches.list_batches(session)}
        tallies = funnel.tallies(session, now, batch_id=asked.batch_id) if part == "chips" else []
        matching = searching.how_many(session, kernel.keys, asked, now) if part == "matching" else None
        found = list[tuple[UUID, RosterLine]]()
        if not counting:
            try:
                found = searching.people(session, kernel.keys, asked, now, ON_A_PAGE + 1, skip=(at - 1) * ON_A_PAGE)
            except TooManyToSort as too_many:
                problem, asked = problem or too_many, replace(asked, order=SortOrder.LIST)
                found = searching.people(session, kernel.keys, asked, now, ON_A_PAGE + 1, skip=(at - 1) * ON_A_PAGE)
        shown = [line.id for _, line in found[:ON_A_PAGE]]
        listings.note(session, shown, now, caller=str(signed_in(request)))
        everybody = searching.count(session)
        kept = views.of(kernel.keys, member)
        at_address = partial(question.address, asked)
        opened = filters.opened(session, kernel.keys, reader(request), asked, menu, at_address) if menu else None
        waiting = _acts_waiting(request, session, now)
    context = {
        "views": kept,
        "people": found[:ON_A_PAGE],
        "more": len(found) > ON_A_PAGE,
        "page": at,
        "first": (at - 1) * ON_A_PAGE + 1,
        "everybody": everybody,
        "matching": matching,
        "named": named,
        "asked": asked,
        "filters": filters.of_page(reader(request), asked, named, opened, partial(question.address, asked)),
        "headings": [question.heading(asked, *one) for one in question.HEADINGS],
        "sortable": everybody <= searching.MOST_SORTED or asked.narrows,
        # So many names are kept open for a minute, so that what is sought is asked again every ten seconds.
        "few": everybody <= searching.MOST_SORTED,
        "most_sorted": searching.MOST_SORTED,
        "stages": list(Stage),
        "counts": {stage: sum(one.people for one in tallies if one.stage == stage) for stage in Stage} if tallies else {},
        "query": partial(question.address, asked),
        "parts": parse_qsl(question.address(asked)),
        "tones": TONES,
        "problem": problem,
    } | waiting
    status = problem.status if problem and not isinstance(problem, TooManyToSort) else 200
    return show(request, member, "desk/people.html", context, status)


def _acts_waiting(request: Request[Any, Any, Any], session: Session, now: datetime) -> dict[str, Any]:
    """What the button before did, and whether it can still be taken back."""
    act = act_in(request.query_params)
    begin = deleting.begin if "deleted" in request.query_params else undoing.begin
    return {
        "said": _said(request),
        "act": act,
        "standing": held.standing(session, begin, act, now) if act else None,
        "progress": held.progress(session, begin, act) if act else (0, 0),
        "refused": undoing.refused(session, act) if act else 0,
        "again": urlencode(_counted(request) | {"act": act or ""}),
        "deleting": "deleted" in request.query_params,
    }


def _said(request: Request[Any, Any, Any]) -> str:
    """What the button before did, counted in the address; only numbers are taken from there."""
    said = reader(request)
    return said.stop(*(said.ngettext(*SAID[name], count) for name, count in _counted(request).items()))


def _counted(request: Request[Any, Any, Any]) -> dict[str, int]:
    found = {name: whole_number(str(request.query_params.get(name, "")), 99_999) for name in SAID}
    return {name: count for name, count in found.items() if count}


@post("/desk/people/invite", sync_to_thread=True, guards=DESK)
def invite_ticked(request: Request[Any, Any, Any], data: Ticks) -> Response[Any]:
    """Whoever was not invited yet or may be asked again, now or tomorrow at nine."""
    act, word = ("later", "later") if data.get("when") == "later" else ("invite", "invited")
    return _ask(request, data, act, word)


@post("/desk/people/remind", sync_to_thread=True, guards=DESK)
def remind_ticked(request: Request[Any, Any, Any], data: Ticks) -> Response[Any]:
    return _ask(request, data, "remind", "reminded")


@post("/desk/people/revoke", sync_to_thread=True, guards=[*DESK, fresh])
def revoke_ticked(request: Request[Any, Any, Any], data: Ticks) -> Response[Any]:
    """Takes back the invitations that were not answered yet."""
    return _ask(request, data, "revoke", "revoked")


def _ask(request: Request[Any, Any, Any], data: dict[str, Any], act: str, word: str) -> Response[Any]:
    """Tries the act, so that what is promised is what follows, and leaves it to begin in ten seconds."""
    if data.get("all"):
        return _ask_all(request, data, act, word)
    now, caller = utc_now(), str(signed_in(request))
    ticked, able, keys, own = list[Employee](), list[UUID](), kernel_of(request).keys, 0
    try:
        with suppress(Tried), desk(request, Permission.PEOPLE_CHANGE) as (session, _):
            ticked = undoing.ticked(session, data.get("person"))
            able = undoing.carried_out(session, keys, act, ticked, now, caller=caller)
            own = undoing.by_own_clock(session, keys, act, able, now)
            raise Tried
        held_act: dict[str, Any] = {}
        if able:
            with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
                held_act["act"] = undoing.ask(session, act, able, now, caller=caller)
    except (Conflict, Unprocessable) as problem:
        alone = _one(data)
        return _person_page(request, alone, problem) if alone else _people_page(request, problem)
    return _back(data, **{word: len(able), "own_clock": own, "left_out": len(ticked) - len(able)}, **held_act)


ACTS = {
    "invite": (NN_("Invite {n} person?", "Invite {n} people?"),
               N_("Each gets a mail with a link of their own, and a credit is set aside for each.")),
    "later": (NN_("Invite {n} person tomorrow?", "Invite {n} people tomorrow?"),
              N_("Each gets a mail with a link of their own tomorrow at 09:00 where they are, as far as their site says it"
                 " plainly, else of the company, and a credit is set aside for each now.")),
    "remind": (NN_("Send a fresh link to {n} person?", "Send a fresh link to {n} people?"),
               N_("Each gets a mail with it. Whoever was sent one within the last two minutes gets no other.")),
    "revoke": (NN_("Take the invitations of {n} person back?", "Take the invitations of {n} people back?"),
               N_("Their links open nothing any more, and their credits come back.")),
}  # fmt: skip
"""What is asked before an act with everybody who matches, and what follows."""


def _ask_all(request: Request[Any, Any, Any], data: dict[str, Any], act: str, word: str) -> Response[Any]:
    """With everybody who matches: first a page that says with how many, then the act with just so many."""
    keys, now, caller = kernel_of(request).keys, utc_now(), str(signed_in(request))
    query = str(data.get("query", ""))[:1000]
    asked, _ = question.asked_by(MultiDict(parse_qsl(query)))
    sure = whole_number(str(data.get("sure", "")), 10**9)
    problem = None
    with desk(request, Permission.PEOPLE_CHANGE) as (session, member):
        batch = naming.of(keys, batches.get(session, asked.batch_id)) if asked.batch_id else ""
        found = searching.everybody(session, keys, asked, now)
        able = undoing.able(session, act, found, now)
        try:
            undoing.afford(session, act, able)
        except Conflict as refused:
            problem = refused
        if able and problem is None and sure == len(able):
            held_act = undoing.ask(session, act, able, utc_now(), caller=caller)
            own = undoing.by_own_clock(session, keys, act, able, now)
            return _back(data, **{word: len(able), "own_clock": own, "left": len(found) - len(able)}, act=held_act)
    says, (asks, follows) = reader(request), ACTS[act]
    context = {
        "heading": says.ngettext(*asks, len(able)), "follows": says.gettext(follows), "danger": act == "revoke",
        "path": request.url.path, "when": data.get("when", ""), "query": query,
        "back": f"/desk/people?{question.address(asked)}",
        "matching": len(found), "able": len(able), "changed": sure is not None, "problem": problem,
        "filters": _filters(says, asked, batch),
    }  # fmt: skip
    return show(request, member, "desk/many.html", context, problem.status if problem else 200)


def _filters(says: Words, asked: PeopleSearch, batch: str) -> list[str]:
    """What narrows the list, in words."""
    found = [*map(says.gettext, asked.stages), *filter(None, (asked.department, asked.site, asked.manager, batch))]
    if asked.words:
        found.append(f"“{asked.words}”")
    if asked.waiting:
        days = asked.waiting.days
        found.append(says.ngettext("{n} day or more in their stage", "{n} days or more in their stage", days))
    return found


@post("/desk/people/undo", sync_to_thread=True, guards=DESK)
def take_back(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """Within ten seconds, by whoever may act on people. Raises `TooLateToTakeBack`."""
    now, caller = utc_now(), str(signed_in(request))
    act, undo, permission = act_in(data), undoing.take_back, Permission.PEOPLE_CHANGE
    if "deleted" in data:
        undo, permission = deleting.take_back, Permission.PEOPLE_ERASE
    with desk(request, permission) as (session, _):
        count = undo(session, act or uuid4(), now, caller=caller)
    return _back(data, undone=count)


def _one(data: dict[str, Any]) -> UUID | None:
    """The person on whose own page the form stood; None for a form of the list."""
    with suppress(ValueError):
        return UUID(str(data.get("at", "")))
    return None


def _back(data: dict[str, Any], **counted: object) -> Response[Any]:
    asked = str(data.get("query", ""))[:1000]
    # Only our own pages are led back to, whatever the form says.
    said = urlencode({name: count for name, count in counted.items() if count})
    if one := _one(data):
        return Redirect(f"/desk/people/{one}?{said}", status_code=303)
    return Redirect(f"/desk/people?{'&'.join(part for part in (asked, said) if part)}", status_code=303)


@post("/desk/people/views", sync_to_thread=True, guards=DESK)
def keep_view(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """What the page asks now, under a name of the member's own."""
    query = data.get("query", "")
    try:
        with desk(request, Permission.PEOPLE_READ) as (session, member):
            views.keep(session, kernel_of(request).keys, member, data.get("name", ""), query)
    except (Conflict, Unprocessable) as problem:
        return _people_page(request, problem)
    return Redirect(f"/desk/people?{query}", status_code=303)


@post("/desk/people/views/forget", sync_to_thread=True, guards=DESK)
def forget_view(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    with desk(request, Permission.PEOPLE_READ) as (session, member):
        views.forget(session, kernel_of(request).keys, member, data.get("name", ""))
    return Redirect("/desk/people", status_code=303)


@get("/desk/people/{person_id:uuid}", sync_to_thread=True, guards=DESK)
def show_person(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> Response[str]:
    return _person_page(request, person_id)


def _person_page(
    request: Request[Any, Any, Any], person_id: UUID, problem: LikenessError | None = None,
    typed: dict[str, str] | None = None,
) -> Response[str]:  # fmt: skip
    kernel, now = kernel_of(request), utc_now()
    with desk(request, Permission.PEOPLE_READ) as (session, member):
        employee = employees.on_roster(session, person_id)
        person.viewed(session, employee.id, now, caller=str(signed_in(request)))
        line = batches.seen(session, kernel.keys, funnel.lines(session, now, employee_id=employee.id))[0]
        batch = batches.get(session, employee.batch_id)
        context = {
            "line": line,
            "batch": batch,
            "batch_name": naming.of(kernel.keys, batch),
            "steps": person.history(session, employee.id, now),
            "looks": department_looks.of_person(session, employee),
            "credit": statement.of_person(session, kernel.keys, employee, now),
            "standings": statement.WORDS,
            "retake_words": retakes.WORDS,
            "trouble": decisions.trouble(session, employee.id),
            "said_of_photos": desk_people.SAID_OF_PHOTOS,
            "released": headshots.released(session, employee.batch_id, now, employee_ids=[employee.id]),
            "remindable": REMINDABLE,
            "unanswered": batches.UNANSWERED,
            "tones": TONES,
            "typed": typed or {},
            "reminders": person.reminded(session, employee.id, now),
            "most_reminders": reminders.MOST_REMINDERS,
            "part": "hx-request" in request.headers,
            "problem": problem,
        } | _acts_waiting(request, session, now)
    answer = show(request, member, "desk/person.html", context, problem.status if problem else 200)
    if problem:
        # HTMX puts nothing in place for an error status unless it is told where.
        answer.headers["hx-retarget"] = "#person"
    return answer


@post("/desk/people/{person_id:uuid}/correct", sync_to_thread=True, guards=DESK)
def correct_person(request: Request[Any, Any, Any], person_id: FromPath[UUID], data: Form) -> Response[Any]:
    """A typing error put right; another address of somebody who has said yes waits for their own word."""
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        with (
            lines.on_record(kernel.db, caller.tenant, caller=str(caller)),
            desk(request, Permission.PEOPLE_IMPORT) as (session, _),
        ):
            employee = employees.on_roster(session, person_id)
            words = CorrectedFields(
                data.get("name", ""), members.address(data.get("email", "")), data.get("department", ""),
                data.get("site", ""),
            )  # fmt: skip
            asked = person.correct(session, kernel.keys, employee, words, utc_now(), caller=str(caller))
    except (Conflict, Unprocessable) as problem:
        return _person_page(request, person_id, problem, data)
    return Redirect(f"/desk/people/{person_id}?{'asked' if asked else 'corrected'}=1", status_code=303)


@post("/desk/people/{person_id:uuid}/wave", sync_to_thread=True, guards=DESK)
def wave_through(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> Response[Any]:
    """Lets what is usable count, for somebody who does not get on."""
    try:
        with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
            employee = employees.on_roster(session, person_id)
            count = decisions.wave_through(session, employee.id, caller=str(signed_in(request)))
    except Conflict as problem:
        return _person_page(request, person_id, problem)
    return Redirect(f"/desk/people/{person_id}?waved={count}", status_code=303)


routes: list[Any] = [
    show_people,
    invite_ticked,
    remind_ticked,
    revoke_ticked,
    take_back,
    keep_view,
    forget_view,
    show_person,
    correct_person,
    wave_through,
]
