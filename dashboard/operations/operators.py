"""Who operates this installation, the end of an operator's access, and the way back, which takes two."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dashboard.operations.operations import OPERATORS, Form
from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, LikenessError, NotFound, Unprocessable
from likeness.web.guards import fresh, kernel_of, signed_in
from tenants.members import break_glass, members
from tenants.members.access import desk
from tenants.members.permissions import Permission


@get("/operations/operators", sync_to_thread=True, guards=OPERATORS)
def show_operators(request: Request[Any, Any, Any]) -> Response[str]:
    return _operators_page(request)


def _operators_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    kernel = kernel_of(request)
    keys = kernel.keys
    with desk(request, Permission.OPERATORS_CHANGE) as (session, me):
        everybody = [(one, members.profile(keys, one)) for one in members.all(session)]
        names = {one.id: who.name for one, who in everybody}
        asked = [
            (one, names.get(one.member_id, ""), names.get(one.asked_by, ""), break_glass.reason_of(kernel, one))
            for one in break_glass.returns(session, utc_now())
        ]
    context = {"everybody": everybody, "me": me.id, "problem": problem, "asked": asked}
    return page(request, "operations/operators.html", context, status=problem.status if problem else 200)


@post("/operations/operators/{member_id:uuid}/disable", sync_to_thread=True, guards=[*OPERATORS, fresh])
def disable(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> Response[Any]:
    """At once, in every browser. The last operator who has signed in stays."""
    caller = signed_in(request)
    try:
        with desk(request, Permission.OPERATORS_CHANGE, ends=True) as (session, _):
            members.disable(session, member_id, utc_now(), caller=str(caller))
    except Conflict as problem:
        return _operators_page(request, problem)
    return Redirect("/operations/operators", status_code=303)


@post("/operations/operators/{member_id:uuid}/let-back", sync_to_thread=True, guards=[*OPERATORS, fresh])
def ask_back(request: Request[Any, Any, Any], member_id: FromPath[UUID], data: Form) -> Response[Any]:
    """Nothing changes until a second operator confirms it."""
    kernel = kernel_of(request)
    try:
        with desk(request, Permission.OPERATORS_CHANGE) as (session, me):
            break_glass.ask_back(session, kernel, member_id, by=me.id, reason=data.get("reason", ""), now=utc_now())
    except (Conflict, Unprocessable) as problem:
        return _operators_page(request, problem)
    return Redirect("/operations/operators", status_code=303)


@post("/operations/operators/returns/{question_id:uuid}/confirm", sync_to_thread=True, guards=[*OPERATORS, fresh])
def confirm_back(request: Request[Any, Any, Any], question_id: FromPath[UUID]) -> Response[Any]:
    """The operator who was asked about has access again, with the sign-in from before."""
    caller = signed_in(request)
    try:
        with desk(request, Permission.OPERATORS_CHANGE) as (session, me):
            break_glass.confirm_return(session, question_id, by=me.id, now=utc_now(), caller=str(caller))
    except (Conflict, NotFound) as problem:
        return _operators_page(request, problem)
    return Redirect("/operations/operators", status_code=303)


routes: list[Any] = [show_operators, disable, ask_back, confirm_back]
