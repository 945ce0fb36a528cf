"""How the process that runs the sweeps tells every other that it deletes nothing, because clocks disagree."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session

DOUBT_LOCK = 7465733
"""Held by the leading process while it does not know the time, so that every replica's pages can say so."""


WHERE_THE_SCHEDULER_RUNS = (
    "The clock of the machine that runs `likeness scheduler` and the database's disagree, or one has jumped."
)


def deletions_paused(session: Session) -> bool:
    """Whether the process that deletes what is due waits for the clocks to agree."""
    query = text(
        "select 1 from pg_locks where locktype = 'advisory' and classid = 0 and objid = :key"
        " and database = (select oid from pg_database where datname = current_database())"
    )
    return session.execute(query, {"key": DOUBT_LOCK}).first() is not None
