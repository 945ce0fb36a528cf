import threading
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine, text

from likeness import ledger
from likeness.kernel import Kernel
from likeness.run.postgres import EmbeddedPostgres
from tenants.models import Tenant


def company(kernel: Kernel) -> UUID:
    tenant = uuid4()
    with kernel.db.transaction(tenant) as session:
        session.add(Tenant(id=tenant, name="Company"))
    return tenant


def test_each_tenant_has_a_chain_of_its_own_from_its_first_entry(kernel: Kernel) -> None:
    alice, bob = company(kernel), company(kernel)
    for tenant, count in ((alice, 3), (bob, 1)):
        for _ in range(count):
            with kernel.db.transaction(tenant) as session:
                ledger.record(session, "batch.imported", caller="member:1", objects=[uuid4()])
    with kernel.db.transaction(alice) as session:
        assert ledger.verify(session) == 3
        assert [(one.epoch, one.position) for one in ledger.entries(session)] == [(1, 0), (1, 1), (1, 2)]
    with kernel.db.transaction(bob) as session:
        assert ledger.verify(session) == 1


def test_what_is_rolled_back_leaves_no_entry(kernel: Kernel) -> None:
    tenant = company(kernel)
    with pytest.raises(RuntimeError), kernel.db.transaction(tenant) as session:
        ledger.record(session, "batch.imported")
        raise RuntimeError
    with kernel.db.transaction(tenant) as session:
        assert ledger.verify(session) == 0


def test_many_writers_of_one_tenant_make_one_unbroken_chain(kernel: Kernel) -> None:
    tenant = company(kernel)

    def write() -> None:
        for _ in range(10):
            with kernel.db.transaction(tenant) as session:
                ledger.record(session, "photo.added", subject=uuid4())

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with kernel.db.transaction(tenant) as session:
        assert ledger.verify(session) == 40


@pytest.mark.parametrize(
    "change", ["event = 'photo.hidden'", "caller = 'member:2'", "sequence = 9", "objects = '[]'", "epoch = 2"]
)
def test_a_change_behind_the_programs_back_is_found(kernel: Kernel, postgres: EmbeddedPostgres, change: str) -> None:
    tenant = company(kernel)
    for _ in range(3):
        with kernel.db.transaction(tenant) as session:
            ledger.record(session, "photo.added", caller="member:1", objects=[uuid4()])
    with create_engine(postgres.url("postgres")).begin() as connection:
        connection.execute(
            text(f"update ledger_entry set {change} where tenant_id = :tenant and sequence = 2"),
            {"tenant": tenant},
        )
    with pytest.raises(ledger.LedgerBroken), kernel.db.transaction(tenant) as session:
        ledger.verify(session)


@pytest.mark.parametrize("event", ["", "Photo.added", "photo", "photo.added by Alice", "photo.added\n"])
def test_only_plain_events_are_taken(kernel: Kernel, event: str) -> None:
    with kernel.db.transaction(company(kernel)) as session, pytest.raises(ValueError, match=r"noun\.verb"):
        ledger.record(session, event)
