from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from batch.models import Employee
from batch.people.employees import EmployeeMissing
from compliance import holds
from compliance.erasure import erasures
from compliance.models import ErasureState, Hold
from compliance.rights import attending
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from tenants.models import Role
from tests.compliance.people import erase, full_person, reread
from tests.factories import make_member, run_jobs
from tests.handed_in import make_person

SOON = timedelta(days=10)


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


def place(kernel: Kernel, person: Employee, placed_by: UUID, **changes: object) -> Hold:
    words = {
        "basis": "warrant", "reference": "12 C 345/26", "reason": "Evidence", "expires_at": utc_now() + SOON,
    } | changes  # fmt: skip
    with kernel.db.transaction(person.tenant_id) as session:
        return holds.place(session, kernel.keys, person.id, placed_by=placed_by, now=utc_now(), **words)  # type: ignore[arg-type]


def held(kernel: Kernel, person: Employee) -> bool:
    with kernel.db.transaction(person.tenant_id) as session:
        return person.id in holds.held(session, utc_now())


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": " "},
        {"reason": ""},
        {"basis": ""},
        {"basis": "litigation"},
        {"expires_at": utc_now() - SOON},
        {"expires_at": utc_now() + timedelta(days=400)},
        {"expires_at": utc_now().replace(tzinfo=None) + SOON},
    ],
)
def test_a_hold_needs_a_basis_a_reference_a_reason_and_an_end(
    kernel: Kernel, alice: Employee, changes: dict[str, object]
) -> None:
    with pytest.raises(holds.HoldRefused):
        place(kernel, alice, uuid4(), **changes)


def test_it_stands_once_a_second_person_confirmed_it_and_until_it_is_lifted(kernel: Kernel, alice: Employee) -> None:
    first, second = (make_member(kernel, alice.tenant_id, Role.LEGAL).id for _ in range(2))
    hold = place(kernel, alice, first)
    assert not held(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(holds.SamePerson):
        holds.confirm(session, hold.id, confirmed_by=first, now=utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        holds.confirm(session, hold.id, confirmed_by=second, now=utc_now())
    assert held(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert holds.held(session, utc_now() + SOON) == set()
        holds.lift(session, hold.id, lifted_by=second, now=utc_now())
    assert held(kernel, alice), "one person alone does not lift a hold"
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(holds.SamePerson):
        holds.lift(session, hold.id, lifted_by=second, now=utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        holds.lift(session, hold.id, lifted_by=first, now=utc_now())
    assert not held(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(holds.HoldEnded):
        holds.confirm(session, hold.id, confirmed_by=second, now=utc_now())


def test_another_companys_people_and_holds_are_not_there(kernel: Kernel, alice: Employee) -> None:
    bob = make_person(kernel)
    hold = place(kernel, alice, uuid4())
    with kernel.db.transaction(bob.tenant_id) as session:
        with pytest.raises(holds.HoldMissing):
            holds.confirm(session, hold.id, confirmed_by=uuid4(), now=utc_now())
        with pytest.raises(holds.HoldMissing):
            holds.lift(session, hold.id, lifted_by=uuid4(), now=utc_now())
        with pytest.raises(EmployeeMissing):
            holds.place(
                session, kernel.keys, alice.id, basis="warrant", reference="1", reason="x", expires_at=utc_now() + SOON,
                placed_by=uuid4(), now=utc_now(),
            )  # fmt: skip
        assert holds.all_holds(session) == []


def test_an_erasure_waits_for_the_hold_and_goes_on_when_it_ends(kernel: Kernel) -> None:
    alice = full_person(kernel)
    first, second = (make_member(kernel, alice.tenant_id, Role.LEGAL).id for _ in range(2))
    hold = place(kernel, alice, first)
    with kernel.db.transaction(alice.tenant_id) as session:
        holds.confirm(session, hold.id, confirmed_by=second, now=utc_now())
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.HELD
    assert kernel.keys.state(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE)) == "live"
    with kernel.db.transaction(alice.tenant_id) as session:
        holds.lift(session, hold.id, lifted_by=first, now=utc_now())
    assert held(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        holds.lift(session, hold.id, lifted_by=second, now=utc_now())
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.CERTIFIED
    with kernel.db.transaction(alice.tenant_id) as session:
        assert erasures.certificate_of(session, erasure.id).document["holds"][0]["basis"] == "warrant"
