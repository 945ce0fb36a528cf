"""The JSON edge of members: who works here, in which roles, for whom. `routes` is a part of the floor's router."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, patch, post, put
from litestar.params import FromPath, JSONBody
from msgspec import Struct

from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web.described import FOR_PEOPLE
from likeness.web.guards import kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants import bounds
from tenants.members import members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Member, Role

DESK = [only(Kind.MEMBER)]


@dataclass
class MemberShown:
    id: UUID
    name: str
    email: str
    roles: list[str]
    departments: list[str]
    """Those whose people the member sees; empty for everybody of the company."""
    disabled: bool
    joined_at: datetime | None
    """The first sign-in; null while the invitation waits."""
    signed_in_at: datetime | None
    seen_at: datetime | None
    """When they last did something here, to within five minutes."""


class NewMember(Struct, forbid_unknown_fields=True):
    name: str
    email: str
    roles: list[Role]


@dataclass
class MemberInvited:
    """The link is in the mail to the member alone."""

    member: MemberShown
    mailed: str


class NewRoles(Struct, forbid_unknown_fields=True):
    roles: list[Role]


class NewDepartments(Struct, forbid_unknown_fields=True):
    departments: list[str]


@get("/members", guards=DESK, sync_to_thread=True)
def list_members(
    request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[MemberShown]]:
    """Oldest first. While there are more, the header `Link` names the next page."""
    page, kernel = Page(Mark, most, after), kernel_of(request)
    with desk(request, Permission.MEMBERS_READ) as (session, _):
        found = members.all(session, page.lines, after=page.after)
        return page.answer(
            request, found, lambda one: Mark(one.created_at, one.id), lambda one: _member_shown(kernel, one)
        )


@post("/members", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def invite_member(request: Request[Any, Any, Any], data: JSONBody[NewMember]) -> MemberInvited:
    kernel = kernel_of(request)
    with desk(request, Permission.MEMBERS_CHANGE) as (session, inviter):
        member = members.invite(session, kernel, data.email, data.name, data.roles, inviter=inviter, now=utc_now())
        return MemberInvited(_member_shown(kernel, member), data.email)


@post("/members/{member_id:uuid}/link", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def new_sign_in_link(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> MemberInvited:
    """Mails a fresh invitation to somebody who has not come in yet; a member asks for a link at the front door."""
    kernel = kernel_of(request)
    with desk(request, Permission.MEMBERS_CHANGE) as (session, inviter):
        member = members.invite_again(session, kernel, member_id, inviter=inviter, now=utc_now())
        return MemberInvited(_member_shown(kernel, member), members.profile(kernel.keys, member).email)


@patch("/members/{member_id:uuid}", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def change_roles(request: Request[Any, Any, Any], member_id: FromPath[UUID], data: JSONBody[NewRoles]) -> MemberShown:
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.MEMBERS_CHANGE) as (session, giver):
        return _member_shown(
            kernel, members.give_roles(session, member_id, data.roles, by=giver.id, caller=str(caller))
        )


@put("/members/{member_id:uuid}/departments", guards=DESK, opt=FOR_PEOPLE, status_code=200, sync_to_thread=True)
def bind_member(
    request: Request[Any, Any, Any], member_id: FromPath[UUID], data: JSONBody[NewDepartments]
) -> MemberShown:
    """HR and brand may work for some departments only: they see nobody else's people. None is the whole company."""
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.MEMBERS_CHANGE) as (session, _):
        names = bounds.names("\n".join(data.departments))
        return _member_shown(kernel, members.bind_to(session, kernel.keys, member_id, names, caller=str(caller)))


@delete("/members/{member_id:uuid}", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def disable_member(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> None:
    """Signs the member out everywhere; what they did stays on record."""
    caller = signed_in(request)
    with desk(request, Permission.MEMBERS_CHANGE, ends=True) as (session, _):
        members.disable(session, member_id, utc_now(), caller=str(caller))


@post("/members/{member_id:uuid}/let-back", guards=DESK, opt=FOR_PEOPLE, status_code=200, sync_to_thread=True)
def let_member_back(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> MemberShown:
    """Somebody who was disabled works the desk again; they ask for a link at the front door."""
    kernel, caller = kernel_of(request), signed_in(request)
    with desk(request, Permission.MEMBERS_CHANGE) as (session, giver):
        return _member_shown(kernel, members.let_back(session, member_id, by=giver.id, caller=str(caller)))


def _member_shown(kernel: Kernel, member: Member) -> MemberShown:
    who = members.profile(kernel.keys, member)
    return MemberShown(
        id=member.id,
        name=who.name,
        email=who.email,
        roles=list(member.roles),
        departments=list(who.departments),
        disabled=member.disabled_at is not None,
        joined_at=member.joined_at,
        signed_in_at=member.signed_in_at,
        seen_at=member.seen_at or member.signed_in_at,
    )


routes: list[Any] = [
    list_members,
    invite_member,
    new_sign_in_link,
    change_roles,
    bind_member,
    disable_member,
    let_member_back,
]
