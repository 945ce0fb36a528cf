"""What HR calls a batch: words of theirs that may name people, so they are sealed under a key of the batch's own.

The key goes when the batch is undone, and with the company.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Batch
from likeness.ground.db import on_rollback, tenant_of
from likeness.ground.errors import Gone
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef

CONTEXT = "batch name"


def key_ref(tenant: UUID, batch_id: UUID) -> KeyRef:
    return KeyRef(tenant, batch_id, KeyClass.PROFILE)


def first(session: Session, keys: KeyFolder, batch: Batch, name: str, now: datetime) -> None:
    """For a batch whose row was made just now: the key goes again if the row does not stay."""
    ref = key_ref(batch.tenant_id, batch.id)
    on_rollback(session, lambda: keys.destroy(ref, now))
    give(session, keys, batch, name)


def give(session: Session, keys: KeyFolder, batch: Batch, name: str) -> None:
    key = keys.open_or_create(key_ref(batch.tenant_id, batch.id))
    batch.sealed_name, batch.unsealed_name = key.seal(name.encode(), CONTEXT), None
    session.add(batch)


def of(keys: KeyFolder, batch: Batch) -> str:
    """Empty once the batch was undone. Raises `KeyUnavailable`."""
    if batch.sealed_name is None:
        return batch.unsealed_name or ""
    with suppress(Gone):
        return keys.open(key_ref(batch.tenant_id, batch.id)).open(batch.sealed_name, CONTEXT).decode()
    return ""


def seal_clear(session: Session, keys: KeyFolder) -> int:
    """Seals the names that an older version wrote in clear; returns how many. Raises `KeyUnavailable`."""
    clear = session.exec(
        select(Batch)
        .where(col(Batch.tenant_id) == tenant_of(session), col(Batch.unsealed_name).is_not(None))
        .order_by(col(Batch.id))
        .with_for_update()
    ).all()
    for batch in clear:
        if batch.undone_at is None:
            give(session, keys, batch, batch.unsealed_name or "")
        else:  # Nobody is shown the name of a batch that was undone.
            batch.unsealed_name = None
            session.add(batch)
    session.flush()
    return len(clear)
