"""How a company begins: with an owner who works HR, and a second seat for legal, whom nobody of HR can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session

from likeness.ground.errors import Conflict
from likeness.kernel import Kernel
from tenants import credits, tenants
from tenants.members import members
from tenants.models import Role

INVITER = "The operator"


class OwnerCameIn(Conflict):
    """From then on an owner says who works there."""

    title = "An owner has come in already"


@dataclass(frozen=True)
class FirstOwner:
    """Whether an owner of the company has come in, and when the first was invited: nobody's name."""

    joined: bool
    invited_at: datetime | None


@dataclass(frozen=True)
class Seat:
    name: str
    email: str

    @property
    def empty(self) -> bool:
        return not self.name.strip() and not self.email.strip()


def found(
    kernel: Kernel, name: str, admin: Seat, legal: Seat, *, granted: int, caller: str, now: datetime, **terms: Any
) -> UUID:
    """Each link goes to its person's own address and is shown to nobody else. The second seat may stay empty for now.

    Opens transactions of its own. Raises `MemberRefused`, `MemberKnown`, `TextRefused` and `TermsRefused`.
    """
    seats = [(admin, [Role.OWNER, Role.HR])] + ([] if legal.empty else [(legal, [Role.LEGAL])])
    for seat, _ in seats:
        members.check_new(seat.email, seat.name)
    if len({seat.email.strip().casefold() for seat, _ in seats}) < len(seats):
        raise members.MemberRefused("HR and legal are two people. Give the second one an address of their own.")
    tenant = tenants.found(kernel, name, recipes=tenants.offers(kernel.settings.recipe), **terms)
    with kernel.db.transaction(tenant) as session:
        if granted:
            credits.grant(session, granted, "first", caller=caller)
        for seat, roles in seats:
            member = members.invite_member(session, kernel.keys, seat.email, seat.name, roles, caller=caller)
            members.mail_link(session, kernel, member, now, campaign="first", inviter=INVITER)
    return tenant


def first_owner(session: Session) -> FirstOwner:
    owners = [one for one in members.all(session) if Role.OWNER in one.roles and one.disabled_at is None]
    first = min((one.created_at for one in owners), default=None)
    return FirstOwner(any(one.joined_at is not None for one in owners), first)


def mail_again(session: Session, kernel: Kernel, now: datetime) -> None:
    """A fresh link to the address of the owner who has not come in. Raises `OwnerCameIn` and `InvitedJustNow`."""
    owners = [one for one in members.all(session) if Role.OWNER in one.roles and one.disabled_at is None]
    if not owners or any(one.joined_at is not None for one in owners):
        raise OwnerCameIn("They get links at the front door, under “Mail me a link”. Nothing was sent.")
    if not members.mail_link(session, kernel, owners[0], now, campaign=f"again-{now:%Y%m%d%H}", inviter=INVITER):
        raise members.InvitedJustNow("A fresh invitation went out within this hour. One an hour is enough.")
