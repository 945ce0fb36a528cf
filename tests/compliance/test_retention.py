from __future__ import annotations

import json
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlmodel import SQLModel, col, update

from batch.models import NAMES_DAYS, Employee, Headshot, Release
from batch.people import employees
from batch.photos import decisions, photos
from batch.sittings import copies, headshots
from batch.visit import invitations, notices
from compliance import holds
from compliance.erasure import cases, erasures, scheduled
from compliance.proof.paper import words
from compliance.retention import endings, retention
from compliance.rights import attending, lasting
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.ground.errors import Unavailable
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.locale.words import words as words_for
from likeness.mail import mail
from tenants import tenants
from tenants.models import Role
from tests.compliance.people import colleague_of, full_person, readable
from tests.factories import make_member, run_jobs
from tests.handed_in import make_photos

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return full_person(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return full_person(kernel)


def sweep(kernel: Kernel, person: Employee, now: datetime) -> None:
    """What `retention.sweep` does, for one company only: other tests' people stay out of it."""
    retention.delete_due(kernel, person.tenant_id, now)
    retention.retire_keys(kernel, person.tenant_id, now)


def stored(kernel: Kernel, person: Employee, cls: KeyClass) -> int:
    return len(kernel.objects.list(f"tenants/{person.tenant_id}/employees/{person.id}/{cls}"))


def state(kernel: Kernel, person: Employee, cls: KeyClass) -> str:
    return kernel.keys.state(KeyRef(person.tenant_id, person.id, cls))


def due_of(kernel: Kernel, person: Employee) -> tuple[datetime, datetime]:
    """The last moment of the selfies and of the headshots."""
    with kernel.db.transaction(person.tenant_id) as session:
        selfies = photos.of(session, person.id)
        pictures = headshots.of(session, person.id, utc_now())
    return max(one.due_at for one in selfies), max(one.due_at for one in pictures)


def events(kernel: Kernel, person: Employee) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        return [entry.event for entry in ledger.entries(session, subject=person.id)]


def test_selfies_and_weights_go_on_day_7_and_headshots_on_day_30_to_the_minute(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    selfies_due, headshots_due = due_of(kernel, alice)
    assert timedelta(days=6.9) < selfies_due - utc_now() <= 7 * DAY
    assert timedelta(days=29.9) < headshots_due - utc_now() <= 30 * DAY
    sweep(kernel, alice, selfies_due - MINUTE)
    assert readable(kernel, alice)
    sweep(kernel, alice, selfies_due)
    assert (stored(kernel, alice, KeyClass.SOURCE), stored(kernel, alice, KeyClass.MODEL)) == (0, 0)
    assert (state(kernel, alice, KeyClass.SOURCE), state(kernel, alice, KeyClass.MODEL)) == ("destroyed", "destroyed")
    assert stored(kernel, alice, KeyClass.HEADSHOT) == 2
    assert state(kernel, alice, KeyClass.HEADSHOT) == "live"
    sweep(kernel, alice, headshots_due)
    assert stored(kernel, alice, KeyClass.HEADSHOT) == 0
    assert state(kernel, alice, KeyClass.HEADSHOT) == "destroyed"
    assert state(kernel, alice, KeyClass.PROFILE) == "live"
    with kernel.db.transaction(alice.tenant_id) as session:
        assert headshots.releases(session, alice.id) == []
    assert readable(kernel, bob)
    assert {"photo.expired", "weights.expired", "headshot.expired", "key.destroyed"} <= set(events(kernel, alice))
    before = len(events(kernel, alice))
    sweep(kernel, alice, headshots_due + MINUTE)
    assert len(events(kernel, alice)) == before


def test_no_weights_outlive_the_last_selfie(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        for photo in photos.of(session, alice.id)[1:]:
            decisions.remove(session, kernel.objects, alice.id, photo.id)
    sweep(kernel, alice, utc_now())
    assert stored(kernel, alice, KeyClass.MODEL) == 1
    with kernel.db.transaction(alice.tenant_id) as session:
        decisions.remove(session, kernel.objects, alice.id, photos.of(session, alice.id)[0].id)
    sweep(kernel, alice, utc_now())
    assert stored(kernel, alice, KeyClass.MODEL) == 0


def test_a_person_may_come_back_with_new_selfies_after_day_7(kernel: Kernel, alice: Employee) -> None:
    sweep(kernel, alice, utc_now() + 8 * DAY)
    assert state(kernel, alice, KeyClass.SOURCE) == "destroyed"
    make_photos(kernel, alice, 2)
    with kernel.db.transaction(alice.tenant_id) as session:
        (first, _) = photos.of(session, alice.id)
    key = kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE))
    assert kernel.objects.get(first.path, key)


def test_a_key_made_a_moment_ago_is_not_mistaken_for_one_without_objects(kernel: Kernel, alice: Employee) -> None:
    ref = KeyRef(alice.tenant_id, uuid4(), KeyClass.SOURCE)
    kernel.keys.open_or_create(KeyRef(ref.tenant, ref.owner, KeyClass.PROFILE))
    kernel.keys.open_or_create(ref)
    sweep(kernel, alice, utc_now())
    assert kernel.keys.state(ref) == "live"
    sweep(kernel, alice, utc_now() + 2 * retention.YOUNG_KEY)
    assert kernel.keys.state(ref) == "destroyed"


def test_a_confirmed_hold_keeps_everything_until_it_ends(kernel: Kernel, alice: Employee, bob: Employee) -> None:
    _hold(kernel, alice, utc_now() + 100 * DAY)
    for person in (alice, bob):
        sweep(kernel, person, utc_now() + 31 * DAY)
    assert [stored(kernel, alice, cls) for cls in (KeyClass.SOURCE, KeyClass.MODEL, KeyClass.HEADSHOT)] == [6, 1, 2]
    assert state(kernel, alice, KeyClass.SOURCE) == "live"
    assert stored(kernel, bob, KeyClass.HEADSHOT) == 0
    sweep(kernel, alice, utc_now() + 101 * DAY)
    assert stored(kernel, alice, KeyClass.HEADSHOT) == 0


def test_one_companys_failure_does_not_stop_the_others(kernel: Kernel, alice: Employee, bob: Employee) -> None:
    """The company that comes first has a key file that is none."""
    junk = kernel.settings.keys_path() / "tenants" / str(alice.tenant_id) / "junk" / "source.key"
    junk.parent.mkdir()
    junk.touch()
    retention.sweep(kernel, utc_now() + 8 * DAY)
    assert stored(kernel, bob, KeyClass.SOURCE) == 0
    assert state(kernel, bob, KeyClass.SOURCE) == "destroyed"
    assert state(kernel, alice, KeyClass.SOURCE) == "live"
    junk.unlink()
    retention.sweep(kernel, utc_now() + 8 * DAY)
    assert state(kernel, alice, KeyClass.SOURCE) == "destroyed"


def test_an_object_store_that_is_down_loses_no_row(
    kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(path: str) -> None:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(kernel.objects, "delete", down)
        sweep(kernel, alice, utc_now() + 8 * DAY)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert len(photos.of(session, alice.id)) == 6
    sweep(kernel, alice, utc_now() + 8 * DAY)
    assert stored(kernel, alice, KeyClass.SOURCE) == 0


def test_weights_that_a_lost_run_left_without_a_row_go_after_a_day(kernel: Kernel, alice: Employee) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(SQLModel.metadata.tables["weights"].delete())
    sweep(kernel, alice, utc_now() + timedelta(hours=23))
    assert stored(kernel, alice, KeyClass.MODEL) == 1
    sweep(kernel, alice, utc_now() + timedelta(hours=25))
    assert stored(kernel, alice, KeyClass.MODEL) == 0


def test_a_mail_warns_a_week_and_a_day_before_headshots_go_and_once_each(kernel: Kernel, alice: Employee) -> None:
    _, last = due_of(kernel, alice)
    for now in (last - 8 * DAY, last - 6.5 * DAY, last - 6.4 * DAY, last - DAY / 2, last - DAY / 3):
        retention.warn(kernel, now)
    with kernel.db.transaction(alice.tenant_id) as session:
        warnings = [one for one in mail.mailbox(session) if one.template == "expiry" and one.owner_id == alice.id]
        letters = [mail.read(kernel.keys, one) for one in warnings]
    assert len(letters) == 2
    assert all(letter and f"{last.day} {last:%b %Y}" in letter.text for letter in letters)


def test_a_day_that_is_brought_forward_past_a_warning_is_warned_of_at_once(kernel: Kernel, alice: Employee) -> None:
    now = utc_now()
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change(session, headshot_days=4, caller="system")
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(update(Headshot).where(col(Headshot.employee_id) == alice.id).values(due_at=now + 3.5 * DAY))
    for later in (timedelta(hours=1), timedelta(hours=2), 2.7 * DAY):
        retention.warn(kernel, now + later)
    with kernel.db.transaction(alice.tenant_id) as session:
        warnings = [one for one in mail.mailbox(session) if one.template == "expiry" and one.owner_id == alice.id]
        letters = [letter.text for one in warnings if (letter := mail.read(kernel.keys, one))]
    assert [("in 1 day" in text, "in 4 days" in text) for text in letters] == [(True, False), (False, True)]


def test_names_go_a_year_after_the_last_of_somebody_and_a_certificate_says_so(kernel: Kernel, alice: Employee) -> None:
    """A colleague of whom something newer is there, and another company's person, stay."""
    bo, other = colleague_of(kernel, alice), full_person(kernel)
    last = timedelta(days=NAMES_DAYS) + 31 * DAY
    with kernel.db.transaction(alice.tenant_id) as session:
        stays, back = [one.id for one in headshots.of(session, alice.id, utc_now())]
        headshots.release(session, alice.id, [stays, back], utc_now())
        session.execute(update(Release).where(col(Release.employee_id) == alice.id).values(downloaded_at=utc_now()))
        who = {"caller": "member:x", "subject": alice.id, "objects": [stays, back]}
        ledger.record(session, "release.downloaded", **who)  # type: ignore[arg-type]
        headshots.unrelease(session, alice.id, back, utc_now())
        session.execute(update(Headshot).where(col(Headshot.employee_id) == bo.id).values(
            created_at=utc_now() + last - DAY, due_at=utc_now() + last))
        assert lasting.past(session, utc_now() + last - 2 * DAY) == []
        assert lasting.past(session, utc_now() + last) == [alice.id]
        assert f"deleted {NAMES_DAYS} days after the last day" in notices.current(session, "en").text
    lasting.forget_of(kernel, alice.tenant_id, utc_now() + last)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        (erasure,) = [one for one in erasures.all_erasures(session) if one.employee_id == alice.id]
        assert (erasure.trigger, erasure.state) == ("retention", "certified")
        document = erasures.certificate_of(session, erasure.id).document
        (asked,), (kept,) = document["recipients_informed"], document["recipients_not_informed"]
        assert (asked["headshots"], asked["how"]) == (1, cases.TAKEN_BACK), "one of the two was taken back"
        assert (kept["headshots"], kept["why"]) == (1, cases.STAYS)
        page = json.dumps(words.page(document, words_for("en"))["told"])
        assert "it was asked there to delete them" in page
        assert "stays with your employer" in page
        assert "could not be told" not in page
        assert employees.get(session, bo.id)
    with kernel.db.transaction(other.tenant_id) as session:
        assert employees.get(session, other.id)


def test_whom_the_directory_named_stays_with_and_without_an_id_of_its_own(kernel: Kernel, alice: Employee) -> None:
    lines = [make_person_of(kernel, alice, index) for index in ("user_name_index", "external_index")]
    with kernel.db.transaction(alice.tenant_id) as session:
        over = lasting.past(session, utc_now() + timedelta(days=NAMES_DAYS) + 31 * DAY)
    assert alice.id in over
    assert lines[0] not in over, "a directory need not send `externalId`"
    assert lines[1] in over, "an id alone makes no user of the directory"


def make_person_of(kernel: Kernel, person: Employee, index: str) -> UUID:
    other = colleague_of(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        line = employees.get(session, other.id)
        setattr(line, index, other.id.bytes)
        session.add(line)
    return other.id


def _hold(kernel: Kernel, person: Employee, until: datetime) -> None:
    one, other = (make_member(kernel, person.tenant_id, Role.LEGAL) for _ in range(2))
    with kernel.db.transaction(person.tenant_id) as session:
        hold = holds.place(
            session, kernel.keys, person.id, basis="subpoena", reference="12 C 345/26", reason="Evidence", placed_by=one.id,
            expires_at=until, now=utc_now(),
        )  # fmt: skip
        holds.confirm(session, hold.id, confirmed_by=other.id, now=utc_now())


def letters_of(kernel: Kernel, person: Employee, template: str) -> list[mail.Letter]:
    with kernel.db.transaction(person.tenant_id) as session:
        mine = [one for one in mail.mailbox(session) if one.template == template and one.owner_id == person.id]
        return [letter for one in mine if (letter := mail.read(kernel.keys, one))]


def test_a_sitting_that_is_over_is_written_about_once_with_its_days(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    soon = utc_now() + endings.SETTLED + MINUTE
    for person in (alice, bob):
        with kernel.db.transaction(person.tenant_id) as session:
            invitations.invite(session, employees.get(session, person.id), utc_now())
    assert endings.close_of(kernel, alice.tenant_id, utc_now()) == 0, "they may change their mind"
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change_approval(session, approves=True, caller="member:x")
    assert endings.close_of(kernel, alice.tenant_id, soon) == 0, "the company has not looked at it yet"
    with kernel.db.transaction(alice.tenant_id) as session:
        tenants.change_approval(session, approves=False, caller="member:x")
    assert [endings.close_of(kernel, alice.tenant_id, soon) for _ in range(2)] == [1, 0]
    (letter,) = letters_of(kernel, alice, "closing")
    selfies_due, headshots_due = due_of(kernel, alice)
    for due in (selfies_due, headshots_due):
        assert words_for("en", "UTC").moment(due) in letter.text
    assert "You have released 1 headshot to" in letter.text
    assert "/i/" in letter.text
    assert letters_of(kernel, bob, "closing") == []
    # Who has everything deleted hears of that, and of nothing else.
    with kernel.db.transaction(bob.tenant_id) as session:
        erasures.ask(session, kernel, bob.id, utc_now())
    assert endings.close_of(kernel, bob.tenant_id, soon) == 0


def test_the_last_deletion_is_told_once_with_its_certificates_and_with_what_the_employer_keeps(
    kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        invitations.invite(session, employees.get(session, alice.id), utc_now())
        (given,) = headshots.releases(session, alice.id)
        given.downloaded_at = utc_now()
        session.add(given)
        ledger.record(
            session, "release.downloaded", caller="member:x", subject=alice.id, objects=[given.headshot_id]
        )
    selfies_due, headshots_due = due_of(kernel, alice)
    sweep(kernel, alice, selfies_due)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    assert letters_of(kernel, alice, "ended") == [], "headshots are still here"
    sweep(kernel, alice, headshots_due)
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    (letter,) = letters_of(kernel, alice, "ended")
    with kernel.db.transaction(alice.tenant_id) as session:
        mine = scheduled.of(session, kernel.keys, employees.get(session, alice.id))
        assert copies.of(session, alice.id).kept == 1, "the copy that HR has is not gone with the headshot"
        assert copies.of(session, bob.id).kept == 0
    assert len(mine) == 3
    assert all(str(one.certificate.id) in letter.text for one in mine)
    assert "keeps what you released" in letter.text
    assert letters_of(kernel, bob, "ended") == []
