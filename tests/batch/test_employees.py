from __future__ import annotations

from uuid import uuid4

import pytest

from batch.people import employees
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyDestroyed
from tests.factories import make_employee, make_tenant


def test_a_person_is_sealed_and_found_in_any_spelling(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        zoe = make_employee(session, kernel, full_name="Zoë van B", email="Zoe@Bücher.example")
        assert b"van B" not in zoe.profile
        assert employees.profile(kernel.keys, employees.get(session, zoe.id)).full_name == "Zoë van B"
        for spelling in ("zoe@bücher.example", "ZOE@xn--bcher-kva.example"):
            found = employees.find(session, kernel.keys, spelling)
            assert found is not None
            assert found.id == zoe.id
    with kernel.db.transaction(other) as session:
        assert employees.find(session, kernel.keys, "zoe@bücher.example") is None
        with pytest.raises(employees.EmployeeMissing) as stranger:
            employees.get(session, zoe.id)
        with pytest.raises(employees.EmployeeMissing) as nobody:
            employees.get(session, uuid4())
        assert str(stranger.value) == str(nobody.value)


def test_nobody_reads_a_profile_whose_key_is_destroyed(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        one = make_employee(session, kernel)
        kernel.keys.destroy(employees.profile_ref(tenant, one.id), utc_now())
        with pytest.raises(KeyDestroyed):
            employees.profile(kernel.keys, one)
