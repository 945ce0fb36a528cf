"""The JSON edge of photos, sittings, headshots and their delivery. `routes` is a part of the batch floor's router."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.response import Stream
from sqlmodel import Session

from batch import decisions, delivery, employees, headshots, intake, photos, sets, sittings
from batch.decisions import Trouble
from batch.models import ACTIVE, Headshot, Photo, Sitting
from batch.photos import Progress
from batch.uploads import photo_in
from likeness import streaming
from likeness.db import utc_now
from likeness.identity import Kind
from likeness.streaming import PRIVATE
from likeness.web import kernel_of, only, signed_in
from tenants.access import require
from tenants.models import Role

EMPLOYEE = [only(Kind.EMPLOYEE)]
DESK = [only(Kind.MEMBER)]


@dataclass
class PhotoShown:
    """What the owner sees of a photo; `faces` are for tapping one's own: left, top, right, bottom in its picture."""

    id: UUID
    state: str
    findings: list[dict[str, Any]]
    faces: list[list[int]]
    width: int
    height: int
    used_anyway: bool
    missing: bool
    """Its picture cannot be found any more, through no fault of the person: it does not count until it is added again."""
    created_at: datetime
    due_at: datetime


@dataclass
class SomebodyShown:
    """One of the people on the photos about whom it is not known whether they are the person."""

    photos: list[UUID]
    counts: bool


@dataclass
class PhotoSet:
    """`who` asks "which of these are you?", and is empty when there is nothing to ask."""

    photos: list[PhotoShown]
    progress: Progress
    who: list[SomebodyShown]


def photo_shown(photo: Photo) -> PhotoShown:
    return PhotoShown(
        id=photo.id,
        state=photo.state,
        findings=photo.findings,
        faces=photo.faces,
        width=photo.width,
        height=photo.height,
        used_anyway=photo.used_anyway,
        missing=photo.missing_since is not None,
        created_at=photo.created_at,
        due_at=photo.due_at,
    )


@dataclass
class PhotoForm(Operation):
    """The body, described by hand because it is read by hand."""

    def __post_init__(self) -> None:
        picture = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.BINARY)
        form = Schema(type=OpenAPIType.OBJECT, properties={"photo": picture}, required=["photo"])
        self.request_body = RequestBody(content={"multipart/form-data": OpenAPIMediaType(schema=form)}, required=True)


@post("/visit/photos", guards=EMPLOYEE, status_code=201, operation_class=PhotoForm)
async def hand_in_photo(request: Request[Any, Any, Any]) -> PhotoShown:
    """201 means that the photo is kept and will be checked; the same bytes again give the same photo."""
    kernel, caller = kernel_of(request), signed_in(request)
    data = await photo_in(request, kernel, caller)
    photo = await asyncio.to_thread(intake.add, kernel, caller.tenant, caller.id, data, utc_now())
    return photo_shown(photo)


@get("/visit/photos", guards=EMPLOYEE, sync_to_thread=True)
def list_photos(request: Request[Any, Any, Any]) -> PhotoSet:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        return _set_shown(session, caller.id)


def _set_shown(session: Session, employee_id: UUID) -> PhotoSet:
    handed_in = photos.of(session, employee_id)
    return PhotoSet(
        photos=[photo_shown(photo) for photo in handed_in],
        progress=photos.progress(session, employee_id),
        who=[SomebodyShown([photo.id for photo in one.photos], one.counts) for one in sets.unclear(handed_in)],
    )


@dataclass
class WhoAnswer:
    """Ids of the photos that show the person, and of those that show somebody else; other photos are left as they are."""

    mine: list[UUID]
    not_mine: list[UUID] = field(default_factory=list)


