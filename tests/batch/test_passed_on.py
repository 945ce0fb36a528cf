"""A line whose address HR corrects is read by somebody else from then on: nothing of who was there before shows to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlmodel import col, select

from batch.models import Employee
from batch.visit import invitations
from compliance.desk import letters
from compliance.rights import reading
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants.models import Role
from tests.factories import make_employee, make_member, make_tenant, run_jobs, sign_in_employee, sign_in_member

WORDS = "My manager wants my face for something else."


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def corrected(client: TestClient[Any], kernel: Kernel, person: Employee) -> Employee:
    """The line as it is once HR has given it another address."""
    sign_in_member(client, kernel, person.tenant_id, Role.HR)
    named = {"name": "Nadia Berg", "email": "mine@zebra.example"}
    assert client.patch(f"/api/v1/employees/{person.roster_id}", json=named).status_code == 200
    with kernel.db.transaction(person.tenant_id) as session:
        return session.exec(select(Employee).where(col(Employee.roster_id) == person.roster_id)).one()


@pytest.mark.parametrize("desk", ["hr", "legal"])
def test_hr_cannot_become_who_wrote_by_correcting_their_address(
    client: TestClient[Any], kernel: Kernel, desk: str
) -> None:
    tenant, role = make_tenant(kernel), {"hr": Role.HR, "legal": Role.LEGAL}[desk]
    make_tenant(kernel)
    make_member(kernel, tenant, role)
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Nadia Berg", email="wrote@zebra.example")
        invitations.invite_all(session, [person.id], utc_now())
    sign_in_employee(client, kernel, person)
    assert client.post("/api/v1/visit/concerns", json={"desk": desk, "page": "", "words": WORDS}).status_code == 201
    line = corrected(client, kernel, person)
    with kernel.db.transaction(tenant) as session:
        assert reading.everything(session, kernel, line).records.get("concern", []) == []
    sign_in_employee(client, kernel, line)
    assert client.get("/api/v1/visit/concerns").json() == []
    assert WORDS not in client.get("/visit/wrong", headers={"accept": "text/html"}).text
    sign_in_member(client, kernel, tenant, role)
    (waits,) = client.get("/api/v1/concerns").json()
    assert waits["concern"]["words"] == WORDS, "the desk still reads and answers it"
    answered = client.post(f"/api/v1/concerns/{waits['concern']['id']}/answer", json={"words": "It does not."})
    assert answered.status_code < 300
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        sent = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    assert not any(one and "It does not." in one.text for one in sent), "no answer goes to the new address"


def test_nor_what_they_were_answered_in_the_package_of_everything(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    make_tenant(kernel)
    make_member(kernel, tenant, Role.LEGAL)
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Nadia Berg", email="wrote@zebra.example")
        invitations.invite_all(session, [person.id], utc_now())
    sign_in_employee(client, kernel, person)
    made = client.post("/api/v1/visit/concerns", json={"desk": "legal", "page": "", "words": WORDS}).json()
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    assert client.post(f"/api/v1/concerns/{made['id']}/answer", json={"words": "It does not."}).status_code < 300
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        assert "It does not." in str(reading.everything(session, kernel, person).records)
    line = corrected(client, kernel, person)
    with kernel.db.transaction(tenant) as session:
        held = str(reading.everything(session, kernel, line).records)
    assert "It does not." not in held
    assert WORDS not in held


def test_nor_what_they_did_and_asked_for(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Nadia Berg", email="wrote@zebra.example")
        invitations.invite_all(session, [person.id], utc_now())
    sign_in_employee(client, kernel, person)
    assert client.post("/api/v1/visit/requests", json={"kind": "access"}).status_code == 202
    assert len(client.get("/api/v1/visit/requests").json()) == 1
    page = {"accept": "text/html"}
    assert "You asked for something under data protection law" in client.get("/visit/face", headers=page).text
    line = corrected(client, kernel, person)
    with kernel.db.transaction(tenant) as session:
        assert reading.everything(session, kernel, line).records["request"] == []
    sign_in_employee(client, kernel, line)
    assert client.get("/api/v1/visit/requests").json() == []
    assert "You asked for something under data protection law" not in client.get("/visit/face", headers=page).text


def test_a_stop_that_stands_does_not_say_that_they_asked_for_it(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, page = make_tenant(kernel), {"accept": "text/html"}
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Nadia Berg", email="wrote@zebra.example")
        invitations.invite_all(session, [person.id], utc_now())
    sign_in_employee(client, kernel, person)
    assert client.post("/api/v1/visit/requests", json={"kind": "restriction"}).status_code == 202
    line = corrected(client, kernel, person)
    sign_in_employee(client, kernel, line)
    for path in ("/visit/requests", "/visit/welcome", "/visit/face"):
        shown = client.get(path, headers=page).text
        assert "stopped on request" in shown, path
        assert "You asked" not in shown, path
    refused = client.post("/api/v1/visit/photos", files={"photo": b"no picture"})
    assert (refused.status_code, "stopped on request" in refused.text) == (409, True)


def test_what_was_asked_before_keeps_nobody_from_writing(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    make_member(kernel, tenant, Role.HR)
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Nadia Berg", email="wrote@zebra.example")
        invitations.invite_all(session, [person.id], utc_now())
    sign_in_employee(client, kernel, person)
    said = {"desk": "hr", "page": "", "words": WORDS}
    answers = [client.post("/api/v1/visit/concerns", json=said).status_code for _ in range(4)]
    assert answers == [201, 201, 201, 409]
    line = corrected(client, kernel, person)
    sign_in_employee(client, kernel, line)
    assert client.post("/api/v1/visit/concerns", json=said).status_code == 201


def test_what_they_ask_for_themselves_is_a_case_of_their_own(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Nadia Berg", email="wrote@zebra.example")
        invitations.invite_all(session, [person.id], utc_now())
    sign_in_employee(client, kernel, person)
    assert client.post("/api/v1/visit/requests", json={"kind": "rectification"}).status_code == 202
    (before,) = client.get("/api/v1/visit/requests").json()
    line = corrected(client, kernel, person)
    sign_in_employee(client, kernel, line)
    asked = client.post("/api/v1/visit/requests", json={"kind": "rectification"})
    assert asked.status_code == 202
    (mine,) = client.get("/api/v1/visit/requests").json()
    assert asked.json()["id"] == mine["id"] != before["id"]
    again = client.post("/api/v1/visit/requests", json={"kind": "rectification"}).json()
    assert again["id"] == mine["id"]
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    assert {one["id"] for one in client.get("/api/v1/requests").json()} == {before["id"], mine["id"]}
    told = "The line has another address since"
    for case in (before, mine):
        page = client.get(f"/legal/requests/{case['id']}", headers={"accept": "text/html"})
        assert (page.status_code, told in page.text) == (200, case == before)
    letters.confirm_receipts(kernel, utc_now())
    assert client.post(f"/api/v1/requests/{before['id']}/approve").status_code < 300
    assert client.post(f"/api/v1/requests/{before['id']}/answer").status_code < 300
    with kernel.db.transaction(tenant) as session:
        sent = [(one.template, one.campaign[:36]) for one in mail.mailbox(session) if one.template.startswith("request-")]
    assert sorted(sent) == [("request-received", mine["id"])], "nobody is written to about what somebody else asked for"
