"""The JSON edge of sittings and headshots: what the person sees and decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlmodel import Session

from batch.models import ACTIVE, Headshot, Sitting
from batch.people import department_looks, employees
from batch.sittings import approvals, edits, forecast, headshots, resemblance, retakes, sittings
from batch.sittings.edits import OpenEdit
from batch.sittings.retakes import Retake
from batch.vision.presets import Crop
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.web.guards import kernel_of, only, own, signed_in
from likeness.web.streaming import PRIVATE
from likeness.web.threads import SHOWN
from tenants import backdrops, tenants
from tenants.members.access import desk
from tenants.members.permissions import Permission

EMPLOYEE = [only(Kind.EMPLOYEE)]
DESK = [only(Kind.MEMBER)]


@dataclass
class SittingShown:
    """`state` is "none" before the first hand-in; `failure` is a sentence for the person."""

    state: str
    active: bool = False
    failure: str | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    reshoot: bool = False
    recipe: str = ""
    looks: tuple[str, ...] = ()
    """Those that it began with, by name; before the hand-in those that the person would get."""


def sitting_shown(session: Session, employee_id: UUID, sitting: Sitting | None) -> SittingShown:
    named = department_looks.of_person(session, employees.get(session, employee_id)).looks
    if sitting is None:
        return SittingShown("none", looks=named)
    return SittingShown(
        state=sitting.state,
        active=sitting.state in ACTIVE,
        failure=sitting.failure,
        created_at=sitting.created_at,
        changed_at=sitting.changed_at,
        reshoot=sitting.reshoot_of is not None,
        recipe=sitting.recipe,
        looks=named,
    )


@post("/visit/sitting", guards=EMPLOYEE, status_code=201, sync_to_thread=True)
def hand_in(request: Request[Any, Any, Any], recipe: FromQuery[str | None] = None) -> SittingShown:
    """`recipe` is one of `progress.recipes`; without it the company's first that has enough photos."""
    with own(request) as (session, caller):
        return sitting_shown(session, caller.id, sittings.submit(session, caller.id, utc_now(), recipe))


@get("/visit/sitting", guards=EMPLOYEE, sync_to_thread=True)
def show_sitting(request: Request[Any, Any, Any]) -> SittingShown:
    with own(request) as (session, caller):
        return sitting_shown(session, caller.id, sittings.latest_of(session, caller.id))


@dataclass
class ReshootAnswer:
    """Either another sitting, or the company's credit came back because the free reshoots are used up."""

    refunded: bool
    sitting: SittingShown


