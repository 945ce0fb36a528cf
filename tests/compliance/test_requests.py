from __future__ import annotations

from datetime import UTC, datetime

import pytest

from compliance.models import RequestKind
from compliance.requests import a_month_after, close, of, receive
from likeness.db import utc_now
from likeness.kernel import Kernel
from tests.handed_in import make_person


@pytest.mark.parametrize(
    ("received", "due"),
    [
        ("2026-01-31", "2026-02-28"),
        ("2028-01-31", "2028-02-29"),
        ("2028-02-29", "2028-03-29"),
        ("2026-03-31", "2026-04-30"),
        ("2026-12-31", "2027-01-31"),
        ("2026-12-05", "2027-01-05"),
        ("2026-10-25", "2026-11-25"),
    ],
)
def test_the_answer_is_due_one_calendar_month_later(received: str, due: str) -> None:
    at = datetime.fromisoformat(received).replace(hour=13, tzinfo=UTC)
    assert a_month_after(at) == datetime.fromisoformat(due).replace(hour=13, tzinfo=UTC)


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
