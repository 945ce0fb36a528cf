"""Pages for what only programs could ask for: a person's requests, HR's deletion, a company's leaving."""

from __future__ import annotations

import re
from typing import Any

from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import col, select

from compliance import requests
from compliance.desk import leaving
from compliance.erasure import erasures
from compliance.models import Trigger
from likeness import ledger
from likeness.kernel import Kernel
from likeness.mail.mail import Mail
from tenants.models import Role
from tests.compliance.people import colleague_of, full_person
from tests.dashboard.markup import get
from tests.factories import begin_held, sign_in_employee, sign_in_member
from tests.handed_in import make_person


def test_a_person_asks_on_their_page_and_finds_their_certificates(client: TestClient[Any], kernel: Kernel) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    sign_in_employee(client, kernel, alice)
    face = get(client, "/visit/face")
    assert 'href="/visit/requests"' in face
    assert 'href="/visit/certificates"' in face
    assert "Nothing yet." in get(client, "/visit/requests")
    for kind in ("rectification", "access", "objection"):
        assert client.post("/visit/requests", data={"kind": kind}, follow_redirects=False).status_code == 303
    page = get(client, "/visit/requests")
    assert "Your photos are not used at the moment" in page
    assert page.count("You get an answer by") == 2
    assert "Your data is ready for you to take" in page
    assert client.post("/visit/processing/resume").status_code == 200
    assert "Your photos are not used" not in get(client, "/visit/requests")
    refused = client.post("/visit/requests", data={"kind": "<script>"})
    assert refused.status_code == 422
    assert "<script>alert" not in refused.text
    erasing = client.post("/visit/requests", data={"kind": "erasure"}, follow_redirects=False)
    assert erasing.headers["location"] == "/visit/delete"
    with kernel.db.transaction(bob.tenant_id) as session:
        assert requests.of(session, bob.id) == []
    assert get(client, "/visit/certificates")


def test_hr_deletes_what_the_page_counted(client: TestClient[Any], kernel: Kernel) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    colleague = colleague_of(kernel, alice)
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    where = f"/desk/people/{alice.roster_id}/delete"
    assert where in get(client, f"/desk/people/{alice.roster_id}")
    page = get(client, where)
    assert "Nadia Ümit" in page
    assert "6 selfies" in page
    assert "2 headshots, released or not" in page
    counted = dict(re.findall(r'name="(people|objects)" value="(\d+)"', page))
    stale = client.post(where, data=counted | {"objects": "1"}, follow_redirects=False)
    assert stale.status_code == 409
    assert "Nothing was deleted" in stale.text
    done = client.post(where, data=counted, follow_redirects=False)
    assert "The deletion of 1 person is asked for" in get(client, done.headers["location"])
    begin_held(kernel, alice.tenant_id, most=1)
    batch = get(client, f"/desk/batches/{alice.batch_id}/delete")
    assert "The deletion of 1 person was asked for before." in batch
    with kernel.db.transaction(alice.tenant_id) as session:
        assert erasures.open_of(session, alice.id).trigger == Trigger.EMPLOYER  # type: ignore[union-attr]
        assert erasures.open_of(session, colleague.id) is None
    assert get(client, f"/desk/people/{bob.roster_id}/delete", 404)
    sign_in_member(client, kernel, alice.tenant_id, Role.BRAND)
    assert client.get(where, follow_redirects=False).status_code == 403


def test_an_owner_has_the_company_leave_and_calls_it_off(client: TestClient[Any], kernel: Kernel) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    owner = sign_in_member(client, kernel, alice.tenant_id, Role.OWNER)
    assert "/settings/leaving" in get(client, "/settings")
    page = get(client, "/settings/leaving")
    assert "1 person with all that is held of them" in page
    wish = {"people": "1", "name": "Zebra", "hand_back": "yes"}
    wrong = client.post("/settings/leaving", data=wish)
    assert wrong.status_code == 422
    assert "Nothing was begun" in wrong.text
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update web_session set authenticated_at = now() - interval '1 hour'"))
    assert (
        client.post("/settings/leaving", data=wish | {"name": "Zebra Works"}, follow_redirects=False).status_code != 200
    )
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("update web_session set authenticated_at = now()"))
    begun = client.post("/settings/leaving", data=wish | {"name": "Zebra Works"})
    assert "/left/" in begun.text
    assert "not before HR has taken" in begun.text
    assert "/left/" not in get(client, "/settings/leaving")
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    assert "/api/v1/leaving/package" in get(client, "/settings")
    assert client.get("/settings/leaving", follow_redirects=False).status_code == 403
    sign_in_member(client, kernel, alice.tenant_id, Role.OWNER)
    client.post("/settings/leaving/call-off")
    with kernel.db.transaction(alice.tenant_id) as session:
        assert leaving.open_of(session) is None
        told = session.exec(select(Mail).where(col(Mail.owner_id) == owner.id, col(Mail.template) == "leaving")).all()
    assert len(told) == 1
    with kernel.db.transaction(bob.tenant_id) as session:
        assert leaving.open_of(session) is None


def test_the_log_comes_page_by_page(client: TestClient[Any], kernel: Kernel) -> None:
    alice = make_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        for _ in range(70):
            ledger.record(session, "test.happened")
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    where, seen = "/legal/ledger", []
    while where:
        page = get(client, where)
        numbers = [int(one) for one in re.findall(r'class="number">(\d+)<', page)]
        assert len(numbers) <= 30
        seen += numbers
        older = re.search(r'href="(/legal/ledger\?before=\d+)"', page)
        where = older[1] if older else ""
    with kernel.db.transaction(alice.tenant_id) as session:
        last = ledger.head(session)
    assert last is not None
    assert seen == list(range(last.sequence, 0, -1))
    assert get(client, "/legal/ledger?before=nonsense")
    assert "There are no older entries" in get(client, "/legal/ledger?before=1")
