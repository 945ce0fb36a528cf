"""One's own account, for whoever works the desk or operates: its language, where one is signed in, and the way out."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from dashboard import sso
from dashboard.pages import page, signed
from dashboard.reader import reader
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, LikenessError, NotFound
from likeness.identity import IDLE, SESSION_LIFETIME, Kind, end_session, end_sessions_of, sessions_of
from likeness.web.guards import cookie, kernel_of, only, signed_in
from tenants.members import members, permissions
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Role

# A page of theirs that can be shown again; anything else leads to where the member is at home.
PLACES = "desk|team|settings|account|help|legal|questions|operations"
PAGE = re.compile(rf"/(?:{PLACES})(?:/\w[\w.-]*)*(?:\?[\w.~%&=+;,:@!*()'/-]*)?", re.ASCII)
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
MINE = [only(Kind.MEMBER, Kind.OPERATOR)]


class SessionMissing(NotFound):
    """It is not one's own, or it has ended."""

    title = "This sign-in has ended"


@get("/account", sync_to_thread=True, guards=MINE)
def show_account(request: Request[Any, Any, Any]) -> Response[str]:
    return _account_page(request)


def _account_page(request: Request[Any, Any, Any], problem: LikenessError | None = None) -> Response[str]:
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        found = sessions_of(session, me.id, utc_now())
    context = {
        "base": "operations/base.html" if caller.kind == Kind.OPERATOR else "desk/base.html",
        "roles": me.roles,
        "parts": [reader(request).gettext(permissions.ROLE_NAMES.get(role, role)) for role in Role if role in me.roles],
        "words": [permissions.WORDS[one] for one in sorted(permissions.of(me.roles))],
        "who": members.profile(kernel.keys, me),
        "sessions": found,
        "this": caller.session,
        "idle": IDLE,
        "longest": SESSION_LIFETIME,
        "problem": problem,
    }
    return page(request, "sign_in/own_account.html", context, status=problem.status if problem else 200)


@post("/account/sessions/{session_id:uuid}/end", sync_to_thread=True, guards=MINE)
def end_one(request: Request[Any, Any, Any], session_id: FromPath[UUID]) -> Response[Any]:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        if session_id not in {one.id for one in sessions_of(session, me.id, utc_now())}:
            raise SessionMissing("This session has ended.")
        end_session(session, session_id)
    return Redirect("/account", status_code=303)


@post("/account/sign-out-everywhere", sync_to_thread=True, guards=MINE)
def sign_out_everywhere(request: Request[Any, Any, Any]) -> Response[Any]:
    """Ends this session too, those at the company's sign-in, and voids the links that were mailed and not used."""
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        there = sso.everywhere(kernel, session, me.id)
        end_sessions_of(session, me.id)
        ledger.record(session, "session.ended-everywhere", caller=str(caller))
    if sso.end_there(kernel, there):
        return signed(request, "", "/")
    response = page(request, "sign_in/still_there.html", {"caller": None})
    response.set_cookie(**cookie(kernel.settings, ""))
    return response


@post("/account/leave", sync_to_thread=True, guards=MINE)
def leave(request: Request[Any, Any, Any]) -> Response[Any]:
    """Out of the company at once, until an owner lets one back. The last owner stays, and the last operator."""
    caller = signed_in(request)
    try:
        with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
            members.disable(session, me.id, utc_now(), caller=str(caller))
    except Conflict as problem:
        return _account_page(request, problem)
    return signed(request, "", "/")


@post("/account/language", sync_to_thread=True, guards=MINE)
def choose_language(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """From now on their pages are read to this member or operator in it, on every device. Raises `LanguageNotThere`."""
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        members.choose_language(session, kernel_of(request).keys, me.id, data.get("language", ""))
    back = data.get("back", "")
    return Redirect(back if PAGE.fullmatch(back) else "/", status_code=303)


routes: list[Any] = [choose_language, show_account, end_one, sign_out_everywhere, leave]
