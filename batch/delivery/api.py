"""The JSON edge of delivery: what HR sees of released headshots, and takes with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from batch.delivery import delivery, disclosure, downloads, ranges, shelf
from batch.delivery.delivery import DeliveryChoice
from batch.delivery.downloads import Download
from batch.delivery.names import USUAL
from batch.delivery.ranges import DownloadChanged
from batch.delivery.shelf import Part
from batch.people import employees
from batch.people.funnel import Stage
from batch.roster import batches, listings, searching
from batch.sittings import approvals, copies, headshots
from batch.sittings.api import picture
from batch.sittings.approvals import Approval
from likeness.ground.db import utc_now
from likeness.ground.errors import Forbidden
from likeness.identity import Kind
from likeness.locale.languages import known
from likeness.web import streaming
from likeness.web.described import FOR_PEOPLE
from likeness.web.files import saved
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page, PersonCursor
from likeness.web.threads import SHOWN
from tenants import tenants
from tenants.bounds import bound_to
from tenants.members import permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]
Sought = Annotated[str, QueryParameter(name="q", max_length=200)]
OfDepartment = Annotated[str, QueryParameter(max_length=200)]


@dataclass
class DeskHeadshot:
    """A released headshot, as HR sees it."""

    id: UUID
    person_id: UUID
    full_name: str
    look_id: UUID
    released_at: datetime
    downloaded_at: datetime | None
    approval: Approval
    """It counts where the company approves; only approved ones are in archives then."""


@dataclass
class ReleaseDetails:
    id: UUID
    look_id: UUID
    released_at: datetime
    downloaded_at: datetime | None
    gone_at: datetime
    """When it is deleted here."""
    approval: Approval


@dataclass
class OnShelf:
    """A person with what they released; nothing yet where `headshots` is empty, and `stage` says why."""

    person_id: UUID
    batch_id: UUID
    full_name: str
    department: str | None
    stage: Stage | None
    headshots: list[ReleaseDetails]


@dataclass
class DownloadShown:
    """An archive that somebody of the company took; `ended_at` is null while it runs, and where it broke."""

    id: UUID
    member_id: UUID
    batch_id: UUID | None
    which: str
    preset: str
    people: int
    headshots: int
    begun_at: datetime
    continued: int
    ended_at: datetime | None


@get("/batches/{batch_id:uuid}/headshots", guards=DESK, sync_to_thread=True)
def list_released(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[DeskHeadshot]]:
    """In the order in which they were released. While there are more, the header `Link` names the next page."""
    page, keys = Page(Mark, most, after), kernel_of(request).keys
    with desk(request, Permission.HEADSHOTS_READ) as (session, _):
        batches.get(session, batch_id)
        now = utc_now()
        found = headshots.released_in_turn(session, batch_id, now, page.lines, after=page.after)
        lines = [one.employee.roster_id for one in found[:most]]
        listings.note(session, lines, now, caller=str(signed_in(request)))
        return page.answer(
            request,
            found,
            lambda one: Mark(one.release.at, one.headshot.shelf_id),
            lambda one: DeskHeadshot(
                id=one.headshot.shelf_id,
                person_id=one.employee.roster_id,
                full_name=employees.profile(keys, one.employee).full_name,
                look_id=one.headshot.look_id,
                released_at=one.release.at,
                downloaded_at=one.release.downloaded_at,
                approval=approvals.of(one.release),
            ),
        )


@get("/headshots", guards=DESK, sync_to_thread=True)
def list_shelf(
    request: Request[Any, Any, Any],
    part: FromQuery[Part] = Part.ALL,
    batch: FromQuery[UUID | None] = None,
    words: Sought = "",
    department: OfDepartment = "",
    most: Most = ON_A_PAGE,
    after: After = "",
) -> Response[list[OnShelf]]:
    """Everybody over all batches, or of one, of a department, or whom `q` finds by name, number or address, with what they
    released, in the order of the list; whoever may not see who is on the list gets only people who released something.
    While there are more, the header `Link` names the next page."""
    page = Page(PersonCursor, most, after)
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        now = utc_now()
        asked = searching.PeopleSearch(words.strip(), department=department.strip(), batch_id=batch)
        found = shelf.places(
            session, kernel_of(request).keys, asked, now, page.lines, part=part,
            after=page.after, with_gaps=Permission.PEOPLE_READ in permissions.of(member.roles),
        )  # fmt: skip
        listings.note(session, [one.id for one in found[:most]], now, caller=str(signed_in(request)))
    return page.answer(
        request, found, lambda one: PersonCursor(one.batch_id, one.row, one.id), _on_shelf, part=part, batch=batch or "",
        q=words, department=department,
    )  # fmt: skip


def _on_shelf(one: shelf.ShelfPlace) -> OnShelf:
    shown = [
        ReleaseDetails(
            item.headshot.shelf_id, item.headshot.look_id, item.release.at, item.release.downloaded_at,
            item.headshot.due_at, approvals.of(item.release),
        )
        for item in one.headshots
    ]
    return OnShelf(one.id, one.batch_id, one.name, one.department, one.stage, shown)


@get("/batches/{batch_id:uuid}/headshots/{headshot_id:uuid}/picture", guards=DESK, sync_to_thread=True, opt=SHOWN)
def show_released(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], headshot_id: FromPath[UUID]
) -> Response[bytes]:
    """A program gets it once it is in use: where the company approves headshots, after that."""
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.HEADSHOTS_READ) as (session, _):
        in_use = caller.kind == Kind.MACHINE
        shown = headshots.viewed(session, batch_id, headshot_id, utc_now(), caller=str(caller), in_use=in_use)
    return picture(headshots.square(kernel, *shown))


@get("/batches/{batch_id:uuid}/archive", guards=DESK, sync_to_thread=True)
def download(
    request: Request[Any, Any, Any],
    batch_id: FromPath[UUID],
    preset: FromQuery[str] = "square",
    names: FromQuery[str] = USUAL,
) -> Stream:
    """A ZIP of what was released in a batch; see `/headshots/archive`."""
    return send(request, DeliveryChoice(batch_id, preset=preset, names=names))


@get("/headshots/archive", guards=DESK, sync_to_thread=True)
def download_all(
    request: Request[Any, Any, Any],
    batch: FromQuery[UUID | None] = None,
    person: FromQuery[list[UUID] | None] = None,
    not_fetched_before: FromQuery[datetime | None] = None,
    preset: FromQuery[str] = "square",
    names: FromQuery[str] = USUAL,
    words: Sought = "",
    department: OfDepartment = "",
) -> Stream:
    """A ZIP of what was released, with `manifest.csv`, made while it is sent. Where the company approves headshots, of the
    approved ones alone.

    All batches and everybody, or one batch, one department, whom `q` finds, or the people who are named; with
    `not_fetched_before` only what nobody had downloaded before that time. Pictures are cut to `preset`: square, portrait
    (4:5), circle, or directory (648 px, at most 100 kB). With `names`, a pattern such as `{department}/{number}-{name}`,
    files are called as you like.

    With `entra` or `google` as the preset it is what these directories take: one directory picture of each person, called
    by their address, the list `users.csv` or `photos.csv`, and README.txt, which says how to hand it in; for Entra ID the
    PowerShell script that does. Whose address no account can have is in left-out.csv.

    The header `ETag` stands for every byte. A download that broke goes on with `Range`, and `If-Range` with that tag.
    """
    sought = {"words": words.strip(), "department": department.strip()}
    return send(request, DeliveryChoice(batch, tuple(person or ()), not_fetched_before, preset, names, **sought))


def send(request: Request[Any, Any, Any], asked: DeliveryChoice) -> Stream:
    """The archive, or the part of it that the request still wants. Raises what planning and measuring raise."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    if asked.not_fetched_before is not None and asked.not_fetched_before.tzinfo is None:
        asked = replace(asked, not_fetched_before=asked.not_fetched_before.replace(tzinfo=now.tzinfo))
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        departments = bound_to(session)
        planned = delivery.plan(session, kernel, asked, now)
        me = member.id
        wanted = ranges.wanted(request.headers, planned.tag)
        if ranges.goes_on_blindly(request.headers, wanted) and not downloads.began(session, me, planned.tag):
            raise DownloadChanged("It is not the file any more that this download began with. Please start it again.")
    headers = {"etag": f'"{planned.tag}"', "accept-ranges": "bytes"}
    length = delivery.measure(kernel, planned) if wanted else planned.length()
    span = None
    if length is not None:
        span = ranges.bounds(wanted, length) if wanted else (0, length)
        headers["content-length"] = str(span[1] - span[0])
        if wanted:
            headers["content-range"] = f"bytes {span[0]}-{span[1] - 1}/{length}"
    with desk(request, Permission.HEADSHOTS_READ) as (session, _):
        begun = downloads.begin(session, me, planned, asked, now, goes_on=bool(span and span[0]))
        # Whose picture is in it is on record with the picture.
        listings.note(session, [one.line for one in planned.left_out], now, caller=str(caller))

    def ended() -> None:
        if length is None or span is None or span[1] == length:
            with kernel.db.transaction(caller.tenant) as session:
                downloads.end(session, begun.id, utc_now())

    return streaming.download(
        lambda: delivery.pieces(
            kernel, caller.tenant, planned, caller=str(caller), span=span, departments=departments, ended=ended
        ),
        tenant=caller.tenant,
        filename=planned.filename,
        media_type="application/zip",
        headers=headers,
        status=206 if wanted else 200,
    )


