from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from sqlmodel import select

from likeness.kernel import Kernel
from tenants import credits
from tenants.models import Credit
from tests.factories import make_tenant


def reserve(kernel: Kernel, tenant: UUID, person: UUID) -> bool:
    try:
        with kernel.db.transaction(tenant) as session:
            credits.reserve(session, person)
    except credits.NoCredits:
        return False
    return True


def test_a_credit_is_reserved_once_and_given_back_once(kernel: Kernel) -> None:
    tenant, other, person = make_tenant(kernel, with_credits=2), make_tenant(kernel, with_credits=2), uuid4()
    with kernel.db.transaction(tenant) as session:
        for _ in range(3):
            credits.reserve(session, person)
        assert credits.balance(session) == 1
        assert credits.release(session, person)
        assert not credits.release(session, person)
        assert not credits.refund(session, person)
        assert credits.balance(session) == 2
        credits.reserve(session, person)
        assert credits.refund(session, person)
        assert credits.balance(session) == 2
    with kernel.db.transaction(other) as session:
        assert credits.balance(session) == 2
        assert len(session.exec(select(Credit)).all()) == 1
        assert not credits.release(session, person)


def test_an_order_is_granted_once(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, with_credits=0)
    with kernel.db.transaction(tenant) as session:
        assert credits.grant(session, 5, "order-1")
        assert not credits.grant(session, 5, "order-1")
        assert credits.balance(session) == 5
        with pytest.raises(credits.AmountRefused):
            credits.grant(session, 0, "order-2")


def test_all_or_none_are_reserved(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, with_credits=3)
    with pytest.raises(credits.NoCredits, match="needed: 4"), kernel.db.transaction(tenant) as s:
        credits.reserve_all(s, [uuid4() for _ in range(4)])
    with kernel.db.transaction(tenant) as session:
        assert credits.balance(session) == 3


def test_the_last_credit_is_spent_once_by_many_at_a_time(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, with_credits=2)
    with ThreadPoolExecutor(8) as threads:
        got = list(threads.map(lambda _: reserve(kernel, tenant, uuid4()), range(8)))
    assert got.count(True) == 2
    with kernel.db.transaction(tenant) as session:
        assert credits.balance(session) == 0
