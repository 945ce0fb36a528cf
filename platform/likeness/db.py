"""PostgreSQL, with a tenant on every transaction.

Row-level security is the second belt: every policy compares `tenant_id` with the tenant of the transaction, so a query
that forgot its WHERE finds nothing of another tenant. A transaction of `PLATFORM` sees only the tables that the operators
need to see across tenants (tenants and jobs), never people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Engine, ForeignKeyConstraint, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool
from sqlmodel import Field, Session, SQLModel

from likeness.errors import Unavailable

PLATFORM = UUID(int=0)
"""The tenant of the operators themselves."""

SCHEMA_REVISION = "0004"
"""The newest migration that this program knows."""


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
    return datetime.now(UTC)


def Moment(**options: Any) -> Any:
    """A `timestamptz` column."""
    return Field(sa_type=DateTime(timezone=True), **options)


class Database:
    """One pool of connections of the program's own role."""

    def __init__(self, url: str, pool_size: int = 10, timeout: float = 10.0) -> None:
        self.engine: Engine = create_engine(
            url, poolclass=QueuePool, pool_size=pool_size, max_overflow=5, pool_timeout=timeout, pool_pre_ping=True
        )
        self.doorbell: Callable[[str], None] = lambda lane: None

    @contextmanager
    def transaction(self, tenant: UUID) -> Iterator[Session]:
        """Commits at the end and then runs what `after_commit` collected; rolls back on any exception.

        Raises `Unavailable` when no connection is to be had.
        """
        with Session(self.engine, expire_on_commit=False) as session:
            try:
                session.connection()
                session.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
                session.info["tenant"] = tenant
                session.info["before_commit"] = []
                session.info["after_commit"] = []
                session.info["doorbell"] = self.doorbell
            except (OperationalError, TimeoutError) as error:
                raise Unavailable("The database is not reachable right now.") from error
            try:
                yield session
                for act in session.info["before_commit"]:
                    act()
                session.commit()
            except OperationalError as error:
                session.rollback()
                if error.connection_invalidated:
                    raise Unavailable("The database went away for a moment. Please try again.") from error
                raise
            except BaseException:
                session.rollback()
                raise
            rung: list[Callable[[], None]] = session.info["after_commit"]
        for ring in rung:
            ring()

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
                raise UnknownSchema("The database holds no schema of Likeness. Run `likeness migrate` first.") from error
            if revision != SCHEMA_REVISION:
                raise UnknownSchema(
                    f"The database is at migration {revision}, this program knows {SCHEMA_REVISION}."
                    " Run `likeness migrate` of the newer of the two versions."
                )

    def close(self) -> None:
        self.engine.dispose()


def before_commit(session: Session, act: Callable[[], None]) -> None:
    """Runs `act` as the last thing before the commit: for locks that must be held as briefly as possible."""
    session.info["before_commit"].append(act)


def after_commit(session: Session, ring: Callable[[], None]) -> None:
    """Runs `ring` once the transaction of `session` is durable, and never if it is rolled back.

    SQLAlchemy's own `after_commit` event also fires when a savepoint is released, which is too early.
    """
    session.info["after_commit"].append(ring)


def tenant_of(session: Session) -> UUID:
    """The tenant whose transaction this is."""
    tenant: UUID = session.info["tenant"]
    return tenant

