from __future__ import annotations

import csv
import io
import tracemalloc
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from PIL import Image
from sqlalchemy import event, update
from sqlmodel import col

from batch.delivery import delivery, names, zipped
from batch.models import Batch, Employee, Headshot
from batch.roster import batches, listings
from batch.sittings import headshots, sittings
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from tenants.models import Role
from tests.factories import give_consent, make_batch, make_employee, make_tenant, sign_in_member
from tests.handed_in import make_headshots, make_person, shows


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        yield client


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
    assert shows(packed.read("Ada-Okafor.png"), 0)
    lines = manifest(packed)
    assert [line["File"] for line in lines] == packed.namelist()[:-1]
    assert lines[0]["Employee ID"] == "0042"
    assert lines[0]["Full name"] == "Nadia Ümit"
    with kernel.db.transaction(batch.tenant_id) as session:
        for person in people:
            assert all(release.downloaded_at for release in headshots.releases(session, person.id))
            entries = [e for e in ledger.entries(session, subject=person.id) if e.event == "release.downloaded"]
            assert [(e.caller, len(e.objects)) for e in entries] == [("member:x", 2)]


def test_no_number_in_hrs_files_stands_in_the_log(kernel: Kernel) -> None:
    """Or a manifest that HR kept would say for ever whose entries of the log these are."""
    batch, (person,) = make_people(kernel, {"full_name": "Nadia Ümit"}, count=2)
    numbers = {line["Headshot"] for line in manifest(archive(kernel, batch))}
    with kernel.db.transaction(batch.tenant_id) as session:
        (first, _) = headshots.releases(session, person.id)
        headshots.unrelease(session, person.id, first.headshot_id, utc_now())
        log = [one.data().decode() for one in ledger.entries(session)]
        mine = {str(one.shelf_id) for one in headshots.of(session, person.id, utc_now())}
    assert len(numbers) == 2
    assert numbers < mine
    assert any(str(first.headshot_id) in one for one in log)
    assert not [one for one in log if any(number in one for number in [*numbers, str(person.roster_id)])]


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


def test_small_pictures_of_several_people_are_handed_over_together(kernel: Kernel) -> None:
    """And put on record by person all the same, before the piece with theirs leaves."""
    names = [f"Person {number:02}" for number in range(21)]
    batch, people = make_people(kernel, *({"full_name": name} for name in names))
    with kernel.db.transaction(batch.tenant_id) as session:
        planned = delivery.plan(session, kernel, delivery.DeliveryChoice(batch.id), utc_now())
    told, said = list[int](), list[str]()

    def note(*seen: Any) -> None:
        said.append(seen[2])

    event.listen(kernel.db.engine, "before_cursor_execute", note)
    pieces = []
    try:
        for piece in delivery.pieces(kernel, batch.tenant_id, planned, caller="member:x"):
            pieces.append(piece)
            told.append(sum("INSERT INTO ledger_entry" in one for one in said))
    finally:
        event.remove(kernel.db.engine, "before_cursor_execute", note)
    assert told == [1, 2, 2], "the first person alone, everybody else in one piece, and the manifest"
    assert len(said) <= 2 * 8
    packed = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert packed.testzip() is None
    assert [line["Full name"] for line in manifest(packed)] == names
    with kernel.db.transaction(batch.tenant_id) as session:
        for person in people:
            (entry,) = [e for e in ledger.entries(session, subject=person.id) if e.event == "release.downloaded"]
            assert len(entry.objects) == 1


