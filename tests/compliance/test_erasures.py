from __future__ import annotations

import json
from datetime import timedelta

import pytest

from compliance import certificates, erasures
from compliance.models import ErasureState
from likeness import ledger
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyDestroyed, KeyRef
from tests.compliance.people import colleague_of, erase, full_person, readable, reread, rows_naming
from tests.factories import run_jobs

LATER = timedelta(minutes=11)


def test_an_erasure_leaves_nothing_and_ends_in_a_certificate_that_verifies(kernel: Kernel) -> None:
    alice, stranger = full_person(kernel), full_person(kernel)
    bob = colleague_of(kernel, alice)
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.CERTIFIED
    with kernel.db.transaction(alice.tenant_id) as session:
        left = {table: count for table, count in rows_naming(session, alice.id).items() if count}
        found = erasures.certificate_of(session, erasure.id)
        events = [entry.event for entry in ledger.entries(session, subject=alice.id)]
        ledger.verify(session)
    assert set(left) == {"ledger_entry", "credit", "erasure", "request"}
    assert kernel.objects.list(f"tenants/{alice.tenant_id}/employees/{alice.id}") == []
    for cls in KeyClass:
        with pytest.raises(KeyDestroyed):
            kernel.keys.open_or_create(KeyRef(alice.tenant_id, alice.id, cls))
    public = certificates.jwks(kernel.settings.keys_path())
    document = certificates.verify(found.jws, public)
    assert document == found.document
    assert document["classes"]["source"]["objects"] == 6
    assert document["classes"]["headshot"]["objects"] == 2
    assert document["classes"]["model"]["objects"] == 1
    assert str(alice.id) not in json.dumps(document)
    assert {"erasure.requested", "erasure.started", "erasure.deleted", "erasure.verified"} <= set(events)
    assert readable(kernel, bob)
    assert readable(kernel, stranger)
