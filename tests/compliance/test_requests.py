from __future__ import annotations

from compliance.models import RequestKind
from compliance.requests import close, of, receive
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.handed_in import make_person


def test_the_same_request_twice_is_one_case_until_it_was_answered(kernel: Kernel) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        first = receive(session, alice.id, RequestKind.ACCESS, utc_now(), caller="system")
        assert receive(session, alice.id, RequestKind.ACCESS, utc_now(), caller="system").id == first.id
        assert receive(session, alice.id, RequestKind.ERASURE, utc_now(), caller="system").id != first.id
        close(session, alice.id, RequestKind.ACCESS, utc_now())
        assert receive(session, alice.id, RequestKind.ACCESS, utc_now(), caller="system").id != first.id
    with kernel.db.transaction(bob.tenant_id) as session:
        assert of(session, alice.id) == []
