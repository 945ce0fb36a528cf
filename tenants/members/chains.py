"""Who could have made whom: the chains of invitations and of given roles within one company.

Two persons who decide something together must not be one person twice. Whoever invited somebody, or gave them their
roles, could be sitting behind both; so could whoever invited that person. Two whom a third one invited are two.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import combinations
from uuid import UUID

from sqlmodel import Session

from tenants.members import members
from tenants.models import Member, Role


def desk(session: Session) -> dict[UUID, Member]:
    """Everybody who works the desk or did: a chain also runs through somebody who left."""
    return {member.id: member for member in members.all(session)}


def makers(everybody: Mapping[UUID, Member], one: UUID) -> set[UUID]:
    """Whoever invited this member or gave them their roles, directly or through others."""
    found: set[UUID] = set()
    ahead = [one]
    while ahead:
        member = everybody.get(ahead.pop())
        if member is None:
            continue
        for maker in (member.invited_by, *map(UUID, member.roles_by)):
            if maker is not None and maker not in found:
                found.add(maker)
                ahead.append(maker)
    return found - {one}


def apart(everybody: Mapping[UUID, Member], one: UUID, other: UUID) -> bool:
    """Whether these two are members of this company who could not have made each other."""
    if one == other or one not in everybody or other not in everybody:
        return False
    return other not in makers(everybody, one) and one not in makers(everybody, other)


def held_before(member: Member, role: Role, moment: datetime) -> bool:
    """Whether the member had come in, with this role, before a moment: nobody is brought in for a decision."""
    return bool(
        member.disabled_at is None
        and role in member.roles
        and member.joined_at is not None
        and max(member.joined_at, member.roles_at) < moment
    )


def two_of(everybody: Mapping[UUID, Member], role: Role, now: datetime) -> bool:
    """Whether the company has two members with this role who could decide together now."""
    holders = [member.id for member in everybody.values() if held_before(member, role, now)]
    return any(apart(everybody, one, other) for one, other in combinations(holders, 2))
