from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import delete, text, update
from sqlmodel import Session, col, select

from batch.models import Batch, Employee
from batch.people import employees, funnel
from batch.people.funnel import Stage
from batch.roster import batches
from batch.sittings import sittings
from batch.visit import consents, invitations, notices
from compliance import requests
from compliance.desk import deleting
from compliance.erasure import erasures, tombstones, wiping
from compliance.models import Erasure, ErasureState, Trigger
from compliance.proof import certificates, signing
from compliance.rights import attending
from likeness import ledger, machines
from likeness.ground.db import Database, utc_now
from likeness.ground.errors import NotFound
from likeness.identity import Kind, make_link, start_session
from likeness.jobs import claims, held
from likeness.jobs.jobs import Job
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyDestroyed, KeyRef
from likeness.mail.mail import Letter, Mail, post
from likeness.store.objects import person_path, tenant_path
from tenants import tenants
from tenants.members import programs
from tenants.members.permissions import Permission
from tenants.models import Role
from tests.compliance.people import colleague_of, erase, full_person, readable, reread, rows_naming
from tests.factories import begin_held, make_employee, make_member, run_jobs, sign_in
from tests.handed_in import make_person

ARCHIVE = "/api/v1/headshots/archive"


def test_an_erasure_leaves_nothing_and_ends_in_a_certificate_that_verifies(kernel: Kernel) -> None:
    alice, stranger = full_person(kernel), full_person(kernel)
    bob = colleague_of(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        before = notices.version(tenants.get(session))
        tenants.change(session, caller="test", source_days=5)
    named = replace(kernel, settings=kernel.settings.model_copy(update={"operator": "Studio GmbH, Hafenstraße 1"}))
    erasure = erase(kernel, alice)
    run_jobs(named, tenant=alice.tenant_id)
    assert reread(kernel, erasure).state == ErasureState.CERTIFIED
    with kernel.db.transaction(alice.tenant_id) as session:
        left = {table: count for table, count in rows_naming(session, alice.id).items() if count}
        found = erasures.certificate_of(session, erasure.id)
        events = [entry.event for entry in ledger.entries(session, subject=alice.id)]
        ledger.verify(session)
    assert set(left) == {"ledger_entry", "credit", "erasure", "request"}
    assert kernel.objects.list(f"tenants/{alice.tenant_id}/employees/{alice.id}") == []
    for cls in KeyClass:
        with pytest.raises(KeyDestroyed):
            kernel.keys.open_or_create(KeyRef(alice.tenant_id, alice.id, cls))
    public = signing.published(kernel)
    document = certificates.verify(found.jws, public)
    assert document == found.document
    with kernel.db.transaction(alice.tenant_id) as session:
        notice = notices.current(session, "en")
    assert "deleted after 5 days" in notice.text
    assert notice.version != before
    assert document["terms"] == {"source_days": 5, "headshot_days": 30, "notice_version": notice.version}
    assert document["processor"] == "Studio GmbH, Hafenstraße 1"
    assert document["classes"]["source"]["objects"] == 6
    assert document["classes"]["headshot"]["objects"] == 2
    assert document["classes"]["model"]["objects"] == 1
    assert str(alice.id) not in json.dumps(document)
    assert {"erasure.requested", "erasure.started", "erasure.deleted", "erasure.verified"} <= set(events)
    assert readable(kernel, bob)
    assert readable(kernel, stranger)


class Cut(BaseException):
    """The process died here; nothing of the program catches it."""


class MortalDatabase(Database):
    """The database of a process that dies at its n-th commit, just before or just after it."""

    def __init__(self, alive: Database, commits: int, after: bool) -> None:
        self.engine, self.notify, self.outside, self.began = alive.engine, alive.notify, alive.outside, alive.began
        self.left, self.after = commits, after

    @contextmanager
    def transaction(self, tenant: UUID, undo: Callable[[], None] | None = None) -> Iterator[Session]:
        self.left -= 1
        with super().transaction(tenant, undo) as session:
            yield session
            if self.left == 0 and not self.after:
                raise Cut
        if self.left == 0:
            raise Cut


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commits", [2, 3, 4, 5])
def test_a_crash_at_any_commit_continues_where_it_was(kernel: Kernel, commits: int, after: bool) -> None:
    alice = full_person(kernel)
    run_jobs(kernel, tenant=alice.tenant_id)
    erasure = erase(kernel, alice)
    mortal = replace(kernel, db=MortalDatabase(kernel.db, commits, after))
    with contextlib.suppress(Cut):
        claims.work(mortal, job_of(kernel, erasure))
    run_later(kernel, alice)
    certified(kernel, erasure)
    assert reread(kernel, erasure).failures == 0


def job_of(kernel: Kernel, erasure: Erasure) -> UUID:
    with kernel.db.transaction(erasure.tenant_id) as session:
        query = select(Job).where(col(Job.tenant_id) == erasure.tenant_id, col(Job.state) == "ready")
        return next(job.id for job in session.exec(query) if job.args == [str(erasure.id)])


def certified(kernel: Kernel, erasure: Erasure) -> None:
    assert reread(kernel, erasure).state == ErasureState.CERTIFIED
    with kernel.db.transaction(erasure.tenant_id) as session:
        left = {table for table, count in rows_naming(session, erasure.employee_id).items() if count}
        assert left <= {"ledger_entry", "credit", "erasure", "request"}
        ledger.verify(session)
    assert kernel.objects.list(f"tenants/{erasure.tenant_id}/employees/{erasure.employee_id}") == []


def test_what_a_late_upload_left_is_found_deleted_and_on_record(kernel: Kernel) -> None:
    """A process that had opened its key before the erasure writes an object after everything was deleted."""
    alice = full_person(kernel)
    key = kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.HEADSHOT))
    erasure = erase(kernel, alice)
    mortal = replace(kernel, db=MortalDatabase(kernel.db, 8, after=True))  # Dies between deleting and verifying.
    with contextlib.suppress(Cut):
        claims.work(mortal, job_of(kernel, erasure))
    late = person_path(alice.tenant_id, alice.id, KeyClass.HEADSHOT, uuid4())
    kernel.objects.put(late, b"late", key)
    run_later(kernel, alice)
    run_later(kernel, alice)
    certified(kernel, erasure)
    assert reread(kernel, erasure).failures == 1
    with kernel.db.transaction(alice.tenant_id) as session:
        assert "erasure.incident" in [entry.event for entry in ledger.entries(session, subject=alice.id)]


