"""What deletes asks the object store while no transaction is open: a store that lets wait holds up nobody's rows, and takes
no connection from other companies."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import update
from sqlmodel import col, select

from batch.models import Batch
from batch.photos import intake
from batch.roster import raw_workbooks
from compliance.models import ErasureState
from compliance.retention import retention
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path, tenant_path
from tests.asking import asked_within
from tests.compliance.people import colleague_of, erase, full_person, reread
from tests.factories import run_jobs


def workbook_of(kernel: Kernel, batch: Batch) -> str:
    """Where the raw file of a batch lies now."""
    workbook = uuid4()
    key = kernel.keys.open_or_create(KeyRef(batch.tenant_id, workbook, KeyClass.PROFILE))
    path = tenant_path(batch.tenant_id, raw_workbooks.WORKBOOKS, workbook)
    kernel.objects.put(path, b"roster", key)
    with kernel.db.transaction(batch.tenant_id) as session:
        mine = (col(Batch.tenant_id) == batch.tenant_id, col(Batch.id) == batch.id)
        session.execute(
            update(Batch).where(*mine).values(workbook_id=workbook, workbook_due_at=utc_now() + raw_workbooks.KEEP)
        )
    return path


def test_nothing_that_deletes_asks_the_store_within_a_transaction(kernel: Kernel) -> None:
    alice = full_person(kernel)
    tenant, bob = alice.tenant_id, colleague_of(kernel, alice)
    with kernel.db.transaction(tenant) as session:
        batches = {one.id: one for one in session.exec(select(Batch).where(col(Batch.tenant_id) == tenant))}
    hers, his = (workbook_of(kernel, batches[one.batch_id]) for one in (alice, bob))
    orphan = person_path(tenant, bob.id, KeyClass.SOURCE, uuid4())
    kernel.objects.put(orphan, b"x", kernel.keys.open(KeyRef(tenant, bob.id, KeyClass.SOURCE)))
    later = utc_now() + timedelta(days=90)
    with asked_within() as found:
        asked = erase(kernel, alice)
        run_jobs(kernel, tenant=tenant)
        intake.sweep_orphans(kernel, later)
        retention.delete_due(kernel, tenant, later)
        retention.retire_keys(kernel, tenant, later)
        raw_workbooks.forget_due(kernel, later)
    assert reread(kernel, asked).state == ErasureState.CERTIFIED
    assert kernel.objects.list(f"tenants/{tenant}") == []
    assert hers != his
    with kernel.db.transaction(tenant) as session:
        said = [one.event for one in ledger.entries(session)]
    assert said.count("workbook.deleted") == len({alice.batch_id, bob.batch_id})
    assert found == []
