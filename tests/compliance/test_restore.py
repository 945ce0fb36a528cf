"""Backups that come back: of the database, of the objects, of everything. Each has a site of its own to be restored."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar.testing import TestClient
from sqlalchemy import create_engine, text
from sqlmodel import col, select

from batch.directory import people
from batch.models import AddressChange, Consent, Employee, Headshot, Invitation, Photo, Purpose, Release
from batch.people import employees
from batch.photos import decisions, photos
from batch.sittings import headshots, resemblance, sittings
from batch.visit import addresses, consents, invitations, notices
from compliance import holds, restores
from compliance.desk import answering, deleting, leaving
from compliance.erasure import certifying, erasures, receipts, replay, staying
from compliance.models import Basis, Departure, Erasure, ErasureState, Trigger
from compliance.proof import exports, signing, verifier
from compliance.rights import attending
from likeness import checkpoints, ledger, machines
from likeness.evidence import merkle
from likeness.evidence.outside import NARROWING, Act, Outside
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.settings import Settings
from likeness.identity import Kind, WebSession, start_session
from likeness.jobs import claims
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.mail.mail import Mail, read
from likeness.run.app import create_app
from likeness.run.drill import drill
from likeness.run.postgres import EmbeddedPostgres
from tenants import suspension, tenants
from tenants.members import members, programs
from tenants.models import CUTOUT, Member, Role
from tenants.sso import identities
from tenants.sso.identities import Identity
from tenants.webhooks import endpoints
from tenants.webhooks.endpoints import Endpoint
from tests.compliance.people import colleague_of, company_leaves, erase, full_person, reread
from tests.conftest import MIGRATED
from tests.factories import begin_held, make_employee, make_member, make_tenant, run_jobs, sign_in
from tests.handed_in import make_person
from tests.metrics import figure


class Site:
    """A database, objects, keys and tombstones that can be copied and put back."""

    PARTS = ("objects", "keys", "signer", "tombstones")

    def __init__(self, server: EmbeddedPostgres, home: Path, counter_url: str = "") -> None:
        self.name, self.home, self._server, self._counter = f"site_{uuid4().hex[:12]}", home, server, counter_url
        # In the home it would be a copy of people's data that nothing deletes, and the re-scan says so.
        self._kept = home.with_name(f"{home.name}-kept")
        self._as_superuser(f"create database {self.name} template {MIGRATED} owner likeness_owner")
        self.kernel = self._assembled()

    def _assembled(self) -> Kernel:
        settings = Settings(home=self.home, database_url=self._url("likeness_app"), counter_url=self._counter)
        kernel = assemble(settings)
        kernel.db.check()
        fingerprint.settle(kernel.db, kernel.keys)
        return kernel

    def _url(self, role: str) -> str:
        return self._server.url(role).replace("/likeness?", f"/{self.name}?")

    def _as_superuser(self, statement: str) -> None:
        with create_engine(self._server.url("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(statement))

    def as_owner(self, statement: str, **values: Any) -> None:
        """As whoever owns the database: past every rule of the program."""
        with create_engine(self._url("postgres")).begin() as connection:
            connection.execute(text(statement), values)

    def back_up(self) -> None:
        self.kernel.db.close()
        self._as_superuser(f"create database {self.name}_kept template {self.name}")
        for part in self.PARTS:
            if (self.home / part).exists():
                shutil.copytree(self.home / part, self._kept / part)

    def restore(self, *parts: str) -> replay.Report:
        """Puts these parts back as they were, and starts."""
        self.put_back(*parts)
        return replay.after_restore(self.kernel)

    def put_back(self, *parts: str) -> None:
        self.kernel.db.close()
        if "database" in parts:
            self._as_superuser(f"drop database {self.name} with (force)")
            self._as_superuser(f"create database {self.name} template {self.name}_kept owner likeness_owner")
        for part in set(parts) - {"database"}:
            shutil.rmtree(self.home / part, ignore_errors=True)
            if (self._kept / part).exists():
                shutil.copytree(self._kept / part, self.home / part)
        self.kernel = self._assembled()

    def checkpoint(self, tenant: UUID) -> dict[str, Any]:
        """As somebody outside keeps it: its text, checked with the key that they pinned."""
        with self.kernel.db.transaction(tenant) as session:
            point = checkpoints.sign(session, signing.signer(self.kernel, utc_now()), utc_now())
        assert point is not None
        return verifier.checkpoint(point.note, verifier.Pin(signing.published(self.kernel)))

    def noticed(self, tenant: UUID, kept: dict[str, Any]) -> list[str]:
        """What the holder of a checkpoint finds wrong with the log as it is handed out now."""
        lines = b"".join(exports.jsonl(self.kernel, tenant)).splitlines()
        return verifier.check_log(lines, [kept])[1]

    def drop(self) -> None:
        self.kernel.db.close()
        for name in (self.name, f"{self.name}_kept"):
            self._as_superuser(f"drop database if exists {name} with (force)")


@pytest.fixture
def site(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Site]:
    made = Site(postgres, tmp_path)
    yield made
    made.drop()


@pytest.fixture
def counted(postgres: EmbeddedPostgres, tmp_path: Path) -> Iterator[Site]:
    """With a counter outside the home."""
    (tmp_path / "elsewhere").mkdir()
    made = Site(postgres, tmp_path / "home", (tmp_path / "elsewhere").as_uri())
    yield made
    made.drop()


def numbers(kernel: Kernel, tenant: UUID) -> list[tuple[int, int]]:
    with kernel.db.transaction(tenant) as session:
        return [(one.epoch, one.sequence) for one in ledger.entries(session)]


def test_nothing_is_done_where_nothing_was_restored(site: Site) -> None:
    alice = full_person(site.kernel)
    with site.kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
    before = numbers(site.kernel, alice.tenant_id)
    for _ in range(2):
        report = replay.after_restore(site.kernel)
        assert (report.epochs, report.acts, report.people, report.certificates) == ({}, [], 0, 0)
    assert numbers(site.kernel, alice.tenant_id) == before


def test_a_running_site_notices_that_its_database_was_put_back(site: Site) -> None:
    running = site.kernel
    alice, bob = full_person(running), full_person(running)
    restores.notice(running, utc_now())
    site.back_up()
    with running.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
        start_session(session, Kind.EMPLOYEE, alice.id, utc_now())
    with running.db.transaction(bob.tenant_id) as session:
        ledger.record(session, "test.happened", subject=bob.id)
    later = make_person(running).tenant_id
    restores.notice(running, utc_now())
    assert {epoch for epoch, _ in numbers(running, alice.tenant_id)} == {1}
    assert replay.lost(running) == []
    site.put_back("database")
    assert replay.lost(running) == [later], "nothing deletes what is left of a company that came after the backup"
    for person in (alice, bob):  # It goes on serving, and its new entries overtake what was noted of the lost ones.
        with running.db.transaction(person.tenant_id) as session:
            for _ in range(9):
                ledger.record(session, "test.happened", subject=person.id)
    restores.notice(running, utc_now())
    for person in (alice, bob):
        entries = numbers(running, person.tenant_id)
        assert {epoch for epoch, _ in entries} == {1, 2}
        assert len({sequence for _, sequence in entries}) == len(entries), "no number comes twice"
        with running.db.transaction(person.tenant_id) as session:
            assert session.exec(select(WebSession)).all() == [], "everybody is signed out"
            withdrawn = session.exec(select(Consent).where(col(Consent.withdrawn_at).is_not(None))).all()
            assert bool(withdrawn) == (person is alice), "what was withdrawn is withdrawn again"
    before = numbers(running, alice.tenant_id)
    restores.notice(running, utc_now())
    assert numbers(running, alice.tenant_id) == before
    running.db.close()


def test_an_act_that_was_rolled_back_is_not_repeated(site: Site) -> None:
    alice = full_person(site.kernel)
    with pytest.raises(RuntimeError), site.kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
        ledger.before_commit(session, _fail)
    assert site.kernel.db.outside.acts(alice.tenant_id) == []
    assert replay.after_restore(site.kernel).acts == []


def _fail() -> None:
    raise RuntimeError


def test_what_narrowed_stays_away_when_the_database_comes_back(site: Site) -> None:
    kernel = site.kernel
    alice = full_person(kernel)
    tenant = alice.tenant_id
    bob, cleo, bystander = (colleague_of(kernel, alice) for _ in range(3))
    stranger = full_person(kernel)
    legal, second = (make_member(kernel, tenant, Role.LEGAL) for _ in range(2))
    leaver = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        key, _ = machines.make(session, legal.id, "Intranet", ["people.read"], utc_now())
        shown = headshots.of(session, alice.id, utc_now())[0]
        theirs_too = photos.of(session, cleo.id)[0]
        dora, evan, fred = (make_employee(session, kernel, full_name=name) for name in ("Dora", "Evan", "Fred"))
        leaving, stays = photos.of(session, bystander.id)[:2]
        before = headshots.of(session, bystander.id, utc_now())[0]
        invitation = invitations.invite(session, dora, utc_now())
        photo = photos.of(session, alice.id)[0]
        (release,) = headshots.releases(session, bob.id)
        unlike = next(one for one in headshots.of(session, bob.id, utc_now()) if one.id != release.headshot_id)
        unlike.likeness_ratio = 0.8
        placed = holds.place(
            session, kernel.keys, cleo.id, basis=Basis.WARRANT, reference="7 C 9/26", reason="Preservation",
            placed_by=legal.id, expires_at=utc_now() + holds.LONGEST / 2, now=utc_now(),
        )  # fmt: skip
    run_jobs(kernel, tenant=tenant)
    kept = site.checkpoint(tenant)
    site.back_up()

    now = utc_now()
    with kernel.db.transaction(tenant) as session:
        decisions.remove(session, kernel.objects, alice.id, photo.id)
        # Lost within the ten seconds in which they could be kept, as one of them was.
        for one in (leaving, stays):
            decisions.remove_soon(session, kernel.objects, bystander.id, one.id, now)
    with kernel.db.transaction(tenant) as session:
        decisions.keep(session, bystander.id, stays.id, now)
        headshots.unrelease(session, bob.id, release.headshot_id, now)
        resemblance.reject(session, kernel.objects, kernel.keys, bob.id, unlike.id, now)
        # One that the backup has no row of, of a sitting that it has; of whose person nothing else is told.
        made_since = Headshot(**before.model_dump(include={"tenant_id", "employee_id", "sitting_id", "look_id", "due_at"}),
                              number=99, bytes=1, path="made-since", likeness_ratio=0.7)  # fmt: skip
        session.add(made_since)
        session.flush()
        resemblance.reject(session, kernel.objects, kernel.keys, bystander.id, made_since.id, now)
        sittings.withdraw(session, bob.id, now)
        invitations.revoke(session, [dora.id], now)
        members.disable(session, leaver.id, now, caller=f"member:{legal.id}")
        for one in (evan, fred):
            people.leave(session, employees.get(session, one.id), now, caller="test")
        last_day = employees.get(session, evan.id).leaves_at
        holds.confirm(session, placed.id, confirmed_by=second.id, now=now)
        decisions.remove(session, kernel.objects, cleo.id, theirs_too.id)
        headshots.discard(session, kernel.objects, alice.id, shown.id, now)
        programs.revoke(session, legal, key.id, now)
        start_session(session, Kind.EMPLOYEE, alice.id, now)
    with kernel.db.transaction(tenant) as session:
        consents.decline(session, alice.id, now)
        people.stay(session, employees.get(session, fred.id), caller="test")
    after = numbers(kernel, tenant)
    later = site.checkpoint(tenant)

    report = site.restore("database")
    kernel = site.kernel
    assert {act.event for act in report.acts} == {
        "consent.declined", "consent.withdrawn", "directory.back", "directory.left", "headshot.not-me",
        "headshot.removed", "hold.confirmed", "invitation.revoked", "key.revoked", "member.disabled", "photo.kept",
        "photo.leaving", "photo.removed",
        "release.taken-back",
    }  # fmt: skip
    assert report.epochs == {tenant: 2}
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(Photo).where(col(Photo.id) == photo.id)).all() == []
        assert session.exec(select(Headshot).where(col(Headshot.id).in_([shown.id, unlike.id]))).all() == []
        assert resemblance.bar(session, bob.id) == pytest.approx(0.835), "what he said is not him stays said"
        assert resemblance.bar(session, bystander.id) == pytest.approx(0.735), "also of one that the backup never had"
        held = session.exec(select(Photo).where(col(Photo.id) == theirs_too.id)).one()
        assert held.removed_at, "a hold keeps it, and it stays deleted for everybody else"
        assert theirs_too.id not in {one.id for one in photos.of(session, cleo.id)}
        there = {one.id for one in photos.of(session, bystander.id)}
        assert (leaving.id in there, stays.id in there) == (False, True), "deleted stays deleted, kept stays kept"
        assert machines.standing(session, utc_now()) == []
        leaves = {one.id: one.leaves_at for one in session.exec(select(Employee))}
        assert (leaves[evan.id], leaves[fred.id]) == (last_day, None), (
            "who left is deleted on their day, who is back stays"
        )
        assert session.exec(select(Release).where(col(Release.employee_id) == bob.id)).all() == []
        for person in (alice, bob):
            theirs = session.exec(select(Consent).where(col(Consent.employee_id) == person.id)).all()
            assert theirs
            assert all(one.withdrawn_at for one in theirs)
            assert session.exec(select(Employee.opted_out_at).where(col(Employee.id) == person.id)).one()
        assert session.exec(select(Invitation).where(col(Invitation.id) == invitation.id)).one().revoked_at
        assert session.exec(select(Member).where(col(Member.id) == leaver.id)).one().disabled_at
        assert session.exec(select(WebSession)).all() == [], "everybody is signed out"
        assert holds.held(session, utc_now()) == {cleo.id}
        ledger.verify(session)
    begin_held(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(Photo.id).where(col(Photo.id) == leaving.id)).all() == []
        assert session.exec(select(Photo).where(col(Photo.id) == stays.id)).one().state == stays.state
    # The gap is shown, and no number is used twice.
    again = numbers(kernel, tenant)
    held = [number for epoch, number in again if epoch == 1]
    assert again[: len(held)] == after[: len(held)]
    assert min(number for epoch, number in again if epoch == 2) > max(number for _, number in after)
    assert site.noticed(tenant, kept) == []
    assert "are gone" in site.noticed(tenant, later)[0]
    # Another company had nothing to repeat, and a further start repeats nothing.
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert len(photos.of(session, stranger.id)) == 6
    assert replay.after_restore(kernel).acts == []
    # Who agrees anew is not opted out again by the next start.
    with kernel.db.transaction(tenant) as session:
        session.exec(select(Employee).where(col(Employee.id) == bob.id)).one().opted_out_at = None
    replay.after_restore(kernel)
    with kernel.db.transaction(tenant) as session:
        assert session.exec(select(Employee.opted_out_at).where(col(Employee.id) == bob.id)).one() is None


def test_operators_and_legal_are_told_that_a_backup_was_put_back(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    alice = full_person(site.kernel)
    tenant = alice.tenant_id
    legal, hr = (make_member(site.kernel, tenant, role) for role in (Role.LEGAL, Role.HR))
    operator = make_member(site.kernel, PLATFORM, Role.OPERATOR)
    site.back_up()
    assert restores.of_all(site.kernel, utc_now()) is None
    with site.kernel.db.transaction(tenant) as session:
        sittings.withdraw(session, alice.id, utc_now())
    make_member(site.kernel, PLATFORM, Role.OPERATOR)
    site.put_back("database")
    kernel = site.kernel
    restores.start(kernel)
    counts = {one.msg.rpartition(": ")[2]: one.count for one in caplog.records if "restored backup" in str(one.msg)}
    assert counts["narrowing acts that were carried out again"] == 2
    assert not any(str(who) in caplog.text for who in (tenant, alice.id))
    found = restores.of_all(kernel, utc_now())
    assert found is not None
    assert (found.companies, found.acts) == (counts["logs that go on in a new epoch"], 2)
    for _ in range(2):  # Once for each epoch.
        restores.tell(kernel, utc_now())
    told = [letter_to(kernel, one) for one in (legal, hr, operator)]
    assert [len(one) for one in told] == [1, 0, 1]
    assert "goes on in epoch 2" in told[0][0]
    with TestClient(create_app(kernel)) as client:
        assert figure(client, "likeness_restored_time_seconds") == found.at.timestamp()
        sign_in(client, kernel, PLATFORM, Kind.OPERATOR, operator.id)
        page = client.get("/operations").text
    assert "A backup was put back" in page
    assert "2 narrowing acts were carried out again" in page


def letter_to(kernel: Kernel, member: Member) -> list[str]:
    with kernel.db.transaction(member.tenant_id) as session:
        mine = select(Mail).where(col(Mail.owner_id) == member.id, col(Mail.template) == "restored")
        return [letter.text for one in session.exec(mine) if (letter := read(kernel.keys, one))]


def test_the_same_backup_twice_is_noticed_twice(site: Site) -> None:
    alice = full_person(site.kernel)
    tenant = alice.tenant_id
    site.back_up()
    with site.kernel.db.transaction(tenant) as session:
        sittings.withdraw(session, alice.id, utc_now())
    assert site.restore("database").epochs == {tenant: 2}
    seen = set(numbers(site.kernel, tenant))
    report = site.restore("database")
    assert (report.epochs, [act.event for act in report.acts]) == (
        {tenant: 3},
        ["release.taken-back", "consent.withdrawn"],
    )
    opened = {number for epoch, number in numbers(site.kernel, tenant) if epoch == 3}
    assert not opened & {number for _, number in seen}


def test_a_persons_certificate_and_receipt_survive_a_restore(site: Site) -> None:
    alice = full_person(site.kernel)
    tenant = alice.tenant_id
    site.back_up()
    erasure = erase(site.kernel, alice)
    with site.kernel.db.transaction(tenant) as session:
        receipt = receipts.issue(session, site.kernel.keys, erasures.get(session, erasure.id))
    run_jobs(site.kernel, tenant=tenant)
    with site.kernel.db.transaction(tenant) as session:
        issued = erasures.certificate_of(session, erasure.id)
    report = site.restore("database")
    assert (report.people, report.certificates) == (1, 1)
    with site.kernel.db.transaction(tenant) as session:
        found = erasures.certificate_of(session, erasures.by_receipt(session, receipt).id)
        assert (found.id, found.jws, found.document) == (issued.id, issued.jws, issued.document)
        assert found.paper
        assert session.exec(select(Employee).where(col(Employee.id) == alice.id)).all() == []
    assert replay.after_restore(site.kernel).certificates == 0


def test_a_certificate_that_came_back_is_looked_at_once_more(site: Site) -> None:
    """Otherwise the digests by which the person is looked for stay for ever, and their company could never leave."""
    alice = full_person(site.kernel)
    tenant = alice.tenant_id
    erasure = erase(site.kernel, alice)
    site.back_up()
    run_jobs(site.kernel, tenant=tenant)
    assert site.restore("database").certificates == 1
    looked_at(site.kernel, erasure)


def test_a_process_that_dies_while_it_stores_a_certificate_leaves_nothing_undone(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept outside the database already, and the next start takes it from there."""

    class Killed(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Killed

    alice = full_person(site.kernel)
    tenant = alice.tenant_id
    erasure = erase(site.kernel, alice)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(certifying, "insert", die)
        run_jobs(site.kernel, tenant=tenant)
    assert reread(site.kernel, erasure).traces
    assert replay.after_restore(site.kernel).certificates == 1
    claims.release_leases(site.kernel)
    run_jobs(site.kernel, tenant=tenant)
    looked_at(site.kernel, erasure)


def looked_at(kernel: Kernel, erasure: Erasure) -> None:
    """Within the ten minutes after the certificate, and once alone."""
    for _ in range(3):
        attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=erasure.tenant_id, ahead=timedelta(minutes=11))
    ended = reread(kernel, erasure)
    assert ended.state == ErasureState.CERTIFIED
    assert ended.looked_again_at is not None
    assert ended.traces == {}
    with kernel.db.transaction(erasure.tenant_id) as session:
        said = [one.event for one in ledger.entries(session, subject=erasure.employee_id)]
    assert said.count("erasure.confirmed") == 1
    attending.attend(kernel, utc_now())
    assert run_jobs(kernel, tenant=erasure.tenant_id, ahead=timedelta(minutes=11)) == 0