def test_ten_minutes_later_it_looks_again_and_deletes_what_came_back(kernel: Kernel) -> None:
    alice = full_person(kernel)
    key = kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.MODEL))
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert reread(kernel, erasure).looked_again_at is None
    kernel.objects.put(person_path(alice.tenant_id, alice.id, KeyClass.MODEL, uuid4()), b"late", key)
    run_later(kernel, alice)
    assert reread(kernel, erasure).looked_again_at is None
    assert kernel.objects.list(f"tenants/{alice.tenant_id}/employees/{alice.id}") == []
    run_later(kernel, alice)
    closed = reread(kernel, erasure)
    assert closed.looked_again_at is not None
    assert closed.traces == {}


def run_later(kernel: Kernel, person: Employee) -> None:
    """The leases of those who died have ended, and every pause is over."""
    make_due(kernel, person)
    run_jobs(kernel, tenant=person.tenant_id)


def make_due(kernel: Kernel, person: Employee) -> None:
    """The time of every waiting job has come."""
    with kernel.db.transaction(person.tenant_id) as session:
        session.execute(update(Job).where(col(Job.due).is_not(None)).values(due=utc_now()))


def test_nothing_is_verified_while_a_run_on_the_cluster_may_still_write(kernel: Kernel) -> None:
    alice = full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(
            text(
                "insert into run (id, tenant_id, employee_id, sitting_id, fence, state, recipe, seconds, step, steps, made,"
                " passed, started_at, heartbeat_at) select gen_random_uuid(), tenant_id, employee_id, id, 9, 'running',"
                " '{}', '{}', 0, 0, 0, 0, now(), now() from sitting where employee_id = :e"
            ),
            {"e": alice.id},
        )
    erasure = erase(kernel, alice)
    before = utc_now()
    run_jobs(kernel, tenant=alice.tenant_id)
    waiting = reread(kernel, erasure)
    assert waiting.state == ErasureState.VERIFYING
    assert waiting.settled_at is not None
    assert before + erasures.STUDIO_STOPS < waiting.settled_at < utc_now() + erasures.STUDIO_STOPS
    assert timedelta(seconds=30) < erasures.STUDIO_STOPS
    assert kernel.keys.refs(alice.tenant_id, alice.id) == []
    with kernel.db.transaction(alice.tenant_id) as session:
        erasures.get(session, erasure.id).settled_at = utc_now()
    run_later(kernel, alice)
    certified(kernel, erasure)


