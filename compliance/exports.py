"""The audit log as a file: one canonical JSON line an entry, with the chain in it, so that anybody can check it offline."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from uuid import UUID

import rfc8785

from likeness import ledger
from likeness.kernel import Kernel
from likeness.ledger import START, LedgerBroken

LINES = 500
CHAIN = ("previous", "hash")


def jsonl(kernel: Kernel, tenant: UUID) -> Iterator[bytes]:
    """The whole log in order, some hundred lines at a time."""
    with kernel.db.transaction(tenant) as session:
        lines: list[bytes] = []
        for entry in ledger.entries(session):
            chained = json.loads(entry.canonical()) | {"previous": entry.previous.hex(), "hash": entry.hash.hex()}
            lines.append(rfc8785.dumps(chained) + b"\n")
            if len(lines) >= LINES:
                yield b"".join(lines)
                lines.clear()
        yield b"".join(lines)


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