def test_objects_that_come_back_go_again_and_the_log_says_so(site: Site) -> None:
    alice = full_person(site.kernel)
    tenant = alice.tenant_id
    site.back_up()
    erase(site.kernel, alice)
    run_jobs(site.kernel, tenant=tenant)
    kept = site.checkpoint(tenant)
    report = site.restore("objects")
    assert report.people == 1
    assert site.kernel.objects.list(f"tenants/{tenant}/employees/{alice.id}") == []
    assert site.noticed(tenant, kept) == []
    lines = b"".join(exports.jsonl(site.kernel, tenant))
    assert b'"event":"erasure.replayed"' in lines


def test_a_whole_home_that_comes_back_is_noticed_by_the_counter_outside_it(counted: Site) -> None:
    alice = full_person(counted.kernel)
    tenant = alice.tenant_id
    counted.back_up()
    with counted.kernel.db.transaction(tenant) as session:
        sittings.withdraw(session, alice.id, utc_now())
    before = numbers(counted.kernel, tenant)
    kept = counted.checkpoint(tenant)
    report = counted.restore("database", *Site.PARTS)
    assert report.epochs == {tenant: 2}
    assert min(number for epoch, number in numbers(counted.kernel, tenant) if epoch == 2) > before[-1][1]
    assert counted.noticed(tenant, kept)


