import ast
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from likeness import migrations
from likeness.ground.db import PLATFORM, Database, UnknownSchema, UnsafeRole, after_commit, before_commit
from likeness.ground.errors import Unavailable
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tenants.models import Look, Tenant


def company(kernel: Kernel) -> "uuid4":  # type: ignore[valid-type]
    tenant = uuid4()
    with kernel.db.transaction(tenant) as session:
        session.add(Tenant(id=tenant, name="Company"))
    return tenant


def look(tenant: object) -> Look:
    return Look(tenant_id=tenant, name="office", backdrop="grey", dress="suit", framing="close-up", light="soft")


def test_a_transaction_sees_its_own_tenant_only(kernel: Kernel) -> None:
    alice, bob = company(kernel), company(kernel)
    for tenant in (alice, bob):
        with kernel.db.transaction(tenant) as session:
            session.add(look(tenant))
    with kernel.db.transaction(alice) as session:
        assert [row.tenant_id for row in session.exec(select(Look))] == [alice]
        assert [row.id for row in session.exec(select(Tenant))] == [alice]


def test_writing_another_tenants_row_is_refused_by_the_database(kernel: Kernel) -> None:
    alice, bob = company(kernel), company(kernel)
    with pytest.raises(DBAPIError, match="row-level security"), kernel.db.transaction(alice) as session:
        session.add(look(bob))


def test_without_a_tenant_nothing_is_seen_also_on_a_used_connection(kernel: Kernel) -> None:
    tenant = company(kernel)
    with kernel.db.transaction(tenant) as session:
        session.add(look(tenant))
    with kernel.db.engine.connect() as connection:
        for table in ("look", "tenant", "employee", "job", "ledger_entry"):
            assert connection.execute(text(f"select count(*) from {table}")).scalar() == 0


def test_the_platform_sees_tenants_but_none_of_their_people(kernel: Kernel) -> None:
    tenant = company(kernel)
    with kernel.db.transaction(tenant) as session:
        session.add(look(tenant))
    with kernel.db.transaction(PLATFORM) as session:
        assert tenant in [row.id for row in session.exec(select(Tenant))]
        assert session.exec(select(Look)).all() == []


def test_hooks_run_around_the_commit_and_not_after_a_rollback(kernel: Kernel) -> None:
    happened: list[str] = []
    with kernel.db.transaction(PLATFORM) as session:
        before_commit(session, lambda: happened.append("before"))
        after_commit(session, lambda: happened.append("after"))
        session.begin_nested().commit()
        assert happened == []
    assert happened == ["before", "after"]
    with pytest.raises(ZeroDivisionError), kernel.db.transaction(PLATFORM) as session:
        after_commit(session, lambda: happened.append("never"))
        _ = 1 / 0
    assert happened == ["before", "after"]


@pytest.mark.parametrize("role", ["postgres", "likeness_owner"])
def test_the_program_refuses_a_role_that_could_ignore_the_rules(postgres: EmbeddedPostgres, role: str) -> None:
    with pytest.raises(UnsafeRole, match="likeness_app"):
        Database(postgres.url(role), pool_size=1).check()


def test_the_program_refuses_a_schema_that_it_does_not_know(
    postgres: EmbeddedPostgres, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.ground.db.SCHEMA_REVISION", "9999")
    with pytest.raises(UnknownSchema, match="likeness migrate"):
        kernel.db.check()


def test_migrating_twice_changes_nothing(postgres: EmbeddedPostgres, kernel: Kernel) -> None:
    migrate(postgres.url("likeness_owner"))
    kernel.db.check()


def test_a_migration_that_changes_rows_sees_them() -> None:
    """Row-level security is forced on the owner too: outside of `all_rows` an update finds nothing, and says nothing."""
    blind = []
    for file in sorted((Path(migrations.__file__).parent / "versions").glob("*.py")):
        tree = ast.parse(file.read_text())
        seeing = {id(one) for block in ast.walk(tree) if isinstance(block, ast.With) and "all_rows" in ast.dump(block)
                  for one in ast.walk(block)}  # fmt: skip
        called = {one.func.id for one in ast.walk(tree) if id(one) in seeing and isinstance(one, ast.Call)
                  and isinstance(one.func, ast.Name)}  # fmt: skip
        for function in (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name not in called):
            blind += [f"{file.name}: {words}" for words in _changes(function, seeing)]
    known = ("0001_", "0058_")  # Before there was row-level security; and 0060 does again what 0058 missed.
    assert [one for one in blind if not one.startswith(known)] == []
    assert [one[:5] for one in blind] == ["0001_", "0058_"]


def _changes(function: ast.FunctionDef, seeing: set[int]) -> Iterator[str]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "execute":
            words = [one.value for one in ast.walk(call) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            if id(call) not in seeing and words and re.match(r"\s*(update|delete|insert)\s", words[0]):
                yield words[0]


def test_the_ledger_cannot_be_changed_by_the_program(kernel: Kernel) -> None:
    tenant = company(kernel)
    for statement in ("update ledger_entry set event = 'x.y'", "delete from ledger_entry", "truncate ledger_entry"):
        with pytest.raises(DBAPIError, match="permission denied"), kernel.db.transaction(tenant) as session:
            session.execute(text(statement))
    assert LedgerEntry.__tablename__ == "ledger_entry"


def test_the_rescan_role_reads_only(postgres: EmbeddedPostgres, kernel: Kernel) -> None:
    tenant = company(kernel)
    rescan = Database(postgres.url("likeness_rescan"), pool_size=1)
    with rescan.transaction(tenant) as session:
        assert session.exec(select(Tenant.name)).all() == ["Company"]
    with pytest.raises(DBAPIError, match="permission denied"), rescan.transaction(tenant) as session:
        session.execute(text("delete from look"))


def test_an_absent_database_is_unavailable_not_a_crash() -> None:
    absent = Database("postgresql+psycopg://nobody@127.0.0.1:9/none?connect_timeout=2", pool_size=1, timeout=1)
    with pytest.raises(Unavailable), absent.transaction(PLATFORM):
        pass
