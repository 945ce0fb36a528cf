"""Where a company approves released headshots: what waits, what can be downloaded, and what who is asked may do."""

from __future__ import annotations

import io
import zipfile
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient

from batch.models import Employee, Headshot
from batch.photos import rejections
from batch.sittings import approvals, headshots
from batch.visit import invitations
from compliance.rights import reading
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants import tenants
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import make_employee, run_jobs, sign_in_employee, sign_in_member
from tests.handed_in import make_headshots, make_person


def released(kernel: Kernel, client: TestClient[Any], *, approves: bool = True) -> tuple[Employee, list[Headshot]]:
    """Somebody of a company that approves, with three headshots, the first of which is released."""
    person = make_person(kernel)
    with kernel.db.transaction(person.tenant_id) as session:
        tenants.change_approval(session, approves=approves, caller="member:x")
        invitations.invite_all(session, [person.id], utc_now())
    made = make_headshots(kernel, person)
    sign_in_employee(client, kernel, person)
    client.post("/visit/hand-over", data={"headshots": str(made[0].id)})
    return person, made


def in_archive(client: TestClient[Any], person: Employee) -> int:
    packed = client.get(f"/api/v1/headshots/archive?person={person.roster_id}").content
    return sum(name != "manifest.csv" for name in zipfile.ZipFile(io.BytesIO(packed)).namelist())


