"""PostgreSQL, with a tenant on every transaction.

Row-level security is the second belt: every policy compares `tenant_id` with the tenant of the transaction, so a query
that forgot its WHERE finds nothing of another tenant. A transaction of `PLATFORM` sees only the tables that the operators
need to see across tenants (tenants and jobs), never people.

A transaction has three outcomes. When the answer to COMMIT is lost, nobody here knows whether it was carried out: that is
`OutcomeUnknown`, and after it nothing may be removed that the transaction may have stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from uuid import UUID, uuid4

from psycopg.pq import TransactionStatus
from sqlalchemy import (
    Connection,
    DateTime,
    Engine,
    ForeignKeyConstraint,
    NullPool,
    Select,
    case,
    create_engine,
    inspect,
    make_url,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.pool import QueuePool
from sqlmodel import Field, Session, SQLModel, col, select

from likeness.ground.clock import CLOCK
from likeness.ground.errors import LikenessError, OutcomeUnknown, Unavailable

log = logging.getLogger(__name__)

PLATFORM = UUID(int=0)
"""The tenant of the operators themselves."""

SCHEMA_REVISION = max(path.name[:4] for path in (Path(__file__).parents[1] / "migrations/versions").glob("[0-9]*.py"))
"""The newest migration's number: what this program knows."""

NO_ROOM = {"53100"}
"""`disk_full`; PostgreSQL's codes are in appendix A of its manual."""
BUSY = {"25006", "55P03"}
BUSY_CLASSES = {"40", "53", "57", "58"}
"""Serialization and deadlocks, resources, an operator's intervention, input and output; a read-only standby, a lock."""


class DatabaseFull(Unavailable):
    """Nothing of the transaction was stored; it may be repeated once there is room."""

    title = "The database has no room left"


class FailureSwallowed(RuntimeError):
    """A statement failed inside the transaction and nobody noticed: PostgreSQL answers its COMMIT with a rollback."""


STATEMENT_SECONDS = 120
"""No statement of the program needs a tenth of this; one that waits for a lock for so long waits for something stuck."""
IDLE_SECONDS = 180
"""A transaction that does nothing for so long belongs to a thread that hangs. The longest honest pause is the making of
keys for a workbook of 10,000 rows, half a minute."""
CONNECT_SECONDS = 10
ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
"""A server whose machine vanished without a word is given up after a minute; Linux alone would wait for two hours."""


class UnsafeRole(RuntimeError):
    """The program is connected as a role for which row-level security does not hold."""


class UnknownSchema(RuntimeError):
    """The database is at a migration that this program does not know."""


class TenantRow(SQLModel):
    """What every table of a tenant begins with; the pair is the primary key, so that foreign keys can carry both."""

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    tenant_id: UUID = Field(primary_key=True, index=True)


def belongs_to(table: str, column: str) -> ForeignKeyConstraint:
    """A foreign key that carries the tenant, because PostgreSQL checks foreign keys without row-level security."""
    return ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"], ondelete="CASCADE")


def of_tenant() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id"], ["tenant.id"], ondelete="CASCADE")


def utc_now() -> datetime:
    """The database's time, see `clock.py`."""
    return CLOCK.now()


def Moment(**options: Any) -> Any:
    """A `timestamptz` column."""
    return Field(sa_type=DateTime(timezone=True), **options)


