"""What legal hands to others: documents from live rows, sub-processors that are announced, breaches with their lists."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from batch.models import Purpose
from batch.people import employees
from batch.photos import decisions, photos
from batch.sittings import headshots
from batch.sittings.runs import Weights
from compliance import stores
from compliance.erasure import erasures
from compliance.models import Breach
from compliance.records import article30, breaches, controls, processors, reviewing
from likeness import ledger
from likeness.ground.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.mail.mail import Mail, read
from tenants import tenants
from tenants.models import Role
from tests.compliance.people import colleague_of, erase, full_person
from tests.dashboard.markup import get
from tests.factories import make_member, run_jobs, sign_in_member
from tests.handed_in import make_person

HOSTILE = "=cmd|'/c calc'!A1 <script>alert(1)</script> Ünal"
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


def letters_of(kernel: Kernel, member: Any, template: str) -> list[str]:
    with kernel.db.transaction(member.tenant_id) as session:
        mine = select(Mail).where(col(Mail.owner_id) == member.id, col(Mail.template) == template)
        return [letter.text for one in session.exec(mine) if (letter := read(kernel.keys, one))]


def test_documents_follow_the_rows_and_name_nobody(kernel: Kernel, client: TestClient[Any]) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    with zipfile.ZipFile(io.BytesIO(client.get("/api/v1/records").content)) as packed:
        found = {name.removesuffix(".json"): json.loads(packed.read(name)) for name in packed.namelist()}
    assert set(found) == {"processing", "processors", "assessment", "models", "controls", "breaches"}
    words = json.dumps(found, ensure_ascii=False)
    for secret in (alice.id, bob.tenant_id, "Nadia"):
        assert str(secret) not in words
    tables = {row["store"] for row in section(found["processing"], "Categories of data")}
    wanted = {name for name, one in stores.TABLES.items() if one.fate == stores.Fate.ERASED and one.biometric}
    assert tables >= {f"table:{name}" for name in wanted}
    assert {"what": "selfies and models", "until": "7 days at most, by the company's terms"} in section(
        found["processing"], "Until when"
    )
    assert set(article30.PURPOSES) == set(Purpose), "a record says what is done for each purpose that can be asked about"
    before = evidence(found["controls"], "A.8.10")
    erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change(session, caller="test", name=HOSTILE, source_days=3)
    sign_in_member(client, kernel, alice.tenant_id, Role.AUDITOR)
    after = client.get("/api/v1/records/controls").json()
    assert before.startswith("0 certificates")
    assert evidence(after, "A.8.10").startswith("1 certificates")
    assert {"what": "selfies and models", "until": "3 days at most, by the company's terms"} in section(
        client.get("/api/v1/records/processing").json(), "Until when"
    )
    page = get(client, "/legal/records/assessment")
    assert "<script>alert" not in page
    assert "risk" in page
    with kernel.db.transaction(alice.tenant_id) as session:
        assert "document.exported" in {one.event for one in ledger.entries(session)}
    assert client.get("/api/v1/records/everything").status_code == 404
    assert get(client, "/legal/records")
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    assert client.get("/api/v1/records/controls").status_code == 403
    for test in [*(one.test for one in controls.CONTROLS), *(one[2] for one in article30.RISKS)]:
        file, _, function = test.partition("::")
        assert f"def {function}(" in (TESTS / file).read_text(), test


def section(document: dict[str, Any], heading: str) -> list[dict[str, Any]]:
    return next(one["rows"] for one in document["sections"] if one["heading"] == heading)


def evidence(document: dict[str, Any], control: str) -> str:
    return next(str(row["evidence"]) for row in section(document, "Controls") if control in row["controls"])


def test_each_model_is_of_one_person_and_the_register_lists_it(kernel: Kernel, client: TestClient[Any]) -> None:
    alice, stranger = full_person(kernel), full_person(kernel)
    bo = colleague_of(kernel, alice)

    def models_of(person: Any) -> set[str]:
        with kernel.db.transaction(person.tenant_id) as session:
            mine = select(Weights.id).where(col(Weights.tenant_id) == person.tenant_id)
            return {str(one) for one in session.exec(mine)}

    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    listed = section(client.get("/api/v1/records/models").json(), "Models")
    assert {row["model"] for row in listed} == models_of(alice)
    assert len(listed) == 2
    assert not models_of(alice) & models_of(stranger)
    counted = "people whose rows lead to it"
    assert [row[counted] for row in listed] == [1, 1]
    with kernel.db.transaction(alice.tenant_id) as session:  # As nobody should be able to: one file for two people.
        hers, his = session.exec(select(Weights).where(col(Weights.tenant_id) == alice.tenant_id)).all()
        hers.path = his.path
    listed = section(client.get("/api/v1/records/models").json(), "Models")
    assert [row[counted] for row in listed] == [2, 2], "it is counted, not written there"
    theirs = text("update weights set sitting_id = (select id from sitting where employee_id = :bo limit 1)"
                  " where employee_id = :alice")  # fmt: skip
    with pytest.raises(IntegrityError, match="weights_of_own_sitting"), kernel.db.transaction(alice.tenant_id) as session:
        session.execute(theirs, {"bo": bo.id, "alice": alice.id})


def test_legal_is_reminded_of_the_impact_assessment_until_its_facts_are_taken(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = full_person(kernel)
    legal, hr = (make_member(kernel, alice.tenant_id, role) for role in (Role.LEGAL, Role.HR))
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)

    def reminded(later: timedelta = timedelta()) -> int:
        for _ in range(2):  # Once for each reason.
            reviewing.remind(kernel, utc_now() + later)
        return len(letters_of(kernel, legal, "assessment"))

    assert "Nobody has taken the facts" in get(client, "/legal/records")
    assert reminded() == 1
    assert letters_of(kernel, hr, "assessment") == []
    assert "nothing that they rest on has changed since" not in get(client, "/legal/records")
    assert client.get("/api/v1/records/processing").status_code == 200
    assert "Nobody has taken the facts" in get(client, "/legal/records"), "another document is not it"
    assert client.get("/legal/records/assessment").status_code == 200
    assert "nothing that they rest on has changed since" in get(client, "/legal/records")
    assert reminded() == 1
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change(session, caller="test", language="de")
    assert reminded() == 1, "the language changes nothing of what is told"
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change(session, caller="test", source_days=3)
    assert reminded() == 2
    told = "Was den Leuten gesagt wird, hat sich seither geändert"
    assert sum(told in one for one in letters_of(kernel, legal, "assessment")) == 1, "in the company's language by now"
    client.get("/legal/records/assessment")
    assert reminded(timedelta(days=366)) == 3


def test_another_sub_processor_is_announced_before_it_begins(kernel: Kernel, client: TestClient[Any]) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    told = [make_member(kernel, one.tenant_id, role) for one in (alice, bob) for role in (Role.OWNER, Role.LEGAL)]
    other = make_member(kernel, alice.tenant_id, Role.HR)
    now = utc_now()
    about: dict[str, Any] = {"purpose": "mail delivery", "country": "Ireland", "safeguards": ""}
    with kernel.db.transaction(PLATFORM) as session:
        with pytest.raises(processors.TooSoon):
            processors.announce(session, HOSTILE, begins_at=now + timedelta(days=29), now=now, **about)
        made = processors.announce(session, HOSTILE, begins_at=now + timedelta(days=30), now=now, **about)
        with pytest.raises(processors.AnnouncedAlready):
            processors.announce(session, HOSTILE, begins_at=now + timedelta(days=40), now=now, **about)
    for _ in range(2):
        processors.tell(kernel, now)
    for member in told:
        (letter,) = letters_of(kernel, member, "processor")
        assert words("en").day(made.begins_at) in letter
        assert "mail delivery" in letter
    assert letters_of(kernel, other, "processor") == []
    page = client.get("/trust").text
    assert "mail delivery" in page
    assert "<script>alert" not in page
    sign_in_member(client, kernel, bob.tenant_id, Role.LEGAL)
    document = client.get("/api/v1/records/processing").json()
    assert [row["name"] for row in section(document, "Recipients and transfers")] == [HOSTILE]
    with kernel.db.transaction(PLATFORM) as session:
        processors.end(session, HOSTILE, utc_now())
        with pytest.raises(processors.ProcessorMissing):
            processors.end(session, HOSTILE, utc_now())
    assert "mail delivery" not in client.get("/trust").text
    (row,) = section(client.get("/api/v1/records/processors").json(), "Sub-processors")
    assert row["until"]


def test_a_company_has_its_list_of_a_breach_at_once(kernel: Kernel, client: TestClient[Any]) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    colleague = colleague_of(kernel, alice)
    legal, owner = (make_member(kernel, alice.tenant_id, role) for role in (Role.LEGAL, Role.OWNER))
    asked_before = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    now = utc_now()
    about: dict[str, Any] = {"since": now - timedelta(hours=3), "until": now, "known_at": now, "now": now}
    with kernel.db.transaction(alice.tenant_id) as session:
        # It was asked for before, and carried out after the breach had begun.
        erasures.get(session, asked_before.id).requested_at = now - timedelta(days=2)
    with kernel.db.transaction(alice.tenant_id) as session:
        for wrong in ({"classes": []}, {"classes": ["faces"]}, {"classes": ["source"], "since": now + timedelta(days=1)}):
            with pytest.raises(breaches.BreachRefused):
                breaches.declare(session, kernel, **about | wrong)
        made = breaches.declare(session, kernel, classes=["source", "headshot"], **about)
    assert made.people == 2, "somebody who was deleted since was there as well"
    later = about | {"since": now + timedelta(minutes=1), "until": now + timedelta(minutes=2)}
    with kernel.db.transaction(alice.tenant_id) as session:
        assert erasures.get(session, asked_before.id).deleted_at
        breach = Breach(tenant_id=alice.tenant_id, classes=["source", "headshot"], people=0, told_at=now,
                        **{name: later[name] for name in ("since", "until", "known_at")})  # fmt: skip
        assert set(breaches.affected(session, breach)) == {colleague.id}, "whose things had gone before it began"
    for member in (legal, owner):
        (letter,) = letters_of(kernel, member, "breach")
        assert "headshots, selfies" in letter
        assert "such things were here in that time: 2." in letter
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    rows = list(csv.DictReader(io.StringIO(client.get(f"/api/v1/breaches/{made.id}/people").text)))
    assert {row["person"] for row in rows} == {str(alice.id), str(colleague.id)}
    assert f"/api/v1/breaches/{made.id}/names" in get(client, "/legal/records")
    with kernel.db.transaction(alice.tenant_id) as session:
        who = employees.profile(kernel.keys, employees.get(session, colleague.id))
    saved = client.get(f"/api/v1/breaches/{made.id}/names").text
    named = {row["person"]: row for row in csv.DictReader(io.StringIO(saved.removeprefix("\ufeff")))}
    assert (named[str(colleague.id)]["name"], named[str(colleague.id)]["address"]) == (who.full_name, who.email)
    assert named[str(alice.id)]["name"] == "", "of somebody who is deleted nobody knows the name any more"
    with kernel.db.transaction(alice.tenant_id) as session:
        events = [one.event for one in ledger.entries(session, subject=colleague.id)]
        (searched,) = [one for one in ledger.entries(session) if one.event == "person.searched"]
    assert events.count("person.found") == 1, "they read that they were found"
    assert searched.objects == [str(made.id), str(colleague.id), "people-of-a-breach"]
    sign_in_member(client, kernel, alice.tenant_id, Role.AUDITOR)
    assert client.get(f"/api/v1/breaches/{made.id}/names").status_code == 403
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    (told,) = client.get("/api/v1/breaches").json()
    assert (told["id"], told["people"], told["classes"]) == (str(made.id), 2, ["headshot", "source"])
    document = client.get("/api/v1/records/breaches").json()
    (row,) = section(document, "Breaches")
    assert row["people"] == 2
    assert document["sections"][1]["heading"].startswith("Draft of a notice")
    sign_in_member(client, kernel, bob.tenant_id, Role.LEGAL)
    assert client.get(f"/api/v1/breaches/{made.id}/people").status_code == 404
    assert client.get(f"/api/v1/breaches/{made.id}/names").status_code == 404
    assert client.get("/api/v1/breaches").json() == []
    assert section(client.get("/api/v1/records/breaches").json(), "Breaches") == []


def test_a_breach_reached_whoever_deleted_their_own_things_since(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    colleague, again = colleague_of(kernel, alice), colleague_of(kernel, alice)
    now = utc_now()
    with kernel.db.transaction(alice.tenant_id) as session:
        for photo in photos.of(session, alice.id):
            decisions.remove(session, kernel.objects, alice.id, photo.id)
        for headshot in headshots.of(session, colleague.id, now):
            headshots.discard(session, kernel.objects, colleague.id, headshot.id, now)
        # One that was refused and handed in again: its row tells of the second time alone.
        for photo in photos.of(session, again.id):
            photo.created_at = now + timedelta(minutes=1)
        ledger.record(session, "photo.rejected", subject=again.id)
    about: dict[str, Any] = {"since": now - timedelta(hours=3), "until": now, "known_at": now, "now": utc_now()}
    with kernel.db.transaction(alice.tenant_id) as session:
        made = breaches.declare(session, kernel, classes=["source", "headshot"], **about)
        assert breaches.affected(session, made) == {one.id: ["headshot", "source"] for one in (alice, colleague, again)}


def test_a_breach_names_nobody_whose_things_came_after_it(kernel: Kernel) -> None:
    """Nor whoever had everything deleted since and had had nothing of the kind."""
    bare = make_person(kernel)
    late, gone_late = (colleague_of(kernel, bare) for _ in range(2))
    now = utc_now()
    ended = now - timedelta(hours=1)
    with kernel.db.transaction(bare.tenant_id) as session:
        for photo in photos.of(session, late.id):
            decisions.remove(session, kernel.objects, late.id, photo.id)
        for headshot in headshots.of(session, late.id, now):
            headshots.discard(session, kernel.objects, late.id, headshot.id, now)
    for person in (bare, gone_late):
        erase(kernel, person)
    run_jobs(kernel, tenant=bare.tenant_id)
    with kernel.db.transaction(bare.tenant_id) as session:
        about = {"known_at": now, "now": utc_now(), "since": now - timedelta(hours=3)}
        before = breaches.declare(session, kernel, until=ended, classes=["source", "headshot", "profile"], **about)
        assert breaches.affected(session, before) == {}, "all of it came in the last minute"
        since = breaches.declare(session, kernel, until=now, classes=["source", "headshot"], **about)
        assert set(breaches.affected(session, since)) == {late.id, gone_late.id}, "who had no picture lost none"
