"""Everybody's released headshots beside each other, over all batches, with a gap for whoever has none yet."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlmodel import Session, col

from batch.models import Employee, Headshot, Release
from batch.people import employees
from batch.people.funnel import Stage
from batch.roster import searching
from batch.roster.searching import PeopleSearch
from batch.sittings import headshots
from batch.sittings.headshots import Released
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.keys.keys import KeyFolder

SOON = timedelta(days=7)
GIVEN = (Stage.CHOSEN, Stage.EXPORTED)
GAPS = tuple(stage for stage in Stage if stage not in (*GIVEN, Stage.OPTED_OUT))


class Part(StrEnum):
    ALL = "all"
    RELEASED = "released"
    """Who released something: without gaps."""
    NEW = "new"
    """Who released something that nobody has downloaded yet."""
    GAPS = "missing"
    SOON = "soon"
    """Whose headshots are deleted here within a week."""


@dataclass(frozen=True)
class ShelfPlace:
    """One person's place on the shelf; `stage` says why it is empty."""

    id: UUID
    """Of the line."""
    batch_id: UUID
    name: str
    department: str | None
    stage: Stage | None
    since: datetime | None
    headshots: tuple[Released, ...] = ()
    row: int = 0
    """Of the list, for the order."""


@dataclass(frozen=True)
class ShelfCounts:
    people: int
    headshots: int
    new_people: int
    new_headshots: int
    soon_people: int
    first_gone: datetime | None
    """When the first that was not downloaded is deleted here."""
    usable: int
    """What the company may download."""


def counts(session: Session, now: datetime, batch_id: UUID | None = None) -> ShelfCounts:
    new, soon = col(Release.downloaded_at).is_(None) & headshots.usable(session), col(Headshot.due_at) < now + SOON
    person = func.distinct(col(Employee.id))
    found = session.execute(
        headshots.joined(
            select(
                func.count(person), func.count(), func.count(person).filter(new), func.count().filter(new),
                func.count(person).filter(soon), func.min(Headshot.due_at).filter(new),
                func.count().filter(headshots.usable(session)),
            ),
            session, batch_id, now,
        )
    ).one()  # fmt: skip
    return ShelfCounts(*found)


def takable(session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime) -> tuple[int, int]:
    """How many headshots the company may download of whoever fits what is sought, and how many of them are new. Names are
    opened only where one is sought."""
    wanted = [headshots.usable(session)]
    if asked.department:
        wanted.append(col(Employee.department_index) == searching.index_of(session, keys, asked.department))
    new = func.count().filter(col(Release.downloaded_at).is_(None))
    question = headshots.joined(select(col(Employee.id), func.count(), new), session, asked.batch_id, now)
    found = {one: (all_of, fresh) for one, all_of, fresh in session.execute(
        question.where(*wanted).group_by(col(Employee.id))
    )}  # fmt: skip
    if asked.words and found:
        mine = select(Employee).where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(found))
        for person in session.scalars(mine.execution_options(yield_per=200)):
            if not _named(keys, person, asked):
                del found[person.id]
    return sum(one for one, _ in found.values()), sum(one for _, one in found.values())


def _named(keys: KeyFolder, person: Employee, asked: PeopleSearch) -> bool:
    with suppress(Gone):
        return asked.names(employees.profile(keys, person))
    return False


def places(
    session: Session,
    keys: KeyFolder,
    asked: PeopleSearch,
    now: datetime,
    most: int,
    *,
    part: Part = Part.ALL,
    skip: int = 0,
    after: tuple[UUID, int, UUID] | None = None,
    with_gaps: bool = True,
) -> list[ShelfPlace]:
    """At most so many in the order of the lists, those `after` a batch, a row and a line. Without gaps, for who may not see
    who is on the list, only people who released something are there."""
    if with_gaps and part in (Part.ALL, Part.GAPS):
        asked = PeopleSearch(asked.words, GAPS if part == Part.GAPS else (), asked.department, asked.batch_id)
        found = [
            ShelfPlace(line.id, batch, line.name, line.department, line.stage, line.since, row=line.row)
            for batch, line in searching.people(session, keys, asked, now, most, skip=skip, after=after)
        ]
    elif part == Part.GAPS:
        return []
    else:
        found = _who_released(session, keys, asked, now, most, part, skip, after)
    return _filled(session, found, now)


def _filled(session: Session, found: Sequence[ShelfPlace], now: datetime) -> list[ShelfPlace]:
    theirs: dict[UUID, list[Released]] = {}
    if found:
        for one in headshots.released(session, None, now, people=[place.id for place in found]):
            theirs.setdefault(one.employee.roster_id, []).append(one)
    return [
        replace(one, headshots=tuple(theirs.get(one.id, ())))
        for one in found
    ]


def _who_released(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int, part: Part, skip: int,
    after: tuple[UUID, int, UUID] | None,
) -> list[ShelfPlace]:  # fmt: skip
    conditions: list[ColumnElement[bool]] = []
    if part == Part.NEW:
        conditions += [col(Release.downloaded_at).is_(None), headshots.usable(session)]
    if part == Part.SOON:
        conditions.append(col(Headshot.due_at) < now + SOON)
    if asked.department:
        conditions.append(col(Employee.department_index) == searching.index_of(session, keys, asked.department))
    theirs = headshots.joined(select(col(Employee.id)), session, asked.batch_id, now).where(*conditions)
    query = (
        select(Employee)
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(theirs))
        .order_by(col(Employee.batch_id), col(Employee.row), col(Employee.roster_id))
    )
    if after is not None:
        query = query.where(tuple_(col(Employee.batch_id), col(Employee.row), col(Employee.roster_id)) > after)
    # No limit in the question: a line whose names were destroyed meanwhile must not make the page look like the last.
    query = query.offset(0 if asked.words else skip).execution_options(yield_per=200)
    found = list[ShelfPlace]()
    for person in session.scalars(query):
        with suppress(Gone):
            who = employees.profile(keys, person)
            if asked.names(who):
                line = (person.roster_id, person.batch_id, who.full_name, who.department, None, None)
                found.append(ShelfPlace(*line, row=person.row))
        if len(found) == most + (skip if asked.words else 0):
            break
    return found[skip:] if asked.words else found
