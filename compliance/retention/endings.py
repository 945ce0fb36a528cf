"""What a person is written when a sitting is over: once their headshots are released, with the day on which each of their
things is deleted, and once the last of these is deleted and certified.

Each is written once, to people who take part and hold an invitation. Whoever has everything deleted, withdraws or declines
is told that by letters of their own, and by none of these.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import employees, funnel
from batch.sittings import copies
from batch.visit import invitations, letters
from compliance.models import Certificate, Erasure
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass
from likeness.locale.marks import N_
from tenants import tenants

log = logging.getLogger(__name__)

RELEASED, ENDED = "closing", "ended"
"""How the letters are called."""
SETTLED = timedelta(minutes=10)
"""How long the last release or answer is old before it is written about: until then people change their minds."""
RECENT = timedelta(days=2)
"""What was released before that is not written about any more, e.g. what was there before this version."""
THINGS = {
    KeyClass.SOURCE: N_("Your selfies"),
    KeyClass.MODEL: N_("The model of you"),
    KeyClass.HEADSHOT: N_("Your headshots"),
}


@jobs.every(timedelta(minutes=1))
def close(kernel: Kernel, now: datetime) -> None:
    """Writes to everybody who has released headshots and whose company has nothing left to decide about them."""
    for tenant in tenants.all_ids(kernel):
        close_of(kernel, tenant, now)


def close_of(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """How many were written to."""
    try:
        with kernel.db.transaction(tenant) as session:
            asked = {"tenant": tenant, "settled": now - SETTLED, "recent": now - RECENT, "template": RELEASED}
            found = {row.employee_id: row.sitting_id for row in session.execute(OVER, asked)}
    except Exception:  # One company's failure does not stop the others'.
        log.exception("closing letters failed", extra={"tenant": str(tenant)})
        return 0

    def write(session: Session, employee_id: UUID) -> None:
        _write_released(session, kernel, employee_id, found[employee_id], now)

    return sweeping.each(kernel, "close", tenant, found, now, write)


# The newest sitting of which somebody has released headshots, while nothing of theirs is being made, deleted or decided.
OVER = text(
    """
    select distinct on (s.employee_id) s.employee_id, s.id as sitting_id
    from sitting s
    join employee e on e.tenant_id = s.tenant_id and e.id = s.employee_id and e.opted_out_at is null
    join invitation i on i.tenant_id = s.tenant_id and i.employee_id = e.id and i.revoked_at is null
    join headshot h on h.tenant_id = s.tenant_id and h.sitting_id = s.id
    join release r on r.tenant_id = s.tenant_id and r.headshot_id = h.id
    join tenant t on t.id = s.tenant_id
    where s.tenant_id = :tenant and s.state = 'done'
      and not exists (select from release o where o.tenant_id = s.tenant_id and o.employee_id = e.id
                      and (greatest(o.at, o.approved_at, o.kept_at) > :settled
                           or (t.approves and o.approved_at is null and o.kept_at is null)))
      and greatest(r.at, r.approved_at, r.kept_at) > :recent
      and not exists (select from sitting w where w.tenant_id = s.tenant_id and w.employee_id = e.id
                      and w.state in ('ready', 'training', 'rendering'))
      and not exists (select from erasure d where d.tenant_id = s.tenant_id and d.employee_id = e.id
                      and d.scope = 'everything' and d.state <> 'certified')
      and not exists (select from mail m where m.tenant_id = s.tenant_id and m.owner_id = e.id
                      and m.template = :template and m.campaign = s.id::text)
    order by s.employee_id, s.created_at desc
    """
)
DUES = text(
    """
    select (select max(due_at) from photo where tenant_id = :tenant and employee_id = :employee) as selfies,
           (select max(due_at) from weights where tenant_id = :tenant and employee_id = :employee) as model,
           (select max(due_at) from headshot where tenant_id = :tenant and employee_id = :employee) as headshots,
           (select count(*) from release where tenant_id = :tenant and employee_id = :employee) as released
    """
)


def _write_released(session: Session, kernel: Kernel, employee_id: UUID, sitting_id: UUID, now: datetime) -> None:
    invitation = invitations.standing(session, employee_id)
    if invitation is None:
        return
    tenant, person = tenants.get(session), employees.get(session, employee_id)
    try:
        reads = employees.words(kernel.keys, person, tenant)
    except Gone:
        return
    here = session.execute(DUES, {"tenant": tenant_of(session), "employee": employee_id}).one()
    days = {"selfies": here.selfies, "model": here.model, "pictures": here.headshots}
    letters.post(
        session, kernel, invitation, RELEASED, str(sitting_id), now, now + funnel.LIFETIME,
        released=reads.ngettext("{n} headshot", "{n} headshots", here.released),
        **{name: reads.moment(day) if day else "" for name, day in days.items()},
    )  # fmt: skip


def write_ended(session: Session, kernel: Kernel, erasure: Erasure, now: datetime) -> None:
    """After a scheduled deletion was certified: says so, unless something of the person is still here or on its way out.

    Of two that are certified at the same moment the later one writes, because each holds the person's row.
    """
    person = employees.locked(session, [erasure.employee_id]).get(erasure.employee_id)
    invitation = invitations.standing(session, erasure.employee_id)
    if person is None or person.opted_out_at is not None or invitation is None or _something_left(session, erasure):
        return
    tenant = tenants.get(session)
    try:
        reads = employees.words(kernel.keys, person, tenant)
    except Gone:
        return
    say = reads.gettext
    line = say("{what}: deleted on {day}, certificate {number}")
    gone = [
        line.format(
            what=say(THINGS[KeyClass(scope)]), day=reads.moment(deleted_at), number=reads.isolated(str(number))
        )
        for number, scope, deleted_at in _certified(session, person)
        if deleted_at is not None
    ]
    letters.post(
        session, kernel, invitation, ENDED, str(erasure.id), now, now + funnel.LIFETIME,
        gone="\n".join(f"* {line}" for line in gone), copies="yes" if copies.of(session, person.id).kept else "",
    )  # fmt: skip


LEFT = text(
    """
    select exists (select from photo where tenant_id = :tenant and employee_id = :employee)
        or exists (select from weights where tenant_id = :tenant and employee_id = :employee)
        or exists (select from headshot where tenant_id = :tenant and employee_id = :employee)
        or exists (select from upload where tenant_id = :tenant and employee_id = :employee)
        or exists (select from sitting where tenant_id = :tenant and employee_id = :employee
                   and state in ('ready', 'training', 'rendering'))
        or exists (select from erasure where tenant_id = :tenant and employee_id = :employee and id <> :erasure
                   and state <> 'certified')
    """
)


def _something_left(session: Session, erasure: Erasure) -> bool:
    asked = {"tenant": tenant_of(session), "employee": erasure.employee_id, "erasure": erasure.id}
    return bool(session.execute(LEFT, asked).scalar_one())


def _certified(session: Session, person: Employee) -> list[tuple[UUID, str, datetime | None]]:
    """Number, class and moment of each scheduled deletion, oldest first."""
    session.flush()
    rows = session.exec(
        select(Certificate.id, Erasure.scope, Erasure.deleted_at)
        .join(
            Erasure,
            (col(Erasure.tenant_id) == col(Certificate.tenant_id)) & (col(Erasure.id) == col(Certificate.erasure_id)),
        )
        .where(
            col(Certificate.tenant_id) == tenant_of(session),
            col(Certificate.stage) == 1,
            col(Erasure.employee_id) == person.id,
            col(Erasure.scope).in_([str(cls) for cls in THINGS]),
        )
        .order_by(col(Erasure.deleted_at))
    )
    return [(number, scope, deleted_at) for number, scope, deleted_at in rows]
