"""The audit log: append-only, one Merkle tree a company and epoch (RFC 6962), and nothing personal in it.

A leaf is the canonical JSON (RFC 8785) of one entry. Entries name people by random ids only. What else an event tells is a
detail of a type that is declared here: the entry commits to it with a salt, and it is stored sealed under the person's own
key of the class log-detail, below the person's row. An erasure takes detail and salt away and leaves the log whole.

Entries of format 1 were chained by hashes before there were trees; each of them became a leaf, in order, that commits to
its place in that chain. An epoch ends where a restored backup is found out: the next one begins with an entry that names
the gap, and no number is used twice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_bytes
from typing import Any
from uuid import UUID

import rfc8785
from sqlalchemy import JSON, Column, Index, UniqueConstraint, select, text
from sqlmodel import Field, Session, col

from likeness.evidence.merkle import leaf_hash
from likeness.evidence.outside import NARROWING, Act, LogHead, Outside
from likeness.ground.db import (
    Moment,
    TenantRow,
    after_commit,
    before_commit,
    belongs_to,
    of_tenant,
    on_rollback,
    outside_of,
    tenant_of,
    utc_now,
)
from likeness.ground.errors import Conflict, Gone
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef, KeyUnavailable

log = logging.getLogger(__name__)

EVENT = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")
WORD = re.compile(r"[A-Za-z0-9.:_-]{1,64}")
START = bytes(32)
SYSTEM = "system"
CHAINED, TREE = 1, 2
OPENED = "epoch.opened"
CONTEXT = "ledger/detail"
WAITING = "ledger"
"""In a transaction: what it appends at its end."""
DETAILS: Mapping[str, Mapping[str, type]] = {
    "consent.given": {"purpose": str, "notice": str, "language": str},
    "release.downloaded": {"headshots": int},
    "release.returned": {"reason": str},
}
"""What an event may tell beside its ids: words without spaces, numbers, yes or no; never a name, address or free text."""


class LedgerBroken(Conflict):
    """The log is not what it was: an entry was changed, added in between, or taken away."""

    title = "The log is not what it was"


class LedgerEntry(TenantRow, table=True):
    __tablename__ = "ledger_entry"
    __table_args__ = (
        UniqueConstraint("tenant_id", "sequence"),
        UniqueConstraint("tenant_id", "epoch", "position"),
        Index("ledger_entry_subject", "tenant_id", "subject"),
        of_tenant(),
    )

    sequence: int
    """Grows for ever, over all epochs."""
    epoch: int = 1
    position: int
    """In the tree of its epoch, from 0."""
    at: datetime = Moment()
    event: str
    caller: str
    """`member:<id>`, `employee:<id>`, `operator:<id>` or `system`."""
    subject: str | None = None
    """The id of the employee whom it concerns."""
    objects: list[str] = Field(sa_column=Column(JSON, nullable=False))
    detail_commit: bytes | None = None
    """SHA-256 of a salt and the detail's canonical JSON."""
    format: int = TREE
    leaf: bytes
    """The hash of `data`; kept, so that proofs need not read every entry."""
    previous: bytes | None = None
    hash: bytes | None = None
    """The chain of format 1."""

    def canonical(self) -> bytes:
        """What an entry of format 1 was chained by."""
        return rfc8785.dumps(self._words())

    def data(self) -> bytes:
        """The leaf. An exported log is these, one a line."""
        if self.format == CHAINED:
            return rfc8785.dumps(self._words() | {"hash": (self.hash or b"").hex(), "v": CHAINED})
        detail = self.detail_commit.hex() if self.detail_commit else None
        return rfc8785.dumps(self._words() | {"detail": detail, "epoch": self.epoch, "v": TREE})

    def _words(self) -> dict[str, Any]:
        return {
            "at": self.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "caller": self.caller,
            "event": self.event,
            "objects": list(self.objects),
            "sequence": self.sequence,
            "subject": self.subject,
            "tenant": str(self.tenant_id),
        }


class LedgerDetail(TenantRow, table=True):
    """What an entry tells beside its ids. It goes with the person, and its key with theirs."""

    __tablename__ = "ledger_detail"
    __table_args__ = (belongs_to("employee", "employee_id"), UniqueConstraint("tenant_id", "sequence"))

    employee_id: UUID = Field(index=True)
    sequence: int
    sealed: bytes


