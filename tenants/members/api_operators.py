"""The JSON edge of operators: who operates this installation, and the end of somebody's access to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get
from litestar.params import FromPath

from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.web.guards import fresh, kernel_of, only, signed_in
from likeness.web.paging import ON_A_PAGE, After, Mark, Most, Page
from tenants.members import members
from tenants.members.access import desk
from tenants.members.permissions import Permission
from tenants.models import Member

OPERATORS = [only(Kind.OPERATOR)]


@dataclass
class OperatorShown:
    id: UUID
    name: str
    email: str
    disabled: bool
    joined_at: datetime | None
    """The first sign-in; null for who never came."""
    signed_in_at: datetime | None


@get("/operators", guards=OPERATORS, sync_to_thread=True)
def list_operators(
    request: Request[Any, Any, Any], most: Most = ON_A_PAGE, after: After = ""
) -> Response[list[OperatorShown]]:
    """Oldest first. While there are more, the header `Link` names the next page."""
    page, keys = Page(Mark, most, after), kernel_of(request).keys

    def shown(one: Member) -> OperatorShown:
        who = members.profile(keys, one)
        return OperatorShown(one.id, who.name, who.email, one.disabled_at is not None, one.joined_at, one.signed_in_at)

    with desk(request, Permission.OPERATORS_CHANGE) as (session, _):
        found = members.all(session, page.lines, after=page.after)
        return page.answer(request, found, lambda one: Mark(one.created_at, one.id), shown)


@delete("/operators/{member_id:uuid}", guards=[*OPERATORS, fresh], sync_to_thread=True)
def disable_operator(request: Request[Any, Any, Any], member_id: FromPath[UUID]) -> None:
    """Signs the operator out everywhere; what they did stays on record. The last one who has signed in stays."""
    caller = signed_in(request)
    with desk(request, Permission.OPERATORS_CHANGE, ends=True) as (session, _):
        members.disable(session, member_id, utc_now(), caller=str(caller))


routes: list[Any] = [list_operators, disable_operator]