def test_a_withdrawn_consent_becomes_an_erasure_also_of_who_handed_nothing_in(kernel: Kernel) -> None:
    """Else whoever had agreed, and nobody else, would be asked about a corrected address after the withdrawal."""
    alice, bob = full_person(kernel), make_person(kernel)
    for person in (alice, bob):
        with kernel.db.transaction(person.tenant_id) as session:
            sittings.withdraw(session, person.id, utc_now())
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        (erasure,) = erasures.all_erasures(session)
    assert erasure.trigger == Trigger.WITHDRAWAL
    certified(kernel, erasure)
    run_jobs(kernel, tenant=bob.tenant_id)
    with kernel.db.transaction(bob.tenant_id) as session:
        (empty,) = erasures.all_erasures(session)
    assert empty.trigger == Trigger.WITHDRAWAL
    certified(kernel, empty)


def test_hr_cannot_tell_who_withdrew_from_who_declined_or_never_answered(kernel: Kernel) -> None:
    withdrew = full_person(kernel)
    with kernel.db.transaction(withdrew.tenant_id) as session:
        batch = batches.get(session, withdrew.batch_id)
        declined, silent = (make_employee(session, kernel, batch=batch, full_name=name) for name in ("Bo", "Cy"))
        invited = invitations.invite(session, silent, utc_now())
        told_before = employees.profile(kernel.keys, withdrew)
    run_jobs(kernel, tenant=withdrew.tenant_id)
    with kernel.db.transaction(withdrew.tenant_id) as session:
        sittings.withdraw(session, withdrew.id, utc_now())
        consents.decline(session, declined.id, utc_now())
        session.merge(invited).expires_at = utc_now()

    def told() -> list[tuple[object, ...]]:
        with kernel.db.transaction(withdrew.tenant_id) as session:
            people = batches.people(session, kernel.keys, batch.id, utc_now())
            assert sum(batches.funnel(session, batch.id, utc_now()).values()) == len(people)
            tallies = {one.stage: one.age for one in funnel.tallies(session, utc_now(), batch_id=batch.id)}
            assert tallies[Stage.OPTED_OUT] is None
            for one in people:
                with pytest.raises(invitations.HasOptedOut):
                    invitations.invite(session, employees.on_roster(session, one.id), utc_now())
        assert {(one.stage, one.since, one.photos) for one in people} == {(Stage.OPTED_OUT, None, 0)}
        return sorted((one.name, one.email, one.row) for one in people)

    while_it_waits = told()
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=withdrew.tenant_id)
    with kernel.db.transaction(withdrew.tenant_id) as session:
        (erasure,) = erasures.all_erasures(session)
        line = employees.find(session, kernel.keys, told_before.email)
        residuals = erasures.certificate_of(session, erasure.id).document["kept"]
    certified(kernel, erasure)
    assert told() == while_it_waits
    assert line is not None
    assert line.id != withdrew.id
    assert replace(employees.profile(kernel.keys, line), receipt=None) == told_before
    assert any("marked as opted out" in one["what"] for one in residuals)
    # The line is HR's own: there is nothing behind it that could be erased once more.
    attending.attend(kernel, utc_now())
    with kernel.db.transaction(withdrew.tenant_id) as session:
        assert len(erasures.all_erasures(session)) == 1


