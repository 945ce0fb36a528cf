"""Tombstones: what to delete again when a backup brings it back. Random ids, classes, times and key ids; never a name.

They lie in a folder of their own, apart from the database and the keys, so that restoring either does not lose them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from likeness.ground.files import write_atomically
from likeness.keys.keys import KeyClass, KeyRef

FIELDS = ("tombstone", "tenant", "owner", "classes", "keys", "at")


@dataclass(frozen=True)
class Tombstone:
    id: UUID
    tenant: UUID
    owner: UUID
    at: datetime


def write(folder: Path, tombstone: Tombstone) -> None:
    """On the disk when this returns; safe to repeat."""
    words = {
        "tombstone": str(tombstone.id),
        "tenant": str(tombstone.tenant),
        "owner": str(tombstone.owner),
        "classes": [str(cls) for cls in KeyClass],
        "keys": [str(KeyRef(tombstone.tenant, tombstone.owner, cls)) for cls in KeyClass],
        "at": tombstone.at.astimezone(UTC).isoformat(timespec="seconds"),
    }
    with _opened(folder) as opened, suppress(FileExistsError):
        write_atomically(opened, f"{tombstone.id}.json", [json.dumps(words, sort_keys=True).encode()])


def read_all(folder: Path) -> list[Tombstone]:
    """Oldest first. Raises `ValueError` for a file that is no tombstone, because a lost one must not go unseen."""
    if not folder.exists():
        return []
    found = [_parsed(file) for file in folder.glob("*.json")]
    return sorted(found, key=lambda tombstone: tombstone.at)


def _parsed(file: Path) -> Tombstone:
    words = json.loads(file.read_bytes())
    if set(words) != set(FIELDS):
        raise ValueError(f"{file.name} is no tombstone")
    return Tombstone(
        UUID(words["tombstone"]), UUID(words["tenant"]), UUID(words["owner"]), datetime.fromisoformat(words["at"])
    )


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)
