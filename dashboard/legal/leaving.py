"""An owner has the company leave: a page that counts, asks for the company's name, and calls off until it begins."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from compliance.desk import leaving
from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.web.guards import fresh, kernel_of, only
from tenants import tenants
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/settings/leaving", sync_to_thread=True, guards=DESK)
def show_leaving(request: Request[Any, Any, Any]) -> Response[str]:
    return _page(request)


def _page(request: Request[Any, Any, Any], problem: LikenessError | None = None, *, receipt: str = "") -> Response[str]:
    """`receipt` is shown once: with it the certificate is fetched when nobody can sign in any more."""
    kernel = kernel_of(request)
    with desk(request, Permission.COMPANY_LEAVE) as (session, member):
        company, departure = tenants.get(session), leaving.open_of(session)
        counted = leaving.preview(session, kernel, utc_now())
    link = f"{kernel.settings.public_url.rstrip('/')}/api/v1/departures/{receipt}" if receipt else ""
    context = {"roles": member.roles, "problem": problem, "company": company, "departure": departure,
               "counted": counted, "link": link}  # fmt: skip
    return page(request, "desk/leaving.html", context, status=problem.status if problem else 200)


@post("/settings/leaving", sync_to_thread=True, guards=[*DESK, fresh], status_code=200)
def leave(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    people = whole_number(data.get("people", ""), 10**9)
    try:
        with desk(request, Permission.COMPANY_LEAVE) as (session, member):
            _, receipt = leaving.ask(
                session, kernel_of(request), member.id, utc_now(), name=data.get("name", ""),
                counted=-1 if people is None else people, hand_back=data.get("hand_back") == "yes",
            )  # fmt: skip
    except (Conflict, Unprocessable) as problem:
        return _page(request, problem)
    return _page(request, receipt=receipt)


@post("/settings/leaving/call-off", sync_to_thread=True, guards=DESK)
def call_off(request: Request[Any, Any, Any]) -> Response[Any]:
    try:
        with desk(request, Permission.COMPANY_LEAVE) as (session, member):
            leaving.call_off(session, member.id, utc_now())
    except Conflict as problem:
        return _page(request, problem)
    return Redirect("/settings/leaving", status_code=303)


routes: list[Any] = [show_leaving, leave, call_off]