def test_who_downloaded_by_a_key_is_asked_to_delete_also_once_it_is_revoked(kernel: Kernel, app: Litestar) -> None:
    alice = full_person(kernel)
    hr = make_member(kernel, alice.tenant_id, Role.HR)
    with kernel.db.transaction(alice.tenant_id) as session:
        key, token = programs.make(session, hr, "HRIS", [Permission.HEADSHOTS_READ], utc_now())
    with TestClient(app) as client:
        assert client.get(ARCHIVE, headers={"authorization": f"Bearer {token}"}).status_code == 200
        sign_in(client, kernel, alice.tenant_id, Kind.MEMBER, hr.id)
        assert client.get(ARCHIVE).status_code == 200
    with kernel.db.transaction(alice.tenant_id) as session:
        machines.revoke(session, utc_now(), key_id=key.id)
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        asked = session.exec(select(Mail).where(Mail.template == "copies")).all()
        assert [one.owner_id for one in asked] == [hr.id], "one mail for both ways of downloading"
        waits = (col(Job.tenant_id) == alice.tenant_id, col(Job.state) == "ready")
        session.execute(update(Job).where(*waits).values(due=utc_now()))
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        said = erasures.certificate_of(session, erasure.id).document
    assert said["recipients_not_informed"] == []
    assert [one["how"] for one in said["recipients_informed"]] == ["mail handed over"] * 2


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("commits", [2, 3, 4])
def test_a_crash_leaves_neither_two_lines_nor_none(kernel: Kernel, commits: int, after: bool) -> None:
    alice = full_person(kernel)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
        erasure = erasures.request(
            session, alice.id, trigger=Trigger.WITHDRAWAL, requested_by=ledger.SYSTEM, now=utc_now()
        )
    mortal = replace(kernel, db=MortalDatabase(kernel.db, commits, after))
    with contextlib.suppress(Cut):
        claims.work(mortal, job_of(kernel, erasure))
    run_later(kernel, alice)
    certified(kernel, erasure)
    with kernel.db.transaction(alice.tenant_id) as session:
        (line,) = batches.people(session, kernel.keys, alice.batch_id, utc_now())
    assert (line.name, line.stage) == ("Nadia Ümit", Stage.OPTED_OUT)


def test_who_withdrew_and_then_deletes_everything_leaves_no_line(kernel: Kernel) -> None:
    alice = full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
    attending.attend(kernel, utc_now())
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    certified(kernel, erasure)
    assert reread(kernel, erasure).trigger == Trigger.PERSON
    with kernel.db.transaction(alice.tenant_id) as session:
        assert batches.people(session, kernel.keys, alice.batch_id, utc_now()) == []
        assert len(requests.of(session, alice.id)) == 1


def test_what_hr_deletes_stays_the_wish_of_whoever_had_withdrawn(kernel: Kernel) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    with kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
    attending.attend(kernel, utc_now())
    with kernel.db.transaction(bob.tenant_id) as session:
        erasures.request(session, bob.id, trigger=Trigger.LEAVER, requested_by=ledger.SYSTEM, now=utc_now())
    for person in (alice, bob):
        with kernel.db.transaction(person.tenant_id) as session:
            known = erasures.open_of(session, person.id)
            assert known is not None
            before = (known.requested_by, known.requested_at)
            widened = erasures.request(
                session, person.id, trigger=Trigger.EMPLOYER, requested_by="member:hanna", now=utc_now()
            )
            assert (widened.id, widened.trigger) == (known.id, Trigger.EMPLOYER)
            if person is alice:
                assert (widened.requested_by, widened.requested_at) == before
            else:
                assert widened.requested_by == "member:hanna"
                assert widened.requested_at > before[1]