def record(
    session: Session,
    event: str,
    *,
    caller: str = SYSTEM,
    subject: UUID | None = None,
    objects: Sequence[UUID | str] = (),
    detail: tuple[KeyFolder, Mapping[str, str | int | bool]] | None = None,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Appends an entry when the transaction commits; `event` is `noun.verb`, e.g. `consent.given`.

    `detail` is of the type that `DETAILS` declares for the event, and comes with the keys to seal it under the subject's.
    `facts` are what a restored database needs beside the ids to have a narrowing act repeated.

    The log is locked only then, so that long transactions of one tenant do not wait for each other.
    """
    if not EVENT.fullmatch(event):
        raise ValueError(f"{event!r} is not a noun.verb")
    at = utc_now()
    told = _told(tenant_of(session), event, subject, detail) if detail else None
    entry = LedgerEntry(
        tenant_id=tenant_of(session),
        sequence=0,
        position=0,
        leaf=b"",
        at=at,
        event=event,
        caller=caller,
        subject=str(subject) if subject else None,
        objects=[str(one) for one in objects],
        detail_commit=told[0] if told else None,
    )
    if WAITING not in session.info:
        session.info[WAITING] = []
        before_commit(session, lambda: _append(session))
    session.info[WAITING].append((entry, told[1] if told else None, facts or {}))


def _told(
    tenant: UUID, event: str, subject: UUID | None, detail: tuple[KeyFolder, Mapping[str, str | int | bool]]
) -> tuple[bytes, bytes] | None:
    """The commitment, and the sealed detail with its salt. None when the person's key is gone. Raises `ValueError`."""
    keys, said = detail
    types = DETAILS.get(event, {})
    if subject is None or set(said) != set(types) or not all(type(said[name]) is types[name] for name in types):
        raise ValueError(f"{event} tells something else than was declared")
    if not all(WORD.fullmatch(one) for one in said.values() if isinstance(one, str)):
        raise ValueError(f"{event} tells free text")
    salt, words = token_bytes(32), rfc8785.dumps(dict(said))
    try:
        key = keys.open_or_create(KeyRef(tenant, subject, KeyClass.LOG_DETAIL))
    except (Gone, KeyUnavailable):
        return None  # What happened is on record all the same.
    return sha256(salt + words).digest(), key.seal(salt + words, CONTEXT)


def _append(session: Session) -> None:
    lock(session)
    last, waiting = head(session), session.info.pop(WAITING)
    for entry, _, _ in waiting:
        entry.epoch = last.epoch if last else 1
        entry.position = last.position + 1 if last else 0
        entry.sequence = last.sequence + 1 if last else 1
        last = entry
    add(session, *((entry, facts) for entry, _, facts in waiting))
    for entry, sealed, _ in waiting:
        if sealed is not None and entry.subject:
            session.add(
                LedgerDetail(
                    tenant_id=entry.tenant_id, employee_id=UUID(entry.subject), sequence=entry.sequence, sealed=sealed
                )
            )
    session.flush()


def lock(session: Session) -> None:
    """One transaction at a time appends to a company's log."""
    key = {"key": str(tenant_of(session))}
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 7))"), key)


def add(session: Session, *entries: tuple[LedgerEntry, Mapping[str, str]]) -> None:
    """Stores entries whose places are known, each with its facts, under the lock, and tells the places outside the
    database."""
    for entry, _ in entries:
        entry.leaf = leaf_hash(entry.data())
        session.add(entry)
    session.flush()
    outside = outside_of(session)
    if outside is not None:
        for entry, facts in entries:
            if entry.event in NARROWING:
                _lay(session, outside, entry, facts)
        newest = entries[-1][0]
        head = LogHead(newest.epoch, newest.position + 1, newest.sequence, newest.leaf)
        after_commit(session, lambda: outside.note_head(newest.tenant_id, head))


