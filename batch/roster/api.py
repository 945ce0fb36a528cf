"""The JSON edge of HR's part: batches, their people and where they stand. `routes` is a part of the floor's router."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Struct, UnsetType

from batch.models import Batch
from batch.people import department_looks, employees, funnel, lines, notes, pace
from batch.people.departments import Grouping
from batch.people.funnel import FunnelLine, Stage
from batch.roster import batches, imports, listings, naming, person, searching
from batch.roster.batches import RosterLine
from batch.roster.person import CorrectedFields
from batch.roster.searching import SortOrder
from batch.visit import invitations
from likeness.ground.db import utc_now
from likeness.ground.errors import Unprocessable
from likeness.identity import Kind
from likeness.keys.keys import KeyFolder
from likeness.web.files import saved
from likeness.web.guards import fresh, kernel_of, only, signed_in
from likeness.web.paging import After, Mark, Most, Page, PersonCursor, PlaceCursor
from tenants import views
from tenants.members import members
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]
FURTHEST = timedelta(days=60)
ON_A_PAGE, MOST_ON_A_PAGE = 500, 1_000


class TimeRefused(Unprocessable):
    """A day or time that cannot be meant."""

    title = "This day or time cannot be meant"


@dataclass
class BatchShown:
    id: UUID
    name: str
    note: str
    """To everybody of the batch: in the invitation, and on the first page of the visit."""
    due_on: date | None
    created_at: datetime
    imported_at: datetime | None
    undo_until: datetime | None
    workbook_until: datetime | None
    pack: UUID | None
    """Of looks that its people get, unless their department has looks of its own; null: those for everybody."""


class Invite(Struct, forbid_unknown_fields=True):
    send_at: datetime | None = None


class BatchWords(Struct, forbid_unknown_fields=True):
    """Without `note` it stays as it is; an empty one takes it away. `pack` is one of `GET /packs`, or null for the looks
    for everybody; without it that stays as well."""

    name: str
    due_on: date | None = None
    note: str | None = None
    pack: UUID | UnsetType | None = UNSET


@dataclass
class StageShown:
    stage: Stage
    people: int
    median_seconds: int
    oldest_seconds: int


@dataclass
class FunnelShown:
    """The people of all stages sum to the roster."""

    roster: int
    stages: list[StageShown]
    released: int
    """Who has released a headshot."""
    expected_on: date | None
    """When everybody who takes part has, at the pace of the last seven days; null without one, and when all have."""


@dataclass
class NeedsHelp:
    person_id: UUID
    stage: Stage
    since: datetime
    photos: int


class PersonWords(Struct, forbid_unknown_fields=True):
    name: str
    email: str
    department: str = ""
    site: str = ""


@dataclass
class Corrected:
    waits_for_their_word: bool


@dataclass
class Step:
    words: str
    at: datetime


class SavedView(Struct, forbid_unknown_fields=True):
    name: str
    query: str


@dataclass
class Count:
    people: int


@dataclass
class PersonDetails:
    id: UUID
    batch_id: UUID
    name: str
    email: str
    employee_key: str | None
    department: str | None
    site: str | None
    stage: Stage
    reminders: int
    """Those that went out by themselves; 0 for who does not take part."""
    looks: tuple[str, ...]
    """Those that they get, by name, or that their headshots were begun with."""


@get("/batches", guards=DESK, sync_to_thread=True)
def list_batches(request: Request[Any, Any, Any], most: Most = 500, after: After = "") -> Response[list[BatchShown]]:
    """Newest first. While there are more, the header `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.BATCHES_READ) as (session, _):
        keys = kernel_of(request).keys
        found = batches.list_batches(session, page.lines, before=page.after)
        return page.answer(request, found, _mark, lambda batch: batch_shown(keys, batch))


def _mark(batch: Batch) -> Mark:
    return Mark(batch.created_at, batch.id)


@get("/batches/{batch_id:uuid}", guards=DESK, sync_to_thread=True)
def show_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> BatchShown:
    with desk(request, Permission.BATCHES_READ) as (session, _):
        return batch_shown(kernel_of(request).keys, batches.get(session, batch_id))


@patch("/batches/{batch_id:uuid}", guards=DESK, sync_to_thread=True)
def change_batch(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[BatchWords]) -> BatchShown:
    keys, caller = kernel_of(request).keys, signed_in(request)
    with desk(request, Permission.BATCHES_CHANGE) as (session, _):
        batch = batches.change(
            session, keys, batch_id, name=data.name, due_on=data.due_on, note=data.note, caller=str(caller)
        )
        if not isinstance(data.pack, UnsetType):
            batches.choose_pack(session, batch_id, data.pack, caller=str(caller))
        return batch_shown(keys, batch)


@post("/batches/{batch_id:uuid}/invite", guards=DESK, status_code=200, sync_to_thread=True)
def invite(request: Request[Any, Any, Any], batch_id: FromPath[UUID], data: JSONBody[Invite]) -> Count:
    """Invites everybody who was not invited yet."""
    now = utc_now()
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        return Count(batches.invite(session, batch_id, now, send_at=later(data.send_at, now)))


@post("/batches/{batch_id:uuid}/revoke", guards=[*DESK, fresh], status_code=200, sync_to_thread=True)
def revoke(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Count:
    """Takes back every invitation that was not answered yet."""
    caller = signed_in(request)
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        return Count(batches.revoke(session, batch_id, utc_now(), caller=str(caller)))


@get("/batches/{batch_id:uuid}/people", guards=DESK, sync_to_thread=True)
def list_people(
    request: Request[Any, Any, Any],
    batch_id: FromPath[UUID],
    most: Annotated[int, QueryParameter(ge=1, le=MOST_ON_A_PAGE)] = ON_A_PAGE,
    after: After = "",
) -> Response[list[RosterLine]]:
    """In the order of the workbook. While there are more, the header `Link` names the next page, as RFC 8288 has it."""
    page, keys = Page(PersonCursor, most, after), kernel_of(request).keys
    begun = page.after[1:] if page.after else None
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        now, batch = utc_now(), batches.get(session, batch_id)
        people = batches.page(session, keys, batch.id, now, page.lines, after=begun)
        listings.note(session, [one.id for one in people[:most]], now, caller=str(signed_in(request)))
    return page.answer(request, people, lambda one: PersonCursor(batch_id, one.row, one.id), lambda one: one)


@get("/batches/{batch_id:uuid}/funnel", guards=DESK, sync_to_thread=True)
def show_funnel(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> FunnelShown:
    now = utc_now()
    with desk(request, Permission.BATCHES_READ) as (session, _):
        batches.get(session, batch_id)
        tallies = {one.stage: one for one in funnel.tallies(session, now, batch_id=batch_id)}
        went = pace.of_batches(session, tallies.values(), now).get(batch_id)
    nobody = funnel.StageTally(batch_id, Stage.ADDED, 0, None)
    no_age = funnel.Age(timedelta(), timedelta())
    stages = [
        StageShown(
            stage=stage,
            people=tally.people,
            median_seconds=int((tally.age or no_age).median.total_seconds()),
            oldest_seconds=int((tally.age or no_age).oldest.total_seconds()),
        )
        for stage in Stage
        for tally in (tallies.get(stage, nobody),)
    ]
    return FunnelShown(
        sum(one.people for one in tallies.values()), stages, went.done if went else 0, went.expected if went else None
    )


@get("/batches/{batch_id:uuid}/attention", guards=DESK, sync_to_thread=True)
def list_attention(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[NeedsHelp]]:
    """Those whom somebody at HR could help: bounced, stuck, failed, or short of photos; in the order of the list. While
    there are more, the header `Link` names the next page."""
    page = Page(PersonCursor, most, after)
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        batches.get(session, batch_id)
        found = funnel.in_need(session, utc_now(), batch_id=batch_id, most=page.lines, after=page.after)
    return page.answer(request, found, lambda one: PersonCursor(one.batch_id, one.row, one.roster_id), _needs_help)


@get("/batches/{batch_id:uuid}/status", guards=DESK, sync_to_thread=True)
def download_status(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> Response[bytes]:
    """The roster as a workbook, with where everybody stands."""
    kernel = kernel_of(request)
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        status = batches.status_export(session, kernel.keys, batch_id, utc_now(), caller=str(signed_in(request)))
    return saved(status, f"status-{utc_now():%Y-%m-%d}.xlsx")


@dataclass
class FoundLine:
    batch_id: UUID
    line: RosterLine


@get("/employees", guards=DESK, sync_to_thread=True)
def find_people(
    request: Request[Any, Any, Any],
    words: Annotated[str, QueryParameter(name="q", max_length=200)] = "",
    stage: FromQuery[list[Stage] | None] = None,
    department: Annotated[str, QueryParameter(max_length=200)] = "",
    site: Annotated[str, QueryParameter(max_length=200)] = "",
    manager: Annotated[str, QueryParameter(max_length=254)] = "",
    batch: FromQuery[UUID | None] = None,
    order: FromQuery[SortOrder] = SortOrder.LIST,
    most: Most = 100,
    after: After = "",
) -> Response[list[FoundLine]]:
    """People of all batches, as the page People finds and sorts them: `q` is a part of a name, a number or an address, of
    several words each begins such a part; `manager` is a whole address. Up to 20,000 people can be sorted by name, which is
    sealed; more by department or site, whose people are then in the order of the lists. While there are more, the header
    `Link` names the next page; in the order of the lists nobody is on two pages."""
    asked = searching.PeopleSearch(
        words.strip(), tuple(dict.fromkeys(stage or ())), department.strip(), batch, order=order, site=site.strip(),
        manager=manager.strip(),
    )  # fmt: skip
    listed = Page(PersonCursor, most, after if order == SortOrder.LIST else "")
    sorted_by = Page(PlaceCursor, most, "" if order == SortOrder.LIST else after)
    skip = sorted_by.after.before if sorted_by.after else 0
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        now, keys = utc_now(), kernel_of(request).keys
        people = searching.people(session, keys, asked, now, listed.lines, skip=skip, after=listed.after)
        listings.note(session, [line.id for _, line in people[:most]], now, caller=str(signed_in(request)))
    question: dict[str, object] = {
        "q": words, "stage": [str(one) for one in stage or ()], "department": department, "site": site,
        "manager": manager, "batch": batch or "",
    }  # fmt: skip
    if order == SortOrder.LIST:
        return listed.answer(
            request, people, lambda one: PersonCursor(one[0], one[1].row, one[1].id), _found_line, **question
        )
    place, question["order"] = PlaceCursor(skip + most), str(order)
    return sorted_by.answer(request, people, lambda _: place, _found_line, **question)


@dataclass
class GroupShown:
    name: str
    people: int


@get("/employees/groups", guards=DESK, sync_to_thread=True)
def list_groups(
    request: Request[Any, Any, Any],
    by: FromQuery[Grouping] = Grouping.DEPARTMENT,
    batch: FromQuery[UUID | None] = None,
) -> list[GroupShown]:
    """The departments, sites or managers' addresses that the lists name, with how many people each has, of everybody or of
    one batch; by name."""
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        found = employees.groups(session, kernel_of(request).keys, by, batch_id=batch)
    return [GroupShown(one.name, one.people) for one in found if one.name]


def _found_line(one: tuple[UUID, RosterLine]) -> FoundLine:
    return FoundLine(*one)


@get("/employees/{person_id:uuid}", guards=DESK, sync_to_thread=True)
def show_person(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> PersonDetails:
    kernel = kernel_of(request)
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        employee = employees.on_roster(session, person_id)
        who = employees.profile(kernel.keys, employee)
        person.viewed(session, employee.id, utc_now(), caller=str(signed_in(request)))
        return PersonDetails(
            id=employee.roster_id,
            batch_id=employee.batch_id,
            name=who.full_name,
            email=who.email,
            employee_key=who.employee_key,
            department=who.department,
            site=who.site,
            stage=employees.stage(session, employee.id, utc_now()),
            reminders=person.reminded(session, employee.id, utc_now()),
            looks=department_looks.of_person(session, employee).looks,
        )


@patch("/employees/{person_id:uuid}", guards=DESK, sync_to_thread=True)
def correct_person(
    request: Request[Any, Any, Any], person_id: FromPath[UUID], data: JSONBody[PersonWords]
) -> Corrected:
    """A typing error put right; another address of somebody who has said yes waits for their own word."""
    kernel, caller = kernel_of(request), signed_in(request)
    with (
        lines.on_record(kernel.db, caller.tenant, caller=str(caller)),
        desk(request, Permission.PEOPLE_IMPORT) as (session, _),
    ):
        employee = employees.on_roster(session, person_id)
        words = CorrectedFields(data.name, members.address(data.email), data.department, data.site)
        asked = person.correct(session, kernel.keys, employee, words, utc_now(), caller=str(caller))
    return Corrected(asked)


@get("/employees/{person_id:uuid}/history", guards=DESK, sync_to_thread=True)
def list_steps(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> list[Step]:
    """What HR may know of somebody's way, oldest first; of who does not take part only that they are on the list."""
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        employee = employees.on_roster(session, person_id)
        return [Step(words, at) for words, at in person.history(session, employee.id, utc_now())]


@get("/views", guards=DESK, sync_to_thread=True)
def list_views(request: Request[Any, Any, Any]) -> list[SavedView]:
    """The caller's own."""
    with desk(request, Permission.PEOPLE_READ) as (_, member):
        return [SavedView(name, query) for name, query in views.of(kernel_of(request).keys, member).items()]


@put("/views", guards=DESK, sync_to_thread=True)
def keep_view(request: Request[Any, Any, Any], data: JSONBody[SavedView]) -> SavedView:
    """`query` is what stands behind the question mark in the address of the People page."""
    with desk(request, Permission.PEOPLE_READ) as (session, member):
        return SavedView(views.keep(session, kernel_of(request).keys, member, data.name, data.query), data.query)


@delete("/views", guards=DESK, sync_to_thread=True)
def forget_view(request: Request[Any, Any, Any], name: FromQuery[str] = "") -> None:
    with desk(request, Permission.PEOPLE_READ) as (session, member):
        views.forget(session, kernel_of(request).keys, member, name)


@post("/employees/{person_id:uuid}/invite", guards=DESK, status_code=204, sync_to_thread=True)
def invite_person(
    request: Request[Any, Any, Any], person_id: FromPath[UUID], data: JSONBody[Invite | None] = None
) -> None:
    """Now, or at `send_at`: a moment with its zone within the next 60 days. The credit is set aside at once."""
    now = utc_now()
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        send_at = later(data.send_at, now) if data else None
        invitations.invite(session, employees.on_roster(session, person_id), now, send_at=send_at)


@post("/employees/{person_id:uuid}/resend", guards=DESK, status_code=204, sync_to_thread=True)
def resend_link(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> None:
    """A fresh link to the address of the roster."""
    caller = signed_in(request)
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        invitations.resend(session, employees.on_roster(session, person_id).id, utc_now(), caller=str(caller))


@post("/employees/{person_id:uuid}/revoke", guards=DESK, status_code=204, sync_to_thread=True)
def revoke_person(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> None:
    """As long as no answer shows."""
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        batches.revoke_one(session, employees.on_roster(session, person_id).id, utc_now())


def batch_shown(keys: KeyFolder, batch: Batch) -> BatchShown:
    return BatchShown(
        id=batch.id,
        name=naming.of(keys, batch),
        note=notes.of(keys, batch),
        due_on=batch.due_on,
        created_at=batch.created_at,
        imported_at=batch.imported_at,
        undo_until=batch.imported_at + imports.UNDO_WITHIN if batch.imported_at else None,
        workbook_until=batch.workbook_due_at,
        pack=batch.pack_id,
    )


def _needs_help(line: FunnelLine) -> NeedsHelp:
    return NeedsHelp(line.roster_id, line.stage, line.since, line.photos)


def later(send_at: datetime | None, now: datetime) -> datetime | None:
    if send_at is None:
        return None
    if send_at.tzinfo is None or not now - timedelta(minutes=5) <= send_at <= now + FURTHEST:
        raise TimeRefused("Invitations can be sent within the next 60 days; name the time zone.")
    return send_at


routes: list[Any] = [
    list_batches, show_batch, change_batch, invite, revoke, list_people, show_funnel, list_attention, download_status,
    find_people, list_groups, show_person, correct_person, list_steps, list_views, keep_view, forget_view, invite_person,
    resend_link, revoke_person,
]  # fmt: skip
