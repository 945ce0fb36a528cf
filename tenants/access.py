"""Who may do what: the one function that every route of the desk goes through."""

from __future__ import annotations

from sqlmodel import Session

from likeness.db import tenant_of
from likeness.errors import Forbidden
from likeness.identity import Caller, Kind
from tenants import members
from tenants.models import Member, Role


class RoleMissing(Forbidden):
    """The member works another part of the desk."""


def require(session: Session, caller: Caller, *roles: Role) -> Member:
    """The member behind the caller, who holds one of the roles. Raises `RoleMissing`.

    An operator passes only where the operator's role is asked for, and never inside a company.
    """
    wanted = {Kind.OPERATOR: {Role.OPERATOR}, Kind.MEMBER: {Role.HR, Role.LEGAL}}.get(caller.kind, set())
    if caller.tenant != tenant_of(session) or not wanted & set(roles):
        raise RoleMissing("This belongs to somebody else's part.")
    member = members.get(session, caller.id)
    if member.disabled_at is not None or not wanted & set(roles) & {Role(role) for role in member.roles}:
        raise RoleMissing("This belongs to somebody else's part.")
    return member
