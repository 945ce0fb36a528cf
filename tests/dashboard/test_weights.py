"""What each page costs on a phone's connection: packed, with its letters, scripts and styles, without photos."""

from __future__ import annotations

import re
from typing import Any

from litestar.testing import TestClient

from batch.sittings import headshots
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import make_batch, make_employee, make_tenant, sign_in_employee, sign_in_member
from tests.handed_in import make_headshots, make_person

MOST = 150_000


def sent(client: TestClient[Any], path: str) -> int:
    """Bytes of a page on their way."""
    with client.stream("GET", path, headers={"accept-encoding": "gzip"}) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        return sum(len(part) for part in answer.iter_raw())


class Weights:
    def __init__(self, client: TestClient[Any]) -> None:
        self.client = client
        self.known: dict[str, int] = {}
        css = client.get("/static/likeness.css").text
        letters = [name for name in re.findall(r"url\(([^)]+)\)", css) if "latin.woff2" in name]
        self.letters = sum(len(client.get(f"/static/{name}").content) for name in letters)

    def of(self, path: str) -> int:
        page = get(self.client, path)
        named = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
        return self.letters + sent(self.client, path) + sum(map(self.file, named))

    def file(self, address: str) -> int:
        if address not in self.known:
            answer = self.client.get(address, headers={"accept-encoding": "gzip"})
            self.known[address] = int(answer.headers["content-length"])
        return self.known[address]


def test_no_page_weighs_more_than_150_kilobytes(client: TestClient[Any], kernel: Kernel) -> None:
    weights, person, newcomer = Weights(client), make_person(kernel), make_person(kernel, consented=False)
    one, two, _ = make_headshots(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [one.id], utc_now())
    found = {"/": weights.of("/"), "/trust": weights.of("/trust"), "/verify": weights.of("/verify")}
    sign_in_employee(client, kernel, newcomer)
    for path in ("/visit/welcome", "/visit/consent"):
        found[path] = weights.of(path)
    client.post("/visit/decline")
    found["/visit/declined"] = weights.of("/visit/declined")
    sign_in_employee(client, kernel, person)
    for path in (
        "/visit/photos", "/visit/making", "/visit/headshots", f"/visit/headshots/{two.id}",
        f"/visit/hand-over?headshot={two.id}", "/visit/done", "/visit/face", "/visit/wrong", "/visit/requests",
        "/visit/certificates", "/visit/delete",
    ):  # fmt: skip
        found[path] = weights.of(path)
    sign_in_member(client, kernel, person.tenant_id, Role.OWNER, Role.HR)
    for path in ("/desk", "/desk/people", "/desk/batches", "/desk/looks", "/desk/headshots", "/team", "/settings"):
        found[path] = weights.of(path)
    assert min(found.values()) > weights.letters > 20_000, "there is something on each"
    assert {path: size for path, size in found.items() if size >= MOST} == {}


def test_a_full_list_weighs_no_more_and_its_rows_less(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        for number in range(100):
            name = f"{FIRST[number % 7]} {LAST[number % 11]} {number}"
            make_employee(session, kernel, batch=batch, full_name=name, department=f"Department {number % 9}")
    sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    assert Weights(client).of("/desk/people") < MOST
    rows = {"hx-request": "true", "hx-target": "rows", "accept-encoding": "gzip"}
    with client.stream("GET", "/desk/people", headers=rows) as answer:
        assert sum(len(part) for part in answer.iter_raw()) < 25_000
    plain = client.get("/desk/people", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert "Department 8" in plain.text


def test_a_pages_size_does_not_tell_what_is_in_it(client: TestClient[Any]) -> None:
    assert len({sent(client, "/trust") for _ in range(12)}) > 3


FIRST = ("Amara", "Björn", "Chiara", "Dilara", "Emeka", "Fatou", "Grace")
LAST = ("Abara", "Brandt", "Costa", "Demir", "Eze", "Faye", "Gupta", "Haddad", "Ito", "Jansen", "Kovač")
