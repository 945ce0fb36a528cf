from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import delete

from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, make_link
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants.members import members
from tenants.models import Role
from tenants.tries import WrongTry
from tests.factories import make_member, make_tenant, sign_in, sign_in_member


def mailed_link(kernel: Kernel, tenant: UUID, number: int = 0) -> str:
    """The token in the newest mail that holds a sign-in link, or in an earlier one."""
    with kernel.db.transaction(tenant) as session:
        letters = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    found = [
        letter.text.split("/sign-in/")[1].split()[0] for letter in letters if letter and "/sign-in/" in letter.text
    ]
    return found[number]


LOOK = {"name": "Brand", "backdrop": "teal", "dress": "suit", "framing": "close-up", "light": "soft light"}


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    """A browser of its own, at an address that has not guessed at links yet."""
    with app.state.kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(WrongTry))
    with TestClient(app=app) as client:
        yield client


@pytest.fixture
def operator(kernel: Kernel, client: TestClient[Any]) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        member = members.invite_member(session, kernel.keys, f"{uuid4().hex}@ops.example", "Otto", [Role.OPERATOR])
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, member.id)


def test_a_one_time_link_signs_in_once(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    hr = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        token = make_link(session, Kind.MEMBER, hr.id, utc_now())
    assert client.get("/api/v1/tenant").status_code == 401
    assert client.post(f"/api/v1/sign-in/{token}").status_code == 200
    assert client.get("/api/v1/tenant").json()["id"] == str(tenant)
    again = client.post(f"/api/v1/sign-in/{token}")
    assert (again.status_code, again.json()["type"]) == (410, "urn:likeness:link-used")
    assert client.post("/api/v1/sign-out").status_code == 204
    assert client.get("/api/v1/tenant").status_code == 401


@pytest.mark.parametrize("token", ["x", "%00", "a.b", f"{'7' * 32}.{'x' * 5000}", "..", "%F0%9F%98%80"])
def test_what_is_no_link_signs_nobody_in(client: TestClient[Any], token: str) -> None:
    assert client.post(f"/api/v1/sign-in/{token}").status_code in (404, 405, 410)


def test_an_operator_founds_a_company_and_its_first_member_comes_in(
    kernel: Kernel, client: TestClient[Any], operator: None
) -> None:
    new = {"name": "Zebra", "admin_name": "Hanna", "admin_email": "hanna@zebra.example", "credits": 7}
    founded = client.post("/api/v1/tenants", json=new).json()
    assert founded["id"] in [line["id"] for line in client.get("/api/v1/tenants").json()]
    order = {"amount": 5, "order": str(uuid4())}
    for _ in range(2):
        assert client.post(f"/api/v1/tenants/{founded['id']}/credits", json=order).json() == {"credits": 12}
    assert client.post(f"/api/v1/tenants/{uuid4()}/credits", json=order).status_code == 404
    assert client.post("/api/v1/tenants", json=new | {"admin_email": "x"}).status_code == 422
    assert client.post("/api/v1/tenants", json=new | {"name": "a\0"}).status_code == 422
    assert client.get("/api/v1/members").status_code == 403
    assert founded["mailed"] == "hanna@zebra.example"
    assert "sign-in/" not in str(founded)
    token = mailed_link(kernel, UUID(founded["id"]))
    assert client.post(f"/api/v1/sign-in/{token}").json() == {"kind": "member"}
    assert client.get("/api/v1/tenant").json()["credits"] == 12
    assert client.get("/api/v1/tenants").status_code == 403
    (hanna,) = client.get("/api/v1/members").json()
    assert hanna["roles"] == ["hr", "owner"], "legal is a second person's"


def test_a_company_is_founded_with_a_second_seat_for_legal(
    kernel: Kernel, client: TestClient[Any], operator: None
) -> None:
    new = {"name": "Zebra", "admin_name": "Hanna", "admin_email": "hanna@zebra.example", "legal_name": "Lena"}
    same = client.post("/api/v1/tenants", json=new | {"legal_email": "HANNA@zebra.example"})
    assert (same.status_code, "two people" in same.json()["detail"]) == (422, True)
    founded = client.post("/api/v1/tenants", json=new | {"legal_email": "lena@zebra.example"}).json()
    with kernel.db.transaction(UUID(founded["id"])) as session:
        lena = members.find(session, kernel.keys, "lena@zebra.example")
        hanna = members.find(session, kernel.keys, "hanna@zebra.example")
    assert lena
    assert hanna
    assert (lena.roles, hanna.roles) == (["legal"], ["hr", "owner"])


def test_an_owner_invites_to_every_role_and_nobody_else_does(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    stranger = make_member(kernel, other)
    new = {"name": "Ida", "email": "ida@zebra.example", "roles": ["hr"]}
    for role in (Role.HR, Role.BRAND, Role.LEGAL, Role.AUDITOR):
        sign_in_member(client, kernel, tenant, role)
        assert client.post("/api/v1/members", json=new).status_code == 403
    me = sign_in_member(client, kernel, tenant, Role.OWNER)
    invited = client.post("/api/v1/members", json=new)
    assert invited.status_code == 201
    assert "sign-in/" not in invited.text, "the inviter never sees the link"
    member = invited.json()["member"]
    assert client.post("/api/v1/members", json=new).status_code == 409
    for roles in (["hr", "legal"], ["brand", "auditor"], ["owner", "hr", "auditor"]):
        both = client.post("/api/v1/members", json=new | {"email": "x@zebra.example", "roles": roles})
        assert (both.status_code, both.json()["type"]) == (409, "urn:likeness:roles-exclude")
    own = client.patch(f"/api/v1/members/{me.id}", json={"roles": ["owner", "hr"]})
    assert (own.status_code, own.json()["type"]) == (403, "urn:likeness:own-role")
    assert client.post("/api/v1/members", json=new | {"roles": []}).status_code == 422
    assert client.post("/api/v1/members", json=new | {"roles": ["god"]}).status_code == 400
    assert client.patch(f"/api/v1/members/{member['id']}", json={"roles": ["hr", "legal"]}).status_code == 409
    again = client.post(f"/api/v1/members/{member['id']}/link")
    assert (again.status_code, "sign-in/" in again.text) == (201, False)
    assert client.post(f"/api/v1/members/{member['id']}/link").status_code == 409
    assert client.delete(f"/api/v1/members/{member['id']}").status_code == 204
    assert client.post(f"/api/v1/members/{member['id']}/link").status_code == 404
    assert len(client.get("/api/v1/members").json()) == 6
    for method, path in (("DELETE", ""), ("PATCH", ""), ("POST", "/link")):
        answer = client.request(method, f"/api/v1/members/{stranger.id}{path}", json={"roles": ["hr"]})
        assert answer.status_code == 404
        unknown = client.request(method, f"/api/v1/members/{uuid4()}{path}", json={"roles": ["hr"]})
        assert answer.json() == unknown.json()


def test_legal_sets_the_terms_and_hr_does_not(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.HR)
    assert client.patch("/api/v1/tenant", json={"source_days": 3}).status_code == 403
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    changed = client.patch("/api/v1/tenant", json={"source_days": 3, "contact": "dpo@zebra.example"}).json()
    assert (changed["source_days"], changed["headshot_days"], changed["contact"]) == (3, 30, "dpo@zebra.example")
    assert client.patch("/api/v1/tenant", json={"source_days": 9}).status_code == 422
    assert client.patch("/api/v1/tenant", json={"contact": "x" * 1_000_000}).status_code == 422
    assert client.patch("/api/v1/tenant", json={"employee_quota": 10**6}).status_code == 400


def test_looks_are_hrs_and_hidden_from_other_companies(kernel: Kernel, client: TestClient[Any]) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    sign_in_member(client, kernel, tenant)
    look = client.post("/api/v1/looks", json=LOOK).json()
    words = {key: value for key, value in LOOK.items() if key != "name"}
    revised = client.post(f"/api/v1/looks/{look['id']}/revise", json=words | {"light": "daylight"}).json()
    assert revised["version"] == 2
    assert client.post("/api/v1/looks", json=LOOK | {"name": "'; drop table look"}).status_code == 201
    assert client.post("/api/v1/looks", json=LOOK | {"dress": "\0"}).status_code == 422
    sign_in_member(client, kernel, other)
    assert revised["id"] not in [one["id"] for one in client.get("/api/v1/looks").json()]
    assert client.delete(f"/api/v1/looks/{revised['id']}").status_code == 404
    sign_in_member(client, kernel, tenant, Role.LEGAL)
    assert client.post("/api/v1/looks", json=LOOK | {"name": "Other"}).status_code == 403
    sign_in_member(client, kernel, tenant)
    assert client.delete(f"/api/v1/looks/{revised['id']}").status_code == 204
