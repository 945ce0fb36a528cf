"""Who makes this request and may do what it asks: the one way in for everything that members and operators do.

Departments, further roles and keys of machines enter here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from litestar import Request
from sqlmodel import Session, col, select

from likeness import machines
from likeness.ground.db import PLATFORM, tenant_of, utc_now
from likeness.ground.errors import Forbidden
from likeness.identity import Caller, Kind
from likeness.locale.marks import Term
from likeness.web.guards import SAFE_METHODS, kernel_of, signed_in
from tenants import bounds, suspension
from tenants.members import members, permissions
from tenants.members.permissions import Permission
from tenants.models import Member, Tenant

SEEN_EVERY = timedelta(minutes=5)
MEMBER, COMPANY, READS = "likeness_member", "likeness_company", "likeness_company_reads"


class RoleMissing(Forbidden):
    """None of the caller's roles gives the permission."""

    title = "Your roles do not include this"


class KeyTooNarrow(RoleMissing):
    """The key was made for other things."""

    title = "This key does not include this"


class BoundToDepartments(Forbidden):
    """The member works for some departments, and this is about the whole company."""

    title = "This takes somebody who works for the whole company"


@contextmanager
def desk(
    request: Request[Any, Any, Any], permission: Permission, *, ends: bool = False
) -> Iterator[tuple[Session, Member]]:
    """A transaction of the caller's company, with the member behind the request: whoever is bound to departments sees
    nobody else's people in it. Raises `RoleMissing` and `BoundToDepartments`. With `ends` the request only takes something
    away, and is answered for a suspended company too.

    It ends with the block, so what is long or slow comes after it.
    """
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        member, company = _permitted(session, caller, permission, ends=ends)
        member_id = member.id
        due = member.seen_at is None or utc_now() - member.seen_at > SEEN_EVERY
        # Pages say who is signed in.
        _scope(request)[MEMBER], _scope(request)[READS] = member, (company.language, company.time_zone)
        if request.method in SAFE_METHODS and company.left_at is None:
            # A page is one look at its company: whatever asks for its row again finds the one that was read here. Whoever
            # changes something may have waited for somebody else, and looks anew.
            _scope(request)[COMPANY] = company
        del company
        try:
            yield session, member
        except BaseException:
            # What is rolled back is not loaded any more.
            for name in (MEMBER, COMPANY, READS):
                _scope(request).pop(name, None)
            raise
        if due and caller.kind != Kind.MACHINE:
            members.seen(session, member_id, caller.session)  # Last, so that it holds no row that others wait for.


def member_behind(request: Request[Any, Any, Any]) -> Member | None:
    """Whom `desk` has let in for this request, if anybody."""
    member = _scope(request).get(MEMBER)
    return member if isinstance(member, Member) else None


def reads_behind(request: Request[Any, Any, Any]) -> tuple[Member, str, str] | None:
    """That member with their company's language and time zone: a page that is made within the block asks for nothing else,
    since a second transaction beside an open one would wait for a connection while it holds one."""
    member, reads = member_behind(request), _scope(request).get(READS)
    return (member, *reads) if member is not None and reads is not None else None


def _scope(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """As ASGI has it: everybody may lay something into it, which its type does not know."""
    scope: dict[str, Any] = cast("dict[str, Any]", request.scope)
    return scope


def check(request: Request[Any, Any, Any], permission: Permission) -> None:
    """The same question alone: before a byte of an upload is read. Raises `RoleMissing`."""
    with desk(request, permission):
        pass


def permit(session: Session, caller: Caller, permission: Permission, *, ends: bool = False) -> Member:
    """The member behind the caller. Raises `RoleMissing`, also for an operator inside a company."""
    return _permitted(session, caller, permission, ends=ends)[0]


def _permitted(session: Session, caller: Caller, permission: Permission, *, ends: bool) -> tuple[Member, Tenant]:
    """With the company, which nearly every request asks for, in one statement."""
    if caller.tenant != tenant_of(session) or caller.kind not in (_kind_of(caller), Kind.MACHINE):
        raise _missing(permission)
    member_id = caller.id
    if caller.kind == Kind.MACHINE:
        key = machines.get(session, caller.id, utc_now())
        if permission not in set(key.scope) & permissions.FOR_MACHINES:
            raise KeyTooNarrow(
                "This key was not made to {words} ({permission}). Nothing was changed.",
                words=Term(permissions.WORDS[permission]), permission=str(permission),
            )
        member_id = key.member_id
    member, company = _at_work(session, member_id)
    if member.disabled_at is not None or permission not in permissions.of(member.roles):
        raise _missing(permission)
    if member.departments is not None and permission in permissions.WHOLE_COMPANY:
        raise BoundToDepartments(
            "You work for some departments, and this changes something for everybody: to {words} ({permission}) takes"
            " somebody who works for the whole company. Nothing was changed.",
            words=Term(permissions.WORDS[permission]), permission=str(permission),
        )
    if permission in permissions.BEGINS and not ends:
        suspension.check(session)
    bounds.bind_as(session, member.departments)
    return member, company


def _at_work(session: Session, member_id: UUID) -> tuple[Member, Tenant]:
    found = session.exec(
        select(Member, Tenant)
        .join(Tenant, col(Tenant.id) == col(Member.tenant_id))
        .where(col(Member.tenant_id) == tenant_of(session), col(Member.id) == member_id)
    ).one_or_none()
    if found is None:
        raise members.MemberMissing
    return found


def _kind_of(caller: Caller) -> Kind:
    return Kind.OPERATOR if caller.tenant == PLATFORM else Kind.MEMBER


def _missing(permission: Permission) -> RoleMissing:
    return RoleMissing(
        f"None of your roles lets you {permissions.WORDS[permission]} ({permission}). Nothing was changed. If you need it,"
        " ask an owner of your company, whom the Team page names."
    )
