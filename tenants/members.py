"""The people who work the desk. Name and address are sealed under the member's own key."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID, uuid4

from email_validator import EmailNotValidError, validate_email
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from likeness import ledger
from likeness.db import PLATFORM, tenant_of
from likeness.errors import Conflict, Forbidden, NotFound, Unprocessable
from likeness.identity import end_sessions_of
from likeness.keys import KeyClass, KeyFolder, KeyRef, blind_index
from tenants.models import Member, Role
from tenants.plain import one_line

CONTEXT = "member/profile"


class MemberMissing(NotFound):
    """There is no such member."""


class MemberKnown(Conflict):
    """A member has this address."""


class MemberRefused(Unprocessable):
    """The address cannot receive mail, or the role does not exist here."""


class RoleNotHeld(Forbidden):
    """The member does not hold the role."""


@dataclass(frozen=True)
class MemberProfile:
    name: str
    email: str


def invite_member(
    session: Session, keys: KeyFolder, email: str, name: str, roles: Collection[Role], *, caller: str = ledger.SYSTEM
) -> Member:
    """Raises `MemberKnown` or `MemberRefused`. The role of an operator exists only in the platform's own tenant."""
    tenant = tenant_of(session)
    profile = MemberProfile(one_line(name, 200, "name"), _address(email))
    _check_roles(tenant, roles)
    member_id = uuid4()
    sealed = keys.open_or_create(KeyRef(tenant, member_id, KeyClass.PROFILE)).seal(
        json.dumps(asdict(profile)).encode(), CONTEXT
    )
    member = Member(
        id=member_id,
        tenant_id=tenant,
        email_index=blind_index(keys.index_key(tenant), profile.email),
        profile=sealed,
        roles=sorted(roles),
    )
    try:
        with session.begin_nested():
            session.add(member)
    except IntegrityError:
        raise MemberKnown("Somebody with this address works the desk already.") from None
    ledger.record(session, "member.invited", caller=caller, objects=[member.id])
    return member


def get(session: Session, member_id: UUID) -> Member:
    member = session.exec(
        select(Member).where(col(Member.tenant_id) == tenant_of(session), col(Member.id) == member_id)
    ).one_or_none()
    if member is None:
        raise MemberMissing
    return member


def find(session: Session, keys: KeyFolder, email: str) -> Member | None:
    """The active member with this address."""
    index = blind_index(keys.index_key(tenant_of(session)), email.strip())
    return session.exec(
        select(Member).where(
            col(Member.tenant_id) == tenant_of(session),
            col(Member.email_index) == index,
            col(Member.disabled_at).is_(None),
        )
    ).one_or_none()


def active(session: Session, member_id: UUID) -> Member:
    """Raises `MemberMissing` for somebody who no longer works the desk."""
    member = get(session, member_id)
    if member.disabled_at is not None:
        raise MemberMissing
    return member


def check_new(email: str, name: str) -> None:
    """Raises what `invite_member` would raise for these words."""
    one_line(name, 200, "name")
    _address(email)


def check_may_give(giver: Member, roles: Collection[Role]) -> None:
    """Raises `RoleNotHeld`: whoever could hand out a role without holding it could give it to themselves."""
    if not set(roles) <= {Role(role) for role in giver.roles}:
        raise RoleNotHeld("Only somebody who holds a role can give or take it.")


def profile(keys: KeyFolder, member: Member) -> MemberProfile:
    key = keys.open(KeyRef(member.tenant_id, member.id, KeyClass.PROFILE))
    return MemberProfile(**json.loads(key.open(member.profile, CONTEXT)))


def all(session: Session) -> list[Member]:
    return list(
        session.exec(select(Member).where(col(Member.tenant_id) == tenant_of(session)).order_by(col(Member.created_at)))
    )


def give_roles(session: Session, member_id: UUID, roles: Collection[Role], *, caller: str) -> Member:
    member = get(session, member_id)
    _check_roles(tenant_of(session), roles)
    member.roles = sorted(roles)
    session.add(member)
    ledger.record(session, "member.changed", caller=caller, objects=[member.id])
    return member


def disable(session: Session, member_id: UUID, now: datetime, *, caller: str) -> None:
    """Signs the member out everywhere."""
    member = get(session, member_id)
    member.disabled_at = member.disabled_at or now
    session.add(member)
    end_sessions_of(session, member.id)
    ledger.record(session, "member.disabled", caller=caller, objects=[member.id])


def _check_roles(tenant: UUID, roles: Collection[Role]) -> None:
    allowed = {Role.OPERATOR} if tenant == PLATFORM else {Role.HR, Role.LEGAL}
    if not roles or not set(roles) <= allowed:
        raise MemberRefused(f"Choose among the roles: {', '.join(sorted(allowed))}.")


def _address(email: str) -> str:
    typed = one_line(email, 254, "address")
    # Domains inside a company are fine, though the library refuses them: they are checked as if they were public.
    public = re.sub(r"(\.local|(?<=@)localhost)$", "x.example", typed, flags=re.IGNORECASE)
    try:
        validate_email(public, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        raise MemberRefused("This is not an e-mail address.") from None
    return typed
