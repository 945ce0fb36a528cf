"""A request that a program sends twice is carried out once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.web import once
from likeness.web.once import Answered
from tenants.members import members
from tenants.models import Role
from tests.factories import make_member, make_tenant, sign_in, sign_in_member

API = "/api/v1"


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def test_the_same_key_answers_the_same_and_does_it_once(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, stranger, key = make_tenant(kernel), make_tenant(kernel), uuid4().hex
    member = {"name": "Paula Brecht", "email": f"{uuid4().hex}@zebra.example", "roles": ["brand"]}
    sign_in_member(client, kernel, tenant, Role.OWNER)
    first = client.post(f"{API}/members", json=member, headers={"idempotency-key": key})
    assert first.status_code == 201, first.text
    again = client.post(f"{API}/members", json=member, headers={"idempotency-key": key})
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (201, first.content, "true")
    assert client.post(f"{API}/members", json=member).status_code == 409, "without the key it is another request"
    other = client.post(f"{API}/members", json=member | {"name": "Other"}, headers={"idempotency-key": key})
    assert (other.status_code, other.json()["type"]) == (422, "urn:likeness:key-reused")
    moved = client.put(f"{API}/views", json=member, headers={"idempotency-key": key})
    assert moved.json()["type"] == "urn:likeness:key-reused", "the same words to another address are another request"
    # Another member's key, though it is spelt the same, is another key, and so is another company's.
    for company in (tenant, stranger):
        sign_in_member(client, kernel, company, Role.OWNER)
        fresh = member | {"email": f"{uuid4().hex}@zebra.example"}
        mine = client.post(f"{API}/members", json=fresh, headers={"idempotency-key": key})
        assert (mine.status_code, "idempotent-replayed" in mine.headers) == (201, False)
    for wrong in ("short", "ü" * 20, "x" * 201):
        refused = client.post(f"{API}/members", json=member, headers={"idempotency-key": wrong.encode("latin-1")})
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:likeness:key-refused")
    with kernel.db.transaction(tenant) as session:
        rows = session.exec(select(Answered)).all()
        assert {one.tenant_id for one in rows} == {tenant}
        assert all(one.sealed and b"Paula" not in one.sealed and key.encode() not in one.key_hash for one in rows)


def test_what_was_refused_is_tried_again_and_what_runs_is_waited_for(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, key = make_tenant(kernel), uuid4().hex
    sign_in_member(client, kernel, tenant, Role.OWNER)
    member = {"name": "Paula", "email": f"{uuid4().hex}@zebra.example", "roles": ["brand"]}
    headers = {"idempotency-key": key}
    with kernel.db.transaction(tenant) as session:
        before = len(session.exec(select(Answered)).all())
    assert client.post(f"{API}/members", json=member | {"email": "none"}, headers=headers).status_code == 422
    with kernel.db.transaction(tenant) as session:
        assert len(session.exec(select(Answered)).all()) == before, "what was refused changed nothing and leaves nothing"
    assert client.post(f"{API}/members", json=member, headers=headers).status_code == 201
    # Of a process that ended in the middle nobody knows what it stored.
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update answered set status = null, sealed = null"))
    asked = client.post(f"{API}/members", json=member, headers=headers)
    assert (asked.status_code, asked.json()["type"]) == (409, "urn:likeness:still-running")
    once.forget_answers(kernel, utc_now() + once.KEPT + timedelta(minutes=1))
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(Answered)).all() == []


def test_two_at_once_are_one(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    new = {"name": "Spring", "email": f"{uuid4().hex}@zebra.example", "roles": ["hr"]}
    headers = {"idempotency-key": uuid4().hex}
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda _: client.post(f"{API}/members", json=new, headers=headers), range(6)))
    assert {one.status_code for one in found} <= {201, 409}
    assert len({one.content for one in found if one.status_code == 201}) == 1
    assert {one.json()["type"] for one in found if one.status_code == 409} <= {"urn:likeness:still-running"}
    with kernel.db.transaction(tenant) as session:
        assert sum(members.profile(kernel.keys, one).email == new["email"] for one in members.all(session)) == 1


def test_an_operators_key_and_an_answer_that_is_too_large(
    client: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, headers = make_tenant(kernel), {"idempotency-key": uuid4().hex}
    operator = make_member(kernel, PLATFORM, Role.OPERATOR)
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, operator.id)
    asked = {"amount": 3, "order": str(uuid4())}
    first = client.post(f"{API}/tenants/{tenant}/credits", json=asked, headers=headers)
    again = client.post(f"{API}/tenants/{tenant}/credits", json=asked, headers=headers)
    assert first.status_code == 200, first.text
    assert (again.content, again.headers.get("idempotent-replayed")) == (first.content, "true"), again.text
    monkeypatch.setattr(once, "LARGEST", 0)
    sign_in_member(client, kernel, tenant, Role.OWNER)
    new, headers = (
        {"name": "Spring", "email": f"{uuid4().hex}@zebra.example", "roles": ["hr"]},
        {"idempotency-key": uuid4().hex},
    )
    whole = client.post(f"{API}/members", json=new, headers=headers)
    assert (whole.status_code, bool(whole.content)) == (201, True)
    again = client.post(f"{API}/members", json=new, headers=headers)
    assert (again.status_code, again.json()["type"]) == (409, "urn:likeness:answer-too-large")
