"""Workbooks as they came: kept sealed for 24 hours at most, so that they can be looked at and their rows corrected."""

from __future__ import annotations

import hmac
import re
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from sqlmodel import Session, col, select

from batch.models import Batch, Employee
from likeness import ledger
from likeness.ground.db import after_commit, on_rollback
from likeness.ground.errors import Gone, NotFound
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef
from likeness.locale.marks import N_
from likeness.store.objects import ID, Objects, tenant_path
from tenants import tenants

KEEP = timedelta(hours=24)
WORKBOOKS = "workbooks"
OURS = re.compile(rf"tenants/{ID}/{WORKBOOKS}/({ID})")
"""Whatever else lies there is not of this program's making; the re-scan of a deletion names it."""


class WorkbookGone(Gone):
    """The raw file was deleted, 24 hours after it came."""

    title = "The file is gone"


def keep(session: Session, keys: KeyFolder, objects: Objects, batch: Batch, data: bytes, now: datetime) -> None:
    batch.workbook_id, batch.workbook_due_at = uuid4(), now + KEEP
    tenant, workbook_id = batch.tenant_id, batch.workbook_id
    on_rollback(session, lambda: _destroy(keys, objects, tenant, workbook_id, now))
    objects.put(tenant_path(tenant, WORKBOOKS, workbook_id), data, keys.open_or_create(key_ref(tenant, workbook_id)))
    session.add(batch)
    session.flush()


def replace(session: Session, keys: KeyFolder, objects: Objects, batch: Batch, data: bytes, now: datetime) -> None:
    """Another file in the place of the one before, which goes only once the new one is certainly there."""
    tenant = batch.tenant_id
    if (before := batch.workbook_id) is not None:
        # What a crash leaves of the old file goes after a day.
        after_commit(session, lambda: _destroy(keys, objects, tenant, before, now))
        ledger.record(session, "workbook.deleted", objects=[batch.id])
    keep(session, keys, objects, batch, data, now)


GONE = N_("The file was deleted, 24 hours after it came. Please drop it again.")


def kept(batch: Batch) -> UUID:
    """Which file the batch has. Raises `WorkbookGone`."""
    if batch.workbook_id is None:
        raise WorkbookGone(GONE)
    return batch.workbook_id


def bytes_of(keys: KeyFolder, objects: Objects, tenant: UUID, workbook_id: UUID | None) -> bytes:
    """Raises `WorkbookGone`."""
    if workbook_id is None:
        raise WorkbookGone(GONE)
    try:
        return objects.get(tenant_path(tenant, WORKBOOKS, workbook_id), keys.open(key_ref(tenant, workbook_id)))
    except (Gone, NotFound):  # It went since its batch was looked at.
        raise WorkbookGone(GONE) from None


def digest(keys: KeyFolder, tenant: UUID, data: bytes) -> str:
    return hmac.digest(keys.index_key(tenant), data, "sha256").hex()


def forget(kernel: Kernel, tenant: UUID, workbook_id: UUID, now: datetime) -> None:
    """Destroys the raw file and its key, then its batch forgets it; safe to repeat. The store is asked in no transaction,
    because it may be slow to answer."""
    _destroy(kernel.keys, kernel.objects, tenant, workbook_id, now)
    with kernel.db.transaction(tenant) as session:
        named = select(Batch).where(col(Batch.tenant_id) == tenant, col(Batch.workbook_id) == workbook_id)
        batch = session.exec(named.with_for_update()).one_or_none()
        if batch is not None:
            batch.workbook_id = batch.workbook_due_at = None
            session.add(batch)
            ledger.record(session, "workbook.deleted", objects=[batch.id])


def discard(
    session: Session, keys: KeyFolder, objects: Objects, batch: Batch, now: datetime, *, caller: str
) -> bool:
    """The file goes without being imported, and with it a batch that holds nobody; returns whether the batch is gone.

    `batch` is locked by the caller. Raises `WorkbookGone`.
    """
    tenant, workbook_id = batch.tenant_id, kept(batch)
    # What a crash leaves of the file goes after a day.
    after_commit(session, lambda: _destroy(keys, objects, tenant, workbook_id, now))
    batch.workbook_id = batch.workbook_due_at = batch.workbook_digest = None
    session.add(batch)
    somebody = session.exec(
        select(Employee.id).where(col(Employee.tenant_id) == tenant, col(Employee.batch_id) == batch.id).limit(1)
    ).first()
    empty = batch.imported_at is None and somebody is None
    ledger.record(session, "workbook.deleted", caller=caller, objects=[batch.id])
    if empty:
        session.delete(batch)
        session.flush()
    return empty


@jobs.every(timedelta(minutes=10), deletes=True)
def forget_due(kernel: Kernel, now: datetime) -> None:
    """Raw files go after 24 hours, those too that a crash left without a batch."""
    tenants.each_id(kernel, _forget_due_of, now)


def _forget_due_of(kernel: Kernel, tenant: UUID, now: datetime) -> None:
    forget_one = partial(forget, kernel, tenant, now=now)
    with kernel.db.transaction(tenant) as session:
        mine = (col(Batch.tenant_id) == tenant, col(Batch.workbook_due_at) <= now)
        due = [one for one in session.exec(select(Batch.workbook_id).where(*mine)) if one is not None]
    sweeping.alone(kernel, "workbooks", tenant, due, now, forget_one)
    stored = kernel.objects.list(f"tenants/{tenant}/{WORKBOOKS}")
    lasting = (OURS.fullmatch(one.path) for one in stored if one.modified < now - KEEP)
    old = [UUID(found[1]) for found in lasting if found]
    sweeping.alone(kernel, "workbooks-without-batch", tenant, old, now, forget_one)


def _destroy(keys: KeyFolder, objects: Objects, tenant: UUID, workbook_id: UUID, now: datetime) -> None:
    keys.destroy(key_ref(tenant, workbook_id), now)
    objects.delete(tenant_path(tenant, WORKBOOKS, workbook_id))


def key_ref(tenant: UUID, workbook_id: UUID) -> KeyRef:
    return KeyRef(tenant, workbook_id, KeyClass.PROFILE)
