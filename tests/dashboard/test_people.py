"""People over all batches: found, sorted, chosen, acted on; and one person looked at closely."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from litestar.testing import TestClient
from sqlalchemy import event, update
from sqlmodel import col, select

from batch.models import Batch, Employee, PhotoState
from batch.people import employees, funnel
from batch.people.employees import EmployeeProfile
from batch.people.finding import names as opened_names
from batch.roster import listings, searching, undoing
from batch.vision import inspection
from batch.visit import invitations
from compliance.rights import packages
from dashboard.desk.people import SAID_OF_PHOTOS
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.jobs.jobs import Job
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.locale.words import words
from tenants.models import Role
from tests.compliance.people import erase
from tests.dashboard.markup import get
from tests.factories import (
    begin_held,
    make_batch,
    make_employee,
    make_tenant,
    run_jobs,
    sign_in_employee,
    sign_in_member,
)
from tests.handed_in import make_headshots, make_person, make_photos

ACT = re.compile(r'name="act" value="([^"]+)"')
NAME = re.compile(r'<a id="p-[^>]+><bdi>([^<]+)</bdi>')


def some_people(kernel: Kernel, tenant: UUID) -> dict[str, Employee]:
    """Two of one batch, of whom one is invited, and two of another."""
    with kernel.db.transaction(tenant) as session:
        spring, autumn = make_batch(session, name="Spring"), make_batch(session, name="Autumn")
        found = {
            name: make_employee(session, kernel, batch=batch, full_name=name, department=department)
            for name, batch, department in (("Ada", spring, "Design"), ("Bea", spring, "Sales"),
                                            ("Cleo", autumn, "Design"), ("Dora", autumn, "Sales"))
        }  # fmt: skip
        invitations.invite(session, found["Ada"], utc_now() - timedelta(days=4))
        session.get_one(Employee, (found["Bea"].id, tenant)).created_at = utc_now() - timedelta(days=9)
    return found


def test_people_of_all_batches_are_found_and_sorted(
    client: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant(kernel)
    people = some_people(kernel, tenant)
    sign_in_member(client, kernel, tenant)

    def names(query: str) -> list[str]:
        return NAME.findall(get(client, f"/desk/people?{query}"))

    assert sorted(names("")) == ["Ada", "Bea", "Cleo", "Dora"]
    assert names("stage=invited") == ["Ada"]
    assert names("stage=invited&stage=added&order=stage")[-1] == "Ada"
    assert sorted(names("department=++design")) == ["Ada", "Cleo"]
    assert sorted(names(f"batch={people['Bea'].batch_id}")) == ["Ada", "Bea"]
    assert sorted(names("days=3")) == ["Ada", "Bea"]
    assert names("order=longest")[:2] == ["Bea", "Ada"]
    assert names("order=newest")[-1] == "Bea"
    assert names("order=stage-down")[0] == "Ada"
    assert names("q=DORA") == ["Dora"]
    with kernel.db.transaction(tenant) as session:
        batch = session.get_one(Batch, (people["Ada"].batch_id, tenant))
        for name, site, manager in (("Eve", "Zürich", "m@x.example"), ("Finn", "Bern", "m@x.example")):
            make_employee(session, kernel, batch=batch, full_name=name, site=site, manager_email=manager)
    assert names("order=name") == ["Ada", "Bea", "Cleo", "Dora", "Eve", "Finn"]
    assert names("order=name-down&q=a") == ["Finn", "Eve", "Dora", "Cleo", "Bea", "Ada"], "their addresses hold an a"
    assert names("order=site")[:2] == ["Finn", "Eve"], "Bern, Zürich, and who has no site"
    assert names("order=department-down") == ["Dora", "Bea", "Cleo", "Ada", *names("order=department-down")[4:]]
    page = get(client, "/desk/people?order=name&stage=added")
    assert '<th scope="col" aria-sort="ascending"><a id="by-name"' in page
    assert "order=name-down" in page
    assert page.count("aria-sort") == 1
    monkeypatch.setattr(searching, "MOST_SORTED", 5)
    assert 'id="unsortable"' in get(client, "/desk/people")
    assert "Too many people to sort" in get(client, "/desk/people?order=name")
    assert names("order=name&department=Design") == ["Ada", "Cleo"]
    assert names("order=site")[:2] == ["Finn", "Eve"], "one line of each site is opened"
    assert names("order=site-down&stage=added")[:2] == ["Eve", "Finn"]
    assert set(names("order=department-down")[:2]) == {"Bea", "Dora"}
    assert set(names("order=department")[4:]) == {"Eve", "Finn"}, "who has none stands last"
    assert names("site=ZÜRICH") == ["Eve"]
    assert sorted(names("manager=M@x.example")) == ["Eve", "Finn"]
    assert names("manager=m@x.example&site=Bern&q=finn") == ["Finn"]
    assert names("manager=m@x") == [], "a whole address"
    menu = client.get("/desk/people?stage=added&choose=site", headers={"hx-request": "true", "hx-target": "pick_site"}).text
    assert re.findall(r"<bdi>([^<]+)</bdi>(?:<span class=\"soft\">([^<]+))?", menu) == [
        ("Every site", ""), ("Bern", "1"), ("Zürich", "1"),
    ]  # fmt: skip
    assert "stage=added&amp;site=Bern" in menu, "what is chosen otherwise stays"
    whole = get(client, "/desk/people?manager=M%40X.example&choose=manager")
    assert 'aria-current="true"><bdi>m@x.example</bdi><span class="soft">2</span>' in whole
    assert "Show everybody" in whole
    groups = client.get(f"/api/v1/employees/groups?by=department&batch={people['Ada'].batch_id}").json()
    assert groups == [{"name": "Design", "people": 1}, {"name": "Sales", "people": 1}]
    found = client.get("/api/v1/employees?manager=m@x.example&most=1")
    following = client.get(found.headers["link"].partition(">")[0].removeprefix("<"))
    assert sorted(one["line"]["name"] for one in found.json() + following.json()) == ["Eve", "Finn"]
    assert "link" not in following.headers
    assert names("q=" + employees.profile(kernel.keys, people["Cleo"]).email.upper()) == ["Cleo"]
    for odd in ("stage=nothing", "batch=x", "days=-1", "page=0", "order=x", f"page={'9' * 99}"):
        assert client.get(f"/desk/people?{odd}").status_code == 200, odd
    chips = client.get("/desk/people", headers={"hx-request": "true", "hx-target": "chips"}).text
    assert "Added <b>5</b>" in chips
    assert "<html" not in chips
    sign_in_member(client, kernel, make_tenant(kernel))
    assert "Nobody is on a list yet" in get(client, "/desk/people")


def test_names_are_opened_as_soon_as_somebody_is_in_the_field_and_nothing_of_them_is_sent(
    client: TestClient[Any], kernel: Kernel
) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    some_people(kernel, tenant)
    some_people(kernel, other)
    sign_in_member(client, kernel, tenant)
    field = re.search(r"<input id=\"find\"[^>]+>", get(client, "/desk/people"))
    assert field is not None
    assert 'hx-target="#find"' in field[0]
    assert tenant not in opened_names._opened
    answer = client.get("/desk/people", headers={"hx-request": "true", "hx-target": "find"})
    assert (answer.status_code, answer.text) == (204, "")
    assert len(opened_names._opened[tenant].names) == 4
    assert other not in opened_names._opened
    with kernel.db.transaction(tenant) as session:
        before = len(session.exec(select(LedgerEntry).where(col(LedgerEntry.tenant_id) == tenant)).all())
    client.get("/desk/people", headers={"hx-request": "true", "hx-target": "find"})
    with kernel.db.transaction(tenant) as session:
        assert len(session.exec(select(LedgerEntry).where(col(LedgerEntry.tenant_id) == tenant)).all()) == before
    client.cookies.clear()
    assert client.get("/desk/people", headers={"hx-request": "true", "hx-target": "find"}).status_code != 204


def test_who_opted_out_is_of_no_age_and_stands_last(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    people = some_people(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        gone = session.get_one(Employee, (people["Bea"].id, tenant))
        gone.opted_out_at = utc_now() - timedelta(days=30)
    sign_in_member(client, kernel, tenant)
    for order in ("longest", "newest"):
        assert NAME.findall(get(client, f"/desk/people?order={order}"))[-1] == "Bea", order
    assert "Bea" not in NAME.findall(get(client, "/desk/people?days=3"))
    page = get(client, f"/desk/people/{people['Bea'].roster_id}")
    steps = page.partition('id="steps-title"')[2].partition("</section>")[0]
    assert (steps.count("<li>"), steps.count("<dd>")) == (1, 0), "that they are on the list, and nothing else"


def test_what_is_done_with_those_who_are_ticked_is_counted(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, stranger = make_tenant(kernel), make_tenant(kernel)
    people, others = some_people(kernel, tenant), some_people(kernel, stranger)
    sign_in_member(client, kernel, tenant)

    def act(what: str, *names: str, **more: str) -> str:
        ticks = [str(people[name].roster_id) for name in names]
        return client.post(f"/desk/people/{what}", data={"person": ticks, "query": "department=Design", **more}).text

    assert "1 person is invited. 1 of those you ticked is left" in act("invite", "Ada", "Cleo")
    assert "1 person will be invited tomorrow" in act("invite", "Dora", when="later")
    with kernel.db.transaction(tenant) as session:
        assert employees.stage(session, people["Dora"].id) == "added", "it waits ten seconds"
    begin_held(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        assert employees.stage(session, people["Dora"].id) == "invited"
        invitation = invitations.standing(session, people["Dora"].id)
        assert invitation is not None
        assert invitation.expires_at > utc_now() + funnel.LIFETIME, "its fourteen days begin tomorrow"
    assert "2 of those you ticked are left" in act("remind", "Bea", "Cleo")
    assert "3 invitations are taken back. 1 of those" in act("revoke", "Ada", "Bea", "Cleo", "Dora")
    begin_held(kernel, tenant)
    nobody = client.post("/desk/people/invite", data={"query": ""})
    assert nobody.status_code == 422
    assert "Nobody is ticked, so nothing was changed." in nobody.text
    assert "Too many" not in nobody.text
    many = client.post("/desk/people/invite", data={"person": [str(people["Ada"].roster_id)] * 101})
    assert many.status_code == 422
    assert "Too many people are ticked" in many.text
    assert "Tick somebody first" not in many.text
    both = {"person": [str(people["Ada"].roster_id), str(others["Ada"].roster_id)]}
    assert client.post("/desk/people/invite", data=both).status_code == 404
    with kernel.db.transaction(tenant) as session:
        assert employees.stage(session, people["Ada"].id) == "added", "of a list with a stranger in it nothing is done"
    sign_in_member(client, kernel, tenant, Role.BRAND)
    assert client.post("/desk/people/invite", data=both).status_code == 403


def test_what_is_done_with_several_can_be_taken_back_for_ten_seconds(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, stranger = make_tenant(kernel), make_tenant(kernel)
    people = some_people(kernel, tenant)
    some_people(kernel, stranger)
    ids = {name: str(one.roster_id) for name, one in people.items()}

    def stages() -> list[str]:
        with kernel.db.transaction(tenant) as session:
            return [str(employees.stage(session, people[name].id)) for name in ("Ada", "Bea", "Cleo")]

    def undo(page: str, **more: str) -> Any:
        return client.post("/desk/people/undo", data={"act": ACT.findall(page)[0], "query": "department=Design", **more})

    sign_in_member(client, kernel, tenant, Role.HR, Role.OWNER)
    before = stages()
    taken = client.post("/desk/people/revoke", data={"person": ids["Ada"]}).text
    assert "Not done yet" in taken
    assert "1 invitation is taken back" in taken
    sign_in_member(client, kernel, stranger)
    assert undo(taken).status_code == 410, "another company's act is none"
    sign_in_member(client, kernel, tenant, Role.HR, Role.OWNER)
    assert "Undone: nothing was done with 1 person" in undo(taken).text
    assert undo(taken).status_code == 410
    begin_held(kernel, tenant)
    assert stages() == before
    asked = client.post("/desk/people/invite", data={"person": [ids["Bea"], ids["Cleo"]]}).text
    with kernel.db.transaction(tenant) as session:
        session.execute(update(Job).where(col(Job.key).like(f"%{people['Bea'].id}")).values(state="running", attempt=1))
    assert undo(asked).status_code == 410, "one of them has begun, so all of them go on"
    with kernel.db.transaction(tenant) as session:
        session.execute(update(Job).where(col(Job.key).like(f"%{people['Bea'].id}")).values(state="ready"))
    begin_held(kernel, tenant)
    assert stages() == ["invited"] * 3
    alone = client.post("/desk/people/revoke", data={"person": ids["Ada"], "at": ids["Ada"]})
    assert alone.url.path == f"/desk/people/{ids['Ada']}", "a form of one person's own page leads back to it"
    assert "Undone" in undo(alone.text, at=ids["Ada"]).text
    assert client.post("/desk/people/invite", data={"person": "", "at": ids["Ada"]}).status_code == 422
    at = f"/desk/people/{ids['Ada']}/delete"
    gone = client.post(at, data={"people": "1", "objects": "0"}).text
    assert "The deletion of 1 person is asked for" in gone
    assert undo(gone).status_code == 410, "an act of another kind"
    assert "Undone" in undo(gone, deleted="1").text
    begin_held(kernel, tenant)
    assert client.post(at, data={"people": "1", "objects": "0"}).status_code == 200
    begin_held(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        entries = select(LedgerEntry.event).where(col(LedgerEntry.tenant_id) == tenant)
        said = session.exec(entries.order_by(col(LedgerEntry.sequence))).all()
    twice = ["revocation.asked", "revocation.undone"]
    wanted = [*twice, "invitation.asked", *twice, "deletion.asked", "deletion.undone"]
    assert [one for one in said if one in wanted] == [*wanted, "deletion.asked"]
    assert "erasure.requested" in said
    rest = {"person": [ids["Bea"], ids["Cleo"]]}
    look = client.post("/desk/people/preview-deletion", data=rest).text
    assert "<bdi>Bea, Cleo</bdi>?" in look
    assert "Yes, delete 2 people" in look
    assert client.post("/desk/people/delete", data={**rest, "people": "1", "objects": "0"}).status_code == 409
    gone = client.post("/desk/people/delete", data={**rest, "people": "2", "objects": "0"}).text
    assert "The deletion of 2 people is asked for" in gone
    assert "Undone: nothing was done with 2 people" in undo(gone, deleted="1").text
    assert client.post("/desk/people/preview-deletion", data={}).status_code == 422
    sign_in_member(client, kernel, stranger, Role.HR, Role.OWNER)
    for at in ("preview-deletion", "delete"):
        assert client.post(f"/desk/people/{at}", data={**rest, "people": "2", "objects": "0"}).status_code == 404
    sign_in_member(client, kernel, tenant, Role.BRAND)
    assert client.post("/desk/people/preview-deletion", data=rest).status_code == 403


def test_what_is_done_with_everybody_who_matches_is_counted_before_and_taken_back_at_once(
    client: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, stranger = make_tenant(kernel, with_credits=3), make_tenant(kernel)
    people, others = some_people(kernel, tenant), some_people(kernel, stranger)
    sign_in_member(client, kernel, tenant)
    monkeypatch.setattr(undoing, "MOST_TICKED", 1)  # So that several people are in one job.

    def ask(what: str, query: str, **more: str) -> str:
        return client.post(f"/desk/people/{what}", data={"all": "1", "query": query, **more}).text

    def invited(tenant: UUID, people: dict[str, Employee]) -> list[str]:
        with kernel.db.transaction(tenant) as session:
            return [name for name, one in people.items() if employees.stage(session, one.id) == "invited"]

    counted = client.get("/desk/people?department=Design", headers={"hx-request": "true", "hx-target": "matching"}).text
    assert "All 2 who match" in counted
    look = ask("invite", "department=Design")
    assert "Invite 1 person?" in look
    assert "2 people match: Design." in look
    assert "Design. 1 person is left" in " ".join(look.split())
    assert "1 person is left as they are" in look
    assert "It has changed since you looked" in ask("invite", "department=Design", sure="2")
    assert "Send a fresh link to 1 person?" in ask("remind", "")
    assert "Take the invitations of 0 people back?" in ask("revoke", "q=cleo")
    taken = ask("invite", "department=Design", sure="1")
    assert "1 person is invited. 1 person who matches is left" in taken
    undo = {"act": ACT.findall(taken)[0], "query": ""}
    assert "Undone" in client.post("/desk/people/undo", data=undo).text
    begin_held(kernel, tenant)
    assert invited(tenant, people) == ["Ada"]
    three = ask("invite", "")
    assert 'role="alert"' in three, "credits for three, of which Ada holds one"
    assert "Yes, with" not in three
    ask("invite", "department=Sales", sure="2")
    begin_held(kernel, tenant)
    assert invited(tenant, people) == ["Ada", "Bea", "Dora"]
    ask("revoke", "", sure="3")
    begin_held(kernel, tenant)
    assert invited(tenant, people) == []
    assert invited(stranger, others) == ["Ada"]
    sign_in_member(client, kernel, tenant, Role.BRAND)
    assert client.post("/desk/people/invite", data={"all": "1", "query": ""}).status_code == 403


def test_many_are_invited_together_and_as_many_as_there_are_credits_for(kernel: Kernel) -> None:
    """A hundred and ten are three jobs; one by one, ten thousand people take minutes."""
    many, other = 110, make_tenant(kernel, with_credits=9)
    with kernel.db.transaction(other) as session:
        make_employee(session, kernel)
    for credit, invited, refused in ((200, 110, 0), (90, 90, 20)):
        tenant = make_tenant(kernel, with_credits=credit)
        with kernel.db.transaction(tenant) as session:
            batch = make_batch(session)
            people = [make_employee(session, kernel, batch=batch).id for _ in range(many)]
        locks = list[str]()

        def note(*seen: Any, locks: list[str] = locks) -> None:
            locks.extend(["asked"] if "pg_advisory_xact_lock(hashtextextended(" in seen[2] and ", 8)" in seen[2] else [])

        with kernel.db.transaction(tenant) as session:
            act = undoing.ask(session, "invite", people, utc_now(), caller="test")
        event.listen(kernel.db.engine, "before_cursor_execute", note)
        try:
            begin_held(kernel, tenant)
        finally:
            event.remove(kernel.db.engine, "before_cursor_execute", note)
        with kernel.db.transaction(tenant) as session:
            stages = [one.stage for one in funnel.lines(session, utc_now(), among=people)]
            assert len(stages) - stages.count(funnel.Stage.ADDED) == invited
            assert undoing.refused(session, act) == refused
        assert len(locks) <= 3 + (40 if refused else 0), "credits are set aside once a job"
    with kernel.db.transaction(other) as session:
        assert {one.stage for one in funnel.lines(session, utc_now())} == {funnel.Stage.ADDED}


def test_an_act_that_others_took_the_credits_of_says_so_and_is_on_record(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel, with_credits=2)  # One of them is set aside for Ada.
    people = some_people(kernel, tenant)
    sign_in_member(client, kernel, tenant)
    pages = [
        client.post("/desk/people/invite", data={"person": [str(people[name].roster_id)], "query": ""})
        for name in ("Bea", "Cleo")
    ]
    assert all("1 person is invited" in one.text for one in pages), "each was possible when it was asked for"
    begin_held(kernel, tenant)
    now = [get(client, one.url.raw_path.decode()) for one in pages]
    assert ["Not done with 1 person" in one for one in now].count(True) == 1
    assert ["say-good" in one for one in now].count(True) == 1
    with kernel.db.transaction(tenant) as session:
        assert sorted(employees.stage(session, people[name].id) for name in ("Bea", "Cleo")) == ["added", "invited"]
        entries = select(LedgerEntry.event).where(col(LedgerEntry.tenant_id) == tenant)
        assert list(session.exec(entries)).count("invitation.refused") == 1


def test_who_looked_somebody_up_is_on_record_once_a_day_and_told_to_them(
    client: TestClient[Any], kernel: Kernel
) -> None:
    person, stranger = make_person(kernel), make_person(kernel)

    def entries() -> list[ledger.LedgerEntry]:
        with kernel.db.transaction(person.tenant_id) as session:
            mine = ledger.entries(session, subject=person.id)
            return [one for one in mine if one.event == "person.viewed"]

    sign_in_member(client, kernel, person.tenant_id)
    for _ in range(2):
        get(client, f"/desk/people/{person.roster_id}")
    assert len(entries()) == 1
    assert client.get(f"/api/v1/employees/{person.roster_id}").status_code == 200
    assert client.get(f"/desk/people/{stranger.roster_id}").status_code == 404
    sign_in_member(client, kernel, person.tenant_id)
    client.get(f"/api/v1/employees/{person.roster_id}")
    assert len({one.caller for one in entries()}) == 2, "each who looks"
    sign_in_employee(client, kernel, person)
    page = get(client, "/visit/face")
    assert "Somebody at your company opened your entry in the list" in page
    packed = b"".join(packages.pieces(kernel, person.tenant_id, person.id, utc_now(), caller=f"employee:{person.id}"))
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        received = json.loads(opened.read("7-who-received-it.json"))["records"]["ledger_entry"]
    assert {(one["event"], one["caller"]) for one in received} == {("person.viewed", "your employer")}
    assert all(one.caller.partition(":")[2] not in page for one in entries()), "no name and no id of staff"


def test_whose_name_stood_on_a_list_is_on_record_by_day_and_told_to_them(client: TestClient[Any], kernel: Kernel) -> None:
    alice = make_person(kernel)
    tenant, stranger = alice.tenant_id, make_person(kernel)
    with kernel.db.transaction(tenant) as session:
        bob = make_employee(session, kernel, batch=session.get_one(Batch, (alice.batch_id, tenant)), full_name="Bob Aal")

    def rows(person: Employee) -> list[listings.Listing]:
        with kernel.db.transaction(person.tenant_id) as session:
            return listings.of(session, person.id)

    def seen() -> list[ledger.LedgerEntry]:
        with kernel.db.transaction(tenant) as session:
            return [one for one in ledger.entries(session) if one.event == "list.viewed"]

    at = f"/desk/batches/{alice.batch_id}"
    api = f"/api/v1/batches/{alice.batch_id}"
    sign_in_member(client, kernel, tenant)
    get(client, "/desk/people?q=bob")
    assert (len(rows(alice)), len(rows(bob)), len(seen())) == (0, 1, 1), "who is not shown was not looked at"
    assert client.get("/desk/people", headers={"hx-request": "true", "hx-target": "chips"}).status_code == 200
    assert rows(alice) == [], "numbers name nobody"
    pages = ("/desk/people", at, f"{at}/status", "/desk/headshots", "/desk/credits", f"{api}/people", f"{api}/status",
             "/api/v1/employees", "/api/v1/headshots", "/api/v1/credits/people", "/api/v1/credits/export")  # fmt: skip
    for page in pages:
        assert client.get(page).status_code == 200, page
    assert (len(rows(alice)), len(rows(bob)), len(seen())) == (1, 1, 2), "a row a month, an entry a day"
    assert rows(stranger) == []
    for page in pages[1:]:
        with kernel.db.transaction(tenant) as session:
            listings.forget(session, [alice.id])
        assert client.get(page).status_code == 200
        assert rows(alice), page
    with kernel.db.transaction(tenant) as session:
        listings.forget(session, [alice.id])
    file = {"workbook": ("list.csv", b"Full name;E-mail\nNew One;new.one@company.example")}
    assert 'id="missing"' in client.post("/desk/batches", files=file).text
    assert rows(alice), "the preview of a file names who is not in it"
    sign_in_member(client, kernel, tenant)
    get(client, "/desk/people")
    (one, two) = rows(alice)
    with kernel.db.transaction(tenant) as session:
        one = session.merge(one)
        one.days |= 1 << 30 if one.month.month in (1, 3, 5, 7, 8, 10, 12) else 1
    sign_in_employee(client, kernel, alice)
    page = get(client, "/visit/face")
    assert "Somebody at your company looked at a list with your name on it" in page
    packed = b"".join(packages.pieces(kernel, tenant, alice.id, utc_now(), caller=f"employee:{alice.id}"))
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        told = json.loads(opened.read("7-who-received-it.json"))["records"]["listing"]
        start = opened.read("START-HERE.html").decode()
    assert {one["caller"] for one in told} == {"your employer"}
    assert {day for one in told for day in one["days"]} == {
        day.isoformat() for row in rows(alice) for day in listings.dates(row.month, row.days)
    }
    assert words("en").day(utc_now().date()) in start
    assert str(two.caller.partition(":")[2]) not in page + start, "no id of staff"
    listings.forget_old(kernel, utc_now() + timedelta(days=300))
    assert len(rows(bob)) == 2
    erase(kernel, alice)
    run_jobs(kernel, tenant=tenant)
    assert (rows(alice), len(rows(bob))) == ([], 2), "it goes with the person"
    listings.forget_old(kernel, utc_now() + timedelta(days=400))
    assert rows(bob) == []


def test_a_typing_error_is_put_right(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    people = some_people(kernel, tenant)
    sign_in_member(client, kernel, tenant)
    at = f"/desk/people/{people['Ada'].roster_id}"
    taken = employees.profile(kernel.keys, people["Bea"]).email
    words = {"name": "Ada Byron", "email": "ada.byron@zebra.example", "department": "Design", "site": "Bern"}
    assert client.post(f"{at}/correct", data=words | {"email": taken}).status_code == 409
    assert client.post(f"{at}/correct", data=words | {"email": "nowhere"}).status_code == 422
    assert client.post(f"{at}/correct", data=words | {"name": " "}).status_code == 422
    # Name and address at once would be somebody else's line.
    assert "correct the name first" in client.post(f"{at}/correct", data=words).text
    was = employees.profile(kernel.keys, people["Ada"]).email
    assert "The line is corrected." in client.post(f"{at}/correct", data=words | {"email": was}).text
    assert "The line is corrected." in client.post(f"{at}/correct", data=words).text
    assert client.post(f"{at}/correct", data=words).status_code == 409
    with kernel.db.transaction(tenant) as session:
        who: EmployeeProfile = employees.profile(kernel.keys, employees.get(session, people["Ada"].id))
    assert (who.full_name, who.email, who.site) == ("Ada Byron", "ada.byron@zebra.example", "Bern")


def test_an_address_of_somebody_who_said_yes_waits_for_their_word(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_headshots(kernel, person)
    sign_in_member(client, kernel, person.tenant_id)
    old = employees.profile(kernel.keys, person)
    words = {"name": old.full_name, "email": "someone.else@zebra.example"}
    page = client.post(f"/desk/people/{person.roster_id}/correct", data=words).text
    assert "waits for the person" in page
    with kernel.db.transaction(person.tenant_id) as session:
        assert employees.profile(kernel.keys, employees.get(session, person.id)).email == old.email


def test_whoever_waves_photos_through_reads_what_was_said_about_them(client: TestClient[Any], kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person, 3, PhotoState.ADVISED)
    make_photos(kernel, person, 9, PhotoState.REJECTED)
    sign_in_member(client, kernel, person.tenant_id)
    page = get(client, f"/desk/people/{person.roster_id}")
    assert "<dt>blurred</dt><dd>3 photos</dd>" in page
    shown = {one.code for one in (*inspection.FINDINGS.values(), inspection.ANOTHER_PERSON, inspection.NEAR_DUPLICATE)
             if one.kind != "mended" or one.code == "several_faces"}  # fmt: skip
    assert shown == SAID_OF_PHOTOS.keys(), "each reason has words"
