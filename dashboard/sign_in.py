"""Coming in and going out. The front page answers what every visitor wants to know first."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from dashboard.pages import home_of, page, signed
from likeness.db import utc_now
from likeness.identity import Kind, end_session
from likeness.web import caller_or_none, kernel_of
from tenants import members
from tenants.api import enter
from tenants.tries import counted

PUBLIC = {"public": True}


@get("/", sync_to_thread=True, opt=PUBLIC)
def front(request: Request[Any, Any, Any]) -> Response[Any]:
    """Straight to one's own part; a stranger reads what happens to faces here."""
    caller = caller_or_none(request)
    if caller is None:
        return page(request, "sign_in/front.html")
    roles: list[str] = []
    if caller.kind == Kind.MEMBER:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            roles = members.get(session, caller.id).roles
    return Redirect(home_of(caller, roles), status_code=303)


@get("/sign-in/{token:str}", sync_to_thread=True, opt=PUBLIC)
def confirm(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Consumes nothing, because mail scanners and chat previews open links."""
    return page(request, "sign_in/confirm.html")


@post("/sign-in/{token:str}", sync_to_thread=True, opt=PUBLIC)
def sign_in(request: Request[Any, Any, Any], token: FromPath[str]) -> Response[Any]:
    """Raises `LinkUsed`."""
    with counted(request):
        _, cookie = enter(kernel_of(request), token, utc_now())
    return signed(request, cookie, "/")


@post("/sign-out", sync_to_thread=True, opt=PUBLIC)
def sign_out(request: Request[Any, Any, Any]) -> Response[Any]:
    caller = caller_or_none(request)
    if caller is not None:
        with kernel_of(request).db.transaction(caller.tenant) as session:
            end_session(session, caller.session)
    return signed(request, "", "/")


routes: list[Any] = [front, confirm, sign_in, sign_out]
