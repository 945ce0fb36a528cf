"""While headshots are made: how far it is, how long it takes, and what can be done after it came to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Request, Response, get
from sqlmodel import Session, col, select

from batch.models import Sitting, SittingState
from batch.people import department_looks
from batch.photos import photos
from batch.sittings import forecast
from batch.sittings.runs import Run
from batch.visit import consents
from dashboard.pages import back
from dashboard.visit.around.frame import EMPLOYEE, show
from dashboard.visit.around.standing import standing
from gpu_cluster.cutout.limits import LIMITS
from gpu_cluster.engine.doubts import DOUBTS, LATER, NO_WALL
from likeness.ground.db import tenant_of, utc_now
from likeness.locale.marks import N_
from likeness.web.guards import kernel_of, signed_in
from tenants import looks
from tenants.models import CUTOUT, Tenant

OURS = N_("The program could not work on it, which says nothing about your photo.")
# How much of the whole each state is, when its own steps are not counted: training takes most of the time.
SHARE = {SittingState.READY: (0, 0), SittingState.TRAINING: (5, 75), SittingState.RENDERING: (75, 99)}


@dataclass(frozen=True)
class Again:
    """`recipes` may be made at once, of the photos there are; the person has agreed to them."""

    recipes: tuple[str, ...]
    portrait_unasked: bool
    """The company offers a studio portrait, and the person has not agreed to one yet."""


def again(session: Session, employee_id: UUID, tenant: Tenant) -> Again:
    agreed = consents.recipes(session, employee_id)
    return Again(photos.progress(session, employee_id).recipes, CUTOUT in tenant.offered and CUTOUT not in agreed)


class Missed(NamedTuple):
    """A look of which there is no headshot, what was wrong, and whether other photos may change that."""

    look: str
    why: str
    photos_help: bool


def missed_looks(session: Session, sitting: Sitting) -> list[Missed]:
    return [
        Missed(looks.get(session, UUID(look)).name, DOUBTS[name], name not in (LATER, NO_WALL))
        for look, name in sitting.missed.items()
        if name in DOUBTS
    ]


class Unused(NamedTuple):
    """A photo that nothing came of, its number on the page of the photos, what was wrong, and what helps."""

    photo: UUID
    number: int
    why: str
    action: str


def unused_photos(session: Session, sitting: Sitting) -> list[Unused]:
    """Of those that are still there."""
    shown = enumerate(reversed(photos.of(session, sitting.employee_id)), 1)
    return [
        Unused(photo.id, number, *_what_was_wrong(sitting.unused[str(photo.id)]))
        for number, photo in shown
        if str(photo.id) in sitting.unused
    ]


def _what_was_wrong(name: str) -> tuple[str, str]:
    limit = LIMITS.get(name)
    return (limit.sentence, limit.action) if limit else (OURS, "")


@get("/visit/making", sync_to_thread=True, guards=EMPLOYEE)
def show_making(request: Request[Any, Any, Any]) -> Response[Any]:
    now = utc_now()
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, now)
        run = _run(session, me.sitting) if me.sitting else None
        left = forecast.of_sitting(session, me.sitting, now) if me.sitting else None
        missed = missed_looks(session, me.sitting) if me.sitting else []
        unused = unused_photos(session, me.sitting) if me.sitting else []
        ways = again(session, caller.id, me.tenant)
        coming = department_looks.of_person(session, me.employee).looks
    if me.sitting is None:
        return back(request, "/visit")
    if me.sitting.state == SittingState.DONE and request.headers.get("hx-request"):
        return back(request, "/visit/headshots")
    percent = _percent(me.sitting, run)
    context = {
        "sitting": me.sitting,
        "active": me.active,
        "percent": percent,
        "eta": left,
        "missed": missed,
        "unused": unused,
        "again": ways,
        "coming": coming,
    }
    return show(request, "visit/waiting.html", me, 3, context)


def _run(session: Session, sitting: Sitting) -> Run | None:
    return session.exec(
        select(Run)
        .where(
            col(Run.tenant_id) == tenant_of(session),
            col(Run.sitting_id) == sitting.id,
            col(Run.fence) == sitting.fence,
        )
        .limit(1)
    ).first()


def _percent(sitting: Sitting, run: Run | None) -> int:
    start, end = SHARE.get(SittingState(sitting.state), (100, 100))
    done = run.step / run.steps if run and run.steps and sitting.state == SittingState.TRAINING else 0.0
    return round(start + (end - start) * min(1.0, done))


routes: list[Any] = [show_making]
