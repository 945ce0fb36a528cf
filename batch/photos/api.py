"""The JSON edge of photos, sittings, headshots and their delivery. `routes` is a part of the batch floor's router."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.openapi.spec import OpenAPIFormat, OpenAPIMediaType, OpenAPIType, Operation, RequestBody, Schema
from litestar.params import FromPath, JSONBody
from sqlmodel import Session

from batch.models import Photo
from batch.people import employees
from batch.photos import decisions, intake, photos, sets
from batch.photos.decisions import Trouble
from batch.photos.photos import SetProgress
from likeness.ground.db import utc_now
from likeness.identity import Caller, Kind
from likeness.kernel import Kernel
from likeness.locale.words import Words
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.described import SLOW_BODY
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.streaming import PRIVATE
from likeness.web.threads import PAGES, PHOTOS, SHOWN
from likeness.web.uploads import FileTooLarge, form_in, in_flight
from tenants import tenants
from tenants.members.access import desk
from tenants.members.permissions import Permission

EMPLOYEE = [only(Kind.EMPLOYEE)]
DESK = [only(Kind.MEMBER)]


async def photo_in(request: Request[Any, Any, Any], kernel: Kernel, caller: Caller) -> bytes:
    """The one photo of a form; permission comes first. Raises what `intake.admit` and `form_in` do, and `PhotoTooLarge`."""
    await threads.run(PAGES, intake.admit, kernel, caller.tenant, caller.id)
    try:
        return (await form_in(request, "photo", intake.LARGEST)).data
    except FileTooLarge:
        raise intake.PhotoTooLarge(intake.TOO_LARGE) from None


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
class PhotoTaken(PhotoShown):
    known: bool
    """The same file was handed in before: it is still one photo, and this upload changed nothing."""


@dataclass
class SomebodyShown:
    """One of the people on the photos about whom it is not known whether they are the person."""

    photos: list[UUID]
    counts: bool


@dataclass
class PhotoSet:
    """`who` asks "which of these are you?", and is empty when there is nothing to ask."""

    photos: list[PhotoShown]
    progress: SetProgress
    who: list[SomebodyShown]


def photo_shown(photo: Photo, reads: Words) -> PhotoShown:
    said = [
        one | {name: reads.gettext(one[name]) for name in ("message", "action") if one.get(name)}
        for one in photo.findings
    ]
    return PhotoShown(
        id=photo.id,
        state=photo.state,
        findings=said,
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


@post("/visit/photos", guards=EMPLOYEE, status_code=201, operation_class=PhotoForm, request_max_body_size=WITH_FILE,
      opt={"refuses": SLOW_BODY})  # fmt: skip
async def hand_in_photo(request: Request[Any, Any, Any]) -> PhotoTaken:
    """201 means that the photo is kept and will be checked; the same bytes again give the same photo, which is `known`."""
    kernel, caller = kernel_of(request), signed_in(request)
    with in_flight(caller.tenant, caller.id, request, intake.LARGEST):
        data = await photo_in(request, kernel, caller)
        taken = await threads.run(PHOTOS, intake.take, kernel, caller.tenant, caller.id, data, utc_now())
    return await threads.run(PAGES, _taken_shown, kernel, caller, taken)


def _taken_shown(kernel: Kernel, caller: Caller, taken: intake.Taken) -> PhotoTaken:
    """The same bytes may have been looked at before."""
    with kernel.db.transaction(caller.tenant) as session:
        shown = photo_shown(taken.photo, _reads(session, kernel, caller.id))
    return PhotoTaken(**vars(shown), known=taken.known)


def _reads(session: Session, kernel: Kernel, employee_id: UUID) -> Words:
    return employees.words(kernel.keys, employees.get(session, employee_id), tenants.get(session))


@get("/visit/photos", guards=EMPLOYEE, sync_to_thread=True)
def list_photos(request: Request[Any, Any, Any]) -> PhotoSet:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        return _set_shown(session, kernel, caller.id)


def _set_shown(session: Session, kernel: Kernel, employee_id: UUID) -> PhotoSet:
    handed_in, reads = photos.of(session, employee_id), _reads(session, kernel, employee_id)
    progress = photos.progress(session, employee_id)
    return PhotoSet(
        photos=[photo_shown(photo, reads) for photo in handed_in],
        progress=replace(progress, hint=progress.meter.said(reads)),
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
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        decisions.say_who(session, caller.id, data.mine, data.not_mine)
        return _set_shown(session, kernel, caller.id)


@get("/visit/photos/{photo_id:uuid}/picture", guards=EMPLOYEE, sync_to_thread=True, opt=SHOWN)
def show_photo(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> Response[bytes]:
    caller = signed_in(request)
    picture = photos.picture(kernel_of(request), caller.tenant, caller.id, photo_id, utc_now())
    return Response(picture, media_type="image/jpeg", headers=PRIVATE)


@post("/visit/photos/{photo_id:uuid}/use-anyway", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def use_photo_anyway(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> PhotoShown:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        return photo_shown(decisions.use_anyway(session, caller.id, photo_id), _reads(session, kernel, caller.id))


@dataclass
class FaceTapped:
    """An index into the photo's `faces`."""

    face: int


@post("/visit/photos/{photo_id:uuid}/face", guards=EMPLOYEE, status_code=200, sync_to_thread=True)
def choose_face(request: Request[Any, Any, Any], photo_id: FromPath[UUID], data: JSONBody[FaceTapped]) -> PhotoShown:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        chosen = decisions.choose_face(session, caller.id, photo_id, data.face)
        return photo_shown(chosen, _reads(session, kernel, caller.id))


@delete("/visit/photos/{photo_id:uuid}", guards=EMPLOYEE, sync_to_thread=True)
def remove_photo(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> None:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        decisions.remove(session, kernel.objects, caller.id, photo_id)


@dataclass
class Waved:
    photos: int


@get("/people/{person_id:uuid}/photos", guards=DESK, sync_to_thread=True)
def show_trouble(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> Trouble:
    """How somebody gets on with their photos: counts and reasons, never a photo."""
    with desk(request, Permission.PEOPLE_READ) as (session, _):
        return decisions.trouble(session, employees.on_roster(session, person_id).id)


@post("/people/{person_id:uuid}/photos/wave-through", guards=DESK, status_code=200, sync_to_thread=True)
def wave_through(request: Request[Any, Any, Any], person_id: FromPath[UUID]) -> Waved:
    """After twelve uploads without eight good ones: what is usable counts."""
    with desk(request, Permission.PEOPLE_CHANGE) as (session, _):
        person = employees.on_roster(session, person_id)
        return Waved(decisions.wave_through(session, person.id, caller=str(signed_in(request))))


routes: list[Any] = [
    hand_in_photo,
    list_photos,
    say_who,
    show_photo,
    use_photo_anyway,
    choose_face,
    remove_photo,
    show_trouble,
    wave_through,
]
