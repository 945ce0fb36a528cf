"""People of all batches: what is asked of them, in which order, one page at a time. The database chooses and sorts.

Names are sealed, so only whom a page shows is opened, unless a name is sought or sorted by (`people/finding`). Nothing
here tells how long somebody has been among those who opted out: they are no age's, and stand last where time decides.
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
from batch.people.finding import names, spelling
from batch.people.finding.names import SoughtLine
from batch.people.funnel import FunnelLine, Stage, about, lines_of
from batch.people.queries import FOUND, FOUND_AT_ONCE, HOW_MANY, HOW_MANY_FOUND, RANKED_AT_ONCE
from batch.roster import batches
from batch.roster.batches import RosterLine
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Unprocessable
from likeness.keys.keys import KeyFolder
from tenants.bounds import index
from tenants.plain import folded

MOST_SORTED = 20_000
"""By what is sealed: so many names are opened in a second, and once they are, a page takes 0.2 s."""
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
    def places(self) -> bool:
        """Whether it goes by where people stand."""
        return not self.opens and self != SortOrder.LIST

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
    """Parts of a name, a number or an address; a whole address is found without opening anybody else."""
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

    @property
    def placed(self) -> bool:
        """Whether it depends on where people stand."""
        return bool(self.stages) or self.waiting is not None

    def names(self, who: EmployeeProfile) -> bool:
        """Whether each word is a part of their name, number or address, in whichever spelling."""
        return spelling.sought(self.words)(spelling.of(who))


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
    found = _found(session, keys, asked, now, most, skip, after)
    # Whose key was destroyed since the names were opened is found by none.
    seen = {line.id: line for line in batches.seen(session, keys, found) if line.name or not asked.opens}
    return [(line.batch_id, seen[line.roster_id]) for line in found if line.roster_id in seen]


def everybody(session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime) -> list[FunnelLine]:
    """All who match, in the order of the lists."""
    return _found(session, keys, replace(asked, order=SortOrder.LIST), now, EVERYBODY, 0, None)


def how_many(session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime) -> int:
    """As many as `everybody` gives."""
    values = _values(session, keys, asked, None)
    if asked.opens:
        values["among"] = [line.employee_id for line in _named(session, keys, asked, values)]
        if not asked.placed:
            return len(values["among"])
    counted = about(session, now, **values | _of_stages(asked))
    return int(session.execute(HOW_MANY_FOUND if asked.placed else HOW_MANY, counted).scalar_one())


def make_ready(session: Session, keys: KeyFolder) -> None:
    """Somebody begins to type whom they seek: names are opened meanwhile, unless they are too many for that."""
    if count(session) <= MOST_SORTED:
        names.of(session, keys)


def _found(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int, skip: int,
    after: tuple[UUID, int, UUID] | None,
) -> list[FunnelLine]:  # fmt: skip
    values = _values(session, keys, asked, after)
    values |= {"order": str(asked.order), "ranked": None, "most": most, "skip": skip}
    placed = asked.placed or asked.order.places
    if asked.opens or asked.order.opens:
        if asked.order.opens and _are_many(session, values):
            if asked.order.grouping is None or asked.opens:
                raise TooManyToSort(
                    "Names are sealed, and {n} people at most can be sorted by them. Narrow the list by batch or department"
                    " first. It stands in the order of your lists now.",
                    n=MOST_SORTED,
                )
            values["ranked"] = _ranked(session, keys, asked.order)
        else:
            among = [line.employee_id for line in _named(session, keys, asked, values)]
            if not placed:  # The page is cut before anybody's place is looked up.
                among, values["skip"] = among[skip : skip + most], 0
            values["among"], placed = among, True
    if placed:
        query, values = FOUND, values | _of_stages(asked)
    else:
        query = FOUND_AT_ONCE if values["ranked"] is None else RANKED_AT_ONCE
    return lines_of(session.execute(query, about(session, now, **values)), now)


def _are_many(session: Session, values: dict[str, Any]) -> bool:
    narrowed = about(session, utc_now(), **values)
    return bool(session.execute(HOW_MANY, narrowed).scalar_one() > MOST_SORTED)


def _named(session: Session, keys: KeyFolder, asked: PeopleSearch, values: dict[str, Any]) -> list[SoughtLine]:
    """Whom the words are about, in the order that is asked for where names decide it: by name, department or site, and
    whose key is gone and who has none of these last. Else in the order of the lists."""
    whom = {one: values[one] for one in ("batch", "site", "manager", "departments", "from_batch", "from_row", "from_id")
            if values.get(one) is not None}  # fmt: skip
    if "@" in asked.words and (one := employees.find(session, keys, asked.words)) is not None:
        found = names.of(session, keys, **whom | {"employee": one.id})
    else:
        fits = spelling.sought(asked.words)
        found = [line for line in names.of(session, keys, **whom) if not asked.opens or fits(line.who.spellings)]
    if not asked.order.opens:
        return found
    column = str(asked.order.grouping or "name")
    blank = [line for line in found if not getattr(line.who, column)]
    rest = [line for line in found if getattr(line.who, column)]
    rest.sort(key=lambda line: (getattr(line.who, column), line.who.name), reverse=asked.order.endswith("-down"))
    return rest + blank


def _ranked(session: Session, keys: KeyFolder, order: SortOrder) -> list[bytes]:
    """The digests of departments or sites in their order; of whom the lists name none stands last, as what is no digest."""
    known = employees.groups(session, keys, order.grouping or Grouping.DEPARTMENT)
    found = sorted((folded(one.name), one.index) for one in known if one.name and one.index)
    return [digest for _, digest in (reversed(found) if order.endswith("-down") else found)]


def _values(
    session: Session, keys: KeyFolder, asked: PeopleSearch, after: tuple[UUID, int, UUID] | None
) -> dict[str, Any]:
    """Whom the question is about, but for words and stages, as parameters of a query."""
    values: dict[str, Any] = {"batch": asked.batch_id}
    if after is not None:
        values |= dict(zip(("from_batch", "from_row", "from_id"), after, strict=True))
    if asked.department:
        values["departments"] = _narrowed(session, keys, asked.department)
    index_key = keys.index_key(tenant_of(session))
    for by, words in ((Grouping.SITE, asked.site), (Grouping.MANAGER, asked.manager)):
        if words:
            values[str(by)] = departments.digest(index_key, by, words)
    return values


def _of_stages(asked: PeopleSearch) -> dict[str, Any]:
    in_order = [str(one) for one in Stage][:: -1 if asked.order == SortOrder.STAGE_DOWN else 1]
    return {"stages": [str(one) for one in asked.stages] or None, "waiting": asked.waiting, "in_order": in_order}


def _narrowed(session: Session, keys: KeyFolder, department: str) -> Collection[bytes]:
    wanted = index_of(session, keys, department)
    allowed = departments.values(session)["departments"]
    return [wanted] if allowed is None or wanted in allowed else []


def index_of(session: Session, keys: KeyFolder, department: str) -> bytes:
    return index(keys.index_key(tenant_of(session)), department)
