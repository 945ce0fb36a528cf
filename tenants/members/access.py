"""Who makes this request and may do what it asks: the one way in for everything that members and operators do.

Departments, further roles and keys of machines enter here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from litestar import Request
from sqlmodel import Session

from likeness import machines
from likeness.ground.db import PLATFORM, tenant_of, utc_now
from likeness.ground.errors import Forbidden
from likeness.identity import Caller, Kind
from likeness.web.guards import kernel_of, signed_in
from tenants import bounds, suspension
from tenants.members import members, permissions
from tenants.members.permissions import Permission
from tenants.models import Member

SEEN_EVERY = timedelta(minutes=5)


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
        member = permit(session, caller, permission, ends=ends)
        member_id = member.id
        due = member.seen_at is None or utc_now() - member.seen_at > SEEN_EVERY
        # Pages say who is signed in.
        request.scope["likeness_member"] = member  # type: ignore[typeddict-unknown-key]
        try:
            yield session, member
        except BaseException:
            # What is rolled back is not loaded any more.
            request.scope.pop("likeness_member", None)  # type: ignore[typeddict-item]
            raise
        if due and caller.kind != Kind.MACHINE:
            members.seen(session, member_id, caller.session)  # Last, so that it holds no row that others wait for.


def check(request: Request[Any, Any, Any], permission: Permission) -> None:
    """The same question alone: before a byte of an upload is read. Raises `RoleMissing`."""
    with desk(request, permission):
        pass


def permit(session: Session, caller: Caller, permission: Permission, *, ends: bool = False) -> Member:
    """The member behind the caller. Raises `RoleMissing`, also for an operator inside a company."""
    if caller.tenant != tenant_of(session) or caller.kind not in (_kind_of(caller), Kind.MACHINE):
        raise _missing(permission)
    member_id = caller.id
    if caller.kind == Kind.MACHINE:
        key = machines.get(session, caller.id, utc_now())
        if permission not in set(key.scope) & permissions.FOR_MACHINES:
            raise KeyTooNarrow(
                f"This key was not made to {permissions.WORDS[permission]} ({permission}). Nothing was changed."
            )
        member_id = key.member_id
    member = members.get(session, member_id)
    if member.disabled_at is not None or permission not in permissions.of(member.roles):
        raise _missing(permission)
    if member.departments is not None and permission in permissions.WHOLE_COMPANY:
        raise BoundToDepartments(
            f"You work for some departments, and this changes something for everybody: to {permissions.WORDS[permission]}"
            f" ({permission}) takes somebody who works for the whole company. Nothing was changed."
        )
    if permission in permissions.BEGINS and not ends:
        suspension.check(session)
    bounds.bind_as(session, member.departments)
    return member


def _kind_of(caller: Caller) -> Kind:
    return Kind.OPERATOR if caller.tenant == PLATFORM else Kind.MEMBER


def _missing(permission: Permission) -> RoleMissing:
    return RoleMissing(
        f"None of your roles lets you {permissions.WORDS[permission]} ({permission}). Nothing was changed. If you need it,"
        " ask an owner of your company, whom the Team page names."
    )
