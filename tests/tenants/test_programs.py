"""Keys for programs: what they may do, what ends them, and that nobody can read them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from likeness import machines
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail import mail
from tenants.members import members, permissions, programs
from tenants.members.permissions import COMPANY_ROLES, Permission
from tenants.models import Role
from tests.factories import make_batch, make_employee, make_member, make_tenant, sign_in, sign_in_member


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def program(client: TestClient[Any], token: str) -> Any:
    client.cookies.clear()
    client.headers["authorization"] = f"Bearer {token}"
    return client


def test_a_key_does_what_it_was_made_for_and_nothing_else(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(other) as session:
        theirs = make_batch(session)
    hr = sign_in_member(client, kernel, tenant, Role.HR)
    made = client.post("/api/v1/keys", json={"name": "Payroll", "scope": ["batches.read"]})
    assert made.status_code == 201
    token = made.json()["token"]
    assert token not in client.get("/api/v1/keys").text
    caller = program(client, token)
    assert caller.get("/api/v1/batches").json() == []
    assert caller.get(f"/api/v1/batches/{theirs.id}").status_code == 404
    for method, path in (("get", "/api/v1/looks"), ("get", "/api/v1/credits"), ("get", "/api/v1/members"),
                         ("get", "/desk"), ("get", "/team"), ("get", "/api/v1/keys"), ("get", "/api/v1/tenants"),
                         ("get", "/api/v1/visit"), ("post", "/api/v1/visit/erasure")):  # fmt: skip
        assert getattr(caller, method)(path).status_code in (403, 404), path
    assert caller.post("/api/v1/keys", json={"name": "More", "scope": ["batches.read"]}).status_code == 403
    with kernel.db.transaction(tenant) as session:
        stored = session.execute(text("select k::text from machine_key k")).scalar_one()
        assert token.partition(".")[2] not in stored
        assert programs.seen_by(session, hr, utc_now())[0].used_at is not None


def test_a_key_that_reads_acts_exports_no_ledger_and_says_so_before(kernel: Kernel, client: TestClient[Any]) -> None:
    sign_in_member(client, kernel, make_tenant(kernel), Role.LEGAL)
    assert programs.NOT_BY_KEY in unescape(client.get("/team/keys").text)
    token = client.post("/api/v1/keys", json={"name": "SIEM", "scope": ["acts.read"]}).json()["token"]
    caller = program(client, token)
    assert caller.get("/api/v1/erasures").status_code == 200
    for path in ("/api/v1/ledger", "/api/v1/ledger/export?form=ocsf"):
        answer = caller.get(path)
        assert answer.status_code == 403
        assert "No key opens this" in answer.json()["detail"]


def test_a_key_is_never_for_more_than_its_maker_may(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    for scope in (["people.read"], ["members.change"], ["account.change"], ["x"], []):
        assert client.post("/api/v1/keys", json={"name": "x", "scope": scope}).status_code == 422, scope
    for role in COMPANY_ROLES:
        granted = set(programs.grantable(make_member(kernel, tenant, role)))
        assert granted <= permissions.ROLES[role] & permissions.FOR_MACHINES


def test_a_key_follows_its_maker(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    make_member(kernel, tenant, Role.OWNER)
    maker = make_member(kernel, tenant, Role.HR)
    with kernel.db.transaction(tenant) as session:
        make_employee(session, kernel, department="Sales")
        scope = [Permission.BATCHES_READ, Permission.PEOPLE_IMPORT]
        _, token = programs.make(session, maker, "Payroll", scope, utc_now())
    caller = program(client, token)
    assert len(caller.get("/api/v1/batches").json()) == 1
    with kernel.db.transaction(tenant) as session:
        members.bind_to(session, kernel.keys, maker.id, ["Design"], caller="test")
    assert caller.get("/api/v1/batches").json() == []
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update member set roles = '[\"legal\"]' where id = :id"), {"id": maker.id})
    assert caller.get("/api/v1/batches").status_code == 403
    with kernel.db.transaction(tenant) as session:
        members.disable(session, maker.id, utc_now(), caller="test")
        members.let_back(session, maker.id, by=maker.id, caller="test")
    assert caller.get("/api/v1/batches").status_code == 401, "what was ended does not come back"


def test_an_owner_sees_and_revokes_every_key_and_others_only_their_own(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    maker = make_member(kernel, tenant, Role.HR)
    with kernel.db.transaction(tenant) as session:
        key, token = programs.make(session, maker, "Payroll", [Permission.BATCHES_READ], utc_now())
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    assert client.delete(f"/api/v1/keys/{key.id}").status_code == 404
    sign_in_member(client, kernel, tenant, Role.OWNER)
    page = client.get("/team/keys", headers={"accept": "text/html"}).text
    assert "Payroll" in page
    assert "see the batches" in page
    assert client.post(f"/team/keys/{key.id}/revoke", follow_redirects=False).status_code == 303
    assert program(client, token).get("/api/v1/batches").status_code == 401


def test_the_page_shows_a_key_once(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.HR)
    answer = client.post("/team/keys", data={"name": "Payroll", "for-batches.read": "1"})
    token = answer.text.split("<p><code>")[1].split("<")[0]
    assert answer.headers["cache-control"] == "no-store"
    assert token not in client.get("/team/keys").text
    assert program(client, token).get("/api/v1/batches").status_code == 200


def test_a_key_has_a_last_day_of_which_its_maker_is_told(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant, other, now = make_tenant(kernel), make_tenant(kernel), utc_now()
    maker, theirs = make_member(kernel, tenant, Role.HR), make_member(kernel, other, Role.HR)
    with kernel.db.transaction(other) as session:
        programs.make(session, theirs, "Intranet", [Permission.BATCHES_READ], now)
    sign_in(client, kernel, tenant, Kind.MEMBER, maker.id)
    wish = {"name": "Payroll", "scope": ["batches.read"]}
    for days in (0, -1, programs.LONGEST + 1):
        assert client.post("/api/v1/keys", json=wish | {"days": days}).status_code == 422, days
    assert client.post("/team/keys", data={"name": "x", "for-batches.read": "1", "days": "<b>"}).status_code == 422
    assert client.post("/api/v1/keys", json=wish | {"name": "Directory", "days": None}).json()["key"]["expires_at"] is None
    client.post("/api/v1/keys", json=wish | {"name": "Short", "days": 10})
    made = client.post("/api/v1/keys", json=wish).json()
    ends = datetime.fromisoformat(made["key"]["expires_at"])
    assert ends - now > timedelta(days=364, hours=23), "a year where nothing else is said"
    page = client.get("/team/keys", headers={"accept": "text/html"}).text
    assert f'data-name="Last day"><span class="">{words("en").day(ends)}' in page
    assert 'data-name="Last day">none' in page

    for at in (now, ends - timedelta(days=15), *[ends - timedelta(days=13)] * 2):
        programs.warn(kernel, at)
    for company, mails in ((tenant, [maker.id]), (other, [theirs.id])):
        with kernel.db.transaction(company) as session:
            told = [one for one in mail.mailbox(session) if one.template == "key-ends"]
            assert [one.owner_id for one in told] == mails
            letter = mail.read(kernel.keys, told[0])
        assert letter is not None
        assert ("Payroll" if company == tenant else "Intranet") in letter.text

    with kernel.db.transaction(tenant) as session:
        key = machines.get(session, UUID(made["key"]["id"]), now)
        assert key.id in {one.id for one in machines.standing(session, ends - timedelta(seconds=1))}
        assert key.id not in {one.id for one in machines.standing(session, ends)}
        key.expires_at = now
    assert "Payroll" not in client.get("/team/keys", headers={"accept": "text/html"}).text
    assert client.delete(f"/api/v1/keys/{key.id}").status_code == 404
    assert program(client, made["token"]).get("/api/v1/batches").status_code == 401