class Database:
    """One pool of connections of the program's own role."""

    outside: Any = None
    """What is kept outside the database, `evidence/outside.py`; transactions hand it to the log."""

    def __init__(self, url: str, pool_size: int = 10, timeout: float = 10.0, overflow: int = 8) -> None:
        self._url = url
        self.engine: Engine = create_engine(
            url, poolclass=QueuePool, pool_size=pool_size, max_overflow=overflow, pool_timeout=timeout,
            pool_pre_ping=True, connect_args=_limits(url),
        )  # fmt: skip
        self.notify: Callable[[str], None] = lambda lane: None
        self.began: Callable[[], None] = lambda: None
        """Called at the begin of each transaction, by the thread that begins it."""

    def apart(self, connections: int) -> Database:
        """The same database through connections of its own, which nobody else can use up."""
        other = Database(self._url, pool_size=2, overflow=max(0, connections - 2))
        other.notify = lambda lane: self.notify(lane)
        other.began = lambda: self.began()
        other.outside = self.outside
        return other

    def lone_connection(self) -> Connection:
        """A connection outside every pool: for locks that are held as long as a process leads."""
        return create_engine(self._url, poolclass=NullPool, connect_args=_limits(self._url)).connect()

    @contextmanager
    def transaction(self, tenant: UUID, undo: Callable[[], None] | None = None) -> Iterator[Session]:
        """Commits at the end and then runs what `after_commit` collected; rolls back on any exception.

        Raises `OutcomeUnknown` when the answer to the COMMIT was lost. Any other exception means that the transaction
        was certainly not committed; then `undo` and what `on_rollback` collected are run. Raises `Unavailable` when no
        connection is to be had, and `DatabaseFull`.
        """
        self.began()
        with Session(self.engine, expire_on_commit=False) as session:
            session.info.update(
                tenant=tenant,
                notify=self.notify,
                outside=self.outside,
                before_commit=[],
                after_commit=[],
                on_rollback=[undo] if undo else [],
            )
            try:
                _begin(session, tenant)
                yield session
                for act in session.info["before_commit"]:
                    act()
                session.flush()
                _check_whole(session)
            except BaseException as error:
                _roll_back(session, error)
            _commit(session)
        _follow(session.info["after_commit"])

    def check(self) -> None:
        """Raises `UnsafeRole` or `UnknownSchema` with a sentence that says what to do."""
        with self.engine.connect() as connection:
            role = connection.execute(
                text("select rolname, rolsuper, rolbypassrls from pg_roles where rolname = current_user")
            ).one()
            if role.rolsuper or role.rolbypassrls:
                raise UnsafeRole(
                    f"The database role {role.rolname!r} ignores row-level security. Connect as a role that is"
                    " NOSUPERUSER and NOBYPASSRLS; `likeness migrate` creates `likeness_app` for this."
                )
            owned = connection.execute(
                text(
                    "select count(*) from pg_tables where schemaname = 'public'"
                    " and pg_has_role(current_user, tableowner, 'member')"
                )
            ).scalar_one()
            if owned:
                raise UnsafeRole(
                    f"The database role {role.rolname!r} owns {owned} tables and could switch row-level security off."
                    " Connect the program as `likeness_app` and keep the owner's role for `likeness migrate`."
                )
            try:
                revision = connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()
            except DBAPIError as error:
                raise UnknownSchema(
                    "The database holds no schema of Likeness. Run `likeness migrate` first."
                ) from error
            if revision != SCHEMA_REVISION:
                raise UnknownSchema(
                    f"The database is at migration {revision}, this program knows {SCHEMA_REVISION}."
                    " Run `likeness migrate` of the newer of the two versions."
                )

    def close(self) -> None:
        self.engine.dispose()


BEGIN = text("select clock_timestamp() from (select set_config('app.tenant_id', :tenant, true)) tenant")


def _begin(session: Session, tenant: UUID) -> None:
    try:
        session.connection()
        asked = CLOCK.steady()
        said = session.execute(BEGIN, {"tenant": str(tenant)}).scalar_one()
        CLOCK.observe(said, CLOCK.steady() - asked)
    except (OperationalError, PoolExhausted) as error:
        raise Unavailable("The database is not reachable right now.") from error


def _check_whole(session: Session) -> None:
    connection = session.connection().connection.dbapi_connection
    if connection is not None and connection.info.transaction_status == TransactionStatus.INERROR:
        raise FailureSwallowed


def _commit(session: Session) -> None:
    try:
        session.commit()
    except Exception as error:
        if _refused(error):
            _roll_back(session, error)
        session.invalidate()
        raise OutcomeUnknown(
            "The database went away at the last moment, so it is not known whether this was stored."
            " Look at the page again before you repeat it."
        ) from error


def _refused(error: Exception) -> bool:
    """Whether the server itself answered that it did not commit; a FATAL one may come after the commit."""
    diagnosis = getattr(getattr(error, "orig", None), "diag", None)
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    return diagnosis is not None and diagnosis.severity_nonlocalized == "ERROR" and not lost


def _roll_back(session: Session, error: BaseException) -> NoReturn:
    """Raises the error in our own words where the database is only busy, full or away."""
    try:
        session.rollback()
    finally:
        _follow(session.info["on_rollback"])
    told = _told(error)
    if told is error:
        raise error
    raise told from error


def _told(error: BaseException) -> BaseException:
    if not isinstance(error, DBAPIError):
        return error
    if error.connection_invalidated:
        return Unavailable("The database went away for a moment. Please try again.")
    code = getattr(error.orig, "sqlstate", None) or ""
    if code in NO_ROOM:
        return DatabaseFull("The database has no room left, so nothing was stored. Please try again later.")
    if code in BUSY or code[:2] in BUSY_CLASSES:
        return Unavailable("The database cannot do this right now, and nothing was stored. Please try again.")
    return error


