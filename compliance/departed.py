"""A company that left: what of it goes, what stays as evidence, and an own look for what should be gone.

Its people are erased one by one before, each with their certificate. This takes the rest: whoever works there, batches,
looks, objects, and at last the company's key, so that nothing that a backup still holds can be opened.
"""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Any
from uuid import UUID

from sqlmodel import Session, SQLModel

from compliance.scanning import files, tables
from likeness.ground.db import tenant_of, utc_now
from likeness.kernel import Kernel
from tenants import tenants

STAYS = {
    "ledger_entry": "the log, which holds random ids alone",
    "checkpoint": "signed checkpoints of the log",
    "erasure": "the record of each erasure, under random ids",
    "certificate": "the certificates of these erasures",
    "request": "the record of requests, for 24 months",
    "hold": "the record of legal holds",
    "credit": "the account of what was paid for",
    "departure": "the record of the departure itself",
    "job": "jobs that ended, until they are swept away",
}
"""Tables whose rows outlive the company; every other one is emptied of it."""


def wipe_rows(session: Session) -> None:
    """Everything of this company but the evidence; safe to repeat. Children go before what they hang under."""
    tenant = tenant_of(session)
    for table in reversed(SQLModel.metadata.sorted_tables):
        if "tenant_id" in table.c and table.name not in STAYS:
            session.execute(table.delete().where(table.c.tenant_id == tenant))


def wipe(kernel: Kernel, tenant: UUID, now: datetime) -> int:
    """What lies outside the database: objects, then the keys. Safe to repeat. Returns how many objects there were."""
    gone = kernel.objects.delete_prefix(f"tenants/{tenant}")
    kernel.keys.destroy_tenant(tenant, now)
    return gone


def leave(session: Session, now: datetime) -> None:
    """From here on the company is none; its name stays, because its certificate names the controller."""
    tenant = tenants.get(session)
    tenant.left_at, tenant.contact, tenant.authority = now, "", ""
    session.add(tenant)


def scan(kernel: Kernel, tenant: UUID) -> dict[str, Any]:
    """By other means than `wipe_rows`: the database's own list of tables, a listing of objects, a look for each key."""
    started, stores = utc_now(), {}
    for name, count in tables.of_company(kernel, tenant):
        kept = {"result": "not applicable", "note": f"kept: {STAYS[name]}"} if name in STAYS else None
        stores[f"table:{name}"] = kept or _said(count)
    stores["objects"] = _said(files.of_company(kernel, tenant))
    stores["older versions of objects"] = (
        _said(0) if kernel.objects.versions_purged()
        else {"result": "not reachable", "note": "older versions of the bucket could not be listed"}
    )  # fmt: skip
    stores["keys"] = _said(len(kernel.keys.refs(tenant)) + kernel.keys.opens(tenant))
    return {
        "verifier": "likeness-departed",
        "version": version("likeness"),
        "started_at": started.isoformat(),
        "finished_at": utc_now().isoformat(),
        "stores": stores,
    }


def _said(found: int) -> dict[str, str]:
    return {"result": f"found {found}" if found else "clean"}


def problems(scanned: dict[str, Any]) -> list[str]:
    return sorted(name for name, said in scanned["stores"].items() if said["result"] not in ("clean", "not applicable"))