def test_without_a_counter_only_who_holds_a_checkpoint_notices_a_whole_home(site: Site) -> None:
    alice = full_person(site.kernel)
    tenant = alice.tenant_id
    site.back_up()
    with site.kernel.db.transaction(tenant) as session:
        sittings.withdraw(session, alice.id, utc_now())
    kept = site.checkpoint(tenant)
    assert site.restore("database", *Site.PARTS).epochs == {}
    assert "are gone" in site.noticed(tenant, kept)[0]


FORGED = "update ledger_entry set event = 'photo.hidden' where tenant_id = :tenant and sequence = 3"
CUT = (
    "delete from ledger_entry where tenant_id = :tenant and sequence >"
    " (select max(sequence) - 20 from ledger_entry where tenant_id = :tenant)"
)


def forge(site: Site, tenant: UUID) -> None:
    """Another entry in the place of one, with the hash that it ought to have."""
    site.as_owner(FORGED, tenant=tenant)
    with site.kernel.db.transaction(tenant) as session:
        third = next(one for one in ledger.entries(session) if one.sequence == 3)
    again = "update ledger_entry set leaf = :leaf where tenant_id = :tenant and sequence = 3"
    site.as_owner(again, tenant=tenant, leaf=merkle.leaf_hash(third.data()))


