"""Members make keys for their programs, and revoke them; an owner sees and revokes everybody's."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlmodel import Session

from likeness import ledger, machines
from likeness.ground.errors import Unprocessable
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.machines import KeyMissing, MachineKey
from likeness.mail import mail
from tenants import tenants
from tenants.members import letters, members, permissions
from tenants.members.permissions import Permission
from tenants.models import Member
from tenants.plain import one_line

MOST = 20
"""Keys of one member that work at once."""
LASTS = 365
"""In days, where its maker says nothing else; a program that nobody remembers loses its key by itself."""
LONGEST = 3650
WARNED = timedelta(days=14)
"""Before the last day of a key its maker gets a mail."""


NOT_BY_KEY = N_(
    "no program's: exporting the ledger and legal's records, which takes a person who signed in a moment ago"
)
"""Said wherever a key is given `acts.read`, whose words promise a member more."""


class MachineKeyRefused(Unprocessable):
    """No key can be made like this."""

    title = "No key was made"


def grantable(member: Member) -> list[Permission]:
    """What a key of this member can be made for, in the map's order."""
    mine = permissions.of(member.roles) & permissions.FOR_MACHINES
    if member.departments is not None:
        mine -= permissions.WHOLE_COMPANY
    return [one for one in Permission if one in mine]


def make(
    session: Session, maker: Member, name: str, scope: Collection[str], now: datetime, *, days: int | None = LASTS
) -> tuple[MachineKey, str]:
    """Works for so many days, for None until it is revoked. Raises `MachineKeyRefused`, also for what they may not do."""
    allowed = grantable(maker)
    chosen = [str(one) for one in allowed if one in set(scope)]
    if not scope or len(chosen) != len(set(scope)):
        raise MachineKeyRefused("Choose one or more things that the key is for, among those that you may do yourself.")
    if days is not None and not 0 < days <= LONGEST:
        raise MachineKeyRefused("A key works for 1 to {most} days, or until it is revoked.", most=LONGEST)
    if len(machines.standing(session, now, maker.id)) >= MOST:
        raise MachineKeyRefused("You have {n} keys. Revoke one that is not used any more.", n=MOST)
    ends = None if days is None else now + timedelta(days=days)
    named = one_line(name, 80, N_("name of the program"))
    key, token = machines.make(session, maker.id, named, chosen, now, expires_at=ends)
    ledger.record(session, "key.made", caller=f"member:{maker.id}", objects=[key.id])
    return key, token


def seen_by(
    session: Session, member: Member, now: datetime, most: int | None = None, *,
    before: tuple[datetime, UUID] | None = None,
) -> list[MachineKey]:  # fmt: skip
    """One's own; everybody's for who says who works here. Newest first."""
    everybodys = Permission.MEMBERS_CHANGE in permissions.of(member.roles)
    return machines.standing(session, now, None if everybodys else member.id, most, before=before)


def revoke(session: Session, member: Member, key_id: UUID, now: datetime) -> None:
    """At once. Raises `KeyMissing`, also for somebody else's."""
    if key_id not in {one.id for one in seen_by(session, member, now)}:
        raise KeyMissing("There is no such key, or it works no more.")
    machines.revoke(session, now, key_id=key_id)
    ledger.record(session, "key.revoked", caller=f"member:{member.id}", objects=[key_id])


@jobs.every(timedelta(hours=1))
def warn(kernel: Kernel, now: datetime) -> None:
    """A mail to its maker two weeks before a key's last day; once, and not for a key that was made for a shorter time."""

    def of_company(session: Session) -> None:
        for key in machines.standing(session, now):
            if key.expires_at is not None and key.created_at < key.expires_at - WARNED <= now:
                maker = members.get(session, key.member_id)
                who, company = members.profile(kernel.keys, maker), tenants.get(session)
                page = f"{kernel.settings.public_url.rstrip('/')}/team/keys"
                letter = letters.key_ends(company, who.name, who.email, key.name, key.expires_at, page)
                mail.post(session, kernel.keys, maker.id, letter, template="key-ends", campaign=str(key.id))

    tenants.for_each(kernel, of_company)