@dataclass
class DisclosureWords:
    """What to say beside a picture of one source; `{name}` stands for whose it is."""

    source: str
    headshots: int
    """Released ones of this source."""
    label: str
    alternative_text: str
    directory_field: str


@dataclass
class Disclosure:
    language: str
    words: list[DisclosureWords]
    accepted_at: datetime | None
    """When somebody said last for the company that it will say so."""


@get("/headshots/disclosure", guards=DESK, sync_to_thread=True)
def show_disclosure(request: Request[Any, Any, Any], language: FromQuery[str] = "") -> Disclosure:
    """Which words to publish with headshots, since some are generated by AI (EU AI Act, article 50)."""
    with desk(request, Permission.HEADSHOTS_READ) as (session, _):
        spoken = known(language) or tenants.get(session).language
        counted, accepted = disclosure.counts(session, utc_now()), disclosure.accepted(session)
    said = disclosure.wording(spoken)
    words = [DisclosureWords(source, counted[source], *said[source]) for source in said]
    return Disclosure(spoken, words, accepted.at if accepted else None)


@get("/headshots/disclosure/kit", guards=DESK, sync_to_thread=True)
def download_kit(request: Request[Any, Any, Any]) -> Response[bytes]:
    """A workbook: each released headshot with its source and its words, the words in every language, what is to be done."""
    with desk(request, Permission.HEADSHOTS_READ) as (session, _):
        everybody = [one.employee.roster_id for one in headshots.released(session, None, utc_now())]
        listings.note(session, everybody, utc_now(), caller=str(signed_in(request)))
        made = disclosure.kit(session, kernel_of(request), utc_now())
    return saved(made, f"disclosure-{utc_now():%Y-%m-%d}.xlsx")