@post("/visit/reshoot", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def ask_for_reshoot(request: Request[Any, Any, Any]) -> ReshootAnswer:
    with own(request) as (session, caller):
        sitting = sittings.reshoot(session, caller.id, utc_now())
        shown = sitting_shown(session, caller.id, sitting or sittings.latest_of(session, caller.id))
    return ReshootAnswer(refunded=sitting is None, sitting=shown)


@dataclass
class RetakesShown:
    """What the person and HR both see of retakes."""

    state: Retake
    used: int
    free: int
    since: datetime | None


@get("/visit/retakes", guards=EMPLOYEE, sync_to_thread=True)
def show_retakes(request: Request[Any, Any, Any]) -> RetakesShown:
    with own(request) as (session, caller):
        found = retakes.of(session, caller.id)
    return RetakesShown(found.state, found.used, found.free, found.since)


@dataclass
class Withdrawn:
    sittings_ended: int


@post("/visit/withdraw", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def withdraw(request: Request[Any, Any, Any]) -> Withdrawn:
    """One step, like consenting: ends what is under way; what was handed in and made is deleted from here on."""
    with own(request) as (session, caller):
        employees.speaking(session, caller)
        return Withdrawn(sittings.withdraw(session, caller.id, utc_now()))


@dataclass
class HeadshotShown:
    id: UUID
    sitting_id: UUID
    look_id: UUID
    number: int
    favourite: bool
    released: bool
    created_at: datetime
    due_at: datetime
    closer: int
    raised: int


def headshot_shown(headshot: Headshot, *, released: bool) -> HeadshotShown:
    return HeadshotShown(
        id=headshot.id,
        sitting_id=headshot.sitting_id,
        look_id=headshot.look_id,
        number=headshot.number,
        favourite=headshot.favourite_at is not None,
        released=released,
        created_at=headshot.created_at,
        due_at=headshot.due_at,
        closer=headshot.closer,
        raised=headshot.raised,
    )


@get("/visit/headshots", guards=EMPLOYEE, sync_to_thread=True)
def list_headshots(request: Request[Any, Any, Any]) -> list[HeadshotShown]:
    with own(request) as (session, caller):
        given = {release.headshot_id for release in headshots.releases(session, caller.id)}
        hidden = resemblance.hidden(session, caller.id, utc_now())
        found = [one for one in headshots.of(session, caller.id, utc_now()) if one.id not in hidden]
    return [headshot_shown(headshot, released=headshot.id in given) for headshot in found]


@get("/visit/headshots/{headshot_id:uuid}/picture", guards=EMPLOYEE, sync_to_thread=True, opt=SHOWN)
def show_headshot(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> Response[bytes]:
    caller = signed_in(request)
    return picture(headshots.picture(kernel_of(request), caller.tenant, caller.id, headshot_id, utc_now()))


@post("/visit/headshots/{headshot_id:uuid}/favourite", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def mark_favourite(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    with own(request) as (session, caller):
        headshots.favourite(session, caller.id, headshot_id, utc_now())


@delete("/visit/headshots/{headshot_id:uuid}/favourite", guards=EMPLOYEE, sync_to_thread=True)
def unmark_favourite(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    with own(request) as (session, caller):
        headshots.favourite(session, caller.id, headshot_id, utc_now(), chosen=False)


@post("/visit/headshots/{headshot_id:uuid}/not-me", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def reject_headshot(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    """The person says that it is not them: it is listed no more. Ten seconds later it is taken back and deleted, and
    headshots that are made afterwards have to be more like them. A studio portrait goes with the photo that it was cut
    from. Until then `DELETE` undoes it."""
    with own(request) as (session, caller):
        resemblance.reject_soon(session, caller.id, headshot_id, utc_now())


@delete("/visit/headshots/{headshot_id:uuid}/not-me", guards=EMPLOYEE, sync_to_thread=True)
def keep_headshot(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    """It is them after all; 410 once the ten seconds are over."""
    with own(request) as (session, caller):
        resemblance.keep(session, caller.id, headshot_id, utc_now())


@dataclass
class BackdropOffered:
    look_id: UUID
    name: str


@dataclass
class EditChoices:
    """`crops` are steps closer and higher; `photo_until` is null once the photo is gone, and with it other backdrops."""

    backdrops: list[BackdropOffered]
    crops: list[tuple[int, int]]
    photo_until: datetime | None
    left: int


@get("/visit/headshots/{headshot_id:uuid}/edit", guards=EMPLOYEE, sync_to_thread=True,
     opt={"refuses": {409: "A model drew it, or it is framed already: nothing can be cut anew."}})  # fmt: skip
def show_edit_choices(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> EditChoices:
    """What may be made of a finished studio portrait without a new sitting."""
    caller, now = signed_in(request), utc_now()
    with kernel_of(request).db.transaction(caller.tenant) as session:
        found = edits.choices(session, headshots.get(session, caller.id, headshot_id, now), now)
    offered = [BackdropOffered(look.id, look.name) for look in found.looks]
    return EditChoices(offered, [(one.closer, one.raised) for one in found.crops], found.photo_until, found.left)


@dataclass
class EditWish:
    look_id: UUID | None = None
    """Of another backdrop; null for the one that it has."""
    closer: int = 0
    raised: int = 0


@dataclass
class EditShown:
    """`state` is none, ready, working, failed (with why) or draft, which is looked at and then kept or dropped."""

    state: str
    failure: str | None = None
    draft: HeadshotShown | None = None


def edit_shown(found: OpenEdit) -> EditShown:
    if found.draft is not None:
        return EditShown("draft", draft=headshot_shown(found.draft, released=False))
    return EditShown(found.edit.state, found.edit.failure) if found.edit else EditShown("none")


@post("/visit/headshots/{headshot_id:uuid}/edit", guards=EMPLOYEE, status_code=202, sync_to_thread=True)
def ask_for_edit(request: Request[Any, Any, Any], headshot_id: FromPath[UUID], data: JSONBody[EditWish]) -> EditShown:
    """Another crop is there at once; another backdrop takes seconds. What was asked for before and not kept is dropped."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    crop = Crop(data.closer, data.raised)
    with kernel.db.transaction(caller.tenant) as session:
        edits.ask(session, kernel.objects, kernel.keys, caller.id, headshot_id, now, look_id=data.look_id, crop=crop)
        return edit_shown(edits.standing(session, caller.id, now))


@get("/visit/edit", guards=EMPLOYEE, sync_to_thread=True)
def show_edit(request: Request[Any, Any, Any]) -> EditShown:
    with own(request) as (session, caller):
        return edit_shown(edits.standing(session, caller.id, utc_now()))


@get("/visit/edit/picture", guards=EMPLOYEE, sync_to_thread=True, opt=SHOWN)
def show_draft(request: Request[Any, Any, Any]) -> Response[bytes]:
    caller = signed_in(request)
    return picture(edits.picture(kernel_of(request), caller.tenant, caller.id, utc_now()))


@post("/visit/edit/keep", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def keep_edit(request: Request[Any, Any, Any]) -> HeadshotShown:
    """It becomes a headshot. The one before is deleted, or, where it is released, stays until this one is released."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        return headshot_shown(edits.keep(session, kernel.objects, caller.id, utc_now()), released=False)


@delete("/visit/edit", guards=EMPLOYEE, sync_to_thread=True)
def drop_edit(request: Request[Any, Any, Any]) -> None:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        edits.drop(session, kernel.objects, caller.id, utc_now())


@get("/visit/backdrops/{backdrop_id:uuid}", guards=EMPLOYEE, sync_to_thread=True)
def show_wall(request: Request[Any, Any, Any], backdrop_id: FromPath[UUID]) -> Response[bytes]:
    """The company's own picture that stands behind its people, as a JPEG."""
    with own(request) as (session, _):
        return picture(backdrops.get(session, backdrop_id).picture)


@dataclass
class ReleaseWish:
    headshot_ids: list[UUID]


@dataclass
class ReleaseShown:
    headshot_id: UUID
    at: datetime


@dataclass
class AskedShown:
    """The company asks for another picture in the place of this one; `reason` is a sentence in the person's language."""

    headshot_id: UUID
    at: datetime
    reason: str


@get("/visit/release/asked", guards=EMPLOYEE, sync_to_thread=True)
def list_asked(request: Request[Any, Any, Any]) -> list[AskedShown]:
    """What is not answered yet. Releasing another one answers it, and so does keeping it."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        reads = employees.words(kernel.keys, employees.get(session, caller.id), tenants.get(session))
        found = approvals.asked_of(session, caller.id, utc_now())
    return [AskedShown(one.headshot.id, one.at, reads.gettext(one.reason)) for one in found]


@post("/visit/release/{headshot_id:uuid}/keep", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def keep_released(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    """The person keeps what they released, as it is: the company is told, and does not ask again."""
    with own(request) as (session, caller):
        approvals.keep(session, caller.id, headshot_id, utc_now())


@post("/visit/release", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def release(request: Request[Any, Any, Any], data: JSONBody[ReleaseWish]) -> list[ReleaseShown]:
    with own(request) as (session, caller):
        given = headshots.release(session, caller.id, data.headshot_ids, utc_now())
        return [ReleaseShown(one.headshot_id, one.at) for one in given]


@delete("/visit/release/{headshot_id:uuid}", guards=EMPLOYEE, sync_to_thread=True)
def unrelease(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    with own(request) as (session, caller):
        headshots.unrelease(session, caller.id, headshot_id, utc_now())


def picture(picture: bytes) -> Response[bytes]:
    kind = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}[headshots.kind(picture)]
    return Response(picture, media_type=kind, headers=PRIVATE)


@dataclass
class Forecast:
    seconds_left: int | None
    """Until everybody who waits for headshots has them; null where nobody does, and where it cannot be said honestly."""


@get("/forecast", guards=DESK, sync_to_thread=True)
def show_forecast(request: Request[Any, Any, Any], batch: FromQuery[UUID | None] = None) -> Forecast:
    """Of the whole company, or of one batch: what its pages say."""
    with desk(request, Permission.BATCHES_READ) as (session, _):
        left = forecast.of_line(session, utc_now(), batch)
    return Forecast(None if left is None else round(left))


routes: list[Any] = [
    show_forecast,
    hand_in,
    show_sitting,
    ask_for_reshoot,
    show_retakes,
    withdraw,
    list_headshots,
    show_headshot,
    mark_favourite,
    unmark_favourite,
    reject_headshot,
    show_edit_choices,
    ask_for_edit,
    show_edit,
    show_draft,
    keep_edit,
    drop_edit,
    show_wall,
    keep_headshot,
    release,
    unrelease,
    list_asked,
    keep_released,
]
