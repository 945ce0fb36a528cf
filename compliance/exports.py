"""The audit log as a file: one canonical JSON line an entry, with the chain in it, so that anybody can check it offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from uuid import UUID

import rfc8785

from likeness import ledger
from likeness.kernel import Kernel
from likeness.ledger import START, LedgerBroken, LedgerEntry

LINES = 500
CHAIN = ("previous", "hash")


def jsonl(kernel: Kernel, tenant: UUID) -> Iterator[bytes]:
    """The log in order up to its present end, a page at a time; each page is read in a transaction of its own."""
    with kernel.db.transaction(tenant) as session:
        head = ledger.head(session)
    last, end = 0, head.sequence if head else 0
    while last < end:
        with kernel.db.transaction(tenant) as session:
            page = ledger.page(session, after=last, until=end, limit=LINES)
        yield b"".join(_line(entry) for entry in page)
        last = page[-1].sequence


def _line(entry: LedgerEntry) -> bytes:
    chained = json.loads(entry.canonical()) | {"previous": entry.previous.hex(), "hash": entry.hash.hex()}
    return rfc8785.dumps(chained) + b"\n"


def verify(lines: Iterable[bytes | str]) -> int:
    """Walks an exported file and returns its length. Raises `LedgerBroken` naming the first line that does not follow."""
    previous, count = START, 0
    for line in lines:
        if not line.strip():
            continue
        count += 1
        try:
            entry = json.loads(line)
            said = {name: bytes.fromhex(entry.pop(name)) for name in CHAIN}
            expected = sha256(previous + rfc8785.dumps(entry)).digest()
            follows = entry["sequence"] == count and said == {"previous": previous, "hash": expected}
        except (ValueError, KeyError, TypeError, AttributeError):
            follows, expected = False, b""
        if not follows:
            raise LedgerBroken(f"Line {count} does not follow from the one before it.")
        previous = expected
    return count
