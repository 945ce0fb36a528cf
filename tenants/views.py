"""Questions about people that a member asks again and again, under names of their own.

What is asked may hold somebody's name, so views stand in the member's sealed profile, and only the member reads them.
"""

from __future__ import annotations

from dataclasses import replace

from sqlmodel import Session

from likeness.ground.errors import Conflict, NotFound
from likeness.keys.keys import KeyFolder
from tenants.members import members
from tenants.models import Member
from tenants.plain import one_line

MOST, LONGEST_NAME, LONGEST_QUERY = 20, 60, 600


class TooManyViews(Conflict):
    title = "There is no room for another view"


class ViewMissing(NotFound):
    """The member has no view of this name."""

    title = "You have no such view"


def of(keys: KeyFolder, member: Member) -> dict[str, str]:
    """What each view asks, as the end of an address, in the order in which they were kept."""
    return dict(members.profile(keys, member).views)


def keep(session: Session, keys: KeyFolder, member: Member, name: str, query: str) -> str:
    """A name that is there already asks this from now on. Returns the name as it is kept. Raises `TextRefused` and
    `TooManyViews`."""
    name, query = one_line(name, LONGEST_NAME, "name"), one_line(query, LONGEST_QUERY, "view", needed=False)
    member = members.locked(session, member.id)
    known = of(keys, member)
    if name not in known and len(known) >= MOST:
        raise TooManyViews("You have {n} views. Remove one first.", n=MOST)
    _write(session, keys, member, known | {name: query})
    return name


def forget(session: Session, keys: KeyFolder, member: Member, name: str) -> None:
    """Raises `ViewMissing`."""
    member = members.locked(session, member.id)
    known = of(keys, member)
    if name not in known:
        raise ViewMissing("You have no view of this name.")
    _write(session, keys, member, {one: query for one, query in known.items() if one != name})


def _write(session: Session, keys: KeyFolder, member: Member, views: dict[str, str]) -> None:
    who = replace(members.profile(keys, member), views=tuple(views.items()))
    members.seal_again(session, keys, member, who)
