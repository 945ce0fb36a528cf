"""What there is of a person before an erasure deletes it; the certificate says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, update
from sqlmodel import Session, SQLModel, col

from compliance import stores
from compliance.models import Erasure
from compliance.proof import certificates
from likeness.ground.db import tenant_of
from likeness.jobs import jobs
from likeness.keys.keys import KeyClass
from likeness.store.storage import StoredObject


def count(attempt: jobs.Attempt, erasure: Erasure) -> None:
    """Once, when the person is stopped and nothing is deleted yet. The store is asked outside of every transaction, because
    a bucket may keep its answer back, and nobody is to wait for the person's rows meanwhile."""
    if erasure.counts:
        return
    folder = f"tenants/{erasure.tenant_id}/employees/{erasure.employee_id}"
    classes = dict.fromkeys(due.cls for due in stores.DUE)
    stored = {cls: attempt.kernel.objects.list(f"{folder}/{cls}") for cls in classes}
    with attempt.transaction() as session:
        mine = (col(Erasure.tenant_id) == erasure.tenant_id, col(Erasure.id) == erasure.id)
        session.execute(update(Erasure).where(*mine).values(counts=_counts(session, erasure.employee_id, stored)))


def _counts(session: Session, employee_id: UUID, listed: Mapping[KeyClass, Sequence[StoredObject]]) -> dict[str, Any]:
    """What there is before deletion: objects and bytes as the store lists them, times as the rows say."""
    found: dict[str, Any] = {}
    for cls, stored in listed.items():
        times = [_times(session, due.table, employee_id) for due in stores.DUE if due.cls == cls]
        created, last = ([one[at] for one in times if one[at]] for at in (0, 1))
        found[cls] = {
            "objects": len(stored),
            "bytes": sum(one.size for one in stored),
            "created": certificates.moment(min(created)) if created else None,
            "due": certificates.moment(max(last)) if last else None,
        }
    found["records"] = {"objects": _rows(session, employee_id), "bytes": 0, "created": None, "due": None}
    return found


def _times(session: Session, name: str, employee_id: UUID) -> Any:
    """When the first row of a table came, and when the last one is due."""
    table = SQLModel.metadata.tables[name]
    return session.execute(
        table.select()
        .with_only_columns(func.min(table.c.created_at), func.max(table.c.due_at))
        .where(table.c.tenant_id == tenant_of(session), table.c.employee_id == employee_id)
    ).one()


def _rows(session: Session, employee_id: UUID) -> int:
    found = 0
    for declared in stores.TABLES.values():
        table = SQLModel.metadata.tables.get(declared.name)
        if table is None or declared.fate != stores.Fate.ERASED or declared.name == "job":
            continue
        found += session.execute(
            table.select()
            .with_only_columns(func.count())
            .where(table.c.tenant_id == tenant_of(session), or_(*(table.c[one] == employee_id for one in declared.person)))
        ).scalar_one()
    return found
