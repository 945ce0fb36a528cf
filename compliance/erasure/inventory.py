"""What there is of a person before an erasure deletes it; the certificate says so."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import func, or_
from sqlmodel import Session, SQLModel

from compliance import stores
from compliance.proof import certificates
from likeness.ground.db import tenant_of
from likeness.kernel import Kernel


def counts(session: Session, kernel: Kernel, employee_id: UUID) -> dict[str, Any]:
    """What there is before deletion: objects and bytes as the store lists them, times as the rows say."""
    tenant = tenant_of(session)
    found: dict[str, Any] = {}
    for cls in dict.fromkeys(due.cls for due in stores.DUE):
        stored = kernel.objects.list(f"tenants/{tenant}/employees/{employee_id}/{cls}")
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
