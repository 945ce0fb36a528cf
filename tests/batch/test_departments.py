"""HR and brand who are bound to departments: every list and look-up of people holds theirs, and nobody else's exists."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute
from litestar.testing import TestClient
from sqlalchemy import text

from batch.delivery.downloads import Download
from batch.models import Batch, Employee
from batch.people import departments, employees
from batch.people.departments import Grouping
from batch.sittings import headshots
from batch.visit import concerns
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from tenants import bounds
from tenants.models import Role
from tests.factories import (
    begin_held,
    give_consent,
    make_batch,
    make_employee,
    make_member,
    make_tenant,
    sign_in,
    sign_in_member,
)
from tests.handed_in import make_sitting, run_sitting

API = "/api/v1"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


class Company:
    """Two departments in one batch, one of them in another as well; each person has released a headshot."""

    def __init__(self, kernel: Kernel) -> None:
        # Names of letters enough that no random part of a page or an answer contains them.
        self.kernel, self.tenant = kernel, make_tenant(kernel)
        with kernel.db.transaction(self.tenant) as session:
            self.both, self.sales_only = make_batch(session), make_batch(session, name="Sales only")
            self.designer = make_employee(session, kernel, batch=self.both, full_name="Dora", department="Design")
            self.seller = make_employee(session, kernel, batch=self.both, full_name="Samarkand", department="Sales")
            self.other = make_employee(session, kernel, batch=self.sales_only, full_name="Suebia", department="Sales")
            for person in (self.designer, self.seller):
                give_consent(session, kernel, person)
        self.shots = {person.id: self._releases(person) for person in (self.designer, self.seller)}

    def _releases(self, person: Employee) -> UUID:
        shot = run_sitting(self.kernel, make_sitting(self.kernel, person), 1)[0]
        with self.kernel.db.transaction(self.tenant) as session:
            headshots.release(session, person.id, [shot.id], utc_now())
        return shot.shelf_id

    def bound(self, client: TestClient[Any], role: Role, *departments: str) -> None:
        member = make_member(self.kernel, self.tenant, role)
        sign_in_member(client, self.kernel, self.tenant, Role.OWNER)
        answer = client.put(f"{API}/members/{member.id}/departments", json={"departments": list(departments)})
        assert answer.status_code == 200, answer.text
        assert answer.json()["departments"] == [" ".join(one.split()) for one in departments]
        sign_in(client, self.kernel, self.tenant, Kind.MEMBER, member.id)


@pytest.fixture(scope="module")
def company(kernel: Kernel) -> Company:
    return Company(kernel)


def test_who_is_bound_sees_their_department_in_every_list(company: Company, client: TestClient[Any]) -> None:
    company.bound(client, Role.HR, "  design ")
    base = f"{API}/batches/{company.both.id}"
    assert [one["name"] for one in client.get(f"{base}/people").json()] == ["Dora"]
    assert client.get(f"{base}/funnel").json()["roster"] == 1
    assert [one["full_name"] for one in client.get(f"{base}/headshots").json()] == ["Dora"]
    assert [one["id"] for one in client.get(f"{API}/batches").json()] == [str(company.both.id)]
    html = {"accept": "text/html"}
    for path in (f"/desk/batches/{company.both.id}", f"/desk/batches/{company.both.id}/headshots"):
        page = client.get(path, headers=html).text
        assert "Dora" in page
        assert "Samarkand" not in page
    for path in ("/desk", "/desk/batches", "/desk/headshots"):
        assert "Sales only" not in client.get(path, headers=html).text
    status = client.get(f"{base}/status").content
    assert b"Samarkand" not in b"".join(zipfile.ZipFile(io.BytesIO(status)).read(one) for one in parts(status))
    packed = zipfile.ZipFile(io.BytesIO(client.get(f"{base}/archive").content))
    assert [name for name in packed.namelist() if name != "manifest.csv"] == ["Design/Dora.png"]


def test_no_list_that_can_be_read_tells_of_another_department(
    company: Company, kernel: Kernel, client: TestClient[Any]
) -> None:
    """Every list and every answer under the API that whoever is bound may read, with something of others in it."""
    now = utc_now()
    colleague = make_member(kernel, company.tenant, Role.HR)
    with kernel.db.transaction(company.tenant) as session:
        for batch in (company.sales_only.id, None):
            session.add(
                Download(
                    tenant_id=company.tenant, member_id=colleague.id, batch_id=batch, which="all", preset="x", people=77,
                    headshots=77, tag="t", begun_at=now,
                )
            )  # fmt: skip
        for person in (company.other, company.seller):
            concerns.write(session, kernel.keys, person.id, "hr", "/visit", "Suebia looks wrong.", "https://x.example", now)
    told = [
        str(one) for one in (
            company.sales_only.id, company.other.id, company.other.roster_id, company.seller.id, company.seller.roster_id,
            company.shots[company.seller.id], "Samarkand", "Suebia", '"people":77',
        )
    ]  # fmt: skip
    places = {"batch_id": company.both.id, "person_id": company.designer.roster_id}
    read = 0
    for role in (Role.HR, Role.BRAND):
        company.bound(client, role, "Design")
        for route in client.app.routes:
            if not isinstance(route, HTTPRoute) or "GET" not in route.methods or "/openapi" in route.path_format:
                continue
            path = route.path_format
            for name, value in places.items():
                path = path.replace("{" + name + "}", str(value))
            if "{" in path:
                continue
            answer = client.get(path, headers={"accept": "application/json, text/html"})
            read += answer.status_code == 200
            said = answer.text.replace(" ", "") if path.startswith("/api/") else answer.text
            assert [one for one in told if one in said] == [], path
    assert read > 40


def parts(data: bytes) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_everybody_else_is_answered_like_nobody(company: Company, client: TestClient[Any]) -> None:
    company.bound(client, Role.HR, "Design")
    mine, other, nobody = company.designer.roster_id, company.seller.roster_id, UUID(int=9)
    for method, path in (
        ("GET", "/employees/{}"), ("POST", "/employees/{}/invite"), ("POST", "/employees/{}/resend"),
        ("POST", "/employees/{}/revoke"), ("GET", "/people/{}/photos"), ("POST", "/people/{}/photos/wave-through"),
    ):  # fmt: skip
        answers = [client.request(method, API + path.format(one)) for one in (other, nobody)]
        assert answers[0].status_code == 404, path
        assert answers[0].content == answers[1].content
        assert client.request(method, API + path.format(mine)).status_code != 404
    for act in ("remind", "invite", "copies"):
        address = f"/desk/batches/{company.both.id}/people/{other}/{act}"
        assert client.post(address).status_code == 404
    shot = company.shots[company.seller.id]
    assert client.get(f"{API}/batches/{company.both.id}/headshots/{shot}/picture").status_code == 404
    own = company.shots[company.designer.id]
    assert client.get(f"{API}/batches/{company.both.id}/headshots/{own}/picture").status_code == 200
    for path in ("", "/people", "/funnel", "/status", "/attention", "/headshots"):
        assert client.get(f"{API}/batches/{company.sales_only.id}{path}").status_code == 404, path


def test_what_is_about_everybody_takes_somebody_of_the_whole_company(company: Company, client: TestClient[Any]) -> None:
    company.bound(client, Role.HR, "Design")
    refused = client.post(f"{API}/batches/{company.both.id}/undo")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:likeness:bound-to-departments")
    assert client.post("/desk/batches", files={"workbook": ("a.csv", b"Name,Email\n")}).status_code == 403
    look = {"name": "N", "backdrop": "teal", "dress": "suit", "framing": "close-up", "light": "soft light"}
    assert client.post(f"{API}/looks", json=look).status_code == 403
    assert client.patch(f"{API}/batches/{company.both.id}", json={"name": "Mine"}).status_code == 403


def test_inviting_a_batch_invites_ones_own_people_in_it(kernel: Kernel, client: TestClient[Any]) -> None:
    fresh = Company.__new__(Company)
    fresh.kernel, fresh.tenant = kernel, make_tenant(kernel)
    with kernel.db.transaction(fresh.tenant) as session:
        batch: Batch = make_batch(session)
        for department in ("Design", "Design", "Sales"):
            make_employee(session, kernel, batch=batch, department=department)
    fresh.bound(client, Role.HR, "Design")
    assert client.post(f"{API}/batches/{batch.id}/invite", json={}).json() == {"people": 2}
    assert client.post(f"{API}/batches/{batch.id}/revoke").json() == {"people": 2}
    asked = client.post(f"/desk/batches/{batch.id}/invite", headers={"accept": "text/html"})
    assert "2 people are invited." in asked.text
    begin_held(kernel, fresh.tenant)
    sign_in_member(client, kernel, fresh.tenant, Role.HR)
    stages = client.get(f"{API}/batches/{batch.id}/funnel").json()["stages"]
    assert {one["stage"]: one["people"] for one in stages}["added"] == 1, "what begins later is bound as who asked for it"


def test_brand_sees_released_headshots_of_its_departments_and_no_list(
    company: Company, client: TestClient[Any]
) -> None:
    company.bound(client, Role.BRAND, "Sales", "Nowhere")
    base = f"{API}/batches/{company.both.id}"
    assert [one["full_name"] for one in client.get(f"{base}/headshots").json()] == ["Samarkand"]
    assert client.get(f"{base}/people").status_code == 403
    desk = client.get("/desk/batches", headers={"accept": "text/html"}).text
    assert f'href="/desk/batches/{company.both.id}/headshots"' in desk
    assert "Drop an Excel" not in desk


def test_binding_is_the_owners_and_for_names_alone(
    company: Company, client: TestClient[Any], kernel: Kernel
) -> None:
    hr, legal = make_member(kernel, company.tenant, Role.HR), make_member(kernel, company.tenant, Role.LEGAL)
    stranger = make_member(kernel, make_tenant(kernel), Role.HR)
    to = {"departments": ["Design"]}
    sign_in(client, kernel, company.tenant, Kind.MEMBER, hr.id)
    assert client.put(f"{API}/members/{hr.id}/departments", json={"departments": []}).status_code == 403
    sign_in_member(client, kernel, company.tenant, Role.OWNER)
    assert client.put(f"{API}/members/{stranger.id}/departments", json=to).status_code == 404
    assert client.put(f"{API}/members/{legal.id}/departments", json=to).status_code == 409
    assert client.put(f"{API}/members/{hr.id}/departments", json={"departments": ["a\0"]}).status_code == 422
    many = {"departments": [f"x{number}" for number in range(60)]}
    assert client.put(f"{API}/members/{hr.id}/departments", json=many).status_code == 409
    assert client.put(f"{API}/members/{hr.id}/departments", json=to).status_code == 200
    # Nor does a role that works for the whole company come on top.
    assert client.patch(f"{API}/members/{hr.id}", json={"roles": ["hr", "owner"]}).status_code == 409
    page = client.post(f"/team/{hr.id}/departments", data={"departments": "Design\n sales \nDESIGN"}).text
    assert "for DESIGN, sales only" in page
    assert client.post(f"/team/{hr.id}/departments", data={"departments": " \n"}).status_code == 200
    with kernel.db.transaction(company.tenant) as session:
        stored = session.execute(text("select departments::text from member where id = :id"), {"id": hr.id}).scalar()
    assert stored is None


def test_the_column_says_nothing_and_follows_every_change(kernel: Kernel, company: Company) -> None:
    with kernel.db.transaction(company.tenant) as session:
        key = kernel.keys.index_key(company.tenant)
        rows = session.execute(text("select department_index from employee")).scalars().all()
        assert len(set(rows)) == 2
        assert all(b"esign" not in row and len(row) == 32 for row in rows)
        assert bounds.index(key, " DESIGN ") == bounds.index(key, "Design") != bounds.index(key, None)
        session.execute(text("update employee set department_index = null, site_index = null"))
        one, same = (departments.digest(key, Grouping.MANAGER, mail) for mail in ("Max@X.example", "max@x.example"))
        assert one == same
        assert len({departments.digest(key, by, None) for by in Grouping}) == 3, "nothing of one is nothing of that one"
    employees.index_groups(kernel, utc_now())
    with kernel.db.transaction(company.tenant) as session:
        assert sorted(session.execute(text("select department_index from employee")).scalars()) == sorted(rows)
        assert None not in session.execute(text("select site_index from employee")).scalars().all()


def test_who_is_bound_narrows_by_what_their_own_people_have(
    company: Company, kernel: Kernel, client: TestClient[Any]
) -> None:
    with kernel.db.transaction(company.tenant) as session:
        for name, department, site in (("Dean", "Design", "Bern"), ("Sven", "Sales", "Oslo"), ("Sara", "Sales", "Bern")):
            make_employee(session, kernel, batch=company.both, full_name=name, department=department, site=site)
    company.bound(client, Role.HR, "design")
    assert client.get(f"{API}/employees/groups?by=site").json() == [{"name": "Bern", "people": 1}]
    assert [one["line"]["name"] for one in client.get(f"{API}/employees?site=bern").json()] == ["Dean"]
    for by in Grouping:
        part = {"hx-request": "true", "hx-target": f"pick_{by}"}
        menu = client.get(f"/desk/people?choose={by}", headers=part).text
        assert "Sales" not in menu
        assert "Oslo" not in menu
    sign_in_member(client, kernel, company.tenant, Role.HR)
    assert [one["people"] for one in client.get(f"{API}/employees/groups?by=site").json()] == [2, 1]
    sign_in_member(client, kernel, make_tenant(kernel), Role.HR)
    assert client.get(f"{API}/employees/groups?by=site").json() == []
    assert client.get(f"{API}/employees/groups?by=face").status_code == 400
