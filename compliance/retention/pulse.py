"""How the installation did in the last 30 days: a reading every five minutes, of lanes and of deletions. Figures alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, text
from sqlmodel import Session, col

from compliance.models import Pulse
from compliance.retention import lateness
from likeness.ground.db import PLATFORM
from likeness.ground.lanes import Lane
from likeness.jobs import claims, jobs
from likeness.kernel import Kernel

EVERY, KEPT = timedelta(minutes=5), timedelta(days=30)


@jobs.every(EVERY)
def take(kernel: Kernel, now: datetime) -> None:
    waits, late = claims.waits(kernel, now), lateness.seconds(kernel, now)
    with kernel.db.transaction(PLATFORM) as session:
        waited = {str(lane): round(seconds, 1) for lane, seconds in waits.items()}
        session.add(Pulse(tenant_id=PLATFORM, at=now, waited=waited, late_seconds=round(late, 1)))
        session.execute(delete(Pulse).where(col(Pulse.tenant_id) == PLATFORM, col(Pulse.at) < now - KEPT))


@dataclass(frozen=True)
class Hour:
    """The worst of an hour, in seconds."""

    at: datetime
    waited: dict[Lane, float]
    late: float


HOURS = text("""
    select date_trunc('hour', p.at) as hour, w.key as lane, max(cast(w.value as double precision)) as waited,
           max(p.late_seconds) as late
    from pulse p cross join lateral json_each_text(p.waited) w
    where p.tenant_id = :tenant and p.at > :since group by 1, 2 order by 1
""")


def hours(session: Session, since: datetime) -> list[Hour]:
    """Oldest first; an hour in which the scheduler did not run is not there."""
    found: dict[datetime, Hour] = {}
    for hour, lane, waited, late in session.execute(HOURS, {"tenant": PLATFORM, "since": since}):
        one = found.setdefault(hour, Hour(hour, {}, late))
        if lane in set(Lane):
            one.waited[Lane(lane)] = waited
    return list(found.values())
