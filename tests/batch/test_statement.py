"""Credits as a statement that both an owner and HR read, and retakes as both sides see them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
from litestar import Litestar
from litestar.testing import TestClient

from batch.models import Employee, SittingState
from batch.sittings import headshots, sittings
from batch.visit import consents, invitations, reminders
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants import credits
from tenants.models import Role
from tests.factories import give_consent, make_batch, make_employee, make_tenant, sign_in_employee, sign_in_member
from tests.handed_in import make_headshots, make_person, run_sitting

API = "/api/v1/credits"


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def people(client: TestClient[Any]) -> dict[str, tuple[str, str]]:
    return {one["name"]: (one["standing"], one["stage"]) for one in client.get(f"{API}/people").json()}


def test_a_credit_is_set_aside_charged_given_back_and_refunded(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, stranger = make_tenant(kernel, with_credits=10), make_tenant(kernel, with_credits=7)
    now = utc_now()
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session, name="Autumn")
        made = {
            name: make_employee(session, kernel, batch=batch, full_name=name, employee_key=f"-{name}")
            for name in ("Waits", "Declines", "Revoked", "Served", "Later")
        }
        for row, person in enumerate(made.values(), 2):
            person.row = row
        invitations.invite_all(session, [made[name].id for name in ("Waits", "Declines", "Revoked")], now)
    with kernel.db.transaction(tenant) as session:
        consents.decline(session, made["Declines"].id, now)
        invitations.revoke(session, [made["Revoked"].id], now)
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, made["Served"])
    make_headshots(kernel, made["Served"], 2)
    sign_in_member(client, kernel, tenant)
    assert people(client) == {
        "Waits": ("reserved", "invited"),
        # As long as the invitation runs, a no looks like no answer.
        "Declines": ("reserved", "invited"),
        "Revoked": ("released", "added"),
        "Served": ("charged", "ready"),
        "Later": ("none", "added"),
    }
    assert client.get(API).json() == {"left": 7, "set_aside": 2, "charged": 1, "given_back": 1, "refunded": 0}
    assert client.get(f"{API}/batches").json() == [
        {"batch_id": str(batch.id), "set_aside": 2, "charged": 1, "given_back": 1, "refunded": 0, "not_taking_part": 0}
    ]
    days = {one["kind"]: (one["credits"], one["movements"], one["balance"]) for one in client.get(f"{API}/days").json()}
    assert days == {"grant": (10, 1, 7), "reserve": (-4, 4, 7), "charge": (0, 1, 7), "release": (1, 1, 7)}
    page = client.get("/desk/credits", headers={"accept": "text/html"}).text
    assert "2 set aside · 1 charged · 1 given back" in page
    assert "set aside</span>" in page
    book = openpyxl.load_workbook(io.BytesIO(client.get(f"{API}/export").content))
    assert book.sheetnames == ["Credits", "People"]
    rows = [[cell.value for cell in row] for row in book["People"]]
    assert [row[1] for row in rows[1:]] == ["Waits", "Declines", "Revoked", "Served", "Later"]
    assert rows[1][0] == "-Waits"
    assert book["People"]["A2"].data_type == "s", "no cell is a formula"
    csv = client.get(f"{API}/export?form=csv&people=true").content.decode("utf-8-sig")
    assert '"\'-Waits"' in csv
    assert client.get(f"{API}/people?most=2").headers["link"].startswith("<")
    # An owner and an auditor see the figures and nobody.
    for role in (Role.OWNER, Role.AUDITOR):
        sign_in_member(client, kernel, tenant, role)
        assert client.get(f"{API}/days").status_code == 200
        assert client.get(f"{API}/people").status_code == 403
        assert openpyxl.load_workbook(io.BytesIO(client.get(f"{API}/export").content)).sheetnames == ["Credits"]
        assert b"Waits" not in client.get(f"{API}/export?form=csv&people=true").content
        assert "Waits" not in client.get("/desk/credits", headers={"accept": "text/html"}).text
    sign_in_member(client, kernel, stranger)
    assert client.get(API).json()["left"] == 7
    assert people(client) == {}
    assert "Waits" not in client.get("/desk/credits", headers={"accept": "text/html"}).text


def test_who_does_not_take_part_is_counted_and_not_told_apart(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, now = make_tenant(kernel, with_credits=10), utc_now()
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        said_no, silent = (make_employee(session, kernel, batch=batch, full_name=name) for name in ("No", "Silent"))
        invitations.invite_all(session, [said_no.id, silent.id], now)
        consents.decline(session, said_no.id, now)
    with kernel.db.transaction(tenant) as session:
        for person in (said_no, silent):
            standing = invitations.standing(session, person.id)
            assert standing is not None
            standing.expires_at = now
            session.add(standing)
    reminders.run_out(kernel, utc_now())
    sign_in_member(client, kernel, tenant)
    assert people(client) == {}
    (line,) = client.get(f"{API}/batches").json()
    assert (line["set_aside"], line["given_back"], line["not_taking_part"]) == (0, 0, 2)
    assert client.get(API).json()["left"] == 10


def test_retakes_and_the_refund_are_states_that_both_sides_see(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel, with_credits=5)
    html = {"accept": "text/html"}

    def told() -> tuple[str, str, dict[str, Any]]:
        sign_in_member(client, kernel, person.tenant_id)
        desk = client.get(f"/desk/people/{person.roster_id}", headers=html).text
        api = client.get(f"/api/v1/employees/{person.roster_id}/credit").json()
        sign_in_employee(client, kernel, person)
        return desk, client.get("/visit/headshots", headers=html).text, api

    make_headshots(kernel, person, 2)
    desk, visit, api = told()
    assert "No retake was asked for" in desk
    assert "made again, twice, at no cost" in visit
    assert (api["standing"], api["retake"], api["free_retakes"]) == ("charged", "none", 2)
    again = retaken(kernel, person)
    desk, visit, api = told()
    assert "A new set is being made. The one before stays" in desk
    assert (api["retake"], api["free_retakes"]) == ("asked", 1)
    made = run_sitting(kernel, again, 2)
    desk, visit, api = told()
    assert "The new set is there, beside the one before" in desk
    assert "made again once more at no cost" in visit
    assert api["retake"] == "offered"
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [made[0].id], utc_now())
    assert told()[2]["retake"] == "accepted"
    run_sitting(kernel, retaken(kernel, person), 1)
    desk, visit, api = told()
    assert "Both free retakes are used up. If none is right, say so" in visit
    assert client.post("/visit/reshoot", headers=html).status_code in (200, 303)
    desk, visit, api = told()
    assert "Both free retakes are used up, and the credit was given back" in desk
    assert "your company's credit was given back" in visit.replace("&#39;", "'")
    assert (api["standing"], api["retake"]) == ("refunded", "refunded")
    with kernel.db.transaction(person.tenant_id) as session:
        assert credits.balance(session) == 5
        assert sittings.latest_of(session, person.id).state == SittingState.DONE  # type: ignore[union-attr]
    sign_in_member(client, kernel, make_tenant(kernel))
    assert client.get(f"/api/v1/employees/{person.roster_id}/credit").status_code == 404


def retaken(kernel: Kernel, person: Employee) -> Any:
    with kernel.db.transaction(person.tenant_id) as session:
        found = sittings.reshoot(session, person.id, utc_now())
        assert found is not None
        return found


def test_a_retake_that_failed_and_is_tried_again_stands_where_its_newest_try_does(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, neighbour = make_person(kernel, with_credits=5), make_person(kernel, with_credits=5)
    for somebody in (person, neighbour):
        make_headshots(kernel, somebody, 2)
        failing(kernel, retaken(kernel, somebody))

    def told(somebody: Employee) -> tuple[str, int]:
        sign_in_member(client, kernel, somebody.tenant_id)
        api = client.get(f"/api/v1/employees/{somebody.roster_id}/credit").json()
        return api["retake"], api["free_retakes"]

    assert told(person) == ("failed", 1)
    with kernel.db.transaction(person.tenant_id) as session:
        again = sittings.submit(session, person.id, utc_now())
    assert told(person) == ("asked", 1)
    made = run_sitting(kernel, again, 2)
    assert told(person) == ("offered", 1)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [made[0].id], utc_now())
    assert told(person) == ("accepted", 1)
    assert told(neighbour) == ("failed", 1)


def failing(kernel: Kernel, sitting: Any) -> None:
    with kernel.db.transaction(sitting.tenant_id) as session:
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        assert sittings.fail(session, sitting.id, fence, "None of the headshots looked enough like you.")
