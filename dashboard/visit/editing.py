"""Another backdrop or crop of a finished studio portrait: asked for, seen beside the one that there is, kept or dropped."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from batch.photos.photos import Restricted
from batch.sittings import edits, headshots
from batch.sittings.edits import CropRefused, EditRefused, SameHeadshot
from batch.sittings.headshots import HeadshotMissing
from batch.vision.presets import Crop
from dashboard.pages import back
from dashboard.visit.around.frame import EMPLOYEE, Form, show
from dashboard.visit.around.standing import standing
from dashboard.visit.choosing import QUESTIONS
from dashboard.walls import wall
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.web.guards import kernel_of, signed_in
from tenants import looks

PICTURES = "/api/v1/visit/backdrops/"


@get("/visit/headshots/{headshot_id:uuid}/edit", sync_to_thread=True, guards=EMPLOYEE)
def show_form(request: Request[Any, Any, Any], headshot_id: FromPath[UUID]) -> Response[Any]:
    """Raises `HeadshotMissing` and `NotEditable`."""
    return _form(request, headshot_id)


def _form(
    request: Request[Any, Any, Any], headshot_id: UUID, problem: LikenessError | None = None, typed: Crop | None = None
) -> Response[Any]:
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, now)
        headshot = headshots.get(session, caller.id, headshot_id, now)
        offered = edits.choices(session, headshot, now)
        own = looks.get(session, headshot.look_id)
        waits = edits.standing(session, caller.id, now)
        given = {release.headshot_id for release in headshots.releases(session, caller.id)}
    context = {
        "headshot": headshot,
        "offered": offered,
        "backdrops": [(look, wall(look.wall, PICTURES)) for look in (own, *offered.looks)],
        "closer": sorted({one.closer for one in offered.crops}),
        "raised": sorted({one.raised for one in offered.crops}, reverse=True),
        "crop": typed or Crop(headshot.closer, headshot.raised),
        "waits": waits,
        "given": headshot.id in given,
        "problem": problem,
    }
    return show(request, "visit/edit_form.html", me, 4, context, status=problem.status if problem else 200)


@post("/visit/headshots/{headshot_id:uuid}/edit", sync_to_thread=True, guards=EMPLOYEE)
def ask(request: Request[Any, Any, Any], headshot_id: FromPath[UUID], data: Form) -> Response[Any]:
    """What is wrong with the wish is said beside it. Raises what `edits.ask` does otherwise."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    look, crop = None, Crop()
    with suppress(ValueError):
        look = UUID(data.get("look", ""))
    with suppress(ValueError):
        crop = Crop(int(data.get("closer", "0")), int(data.get("raised", "0")))
    try:
        with kernel.db.transaction(caller.tenant) as session:
            edits.ask(session, kernel.objects, kernel.keys, caller.id, headshot_id, now, look_id=look, crop=crop)
    except (EditRefused, CropRefused, SameHeadshot, Restricted) as problem:
        return _form(request, headshot_id, problem, crop)
    return Redirect("/visit/edit", status_code=303)


@get("/visit/edit", sync_to_thread=True, guards=EMPLOYEE)
def show_edit(request: Request[Any, Any, Any]) -> Response[Any]:
    """What is being made, or what came of it beside the one that there is."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, now)
        found = edits.standing(session, caller.id, now)
        of = found.draft.edit_of if found.draft else found.edit.headshot_id if found.edit else None
        before = None
        with suppress(HeadshotMissing):
            before = headshots.get(session, caller.id, of, now) if of else None
        named = looks.names(session)
        given = {release.headshot_id for release in headshots.releases(session, caller.id)}
    if of is None:
        return back(request, "/visit/headshots")
    context = {"edit": found.edit, "draft": found.draft, "before": before, "looks": named, "given": given,
               "questions": QUESTIONS}  # fmt: skip
    return show(request, "visit/edit.html", me, 4, context)


@post("/visit/edit/keep", sync_to_thread=True, guards=EMPLOYEE)
def keep(request: Request[Any, Any, Any]) -> Redirect:
    """Raises `EditMissing`."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        kept = edits.keep(session, kernel.objects, caller.id, utc_now())
    return Redirect(f"/visit/headshots/{kept.id}", status_code=303)


@post("/visit/edit/drop", sync_to_thread=True, guards=EMPLOYEE)
def drop(request: Request[Any, Any, Any]) -> Redirect:
    """Raises `EditMissing`."""
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        edits.drop(session, kernel.objects, caller.id, utc_now())
    return Redirect("/visit/headshots", status_code=303)


routes: list[Any] = [show_form, ask, show_edit, keep, drop]