@pytest.mark.parametrize("how", ["rewritten", "rehashed", "cut", "truncated", "inserted"])
def test_whatever_the_owner_does_to_the_log_is_noticed_by_who_holds_one_checkpoint(site: Site, how: str) -> None:
    tenant, other = make_tenant(site.kernel), make_tenant(site.kernel)
    for company in (tenant, other):
        with site.kernel.db.transaction(company) as session:
            for _ in range(40):
                ledger.record(session, "test.happened", objects=[uuid4()])
    kept, theirs = site.checkpoint(tenant), site.checkpoint(other)
    assert site.noticed(tenant, kept) == []
    if how == "rewritten":
        site.as_owner(FORGED, tenant=tenant)
    elif how == "rehashed":
        forge(site, tenant)
        site.as_owner("delete from checkpoint where tenant_id = :tenant", tenant=tenant)
        with site.kernel.db.transaction(tenant) as session:
            ledger.verify(session)  # From inside nothing shows any more.
    elif how == "cut":
        site.as_owner(CUT, tenant=tenant)
    elif how == "truncated":
        site.as_owner("truncate ledger_entry")
    else:
        site.as_owner(
            "update ledger_entry set position = position + 1000, sequence = sequence + 1000 where tenant_id = :tenant"
            " and sequence > 5",
            tenant=tenant,
        )
        site.as_owner(
            "update ledger_entry set position = position - 999, sequence = sequence - 999 where tenant_id = :tenant"
            " and sequence > 1000",
            tenant=tenant,
        )
    assert site.noticed(tenant, kept)
    assert bool(site.noticed(other, theirs)) == (how == "truncated")