def test_of_a_piece_only_whom_its_bytes_are_of_is_handed_over(kernel: Kernel) -> None:
    batch, people = make_people(kernel, *({"full_name": name} for name in ("Ada", "Ben", "Cleo", "Dora")))
    with kernel.db.transaction(batch.tenant_id) as session:
        planned = delivery.plan(session, kernel, delivery.DeliveryChoice(batch.id), utc_now())
    length = delivery.measure(kernel, planned)
    (ada, ben, cleo, _) = [known.size for known in planned.known() or []]
    # Within the third picture: behind two of them and their headers, before the end of the third.
    span = (ada + ben + 2 * 42, ada + ben + 2 * 42 + cleo // 2)
    part = b"".join(delivery.pieces(kernel, batch.tenant_id, planned, caller="member:y", span=span))
    whole = b"".join(delivery.pieces(kernel, batch.tenant_id, planned, caller="member:x", span=(0, length)))
    assert part == whole[slice(*span)]
    with kernel.db.transaction(batch.tenant_id) as session:
        told = {
            person.id: [e.caller for e in ledger.entries(session, subject=person.id) if e.event == "release.downloaded"]
            for person in people
        }
    assert [told[person.id] for person in people] == [["member:x"], ["member:x"], ["member:y", "member:x"], ["member:x"]]


def test_whoever_fetches_the_end_alone_is_on_record_with_everybody_whom_it_names(
    client: TestClient[Any], kernel: Kernel
) -> None:
    """The manifest and the list of files stand there, behind the last picture."""
    batch, people = make_people(kernel, *({"full_name": name} for name in ("Ada", "Ben", "Cleo")))
    path = f"/api/v1/batches/{batch.id}/archive"
    member = sign_in_member(client, kernel, batch.tenant_id)
    tag = client.get(path, headers={"range": "bytes=0-0"}).headers["etag"]

    def on_record() -> list[bool]:
        with kernel.db.transaction(batch.tenant_id) as session:
            return [bool(listings.of(session, person.id)) for person in people]

    assert on_record() == [False, False, False], "of the first picture's person the log says so"
    answer = client.get(path, headers={"range": "bytes=-600", "if-range": tag})
    assert answer.status_code == 206
    assert all(name.encode() in answer.content for name in ("Ada", "Ben", "Cleo"))
    assert on_record() == [True, True, True]
    with kernel.db.transaction(batch.tenant_id) as session:
        assert listings.of(session, people[2].id)[0].caller == f"member:{member.id}"


def test_pictures_that_are_large_are_sent_by_person(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    batch, people = make_people(kernel, *({"full_name": name} for name in ("Ada", "Ben", "Cleo")))
    with kernel.db.transaction(batch.tenant_id) as session:
        session.execute(update(Headshot).where(col(Headshot.tenant_id) == batch.tenant_id).values(bytes=delivery.PIECE))
    monkeypatch.setattr(delivery, "_cuts", delivery._Cuts())
    pieces = delivery.archive(kernel, batch.tenant_id, batch.id, utc_now(), caller="member:x")
    start = next(pieces) + next(pieces)
    with kernel.db.transaction(batch.tenant_id) as session:
        (release,) = headshots.releases(session, people[2].id)
        headshots.unrelease(session, people[2].id, release.headshot_id, utc_now())
    packed = zipfile.ZipFile(io.BytesIO(start + b"".join(pieces)))
    assert packed.namelist() == ["Ada.png", "Ben.png", "manifest.csv"]


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
    with pytest.raises(batches.BatchMissing):
        delivery.archive(kernel, stranger.tenant_id, batch.id, utc_now(), caller="member:x")


def test_a_download_that_broke_goes_on_where_it_stopped(
    client: TestClient[Any], kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, people = make_people(kernel, *({"full_name": name} for name in ("Ada", "Ben", "Cleo")), count=2)
    path = f"/api/v1/batches/{batch.id}/archive?preset=circle&names={{department}}/{{name}}"
    sign_in_member(client, kernel, batch.tenant_id)
    first = client.get(path)
    whole, tag = first.content, first.headers["etag"]
    assert first.headers["accept-ranges"] == "bytes"
    again = client.get(path)
    assert (again.content, again.headers["content-length"]) == (whole, str(len(whole))), "the same plan, the same bytes"
    # Another process, which has cut none of the pictures, goes on with them at every place.
    for place in (1, len(whole) // 3, len(whole) // 2, len(whole) - 5):
        monkeypatch.setattr(delivery, "_cuts", delivery._Cuts())
        rest = client.get(path, headers={"range": f"bytes={place}-", "if-range": tag})
        assert (rest.status_code, rest.content) == (206, whole[place:])
        assert rest.headers["content-range"] == f"bytes {place}-{len(whole) - 1}/{len(whole)}"
    for span, part in ((f"bytes=10-{len(whole) // 2}", whole[10 : len(whole) // 2 + 1]), ("bytes=-7", whole[-7:])):
        assert client.get(path, headers={"range": span}).content == part
    assert client.get(path, headers={"range": f"bytes={len(whole)}-"}).status_code == 416
    assert client.get(path, headers={"range": "bytes=1-2,4-5"}).content == whole, "the RFC allows the whole"
    taken = client.get("/api/v1/downloads").json()
    assert [(one["headshots"], one["people"], one["preset"], one["which"]) for one in taken] == [
        (6, 3, "circle", "all")
    ] * len(taken)
    assert max(one["continued"] for one in taken) >= 4, "what went on is the same download"
    assert all(one["ended_at"] for one in taken if one["continued"])
    with kernel.db.transaction(batch.tenant_id) as session:
        for release in headshots.releases(session, people[1].id)[:1]:
            headshots.unrelease(session, people[1].id, release.headshot_id, utc_now())
    assert client.get(path, headers={"range": "bytes=9-"}).status_code == 412, "curl says of which file nothing"
    changed = client.get(path, headers={"range": "bytes=9-", "if-range": tag})
    assert changed.status_code == 200
    assert len(zipfile.ZipFile(io.BytesIO(changed.content)).namelist()) == 6, "begun anew, without what was taken back"
    assert client.get(path, headers={"range": "bytes=9-", "if-match": tag}).status_code == 412
    stranger = make_person(kernel)
    sign_in_member(client, kernel, stranger.tenant_id)
    assert client.get(path).status_code == 404
    assert client.get("/api/v1/downloads").json() == []


def test_a_part_of_the_people_in_the_shape_and_under_the_names_that_were_asked_for(
    client: TestClient[Any], kernel: Kernel
) -> None:
    batch, people = make_people(
        kernel,
        {"full_name": "Ada Okafor", "employee_key": "0042", "department": "R&D"},
        {"full_name": "Ben"},
        {"full_name": "Cleo"},
    )
    stranger = make_person(kernel)
    sign_in_member(client, kernel, batch.tenant_id)
    asked = [("person", str(one.roster_id)) for one in (people[0], people[2], stranger)]
    began = utc_now().isoformat()
    for preset, size, mode in (
        ("directory", (51, 64), "JPEG"),
        ("portrait", (51, 64), "JPEG"),
        ("circle", (64, 64), "PNG"),
    ):
        sent = client.get(
            "/api/v1/headshots/archive",
            params=[*asked, ("preset", preset), ("names", "{batch}/{number}-{name}-{look}")],
        )  # fmt: skip
        packed = zipfile.ZipFile(io.BytesIO(sent.content))
        assert len(packed.namelist()) == 3, "nobody of another company"
        assert packed.namelist()[0].startswith("Spring/0042-Ada-Okafor-")
        with Image.open(packed.open(packed.namelist()[0])) as shown:
            wanted = (64, 64) if preset == "directory" else size
            assert (shown.size, shown.format) == (wanted, mode), "never larger than it was made"
    new = client.get("/api/v1/headshots/archive", params={"not_fetched_before": began})
    assert len(manifest(zipfile.ZipFile(io.BytesIO(new.content)))) == 3, "what was fetched since then stays in it"
    rest = client.get("/api/v1/headshots/archive", params={"not_fetched_before": utc_now().isoformat()})
    assert zipfile.ZipFile(io.BytesIO(rest.content)).namelist() == ["manifest.csv"]
    for wrong in ("{salary}", "{name", "all", "a/b/c/d/{name}", "{name}" * 30):
        refused = client.get("/api/v1/headshots/archive", params={"names": wrong})
        assert (refused.status_code, refused.json()["title"]) == (422, "Files cannot be named like this"), wrong
    which = [one["which"] for one in client.get("/api/v1/downloads").json()]
    assert which == ["new", "new", "chosen", "chosen", "chosen"]


def test_programs_read_the_shelf_of_all_batches_page_by_page(client: TestClient[Any], kernel: Kernel) -> None:
    batch, _ = make_people(kernel, {"full_name": "Ada"}, {"full_name": "Ben"}, count=2)
    with kernel.db.transaction(batch.tenant_id) as session:
        later = make_batch(session, name="Later")
        make_employee(session, kernel, batch=later, full_name="Zoe").row = 10**6
    make_people(kernel, {"full_name": "Stranger"})
    sign_in_member(client, kernel, batch.tenant_id)
    seen, path = [], "/api/v1/headshots?most=2"
    while path:
        answer = client.get(path)
        seen += answer.json()
        path = answer.headers.get("link", "").partition(">")[0].lstrip("<")
    # Which of two batches comes first is nobody's wish.
    assert sorted((one["full_name"], one["stage"], len(one["headshots"])) for one in seen) == [
        ("Ada", "chosen", 2), ("Ben", "chosen", 2), ("Zoe", "added", 0),
    ]  # fmt: skip
    assert [one["full_name"] for one in client.get("/api/v1/headshots?part=missing").json()] == ["Zoe"]
    assert client.get("/api/v1/headshots?after=x").status_code == 422
    sign_in_member(client, kernel, batch.tenant_id, Role.BRAND)
    assert [one["full_name"] for one in client.get("/api/v1/headshots").json()] == ["Ada", "Ben"], "no list of people"
    sign_in_member(client, kernel, batch.tenant_id, Role.LEGAL)
    assert client.get("/api/v1/headshots").status_code == 403


def test_an_archive_beyond_four_gigabytes_is_read_to_its_end(tmp_path: Path) -> None:
    at, large, small = datetime(2026, 3, 2, 10, 30), 3 * 2**30, b"the last"
    entries = [
        zipped.Entry("one.png", at, large, 0),
        zipped.Entry("two.png", at, large, 0),
        zipped.entry("Ü.png", at, small),
    ]
    path, place = tmp_path / "large.zip", 0
    with path.open("wb") as out:
        for one in entries:
            out.seek(place)
            out.write(zipped.header(one))
            place += one.length
        out.seek(place - len(small))
        out.write(small + zipped.directory(entries))
    with zipfile.ZipFile(path) as packed:
        assert [(one.filename, one.file_size, one.date_time[:3]) for one in packed.infolist()] == [
            ("one.png", large, (2026, 3, 2)), ("two.png", large, (2026, 3, 2)), ("Ü.png", len(small), (2026, 3, 2)),
        ]  # fmt: skip
        assert packed.read("Ü.png") == small
    with pytest.raises(names.PatternRefused):
        names.pattern("{")
