"""Two persons who decide about a hold: never one person with a puppet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from batch.models import Employee
from compliance import holds
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from tenants.members import chains, members
from tenants.models import Member, Role
from tests.factories import make_member, sign_in
from tests.handed_in import make_person

API = "/api/v1"


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


class Desk:
    """One company's members, each with their own hands, over HTTP."""

    def __init__(self, kernel: Kernel, client: TestClient[Any], person: Employee) -> None:
        self.kernel, self.client, self.person, self.tenant = kernel, client, person, person.tenant_id

    def as_(self, member: Member) -> TestClient[Any]:
        sign_in(self.client, self.kernel, self.tenant, Kind.MEMBER, member.id)
        return self.client

    def invites(self, inviter: Member, *roles: Role) -> Member:
        """Through the API, and the new one comes in."""
        number = len(self.as_(inviter).get(f"{API}/members").json())
        new = {"name": f"P{number}", "email": f"p{number}@zebra.example", "roles": [str(role) for role in roles]}
        answer = self.client.post(f"{API}/members", json=new)
        assert answer.status_code == 201
        with self.kernel.db.transaction(self.tenant) as session:
            members.came_in(session, UUID(answer.json()["member"]["id"]), utc_now())
            return members.get(session, UUID(answer.json()["member"]["id"]))

    def places(self, member: Member) -> str:
        wish = {
            "employee_id": str(self.person.id), "basis": "warrant", "reference": "12 C 345/26", "reason": "Evidence",
            "expires_at": (utc_now() + timedelta(days=5)).isoformat(),
        }  # fmt: skip
        return str(self.as_(member).post(f"{API}/holds", json=wish).json()["id"])

    def confirms(self, member: Member, hold: str) -> str:
        return said(self.as_(member).post(f"{API}/holds/{hold}/confirm"))

    def lifts(self, member: Member, hold: str) -> str:
        return said(self.as_(member).delete(f"{API}/holds/{hold}"))

    def held(self) -> bool:
        with self.kernel.db.transaction(self.tenant) as session:
            return self.person.id in holds.held(session, utc_now())


def said(answer: Any) -> str:
    return "ok" if answer.status_code == 200 else str(answer.json()["type"]).rpartition(":")[2]


@pytest.fixture
def desk(kernel: Kernel, client: TestClient[Any], alice: Employee) -> Desk:
    return Desk(kernel, client, alice)


def test_a_puppet_neither_confirms_nor_lifts(kernel: Kernel, desk: Desk) -> None:
    first = make_member(kernel, desk.tenant, Role.OWNER, Role.LEGAL)
    puppet = desk.invites(first, Role.OWNER, Role.LEGAL)
    puppets_puppet = desk.invites(puppet, Role.LEGAL)
    hold = desk.places(first)
    assert desk.confirms(first, hold) == "same-person"
    assert desk.confirms(puppet, hold) == "not-apart"
    assert desk.confirms(puppets_puppet, hold) == "not-apart"
    # The other way round as well: who was invited places, the inviter confirms.
    other = desk.places(puppets_puppet)
    assert desk.confirms(first, other) == desk.confirms(puppet, other) == "not-apart"
    assert not desk.held()
    # Two whom the same person invited are two persons.
    sibling = desk.invites(first, Role.LEGAL)
    assert desk.confirms(sibling, desk.places(puppets_puppet)) == "ok"
    assert desk.held()


def test_lifting_takes_two_of_the_same_kind(kernel: Kernel, desk: Desk) -> None:
    first, second = (make_member(kernel, desk.tenant, Role.OWNER, Role.LEGAL) for _ in range(2))
    puppet = desk.invites(first, Role.LEGAL)
    hold = desk.places(first)
    assert desk.confirms(second, hold) == "ok"
    assert desk.lifts(first, hold) == "ok"
    assert desk.held(), "the first of two only asks"
    assert desk.lifts(first, hold) == "same-person"
    assert desk.lifts(puppet, hold) == "not-apart"
    assert desk.held()
    assert desk.lifts(second, hold) == "ok"
    assert not desk.held()


def test_nobody_is_brought_in_for_it(kernel: Kernel, desk: Desk) -> None:
    first = make_member(kernel, desk.tenant, Role.LEGAL)
    hr = make_member(kernel, desk.tenant, Role.HR)
    hold = desk.places(first)
    late = make_member(kernel, desk.tenant, Role.LEGAL)
    assert desk.confirms(late, hold) == "not-there-before"
    # Nor by giving the role to somebody who was there for something else.
    boss = make_member(kernel, desk.tenant, Role.OWNER, Role.LEGAL)
    promoted = desk.as_(boss).patch(f"{API}/members/{hr.id}", json={"roles": ["legal"]})
    assert promoted.status_code == 200
    assert desk.confirms(hr, hold) == "not-there-before"
    assert desk.confirms(hr, desk.places(late)) == "ok"