def test_the_program_does_not_sign_a_log_that_was_rewritten(site: Site) -> None:
    tenant = make_tenant(site.kernel)
    site.checkpoint(tenant)
    site.as_owner("update ledger_entry set leaf = '\\x00' where tenant_id = :tenant and sequence = 1", tenant=tenant)
    with site.kernel.db.transaction(tenant) as session:
        ledger.record(session, "test.happened")
    with pytest.raises(ledger.LedgerBroken):
        site.checkpoint(tenant)
    with site.kernel.db.transaction(tenant) as session, pytest.raises(ledger.LedgerBroken):
        checkpoints.check(session, utc_now())


@pytest.mark.parametrize("how", ["without its checkpoints", "with its checkpoints", "the end", "all of it"])
def test_a_log_that_the_owner_made_anew_is_told_by_what_is_kept_beside_the_database(site: Site, how: str) -> None:
    """Whoever holds no checkpoint learns of it too, and the program does not put its name to it."""
    tenant, other = make_tenant(site.kernel), make_tenant(site.kernel)
    for company in (tenant, other):
        with site.kernel.db.transaction(company) as session:
            for _ in range(12):
                ledger.record(session, "test.happened", objects=[uuid4()])
        site.checkpoint(company)
    if how.startswith("with"):
        forge(site, tenant)
    elif how == "the end":
        site.as_owner("delete from ledger_entry where tenant_id = :tenant and sequence > 9", tenant=tenant)
    else:
        site.as_owner("delete from ledger_entry where tenant_id = :tenant", tenant=tenant)
    if how == "with its checkpoints":
        with site.kernel.db.transaction(tenant) as session:
            roots = {one.id: merkle.root(ledger.leaves(session, 1, one.size)) for one in checkpoints.of(session)}
        for one, root in roots.items():
            site.as_owner("update checkpoint set root = :root where id = :id", root=root, id=one)
    else:
        site.as_owner("delete from checkpoint where tenant_id = :tenant", tenant=tenant)
    with site.kernel.db.transaction(tenant) as session:
        ledger.verify(session)  # Each entry follows from the one before.
    for grown in (False, True):
        if grown:
            with site.kernel.db.transaction(tenant) as session:
                ledger.record(session, "test.happened")
        with site.kernel.db.transaction(tenant) as session, pytest.raises(ledger.LedgerBroken):
            checkpoints.check(session, utc_now())
        with pytest.raises(ledger.LedgerBroken):
            site.checkpoint(tenant)
    with site.kernel.db.transaction(other) as session:
        checkpoints.check(session, utc_now())
    site.checkpoint(other)


