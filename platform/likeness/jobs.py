"""Jobs: the row is the outbox, the message only a doorbell.

A job row is written in the business transaction, unique by (tenant, kind, key). After the commit its id alone leaves
through Dramatiq; a sweep rings again for every due row, so a lost message costs seconds and never work. A worker claims
the row with a lease and a fencing number (`attempt`), and every effect commits together with the fence: when the row was
claimed by somebody else meanwhile, the whole transaction is rolled back. Attempts are counted at the claim, so a job
that kills its worker is capped too. One column, `due`, says both when to start and when the lease ends.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session

from likeness.db import PLATFORM, Moment, TenantRow, after_commit, of_tenant, tenant_of, utc_now
from likeness.errors import LikenessError

if TYPE_CHECKING:
    from likeness.kernel import Kernel

log = logging.getLogger(__name__)
P = ParamSpec("P")

KEEP_DONE = timedelta(hours=24)
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,79}")


class JobState(StrEnum):
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"


class Job(TenantRow, table=True):
    __table_args__ = (
        UniqueConstraint("tenant_id", "kind", "key"),
        of_tenant(),
        CheckConstraint(
            "(state in ('done', 'dead')) = (finished_at is not null) and (due is null) = (finished_at is not null)",
            name="job_finished",
        ),
        Index("job_due", "due", postgresql_where=text("due is not null")),
    )
    kind: str
    key: str
    args: list[str] = Field(sa_column=Column(JSON, nullable=False))
    state: str = JobState.READY
    attempt: int = 0
    due: datetime | None = Moment(nullable=True)
    created_at: datetime = Moment(default_factory=utc_now)
    finished_at: datetime | None = Moment(default=None, nullable=True)
    error: str | None = None
    """The name of the exception's class, never its message, which may hold personal data."""


class LostLease(LikenessError):
    """Another worker claimed the job after this one's lease ended; nothing of this attempt is kept."""

    status = 409


@dataclass(frozen=True)
class Kind:
    name: str
    function: Callable[..., None]
    attempts: int
    lease: timedelta


@dataclass(frozen=True)
class Sweep:
    name: str
    function: Callable[[Kernel, datetime], None]
    every: timedelta


KINDS: dict[str, Kind] = {}
SWEEPS: dict[str, Sweep] = {}


@dataclass(frozen=True)
class Attempt:
    """One worker's hold on one job."""

    kernel: Kernel
    job_id: UUID
    tenant: UUID
    number: int
    last: bool
    """No further attempt follows if this one fails."""

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction in between: it commits only while the lease holds. Raises `LostLease`."""
        with self.kernel.db.transaction(self.tenant) as session:
            yield session
            self._fence(session, {"state": JobState.RUNNING})

    @contextmanager
    def finishing(self) -> Iterator[Session]:
        """The transaction that holds the job's effects: they commit together with the job's end. Raises `LostLease`."""
        with self.kernel.db.transaction(self.tenant) as session:
            yield session
            self._fence(session, {"state": JobState.DONE, "due": None, "finished_at": utc_now(), "error": None})

    def _fence(self, session: Session, values: dict[str, Any]) -> None:
        held = session.execute(
            update(Job)
            .where(Job.id == self.job_id, Job.attempt == self.number, Job.state == JobState.RUNNING)  # type: ignore[arg-type]
            .values(**values)
        )
        if held.rowcount == 0:  # type: ignore[attr-defined]
            raise LostLease("Another worker has taken this job over.")


def actor(
    *, attempts: int = 5, lease: timedelta = timedelta(seconds=60)
) -> Callable[[Callable[Concatenate[Attempt, P], None]], Callable[Concatenate[Attempt, P], None]]:
    """Registers a job's function under `<module>.<name>`. It may run twice and must end well within `lease`."""

    def register(function: Callable[Concatenate[Attempt, P], None]) -> Callable[Concatenate[Attempt, P], None]:
        name = f"{function.__module__}.{function.__name__}"
        KINDS[name] = Kind(name, function, attempts, lease)
        return function

    return register


def every(interval: timedelta) -> Callable[[Callable[[Kernel, datetime], None]], Callable[[Kernel, datetime], None]]:
    """Registers a floor's timed sweep; `tend` runs it in one process at a time."""

    def register(function: Callable[[Kernel, datetime], None]) -> Callable[[Kernel, datetime], None]:
        name = f"{function.__module__}.{function.__name__}"
        SWEEPS[name] = Sweep(name, function, interval)
        return function

    return register


def send(
    session: Session,
    function: Callable[Concatenate[Attempt, P], None],
    *args: str,
    key: str | None = None,
    due: datetime | None = None,
) -> UUID | None:
    """Leaves a job in this transaction; returns its id, or None when the same (kind, key) exists already.

    Arguments are opaque ids only, because they stand in the database and in logs. Raises `ValueError` otherwise.
    """
    kind = f"{function.__module__}.{function.__name__}"
    if kind not in KINDS:
        raise ValueError(f"{kind} is not registered with @actor")
    if not all(ID.fullmatch(arg) for arg in (*args, *([key] if key else []))):
        raise ValueError(f"{kind} takes opaque ids only")
    job_id, when = uuid4(), due or utc_now()
    values = {
        "id": job_id,
        "tenant_id": tenant_of(session),
        "kind": kind,
        "key": key or ":".join(args),
        "args": list(args),
        "state": JobState.READY,
        "attempt": 0,
        "due": when,
        "created_at": utc_now(),
    }
    new = session.execute(insert(Job).values(**values).on_conflict_do_nothing().returning(Job.id)).first()  # type: ignore[call-overload]
    if new is None:
        return None
    if due is None or due <= utc_now():
        doorbell: Callable[[UUID], None] = session.info["doorbell"]
        after_commit(session, lambda: doorbell(job_id))
    return job_id


