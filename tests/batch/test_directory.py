"""The company's directory: SCIM as the standard's own checker sees it, as Okta and Entra speak it, and its limits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.testing import TestClient
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server
from sqlalchemy import text
from sqlmodel import Session, select

from batch.directory import groups
from batch.models import AddressChange, Employee
from batch.people import employees
from batch.sittings import sittings
from batch.visit import addresses, invitations
from compliance.desk import answering, deleting
from compliance.erasure import erasures
from compliance.models import Erasure, ErasureState, Trigger
from compliance.rights import attending
from compliance.rights.leavers import delete_leavers
from dashboard.visit.around.story import story
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail.mail import Mail
from tenants import tenants
from tenants.members import programs
from tenants.members.permissions import Permission
from tenants.models import Role
from tests.compliance.test_scoped_holds import Court
from tests.factories import begin_held, give_consent, make_employee, make_member, make_tenant, run_jobs, sign_in_member

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
MORE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
KIND = {"content-type": "application/scim+json"}


@pytest.fixture
def tenant(kernel: Kernel) -> UUID:
    return make_tenant(kernel, with_credits=50)


@pytest.fixture
def scim(kernel: Kernel, app: Any, tenant: UUID) -> Iterator[TestClient[Any]]:
    with directory_of(kernel, app, tenant) as client:
        yield client


def directory_of(kernel: Kernel, app: Any, tenant: UUID, *scope: Permission) -> TestClient[Any]:
    maker = make_member(kernel, tenant, Role.HR)
    with kernel.db.transaction(tenant) as session:
        _, token = programs.make(session, maker, "Directory", scope or [Permission.PEOPLE_PROVISION], utc_now())
    client = TestClient(app, base_url="http://testserver.local/scim/v2")
    client.headers.update({"authorization": f"Bearer {token}", "accept": "application/scim+json"})
    return client


def user(name: str, **more: Any) -> dict[str, Any]:
    given, _, family = name.partition(" ")
    address = f"{name.lower().replace(' ', '.')}@zebra.example"
    return {
        "schemas": [USER, MORE],
        "userName": address,
        "name": {"givenName": given, "familyName": family},
        "emails": [{"value": address, "type": "work", "primary": True}],
        "active": True,
    } | more


def put_on_list(scim: TestClient[Any], body: dict[str, Any]) -> str:
    answer = scim.post("/Users", json=body, headers=KIND)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def patched(scim: TestClient[Any], line: str, *operations: dict[str, Any]) -> Any:
    return scim.patch(f"/Users/{line}", json={"schemas": [PATCH], "Operations": list(operations)}, headers=KIND)


def row(session: Session, line: str) -> Employee:
    return session.exec(select(Employee).where(Employee.roster_id == UUID(line))).one()


def consented(kernel: Kernel, tenant: UUID, line: str) -> None:
    with kernel.db.transaction(tenant) as session:
        person = row(session, line)
        invitations.invite(session, person, utc_now())
        give_consent(session, kernel, person)
    run_jobs(kernel, tenant=tenant)


def mails(kernel: Kernel, tenant: UUID, template: str) -> int:
    with kernel.db.transaction(tenant) as session:
        return len(session.exec(select(Mail.id).where(Mail.template == template)).all())


class Checked(SyncSCIMClient):
    def _stays_under_base_url(self, endpoint: str) -> bool:
        return True  # The test's own client knows no other place.


def test_the_standards_own_checker_finds_no_fault(scim: TestClient[Any]) -> None:
    random.seed(7)  # It makes up what it sends.
    results = check_server(Checked(scim))
    bad = [f"{one.title}: {one.reason}" for one in results if one.status not in (Status.SUCCESS, Status.SKIPPED)]
    assert not bad, bad
    assert len(results) > 50


BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


def in_bulk(scim: TestClient[Any], *operations: Any, **more: Any) -> Any:
    return scim.post("/Bulk", json={"schemas": [BULK], "Operations": list(operations)} | more, headers=KIND)


def making(name: str, bulk_id: str) -> dict[str, Any]:
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": user(name)}


def test_several_operations_in_one_request(kernel: Kernel, tenant: UUID, app: Any, scim: TestClient[Any]) -> None:
    told = scim.get("/ServiceProviderConfig").json()["bulk"]
    assert told == {"supported": True, "maxOperations": 100, "maxPayloadSize": 2**20}
    members = [{"value": "bulkId:ada"}, {"value": "bulkId:bea"}]
    sales = {"schemas": [GROUP], "displayName": "Sales", "members": members}
    answer = in_bulk(
        scim,
        # What a group refers to is made first, wherever it stands.
        {"method": "POST", "path": "/Groups", "bulkId": "sales", "data": sales},
        making("Ada Berg", "ada"),
        making("Bea Lund", "bea"),
        {"method": "patch", "path": "/Users/bulkId:bea",
         "data": {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/scim+json")
    done = answer.json()["Operations"]
    assert [(one["method"], one.get("bulkId"), one["status"]) for one in done] == [
        ("POST", "sales", "201"), ("POST", "ada", "201"), ("POST", "bea", "201"), ("PATCH", None, "200"),
    ]  # fmt: skip
    ids = [one["location"].rpartition("/")[2] for one in done]
    assert [one["value"] for one in scim.get(f"/Groups/{ids[0]}").json()["members"]] == sorted(ids[1:3])
    assert ids[3] == ids[2], "the place that was named by a bulkId"
    assert scim.get(f"/Users/{ids[2]}").json()["active"] is False
    with kernel.db.transaction(tenant) as session:
        assert employees.profile(kernel.keys, row(session, ids[1])).department == "Sales"

    # One that fails undoes no other, and says why in SCIM's own words.
    with directory_of(kernel, app, make_tenant(kernel)) as other:
        theirs = put_on_list(other, user("Carl Stranger"))
    results = in_bulk(
        scim,
        making("Ada Berg", "again"),
        {"method": "DELETE", "path": f"/Users/{theirs}"},
        {"method": "POST", "path": "/Users", "data": user("No Id")},
        {"method": "GET", "path": f"/Users/{ids[1]}"},
        {"method": "PUT", "path": "/Schemas/x", "data": {}},
        {"method": "POST", "path": "/Groups", "bulkId": "lost", "data": sales},
        {"method": "POST", "path": "/Users", "bulkId": "bad", "data": {"userName": ""}},
        {"method": "DELETE", "path": f"/Users/{ids[1]}"},
    ).json()["Operations"]  # fmt: skip
    assert [one["status"] for one in results] == ["409", "404", "400", "400", "400", "409", "400", "204"]
    assert [one["response"].get("scimType") for one in results[:-1]] == [
        "uniqueness", None, "invalidValue", "invalidValue", "invalidPath", None, "invalidValue",
    ]  # fmt: skip
    assert all(one["response"]["detail"] and one["response"]["status"] == one["status"] for one in results[:-1])
    assert ["location" in one for one in results] == [False, True, False, True, True, False, False, True]
    assert scim.get(f"/Users/{ids[1]}").status_code == 404

    # It stops when as many have failed as were accepted: what comes after is not begun.
    for most, carried_out in ((1, 2), (2, 4), (9, 5)):
        wrong = {"method": "DELETE", "path": f"/Users/{theirs}"}
        names = [f"Dora {'abc'[most % 3]}{number}" for number in range(3)]
        operations = [making(names[0], "1"), wrong, making(names[1], "2"), wrong, making(names[2], "3")]
        part = in_bulk(scim, *operations, failOnErrors=most).json()["Operations"]
        assert len(part) == carried_out
        last = scim.get(f'/Users?filter=userName eq "{operations[-1]["data"]["userName"]}"').json()["totalResults"]
        assert last == (most == 9)

    # Limits, and what is no job at all.
    many = [{"method": "DELETE", "path": f"/Users/{theirs}"}] * 101
    assert in_bulk(scim, *many).status_code == 413
    assert in_bulk(scim, making("Too Long", "1") | {"version": "x" * 2**20}).status_code == 413
    assert scim.post("/Bulk", json={"Operations": "all"}, headers=KIND).status_code == 400
    assert in_bulk(scim, "no operation").status_code == 400
    assert in_bulk(scim, failOnErrors=0).status_code == 400
    with directory_of(kernel, app, tenant, Permission.PEOPLE_READ) as narrow:
        assert in_bulk(narrow, making("Ada Berg", "1")).status_code == 403


def test_what_okta_sends(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    asked = '/Users?filter=userName%20eq%20%22nadia.umit%40zebra.example%22&startIndex=1&count=100'
    assert scim.get(asked).json()["totalResults"] == 0
    body = user("Nadia Umit", externalId="00u1", displayName="Nadia Umit", locale="en-US", groups=[],
                password="1mz050nq", title="Engineer")  # fmt: skip
    answer = scim.post("/Users", json=body, headers={"content-type": "application/scim+json; charset=utf-8"})
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == made["meta"]["location"]
    assert "password" not in answer.text
    assert scim.get(asked.replace("nadia", "NADIA")).json()["Resources"][0]["id"] == made["id"]
    assert scim.post("/Users", json=body, headers=KIND).status_code == 409
    off = patched(scim, made["id"], {"op": "replace", "value": {"active": False}})
    assert off.status_code == 200
    assert off.json()["active"] is False
    with kernel.db.transaction(tenant) as session:
        person = row(session, made["id"])
        assert person.leaves_at is not None
        assert "1mz050nq" not in repr(employees.profile(kernel.keys, person))
    assert scim.put(f"/Users/{made['id']}", json=body | {"id": made["id"]}, headers=KIND).json()["active"] is True
    sales = {"schemas": [GROUP], "displayName": "Sales", "members": [{"value": made["id"]}]}
    group = scim.post("/Groups", json=sales, headers=KIND)
    assert group.json()["members"][0]["value"] == made["id"]
    with kernel.db.transaction(tenant) as session:
        assert employees.profile(kernel.keys, row(session, made["id"])).department == "Sales"


def test_what_entra_sends(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    made = put_on_list(scim, user("Ada Berg", externalId="58342554"))
    by_id = scim.get('/Users?filter=externalId+eq+%2258342554%22')
    assert [one["id"] for one in by_id.json()["Resources"]] == [made]
    changed = patched(
        scim, made,
        {"op": "Replace", "path": "name.familyName", "value": "Berg-Sand"},
        {"op": "Add", "path": f"{MORE}:department", "value": "Design"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "ada.sand@zebra.example"},
    )  # fmt: skip
    assert changed.status_code == 200, changed.text
    assert changed.json()["emails"][0]["value"] == "ada.sand@zebra.example"
    with kernel.db.transaction(tenant) as session:
        who = employees.profile(kernel.keys, row(session, made))
        assert (who.full_name, who.email, who.department) == ("Ada Berg-Sand", "ada.sand@zebra.example", "Design")
    assert patched(scim, made, {"op": "Replace", "path": "active", "value": "False"}).status_code == 200
    group = scim.post("/Groups", json={"schemas": [GROUP], "displayName": "Staff", "externalId": "8aa1"}, headers=KIND)
    path = f"/Groups/{group.json()['id']}"
    for op in ("Add", "Remove"):
        operation = {"op": op, "path": "members", "value": [{"value": made}]}
        answer = scim.patch(path, json={"schemas": [PATCH], "Operations": [operation]}, headers=KIND)
        assert answer.status_code == 200, answer.text
        assert bool(answer.json().get("members")) == (op == "Add")
    assert "members" not in scim.get(f"{path}?excludedAttributes=members").json()
    assert scim.delete(f"/Users/{made}").status_code == 204
    assert scim.get(f"/Users/{made}").status_code == 404


def test_hr_cannot_become_by_scim(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    line = put_on_list(scim, user("Nadia Umit", **{MORE: {"employeeNumber": "7"}}))
    consented(kernel, tenant, line)
    evil = [{"value": "hr@zebra.example", "type": "work", "primary": True}]
    # The new address is asked about at the old one, and both are told.
    assert patched(scim, line, {"op": "replace", "path": "emails", "value": evil}).status_code == 200
    assert patched(scim, line, {"op": "replace", "path": "displayName", "value": "N. Umit"}).status_code == 200
    run_jobs(kernel, tenant=tenant)
    assert (mails(kernel, tenant, "address-asked"), mails(kernel, tenant, "address-announced")) == (1, 1)
    with kernel.db.transaction(tenant) as session:
        person = row(session, line)
        assert employees.profile(kernel.keys, person).email == "nadia.umit@zebra.example"
        change = session.exec(select(AddressChange).where(AddressChange.employee_id == person.id)).one()
        told = session.execute(text("select count(*) from ledger_entry where event = 'address.asked'")).scalar_one()
        assert told == 1
        addresses.refuse(session, change, utc_now())
    # Said no: the same address again changes nothing, and does not stop the directory from saying that somebody left.
    assert patched(scim, line, {"op": "replace", "path": "emails", "value": evil}).status_code == 200
    back = [{"value": "nadia.umit@zebra.example", "type": "work", "primary": True}]
    assert patched(scim, line, {"op": "replace", "path": "emails", "value": back}).status_code == 200
    assert patched(scim, line, {"op": "replace", "path": "emails", "value": evil}).status_code == 409
    # Another name on the same line, with or without another address.
    other = user("Hans Roth", **{MORE: {"employeeNumber": "7"}})
    assert scim.put(f"/Users/{line}", json=other, headers=KIND).status_code == 409
    assert scim.put(f"/Users/{line}", json=other | {"emails": back}, headers=KIND).status_code == 409
    # The number or the address used again, after the directory forgot the user.
    assert scim.delete(f"/Users/{line}").status_code == 204
    assert scim.post("/Users", json=other, headers=KIND).status_code == 409
    same_address = user("Hans Roth", emails=back)
    assert scim.post("/Users", json=same_address, headers=KIND).status_code == 409
    with kernel.db.transaction(tenant) as session:
        person = row(session, line)
        who = employees.profile(kernel.keys, person)
        assert (who.full_name, who.email) == ("Nadia Umit", "nadia.umit@zebra.example")
        assert [entry.event for entry in ledger.entries(session, subject=person.id)].count("line.refused") == 5


def test_hr_cannot_become_by_a_number_that_the_directory_uses_again(
    kernel: Kernel, tenant: UUID, scim: TestClient[Any]
) -> None:
    """Before a consent as well, and after a withdrawal: nobody comes to a page that tells of the one before."""
    line = put_on_list(scim, user("Nadia Umit", **{MORE: {"employeeNumber": "7"}}))
    other = user("Hans Roth", **{MORE: {"employeeNumber": "7"}})
    with kernel.db.transaction(tenant) as session:
        invitations.invite_all(session, [row(session, line).id], utc_now())
    assert scim.put(f"/Users/{line}", json=other, headers=KIND).status_code == 409
    with kernel.db.transaction(tenant) as session:
        give_consent(session, kernel, row(session, line))
    with kernel.db.transaction(tenant) as session:
        sittings.withdraw(session, row(session, line).id, utc_now())
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=tenant)
    assert scim.put(f"/Users/{line}", json=other, headers=KIND).status_code == 409
    assert scim.delete(f"/Users/{line}").status_code == 204
    assert scim.post("/Users", json=other, headers=KIND).status_code == 409


def test_a_leaver_is_told_and_deleted_on_the_companys_day(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    with kernel.db.transaction(tenant) as session:
        tenants.change_directory(session, leaver_days=3, invite_joiners=False, caller="test")
    lines = [put_on_list(scim, user(name)) for name in ("Nadia Umit", "Ada Berg", "Never Asked")]
    members = [{"value": line} for line in lines]
    wish = {"schemas": [GROUP], "displayName": "Sales", "members": members}
    group = scim.post("/Groups", json=wish, headers=KIND).json()["id"]
    for line in lines[:2]:
        consented(kernel, tenant, line)
    for line in lines:
        assert patched(scim, line, {"op": "replace", "path": "active", "value": False}).status_code == 200
    run_jobs(kernel, tenant=tenant)
    assert mails(kernel, tenant, "leaver") == 2, "who was never asked is not written to"
    assert patched(scim, lines[1], {"op": "replace", "path": "active", "value": True}).status_code == 200
    run_jobs(kernel, tenant=tenant)
    assert mails(kernel, tenant, "leaver-stays") == 1
    for days, left in ((2, 3), (4, 1)):
        delete_leavers(kernel, utc_now() + timedelta(days=days))
        run_jobs(kernel, tenant=tenant, ahead=timedelta(minutes=2))
        with kernel.db.transaction(tenant) as session:
            assert len(session.exec(select(Employee.id)).all()) == left, days
    with kernel.db.transaction(tenant) as session:
        assert set(session.exec(select(Erasure.trigger))) == {"leaver"}
        tied = [one.subject_commitment is not None for one in session.exec(select(Erasure)).all()]
        assert sorted(tied) == [False, True], "who was asked gets the code that proves whose the certificate is"
    begin_held(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        assert [one.event for one in ledger.entries(session)].count("receipt.mailed") == 1
        assert set(session.exec(select(Erasure.state))) == {"certified"}
        assert groups.get(session, group).people == [lines[1]], "nothing is left of who was deleted"
    assert scim.get(f"/Users/{lines[0]}").status_code == 404
    assert scim.get(f"/Users/{lines[1]}").status_code == 200


class Leaving:
    """Somebody who left, and whose deletion a hold keeps."""

    def __init__(self, kernel: Kernel, app: Any, tenant: UUID, scim: TestClient[Any]) -> None:
        self.kernel, self.tenant, self.scim = kernel, tenant, scim
        with kernel.db.transaction(tenant) as session:
            tenants.change_directory(session, leaver_days=0, invite_joiners=False, caller="test")
        self.line = put_on_list(scim, user("Nadia Umit"))
        consented(kernel, tenant, self.line)
        self.court = Court(kernel, TestClient(app), self.person())
        self.hold = self.court.hold()

    def person(self) -> Employee:
        with self.kernel.db.transaction(self.tenant) as session:
            return row(session, self.line)

    def says(self, active: bool) -> Any:
        return patched(self.scim, self.line, {"op": "replace", "path": "active", "value": active})

    def goes(self) -> None:
        assert self.says(False).status_code == 200
        delete_leavers(self.kernel, utc_now() + timedelta(hours=1))
        run_jobs(self.kernel, tenant=self.tenant)
        assert self.states() == [("leaver", "held")]

    def states(self) -> list[tuple[str, str]]:
        with self.kernel.db.transaction(self.tenant) as session:
            return [(one.trigger, one.state) for one in erasures.all_erasures(session)]

    def attended(self) -> None:
        attending.attend(self.kernel, utc_now())
        run_jobs(self.kernel, tenant=self.tenant)


@pytest.fixture
def leaving(kernel: Kernel, app: Any, tenant: UUID, scim: TestClient[Any]) -> Leaving:
    return Leaving(kernel, app, tenant, scim)


@pytest.mark.parametrize("lifted_first", [False, True])
def test_who_stays_while_a_hold_keeps_their_deletion_is_not_deleted_when_it_ends(
    leaving: Leaving, lifted_first: bool
) -> None:
    leaving.goes()
    assert leaving.person().restricted_at is not None
    assert leaving.says(True).status_code == 200
    if not lifted_first:
        leaving.attended()
        assert leaving.person().restricted_at is None, "their photos may be used again"
    leaving.court.lift(leaving.hold)
    leaving.attended()
    assert mails(leaving.kernel, leaving.tenant, "leaver-stays") == 1
    assert leaving.states() == []
    assert leaving.person().restricted_at is None
    with leaving.kernel.db.transaction(leaving.tenant) as session:
        told = session.execute(text("select event from ledger_entry where subject = :id"), {"id": str(leaving.person().id)})
        assert {"erasure.requested", "erasure.held", "directory.back", "erasure.withdrawn"} <= set(told.scalars())
        (said,) = [one for one in story(session, leaving.person().id) if "called off" in one.sentence]
        assert said.count == 1
    # They may leave again.
    assert leaving.says(False).status_code == 200
    delete_leavers(leaving.kernel, utc_now() + timedelta(hours=1))
    run_jobs(leaving.kernel, tenant=leaving.tenant)
    begin_held(leaving.kernel, leaving.tenant)
    assert leaving.states() == [("leaver", "certified")]


def test_who_stays_keeps_their_own_wish_to_stop_and_their_own_deletion(leaving: Leaving) -> None:
    kernel, tenant, person = leaving.kernel, leaving.tenant, leaving.person()
    with kernel.db.transaction(tenant) as session:
        answering.stop(session, person.id, utc_now(), caller=f"employee:{person.id}")
    leaving.goes()
    assert leaving.says(True).status_code == 200
    leaving.attended()
    assert leaving.states() == []
    assert leaving.person().restricted_at is not None, "the person asked for it, and not the directory"
    leaving.goes()
    with kernel.db.transaction(tenant) as session:
        erasures.request(
            session, person.id, trigger=Trigger.PERSON, requested_by=f"employee:{person.id}", now=utc_now()
        )
    assert leaving.says(True).status_code == 200
    leaving.court.lift(leaving.hold)
    leaving.attended()
    assert leaving.states() == [("person", "certified")]


def test_who_stays_is_deleted_all_the_same_once_hr_has_asked_for_it(leaving: Leaving) -> None:
    kernel, tenant, person = leaving.kernel, leaving.tenant, leaving.person()
    leaving.goes()
    with kernel.db.transaction(tenant) as session:
        known = erasures.open_of(session, person.id)
        assert known is not None
        known.requested_at, long_ago = utc_now() - timedelta(days=60), utc_now() - timedelta(days=59)
        session.add(known)
        deleting.ask(session, [person.id], utc_now(), caller=f"member:{uuid4()}")
    begin_held(kernel, tenant)
    assert leaving.states() == [("employer", "held")]
    assert leaving.says(True).status_code == 200
    leaving.attended()
    with kernel.db.transaction(tenant) as session:
        asked, _ = erasures.ask(session, kernel, person.id, utc_now())
        assert asked.requested_at > long_ago, "by the person, today"
    leaving.court.lift(leaving.hold)
    leaving.attended()
    assert [state for _, state in leaving.states()] == ["certified"]


def test_it_is_too_late_to_stay_once_the_deletion_runs(leaving: Leaving) -> None:
    kernel, tenant = leaving.kernel, leaving.tenant
    leaving.goes()
    with kernel.db.transaction(tenant) as session:
        erasure = erasures.open_of(session, leaving.person().id)
        assert erasure is not None
        erasure.state = ErasureState.DELETING
        session.add(erasure)
    answer = leaving.says(True)
    assert answer.status_code == 409
    assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert "is being deleted" in answer.json()["detail"]
    assert "scimType" not in answer.json(), "no other user has what this one has"
    assert leaving.person().leaves_at is not None
    run_jobs(kernel, tenant=tenant)
    assert mails(kernel, tenant, "leaver-stays") == 0


def test_a_joiner_is_invited_if_the_company_wants_it(kernel: Kernel, app: Any, tenant: UUID, scim: TestClient[Any]) -> None:
    put_on_list(scim, user("Nadia Umit"))
    run_jobs(kernel, tenant=tenant)
    assert mails(kernel, tenant, "invitation") == 0
    with TestClient(app) as client:
        sign_in_member(client, kernel, tenant, Role.HR)
        data = {"leaver_days": "0", "invite_joiners": "1"}
        assert client.post("/team/directory", data=data, follow_redirects=False).status_code == 303
        assert client.post("/team/directory", data={"leaver_days": "31"}).status_code == 422
        assert "/scim/v2" in client.get("/team/keys").text
        # A program with a key changes the rule no more than somebody who left their screen unlocked.
        rule = {"leaver_days": 0, "invite_joiners": True}
        by_key = scim.patch(str(client.base_url.join("/api/v1/tenant/directory")), json=rule)
        assert by_key.status_code == 403
        assert client.patch("/api/v1/tenant/directory", json=rule).status_code == 200
        with kernel.db.transaction(tenant) as session:
            session.execute(text("update web_session set authenticated_at = authenticated_at - interval '6 minutes'"))
        late = client.patch("/api/v1/tenant/directory", json=rule)
        assert (late.status_code, late.json()["type"]) == (403, "urn:likeness:fresh-sign-in-needed")
        assert client.post("/team/directory", data=data, follow_redirects=False).status_code != 303
    put_on_list(scim, user("Ada Berg"))
    run_jobs(kernel, tenant=tenant)
    assert mails(kernel, tenant, "invitation") == 1


def test_a_person_of_a_workbook_is_tied_and_not_doubled(kernel: Kernel, tenant: UUID, scim: TestClient[Any]) -> None:
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel, full_name="Nadia Umit", email="nadia.umit@zebra.example", site="Linz")
        line = str(person.roster_id)
    assert scim.get("/Users").json()["totalResults"] == 0
    assert put_on_list(scim, user("Nadia Umit")) == line
    with kernel.db.transaction(tenant) as session:
        assert employees.profile(kernel.keys, row(session, line)).site == "Linz"


def test_a_directory_reaches_its_own_company_alone(kernel: Kernel, app: Any, tenant: UUID, scim: TestClient[Any]) -> None:
    line = put_on_list(scim, user("Nadia Umit"))
    group = scim.post("/Groups", json={"schemas": [GROUP], "displayName": "Sales"}, headers=KIND).json()["id"]
    with directory_of(kernel, app, make_tenant(kernel)) as other:
        assert other.get("/Users").json()["totalResults"] == 0
        for method in ("get", "delete"):
            for path in (f"/Users/{line}", f"/Groups/{group}", "/Users/x"):
                assert getattr(other, method)(path).status_code == 404, path
        assert patched(other, line, {"op": "replace", "path": "active", "value": False}).status_code == 404
        foreign = {"schemas": [GROUP], "displayName": "Sales", "members": [{"value": line}]}
        taken = other.post("/Groups", json=foreign, headers=KIND)
        assert "members" not in taken.json()
    with directory_of(kernel, app, tenant, Permission.PEOPLE_READ) as narrow:
        answer = narrow.get("/Users")
        assert answer.status_code == 403
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    with TestClient(app) as client:
        sign_in_member(client, kernel, tenant, Role.HR)
        assert client.get("/scim/v2/Users").status_code == 403, "a browser's session is no directory"
        client.cookies.clear()
        nobody = client.get("/scim/v2/Users", headers={"authorization": "Bearer x"})
        assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 400), (b"[]", 400), (b'{"schemas": [GROUP]}', 400), (b'{"userName": "x"}', 400), (b"\xff", 400),
     (b'{"userName": "a@zebra.example\\u0000"}', 400), (b'{"userName": {"a": 1}}', 400)],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_scims_words(scim: TestClient[Any], body: bytes, status: int) -> None:
    answer = scim.post("/Users", content=body, headers=KIND)
    assert answer.status_code == status, answer.text
    assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert scim.get('/Users?filter=userName%20xx%20%221%22').status_code == 400
