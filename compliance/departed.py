"""A company that left: what of it goes, what stays as evidence, and an own look for what should be gone.

Its people are erased one by one before, each with their certificate. This takes the rest: whoever works there, batches,
looks, objects, and at last the company's key, so that nothing that a backup still holds can be opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, SQLModel, col, select

from compliance import stores
from compliance.models import Certificate, Departure
from compliance.proof import certificates, signing
from compliance.proof.scan import Scan
from compliance.scanning import reader
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.kernel import Kernel
from likeness.locale.languages import ENGLISH
from tenants import tenants

VERIFIER = "likeness-departed"
STAYS = {
    "ledger_entry": "the log, which holds random ids alone",
    "checkpoint": "signed checkpoints of the log",
    "erasure": "the record of each erasure, under random ids",
    "certificate": "the certificates of these erasures, and those of the departure",
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


def facts_of(departure: Departure) -> dict[str, str]:
    """What is kept outside the database of a departure that ended: with it the receipt leads to the certificates again."""
    assert departure.ended_at is not None
    return {
        "id": str(departure.id), "asked_by": str(departure.asked_by), "asked_at": departure.asked_at.isoformat(),
        "ended_at": departure.ended_at.isoformat(), "receipt_hash": departure.receipt_hash.hex(),
        "language": departure.language,
    }  # fmt: skip


def again(session: Session, facts: Mapping[str, str]) -> UUID:
    """The departure, as ended, in a database that lacks it or knows it as open. Returns its id."""
    mine = (col(Departure.tenant_id) == tenant_of(session), col(Departure.called_off_at).is_(None))
    departure = session.exec(select(Departure).where(*mine)).one_or_none() or Departure(
        id=UUID(facts["id"]),
        tenant_id=tenant_of(session),
        asked_by=UUID(facts["asked_by"]),
        asked_at=datetime.fromisoformat(facts["asked_at"]),
        begins_at=datetime.fromisoformat(facts["ended_at"]),
        receipt_hash=bytes.fromhex(facts["receipt_hash"]),
        language=facts.get("language", ENGLISH),
    )
    departure.ended_at = departure.ended_at or datetime.fromisoformat(facts["ended_at"])
    session.add(departure)
    session.flush()
    with suppress(tenants.TenantMissing):  # Else a process died after it had kept the certificate, and before this.
        leave(session, departure.ended_at)
        ledger.record(session, "tenant.left", objects=[departure.id], facts=facts_of(departure))
    return departure.id


def put_back(session: Session, kernel: Kernel, departure: UUID, jws: str) -> None:
    """A certificate that an earlier version kept with the act itself; it has no page."""
    document = certificates.verify(jws, signing.published(kernel))
    values = {
        "id": UUID(document["id"]), "tenant_id": tenant_of(session), "departure_id": departure, "stage": 1, "jws": jws,
        "document": document, "issued_at": datetime.fromisoformat(document["issued_at"]),
    }  # fmt: skip
    session.execute(insert(Certificate).values(**values).on_conflict_do_nothing())


def scan(kernel: Kernel, tenant: UUID) -> Scan:
    """By other means than `wipe_rows`, in a process of its own: the database's own list of tables, a listing of objects, a
    look for each key. Whether that passes is for `PassedScan` to say."""
    started = utc_now()
    answers, rights = reader.look_for_company(kernel, tenant, STAYS)
    needed = stores.company_names()
    return Scan(VERIFIER, version("likeness"), started, utc_now(), tuple(answers), rights, needed)
