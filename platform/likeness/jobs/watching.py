"""What operators watch of the lanes, as counts and times: what waits, runs, was done and was given up. Nobody's ids."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text, update
from sqlmodel import Session, col, select

from likeness.ground.db import after_commit, newest_first
from likeness.ground.errors import NotFound
from likeness.ground.lanes import Lane
from likeness.jobs.jobs import JOB, KINDS, Job, JobState

HOUR, BIN = timedelta(hours=1), timedelta(minutes=5)
BINS = int(HOUR / BIN)


class JobMissing(NotFound):
    """There is no such job, or it was not given up."""

    title = "This job was not given up"


@dataclass(frozen=True)
class LaneNow:
    lane: Lane
    waiting: int
    running: int
    given_up: int
    oldest: float
    """How long the oldest due job has waited, in seconds."""
    done: tuple[int, ...]
    """In each five minutes of the last hour, the newest last."""

    @property
    def a_minute(self) -> float:
        return sum(self.done) / 60


NOW = text("""
    select lane, count(*) filter (where state = 'ready' and due <= :now) as waiting,
           count(*) filter (where state = 'running') as running, count(*) filter (where state = 'dead') as given_up,
           extract(epoch from cast(:now as timestamptz) - min(due) filter (where state = 'ready' and due <= :now)) as oldest
    from job group by lane
""")
DONE = text("""
    select lane, cast(floor(extract(epoch from finished_at - cast(:since as timestamptz)) / :bin) as int) as place, count(*)
    from job where state = 'done' and finished_at > :since and finished_at <= :now group by 1, 2
""")


def lanes(session: Session, now: datetime) -> list[LaneNow]:
    """For a transaction of the operators, which sees the jobs of every company."""
    rows = {row.lane: row for row in session.execute(NOW, {"now": now})}
    done: dict[str, list[int]] = {lane: [0] * BINS for lane in Lane}
    asked = {"since": now - HOUR, "now": now, "bin": BIN.total_seconds()}
    for lane, place, count in session.execute(DONE, asked):
        if lane in done:
            done[lane][min(place, BINS - 1)] += count
    found = []
    for lane in Lane:
        row, each = rows.get(lane), tuple(done[lane])
        if row is None:
            found.append(LaneNow(lane, 0, 0, 0, 0.0, each))
        else:
            found.append(LaneNow(lane, row.waiting, row.running, row.given_up, float(row.oldest or 0), each))
    return found


def given_up(session: Session, most: int, *, before: tuple[datetime, UUID] | None = None) -> list[Job]:
    """Newest first, those `before` the moment and the id of one; they are kept for a day."""
    query = select(Job).where(col(Job.state) == JobState.DEAD)
    return list(session.exec(newest_first(query, col(Job.finished_at), col(Job.id), most, before)))


def revive(session: Session, job_id: UUID, now: datetime) -> str:
    """A job that was given up is due again, with all its tries; returns its kind. Raises `JobMissing`.

    The number that fences its effects only rises, so the tries before count as excused.
    """
    found = session.execute(
        update(JOB)
        .where(JOB.c.id == job_id, JOB.c.state == JobState.DEAD, JOB.c.kind.in_(KINDS))
        .values(state=JobState.READY, due=now, finished_at=None, excused=JOB.c.attempt, error=None)
        .returning(JOB.c.kind, JOB.c.lane)
    ).first()
    if found is None:
        raise JobMissing("It is due again already, it ended, or it is forgotten after a day. Nothing was changed.")
    notify = session.info["notify"]
    after_commit(session, lambda: notify(found.lane))
    return str(found.kind)