def test_a_deletion_that_hr_asked_for_follows_a_line_that_a_withdrawal_moved(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a slow machine the withdrawal's own jobs take longer than the seconds in which HR can take its act back.
    monkeypatch.setattr(held, "WAITS", timedelta(minutes=5))
    alice, bob = full_person(kernel), full_person(kernel)

    def lines(person: Employee) -> list[UUID]:
        with kernel.db.transaction(person.tenant_id) as session:
            return list(session.exec(select(Employee.id).where(col(Employee.roster_id) == person.roster_id)))

    with kernel.db.transaction(alice.tenant_id) as session:
        deleting.ask(session, [alice.id], utc_now(), caller=f"member:{uuid4()}")
        sittings.withdraw(session, alice.id, utc_now())
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    (line,) = lines(alice)
    assert line != alice.id, "to HR it is the same line"
    begin_held(kernel, alice.tenant_id)
    assert lines(alice) == []
    with kernel.db.transaction(alice.tenant_id) as session:
        triggers = {one.employee_id: one.trigger for one in erasures.all_erasures(session)}
    assert triggers == {alice.id: Trigger.WITHDRAWAL, line: Trigger.EMPLOYER}
    assert lines(bob) == [bob.id]


def test_an_erasure_that_lost_its_job_goes_on(kernel: Kernel) -> None:
    alice = full_person(kernel)
    erasure = erase(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(delete(Job).where(col(Job.tenant_id) == alice.tenant_id))
    attending.attend(kernel, utc_now())
    attending.attend(kernel, utc_now())
    with kernel.db.transaction(alice.tenant_id) as session:
        assert len(session.exec(select(Job.id).where(col(Job.tenant_id) == alice.tenant_id)).all()) == 1
    run_jobs(kernel, tenant=alice.tenant_id)
    certified(kernel, erasure)


def test_a_restored_person_is_deleted_again_before_anything_is_served(kernel: Kernel) -> None:
    alice, bob = full_person(kernel), full_person(kernel)
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        restored = make_employee(session, kernel)
        session.execute(update(Employee).where(col(Employee.id) == restored.id).values(id=alice.id))
    file = kernel.settings.keys_path() / "tenants" / str(alice.tenant_id) / str(alice.id) / "source.key"
    file.write_bytes(b"of a backup")
    object_file = kernel.settings.home / "objects" / "tenants" / str(alice.tenant_id) / "employees" / str(alice.id)
    (object_file / "source").mkdir(parents=True)
    (object_file / "source" / "restored").write_bytes(b"of a backup")
    assert wiping.replay_tombstones(kernel) >= 1
    assert not file.exists()
    certified(kernel, erasure)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert "erasure.replayed" in [entry.event for entry in ledger.entries(session, subject=alice.id)]
    assert wiping.replay_tombstones(kernel) == 0
    assert readable(kernel, bob)


def a_row(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        restored = make_employee(session, kernel)
        session.execute(update(Employee).where(col(Employee.id) == restored.id).values(id=person.id))


def a_mail(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        restored = make_employee(session, kernel)
        post(session, kernel.keys, restored.id, Letter("a@b.example", "s", "t"), template="test", campaign="one")
        session.execute(text("update mail set owner_id = :e where owner_id = :r"), {"e": person.id, "r": restored.id})


def a_session(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        start_session(session, Kind.EMPLOYEE, person.id, utc_now())


def a_link(kernel: Kernel, person: Employee) -> None:
    with kernel.db.transaction(person.tenant_id) as session:
        make_link(session, Kind.EMPLOYEE, person.id, utc_now())


def an_ended_job(kernel: Kernel, person: Employee) -> None:
    ended = {"state": "done", "due": None, "finished_at": utc_now()}
    with kernel.db.transaction(person.tenant_id) as session:
        session.add(Job(tenant_id=person.tenant_id, kind="test", key="x", args=["photo", str(person.id)], **ended))


def a_key(kernel: Kernel, person: Employee) -> None:
    (key_folder(kernel, person) / "source.key").write_bytes(b"of a backup")


def a_retired_key(kernel: Kernel, person: Employee) -> None:
    (key_folder(kernel, person) / "source.key.0123456789abcdef").write_bytes(b"of a backup")


def no_mark(kernel: Kernel, person: Employee) -> None:
    (key_folder(kernel, person) / "headshot.destroyed").unlink()


def no_key_folder(kernel: Kernel, person: Employee) -> None:
    shutil.rmtree(key_folder(kernel, person))


def an_object(kernel: Kernel, person: Employee, name: str = "restored") -> None:
    folder = kernel.settings.home / "objects" / "tenants" / str(person.tenant_id) / "employees" / str(person.id)
    (folder / "source").mkdir(parents=True)
    (folder / "source" / name).write_bytes(b"of a backup")


def half_an_object(kernel: Kernel, person: Employee) -> None:
    an_object(kernel, person, "_0123456789abcdef.part")


def log_lines(kernel: Kernel, person: Employee) -> None:
    with (kernel.settings.home / "likeness.log").open("a") as log:
        log.write(f'{{"employee": "{person.id}"}}\n{{"route": "/{person.id.hex}"}}\n')


def key_folder(kernel: Kernel, person: Employee) -> Path:
    return kernel.settings.keys_path() / "tenants" / str(person.tenant_id) / str(person.id)


@pytest.mark.parametrize(
    "bring_back",
    [
        a_row, a_mail, a_session, a_link, an_ended_job, a_key, a_retired_key, no_mark, no_key_folder, an_object,
        half_an_object, log_lines,
    ],
)  # fmt: skip
def test_whatever_a_backup_brings_back_alone_is_seen_and_deleted(
    kernel: Kernel, bring_back: Callable[[Kernel, Employee], None]
) -> None:
    alice = full_person(kernel)
    bob = colleague_of(kernel, alice)
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    bring_back(kernel, alice)
    wiping.replay_tombstones(kernel)
    certified(kernel, erasure)
    objects = kernel.settings.home / "objects" / "tenants" / str(alice.tenant_id) / "employees" / str(alice.id)
    assert not objects.exists()
    assert kernel.keys.refs(alice.tenant_id, alice.id) == []
    for cls in KeyClass:
        with pytest.raises(KeyDestroyed):
            kernel.keys.open_or_create(KeyRef(alice.tenant_id, alice.id, cls))
    log = kernel.settings.home / "likeness.log"
    assert not log.exists() or not re.search(f"{alice.id}|{alice.id.hex}", log.read_text())
    assert readable(kernel, bob)
    log.unlink(missing_ok=True)


def test_a_start_costs_next_to_nothing_for_all_who_stayed_away(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = make_person(kernel).tenant_id
    for _ in range(50):
        gone = tombstones.Tombstone(uuid4(), tenant, uuid4(), utc_now())
        tombstones.write(kernel.settings.tombstones_path(), gone)
    wiping.replay_tombstones(kernel)
    laid = tombstones.read_all(kernel.settings.tombstones_path())
    counted = MortalDatabase(kernel.db, commits=0, after=False)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    assert wiping.replay_tombstones(replace(kernel, db=counted)) == 0
    assert -counted.left == len({one.tenant for one in laid})
    assert synced == []


def test_a_tombstone_holds_random_ids_and_nothing_of_the_person(kernel: Kernel) -> None:
    alice = full_person(kernel)
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    (file,) = kernel.settings.tombstones_path().glob(f"{erasure.id}.json")
    words = json.loads(file.read_text())
    assert set(words) == set(tombstones.FIELDS)
    assert not re.search(r"Nadia|@|digest|sha", file.read_text())
    (found,) = [one for one in tombstones.read_all(file.parent) if one.id == erasure.id]
    assert found.owner == alice.id


def test_a_tombstone_that_cannot_be_read_stops_the_start(kernel: Kernel) -> None:
    broken = kernel.settings.tombstones_path() / "broken.json"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text('{"owner": "half')
    try:
        with pytest.raises(ValueError, match="Unterminated"):
            wiping.replay_tombstones(kernel)
    finally:
        broken.unlink()


@pytest.mark.parametrize("name", ["likeness.log", "likeness.log.1", "likeness.log.4"])
def test_an_id_in_the_log_is_blanked_in_place(kernel: Kernel, name: str) -> None:
    alice = full_person(kernel)
    log = kernel.settings.home / name
    log.write_text(f'{{"employee": "{alice.id}"}}\n{{"employee": "{uuid4()}"}}\n')
    size = log.stat().st_size
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    assert str(alice.id) not in log.read_text()
    assert log.stat().st_size >= size
    certified(kernel, erasure)
    log.unlink()


def test_the_workbook_that_somebody_came_from_goes_with_them(kernel: Kernel) -> None:
    alice = full_person(kernel)
    workbook = uuid4()
    key = kernel.keys.open_or_create(KeyRef(alice.tenant_id, workbook, KeyClass.PROFILE))
    path = tenant_path(alice.tenant_id, "workbooks", workbook)
    kernel.objects.put(path, b"500 people", key)
    with kernel.db.transaction(alice.tenant_id) as session:
        session.execute(
            update(Batch)
            .where(col(Batch.id) == alice.batch_id)
            .values(workbook_id=workbook, workbook_due_at=utc_now() + timedelta(hours=5))
        )
    erasure = erase(kernel, alice)
    run_jobs(kernel, tenant=alice.tenant_id)
    certified(kernel, erasure)
    assert not kernel.objects.exists(path)


def test_nobody_of_another_company_can_be_erased(kernel: Kernel) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    with kernel.db.transaction(bob.tenant_id) as session, pytest.raises(NotFound):
        erasures.request(session, alice.id, trigger=Trigger.PERSON, requested_by="x", now=utc_now())
    erasure = erase(kernel, alice)
    with kernel.db.transaction(bob.tenant_id) as session, pytest.raises(NotFound):
        erasures.get(session, erasure.id)


def test_two_requests_at_once_make_one_erasure(kernel: Kernel) -> None:
    alice = make_person(kernel)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: erase(kernel, alice).id, range(4)))
    assert len(set(made)) == 1
