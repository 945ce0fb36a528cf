"""The audit log: append-only, one hash chain a tenant, and nothing personal in it.

`hash = SHA-256(previous hash || canonical JSON of the entry)` (RFC 8785), starting from 32 zero bytes. The program's role
may insert and read, never change or delete. Entries name people by opaque ids only, so an erasure leaves the chain whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

import rfc8785
from sqlalchemy import JSON, Column, UniqueConstraint, select, text
from sqlmodel import Field, Session

from likeness.db import Moment, TenantRow, before_commit, of_tenant, tenant_of, utc_now
from likeness.errors import Conflict

EVENT = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")
START = bytes(32)
SYSTEM = "system"


class LedgerBroken(Conflict):
    """An entry does not follow from the one before it."""


class LedgerEntry(TenantRow, table=True):
    __tablename__ = "ledger_entry"
    __table_args__ = (UniqueConstraint("tenant_id", "sequence"), of_tenant())

    sequence: int
    at: datetime = Moment()
    event: str
    caller: str
    """`member:<id>`, `employee:<id>`, `operator:<id>` or `system`."""
    subject: str | None = None
    """The id of the employee whom it concerns."""
    objects: list[str] = Field(sa_column=Column(JSON, nullable=False))
    previous: bytes
    hash: bytes

    def canonical(self) -> bytes:
        return rfc8785.dumps(
            {
                "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
                "caller": self.caller,
                "event": self.event,
                "objects": list(self.objects),
                "sequence": self.sequence,
                "subject": self.subject,
                "tenant": str(self.tenant_id),
            }
        )


def record(
    session: Session, event: str, *, caller: str = SYSTEM, subject: UUID | None = None, objects: Sequence[UUID] = ()
) -> None:
    """Appends an entry when the transaction commits; `event` is `noun.verb`, e.g. `consent.given`.

    The chain is locked only then, so that long transactions of one tenant do not wait for each other.
    """
    if not EVENT.fullmatch(event):
        raise ValueError(f"{event!r} is not a noun.verb")
    at = utc_now()
    before_commit(session, lambda: _append(session, at, event, caller, subject, [str(o) for o in objects]))


def _append(
    session: Session, at: datetime, event: str, caller: str, subject: UUID | None, objects: list[str]
) -> None:
    tenant = tenant_of(session)
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 7))"), {"key": str(tenant)})
    last = head(session)
    entry = LedgerEntry(
        tenant_id=tenant,
        sequence=last.sequence + 1 if last else 1,
        at=at,
        event=event,
        caller=caller,
        subject=str(subject) if subject else None,
        objects=objects,
        previous=last.hash if last else START,
        hash=b"",
    )
    entry.hash = sha256(entry.previous + entry.canonical()).digest()
    session.add(entry)
    session.flush()


def head(session: Session) -> LedgerEntry | None:
    return session.execute(
        select(LedgerEntry)
        .where(LedgerEntry.tenant_id == tenant_of(session))  # type: ignore[arg-type]
        .order_by(LedgerEntry.sequence.desc())  # type: ignore[attr-defined]
        .limit(1)
    ).scalar_one_or_none()


def entries(session: Session, *, subject: UUID | None = None) -> Iterator[LedgerEntry]:
    """The tenant's entries in order, streamed; only those about one employee when `subject` is given."""
    query = select(LedgerEntry).where(LedgerEntry.tenant_id == tenant_of(session)).order_by(LedgerEntry.sequence)  # type: ignore[arg-type]
    if subject is not None:
        query = query.where(LedgerEntry.subject == str(subject))  # type: ignore[arg-type]
    yield from session.execute(query.execution_options(yield_per=1000)).scalars()


def page(session: Session, *, after: int, until: int, limit: int) -> list[LedgerEntry]:
    """The next entries in order: for readers that may be slow, and between whose pages no transaction stays open."""
    query = select(LedgerEntry).where(
        LedgerEntry.tenant_id == tenant_of(session),  # type: ignore[arg-type]
        LedgerEntry.sequence > after,  # type: ignore[arg-type]
        LedgerEntry.sequence <= until,  # type: ignore[arg-type]
    )
    return list(session.execute(query.order_by(LedgerEntry.sequence).limit(limit)).scalars())  # type: ignore[arg-type]


def verify(session: Session) -> int:
    """Walks the whole chain and returns its length. Raises `LedgerBroken` naming the first entry that does not follow."""
    previous, count = START, 0
    for entry in entries(session):
        count += 1
        expected = sha256(previous + entry.canonical()).digest()
        if entry.sequence != count or entry.previous != previous or entry.hash != expected:
            raise LedgerBroken(f"Entry {count} of the ledger does not follow from the one before it.")
        previous = entry.hash
    return count
