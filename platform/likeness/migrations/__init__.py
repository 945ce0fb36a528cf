"""Migrations run as the owner of the tables; the program itself connects as a role that owns nothing."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config


def migrate(owner_url: str, revision: str = "head") -> None:
    """Brings the schema to `revision`. Each migration is one transaction, so an interrupted one is simply run again."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["url"] = owner_url
    command.upgrade(config, revision)
