"""Keys that are away for a while: everybody waits, nothing is made in their place, and afterwards all is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import func, text
from sqlmodel import col, select

from batch.models import Employee
from batch.photos import intake, photos
from gpu_cluster.cluster import claiming
from likeness.ground.db import PLATFORM, utc_now
from likeness.jobs import claims
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.keys import fingerprint
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef, KeyUnavailable, MasterKeyForeign, MasterKeyMissing
from likeness.mail import mail
from likeness.mail.mail import Letter, Mail
from likeness.run import check, machine
from tenants.models import Role
from tests.compliance.people import erase, full_person, reread
from tests.factories import make_employee, make_tenant, sign_in_employee, sign_in_member
from tests.handed_in import make_person, make_sitting
from tests.metrics import figure

API = "/api/v1"
SHEET = b"Full name,Email\nAda Okafor,ada@zebra.example\nBo Linde,bo@zebra.example\n"


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app=app) as client:
        yield client


def tenant_folder(kernel: Kernel, tenant: UUID) -> Path:
    return kernel.settings.keys_path() / "tenants" / str(tenant)


PLACES: dict[str, Callable[[Kernel, UUID], Path]] = {
    "the company's key": lambda kernel, tenant: tenant_folder(kernel, tenant) / "tenant.key",
    "the company's folder": tenant_folder,
    "the whole folder": lambda kernel, tenant: kernel.settings.keys_path(),
}


@contextmanager
def away(place: Path) -> Iterator[None]:
    aside = place.with_name(f"{place.name}.aside")
    place.rename(aside)
    try:
        yield
        assert not place.exists()
    finally:
        os.rename(aside, place)


def people(kernel: Kernel, tenant: UUID) -> int:
    with kernel.db.transaction(tenant) as session:
        query = select(func.count()).select_from(Employee).where(col(Employee.tenant_id) == tenant)
        return session.exec(query).one()


def commit(client: TestClient[Any], dropped: dict[str, Any]) -> tuple[str, int]:
    batch = dropped["batch"]["id"]
    wish = {"invite": False, "digest": dropped["reading"]["digest"]}
    return batch, client.post(f"{API}/batches/{batch}/commit", json=wish).json()["created"]


@pytest.mark.parametrize("what", PLACES)
def test_an_import_while_keys_are_away_makes_nobody_twice(kernel: Kernel, client: TestClient[Any], what: str) -> None:
    tenant = make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.HR)
    send = lambda: client.post(f"{API}/batches", files={"workbook": ("a.csv", SHEET)}, data={"name": "Spring"})  # noqa: E731
    batch, created = commit(client, send().json())
    assert created == 2
    with away(PLACES[what](kernel, tenant)):
        answer = send()
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
        assert answer.json()["type"] == "urn:likeness:key-unavailable"
        assert "Nothing was lost" in answer.json()["detail"]
        assert client.get(f"{API}/batches/{batch}/people").status_code == 503
    assert commit(client, send().json())[1] == 0
    assert people(kernel, tenant) == 2
    names = {line["name"] for line in client.get(f"{API}/batches/{batch}/people").json()}
    assert names == {"Ada Okafor", "Bo Linde"}


@pytest.mark.parametrize("what", PLACES)
def test_photos_wait_and_the_ones_taken_before_and_after_open(
    kernel: Kernel, client: TestClient[Any], what: str
) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    before = intake.add(kernel, alice.tenant_id, alice.id, b"before", utc_now())
    sign_in_employee(client, kernel, alice)
    post = lambda data: client.post(f"{API}/visit/photos", files={"photo": ("a.jpg", data)})  # noqa: E731
    with away(PLACES[what](kernel, alice.tenant_id)):
        answer = post(b"meanwhile")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5"), answer.text
        assert "no longer" not in answer.text
        if what != "the whole folder":  # Nobody else notices.
            intake.add(kernel, bob.tenant_id, bob.id, b"bob", utc_now())
    assert post(b"after").status_code == 201
    source = kernel.keys.open(photos.source_key(alice.tenant_id, alice.id))
    with kernel.db.transaction(alice.tenant_id) as session:
        found = photos.of(session, alice.id)
    assert len(found) == 2
    assert {kernel.objects.get(one.path, source) for one in found} == {b"before", b"after"}
    assert before.id in {one.id for one in found}


@pytest.mark.parametrize("what", ["a person's folder", "a person's source key"])
def test_a_part_that_is_away_is_not_made_anew(kernel: Kernel, client: TestClient[Any], what: str) -> None:
    alice = make_person(kernel)
    intake.add(kernel, alice.tenant_id, alice.id, b"before", utc_now())
    folder = tenant_folder(kernel, alice.tenant_id) / str(alice.id)
    sign_in_employee(client, kernel, alice)
    with away(folder if what == "a person's folder" else folder / "source.key"):
        assert client.post(f"{API}/visit/photos", files={"photo": ("a.jpg", b"meanwhile")}).status_code == 503
        if what == "a person's folder":
            with pytest.raises(KeyUnavailable), kernel.db.transaction(alice.tenant_id) as session:
                mail.post(session, kernel.keys, alice.id, Letter("a", "b", "c"), template="none", campaign="1")
    assert client.post(f"{API}/visit/photos", files={"photo": ("a.jpg", b"after")}).status_code == 201


@pytest.mark.parametrize("what", PLACES)
def test_a_mail_waits_and_is_not_marked_as_done(kernel: Kernel, what: str) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        alice = make_employee(session, kernel)
        mail_id = mail.post(session, kernel.keys, alice.id, Letter("a@b.c", "s", "t"), template="x", campaign="1")
    with away(PLACES[what](kernel, tenant)):
        for _ in range(59):  # More than a mail has attempts.
            work_due(kernel, tenant)
        job, letter = job_and_mail(kernel, tenant, mail_id)
        assert (job.state, job.attempt - job.excused) == (JobState.READY, 0)
        assert job.excused == 59
        assert (letter.sent_at, letter.failed_at) == (None, None)
    work_due(kernel, tenant)
    job, letter = job_and_mail(kernel, tenant, mail_id)
    assert job.state == JobState.DONE
    assert letter.sent_at is not None


def job_and_mail(kernel: Kernel, tenant: UUID, mail_id: UUID | None) -> tuple[Job, Mail]:
    with kernel.db.transaction(tenant) as session:
        job = session.exec(select(Job).where(col(Job.tenant_id) == tenant, col(Job.key) == str(mail_id))).one()
        return job, session.exec(select(Mail).where(col(Mail.tenant_id) == tenant, col(Mail.id) == mail_id)).one()


def work_due(kernel: Kernel, tenant: UUID) -> None:
    """Each of the tenant's waiting jobs once, as if its pause were over."""
    with kernel.db.transaction(tenant) as session:
        session.execute(text("update job set due = now() where tenant_id = :t and state = 'ready'"), {"t": tenant})
        due = list(session.exec(select(Job.id).where(col(Job.tenant_id) == tenant, col(Job.state) == JobState.READY)))
    for job_id in due:
        claims.work(kernel, job_id)


