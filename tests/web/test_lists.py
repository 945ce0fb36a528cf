"""Long lists, read page by page: each line once, and ten thousand cost what a page costs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from batch.sittings import headshots
from compliance import requests
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants import looks
from tenants.models import Role
from tests.factories import give_consent, make_batch, make_employee, make_member, make_tenant, sign_in_member
from tests.handed_in import make_headshots

MANY = 10_000
TIMES = "now() - n / 2 * interval '1 minute'"
FILL = {
    "batches": "insert into batch (id, tenant_id, unsealed_name, created_by, created_at, mapping)"
               f" select gen_random_uuid(), :tenant, 'List ' || n, gen_random_uuid(), {TIMES}, '{{}}'"
               " from generate_series(1, :many) n",
    "erasures": "insert into erasure (id, tenant_id, employee_id, state, trigger, scope, language, requested_by,"
                " requested_at, counts, recipients, traces, scan, failures)"
                " select gen_random_uuid(), :tenant, gen_random_uuid(), 'certified', 'person', 'everything', 'en', 'x',"
                f" {TIMES}, '{{}}', '[]', '{{}}', '{{}}', 0 from generate_series(1, :many) n",
    "holds": "insert into hold (id, tenant_id, employee_id, basis, unsealed_reference, unsealed_reason, placed_by,"
             " placed_at, expires_at, classes) select gen_random_uuid(), :tenant, gen_random_uuid(), 'warrant', 'r', 'r',"
             f" gen_random_uuid(), {TIMES}, now() + interval '1 day', '[]' from generate_series(1, :many) n",
}  # fmt: skip
"""Two of each moment, which may stand on different pages."""


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def read(client: TestClient[Any], path: str, most: int) -> list[Any]:
    """Every line behind this address, page by page."""
    found, at = list[Any](), f"/api/v1/{path}?most={most}"
    while at:
        answer = client.get(at)
        assert answer.status_code == 200, answer.text
        assert 0 < len(answer.json()) <= most
        found += answer.json()
        at = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    return found


def test_ten_thousand_lines_are_cut_by_the_database(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, stranger = make_tenant(kernel), make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        for statement in FILL.values():
            session.execute(text(statement), {"tenant": tenant, "many": MANY})
    legal, hr = (Role.LEGAL,), (Role.HR,)
    for path, roles in (("batches", hr), ("erasures", legal), ("holds", legal)):
        sign_in_member(client, kernel, tenant, *roles)
        client.get(f"/api/v1/{path}?most=1")
        began = time.process_time()
        first = client.get(f"/api/v1/{path}?most=50")
        assert time.process_time() - began < 1, path
        assert len(first.json()) == 50
        ids = [one["id"] for one in read(client, path, 500)]
        assert len(ids) == len(set(ids)) == MANY, path
        sign_in_member(client, kernel, stranger, *roles)
        assert client.get(f"/api/v1/{path}").json() == [], path
    client.headers["accept"] = "text/html"
    for path, roles, count in (("/desk/batches", hr, "10,000 in all"), ("/legal", legal, "10,000 in all")):
        sign_in_member(client, kernel, tenant, *roles)
        seen, at = list[str](), path
        for _ in range(2):
            began = time.process_time()
            page = client.get(at).text
            assert time.process_time() - began < 3, path
            assert count in page
            seen.append(page)
            at = re.findall(rf'href="({path}\?[a-z]+=[^"#]+)[^"]*">Older ones', page)[0]
        assert ">Newest<" in seen[1]
        for odd in ("after=x", "erasures=1", f"after={'9' * 200}"):
            assert client.get(f"{path}?{odd}").status_code == 200
    del client.headers["accept"]


def test_each_list_gives_every_line_once(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, now = make_tenant(kernel), utc_now()
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        make_employee(session, kernel, batch=make_batch(session, name="Other"), full_name="Zoe")
        people = [make_employee(session, kernel, batch=batch, full_name=f"Person {n}") for n in range(3)]
        give_consent(session, kernel, people[0])
        for n in range(3):
            looks.add(session, f"Look {n}", "teal", "suit", "close-up", "soft light")
        for number, kind in enumerate(("access", "objection", "rectification", "restriction", "portability")):
            case = requests.receive(session, people[number % 3].id, kind, now, caller="member:x")
            if number > 2:
                case.done_at = now
                session.add(case)
    shots = make_headshots(kernel, people[0], 3)
    sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    with kernel.db.transaction(tenant) as session:
        headshots.release(session, people[0].id, [one.id for one in shots], now)
    for _ in range(2):
        make_member(kernel, tenant, Role.HR)
    for number in range(3):
        made = client.post("/api/v1/keys", json={"name": f"Program {number}", "scope": ["people.read"]})
        assert made.status_code == 201, made.text
    shown = {"members": 3, "looks": None, "keys": 3, f"batches/{batch.id}/headshots": 3, "credits/batches": 1, "batches": 2}
    for path, count in shown.items():
        found = read(client, path, 1)
        names = [str(one.get("id") or one["batch_id"]) for one in found]
        assert len(names) == len(set(names)) == (count or len(client.get(f"/api/v1/{path}").json())), path
        assert found == read(client, path, 500), path
        assert client.get(f"/api/v1/{path}?after=x").status_code == 422, path
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    cases = read(client, "requests", 1)
    assert [bool(one["done_at"]) for one in cases] == [False, False, False, True, True]
    assert len({one["id"] for one in cases}) == 5
    due = [one["due_at"] for one in cases[:3]]
    assert due == sorted(due), "the soonest due first"
    assert cases == read(client, "requests", 500)
    client.headers["accept"] = "text/html"
    assert "3 are open, none late" in client.get(f"/legal/requests?after=over.0.{UUID(int=0)}").text
    del client.headers["accept"]
    for wrong in ("after=x", f"after=over.x.{tenant}", f"after=late.1.{tenant}", "most=0", "most=501"):
        assert client.get(f"/api/v1/requests?{wrong}").status_code in (400, 422), wrong
    sign_in_member(client, kernel, make_tenant(kernel), Role.LEGAL)
    assert client.get("/api/v1/requests").json() == []
