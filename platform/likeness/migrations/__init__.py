"""Migrations run as the owner of the tables; the program itself connects as a role that owns nothing."""

from __future__ import annotations

from pathlib import Path
from time import sleep

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

LOCK_SECONDS = 5
"""So long a statement waits for a table that somebody else has in use, and everybody else behind it: whoever only wants to
read queues behind a change of the table that waits."""
TRIES, PAUSE_SECONDS = 20, 10
"""Between two tries the queue behind is served. Together five minutes, longer than a page or a job holds a row."""
LOCKED = {"55P03", "40P01"}
"""`lock_not_available` and `deadlock_detected`."""


class SchemaLocked(RuntimeError):
    """A migration did not get a table that something else holds."""


def migrate(owner_url: str, revision: str = "head") -> None:
    """Brings the schema to `revision`. Each migration is one transaction, so an interrupted one is simply run again.
    Raises `SchemaLocked`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes.update(url=owner_url, lock_seconds=LOCK_SECONDS)
    for left in reversed(range(TRIES)):
        try:
            command.upgrade(config, revision)
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) not in LOCKED:
                raise
            if not left:
                raise SchemaLocked(_locked(config, owner_url)) from error
            sleep(PAUSE_SECONDS)
        else:
            return


def _locked(config: Config, owner_url: str) -> str:
    engine = create_engine(owner_url)
    try:
        with engine.connect() as connection:
            done = connection.execute(text("select version_num from alembic_version")).scalar_one_or_none()
    except DBAPIError:  # Before the first migration there is no such table.
        done = None
    finally:
        engine.dispose()
    scripts = [one for one in ScriptDirectory.from_config(config).walk_revisions() if one.down_revision == done]
    return (
        f"Migration {scripts[0].revision} did not get a table that something else holds: it was tried {TRIES} times, for"
        f" {LOCK_SECONDS} seconds each, so that nobody waits behind it for longer. Those before it are done. Wait for the"
        " end of what holds the table, mostly a backup, a report or a transaction that somebody left open (`select pid,"
        " usename, xact_start, query from pg_stat_activity order by xact_start` names the oldest first), or stop the"
        " program, and run `likeness migrate` again."
    )