def test_hr_or_an_owner_says_so_and_people_read_it_first(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    one = make_headshots(kernel, person, 1)[0]
    sign_in_member(client, kernel, person.tenant_id, Role.BRAND)
    assert client.post("/settings/approval", data={"approves": "on"}).status_code == 403
    assert client.patch("/api/v1/tenant/approval", json={"approves": True}).status_code == 403
    sign_in_employee(client, kernel, person)
    assert "before it is used" not in get(client, f"/visit/hand-over?headshot={one.id}")
    for role in (Role.OWNER, Role.HR):
        sign_in_member(client, kernel, person.tenant_id, role)
        assert client.patch("/api/v1/tenant/approval", json={"approves": False}).json() == {"approves": False}
    assert "Saved" in client.post("/settings/approval", data={"approves": "on"}).text
    sign_in_employee(client, kernel, person)
    page = get(client, f"/visit/hand-over?headshot={one.id}")
    assert "download it once it has approved it" in page
    assert "see and download what you hand over" not in page
    assert "looks at what you release before it is used" in page
    assert all(words.replace("'", "&#39;") in page for words in approvals.REASONS.values())


def test_only_what_is_approved_is_downloaded(client: TestClient[Any], kernel: Kernel) -> None:
    alice, made = released(kernel, client)
    bob, theirs = released(kernel, client)
    sign_in_member(client, kernel, alice.tenant_id)
    (waiting,) = client.get("/api/v1/headshots/approval").json()
    assert (waiting["id"], waiting["approval"]) == (str(made[0].shelf_id), "waiting")
    assert in_archive(client, alice) == 0
    assert "Download all" not in get(client, "/desk/headshots")
    assert "1 headshot waits for approval" in get(client, "/desk/headshots")
    assert "headshot waits for approval" in get(client, "/desk")
    # Another company's, and one of both: nothing is approved.
    for ids in ([theirs[0].shelf_id], [made[0].shelf_id, theirs[0].shelf_id]):
        answer = client.post("/api/v1/headshots/approval", json={"headshot_ids": [str(one) for one in ids]})
        assert answer.status_code == 404
    assert client.post(f"/desk/headshots/{theirs[0].shelf_id}/another", data={"reason": "crop"}).status_code == 404
    assert client.post("/desk/headshots/approval", data={}).status_code == 422
    done = client.post("/desk/headshots/approval", data={"headshot": [str(made[0].shelf_id)]})
    assert "They can be downloaded now" in done.text
    assert in_archive(client, alice) == 1
    sign_in_member(client, kernel, alice.tenant_id, Role.BRAND)
    wish = {"headshot_ids": [str(made[0].shelf_id)]}
    assert client.post("/api/v1/headshots/approval", json=wish).status_code == 403
    # A company that does not approve goes on as before.
    sign_in_member(client, kernel, bob.tenant_id)
    client.post("/settings/approval", data={"approves": ""})
    assert in_archive(client, bob) == 1
    answer = client.post("/api/v1/headshots/approval", json={"headshot_ids": [str(theirs[0].shelf_id)]})
    assert answer.status_code == 409


def test_another_is_asked_for_with_a_reason_and_answered(client: TestClient[Any], kernel: Kernel) -> None:
    alice, made = released(kernel, client)
    with kernel.db.transaction(alice.tenant_id) as session:
        colleague = make_employee(session, kernel)
    one, other, _ = made
    sign_in_member(client, kernel, alice.tenant_id)
    at = f"/desk/headshots/{one.shelf_id}/another"
    for wrong in ("", "face", "skin"):
        assert client.post(at, data={"reason": wrong}).status_code == 422
    assert "They have not answered yet" in client.post(at, data={"reason": "glare"}).text
    assert client.post(at, data={"reason": "crop"}).status_code == 409
    assert in_archive(client, alice) == 0
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        (letter,) = (mail.read(kernel.keys, each) for each in mail.mailbox(session) if each.template == "another")
        events = [entry.event for entry in ledger.entries(session, subject=alice.id)]
        assert "release.returned" in events
        kept = reading.everything(session, kernel, alice).records["release"]
        assert kept[0]["returned_for"] == "glare"
    assert letter is not None
    assert "asks for another" in letter.subject
    sign_in_employee(client, kernel, colleague)
    assert client.get("/api/v1/visit/release/asked").json() == []
    assert client.post(f"/visit/headshots/{one.id}/keep-released").status_code == 404
    sign_in_employee(client, kernel, alice)
    for page in ("/visit/headshots", "/visit/done"):
        assert "Light is reflected in the glasses." in get(client, page)
    (asked,) = client.get("/api/v1/visit/release/asked").json()
    assert (asked["headshot_id"], asked["reason"]) == (str(one.id), "Light is reflected in the glasses.")
    client.put("/api/v1/visit/language", json={"language": "de"})
    assert "In der Brille spiegelt sich Licht." in get(client, "/visit/done")
    client.put("/api/v1/visit/language", json={"language": "en"})
    # Another one takes its place.
    assert "asked to have changed" in get(client, f"/visit/hand-over?headshot={other.id}")
    client.post("/visit/hand-over", data={"headshots": str(other.id)})
    assert client.get("/api/v1/visit/release/asked").json() == []
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [each.headshot.id for each in headshots.released(session, None, utc_now())] == [other.id]
        assert len(headshots.of(session, alice.id, utc_now())) == 3
    # The other one she keeps: HR sees it as released, does not ask again, and may approve it.
    sign_in_member(client, kernel, alice.tenant_id)
    answer = client.post(f"/api/v1/headshots/{other.shelf_id}/another", json={"reason": "dress"})
    assert answer.status_code == 204
    sign_in_employee(client, kernel, alice)
    client.post(f"/visit/headshots/{other.id}/keep-released")
    assert "you kept it" in get(client, "/visit/done")
    sign_in_member(client, kernel, alice.tenant_id)
    assert "They keep this one." in get(client, "/desk/headshots/approval")
    assert client.post(f"/api/v1/headshots/{other.shelf_id}/another", json={"reason": "crop"}).status_code == 409
    wish = {"headshot_ids": [str(other.shelf_id)]}
    assert client.post("/api/v1/headshots/approval", json=wish).json() == {"approved": 1}
    assert client.post("/api/v1/headshots/approval", json=wish).json() == {"approved": 0}
    assert in_archive(client, alice) == 1


@pytest.mark.parametrize("many", [False, True])
def test_the_public_page_counts_reasons_of_many_and_not_of_few(
    client: TestClient[Any], kernel: Kernel, many: bool
) -> None:
    person = make_person(kernel)
    tenant: UUID = person.tenant_id
    with kernel.db.transaction(tenant) as session:
        tenants.change_approval(session, approves=True, caller="member:x")
        rejections.count(session, rejections.LOOKED_AT_BY_HR, utc_now(), rejections.LEAST_LOOKED_AT if many else 3)
        rejections.count(session, f"{rejections.ANOTHER}crop", utc_now(), 2)
        assert rejections.of_company(session, utc_now()).refused == {}
    page = get(client, f"/retention/{tenant}")
    assert "looks at released headshots before it uses them" in page
    assert ("The crop does not fit" in page) == many