def _lay(session: Session, outside: Outside, entry: LedgerEntry, facts: Mapping[str, str]) -> None:
    """Before the commit, so that no moment is left in which a restore undoes it. Should the process die in between, the
    next start carries out what was asked for anyway.
    """
    subject = UUID(entry.subject) if entry.subject else None
    act = Act(entry.event, entry.tenant_id, entry.at, subject, tuple(entry.objects), entry.leaf, facts)
    try:
        outside.lay(act)
    except OSError:  # Nobody is kept from withdrawing by a full disk: `replay.catch_up` lays it down from the log.
        log.exception("a narrowing act could not be kept outside the database")
    else:
        on_rollback(session, lambda: outside.take_up(act))


def head(session: Session) -> LedgerEntry | None:
    return session.execute(
        select(LedgerEntry)
        .where(col(LedgerEntry.tenant_id) == tenant_of(session))
        .order_by(col(LedgerEntry.sequence).desc())
        .limit(1)
    ).scalar_one_or_none()


def entries(session: Session, *, subject: UUID | None = None) -> Iterator[LedgerEntry]:
    """The tenant's entries in order, streamed; only those about one employee when `subject` is given."""
    query = select(LedgerEntry).where(col(LedgerEntry.tenant_id) == tenant_of(session)).order_by(col(LedgerEntry.sequence))
    if subject is not None:
        query = query.where(col(LedgerEntry.subject) == str(subject))
    yield from session.execute(query.execution_options(yield_per=1000)).scalars()


def page(
    session: Session,
    *,
    after: int,
    until: int,
    limit: int,
    subject: UUID | None = None,
    since: datetime | None = None,
    before: datetime | None = None,
) -> list[LedgerEntry]:
    """The next entries in order: for readers that may be slow, and between whose pages no transaction stays open."""
    query = select(LedgerEntry).where(
        col(LedgerEntry.tenant_id) == tenant_of(session),
        col(LedgerEntry.sequence) > after,
        col(LedgerEntry.sequence) <= until,
    )
    if subject is not None:
        query = query.where(col(LedgerEntry.subject) == str(subject))
    if since is not None:
        query = query.where(col(LedgerEntry.at) >= since)
    if before is not None:
        query = query.where(col(LedgerEntry.at) < before)
    return list(session.execute(query.order_by(col(LedgerEntry.sequence)).limit(limit)).scalars())


def leaves(session: Session, epoch: int, size: int | None = None) -> list[bytes]:
    """The hashes of an epoch's leaves in order, the first `size` of them."""
    query = select(col(LedgerEntry.leaf)).where(
        col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.epoch) == epoch
    )
    if size is not None:
        query = query.where(col(LedgerEntry.position) < size)
    return list(session.execute(query.order_by(col(LedgerEntry.position))).scalars())


def streamed_leaves(session: Session, epoch: int, size: int) -> Iterator[bytes]:
    """As `leaves`, a few thousand in memory at a time."""
    query = select(col(LedgerEntry.leaf)).where(
        col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.epoch) == epoch, col(LedgerEntry.position) < size
    )
    yield from session.execute(query.order_by(col(LedgerEntry.position)).execution_options(yield_per=5000)).scalars()


def verify(session: Session) -> int:
    """Walks the whole log and returns its length. Raises `LedgerBroken` naming the first entry that does not follow.

    It finds what somebody changed who did not know how the log is made. Who does can make all of it anew: only a checkpoint
    that somebody else holds shows that, see `checkpoints.py`.
    """
    count, chain, last = 0, START, (1, -1, 0)
    for entry in entries(session):
        count += 1
        epoch, position, sequence = last
        opens = entry.epoch == epoch + 1 and entry.position == 0 and entry.event == OPENED
        follows = entry.epoch == epoch and entry.position == position + 1
        numbered = entry.sequence == sequence + 1 or (opens and entry.sequence > sequence)
        if entry.format == CHAINED:
            follows = follows and entry.previous == chain
            chain = sha256(chain + entry.canonical()).digest()
            follows = follows and entry.hash == chain
        if not (follows or opens) or not numbered or entry.leaf != leaf_hash(entry.data()):
            raise LedgerBroken("Entry {number} of the ledger does not follow from the one before it.", number=str(count))
        last = entry.epoch, entry.position, entry.sequence
    return count
