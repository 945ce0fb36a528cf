"""The Team page: who works the desk, whose invitation waits, and who came in when.

A link to sign in is never shown here: it goes to the address of the person who comes in by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from sqlmodel import Session

from dashboard.pages import page
from likeness.db import utc_now
from likeness.errors import LikenessError
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web import kernel_of, only, signed_in
from tenants import access, members
from tenants.models import Member, Role

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
ROLES = (Role.HR, Role.LEGAL)
SAID = {
    "invited": "The invitation is on its way to their address, and to nobody else.",
    "again": "A fresh invitation is on its way.",
    "roles": "The roles were changed. They count from now on.",
    "disable": "They were signed out everywhere. What they did stays on record.",
    "let-back": "They may work here again, and get a link at the front page with their address.",
}


@dataclass(frozen=True)
class Line:
    """A member, and whether the reader may act on them: that takes every role that they hold."""

    row: Member
    name: str
    email: str
    inviter: str
    mine: bool


def _me(request: Request[Any, Any, Any], session: Session) -> Member:
    return access.require(session, signed_in(request), *ROLES)


@get("/team", sync_to_thread=True, guards=DESK)
def show_team(request: Request[Any, Any, Any]) -> Response[str]:
    return _team_page(request)


def _team_page(
    request: Request[Any, Any, Any], problem: LikenessError | None = None, typed: Mapping[str, str] | None = None
) -> Response[str]:
    kernel = kernel_of(request)
    with kernel.db.transaction(signed_in(request).tenant) as session:
        me = _me(request, session)
        everybody = members.all(session)
    lines = _lines(kernel, everybody, me)
    context = {
        "roles": me.roles,
        "me": me.id,
        "here": [line for line in lines if line.row.joined_at and not line.row.disabled_at],
        "waiting": [line for line in lines if not line.row.joined_at and not line.row.disabled_at],
        "gone": [line for line in lines if line.row.disabled_at],
        "kinds": ROLES,
        "typed": typed or {},
        "said": SAID.get(str(request.query_params.get("done", "")), ""),
        "problem": problem,
    }
    return page(request, "desk/team.html", context, status=problem.status if problem else 200)


def _lines(kernel: Kernel, everybody: list[Member], me: Member) -> list[Line]:
    known = {member.id: members.profile(kernel.keys, member) for member in everybody}
    return [
        Line(
            row=member,
            name=known[member.id].name,
            email=known[member.id].email,
            inviter=known[member.invited_by].name if member.invited_by in known else "the operator",
            mine=set(member.roles) <= set(me.roles),
        )
        for member in everybody
    ]


@post("/team", sync_to_thread=True, guards=DESK)
def invite_member(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    kernel = kernel_of(request)
    try:
        with kernel.db.transaction(signed_in(request).tenant) as session:
            me = _me(request, session)
            roles = _ticked(data, ROLES)
            members.check_may_give(me, roles)
            members.invite(
                session, kernel, data.get("email", ""), data.get("name", ""), roles, inviter=me, now=utc_now()
            )
    except LikenessError as problem:
        if problem.status not in (403, 409, 422) or isinstance(problem, access.RoleMissing):
            raise
        return _team_page(request, problem, data)
    return Redirect("/team?done=invited", status_code=303)


@post("/team/{member_id:uuid}/{act:str}", sync_to_thread=True, guards=DESK)
def change_member(
    request: Request[Any, Any, Any], member_id: FromPath[UUID], act: FromPath[str], data: Form
) -> Response[Any]:
    """Invites again, changes roles, disables or lets back: what one button beside a member does."""
    kernel, caller, now = kernel_of(request), signed_in(request), utc_now()
    try:
        with kernel.db.transaction(caller.tenant) as session:
            me = _me(request, session)
            before = {Role(role) for role in members.get(session, member_id).roles}
            match act:
                case "again":
                    members.invite_again(session, kernel, member_id, inviter=me, now=now)
                case "roles":
                    # What the reader does not hold stays as it was, whatever the form says of it.
                    held = [role for role in ROLES if role in me.roles]
                    after = (before - set(held)) | set(_ticked(data, held))
                    members.give_roles(session, member_id, after, by=me.id, caller=str(caller))
                case "disable":
                    members.check_may_give(me, before)
                    members.disable(session, member_id, now, caller=str(caller))
                case "let-back":
                    members.check_may_give(me, before)
                    members.let_back(session, member_id, by=me.id, caller=str(caller))
                case _:
                    raise members.MemberMissing("There is nothing like that to do with a member.")
    except LikenessError as problem:
        if problem.status not in (409, 422) and not isinstance(problem, members.RoleNotHeld):
            raise
        return _team_page(request, problem)
    if member_id == caller.id and act == "disable":
        return Redirect("/", status_code=303)
    return Redirect(f"/team?done={act}", status_code=303)


def _ticked(data: Mapping[str, str], among: tuple[Role, ...] | list[Role]) -> list[Role]:
    return [role for role in among if data.get(f"role-{role}")]


routes: list[Any] = [show_team, invite_member, change_member]