def test_every_narrowing_act_has_its_repetition() -> None:
    assert set(replay.REPEAT) == NARROWING


BY_TOMBSTONE = "the tombstones of the people bring it about again, and with it the certificates"
GIVES = "it gives or adds something; what a restore loses of it can be given again"
TELLS = "it says what was seen, written, mailed or handed out, and changes nothing that anybody may"
FOLLOWED = "ten seconds later the act itself is on record, and that one is kept outside"
GOES_ON = "the sweep or the job that did it does it again from the rows that a backup brings back"
THERE_TOO = "Keycloak, of which no backup here holds anything, goes on as it was told"
ASKED_ANEW = "who runs it decides again: it takes no access from anybody and is no person's no"
WIDER_OR_SAME = {
    BY_TOMBSTONE: "batch.dropped batch.undone deletion.asked erasure.confirmed erasure.deleted erasure.held"
    " erasure.incident erasure.replayed erasure.requested erasure.started erasure.verified key.destroyed",
    GIVES: "address.asked address.confirmed address.corrected batch.changed batch.imported break-glass.asked"
    " break-glass.confirmed break-glass.opened consent.given credit.granted credit.refunded credit.released deletion.undone"
    " batch.tried edit.asked edit.made invitation.asked release.approved release.kept"
    " departure.asked directory.joined headshot.kept headshot.marked headshot.stays headshot.unmarked"
    " hold.lift-asked hold.placed identity.bound invitation.created invitation.resent invitation.sent job.revived key.made"
    " logo.changed look.added look.bound look.unbound member.invited member.let-back member.unbound operator.link-made"
    " photo.added photo.chosen photo.overruled photo.restored photo.waved processing.resumed provider.connected"
    " release.given sender.changed sender.proven session.started sitting.claimed sitting.done webhook.added",
    TELLS: "breach.declared breach.exported certificate.issued concern.answered concern.written copy.deleted"
    " departure.handed-back departure.incident document.exported headshot.viewed hold.told"
    " identity.refused identity.unconnected invitation.link-printed invitation.opened line.refused"
    " list.viewed log.exported member.link-mailed member.link-printed name.corrected notice.published"
    " package.handed person.found person.searched person.viewed processor.announced receipt.mailed"
    " receipt.not-mailed release.downloaded request.acknowledged request.answered request.approved"
    " erasure.recipients-excused erasure.recipients-informed request.answer-asked"
    " request.dispatched request.extended request.received request.recipients-excused"
    " request.recipients-informed request.recipients-written request.refused request.verified"
    " sitting.failed tenant.created",
    THERE_TOO: "provider.changed provider.ended",
    FOLLOWED: "headshot.leaving",
    GOES_ON: "address.ran-out batch.revoked copy.asked-back departure.begun photo.rejected request.forgotten"
    " retention.shortened sender.lost session.ended-everywhere sitting.cancelled words.masked workbook.deleted",
    ASKED_ANEW: "approval.changed edit.kept invitation.undone directory.changed headshot.retired"
    " logo.removed look.retired pack.removed processor.ended release.returned sender.removed webhook.secret-changed",
}


