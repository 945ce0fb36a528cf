from __future__ import annotations

import json

import pytest

from compliance import exports
from likeness import ledger
from likeness.kernel import Kernel
from likeness.ledger import LedgerBroken
from tests.factories import make_tenant


def test_the_exported_ledger_verifies_offline_and_any_change_shows(kernel: Kernel) -> None:
    one, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(one) as session:
        for _ in range(20):
            ledger.record(session, "test.happened")
    lines = b"".join(exports.jsonl(kernel, one)).splitlines()
    with kernel.db.transaction(one) as session:
        assert exports.verify(lines) == ledger.verify(session) == len(lines)
    assert str(other) not in str(lines)
    changed = lines.copy()
    entry = json.loads(changed[3])
    changed[3] = json.dumps(entry | {"event": "test.invented"}).encode()
    for broken in (changed, lines[1:], lines[:3] + lines[4:], [*lines[:3], b"nonsense", *lines[4:]], [b"[]"]):
        with pytest.raises(LedgerBroken):
            exports.verify(broken)
    assert exports.verify(lines[:5]) == 5
