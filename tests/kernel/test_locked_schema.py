"""A migration on a database that is in use: it waits for a table for seconds, lets others pass, and gives up in words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine, create_engine, text

from likeness import migrations
from likeness.cli.main import main
from likeness.ground.db import SCHEMA_REVISION
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tests.kernel.older import older

BEFORE = "0068"
"""The one behind it changes the table `invitation`."""


@pytest.fixture
def old(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    with older(postgres, BEFORE) as url:
        engine = create_engine(url)
        yield engine
        engine.dispose()


def address(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def revision(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(text("select version_num from alembic_version")).scalar_one())


def test_a_table_in_use_is_waited_for_in_turns_and_then_given_up_by_name(
    old: Engine, postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 1)
    monkeypatch.setattr(migrations, "TRIES", 2)
    between: list[int] = []

    def passed(_: float) -> None:
        """Whoever reads the table does so between two tries, while it is still held."""
        with old.connect() as reader:
            reader.execute(text("set lock_timeout = '1s'"))
            between.append(reader.execute(text("select count(*) from invitation")).scalar_one())

    monkeypatch.setattr(migrations, "sleep", passed)
    for name in ("DATABASE_URL", "OWNER_DATABASE_URL"):
        monkeypatch.setenv(f"LIKENESS_{name}", address(old))
    monkeypatch.setenv("LIKENESS_PROFILE", "production")
    with old.connect() as holder:
        holder.execute(text("select count(*) from invitation"))
        with pytest.raises(migrations.SchemaLocked, match=r"Migration 0069 .* tried 2 times, for 1 seconds each"):
            migrate(address(old))
        assert (between, revision(old)) == ([0], BEFORE)
        said = CliRunner().invoke(main, ["migrate"])
        assert said.exit_code == 1
        assert "run `likeness migrate` again" in " ".join(said.output.split())
        # The next one is let in once the table is free.
        monkeypatch.setattr(migrations, "sleep", lambda _: holder.rollback())
        migrate(address(old))
    assert revision(old) == SCHEMA_REVISION