def test_every_event_of_the_log_narrows_and_is_kept_outside_or_says_why_not() -> None:
    root, written = Path(__file__).parents[2], set()
    for floor in ("platform", "tenants", "batch", "gpu_cluster", "compliance", "dashboard"):
        for file in (root / floor).rglob("*.py"):
            for call in ast.walk(ast.parse(file.read_text())):
                if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in ("record", "_record"):
                    words = {one.value for one in ast.walk(call) if isinstance(one, ast.Constant)}
                    written |= {one for one in words if isinstance(one, str) and ledger.EVENT.fullmatch(one)}
    declared = [event for events in WIDER_OR_SAME.values() for event in events.split()]
    assert len(declared) == len(set(declared))
    assert not set(declared) & NARROWING
    assert written - NARROWING == set(declared)


def test_an_act_holds_random_ids_and_times_alone(site: Site) -> None:
    alice = full_person(site.kernel)
    with site.kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, alice.id, utc_now())
    file = site.home / "tombstones" / "acts" / f"{alice.tenant_id}.jsonl"
    assert "Nadia" not in file.read_text()
    assert "@" not in file.read_text()
    act = site.kernel.db.outside.acts(alice.tenant_id)[-1]
    assert (act.event, act.subject) == ("consent.withdrawn", alice.id)


def test_a_line_that_a_crash_cut_short_is_passed_over_and_a_broken_one_stops_the_start(site: Site) -> None:
    tenant = make_tenant(site.kernel)
    outside = site.kernel.db.outside
    act = Act("photo.removed", tenant, utc_now(), uuid4(), (str(uuid4()),), b"\x01" * 32, {})
    outside.lay(act)
    file = site.home / "tombstones" / "acts" / f"{tenant}.jsonl"
    with file.open("ab") as opened:
        opened.write(b'{"act": "photo.rem')
    outside.lay(replace(act, leaf=b"\x02" * 32))
    assert [one.leaf for one in outside.acts(tenant)] == [b"\x01" * 32, b"\x02" * 32]
    file.write_bytes(b'{"act": "photo.removed"}\n')
    with pytest.raises(ValueError, match="cannot be read"):
        replay.after_restore(site.kernel)