@post("/visit/photos/who", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def say_who(request: Request[Any, Any, Any], data: JSONBody[WhoAnswer]) -> PhotoSet:
    """The answer can be given again at any time until the photos are handed in."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.say_who(session, caller.id, data.mine, data.not_mine)
        return _set_shown(session, caller.id)


@get("/visit/photos/{photo_id:uuid}/picture", guards=EMPLOYEE, sync_to_thread=True)
def show_photo(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> Response[bytes]:
    caller = signed_in(request)
    picture = photos.picture(kernel_of(request), caller.tenant, caller.id, photo_id, utc_now())
    return Response(picture, media_type="image/jpeg", headers=PRIVATE)


@post("/visit/photos/{photo_id:uuid}/use-anyway", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def use_photo_anyway(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> PhotoShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        return photo_shown(decisions.use_anyway(session, caller.id, photo_id))


@dataclass
class FaceTapped:
    """An index into the photo's `faces`."""

    face: int


@post("/visit/photos/{photo_id:uuid}/face", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def choose_face(request: Request[Any, Any, Any], photo_id: FromPath[UUID], data: JSONBody[FaceTapped]) -> PhotoShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        return photo_shown(decisions.choose_face(session, caller.id, photo_id, data.face))


@delete("/visit/photos/{photo_id:uuid}", guards=EMPLOYEE, sync_to_thread=True)
def remove_photo(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> None:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        decisions.remove(session, kernel.objects, caller.id, photo_id)


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


def sitting_shown(sitting: Sitting | None) -> SittingShown:
    if sitting is None:
        return SittingShown("none")
    return SittingShown(
        state=sitting.state,
        active=sitting.state in ACTIVE,
        failure=sitting.failure,
        created_at=sitting.created_at,
        changed_at=sitting.changed_at,
        reshoot=sitting.reshoot_of is not None,
        recipe=sitting.recipe,
    )


@post("/visit/sitting", guards=EMPLOYEE, status_code=201, sync_to_thread=True)
def hand_in(request: Request[Any, Any, Any], recipe: FromQuery[str | None] = None) -> SittingShown:
    """`recipe` is one of `progress.recipes`; without it the company's first that has enough photos."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        return sitting_shown(sittings.submit(session, caller.id, utc_now(), recipe))


@get("/visit/sitting", guards=EMPLOYEE, sync_to_thread=True)
def show_sitting(request: Request[Any, Any, Any]) -> SittingShown:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        return sitting_shown(sittings.latest_of(session, caller.id))


@dataclass
class ReshootWish:
    reason: str


@dataclass
class ReshootAnswer:
    """Either another sitting, or the company's credit came back because the free reshoots are used up."""

    refunded: bool
    sitting: SittingShown


@post("/visit/reshoot", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def ask_for_reshoot(request: Request[Any, Any, Any], data: JSONBody[ReshootWish]) -> ReshootAnswer:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        sitting = sittings.reshoot(session, caller.id, data.reason, utc_now())
        shown = sitting_shown(sitting or sittings.latest_of(session, caller.id))
    return ReshootAnswer(refunded=sitting is None, sitting=shown)


@dataclass
class Withdrawn:
    sittings_ended: int


@post("/visit/withdraw", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def withdraw(request: Request[Any, Any, Any]) -> Withdrawn:
    """One step, like consenting: ends what is under way; what was handed in and made is deleted from here on."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
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
    )


@get("/visit/headshots", guards=EMPLOYEE, sync_to_thread=True)
def list_headshots(request: Request[Any, Any, Any]) -> list[HeadshotShown]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        given = {release.headshot_id for release in headshots.releases(session, caller.id)}
        found = headshots.of(session, caller.id, utc_now())
    return [headshot_shown(headshot, released=headshot.id in given) for headshot in found]


@get("/visit/headshots/{headshot_id:uuid}/picture", guards=EMPLOYEE, sync_to_thread=True)
def show_headshot(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> Response[bytes]:
    caller = signed_in(request)
    return _picture(headshots.picture(kernel_of(request), caller.tenant, caller.id, headshot_id, utc_now()))


@post("/visit/headshots/{headshot_id:uuid}/favourite", guards=EMPLOYEE, status_code=204, sync_to_thread=True)
def mark_favourite(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        headshots.favourite(session, caller.id, headshot_id, utc_now())


@delete("/visit/headshots/{headshot_id:uuid}/favourite", guards=EMPLOYEE, sync_to_thread=True)
def unmark_favourite(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        headshots.favourite(session, caller.id, headshot_id, utc_now(), chosen=False)


@dataclass
class ReleaseWish:
    headshot_ids: list[UUID]


@dataclass
class ReleaseShown:
    headshot_id: UUID
    at: datetime


@post("/visit/release", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def release(request: Request[Any, Any, Any], data: JSONBody[ReleaseWish]) -> list[ReleaseShown]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        given = headshots.release(session, caller.id, data.headshot_ids, utc_now())
        return [ReleaseShown(one.headshot_id, one.at) for one in given]


@delete("/visit/release/{headshot_id:uuid}", guards=EMPLOYEE, sync_to_thread=True)
def unrelease(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> None:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        headshots.unrelease(session, caller.id, headshot_id, utc_now())


@dataclass
class DeskHeadshot:
    """A released headshot, as HR sees it."""

    id: UUID
    employee_id: UUID
    full_name: str
    look_id: UUID
    released_at: datetime
    downloaded_at: datetime | None


@dataclass
class Waved:
    photos: int


@get("/people/{employee_id:uuid}/photos", guards=DESK, sync_to_thread=True)
def show_trouble(request: Request[Any, Any, Any], employee_id: FromPath[UUID]) -> Trouble:
    """How somebody gets on with their photos: counts and reasons, never a photo."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        require(session, caller, Role.HR)
        return decisions.trouble(session, employee_id)


@post("/people/{employee_id:uuid}/photos/wave-through", guards=DESK, status_code=200, sync_to_thread=True)
def wave_through(request: Request[Any, Any, Any], employee_id: FromPath[UUID]) -> Waved:
    """After twelve uploads without eight good ones: what is usable counts."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        require(session, caller, Role.HR)
        return Waved(decisions.wave_through(session, employee_id, caller=str(caller)))


@get("/batches/{batch_id:uuid}/headshots", guards=DESK, sync_to_thread=True)
def list_released(request: Request[Any, Any, Any], batch_id: FromPath[UUID]) -> list[DeskHeadshot]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        require(session, caller, Role.HR)
        delivery.check_batch(session, batch_id)
        return [
            DeskHeadshot(
                id=item.headshot.id,
                employee_id=item.employee.id,
                full_name=employees.profile(kernel.keys, item.employee).full_name,
                look_id=item.headshot.look_id,
                released_at=item.release.at,
                downloaded_at=item.release.downloaded_at,
            )
            for item in headshots.released(session, batch_id, utc_now())
        ]


@get("/batches/{batch_id:uuid}/headshots/{headshot_id:uuid}/picture", guards=DESK, sync_to_thread=True)
def show_released(
    request: Request[Any, Any, Any], batch_id: FromPath[UUID], headshot_id: FromPath[UUID]
) -> Response[bytes]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        require(session, caller, Role.HR)
    return _picture(
        headshots.picture_for_desk(kernel, caller.tenant, batch_id, headshot_id, utc_now(), caller=str(caller))
    )


@get("/batches/{batch_id:uuid}/archive", guards=DESK, sync_to_thread=True)
def download(request: Request[Any, Any, Any], batch_id: FromPath[UUID], preset: FromQuery[str] = "square") -> Stream:
    """A ZIP of what was released, with `manifest.csv`, made while it is sent.

    Studio portraits are cut to `preset`: square, portrait (4:5), circle, or directory (648 px).
    """
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        require(session, caller, Role.HR)
    return streaming.download(
        lambda: delivery.archive(kernel, caller.tenant, batch_id, utc_now(), caller=str(caller), format_name=preset),
        tenant=caller.tenant,
        filename="headshots.zip",
        media_type="application/zip",
    )


def _picture(picture: bytes) -> Response[bytes]:
    kind = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}[headshots.kind(picture)]
    return Response(picture, media_type=kind, headers=PRIVATE)


routes: list[Any] = [
    hand_in_photo,
    list_photos,
    say_who,
    show_photo,
    use_photo_anyway,
    choose_face,
    remove_photo,
    hand_in,
    show_sitting,
    ask_for_reshoot,
    withdraw,
    list_headshots,
    show_headshot,
    mark_favourite,
    unmark_favourite,
    release,
    unrelease,
    show_trouble,
    wave_through,
    list_released,
    show_released,
    download,
]