def test_who_gave_a_role_is_in_the_chain_whatever_comes_later(kernel: Kernel, desk: Desk) -> None:
    giver, other = (make_member(kernel, desk.tenant, Role.OWNER, Role.LEGAL) for _ in range(2))
    hr = make_member(kernel, desk.tenant, Role.HR)
    for by, roles in ((giver, ["owner", "legal"]), (hr, ["legal"]), (other, ["legal", "owner"])):
        assert desk.as_(by).patch(f"{API}/members/{hr.id}", json={"roles": roles}).status_code == 200
    hold = desk.places(giver)
    assert desk.confirms(hr, hold) == "not-apart"
    assert desk.confirms(hr, desk.places(other)) == "not-apart"
    assert desk.confirms(other, hold) == "ok"


def test_a_waiting_invitation_is_no_second_person(kernel: Kernel, desk: Desk) -> None:
    first = make_member(kernel, desk.tenant, Role.LEGAL)
    with kernel.db.transaction(desk.tenant) as session:
        waiting = members.invite_member(session, kernel.keys, "w@zebra.example", "Waits", [Role.LEGAL])
    hold = desk.places(first)
    assert desk.confirms(waiting, hold) == "not-there-before"


def test_a_wish_to_lift_by_somebody_who_left_holds_nobody_up(kernel: Kernel, desk: Desk) -> None:
    first, second, third = (make_member(kernel, desk.tenant, Role.OWNER, Role.LEGAL) for _ in range(3))
    hold = desk.places(first)
    assert desk.confirms(second, hold) == desk.lifts(first, hold) == "ok"
    assert desk.as_(third).delete(f"{API}/members/{first.id}").status_code == 204
    assert desk.lifts(second, hold) == "ok"
    assert desk.held(), "who asks anew is the first of two"
    assert desk.lifts(third, hold) == "ok"
    assert not desk.held()


def test_a_hold_that_nobody_confirmed_is_taken_back_by_one(kernel: Kernel, desk: Desk) -> None:
    first = make_member(kernel, desk.tenant, Role.LEGAL)
    hold = desk.places(first)
    assert desk.lifts(first, hold) == "ok"
    assert desk.as_(first).get(f"{API}/holds").json()[0]["lifted_at"]


def test_the_page_says_where_two_are_missing_and_what_to_do(kernel: Kernel, desk: Desk) -> None:
    first = make_member(kernel, desk.tenant, Role.OWNER, Role.LEGAL)
    page = desk.as_(first).get("/legal").text
    assert "No two members here can place a hold together" in page
    puppet = desk.invites(first, Role.LEGAL)
    assert "Invite two people to legal" in desk.as_(first).get("/legal").text
    hold = desk.places(first)
    page = desk.as_(puppet).get("/legal").text
    assert "Nobody can be the second person" in page
    assert f"/legal/holds/{hold}/confirm" not in page
    answer = desk.client.post(f"/legal/holds/{hold}/confirm")
    assert answer.status_code == 409
    assert "You and the first one stand in such a chain" in answer.text
    desk.invites(first, Role.LEGAL)
    assert "No two members here" not in desk.as_(first).get("/legal").text


def test_a_second_person_may_come_in_through_the_api_only_for_their_own_company(kernel: Kernel, desk: Desk) -> None:
    first = make_member(kernel, desk.tenant, Role.LEGAL)
    hold = desk.places(first)
    bob = make_person(kernel)
    stranger = make_member(kernel, bob.tenant_id, Role.LEGAL)
    sign_in(desk.client, kernel, bob.tenant_id, Kind.MEMBER, stranger.id)
    assert said(desk.client.post(f"{API}/holds/{hold}/confirm")) == "hold-missing"


def test_a_ring_of_givers_ends() -> None:
    one, other = UUID(int=1), UUID(int=2)
    ring = {
        one: Member(id=one, tenant_id=one, email_index=b"", profile=b"", roles=["legal"], roles_by=[str(other)]),
        other: Member(id=other, tenant_id=one, email_index=b"", profile=b"", roles=["legal"], invited_by=one),
    }
    assert chains.makers(ring, one) == {other}
    assert not chains.apart(ring, one, other)
    assert not chains.apart(ring, one, UUID(int=3))
