"""Keys for programs: what one's own may do, when they were last used, and the way to revoke them."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect

from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.web.guards import fresh, kernel_of, only, signed_in
from tenants import tenants
from tenants.members import members, permissions, programs
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.plain import whole_number

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]


@get("/team/keys", sync_to_thread=True, guards=DESK)
def show_keys(request: Request[Any, Any, Any]) -> Response[str]:
    return _keys_page(request)


def _keys_page(
    request: Request[Any, Any, Any], problem: LikenessError | None = None, token: str = "", typed: Form | None = None
) -> Response[str]:
    kernel = kernel_of(request)
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        keys = programs.seen_by(session, me, utc_now())
        tenant = tenants.get(session)
        makers = {one.id: members.profile(kernel.keys, one).name for one in members.all(session)}
    context = {
        "roles": me.roles,
        "keys": keys,
        "makers": makers,
        "words": permissions.WORDS,
        "not_by_key": programs.NOT_BY_KEY,
        "grantable": programs.grantable(me),
        "soon": utc_now() + programs.WARNED,
        "token": token,
        "typed": typed or {},
        "tenant": tenant,
        "scim": f"{kernel.settings.public_url.rstrip('/')}/scim/v2",
        "problem": problem,
    }
    return page(request, "desk/keys.html", context, status=problem.status if problem else 200)


@post("/team/keys", sync_to_thread=True, guards=[*DESK, fresh], status_code=200)
def make_key(request: Request[Any, Any, Any], data: Form) -> Response[str]:
    """The answer is the one page that ever shows the key."""
    try:
        with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
            scope = [one for one in Permission if data.get(f"for-{one}")]
            chosen = data.get("days", str(programs.LASTS))
            days = None if chosen == "none" else whole_number(chosen, programs.LONGEST) or 0
            _, token = programs.make(session, me, data.get("name", ""), scope, utc_now(), days=days)
    except Unprocessable as problem:
        return _keys_page(request, problem, typed=data)
    return _keys_page(request, token=token)


@post("/team/keys/{key_id:uuid}/revoke", sync_to_thread=True, guards=DESK)
def revoke_key(request: Request[Any, Any, Any], key_id: FromPath[UUID]) -> Response[Any]:
    with desk(request, Permission.ACCOUNT_CHANGE) as (session, me):
        programs.revoke(session, me, key_id, utc_now())
    return Redirect("/team/keys", status_code=303)


@post("/team/directory", sync_to_thread=True, guards=[*DESK, fresh])
def change_rule(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """What follows when the directory says that somebody left or joined."""
    caller = signed_in(request)
    try:
        with desk(request, Permission.LEAVERS_RULE) as (session, _):
            days = whole_number(data.get("leaver_days", "").strip(), tenants.MOST_LEAVER_DAYS)
            if days is None:
                raise tenants.TermsRefused(
                    "Name a whole number of days, from 0 to {most}.", most=tenants.MOST_LEAVER_DAYS
                )
            tenants.change_directory(
                session, leaver_days=days, invite_joiners=bool(data.get("invite_joiners")), caller=str(caller)
            )
    except Unprocessable as problem:
        return _keys_page(request, problem, typed=data)
    return Redirect("/team/keys", status_code=303)


routes: list[Any] = [show_keys, make_key, revoke_key, change_rule]