def _follow(acts: list[Callable[[], None]]) -> None:
    """What follows an outcome cannot change it: a failure here is left to the sweeps and never told as the outcome."""
    for act in acts:
        try:
            act()
        except LikenessError as error:
            log.warning("what follows a transaction was left to the sweeps", extra={"error": type(error).__name__})
        except Exception:
            log.exception("what follows a transaction failed")


def _limits(url: str) -> dict[str, Any]:
    """What the server holds each of the program's connections to, whatever its own defaults are."""
    limits = {
        "statement_timeout": STATEMENT_SECONDS * 1000,
        "idle_in_transaction_session_timeout": IDLE_SECONDS * 1000,
    }
    asked = make_url(url).query
    options = " ".join([str(asked.get("options", "")), *(f"-c {name}={value}" for name, value in limits.items())])
    ours = {"connect_timeout": CONNECT_SECONDS, **ALIVE}
    return {name: asked.get(name, value) for name, value in ours.items()} | {"options": options.strip()}


def before_commit(session: Session, act: Callable[[], None]) -> None:
    """Runs `act` as the last thing before the commit: for locks that must be held as briefly as possible."""
    session.info["before_commit"].append(act)


def after_commit(session: Session, act: Callable[[], None]) -> None:
    """Runs `act` once the transaction of `session` is durable, and never if it is rolled back.

    SQLAlchemy's own `after_commit` event also fires when a savepoint is released, which is too early.
    """
    session.info["after_commit"].append(act)


def on_rollback(session: Session, undo: Callable[[], None]) -> None:
    """Runs `undo` once the transaction of `session` is certainly not committed; never when that is not known."""
    session.info["on_rollback"].append(undo)


def tenant_of(session: Session) -> UUID:
    """The tenant whose transaction this is."""
    tenant: UUID = session.info["tenant"]
    return tenant


def outside_of(session: Session) -> Any:
    """None where the database was opened for itself alone."""
    return session.info.get("outside")


Row = TypeVar("Row", bound=TenantRow)


def row_of(session: Session, table: type[Row], row_id: UUID, *, locked: bool = False) -> Row | None:
    """The company's row of this id. If `locked`, nobody else writes it until the transaction ends, and it is read as it is
    now, not as this transaction saw it before it had to wait."""
    query = select(table).where(col(table.tenant_id) == tenant_of(session), col(table.id) == row_id)
    waits = query.with_for_update().execution_options(populate_existing=True)
    return session.exec(waits if locked else query).one_or_none()


def rows_of(session: Session, table: type[Row], *where: Any, by: Any) -> list[Row]:
    """The company's rows of which all of this is true, in this order."""
    order = by if isinstance(by, tuple) else (by,)
    return list(session.exec(select(table).where(col(table.tenant_id) == tenant_of(session), *where).order_by(*order)))


def insert_new(session: Session, table: type[TenantRow], rows: Sequence[Mapping[str, Any]]) -> int:
    """Those that no constraint says are there already; returns how many. Asking for each one's id would take three times as
    long."""
    statement = insert(inspect(table).local_table).on_conflict_do_nothing()
    counted = {"preserve_rowcount": True}
    session.flush()
    return session.connection().execute(statement, list(rows), execution_options=counted).rowcount


Rows = TypeVar("Rows", bound="Select[*tuple[Any, ...]]")


def newest_first(
    query: Rows, at: Any, row: Any, most: int | None = None, before: tuple[datetime, UUID] | None = None
) -> Rows:
    """At most so many lines of a list, behind the one whose moment and id are named: nothing that comes meanwhile moves one
    from this page to the next."""
    if before is not None:
        query = query.where(tuple_(at, row) < before)
    return query.order_by(at.desc(), row.desc()).limit(most)


def oldest_first(
    query: Rows, at: Any, row: Any, most: int | None = None, after: tuple[datetime, UUID] | None = None
) -> Rows:
    if after is not None:
        query = query.where(tuple_(at, row) > after)
    return query.order_by(at, row).limit(most)


def waiting_first(
    query: Rows, due: Any, over: Any, row: Any, most: int | None = None, after: tuple[bool, datetime, UUID] | None = None
) -> Rows:
    """What waits, the soonest due first, and behind it what is over, newest first. `after` says of a line whether it was
    over, when or by when, and its id."""
    waits = over.is_(None)
    if after is not None:
        was_over, *place = after
        behind = tuple_(over, row) < tuple(place)
        query = query.where(behind if was_over else over.is_not(None) | (tuple_(due, row) > tuple(place)))
    return query.order_by(
        waits.desc(), case((waits, due)), case((waits, row)), over.desc(), row.desc()
    ).limit(most)