def test_what_was_asked_under_two_notices_or_waited_is_repeated_rightly(site: Site) -> None:
    kernel = site.kernel
    alice, stranger = make_person(kernel, recipes=["portrait-small", CUTOUT]), make_person(kernel)
    tenant = alice.tenant_id
    with kernel.db.transaction(tenant) as session:
        bob = make_employee(session, kernel, full_name="Bob")
        german = notices.current(session, "de")
        both = list(consents.words(session, "de"))
        consents.give(session, kernel.keys, alice.id, both, german.id, "Nadia Ümit", utc_now())
        act = deleting.ask(session, [bob.id], utc_now(), caller=f"member:{uuid4()}")
    run_jobs(kernel, tenant=tenant)
    site.back_up()
    site.kernel = kernel = site._assembled()
    with kernel.db.transaction(tenant) as session:
        assert attending.withdraw_one(session, alice.id, "headshots", utc_now())
        answering.stop(session, bob.id, utc_now(), caller=f"employee:{bob.id}")
        deleting.take_back(session, act, utc_now(), caller=f"member:{uuid4()}")
    site.restore("database")
    kernel = site.kernel
    begin_held(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        assert consents.standing(session, alice.id) == {Purpose.PORTRAIT, Purpose.BIOMETRIC}
        assert erasures.all_erasures(session) == [], "an act that was taken back after the backup does not begin"
        person = employees.get(session, bob.id)
        leaver = erasures.request(session, bob.id, trigger="leaver", requested_by="system", now=utc_now())
        staying.withdraw(session, person, leaver)
        assert person.restricted_at is not None, "their wish to stop was repeated, and stands"
    with kernel.db.transaction(stranger.tenant_id) as session:
        assert len(consents.standing(session, stranger.id)) == 2


def test_what_took_access_away_stays_away(site: Site) -> None:
    kernel = site.kernel
    alice = full_person(kernel)
    tenant = alice.tenant_id
    owner, legal, bound, brand = (make_member(kernel, tenant, one) for one in (Role.OWNER, Role.LEGAL, Role.HR, Role.HR))
    with kernel.db.transaction(tenant) as session:
        members.give_roles(session, brand.id, [Role.HR, Role.BRAND], by=owner.id, caller="test")
        change = AddressChange(tenant_id=tenant, employee_id=alice.id, asked_by="test", asked_at=utc_now(),
                               until=utc_now() + timedelta(days=9), email_index=b"x", sealed=b"x")  # fmt: skip
        session.add(change)
        session.add(Identity(tenant_id=tenant, kind=Kind.MEMBER, person_id=owner.id, issuer="https://sso.example",
                             subject="1", bound_by="domain", bound_at=utc_now()))  # fmt: skip
        endpoint = Endpoint(tenant_id=tenant, member_id=legal.id, sealed=b"x", events=[], created_at=utc_now())
        session.add(endpoint)
        erasures.request(session, alice.id, trigger=Trigger.LEAVER, requested_by=ledger.SYSTEM, now=utc_now())
    company_leaves(kernel, tenant, owner.id)
    site.back_up()
    with kernel.db.transaction(tenant) as session:
        addresses.refuse(session, change, utc_now())
        members.give_roles(session, brand.id, [Role.BRAND], by=owner.id, caller="test")
        members.give_roles(session, legal.id, [Role.AUDITOR], by=owner.id, caller="test")
        members.bind_to(session, kernel.keys, bound.id, ["Sales"], caller="test")
        endpoints.remove(session, kernel.keys, legal, endpoint.id, utc_now())
        assert identities.disconnect(session, Kind.MEMBER, owner.id)
        tenants.change(session, caller="test", source_days=2, headshot_days=9)
        suspension.suspend(session, utc_now(), caller="test")
        leaving.call_off(session, owner.id, utc_now())
        [begun] = session.exec(select(Erasure).where(col(Erasure.employee_id) == alice.id)).all()
        staying.withdraw(session, employees.get(session, alice.id), begun)
    acts = site.restore("database").acts
    assert len(acts) == 10
    kernel = site.kernel
    with kernel.db.transaction(tenant) as session:
        assert addresses.pending(session) == {}
        found = {one.id: one for one in members.all(session)}
        assert found[brand.id].roles == [Role.BRAND]
        assert found[legal.id].disabled_at, "who has another role since then is let back by an owner"
        assert found[bound.id].departments == [], "nobody, until an owner says again whom"
        assert session.exec(select(Endpoint)).all() == []
        assert identities.of_person(session, Kind.MEMBER, owner.id) is None
        company = tenants.get(session)
        assert (company.source_days, company.headshot_days) == (2, 9)
        assert company.suspended_at
        assert session.exec(select(Departure).where(col(Departure.called_off_at).is_(None))).all() == []
        assert session.exec(select(Erasure)).all() == []
        suspension.resume(session, caller="test")
    assert replay.after_restore(kernel).acts == []
    assert "tenant.resumed" in {act.event for act in site.restore("database").acts}
    with site.kernel.db.transaction(tenant) as session:
        assert tenants.get(session).suspended_at is None, "a company that goes on is not stopped by an older act"


def test_a_full_disk_keeps_nobody_from_withdrawing_and_is_caught_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = full_person(site.kernel)
    outside = site.kernel.db.outside
    with monkeypatch.context() as full:
        full.setattr(type(outside), "lay", _no_room)
        with site.kernel.db.transaction(alice.tenant_id) as session:
            sittings.withdraw(session, alice.id, utc_now())
    assert outside.acts(alice.tenant_id) == []
    replay.catch_up(site.kernel, utc_now())
    replay.catch_up(site.kernel, utc_now())
    assert [act.event for act in outside.acts(alice.tenant_id)] == ["release.taken-back", "consent.withdrawn"]


def test_an_act_that_was_caught_up_late_hides_no_newer_one(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands behind newer ones in the file, and a backup that knows it may not know these."""
    alice = full_person(site.kernel)
    bob = colleague_of(site.kernel, alice)
    outside = site.kernel.db.outside
    with monkeypatch.context() as full:
        full.setattr(type(outside), "lay", _no_room)
        with site.kernel.db.transaction(alice.tenant_id) as session:
            sittings.withdraw(session, alice.id, utc_now())
    site.back_up()
    with site.kernel.db.transaction(alice.tenant_id) as session:
        sittings.withdraw(session, bob.id, utc_now())
    replay.catch_up(site.kernel, utc_now())
    assert [act.subject for act in outside.acts(alice.tenant_id)] == [bob.id, bob.id, alice.id, alice.id]
    assert [act.subject for act in site.restore("database").acts] == [bob.id, bob.id]


def _no_room(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_drill_on_the_machine_of_a_live_site_leaves_that_site_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment names database, objects, keys, tombstones and counter of that site."""
    for name in ("HOME", "KEY_FOLDER", "SIGNER_FOLDER", "TOMBSTONE_FOLDER", "COUNTER_URL", "OBJECTS_URL"):
        live = tmp_path / name.lower()
        live.mkdir()
        (live / "theirs").write_bytes(b"theirs")
        monkeypatch.setenv(f"LIKENESS_{name}", live.as_uri() if name.endswith("URL") else str(live))
    for name in ("DATABASE_URL", "OWNER_DATABASE_URL", "RESCAN_DATABASE_URL"):
        monkeypatch.setenv(f"LIKENESS_{name}", "postgresql+psycopg://nobody@/likeness?host=/nonexistent")
    for name, value in (
        ("PROFILE", "production"), ("KEY_STORE", "vault"), ("VAULT_URL", "https://vault.invalid"),
        ("VAULT_TOKEN_FILE", "/nonexistent"), ("RAY_ADDRESS", "127.0.0.1:1"), ("BROKER_URL", "amqp://nobody.invalid"),
        ("SMTP_URL", "smtp://nobody.invalid"), ("KEYCLOAK_URL", "https://sso.invalid"),
    ):  # fmt: skip
        monkeypatch.setenv(f"LIKENESS_{name}", value)
    record = Outside(tmp_path / "record")
    said = list(drill(None, None, record))
    assert said[-1] == "A second start had nothing more to do."
    assert (found := record.last_drill()) is not None
    assert (found.own, found.people, found.whole) == (False, 1, True)
    shutil.rmtree(tmp_path / "record")
    assert {one.relative_to(tmp_path).as_posix(): one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == {
        f"{one.name}/theirs": b"theirs" for one in tmp_path.iterdir()
    }
