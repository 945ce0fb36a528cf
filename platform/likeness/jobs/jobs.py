"""Jobs: the row is the outbox, the message only a notification.

A job row is written in the business transaction, unique by (tenant, kind, key). After the commit a message says through
Dramatiq that something is due in its lane; a sweep notifies again for every lane that has due rows, so a lost message costs
seconds and never work. Which row is next is decided at the claim, where companies take turns. A worker claims
the row with a lease and a fencing number (`attempt`), and every effect commits together with the fence: when the row was
claimed by somebody else meanwhile, the whole transaction is rolled back. Attempts are counted at the claim, so a job
that kills its worker is capped too; one that only found something away that it needs is excused and waits. One column,
`due`, says both when to start and when the lease ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec
from uuid import UUID, uuid4

from sqlalchemy import JSON, CheckConstraint, Column, Index, UniqueConstraint, delete, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, SQLModel, col

from likeness.ground.db import PLATFORM, Moment, TenantRow, after_commit, insert_new, of_tenant, tenant_of, utc_now
from likeness.ground.errors import LikenessError, Unavailable
from likeness.ground.lanes import Lane

if TYPE_CHECKING:
    from likeness.kernel import Kernel

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
        Index("job_due", "lane", "due", postgresql_where=text("due is not null")),
        Index("job_turn", "lane", "tenant_id", "due", postgresql_where=text("due is not null")),
    )
    kind: str
    lane: str = Field(default=Lane.GENERAL, sa_column_kwargs={"server_default": Lane.GENERAL})
    key: str
    args: list[str] = Field(sa_column=Column(JSON, nullable=False))
    state: str = JobState.READY
    attempt: int = 0
    excused: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    """Attempts that failed because something they need was away: they do not count, and `attempt` still only rises."""
    due: datetime | None = Moment(nullable=True)
    created_at: datetime = Moment(default_factory=utc_now)
    finished_at: datetime | None = Moment(default=None, nullable=True)
    error: str | None = None
    """The name of the exception's class, never its message, which may hold personal data."""


JOB = SQLModel.metadata.tables["job"]
"""For the few statements that every job pays for, without what the object layer would add."""


class LostLease(LikenessError):
    """Another worker claimed the job after this one's lease ended; nothing of this attempt is kept."""

    status = 409


class LaneBlocked(Unavailable):
    """What every job of this lane needs is away, so that nobody takes another one for a while."""


@dataclass(frozen=True)
class JobKind:
    name: str
    function: Callable[..., None]
    attempts: int
    lease: timedelta
    lane: Lane


@dataclass(frozen=True)
class Sweep:
    name: str
    function: Callable[[Kernel, datetime], None]
    every: timedelta
    let_go: Callable[[Kernel], None] | None = None
    deletes: bool = False


KINDS: dict[str, JobKind] = {}
SWEEPS: dict[str, Sweep] = {}


@dataclass
class Attempt:
    """One worker's hold on one job."""

    kernel: Kernel
    job_id: UUID
    tenant: UUID
    number: int
    last: bool
    """No further attempt follows if this one fails."""
    ended: bool = field(default=False, init=False)
    """Its effects and its end are committed."""

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A transaction in between: it commits only while the lease holds. Raises `LostLease`."""
        with self.kernel.db.transaction(self.tenant) as session:
            yield session
            self._fence(session, {"state": JobState.RUNNING})

    @contextmanager
    def finishing(self, undo: Callable[[], None] | None = None) -> Iterator[Session]:
        """The transaction that holds the job's effects: they commit together with the job's end. Raises `LostLease`."""
        with self.kernel.db.transaction(self.tenant, undo) as session:
            yield session
            self._fence(session, {"state": JobState.DONE, "due": None, "finished_at": utc_now(), "error": None})
        self.ended = True

    def _fence(self, session: Session, values: dict[str, Any]) -> None:
        session.flush()
        if not write(session, self.job_id, self.tenant, self.number, values):
            raise LostLease("Another worker has taken this job over.")


def write(session: Session, job_id: UUID, tenant: UUID, attempt: int, values: dict[str, Any]) -> bool:
    """On a job while this attempt runs; False when it is somebody else's by now."""
    mine = (JOB.c.id == job_id, JOB.c.tenant_id == tenant, JOB.c.attempt == attempt, JOB.c.state == JobState.RUNNING)
    return session.connection().execute(update(JOB).where(*mine).values(**values)).rowcount > 0


