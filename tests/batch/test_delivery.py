from __future__ import annotations

import csv
import io
import tracemalloc
import zipfile

import pytest

from batch import delivery, headshots, sittings
from batch.models import Batch, Employee
from likeness import ledger
from likeness.db import utc_now
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef
from tests.factories import give_consent, make_batch, make_employee, make_tenant
from tests.handed_in import make_headshots, make_person, picture


def make_people(kernel: Kernel, *profiles: dict[str, str], count: int = 1) -> tuple[Batch, list[Employee]]:
    """A batch of people who each released so many headshots and kept one more to themselves."""
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = []
        for row, profile in enumerate(profiles, 2):
            person = make_employee(session, kernel, batch=batch, **profile)
            person.row = row
            give_consent(session, kernel, person)
            people.append(person)
    for person in people:
        made = make_headshots(kernel, person, count + 1)
        with kernel.db.transaction(tenant) as session:
            headshots.release(session, person.id, [headshot.id for headshot in made[:count]], utc_now())
    return batch, people


def archive(kernel: Kernel, batch: Batch) -> zipfile.ZipFile:
    pieces = delivery.archive(kernel, batch.tenant_id, batch.id, utc_now(), caller="member:x")
    packed = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert packed.testzip() is None
    return packed


def manifest(packed: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(packed.read("manifest.csv").decode("utf-8-sig"))))


def test_the_archive_holds_what_was_released_under_peoples_names(kernel: Kernel) -> None:
    batch, people = make_people(
        kernel,
        {"full_name": "Nadia Ümit", "department": "R&D / Optics", "employee_key": "0042"},
        {"full_name": "Ada Okafor"},
        count=2,
    )
    packed = archive(kernel, batch)
    assert packed.namelist() == [
        "R&D-Optics/Nadia-Ümit.png", "R&D-Optics/Nadia-Ümit-2.png", "Ada-Okafor.png", "Ada-Okafor-2.png",
        "manifest.csv",
    ]  # fmt: skip
    assert packed.read("Ada-Okafor.png") == picture(0)
    lines = manifest(packed)
    assert [line["File"] for line in lines] == packed.namelist()[:-1]
    assert lines[0]["Employee ID"] == "0042"
    assert lines[0]["Full name"] == "Nadia Ümit"
    with kernel.db.transaction(batch.tenant_id) as session:
        for person in people:
            assert all(release.downloaded_at for release in headshots.releases(session, person.id))
            entries = [e for e in ledger.entries(session, subject=person.id) if e.event == "release.downloaded"]
            assert [(e.caller, len(e.objects)) for e in entries] == [("member:x", 2)]


def test_names_are_safe_and_unique(kernel: Kernel) -> None:
    hostile = ["../../etc/passwd", "nadia ümit", "Nadia Ümit", "CON", "a\x00b:c*?", "...", "=1+1"]
    batch, _ = make_people(kernel, *({"full_name": name, "department": "..\\.."} for name in hostile))
    packed = archive(kernel, batch)
    assert packed.namelist()[:-1] == [
        "etc-passwd.png", "nadia-ümit.png", "Nadia-Ümit-2.png", "CON-.png", "ab-c.png", "headshot.png", "=1+1.png",
    ]  # fmt: skip
    assert not any(value.startswith("=") for line in manifest(packed) for value in line.values())


def test_who_took_back_or_withdrew_during_the_download_is_left_out(kernel: Kernel) -> None:
    batch, people = make_people(kernel, *({"full_name": name} for name in ("Ada", "Ben", "Cleo", "Dora")))
    pieces = delivery.archive(kernel, batch.tenant_id, batch.id, utc_now(), caller="member:x")
    start = next(pieces)
    with kernel.db.transaction(batch.tenant_id) as session:
        for release in headshots.releases(session, people[1].id):
            headshots.unrelease(session, people[1].id, release.headshot_id, utc_now())
        sittings.withdraw(session, people[2].id, utc_now())
    kernel.keys.destroy(KeyRef(batch.tenant_id, people[3].id, KeyClass.HEADSHOT), utc_now())
    packed = zipfile.ZipFile(io.BytesIO(start + b"".join(pieces)))
    assert packed.namelist() == ["Ada.png", "manifest.csv"]
    with kernel.db.transaction(batch.tenant_id) as session:
        assert "release.downloaded" not in [e.event for e in ledger.entries(session, subject=people[1].id)]


def test_the_archive_is_sent_while_it_is_made(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, _ = make_people(kernel, {"full_name": "Ada"}, count=12)
    large = bytes(4 * 2**20)
    monkeypatch.setattr(headshots, "opened", lambda *_: large + b"")
    tracemalloc.start()
    try:
        sizes = [len(piece) for piece in delivery.archive(kernel, batch.tenant_id, batch.id, utc_now(), caller="x")]
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(sizes) == 13
    assert sum(sizes) > 48 * 2**20
    assert most < 20 * 2**20


def test_an_empty_batch_gives_a_manifest_alone(kernel: Kernel) -> None:
    batch, _ = make_people(kernel)
    assert archive(kernel, batch).namelist() == ["manifest.csv"]


def test_an_archive_is_hidden_from_another_company(kernel: Kernel) -> None:
    batch, _ = make_people(kernel, {"full_name": "Ada"})
    stranger = make_person(kernel)
    with pytest.raises(delivery.BatchMissing):
        delivery.archive(kernel, stranger.tenant_id, batch.id, utc_now(), caller="member:x")
