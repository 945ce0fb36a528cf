"""The person's own requests: what they may ask for, what they asked, and until when they are answered."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.response import Redirect

from batch.people import employees
from compliance import holds, requests
from compliance.desk import answering
from compliance.models import BY_ERASURE, BY_PACKAGE, RequestKind
from dashboard.visit.around.frame import EMPLOYEE, Form, show
from dashboard.visit.around.standing import standing
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, Unauthorized
from likeness.locale.marks import N_
from likeness.web.guards import kernel_of, signed_in

NAMES = {
    RequestKind.ACCESS: N_("A copy of my data"),
    RequestKind.PORTABILITY: N_("My data, to take it elsewhere"),
    RequestKind.RECTIFICATION: N_("Correct my data"),
    RequestKind.ERASURE: N_("Delete my data"),
    RequestKind.RESTRICTION: N_("Stop using my photos for now"),
    RequestKind.OBJECTION: N_("I object to the use of my data"),
    RequestKind.KNOW: N_("Tell me what is held about me (California)"),
    RequestKind.DELETE: N_("Delete my data (California)"),
    RequestKind.CORRECT: N_("Correct my data (California)"),
    RequestKind.OPT_OUT: N_("Neither sell nor share my data (California)"),
    RequestKind.LIMIT: N_("Limit the use of my photos (California)"),
}
ASKABLE = tuple(kind for kind in RequestKind if kind not in BY_ERASURE)
"""Deleting has a page of its own, which says first what goes."""


@get("/visit/requests", sync_to_thread=True, guards=EMPLOYEE)
def show_own_requests(request: Request[Any, Any, Any]) -> Response[str]:
    return _page(request)


def _page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, now)
        mine = requests.seen_by(session, caller.id)
        told = holds.told(session, caller.id)
        held = any(one.confirmed_at and not one.lifted_at and one.expires_at > now for one in told)
    context = {
        "mine": mine[::-1], "names": NAMES, "askable": ASKABLE, "packages": BY_PACKAGE, "held": held, "problem": problem,
    }  # fmt: skip
    return show(request, "visit/requests.html", me, 0, context, status=problem.status if problem else 200)


@post("/visit/requests", sync_to_thread=True, guards=EMPLOYEE)
def ask(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """What is asked for here begins at once, and a mail confirms it."""
    kernel, caller, kind = kernel_of(request), signed_in(request), data.get("kind", "")
    if kind in BY_ERASURE:
        return Redirect("/visit/delete", status_code=303)
    try:
        with kernel.db.transaction(caller.tenant) as session:
            employees.speaking(session, caller)
            answering.ask(session, kernel, caller.id, kind, utc_now())
    except Unauthorized:
        raise
    except LikenessError as problem:
        return _page(request, problem)
    return Redirect("/visit/requests", status_code=303)


@post("/visit/processing/resume", sync_to_thread=True, guards=EMPLOYEE)
def go_on(request: Request[Any, Any, Any]) -> Response[Any]:
    """Whoever had the use of their photos stopped lets it go on."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        employees.speaking(session, caller)
        answering.go_on(session, caller.id)
    return Redirect("/visit/requests", status_code=303)


routes: list[Any] = [show_own_requests, ask, go_on]
