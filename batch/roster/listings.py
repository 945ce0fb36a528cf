"""On which days somebody at the company looked at a page of the list on which a person's name stood (CJEU C-579/21).

One row for each person, reader and month, with a bit for each day: of a company of ten thousand people a reader leaves at
most ten thousand rows a month, however many pages they turn. Whoever opens one person's entry is in the log instead
(`person.py`). No foreign key: a page of the list must not wait for an import that holds the lines of its people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import UniqueConstraint, delete, text
from sqlmodel import Session, col, select

from likeness import ledger
from likeness.ground.db import TenantRow, of_tenant, tenant_of
from likeness.identity import Kind
from likeness.jobs import jobs
from likeness.kernel import Kernel
from tenants import tenants

KEPT = timedelta(days=365)


class Listing(TenantRow, table=True):
    __table_args__ = (of_tenant(), UniqueConstraint("tenant_id", "employee_id", "caller", "month"))

    employee_id: UUID
    caller: str
    """`member:<id>` or `machine:<id>`."""
    month: date
    """Its first day."""
    days: int
    """The lowest bit stands for the first day of the month, in UTC."""


NOTE = text(
    """
    insert into listing as known (tenant_id, id, employee_id, caller, month, days)
    select e.tenant_id, gen_random_uuid(), e.id, today.caller, today.month, today.day
    from employee e
    cross join (
        select cast(:caller as varchar) as caller, cast(:month as date) as month, cast(:day as integer) as day
    ) today
    where e.tenant_id = :tenant and e.roster_id = any(cast(:lines as uuid[]))
      and not exists (select from listing l where l.tenant_id = e.tenant_id and l.employee_id = e.id
                      and l.caller = today.caller and l.month = today.month and l.days & today.day <> 0)
    order by e.id
    on conflict (tenant_id, employee_id, caller, month) do update set days = known.days | excluded.days
    where known.days & excluded.days = 0
    """
)  # In the order of their ids, so that two pages of one reader do not wait for each other crosswise. A conflict would lock
# every row again that is there already, so those are left out before.


def note(session: Session, lines: Iterable[UUID], now: datetime, *, caller: str) -> None:
    """The names of these lines are being shown. The log says that a list was looked at, and the rows whose names stood on
    it: both once a day."""
    if note_rows(session, lines, now, caller=caller):
        ledger.record(session, "list.viewed", caller=caller)


def note_rows(session: Session, lines: Iterable[UUID], now: datetime, *, caller: str) -> int:
    """The same in rows alone, for a directory that reads its people one by one, each of whom would be an entry of the log.
    Returns how many of them it had not read on this day."""
    shown = list(dict.fromkeys(lines))
    if not shown:
        return 0
    first, day = now.date().replace(day=1), 1 << (now.day - 1)
    values = {"tenant": tenant_of(session), "caller": caller, "month": first, "day": day, "lines": shown}
    return session.connection().execute(NOTE, values).rowcount


def of(session: Session, employee_id: UUID) -> list[Listing]:
    query = select(Listing).where(col(Listing.tenant_id) == tenant_of(session), col(Listing.employee_id) == employee_id)
    return list(session.exec(query))


def dates(month: date, days: int) -> list[date]:
    return [month + timedelta(days=bit) for bit in range(31) if days >> bit & 1]


def days_of(session: Session, employee_id: UUID, kind: Kind) -> dict[date, int]:
    """How many people of the company, or programs of it, were shown the name on each day, the newest day first."""
    counted: dict[date, int] = {}
    for row in of(session, employee_id):
        if not row.caller.startswith(f"{kind}:"):
            continue
        for day in dates(row.month, row.days):
            counted[day] = counted.get(day, 0) + 1
    return dict(sorted(counted.items(), reverse=True))


def forget(session: Session, people: Collection[UUID]) -> None:
    """With the person's own row."""
    session.execute(
        delete(Listing).where(col(Listing.tenant_id) == tenant_of(session), col(Listing.employee_id).in_(people))
    )


@jobs.every(timedelta(hours=6), deletes=True)
def forget_old(kernel: Kernel, now: datetime) -> None:
    """A year after the last day of the month."""
    oldest = (now - KEPT).date().replace(day=1)

    def of_company(session: Session) -> None:
        session.execute(
            delete(Listing).where(col(Listing.tenant_id) == tenant_of(session), col(Listing.month) < oldest)
        )

    tenants.for_each(kernel, of_company)
