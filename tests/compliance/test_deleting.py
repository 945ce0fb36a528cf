"""A program deletes a batch as the page does: what is asked is written down in one go, and jobs begin it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import Session, col, select

from batch.models import Employee
from compliance.desk import deleting
from compliance.erasure import erasures
from compliance.models import ErasureState, Trigger
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail.mail import Mail
from tenants.models import Role
from tests.asking import asked_within
from tests.compliance.people import company_leaves, full_person
from tests.dashboard.test_statements import asked
from tests.factories import make_batch, make_employee, make_member, make_tenant, run_jobs, sign_in_member

API = "/api/v1"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def company(kernel: Kernel, people: int) -> tuple[UUID, UUID]:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        for _ in range(people):
            make_employee(session, kernel, batch=batch)
    return tenant, batch.id


def open_ones(session: Session) -> list[erasures.Erasure]:
    return [one for one in erasures.all_erasures(session) if one.trigger == Trigger.EMPLOYER]


def test_a_batch_of_any_size_is_taken_with_the_same_statements_and_begun_by_jobs(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    counts = []
    for size in (2, 12):
        tenant, batch = company(kernel, size)
        sign_in_member(client, kernel, tenant, Role.HR)
        where = f"{API}/batches/{batch}/erasure"
        wish = {"people": size, "objects": 0}
        client.get(where)
        with asked(kernel) as said:
            answer = client.post(where, json=wish)
        counts.append(len(said))
        assert answer.status_code == 202, answer.text
        assert answer.headers["location"] == where
        with kernel.db.transaction(tenant) as session:
            assert open_ones(session) == [], "no erasure is begun by the request"
        seen = client.get(where).json()
        assert (seen["people"], seen["under_way"]) == (0, size), "where it says how far it is"
        assert client.post(where, json=wish).status_code == 409, "asked again, nothing begins a second time"
        run_jobs(kernel, tenant=tenant)
        with kernel.db.transaction(tenant) as session:
            assert Counter(one.state for one in open_ones(session)) == {ErasureState.CERTIFIED: size}
            events = Counter(one.event for one in ledger.entries(session))
        assert (events["deletion.asked"], events["erasure.requested"]) == (1, size), "each is on record once"
        assert client.get(where).json()["under_way"] == 0
    assert counts[0] == counts[1]
    stranger, _ = company(kernel, 1)
    sign_in_member(client, kernel, stranger, Role.HR)
    assert client.post(where, json=wish).status_code == 404


def test_two_jobs_of_one_person_begin_it_once_and_send_one_mail(kernel: Kernel) -> None:
    tenant, batch = company(kernel, 1)
    with kernel.db.transaction(tenant) as session:
        (person,) = session.exec(select(Employee.id).where(col(Employee.batch_id) == batch))

    def begin(_: int) -> None:
        with kernel.db.transaction(tenant) as session:
            deleting._begin(session, kernel, person, utc_now(), "member:one")

    with ThreadPoolExecutor(4) as at_once:
        list(at_once.map(begin, range(4)))
    with kernel.db.transaction(tenant) as session:
        assert len(open_ones(session)) == 1
        assert len(session.exec(select(Mail.id).where(col(Mail.template) == "removed")).all()) == 1


def test_nobody_who_went_since_they_were_counted_is_asked_for(kernel: Kernel) -> None:
    tenant, batch = company(kernel, 2)
    with kernel.db.transaction(tenant) as session:
        going = deleting.whom(session, deleting.people_of(session, batch), utc_now())
        session.delete(session.exec(select(Employee).where(col(Employee.id) == going.people[0])).one())
    with pytest.raises(deleting.NotAsCounted), kernel.db.transaction(tenant) as session:
        deleting.ask(session, going.people, utc_now(), caller="test")


def test_no_transaction_waits_for_the_store_while_a_deletion_is_counted(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    with asked_within() as found:
        for where in (f"people/{alice.roster_id}", f"batches/{alice.batch_id}"):
            seen = client.get(f"{API}/{where}/erasure").json()
            assert seen["objects"] == 9
            assert client.get(f"/desk/{where}/delete").status_code == 200
        owner = make_member(kernel, alice.tenant_id, Role.OWNER)
        company_leaves(kernel, alice.tenant_id, owner.id)
        wish = {"people": seen["people"], "objects": seen["objects"]}
        assert client.post(f"{API}/batches/{alice.batch_id}/erasure", json=wish).status_code == 202
        sign_in_member(client, kernel, alice.tenant_id, Role.OWNER)
        assert client.get(f"{API}/leaving").json()["under_way"] == 1
        assert client.get("/settings/leaving").status_code == 200
    assert found == []