@post("/headshots/disclosure/acceptance", guards=DESK, sync_to_thread=True, status_code=204)
def accept_disclosure(request: Request[Any, Any, Any]) -> None:
    """Says for the company that it publishes AI-generated headshots with these words. The log keeps who and when.

    A member says so; a program has no name of its own.
    """
    if signed_in(request).kind == Kind.MACHINE:
        raise Forbidden("A member says this for the company, on the page or signed in; a program cannot.")
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        disclosure.accept(session, f"member:{member.id}")


@dataclass
class CopiesDeleted:
    copies: int


@post("/employees/{person_id:uuid}/copies-deleted", guards=DESK, status_code=200, sync_to_thread=True)
def say_copies_deleted(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> CopiesDeleted:
    """The company says that its copies of what this person took back are deleted, which the person reads."""
    with desk(request, Permission.PEOPLE_CHANGE) as (session, member):
        person = employees.on_roster(session, person_id)
        return CopiesDeleted(copies.say_deleted(session, person.id, member.id, utc_now()))


@dataclass
class ToApprove:
    """A released headshot that waits for the company's word; `reason` is the one for which another was asked for."""

    id: UUID
    batch_id: UUID
    person_id: UUID
    full_name: str
    look_id: UUID
    released_at: datetime
    approval: Approval
    reason: str | None


@get("/headshots/approval", guards=DESK, sync_to_thread=True)
def list_to_approve(
    request: Request[Any, Any, Any], answered: FromQuery[bool] = False, most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[ToApprove]]:
    """What nobody has said anything of, oldest first, or with `answered` that for which another was asked. While there are
    more, the header `Link` names the next page."""
    page, keys, now = Page(Mark, most, after), kernel_of(request).keys, utc_now()
    with desk(request, Permission.HEADSHOTS_READ) as (session, _):
        found = approvals.waiting(session, now, page.lines, answered=answered, after=page.after)
        listings.note(session, [one.employee.roster_id for one in found[:most]], now, caller=str(signed_in(request)))
        return page.answer(
            request,
            found,
            lambda one: Mark(one.release.at, one.headshot.shelf_id),
            lambda one: ToApprove(
                one.headshot.shelf_id,
                one.employee.batch_id,
                one.employee.roster_id,
                employees.profile(keys, one.employee).full_name,
                one.headshot.look_id,
                one.release.at,
                approvals.of(one.release),
                one.release.returned_for,
            ),
            answered=answered,
        )


@dataclass
class ApprovalWish:
    headshot_ids: list[UUID]


@dataclass
class ApprovedCount:
    approved: int


@post("/headshots/approval", guards=DESK, opt=FOR_PEOPLE, status_code=200, sync_to_thread=True)
def approve(request: Request[Any, Any, Any], data: JSONBody[ApprovalWish]) -> ApprovedCount:
    """All of these or, when one was taken back meanwhile, none. Safe to repeat."""
    with desk(request, Permission.HEADSHOTS_APPROVE) as (session, _):
        caller = str(signed_in(request))
        return ApprovedCount(approvals.approve(session, data.headshot_ids, utc_now(), caller=caller))


@dataclass
class AnotherWish:
    reason: str
    """crop, backdrop, expression, glare, dress or quality."""


@post("/headshots/{headshot_id:uuid}/another", guards=DESK, opt=FOR_PEOPLE, status_code=204, sync_to_thread=True)
def ask_for_another(request: Request[Any, Any, Any], headshot_id: FromPath[UUID], data: JSONBody[AnotherWish]) -> None:
    """The person is asked for another picture in its place, and may keep it as it is."""
    keys, caller = kernel_of(request).keys, str(signed_in(request))
    with desk(request, Permission.HEADSHOTS_APPROVE) as (session, _):
        approvals.ask_for_another(session, keys, headshot_id, data.reason, utc_now(), caller=caller)


@get("/downloads", guards=DESK, sync_to_thread=True)
def list_downloads(
    request: Request[Any, Any, Any],
    most: Most = ON_A_PAGE,
    after: After = "",
) -> Response[list[DownloadShown]]:
    """What the company downloaded and when, newest first; of who works for some departments their own.

    While there are more, `Link` names the next page."""
    page = Page(Mark, most, after)
    with desk(request, Permission.HEADSHOTS_READ) as (session, member):
        found = downloads.of_company(session, member.id, page.lines, before=page.after)
    return page.answer(request, found, lambda one: Mark(one.begun_at, one.id), _downloaded)


def _downloaded(one: Download) -> DownloadShown:
    return DownloadShown(
        one.id, one.member_id, one.batch_id, one.which, one.preset, one.people, one.headshots, one.begun_at, one.continued,
        one.ended_at,
    )  # fmt: skip


routes: list[Any] = [
    list_released,
    list_shelf,
    show_released,
    download,
    download_all,
    say_copies_deleted,
    list_to_approve,
    approve,
    ask_for_another,
    list_downloads,
    show_disclosure,
    download_kit,
    accept_disclosure,
]
