"""Photos, as the person hands them in: each with its verdict, and what the set still wishes for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from batch.models import Photo
from batch.people import department_looks
from batch.photos import decisions, intake, photos, sets
from batch.photos.api import photo_in
from batch.sittings import sittings
from batch.visit import consents
from dashboard.pages import back
from dashboard.visit.around.frame import EMPLOYEE, Form, MaybeForm, show
from dashboard.visit.around.standing import standing
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.guards import kernel_of, signed_in
from likeness.web.threads import PAGES, PHOTOS
from likeness.web.uploads import in_flight
from tenants.plain import whole_number

MOST_FACES = 999
"""Far more than are looked for in one photo; a larger number names none of them."""


@get("/visit/photos", sync_to_thread=True, guards=EMPLOYEE)
def show_photos(request: Request[Any, Any, Any]) -> Response[Any]:
    return _photos_page(request)


def _photos_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        progress = photos.progress(session, caller.id)
        mine: list[Photo] = photos.of(session, caller.id)
        who = sets.unclear(mine)
        kept = decisions.kept(session, caller.id, utc_now())
        leaving = decisions.leaving(session, caller.id, utc_now())
        coming = department_looks.of_person(session, me.employee).looks
    if not me.consented:
        return back(request, "/visit/consent")
    context = {
        "photos": list(reversed(mine)),
        "progress": progress,
        "who": who,
        "leaving": leaving,
        "hint": progress.meter.said(me.words),
        "checking": progress.checking,
        "largest": intake.LARGEST,
        "kept": kept,
        "coming": coming,
        "problem": problem,
        "known": "known" in request.query_params,
    }
    return show(request, "visit/photos.html", me, 2, context, status=problem.status if problem else 200)


@post("/visit/photos", guards=EMPLOYEE, request_max_body_size=WITH_FILE)
async def add_photo(request: Request[Any, Any, Any]) -> Response[Any]:
    """One photo from a plain form; scripts send theirs to the API, one by one."""
    kernel, caller = kernel_of(request), signed_in(request)
    try:
        with in_flight(caller.tenant, caller.id, request, intake.LARGEST):
            data = await photo_in(request, kernel, caller)
            taken = await threads.run(PHOTOS, intake.take, kernel, caller.tenant, caller.id, data, utc_now())
    except consents.ConsentMissing:
        raise
    except LikenessError as problem:
        return await threads.run(PAGES, _photos_page, request, problem)
    return Redirect("/visit/photos?known=1" if taken.known else "/visit/photos", status_code=303)


@post("/visit/photos/{photo_id:uuid}/use-anyway", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def use_anyway(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> Response[Any]:
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.use_anyway(session, caller.id, photo_id)
    return _photos_again(request)


@post("/visit/photos/who", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def say_who(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """One tap on "this is me": the photos it stands beside are the person's, and those of the others shown are not."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.say_who(session, caller.id, _ids(data.get("mine", "")), _ids(data.get("not_mine", "")))
    return _photos_again(request)


def _ids(listed: str) -> list[UUID]:
    """Raises `PhotoMissing` for what is no id."""
    try:
        return [UUID(one) for one in listed.split()]
    except ValueError:
        raise photos.PhotoMissing("There is no such photo.") from None


@post("/visit/photos/{photo_id:uuid}/face", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def choose_face(request: Request[Any, Any, Any], photo_id: FromPath[UUID], data: Form) -> Response[Any]:
    caller = signed_in(request)
    tapped = whole_number(data.get("face", ""), MOST_FACES)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.choose_face(session, caller.id, photo_id, -1 if tapped is None else tapped)
    return _photos_again(request)


@post("/visit/photos/{photo_id:uuid}/remove", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def remove_photo(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> Response[Any]:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        decisions.remove_soon(session, kernel.objects, caller.id, photo_id, utc_now())
    return _photos_again(request)


@post("/visit/photos/{photo_id:uuid}/keep", sync_to_thread=True, status_code=200, guards=EMPLOYEE)
def keep_photo(request: Request[Any, Any, Any], photo_id: FromPath[UUID]) -> Response[Any]:
    """Raises `TooLateToKeep`."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        decisions.keep(session, caller.id, photo_id, utc_now())
    return _photos_again(request)


def _photos_again(request: Request[Any, Any, Any]) -> Response[Any]:
    if not request.headers.get("hx-request"):
        return Redirect("/visit/photos", status_code=303)
    return with_fates(_photos_page(request))


@post("/visit/sitting", sync_to_thread=True, guards=EMPLOYEE)
def submit(request: Request[Any, Any, Any], data: MaybeForm = None) -> Response[Any]:
    caller, recipe = signed_in(request), (data or {}).get("recipe") or None
    try:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            sittings.submit(session, caller.id, utc_now(), recipe)
    except (sittings.TooFewPhotos, sittings.RecipeNotOffered) as problem:
        return _photos_page(request, problem)
    return Redirect("/visit/making", status_code=303)


def with_fates(response: Response[Any]) -> Response[Any]:
    """Tells the page that what happens to the face has changed as well."""
    response.headers["hx-trigger"] = "fates-changed"
    return response


routes: list[Any] = [show_photos, add_photo, use_anyway, say_who, choose_face, remove_photo, keep_photo, submit]
