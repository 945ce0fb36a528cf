from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from batch.models import Employee
from compliance.erasure import erasures
from compliance.proof import certificates, signing, verifier
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from tenants.models import Role
from tests.compliance.people import erase, full_person
from tests.factories import make_member, make_tenant, run_jobs, sign_in, sign_in_employee, sign_in_member
from tests.handed_in import make_person

API = "/api/v1"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app=app) as client:
        yield client


@pytest.fixture(autouse=True)
def _nobody_signed_in(client: TestClient[Any]) -> None:
    client.cookies.clear()


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


def test_a_person_erases_themselves_and_fetches_the_certificate_without_a_session(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = full_person(kernel)
    sign_in_employee(client, kernel, alice)
    begun = client.post(f"{API}/visit/erasure")
    assert begun.status_code == 202
    receipt = begun.json()["receipt"]
    pending = client.get(f"{API}/receipts/{receipt}").json()
    assert (pending["state"], pending["certificate"]) == ("requested", None)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert client.get(f"{API}/visit/export").status_code == 401
    client.cookies.clear()
    done = client.get(f"{API}/receipts/{receipt}").json()
    keys = client.get("/.well-known/likeness-certificates.jwks.json").json()
    assert done["state"] == "certified"
    assert certificates.verify(done["certificate"], keys) == done["document"]
    assert "d" not in keys["keys"][0]


def test_asking_twice_is_one_erasure_and_the_newest_receipt_holds(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    sign_in_employee(client, kernel, alice)
    first, second = (client.post(f"{API}/visit/erasure").json() for _ in range(2))
    assert first["id"] == second["id"]
    assert client.get(f"{API}/receipts/{second['receipt']}").status_code == 200
    assert client.get(f"{API}/receipts/{first['receipt']}").status_code == 404


@pytest.mark.parametrize("token", ["nonsense", "0" * 32, f"{'7' * 32}.abc", "%00", "x" * 5000])
def test_a_guessed_receipt_leads_nowhere(client: TestClient[Any], token: str) -> None:
    assert client.get(f"{API}/receipts/{token}").status_code == 404


def test_a_receipt_under_another_companys_id_leads_nowhere(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    sign_in_employee(client, kernel, alice)
    receipt = client.post(f"{API}/visit/erasure").json()["receipt"]
    secret = receipt.split(".", 1)[1]
    assert client.get(f"{API}/receipts/{make_tenant(kernel).hex}.{secret}").status_code == 404


def test_the_export_is_for_the_person_alone(kernel: Kernel, client: TestClient[Any], alice: Employee) -> None:
    for roles in ((Role.HR,), (Role.LEGAL,), (Role.OWNER, Role.HR)):
        sign_in_member(client, kernel, alice.tenant_id, *roles)
        assert client.get(f"{API}/visit/export").status_code == 403
        assert client.post(f"{API}/visit/erasure").status_code == 403
    sign_in_employee(client, kernel, alice)
    answer = client.get(f"{API}/visit/export")
    assert (answer.status_code, answer.content[:2]) == (200, b"PK")


def test_legal_reads_erasures_certificates_and_the_ledger(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    (erasure,) = client.get(f"{API}/erasures").json()
    address = f"{API}/certificates/{erasure['certificate_id']}"
    document = client.get(address).json()
    assert (
        certificates.verify(client.get(f"{address}/jws").text, signing.published(kernel))
        == document
    )
    lines = client.get(f"{API}/ledger").content.splitlines()
    assert (verifier.check_log(lines, []), len(lines) > 10) == (([], []), True)
    assert not any(b"Nadia" in line for line in lines)
    sign_in_member(client, kernel, make_tenant(kernel), Role.LEGAL)
    assert client.get(f"{API}/erasures").json() == []
    assert client.get(address).status_code == 404
    assert client.get(f"{address}/jws").status_code == 404


def test_legals_part_is_closed_to_hr_to_employees_and_to_strangers(
    kernel: Kernel, client: TestClient[Any], alice: Employee
) -> None:
    some = uuid4()
    routes = [
        ("GET", "/erasures"), ("GET", f"/certificates/{some}"), ("GET", f"/certificates/{some}/jws"),
        ("GET", "/ledger"), ("GET", "/holds"), ("POST", f"/holds/{some}/confirm"), ("DELETE", f"/holds/{some}"),
    ]  # fmt: skip
    for method, path in routes:
        client.cookies.clear()
        assert client.request(method, f"{API}{path}").status_code == 401, path
        sign_in_member(client, kernel, alice.tenant_id, Role.HR)
        assert client.request(method, f"{API}{path}").status_code == 403, path
        sign_in_employee(client, kernel, alice)
        assert client.request(method, f"{API}{path}").status_code == 403, path


def test_a_hold_over_http(kernel: Kernel, client: TestClient[Any], alice: Employee) -> None:
    second = make_member(kernel, alice.tenant_id, Role.LEGAL)
    first = sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    wish = {
        "employee_id": str(alice.id), "basis": "warrant", "reference": "12 C 345/26", "reason": "Evidence",
        "expires_at": (utc_now() + timedelta(days=5)).isoformat(),
    }  # fmt: skip
    for missing in ("reference", "basis", "reason"):
        assert client.post(f"{API}/holds", json={**wish, missing: ""}).status_code == 422
        assert client.post(f"{API}/holds", json={k: v for k, v in wish.items() if k != missing}).status_code == 422
    hold = client.post(f"{API}/holds", json=wish).json()["id"]
    assert client.post(f"{API}/holds/{hold}/confirm").status_code == 409
    sign_in_member(client, kernel, make_tenant(kernel), Role.LEGAL)
    assert client.post(f"{API}/holds", json=wish).status_code == 404
    assert client.post(f"{API}/holds/{hold}/confirm").status_code == 404
    assert client.delete(f"{API}/holds/{hold}").status_code == 404
    assert client.get(f"{API}/holds").json() == []
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    assert client.post(f"{API}/holds/{hold}/confirm").json()["type"] == "urn:likeness:not-there-before"
    sign_in(client, kernel, alice.tenant_id, Kind.MEMBER, second.id)
    assert client.post(f"{API}/holds/{hold}/confirm").json()["confirmed_by"]
    sign_in_employee(client, kernel, alice)
    (seen,) = client.get(f"{API}/visit/holds").json()
    assert seen["confirmed"]
    assert "reference" not in seen
    sign_in(client, kernel, alice.tenant_id, Kind.MEMBER, first.id)
    asked = client.delete(f"{API}/holds/{hold}").json()
    assert (asked["lifted_at"], asked["lift_asked_by"]) == (None, str(first.id))
    assert client.delete(f"{API}/holds/{hold}").status_code == 409
    sign_in(client, kernel, alice.tenant_id, Kind.MEMBER, second.id)
    assert client.delete(f"{API}/holds/{hold}").json()["lifted_at"]


def test_a_certificate_holds_neither_name_nor_address_nor_id(kernel: Kernel) -> None:
    alice = full_person(kernel)
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        words = json.dumps(erasures.certificate_of(session, erasure.id).document)
    for secret in ("Nadia", "zebra.example", str(alice.id), alice.email_index.hex()):
        assert secret not in words