def test_an_erasure_waits_for_the_keys_and_destroys_the_right_ones(kernel: Kernel) -> None:
    alice = full_person(kernel)
    asked = erase(kernel, alice)
    with away(tenant_folder(kernel, alice.tenant_id)):
        for _ in range(12):
            work_due(kernel, alice.tenant_id)
        assert reread(kernel, asked).state != "certified"
    work_due(kernel, alice.tenant_id)
    assert reread(kernel, asked).state == "certified"
    assert kernel.keys.refs(alice.tenant_id, alice.id) == []
    assert {kernel.keys.state(KeyRef(alice.tenant_id, alice.id, cls)) for cls in KeyClass} == {"destroyed"}


def test_a_sitting_is_not_begun_while_its_keys_are_away(kernel: Kernel) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    hers, his = make_sitting(kernel, alice), make_sitting(kernel, bob)
    with away(tenant_folder(kernel, alice.tenant_id)):
        assert not claiming._reachable(kernel, hers)
        assert claiming._reachable(kernel, his)
    assert claiming._reachable(kernel, hers)


# The master key


def test_ready_says_when_the_master_key_is_away(kernel: Kernel, client: TestClient[Any]) -> None:
    assert client.get("/readyz").status_code == 200
    with away(kernel.settings.keys_path()):
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:likeness:master-key-missing")
    assert client.get("/readyz").status_code == 200


def test_ready_says_that_a_disk_is_full_and_pages_still_open(
    kernel: Kernel, client: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = kernel.settings.keys_path()
    monkeypatch.setattr(machine, "room", lambda settings: iter([(keys, machine.NO_DISK - 1)]))
    answer = client.get("/readyz")
    assert (answer.status_code, "a disk is full" in answer.text) == (200, True)
    assert str(keys) not in answer.text, "anybody may ask, so where things lie is for `likeness check` alone"
    assert figure(client, "likeness_disk_free_bytes") == machine.NO_DISK - 1
    assert client.get("/sign-in").status_code == 200
    monkeypatch.undo()
    assert client.get("/readyz").text == "ready"


def test_an_empty_or_foreign_folder_beside_a_full_database_is_refused(kernel: Kernel, tmp_path: Path) -> None:
    make_tenant(kernel)
    empty = KeyFolder(tmp_path / "empty")
    with pytest.raises(MasterKeyMissing):
        fingerprint.settle(kernel.db, empty)
    assert list((tmp_path / "empty").iterdir()) == []
    foreign = KeyFolder(tmp_path / "foreign")
    foreign.begin()
    with pytest.raises(MasterKeyForeign):
        fingerprint.settle(kernel.db, foreign)
    for folder, words in (("none", "no folder"), ("empty", "not in the key folder"), ("foreign", "another master key")):
        settings = kernel.settings.model_copy(update={"profile": "production", "key_folder": tmp_path / folder})
        found = [sentence for sentence in check.problems(settings) if words in sentence]
        assert len(found) == 1, folder
        assert (tmp_path / folder).exists() == (folder != "none")
    right = kernel.settings.model_copy(update={"profile": "production"})
    assert not [sentence for sentence in check.problems(right) if "master key" in sentence]


def test_a_home_of_an_older_version_gets_its_fingerprint_at_the_first_start(kernel: Kernel, tmp_path: Path) -> None:
    alice = make_person(kernel)
    before = fingerprint.noted(kernel.db)
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(text("delete from key_fingerprint"))
    foreign = KeyFolder(tmp_path / "foreign")
    foreign.begin()
    with pytest.raises(MasterKeyForeign):
        fingerprint.settle(kernel.db, foreign)
    with pytest.raises(MasterKeyMissing):
        fingerprint.settle(kernel.db, KeyFolder(tmp_path / "empty"))
    mark = tenant_folder(kernel, alice.tenant_id) / str(alice.id) / "profile.made"
    mark.unlink()
    fingerprint.settle(kernel.db, KeyFolder(kernel.settings.keys_path()))
    assert fingerprint.noted(kernel.db) == before
    assert mark.exists()
