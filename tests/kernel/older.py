"""A database as an earlier version left it, beside that of the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, text

from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres


@contextmanager
def older(postgres: EmbeddedPostgres, revision: str) -> Iterator[str]:
    """Its address, for the owner of its tables; it goes with the block, whoever is still connected."""
    server = create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("create database older owner likeness_owner"))
    url = postgres.url("likeness_owner").replace("/likeness?", "/older?")
    try:
        migrate(url, revision)
        yield url
    finally:
        with server.connect() as connection:
            connection.execute(text("drop database older with (force)"))
        server.dispose()
