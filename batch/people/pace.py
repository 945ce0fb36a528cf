"""How far a batch has come day by day, and the day on which it is through at the pace of the last week."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import accumulate
from math import ceil
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from batch.people import departments
from batch.people.funnel import Stage, StageTally
from likeness.ground.db import tenant_of

WINDOW = timedelta(days=7)
FARTHEST = 3_650
"""A pace that takes more days than this is no forecast."""


@dataclass(frozen=True)
class BatchProgress:
    """Counts alone: nobody is named, and who opted out is counted as the funnel counts them."""

    batch_id: UUID
    wanted: int
    """Everybody but those who do not take part."""
    done: int
    """Who has released a headshot."""
    days: tuple[tuple[date, int], ...]
    """How many had by the end of each day on which somebody did so for the first time (UTC)."""
    expected: date | None
    """None while nobody did so within the last week, and when all are through."""

    @property
    def whole(self) -> bool:
        return self.wanted > 0 and self.done >= self.wanted


def of_batches(session: Session, tallies: Iterable[StageTally], now: datetime) -> dict[UUID, BatchProgress]:
    """By batch, for those of `tallies`, which say who stands where."""
    wanted: dict[UUID, int] = {}
    for one in tallies:
        wanted[one.batch_id] = wanted.get(one.batch_id, 0) + one.people * (one.stage != Stage.OPTED_OUT)
    found: dict[UUID, list[tuple[date, int]]] = {}
    about = {"tenant": tenant_of(session)} | departments.values(session)
    for row in session.execute(FIRST_RELEASES, about):
        found.setdefault(row.batch_id, []).append((row.day, row.people))
    return {batch: _progress(batch, people, found.get(batch, []), now.date()) for batch, people in wanted.items()}


def _progress(batch: UUID, wanted: int, firsts: list[tuple[date, int]], today: date) -> BatchProgress:
    done = sum(people for _, people in firsts)
    days = tuple(zip((day for day, _ in firsts), accumulate(people for _, people in firsts), strict=True))
    lately = sum(people for day, people in firsts if day > today - WINDOW)
    expected = None
    if lately and done < wanted:
        # A batch younger than a week has its pace from the days that it has had.
        had = min(WINDOW.days, (today - firsts[0][0]).days + 1)
        left = ceil((wanted - done) * had / lately)
        expected = today + timedelta(days=left) if left <= FARTHEST else None
    return BatchProgress(batch, wanted, done, days, expected)


FIRST_RELEASES = text(
    f"""
    select batch_id, day, count(*) as people from (
        select e.batch_id, (min(r.at) at time zone 'UTC')::date as day
        from employee e join release r on r.tenant_id = e.tenant_id and r.employee_id = e.id
        where e.tenant_id = :tenant and e.opted_out_at is null and {departments.BOUND}
        group by e.batch_id, e.id
    ) firsts
    group by batch_id, day order by batch_id, day
    """  # noqa: S608 - a constant
)
