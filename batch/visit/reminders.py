"""What time does to an invitation: reminders, and its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from batch.models import Batch, Employee, Invitation
from batch.people import employees, funnel, ways
from batch.people.funnel import Stage
from batch.visit import invitations
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.locale.words import zone
from tenants import credits, suspension, tenants

MOST_REMINDERS = 3
PAUSE = timedelta(days=3)


@jobs.every(timedelta(minutes=15))
def remind(kernel: Kernel, now: datetime) -> None:
    """At most three reminders a person, three days apart or a day before the batch is due, on weekdays by day: where their
    site says plainly that they are, else where the company is."""
    due: dict[UUID, dict[UUID, Stage]] = {}

    def look(session: Session) -> None:
        due[tenant_of(session)] = found = {}
        if suspension.is_suspended(session):
            return
        lines = {
            line.invitation_id: line for line in funnel.lines(session, now) if line.stage in invitations.REMIND_ABOUT
        }
        needed = ways.needed(tenants.get(session))
        for invitation, due_at in _may_remind(session, now, list(lines)):
            line = lines[invitation.id]
            enough = line.stage == Stage.UPLOADING and line.photos >= needed
            last = max(line.since, invitation.reminded_at or line.since)
            near = due_at is not None and timedelta() <= due_at - now <= timedelta(days=1)
            if not enough and now - last >= (timedelta(days=1) if near else PAUSE):
                found[invitation.id] = line.stage
        own = employees.zones_of(session, kernel.keys, [lines[one].employee_id for one in found], now)
        for one in [*found]:
            if _quiet(now, own.get(lines[one].employee_id, tenants.get(session).time_zone)):
                del found[one]

    def remind_one(session: Session, invitation_id: UUID) -> None:
        tenant = tenant_of(session)
        invitation = session.exec(
            select(Invitation).where(col(Invitation.tenant_id) == tenant, col(Invitation.id) == invitation_id)
        ).one()
        invitation.reminders += 1
        invitation.reminded_at = now
        invitations.send(session, invitation, invitations.REMIND_ABOUT[due[tenant][invitation_id]])

    tenants.for_each(kernel, look)
    for tenant, found in due.items():
        sweeping.each(kernel, "remind", tenant, found, now, remind_one)


def _quiet(now: datetime, name: str) -> bool:
    """At night and on weekends of a zone nobody is reminded there."""
    here = now.astimezone(zone(name))
    return here.weekday() >= 5 or not 8 <= here.hour < 17


@jobs.every(timedelta(hours=1), deletes=True)
def run_out(kernel: Kernel, now: datetime) -> None:
    """Who let the invitation run out has opted out, in the same word and with the same effects as whoever declined."""

    due: dict[UUID, list[UUID]] = {}

    def look(session: Session) -> None:
        tenant = tenant_of(session)
        due[tenant] = list(session.execute(RAN_OUT, {"tenant": tenant, "now": now}).scalars())

    def opt_out(session: Session, employee_id: UUID) -> None:
        who = {"tenant": tenant_of(session), "now": now, "employee": employee_id}
        people = list(session.execute(RUN_OUT, who).scalars())
        credits.release_all(session, people)
        for one in people:
            ledger.record(session, "invitation.ran-out", subject=one)

    def give_back(session: Session) -> None:
        # Of who said no while the invitation ran, too: their credit waited for this hour.
        ended = session.execute(
            ENDED, {"tenant": tenant_of(session), "now": now, "since": now - funnel.REST}
        ).scalars()
        credits.release_all(session, list(ended))

    tenants.for_each(kernel, look)
    for tenant, people in due.items():
        sweeping.each(kernel, "run-out", tenant, people, now, opt_out)
    tenants.for_each(kernel, give_back)


WHO_RAN_OUT = """
    e.tenant_id = :tenant and i.tenant_id = :tenant and i.employee_id = e.id and i.revoked_at is null
    and i.expires_at <= :now and e.opted_out_at is null
    and not exists (select from consent c
                    where c.tenant_id = e.tenant_id and c.employee_id = e.id and c.withdrawn_at is null)
"""
RAN_OUT = text(f"select distinct e.id from employee e, invitation i where {WHO_RAN_OUT}")  # noqa: S608 - the words above
RUN_OUT = text(
    f"update employee e set opted_out_at = i.expires_at from invitation i where {WHO_RAN_OUT}"  # noqa: S608 - as above
    " and e.id = :employee returning e.id"
)


ENDED = text(
    """
    select e.id from employee e join invitation i
      on i.tenant_id = e.tenant_id and i.employee_id = e.id and i.revoked_at is null
    where e.tenant_id = :tenant and e.opted_out_at is not null and i.expires_at <= :now and i.expires_at > :since
      and not exists (select from sitting s
                      where s.tenant_id = e.tenant_id and s.employee_id = e.id and s.state = 'done')
    """
)


def _may_remind(
    session: Session, now: datetime, invitation_ids: Sequence[UUID | None]
) -> list[tuple[Invitation, datetime | None]]:
    """Those that have a reminder left, with the time at which their batch is due."""
    rows = session.exec(
        select(Invitation, col(Batch.due_on))
        .join(
            Employee,
            (col(Employee.tenant_id) == col(Invitation.tenant_id)) & (col(Employee.id) == Invitation.employee_id),
        )
        .join(Batch, (col(Batch.tenant_id) == col(Employee.tenant_id)) & (col(Batch.id) == Employee.batch_id))
        .where(
            col(Invitation.tenant_id) == tenant_of(session),
            col(Invitation.id).in_([one for one in invitation_ids if one]),
            col(Invitation.reminders) < MOST_REMINDERS,
        )
    )
    return [(one, datetime(day.year, day.month, day.day, 17, tzinfo=now.tzinfo) if day else None) for one, day in rows]
