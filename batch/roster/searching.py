"""People of all batches: what is asked of them, in which order, one page at a time. The database chooses and sorts.

Names are sealed, so only whom a page shows is opened, unless a name is sought or sorted by. Nothing here tells how long
somebody has been among those who opted out: they are no age's, and stand last wherever the time decides.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import departments, employees
from batch.people.departments import Grouping
from batch.people.employees import EmployeeProfile
from batch.people.funnel import FunnelLine, Stage, about, lines_of
from batch.people.queries import FOUND, FOUND_AT_ONCE, RANKED_AT_ONCE
from batch.roster import batches
from batch.roster.batches import RosterLine
from likeness.ground.db import tenant_of
from likeness.ground.errors import Unprocessable
from likeness.keys.keys import KeyFolder
from tenants.bounds import index
from tenants.plain import folded

IN_ONE_GO = 500
MOST_SORTED = 1_000
"""By what is sealed, so that a page stays under 300 ms: with a thousand names it takes 0.2 s of a core."""


EVERYBODY = 2**31


class SortOrder(StrEnum):
    LIST = "list"
    NAME = "name"
    NAME_DOWN = "name-down"
    DEPARTMENT = "department"
    DEPARTMENT_DOWN = "department-down"
    SITE = "site"
    SITE_DOWN = "site-down"
    STAGE = "stage"
    STAGE_DOWN = "stage-down"
    LONGEST = "longest"
    NEWEST = "newest"

    @property
    def opens(self) -> bool:
        return self.value.startswith(("name", "department", "site"))

    @property
    def grouping(self) -> Grouping | None:
        """Whose names it goes by."""
        return next((by for by in Grouping if self.value.startswith(by)), None)


class TooManyToSort(Unprocessable):
    """So many names are not opened for one page."""

    title = "Too many people to sort this way"


@dataclass(frozen=True)
class PeopleSearch:
    """Everything empty means everybody."""

    words: str = ""
    """A part of a name, a number or an address; a whole address is found without opening anybody."""
    stages: tuple[Stage, ...] = ()
    department: str = ""
    batch_id: UUID | None = None
    waiting: timedelta | None = None
    """At least so long in their stage."""
    order: SortOrder = SortOrder.LIST
    site: str = ""
    manager: str = ""
    """The manager's whole address."""

    @property
    def opens(self) -> bool:
        """Whether it can only be answered by opening what is sealed."""
        return bool(self.words)

    @property
    def narrows(self) -> bool:
        said = (self.stages, self.department, self.site, self.manager, self.batch_id, self.waiting)
        return self.opens or any(said)

    def names(self, who: EmployeeProfile) -> bool:
        """Whether the words are a part of their name, number or address."""
        return self.words.casefold() in " ".join((who.full_name, who.email, who.employee_key or "")).casefold()


def count(session: Session) -> int:
    """Everybody whom the caller may see."""
    return session.exec(
        select(func.count(col(Employee.id))).where(
            col(Employee.tenant_id) == tenant_of(session), departments.within(session)
        )
    ).one()


def people(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int, *, skip: int = 0,
    after: tuple[UUID, int, UUID] | None = None,
) -> list[tuple[UUID, RosterLine]]:  # fmt: skip
    """At most so many, each with their batch; in the order of the lists those `after` a batch, a row and a line. Raises
    `TooManyToSort`."""
    if asked.order.opens:
        found = _in_words(session, keys, asked, now, most, skip)
    elif not asked.opens:
        found = _page(session, keys, asked, now, most, skip, after=after)
    else:
        found = _named(session, keys, asked, now, skip + most, after)[skip:]
    seen = {line.id: line for line in batches.seen(session, keys, found)}
    return [(line.batch_id, seen[line.roster_id]) for line in found if line.roster_id in seen]


def everybody(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int = EVERYBODY
) -> list[FunnelLine]:
    """All who match, in the order of the lists."""
    in_turn = replace(asked, order=SortOrder.LIST)
    if asked.opens:
        return _named(session, keys, in_turn, now, most, None)
    return _page(session, keys, in_turn, now, most, 0)


