"""Claims: which job a worker takes next, and what becomes of it.

A claim gives a lease and raises the fencing number; whoever holds it runs the job's function and writes how it ended.
Companies take turns within a lane (`lanes.py`), which is decided here, where a row is taken, and not by the order of
messages.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlmodel import Session

from likeness.ground.clock import CLOCK
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import OutcomeUnknown, Unavailable
from likeness.ground.lanes import Lane
from likeness.jobs.jobs import JOB, KINDS, Attempt, JobKind, JobState, LaneBlocked, LostLease, write
from likeness.kernel import Kernel

log = logging.getLogger(__name__)

LONGEST_PAUSE = timedelta(minutes=5)
LONGEST_WAIT = timedelta(minutes=1)
"""Between two looks whether what a job needs is back."""
ABANDON_SECONDS = 1.0
"""Jobs that were claimed together are quick ones; when one of them was not, the rest are left to others."""


@dataclass(frozen=True)
class ClaimedJob:
    """A claimed job, as long as its lease lasts."""

    id: UUID
    tenant: UUID
    kind: JobKind
    args: list[str]
    lane: str
    attempt: int
    excused: int

    @property
    def last(self) -> bool:
        return self.attempt - self.excused >= self.kind.attempts


def work(kernel: Kernel, job_id: UUID) -> bool:
    """Claims and runs one job; False when it is not due, held by somebody else, or unknown."""
    claimed = _claim(kernel, job_id)
    if claimed is None:
        return False
    _run(kernel, claimed)
    return True


def work_next(kernel: Kernel, lane: Lane, *, claimed: Callable[[], None] = lambda: None) -> int:
    """Claims what is next in a lane and works it; returns how many jobs it were, 0 when none is to be had.

    Quick jobs are claimed a few at once, because each claim waits for the disk. `claimed` is called before they run.
    """
    if kernel.lanes.resting(lane):
        return 0
    held = _claim_next(kernel, lane, kernel.lanes.at_once(lane))
    if held:
        claimed()
    started = time.monotonic()
    for one in held:
        if one is not held[0] and time.monotonic() - started > ABANDON_SECONDS:
            _put_back(kernel, one, "", timedelta(), excused=True)
        else:
            _run(kernel, one)
    return len(held)


def _run(kernel: Kernel, job: ClaimedJob) -> None:
    attempt = Attempt(kernel, job.id, job.tenant, job.attempt, job.last)
    guess, started = kernel.lanes.begin(job.lane, job.tenant), time.monotonic()
    about = {"job": str(job.id), "kind": job.kind.name, "attempt": job.attempt}
    try:
        job.kind.function(attempt, *job.args)
    except LostLease:
        log.info("lease lost", extra=about)
    except (Unavailable, OutcomeUnknown) as error:  # Nobody's fault: the job waits, and the attempt does not count.
        log.warning("a job waits for what it needs", extra=about | {"error": type(error).__name__})
        pause = min(timedelta(seconds=2 ** min(job.excused + 1, 10)), LONGEST_WAIT)
        if isinstance(error, LaneBlocked):
            pause = timedelta(seconds=kernel.lanes.rest(job.lane))
        _put_back(kernel, job, type(error).__name__, pause, excused=True)
    except Exception as error:  # A job must never take its worker thread with it.
        log.exception("job failed", extra=about)
        pause = min(timedelta(seconds=2 ** min(job.attempt - job.excused, 10)), LONGEST_PAUSE)
        _put_back(kernel, job, type(error).__name__, pause)
    else:
        kernel.lanes.wake(job.lane)
        if not attempt.ended:
            _write(kernel, job, {"state": JobState.DONE, "due": None, "finished_at": utc_now(), "error": None})
    finally:
        kernel.lanes.end(job.lane, job.tenant, guess, time.monotonic() - started)


def _claim(kernel: Kernel, job_id: UUID) -> ClaimedJob | None:
    now = utc_now()
    with kernel.db.transaction(PLATFORM) as session:
        about = {"id": job_id, "now": now, "kinds": list(KINDS), "doubt": bool(CLOCK.doubt())}
        found = session.connection().execute(ONE, about).all()
        return next(iter(_take(session, found, now)), None)


def _claim_next(kernel: Kernel, lane: Lane, most: int) -> list[ClaimedJob]:
    """The next jobs of the company whose turn it is; of the others when somebody else is taking that one's."""
    now = utc_now()
    with kernel.db.transaction(PLATFORM) as session:
        session.connection().execute(BY_INDEX)
        waiting = session.connection().execute(WAITING, {"lane": lane, "now": now, "kinds": list(KINDS)}).scalars()
        for tenant in kernel.lanes.order(lane, waiting):
            about = {"lane": lane, "tenant": tenant, "most": most}
            about |= {"now": now, "kinds": list(KINDS), "doubt": bool(CLOCK.doubt())}
            found = session.connection().execute(NEXT, about).all()
            # What was tried before is claimed alone: should it kill its worker again, others must not pay for it.
            together = found[:1] if found and found[0].attempt else [one for one in found if not one.attempt]
            if held := _take(session, together, now):
                return held
    return []


