"""Holds of some of a person's things: what they cover stays, the rest goes, and the person is told unless barred."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import Session, col, select

from batch.models import Employee, Headshot, Photo, PhotoState
from batch.people import employees
from batch.photos import decisions, intake, photos
from batch.sittings import headshots
from compliance import holds
from compliance.erasure import erasures, replay, scheduled
from compliance.models import ErasureState, Hold
from compliance.retention import lateness, retention
from compliance.rights import attending, packages
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.mail.mail import Mail, read
from tenants.models import Member, Role
from tests.compliance.people import erase, full_person, reread
from tests.factories import make_member, run_jobs, sign_in, sign_in_employee, sign_in_member

API = "/api/v1"


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


class Court:
    """Two of legal who place a hold together, on their page."""

    def __init__(self, kernel: Kernel, client: TestClient[Any], person: Employee) -> None:
        self.kernel, self.client, self.person = kernel, client, person
        self.first, self.second = (make_member(kernel, person.tenant_id, Role.LEGAL) for _ in range(2))

    def _as(self, member: Member) -> TestClient[Any]:
        sign_in(self.client, self.kernel, member.tenant_id, Kind.MEMBER, member.id)
        return self.client

    def hold(self, **fields: str) -> Hold:
        until = f"{utc_now() + timedelta(days=20):%Y-%m-%d}"
        form = {"employee_id": str(self.person.id), "basis": "warrant", "reference": "1", "reason": "x", "until": until}
        placed = self._as(self.first).post("/legal/holds", data=form | fields, follow_redirects=False)
        assert placed.status_code == 303, placed.text
        with self.kernel.db.transaction(self.person.tenant_id) as session:
            hold = holds.of(session, self.person.id)[-1]
        self._as(self.second).post(f"/legal/holds/{hold.id}/confirm")
        return hold

    def lift(self, hold: Hold) -> None:
        for member in (self.first, self.second):
            self._as(member).post(f"/legal/holds/{hold.id}/lift")


def there(kernel: Kernel, person: Employee, table: type) -> int:
    with kernel.db.transaction(person.tenant_id) as session:
        return len(session.exec(select(table.id).where(table.employee_id == person.id)).all())  # type: ignore[attr-defined]


def letters_of(kernel: Kernel, person: Employee) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        mine = select(Mail).where(col(Mail.owner_id) == person.id, col(Mail.template) == "held")
        return [" ".join(letter.text.split()) for one in session.exec(mine) if (letter := read(kernel.keys, one))]


def make_due(session: Session, person: Employee) -> None:
    for table in ("photo", "headshot", "weights"):
        session.execute(text(f"update {table} set due_at = now() where employee_id = :id"), {"id": person.id})


def test_a_hold_of_one_class_keeps_that_class_and_the_person_reads_it(kernel: Kernel, client: TestClient[Any]) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    court = Court(kernel, client, alice)
    found = court._as(court.first).post("/legal/people", data={"name": "Nadia Ümit", "why": "order-of-a-court"}).text
    assert f"/legal?person={alice.id}#hold" in found
    assert str(alice.id) in court.client.get(f"/legal?person={alice.id}").text
    hold = court.hold(headshot="yes")
    (letter,) = letters_of(kernel, alice)
    assert "It covers: your headshots." in letter
    assert "1" not in letter.split("It covers")[0].split("proceeding")[0], "nothing of its reference"
    for person in (alice, bob):
        with kernel.db.transaction(person.tenant_id) as session:
            make_due(session, person)
        with kernel.db.transaction(person.tenant_id) as session:
            assert lateness.of_company(session, utc_now() + timedelta(hours=1)).objects == (7 if person is alice else 9)
        retention.delete_due(kernel, person.tenant_id, utc_now())
    assert (there(kernel, alice, Photo), there(kernel, alice, Headshot)) == (0, 2)
    assert (there(kernel, bob, Photo), there(kernel, bob, Headshot)) == (0, 0)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert lateness.of_company(session, utc_now() + timedelta(hours=1)).objects == 0
    sign_in_employee(client, kernel, alice)
    assert client.get("/visit/requests").status_code == 200, "access stays"
    assert "A legal hold stands until" in client.get("/visit/face").text
    court.lift(hold)
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert there(kernel, alice, Headshot) == 0


def test_a_period_keeps_what_was_made_in_it(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        old = photos.of(session, alice.id)[0]
        session.execute(text("update photo set created_at = now() - interval '3 days' where id = :id"), {"id": old.id})
    today = f"{utc_now():%Y-%m-%d}"
    Court(kernel, client, alice).hold(source="yes", made_from=today, made_until=today)
    with kernel.db.transaction(alice.tenant_id) as session:
        make_due(session, alice)
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        assert old.id not in {one.id for one in photos.of(session, alice.id)}
    assert (there(kernel, alice, Photo), there(kernel, alice, Headshot)) == (5, 0)


def test_a_delete_that_meets_a_hold_says_so_and_happens_when_it_ends(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    hold = court.hold(source="yes")
    sign_in_employee(client, kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        one = photos.of(session, alice.id)[0]
    assert client.delete(f"{API}/visit/photos/{one.id}").status_code == 204
    assert "1 photo that was deleted is kept by a legal hold" in client.get("/visit/photos").text
    assert client.get(f"{API}/visit/photos/{one.id}/picture").status_code == 404
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert there(kernel, alice, Photo) == 6
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.HELD
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert (there(kernel, alice, Photo), there(kernel, alice, Headshot)) == (6, 0), "what no hold covers goes at once"
    court.lift(hold)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.CERTIFIED
    assert there(kernel, alice, Photo) == 0


def test_a_headshot_deleted_under_a_hold_is_gone_for_everybody_and_goes_when_it_ends(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    hold = court.hold(headshot="yes")
    with kernel.db.transaction(alice.tenant_id) as session:
        one = headshots.of(session, alice.id, utc_now())[0]
    sign_in_employee(client, kernel, alice)
    assert client.post(f"/visit/headshots/{one.id}/delete", follow_redirects=False).status_code == 303
    assert client.get(f"{API}/visit/headshots/{one.id}/picture").status_code == 404
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [given for given in headshots.releases(session, alice.id) if given.headshot_id == one.id] == []
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert kernel.objects.exists(one.path), "what a court wants is kept"
    court.lift(hold)
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert not kernel.objects.exists(one.path)


@pytest.mark.parametrize("barred", [False, True])
def test_what_a_hold_keeps_past_its_day_is_used_for_nothing_and_told_of_only_with_the_hold(
    kernel: Kernel, client: TestClient[Any], barred: bool
) -> None:
    alice = full_person(kernel)
    Court(kernel, client, alice).hold(**{"barred": "yes"} if barred else {})
    run_jobs(kernel, tenant=alice.tenant_id)
    sign_in_employee(client, kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        deleted, late, *others = photos.of(session, alice.id)
        gone, stays = headshots.of(session, alice.id, utc_now())
        session.execute(text("update photo set due_at = now() where id = :id"), {"id": late.id})
    assert client.delete(f"{API}/visit/photos/{deleted.id}").status_code == 204
    assert client.post(f"/visit/headshots/{gone.id}/delete", follow_redirects=False).status_code == 303
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert (there(kernel, alice, Photo), there(kernel, alice, Headshot)) == (6, 2)
    shown = client.get(f"{API}/visit/photos").text + client.get("/visit/photos").text
    assert [str(one.id) in shown for one in (deleted, late, others[0])] == [False, False, True]
    assert client.get(f"{API}/visit/photos/{late.id}/picture").status_code == 404
    with kernel.db.transaction(alice.tenant_id) as session:
        used = {one.id for one in photos.accepted(session, alice.id)}
    assert used == {one.id for one in others}, "nothing is made of it either"
    with zipfile.ZipFile(io.BytesIO(client.get(f"{API}/visit/export").content)) as package:
        names = " ".join(package.namelist())
        said = b"".join(package.read(one) for one in package.namelist() if one.endswith((".json", ".html"))).decode()
    for one in (deleted, late, gone):
        assert (str(one.id) in names) == (not barred), "what is held about somebody is theirs to have a copy of"
        assert (f'"id": "{one.id}"' in said) == (not barred)
    assert all(str(one.id) in names for one in (*others, stays))
    assert "photo.removed" in said
    assert "photo.held" not in said
    assert ("kept by a hold" in said) == (not barred)
    again = intake.add(kernel, alice.tenant_id, alice.id, b"accepted 1", utc_now())
    assert again.id not in {late.id, deleted.id}
    assert there(kernel, alice, Photo) == 7
    assert "Key of your selfies" in client.get("/visit/photos").text
    with kernel.db.transaction(alice.tenant_id) as session:
        make_due(session, alice)
    retention.retire_keys(kernel, alice.tenant_id, utc_now())
    assert ("Key of your selfies" in client.get("/visit/photos").text) == (not barred), "its life would tell of the hold"


def packed(kernel: Kernel, person: Employee) -> str:
    pieces = packages.pieces(kernel, person.tenant_id, person.id, utc_now(), caller=f"employee:{person.id}")
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as package:
        return b"".join(package.read(one) for one in package.namelist() if one.endswith((".json", ".html"))).decode()


@pytest.mark.parametrize("barred", [False, True])
def test_an_erasure_that_only_a_barred_hold_keeps_is_a_request_to_the_person(
    kernel: Kernel, client: TestClient[Any], barred: bool
) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    hold = court.hold(**{"barred": "yes"} if barred else {})
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    assert client.get(f"{API}/people/{alice.roster_id}/erasure").json()["held"] == (not barred), "HR knows who it is"
    sign_in_employee(client, kernel, alice)
    receipt = client.post(f"{API}/visit/erasure").json()["receipt"]
    with kernel.db.transaction(alice.tenant_id) as session:
        mailed = read(kernel.keys, session.exec(select(Mail).where(col(Mail.template) == "erased")).one())
    assert mailed is not None
    assert "If there is anything that the law obliges Zebra Works to keep" in " ".join(mailed.text.split())
    assert "has begun" not in mailed.text, "it has not, and the person need not know why"
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        (erasure,) = erasures.all_erasures(session)
    assert erasure.state == ErasureState.HELD
    assert client.get(f"{API}/receipts/{receipt}").json()["state"] == ("requested" if barred else "held")
    said = packed(kernel, alice)
    assert ("erasure.held" in said) == (not barred)
    assert ('"state": "held"' in said) == (not barred)
    assert "erasure.requested" in said
    sign_in_employee(client, kernel, alice)
    assert client.post(f"{API}/visit/erasure").json()["state"] == ("requested" if barred else "held"), "asked again"
    court.lift(hold)
    assert ("erasure.held" in packed(kernel, alice)) == (not barred), "nor once it is lifted"


def test_a_certificate_names_the_holds_that_the_person_was_told_of(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    placed = [court.hold(basis="subpoena"), court.hold(barred="yes")]
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    for hold in placed:
        court.lift(hold)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.CERTIFIED
    with kernel.db.transaction(alice.tenant_id) as session:
        listed = erasures.certificate_of(session, erasure.id).document["holds"]
    assert [one["basis"] for one in listed] == ["subpoena"]


def test_photos_that_a_barred_hold_keeps_are_not_counted_beside_a_hold_that_was_told(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    court.lift(court.hold(source="yes"))
    court.hold(headshot="yes")
    court.hold(source="yes", barred="yes")
    sign_in_employee(client, kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        one = photos.of(session, alice.id)[0]
    assert client.delete(f"{API}/visit/photos/{one.id}").status_code == 204
    assert there(kernel, alice, Photo) == 6
    assert "that was deleted is kept" not in client.get("/visit/photos").text
    court.hold(source="yes")
    sign_in_employee(client, kernel, alice)
    assert "1 photo that was deleted is kept by a legal hold" in client.get("/visit/photos").text


def test_what_was_set_aside_stays_for_a_hold_and_can_be_handed_in_again(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    hold = court.hold(source="yes")
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        aside, deleted = photos.of(session, alice.id)[:2]
        aside.state = PhotoState.ASIDE
        session.add(aside)
    with kernel.db.transaction(alice.tenant_id) as session:
        decisions.hand_over(session, alice.id)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        decisions.remove(session, kernel.objects, alice.id, deleted.id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert {aside.id, deleted.id}.isdisjoint({one.id for one in photos.of(session, alice.id)})
    again = [intake.add(kernel, alice.tenant_id, alice.id, f"accepted {number}".encode(), utc_now()) for number in (0, 1)]
    assert {aside.id, deleted.id}.isdisjoint({one.id for one in again})
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert all(kernel.objects.exists(one.path) for one in (aside, deleted, *again)), "what a court wants is kept"
    court.lift(hold)
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert not any(kernel.objects.exists(one.path) for one in (aside, deleted))
    assert all(kernel.objects.exists(one.path) for one in again)


def test_what_no_hold_covers_is_certified_on_its_day(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    Court(kernel, client, alice).hold(headshot="yes")
    later = utc_now() + timedelta(days=7, hours=2)
    retention.delete_due(kernel, alice.tenant_id, later)
    assert retention.retire_keys(kernel, alice.tenant_id, later) == 2
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        mine = scheduled.of(session, kernel.keys, employees.get(session, alice.id))
    assert {one.scope for one in mine} == {"source", "model"}
    assert reread(kernel, erasure).state == ErasureState.HELD, "their headshots wait for the hold to end"


def test_what_a_second_hold_does_not_cover_goes_once_the_first_one_ends(
    kernel: Kernel, client: TestClient[Any]
) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    whole = court.hold()
    court.hold(headshot="yes")
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert attending._stranded(session, utc_now()) == []
    court.lift(whole)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    retention.delete_due(kernel, alice.tenant_id, utc_now())
    assert (there(kernel, alice, Photo), there(kernel, alice, Headshot)) == (0, 2)
    assert reread(kernel, erasure).state == ErasureState.HELD
    with kernel.db.transaction(alice.tenant_id) as session:
        assert attending._stranded(session, utc_now()) == [], "nothing is left to do until the hold ends"


def test_a_barred_hold_tells_the_person_nothing(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    court = Court(kernel, client, alice)
    court.hold(barred="yes")
    assert letters_of(kernel, alice) == []
    sign_in_employee(client, kernel, alice)
    assert client.get(f"{API}/visit/holds").json() == []
    for page in ("/visit/face", "/visit/requests", "/visit/photos"):
        assert "legal hold" not in client.get(page).text.lower(), page
    receipt = client.post("/visit/erasure", follow_redirects=False).headers["location"]
    run_jobs(kernel, tenant=alice.tenant_id)
    page = client.get(receipt).text
    assert "Your request is recorded" in page
    assert "legal hold" not in page
    assert "not told" in court._as(court.first).get("/legal").text


def test_a_hold_needs_classes_that_there_are_and_a_period_that_ends(kernel: Kernel) -> None:
    alice = full_person(kernel)
    now = utc_now()
    about: dict[str, Any] = {"basis": "warrant", "reference": "1", "reason": "x", "expires_at": now + timedelta(days=9),
                             "placed_by": make_member(kernel, alice.tenant_id, Role.LEGAL).id, "now": now}  # fmt: skip
    for wrong in ({"classes": ["profile"]}, {"made_from": now, "made_until": now}):
        with kernel.db.transaction(alice.tenant_id) as session, pytest.raises(holds.HoldRefused):
            holds.place(session, kernel.keys, alice.id, **about | wrong)


def test_a_restored_database_has_the_scope_back(kernel: Kernel, client: TestClient[Any]) -> None:
    alice = full_person(kernel)
    hold = Court(kernel, client, alice).hold(source="yes", barred="yes", made_from="2026-01-01")
    act = next(one for one in kernel.db.outside.acts(alice.tenant_id) if one.event == "hold.confirmed")
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(text("delete from hold where id = :id"), {"id": hold.id})
    with kernel.db.transaction(alice.tenant_id) as session:
        replay.REPEAT[act.event](session, kernel, act)
    with kernel.db.transaction(alice.tenant_id) as session:
        (back,) = holds.of(session, alice.id)
    assert (back.classes, back.barred, back.made_from) == (["source"], True, hold.made_from)