def send_all(
    session: Session,
    function: Callable[Concatenate[Attempt, P], None],
    messages: Sequence[Sequence[str]],
    *,
    due: datetime | None = None,
) -> int:
    """Leaves a job for each tuple of arguments, in a few statements; returns how many are new.

    Nothing rings for these: 500 rings at once would wait behind each other anyway, and the sweep rings within seconds.
    """
    kind = f"{function.__module__}.{function.__name__}"
    if kind not in KINDS:
        raise ValueError(f"{kind} is not registered with @actor")
    if not all(ID.fullmatch(arg) for args in messages for arg in args):
        raise ValueError(f"{kind} takes opaque ids only")
    tenant, now = tenant_of(session), utc_now()
    rows = [
        {
            "id": uuid4(),
            "tenant_id": tenant,
            "kind": kind,
            "key": ":".join(args),
            "args": list(args),
            "state": JobState.READY,
            "attempt": 0,
            "due": due or now,
            "created_at": now,
        }
        for args in messages
    ]
    if not rows:
        return 0
    new = session.execute(insert(Job).on_conflict_do_nothing().returning(Job.id), rows)  # type: ignore[call-overload]
    return len(new.scalars().all())


def work(kernel: Kernel, job_id: UUID) -> bool:
    """Claims and runs one job; False when it is not due, held by somebody else, or unknown."""
    claimed = _claim(kernel, job_id)
    if claimed is None:
        return False
    job, kind = claimed
    attempt = Attempt(kernel, job.id, job.tenant_id, job.attempt, job.attempt >= kind.attempts)
    try:
        kind.function(attempt, *job.args)
    except LostLease:
        log.info("lease lost", extra={"job": str(job.id), "kind": job.kind})
    except Exception as error:  # A job must never take its worker thread with it.
        log.exception("job failed", extra={"job": str(job.id), "kind": job.kind, "attempt": job.attempt})
        _put_back(kernel, job, kind, type(error).__name__)
    else:
        _settle(kernel, job)
    return True


def _claim(kernel: Kernel, job_id: UUID) -> tuple[Job, Kind] | None:
    now = utc_now()
    with kernel.db.transaction(PLATFORM) as session:
        job = session.execute(
            select(Job).where(Job.id == job_id, Job.due <= now).with_for_update(skip_locked=True)  # type: ignore[arg-type, operator]
        ).scalar_one_or_none()
        if job is None:
            return None
        kind = KINDS.get(job.kind)
        if kind is None:
            return None  # A newer program's job: it waits for a worker that knows it.
        if job.attempt >= kind.attempts:
            job.state, job.due, job.finished_at, job.error = JobState.DEAD, None, now, job.error or "WorkerDied"
            return None
        job.state, job.attempt, job.due = JobState.RUNNING, job.attempt + 1, now + kind.lease
        return job, kind


def _put_back(kernel: Kernel, job: Job, kind: Kind, error: str) -> None:
    dead = job.attempt >= kind.attempts
    values: dict[str, Any] = {"state": JobState.DEAD, "due": None, "finished_at": utc_now(), "error": error}
    if not dead:
        pause = timedelta(seconds=min(2**job.attempt, 300))
        values = {"state": JobState.READY, "due": utc_now() + pause, "error": error}
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(update(Job).where(*_held(job)).values(**values))


def _settle(kernel: Kernel, job: Job) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(
            update(Job).where(*_held(job)).values(state=JobState.DONE, due=None, finished_at=utc_now(), error=None)
        )


def _held(job: Job) -> tuple[Any, ...]:
    return (Job.id == job.id, Job.attempt == job.attempt, Job.state == JobState.RUNNING)


def ring_due(kernel: Kernel, now: datetime, limit: int = 1000) -> int:
    """Rings for every due row, oldest first; returns how many."""
    with kernel.db.transaction(PLATFORM) as session:
        ids = session.execute(select(Job.id).where(Job.due <= now).order_by(Job.due).limit(limit)).scalars().all()  # type: ignore[call-overload, operator]
    for job_id in ids:
        kernel.db.doorbell(job_id)
    return len(ids)


def release_leases(kernel: Kernel) -> int:
    """Makes every running job due at once: for the embedded start, where no other worker can be alive."""
    with kernel.db.transaction(PLATFORM) as session:
        freed = session.execute(update(Job).where(Job.state == JobState.RUNNING).values(due=utc_now()))  # type: ignore[arg-type]
        return int(freed.rowcount)  # type: ignore[attr-defined]


def oldest_due_seconds(kernel: Kernel, now: datetime) -> float:
    """How long the oldest due job has waited, in seconds: the one alarm that catches everything."""
    with kernel.db.transaction(PLATFORM) as session:
        oldest = session.execute(select(Job.due).where(Job.due <= now).order_by(Job.due).limit(1)).scalar()  # type: ignore[call-overload, operator]
    return (now - oldest).total_seconds() if oldest else 0.0


@every(timedelta(minutes=10))
def forget_finished(kernel: Kernel, now: datetime) -> None:
    """Finished rows go after a day; their keys are by then guarded by the rows they worked on."""
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(Job).where(Job.finished_at < now - KEEP_DONE))  # type: ignore[arg-type, operator]
