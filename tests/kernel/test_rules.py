"""Row-level security asks for the tenant once for a statement, in every database, however old."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

from likeness.kernel import Kernel
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tenants.models import Look
from tests.factories import make_employee, make_tenant
from tests.kernel.older import older

POLICIES = text(
    "select tablename, policyname, permissive, roles, cmd, qual, with_check from pg_policies"
    " where schemaname = 'public' order by tablename"
)
BEFORE = "0066"
FOR_EACH_ROW = "nullif(current_setting('app.tenant_id', true), '')::uuid"
ONCE = "( SELECT (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid AS \"nullif\")"


@pytest.fixture
def old(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """A database as the version before left it: every rule asks for each row."""
    with older(postgres, BEFORE) as url:
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for rule in connection.execute(POLICIES).all():
                said = rule.qual.replace(ONCE, FOR_EACH_ROW)
                connection.execute(text(f'alter policy tenant on "{rule.tablename}" using ({said}) with check ({said})'))
        yield engine
        engine.dispose()


def test_an_older_database_ends_in_the_rules_of_a_new_one(
    old: Engine, kernel: Kernel, postgres: EmbeddedPostgres
) -> None:
    with old.connect() as connection:
        assert all("SELECT" not in rule.qual for rule in connection.execute(POLICIES))
        # A migration that was interrupted goes on with the rest.
        connection.execute(text(f"alter policy tenant on look using (tenant_id = (select {FOR_EACH_ROW}))"))
    migrate(old.url.render_as_string(hide_password=False))
    with old.connect() as connection, kernel.db.engine.connect() as new:
        after = connection.execute(POLICIES).all()
        assert after == new.execute(POLICIES).all()
    assert {rule.tablename for rule in after} == set(SQLModel.metadata.tables)
    for rule in after:
        for said in (rule.qual, rule.with_check):
            assert "current_setting" in said
            assert "current_setting" not in said.replace(ONCE, ""), rule.tablename


@pytest.mark.parametrize("said", [None, ""])
def test_without_a_tenant_no_table_shows_or_takes_a_row(kernel: Kernel, said: str | None) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        make_employee(session, kernel)
    with Session(kernel.db.engine) as session:
        if said is not None:
            session.execute(text("select set_config('app.tenant_id', :said, true)"), {"said": said})
        for table in SQLModel.metadata.tables:
            assert session.execute(text(f'select count(*) from "{table}"')).scalar_one() == 0, table
        session.add(Look(tenant_id=tenant, name="x", backdrop="grey", dress="suit", framing="close-up", light="soft"))
        with pytest.raises(DBAPIError, match="row-level security"):
            session.flush()


def test_the_tenant_is_asked_for_once_and_found_by_index(kernel: Kernel) -> None:
    with kernel.db.transaction(uuid4()) as session:
        for kind in ("seqscan", "bitmapscan"):
            session.execute(text(f"set local enable_{kind} = off"))
        plan = session.execute(text("explain (verbose, costs off) select row from employee")).scalars().all()
    lines = [line.strip() for line in plan]
    assert "Index Cond: (employee.tenant_id = (InitPlan 1).col1)" in lines
    # Nothing but the plan that runs once knows where the tenant is written.
    assert ["current_setting" in line for line in lines].count(True) == 1
    assert "current_setting" in "".join(lines[lines.index("InitPlan 1") :])