def _in_words(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int, skip: int
) -> list[FunnelLine]:
    """By name, department or site; whose key is gone and who has none stand last. Among many the people of one department
    or site stand in the order of the lists, because only one name of each is opened."""
    found = everybody(session, keys, asked, now, MOST_SORTED + 1)
    if len(found) > MOST_SORTED:
        if asked.order.grouping is not None and not asked.opens:
            return _page(session, keys, asked, now, most, skip, ranked=_ranked(session, keys, asked.order))
        raise TooManyToSort(
            f"Names are sealed, and {MOST_SORTED:,} people at most can be sorted by them. Narrow the list by batch,"
            " department or stage first. It stands in the order of your lists now."
        )
    who = batches.profiles(session, keys, found)
    words = {one: _collated(asked.order, about) for one, about in who.items()}
    blank = [line for line in found if not words.get(line.employee_id, ("",))[0]]
    rest = [line for line in found if words.get(line.employee_id, ("",))[0]]
    rest.sort(key=lambda line: words[line.employee_id], reverse=asked.order.endswith("-down"))
    return (rest + blank)[skip : skip + most]


def _ranked(session: Session, keys: KeyFolder, order: SortOrder) -> list[bytes]:
    """The digests of departments or sites in their order; of whom the lists name none stands last, as what is no digest."""
    known = employees.groups(session, keys, order.grouping or Grouping.DEPARTMENT)
    found = sorted((folded(one.name), one.index) for one in known if one.name and one.index)
    return [digest for _, digest in (reversed(found) if order.endswith("-down") else found)]


def _collated(order: SortOrder, who: EmployeeProfile) -> tuple[str, str]:
    """Within a department or site by name."""
    column = {"department": who.department, "site": who.site}.get(order.removesuffix("-down"), who.full_name)
    return folded(column or ""), folded(who.full_name)


def _named(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int, after: tuple[UUID, int, UUID] | None
) -> list[FunnelLine]:
    found, skip = list[FunnelLine](), 0
    if "@" in asked.words and (one := employees.find(session, keys, asked.words)) is not None:
        return _page(session, keys, asked, now, 1, 0, one.id, after)
    while len(found) < most:
        part = _page(session, keys, asked, now, IN_ONE_GO, skip, after=after)
        who = batches.profiles(session, keys, part)
        found += [line for line in part if line.employee_id in who and asked.names(who[line.employee_id])]
        if len(part) < IN_ONE_GO:
            break
        skip += IN_ONE_GO
    return found[:most]


def _page(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int, skip: int,
    employee_id: UUID | None = None, after: tuple[UUID, int, UUID] | None = None, ranked: list[bytes] | None = None,
) -> list[FunnelLine]:  # fmt: skip
    values: dict[str, Any] = {"batch": asked.batch_id, "employee": employee_id, "most": most, "skip": skip}
    if after is not None:
        values |= dict(zip(("from_batch", "from_row", "from_id"), after, strict=True))
    if asked.department:
        values["departments"] = _narrowed(session, keys, asked.department)
    index_key = keys.index_key(tenant_of(session))
    for by, words in ((Grouping.SITE, asked.site), (Grouping.MANAGER, asked.manager)):
        if words:
            values[str(by)] = departments.digest(index_key, by, words)
    values |= {"ranked": ranked, "order": str(asked.order)}
    # Without a question about stages the page is cut before anybody's place is looked up.
    plain = not asked.stages and asked.waiting is None and (ranked is not None or asked.order == SortOrder.LIST)
    if not plain:
        values |= {"stages": [str(one) for one in asked.stages] or None, "waiting": asked.waiting}
        stages = [str(one) for one in Stage]
        values |= {"in_order": stages[:: -1 if asked.order == SortOrder.STAGE_DOWN else 1]}
    at_once = FOUND_AT_ONCE if ranked is None else RANKED_AT_ONCE
    return lines_of(session.execute(at_once if plain else FOUND, about(session, now, **values)), now)


def _narrowed(session: Session, keys: KeyFolder, department: str) -> Collection[bytes]:
    wanted = index_of(session, keys, department)
    allowed = departments.values(session)["departments"]
    return [wanted] if allowed is None or wanted in allowed else []


def index_of(session: Session, keys: KeyFolder, department: str) -> bytes:
    return index(keys.index_key(tenant_of(session)), department)