def name_of(function: Callable[..., None]) -> str:
    """`<floor>.<file>.<function>`: the rooms between do not count, so that a file can move and its stored jobs stay."""
    names = function.__module__.split(".")
    return f"{names[0]}.{names[-1]}.{function.__name__}"


def actor(
    *, lane: Lane, attempts: int = 5, lease: timedelta = timedelta(seconds=60)
) -> Callable[[Callable[Concatenate[Attempt, P], None]], Callable[Concatenate[Attempt, P], None]]:
    """Registers a job's function under `<floor>.<file>.<name>`. It may run twice and must end well within `lease`.

    Every kind names its lane, so that nothing waits behind what it need not wait for because nobody thought of it.
    """

    def register(function: Callable[Concatenate[Attempt, P], None]) -> Callable[Concatenate[Attempt, P], None]:
        name = name_of(function)
        if name in KINDS and KINDS[name].function.__module__ != function.__module__:
            raise ValueError(f"{name} is the name of two jobs")
        KINDS[name] = JobKind(name, function, attempts, lease, lane)
        return function

    return register


def every(
    interval: timedelta, *, deletes: bool = False, let_go: Callable[[Kernel], None] | None = None
) -> Callable[[Callable[[Kernel, datetime], None]], Callable[[Kernel, datetime], None]]:
    """Registers a floor's timed sweep; the scheduler runs it in one process at a time, in a thread of its own.

    One that `deletes` because of the time pauses while the clocks disagree.

    `let_go` ends what only the leading process may hold: at the end, and when another replica may be leading already.
    The sweep's own thread calls it.
    """

    def register(function: Callable[[Kernel, datetime], None]) -> Callable[[Kernel, datetime], None]:
        name = name_of(function)
        SWEEPS[name] = Sweep(name, function, interval, let_go, deletes)
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
    kind = name_of(function)
    if kind not in KINDS:
        raise ValueError(f"{kind} is not registered with @actor")
    if not all(ID.fullmatch(arg) for arg in (*args, *([key] if key else []))):
        raise ValueError(f"{kind} takes opaque ids only")
    job_id, when = uuid4(), due or utc_now()
    values = {
        "id": job_id,
        "tenant_id": tenant_of(session),
        "kind": kind,
        "lane": (lane := KINDS[kind].lane),
        "key": key or ":".join(args),
        "args": list(args),
        "state": JobState.READY,
        "attempt": 0,
        "due": when,
        "created_at": utc_now(),
    }
    new = session.execute(insert(Job).values(**values).on_conflict_do_nothing().returning(col(Job.id))).first()
    if new is None:
        return None
    if due is None or due <= utc_now():
        notify: Callable[[str], None] = session.info["notify"]
        after_commit(session, lambda: notify(lane))
    return job_id


def send_all(
    session: Session,
    function: Callable[Concatenate[Attempt, P], None],
    messages: Sequence[Sequence[str]],
    *,
    due: datetime | None = None,
) -> int:
    """Leaves a job for each tuple of arguments, in a few statements; returns how many are new."""
    kind = name_of(function)
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
            "lane": KINDS[kind].lane,
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
    new = insert_new(session, Job, rows)
    if due is None or due <= now:
        notify: Callable[[str], None] = session.info["notify"]
        after_commit(session, lambda: notify(KINDS[kind].lane))
    return new


@every(timedelta(minutes=10), deletes=True)
def forget_finished(kernel: Kernel, now: datetime) -> None:
    """Finished rows go after a day; their keys are by then guarded by the rows they worked on."""
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(Job).where(col(Job.finished_at) < now - KEEP_DONE))