# As plain text, because every job pays for these. A newer program's jobs wait for a worker that knows them.
# While the clocks disagree nobody knows whether a lease is over: then only what nobody holds is taken.
DUE = (
    "select id, tenant_id, kind, args, lane, attempt, excused from job where {} and due <= :now and kind = any(:kinds)"
    " and (state = 'ready' or not :doubt)"
)
ONE = text(f"{DUE.format('id = :id')} for update skip locked")
NEXT = text(f"{DUE.format('lane = :lane and tenant_id = :tenant')} order by due limit :most for update skip locked")

# Until statistics follow a rush of new rows, the planner takes the lane for empty and sorts all of it for each claim:
# 245 ms instead of 0.1 at forty thousand rows.
BY_INDEX = text(
    "select set_config('enable_bitmapscan', 'off', true), set_config('enable_seqscan', 'off', true),"
    " set_config('enable_sort', 'off', true)"
)

# Companies with something due in a lane, whose oldest comes first. The index is read once for each company and not for
# each job: that of ten thousand jobs of one company takes as long as that of one.
WAITING = text(
    """
    with recursive company(id) as (
        (select tenant_id from job where lane = :lane and due is not null order by tenant_id limit 1)
        union all
        select (select tenant_id from job where lane = :lane and due is not null and tenant_id > company.id
                order by tenant_id limit 1)
        from company where company.id is not null
    )
    select company.id from company cross join lateral (
        select due from job
        where lane = :lane and tenant_id = company.id and due <= :now and kind = any(:kinds)
        order by due limit 1
    ) oldest order by oldest.due
    """
)


def _take(session: Session, found: Sequence[Row[Any]], now: datetime) -> list[ClaimedJob]:
    held = []
    for row in found:
        kind = KINDS[row.kind]
        if row.attempt - row.excused >= kind.attempts:
            error = func.coalesce(JOB.c.error, "WorkerDied")
            values = {"state": JobState.DEAD, "due": None, "finished_at": now, "error": error}
            session.connection().execute(
                update(JOB).where(JOB.c.id == row.id, JOB.c.tenant_id == row.tenant_id).values(**values)
            )
        else:
            held.append(ClaimedJob(row.id, row.tenant_id, kind, row.args, row.lane, row.attempt + 1, row.excused))
    if held:
        leases = {"ids": [one.id for one in held], "dues": [now + one.kind.lease for one in held]}
        session.connection().execute(LEASE, leases)
    return held


LEASE = text(
    """
    update job set state = 'running', attempt = attempt + 1, due = taken.due
    from unnest(cast(:ids as uuid[]), cast(:dues as timestamptz[])) taken(id, due) where job.id = taken.id
    """
)


def _put_back(kernel: Kernel, job: ClaimedJob, error: str, pause: timedelta, *, excused: bool = False) -> None:
    values: dict[str, Any] = {"state": JobState.READY, "due": utc_now() + pause, "error": error or None}
    if excused:
        values["excused"] = job.excused + 1
    elif job.last:
        values = {"state": JobState.DEAD, "due": None, "finished_at": utc_now(), "error": error}
    _write(kernel, job, values)


def _write(kernel: Kernel, job: ClaimedJob, values: dict[str, Any]) -> None:
    """Writes how an attempt ended, unless the job is somebody else's by now."""
    with kernel.db.transaction(job.tenant) as session:
        write(session, job.id, job.tenant, job.attempt, values)


def notify_due(kernel: Kernel, now: datetime) -> int:
    """Notifies every lane that has something due; returns how many these are."""
    with kernel.db.transaction(PLATFORM) as session:
        due = [lane for lane in Lane if _oldest(session, lane, now) is not None]
    for lane in due:
        kernel.db.notify(lane)
    return len(due)


def _oldest(session: Session, lane: Lane, now: datetime) -> datetime | None:
    query = select(JOB.c.due).where(JOB.c.lane == lane, JOB.c.due <= now).order_by(JOB.c.due).limit(1)
    return session.connection().execute(query).scalar()


def release_leases(kernel: Kernel) -> int:
    """Makes every running job due at once: for the embedded start, where no other worker can be alive."""
    with kernel.db.transaction(PLATFORM) as session:
        freed = session.connection().execute(update(JOB).where(JOB.c.state == JobState.RUNNING).values(due=utc_now()))
        return int(freed.rowcount)


def oldest_due_seconds(kernel: Kernel, now: datetime) -> float:
    """How long the oldest due job has waited, in seconds: the one alarm that catches everything."""
    return max(waits(kernel, now).values())


def waits(kernel: Kernel, now: datetime) -> dict[Lane, float]:
    """For each lane, how many seconds its oldest due job has waited."""
    with kernel.db.transaction(PLATFORM) as session:
        oldest = {lane: _oldest(session, lane, now) for lane in Lane}
    return {lane: (now - due).total_seconds() if due else 0.0 for lane, due in oldest.items()}
