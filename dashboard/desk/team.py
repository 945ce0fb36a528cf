"""The Team page: who works the desk, whose invitation waits, and who came in when.

A link to sign in is never shown here: it goes to the address of the person who comes in by it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath
from litestar.response import Redirect
from sqlmodel import Session

from dashboard.pages import page
from likeness.ground.db import utc_now
from likeness.ground.errors import Conflict, LikenessError, Unprocessable
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.mail.mail import Mail, undelivered
from likeness.web.guards import kernel_of, only
from tenants import bounds
from tenants.members import members, permissions
from tenants.members.access import desk
from tenants.members.permissions import COMPANY_ROLES, Permission
from tenants.models import Member, Role

DESK = [only(Kind.MEMBER)]
Form = Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)]
REFUSED = (Conflict, Unprocessable, members.OwnRole)
"""What a button may be answered with on the page that it stands on."""
SAID = {
    "invited": N_("The invitation is on its way to their address, and to nobody else."),
    "again": N_("A fresh invitation is on its way."),
    "roles": N_("The roles were changed. They count from now on."),
    "departments": N_("From now on they see the people of these departments and nobody else; of none named, everybody."),
    "disable": N_("They were signed out everywhere. What they did stays on record."),
    "let-back": N_("They may work here again, and get a link at the front page with their address."),
}


@dataclass(frozen=True)
class MemberLine:
    row: Member
    name: str
    email: str
    inviter: str
    """Empty: the operator."""
    departments: tuple[str, ...]
    bindable: bool
    mail: Mail | None
    """Their newest mail, where it did not arrive or nobody knows."""


@get("/team", sync_to_thread=True, guards=DESK)
def show_team(request: Request[Any, Any, Any]) -> Response[str]:
    return _team_page(request)


def _team_page(
    request: Request[Any, Any, Any], problem: LikenessError | None = None, typed: Mapping[str, str] | None = None
) -> Response[str]:
    kernel = kernel_of(request)
    with desk(request, Permission.MEMBERS_READ) as (session, me):
        everybody = members.all(session)
        troubles = undelivered(session, [one.id for one in everybody])
    lines = _lines(kernel, everybody, troubles)
    context = {
        "roles": me.roles,
        "me": me.id,
        "here": [line for line in lines if line.row.joined_at and not line.row.disabled_at],
        "waiting": [line for line in lines if not line.row.joined_at and not line.row.disabled_at],
        "gone": [line for line in lines if line.row.disabled_at],
        "kinds": COMPANY_ROLES,
        "names": permissions.ROLE_NAMES,
        "nobody_of": [role for role in COMPANY_ROLES if not any(_works(one, role) for one in everybody)],
        "typed": typed or {},
        "ticked": _ticked(typed) if typed else [Role.HR],
        "said": SAID.get(str(request.query_params.get("done", "")), ""),
        "problem": problem,
    }
    return page(request, "desk/team.html", context, status=problem.status if problem else 200)


def _works(member: Member, role: Role) -> bool:
    return member.disabled_at is None and role in set(member.roles) - permissions.resting(member.roles)


def _lines(kernel: Kernel, everybody: list[Member], troubles: Mapping[UUID, Mail]) -> list[MemberLine]:
    known = {member.id: members.profile(kernel.keys, member) for member in everybody}
    return [
        MemberLine(
            row=member,
            name=known[member.id].name,
            email=known[member.id].email,
            departments=known[member.id].departments,
            bindable=set(member.roles) <= permissions.NAMES,
            inviter=known[member.invited_by].name if member.invited_by in known else "",
            mail=troubles.get(member.id),
        )
        for member in everybody
    ]


@post("/team", sync_to_thread=True, guards=DESK)
def invite_member(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    kernel = kernel_of(request)
    try:
        with desk(request, Permission.MEMBERS_CHANGE) as (session, me):
            members.invite(
                session, kernel, data.get("email", ""), data.get("name", ""), _ticked(data), inviter=me, now=utc_now()
            )
    except REFUSED as problem:
        return _team_page(request, problem, data)
    return Redirect("/team?done=invited", status_code=303)


@post("/team/{member_id:uuid}/again", sync_to_thread=True, guards=DESK)
def invite_again(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> Response[Any]:
    kernel = kernel_of(request)

    def act(session: Session, me: Member) -> None:
        members.invite_again(session, kernel, member_id, inviter=me, now=utc_now())

    return _changed(request, "again", act)


@post("/team/{member_id:uuid}/roles", sync_to_thread=True, guards=DESK)
def change_roles(request: Request[Any, Any, Any], member_id: FromPath[UUID], data: Form) -> Response[Any]:
    def act(session: Session, me: Member) -> None:
        members.give_roles(session, member_id, _ticked(data), by=me.id, caller=_caller(me))

    return _changed(request, "roles", act)


@post("/team/{member_id:uuid}/departments", sync_to_thread=True, guards=DESK)
def bind(request: Request[Any, Any, Any], member_id: FromPath[UUID], data: Form) -> Response[Any]:
    keys = kernel_of(request).keys

    def act(session: Session, me: Member) -> None:
        members.bind_to(session, keys, member_id, bounds.names(data.get("departments", "")), caller=_caller(me))

    return _changed(request, "departments", act)


@post("/team/{member_id:uuid}/disable", sync_to_thread=True, guards=DESK)
def disable(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> Response[Any]:
    def act(session: Session, me: Member) -> None:
        members.disable(session, member_id, utc_now(), caller=_caller(me))

    return _changed(request, "disable", act, ends=True)


@post("/team/{member_id:uuid}/let-back", sync_to_thread=True, guards=DESK)
def let_back(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> Response[Any]:
    def act(session: Session, me: Member) -> None:
        members.let_back(session, member_id, by=me.id, caller=_caller(me))

    return _changed(request, "let-back", act)


@post("/team/keep/{role:str}", sync_to_thread=True, guards=DESK)
def keep_one_part(request: Request[Any, Any, Any], role: FromPath[str]) -> Response[Any]:
    """For who held HR and legal before these excluded each other: which of the two they go on with."""

    def act(session: Session, me: Member) -> None:
        members.keep_part(session, me, role)

    return _changed(request, "roles", act, Permission.ACCOUNT_CHANGE)


def _changed(
    request: Request[Any, Any, Any],
    done: str,
    act: Callable[[Session, Member], None],
    permission: Permission = Permission.MEMBERS_CHANGE,
    *,
    ends: bool = False,
) -> Response[Any]:
    """Carries out what one button says, and shows the page again, with the reason where it was refused."""
    try:
        with desk(request, permission, ends=ends) as (session, me):
            act(session, me)
            out = me.disabled_at is not None
    except REFUSED as problem:
        return _team_page(request, problem)
    return Redirect("/" if out else f"/team?done={done}", status_code=303)


def _caller(me: Member) -> str:
    return f"{Kind.MEMBER}:{me.id}"


def _ticked(data: Mapping[str, str]) -> list[Role]:
    return [role for role in COMPANY_ROLES if data.get(f"role-{role}")]


routes: list[Any] = [
    show_team,
    invite_member,
    invite_again,
    change_roles,
    bind,
    disable,
    let_back,
    keep_one_part,
]
