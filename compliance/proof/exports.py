"""The audit log as a file: one line an entry, which is the entry's leaf, byte for byte.

`verifier.py log` builds the trees from these lines and compares them with checkpoints that somebody kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from likeness import ledger
from likeness.kernel import Kernel

LINES = 500


def jsonl(kernel: Kernel, tenant: UUID) -> Iterator[bytes]:
    """The log in order up to its present end, a page at a time; each page is read in a transaction of its own."""
    with kernel.db.transaction(tenant) as session:
        head = ledger.head(session)
    last, end = 0, head.sequence if head else 0
    while last < end:
        with kernel.db.transaction(tenant) as session:
            page = ledger.page(session, after=last, until=end, limit=LINES)
        yield b"".join(entry.data() + b"\n" for entry in page)
        last = page[-1].sequence
