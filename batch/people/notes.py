"""What HR writes to everybody of a batch: it stands in the invitation and on the first page of the visit.

It may name people, so it is sealed under the batch's own key, as the batch's name is, and goes with that key.
"""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Batch
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef
from tenants.plain import some_lines

CONTEXT = "batch note"
LONGEST = 600


def give(session: Session, keys: KeyFolder, batch: Batch, note: str) -> bool:
    """Plain text; an empty one takes the note away. Whether it is another one than before. Raises `TextRefused`."""
    note = some_lines(note, LONGEST, "note")
    if note == of(keys, batch):
        return False
    key = keys.open_or_create(_key_ref(batch)) if note else None
    batch.sealed_note = key.seal(note.encode(), CONTEXT) if key else None
    session.add(batch)
    return True


def of(keys: KeyFolder, batch: Batch) -> str:
    """Empty where there is none, and once the batch was undone. Raises `KeyUnavailable`."""
    if batch.sealed_note is not None:
        with suppress(Gone):
            return keys.open(_key_ref(batch)).open(batch.sealed_note, CONTEXT).decode()
    return ""


def for_people_of(session: Session, keys: KeyFolder, batch_id: UUID) -> str:
    mine = select(Batch).where(col(Batch.tenant_id) == tenant_of(session), col(Batch.id) == batch_id)
    batch = session.exec(mine).one_or_none()
    return of(keys, batch) if batch else ""


def quoted(note: str) -> str:
    """As it stands in a mail: each line is marked, so that none of them is taken for the mail's own link or list."""
    return "\n".join(f"> {line.strip()}" for line in note.split("\n") if line.strip())


def _key_ref(batch: Batch) -> KeyRef:
    return KeyRef(batch.tenant_id, batch.id, KeyClass.PROFILE)
