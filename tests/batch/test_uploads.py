"""Photos that arrive in parts, over HTTP: tus 1.0 as a browser speaks it."""

from __future__ import annotations

import asyncio
import socket
import threading
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from datetime import timedelta
from hashlib import sha256
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest
from sqlmodel import select

from batch.models import Employee, Photo, PhotoState, Upload
from batch.photos import api_uploads, intake, photos, resumable
from batch.sittings import sittings
from batch.visit import consents
from compliance.erasure import erasures
from compliance.models import ErasureState, Trigger
from compliance.retention import retention
from compliance.rights import attending
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.web import uploads
from tests import pictures
from tests.browser.world import served
from tests.factories import give_consent, make_employee, run_jobs, sign_in_employee
from tests.handed_in import make_person, make_photos
from tests.waiting import PATIENCE, until

URL = "/api/v1/visit/uploads"
TUS = {"tus-resumable": "1.0.0"}


@pytest.fixture(scope="module")
def address(kernel: Kernel) -> Iterator[str]:
    with served(kernel) as address:
        yield address


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return make_person(kernel)


class Phone:
    """A browser of somebody who is signed in."""

    def __init__(self, kernel: Kernel, address: str, person: Employee) -> None:
        self.http = httpx.Client(base_url=address, headers=TUS, timeout=PATIENCE)
        sign_in_employee(self.http, kernel, person)  # type: ignore[arg-type]

    def begin(self, length: int, digest: str = "") -> httpx.Response:
        pairs = [("filename", "holiday.jpg"), ("sha256", digest)]
        metadata = {"upload-metadata": ",".join(f"{key} {b64encode(value.encode()).decode()}" for key, value in pairs)}
        return self.http.post(URL, headers={"upload-length": str(length)} | (metadata if digest else {}))

    def send(self, where: str, data: bytes, offset: int = 0) -> httpx.Response:
        headers = {"upload-offset": str(offset), "content-type": "application/offset+octet-stream"}
        return self.http.patch(where, content=data, headers=headers)

    def offset(self, where: str) -> int:
        return int(self.http.head(where).headers["upload-offset"])

    def photos(self) -> list[Any]:
        found: list[Any] = self.http.get("/api/v1/visit/photos").json()["photos"]
        return found


def hung(phone: Phone, method: str, where: str, length: int, body: bytes = b"", **more: str) -> socket.socket:
    """A request whose body does not come, or comes no further."""
    at = urlsplit(str(phone.http.base_url))
    cookies = "; ".join(f"{name}={value}" for name, value in phone.http.cookies.items())
    headers = {"host": at.hostname, "cookie": cookies, "content-length": length} | more
    line = socket.create_connection((at.hostname, at.port), timeout=PATIENCE)  # type: ignore[arg-type]
    said = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    line.sendall(f"{method} {where} HTTP/1.1\r\n{said}\r\n".encode() + body)
    return line


@pytest.fixture
def phone(kernel: Kernel, address: str, alice: Employee) -> Iterator[Phone]:
    phone = Phone(kernel, address, alice)
    yield phone
    phone.http.close()


def stored(kernel: Kernel, person: Employee) -> list[str]:
    return [found.path for found in kernel.objects.list(f"tenants/{person.tenant_id}/employees/{person.id}/source")]


def mine(kernel: Kernel, person: Employee) -> list[Photo]:
    with kernel.db.transaction(person.tenant_id) as session:
        return photos.of(session, person.id)


def test_a_photo_in_two_parts_is_a_photo_like_any_other(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    data = pictures.drawn(1)[0]
    begun = phone.begin(len(data), sha256(data).hexdigest())
    assert begun.status_code == 201
    assert "upload-expires" in begun.headers
    where = begun.headers["location"]
    assert phone.offset(where) == 0
    first = phone.send(where, data[:1000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "1000")
    asked = phone.http.head(where)
    assert (asked.headers["upload-offset"], asked.headers["upload-length"]) == ("1000", str(len(data)))
    assert asked.headers["cache-control"] == "no-store"
    assert [one["received"] for one in phone.http.get(URL).json()] == [1000]
    assert "gone in 1 day" in phone.http.get("/visit/fates").text
    (half,) = stored(kernel, alice)
    assert data[:64] not in kernel.objects.raw(half)
    last = phone.send(where, data[1000:], 1000)
    assert (last.status_code, last.headers["upload-offset"]) == (204, str(len(data)))
    (photo,) = mine(kernel, alice)
    assert stored(kernel, alice) == [photo.path]
    assert kernel.objects.get(photo.path, kernel.keys.open(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE))) == data
    assert phone.offset(where) == len(data)
    assert phone.http.get(URL).json() == []
    run_jobs(kernel, tenant=alice.tenant_id)
    assert [photo["state"] for photo in phone.photos()] == [PhotoState.ACCEPTED]


def test_a_photo_that_was_handed_in_before_is_one_photo_and_is_said_to_be(
    kernel: Kernel, alice: Employee, phone: Phone
) -> None:
    data = pictures.drawn(1)[0]
    said = []
    for _ in range(2):
        where = phone.begin(len(data)).headers["location"]
        said.append(phone.send(where, data).headers.get("photo-known"))
    assert said == [None, "true"]
    assert len(mine(kernel, alice)) == 1


def test_what_this_server_speaks_is_said(phone: Phone) -> None:
    said = phone.http.options(URL)
    assert said.status_code == 204
    assert said.headers["tus-version"] == "1.0.0"
    assert said.headers["tus-max-size"] == str(intake.LARGEST)
    assert said.headers["tus-extension"] == "creation,termination,expiration"


def test_permission_comes_before_the_first_byte(kernel: Kernel, address: str) -> None:
    phone = Phone(kernel, address, make_person(kernel, consented=False))
    assert phone.begin(10).json()["type"] == "urn:likeness:consent-missing"
    # A form whose body never comes is answered all the same: nobody waits for bytes that may not be taken.
    form = "multipart/form-data; boundary=x"
    with hung(phone, "POST", "/api/v1/visit/photos", 9000, content_type=form) as line:
        assert b"403" in line.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize(("length", "status"), [(0, 422), (intake.LARGEST, 201), (intake.LARGEST + 1, 413)])
def test_sizes_are_refused_before_a_byte_is_sent(phone: Phone, length: int, status: int) -> None:
    assert phone.begin(length).status_code == status


def test_headers_that_are_wrong_are_said(phone: Phone) -> None:
    assert phone.http.post(URL, headers={"tus-resumable": "0.2", "upload-length": "5"}).status_code == 412
    for length in ("", "-1", "five", "1e3", "9" * 40):
        assert phone.http.post(URL, headers={"upload-length": length}).status_code == 422
    assert phone.begin(5, "not a digest").status_code == 422
    where = phone.begin(5).headers["location"]
    body = {"upload-offset": "0", "content-type": "application/json"}
    assert phone.http.patch(where, content=b"12345", headers=body).status_code == 415
    assert phone.send(where, b"345", 2).json()["type"] == "urn:likeness:offset-moved"
    assert phone.send(where, b"123456").json()["type"] == "urn:likeness:more-than-announced"
    assert phone.offset(where) == 0


def test_an_upload_is_its_owners_alone(kernel: Kernel, address: str, phone: Phone, bob: Employee) -> None:
    where = phone.begin(5).headers["location"]
    phone.send(where, b"12")
    stranger = Phone(kernel, address, bob)
    for path in (where, f"{URL}/{uuid4()}"):
        assert stranger.http.head(path).status_code == 404
        assert stranger.send(path, b"345", 2).status_code == 404
        assert stranger.http.delete(path).status_code == 404
    assert stranger.http.get(URL).json() == []
    assert phone.offset(where) == 2


def test_what_came_before_the_connection_broke_is_kept(
    kernel: Kernel, alice: Employee, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, read = pictures.drawn(1)[0], threading.Event()

    async def noting(stream: AsyncIterator[bytes], stop: asyncio.Event | None = None) -> AsyncIterator[bytes]:
        came = 0
        async for piece in in_time(stream, stop):
            yield piece
            came += len(piece)
            if came == 5000:
                read.set()

    in_time = uploads.in_time
    monkeypatch.setattr(api_uploads, "in_time", noting)
    where = phone.begin(len(data)).headers["location"]

    def breaks_off() -> Iterator[bytes]:
        yield data[:5000]
        assert read.wait(PATIENCE), "a connection that ends before the server has read it takes it along"
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        phone.send(where, breaks_off())  # type: ignore[arg-type]
    until(lambda: phone.offset(where) == 5000)
    assert phone.send(where, data[5000:], 5000).status_code == 204
    assert len(mine(kernel, alice)) == 1


def test_a_connection_that_hangs_gives_way_to_the_next_one(phone: Phone, kernel: Kernel, alice: Employee) -> None:
    """A browser that left its network keeps a dead connection open; whoever comes back does not wait for it."""
    data = pictures.drawn(1)[0]
    where = phone.begin(len(data)).headers["location"]
    tus = {"tus_resumable": "1.0.0", "upload_offset": "0", "content_type": "application/offset+octet-stream"}
    with hung(phone, "PATCH", where, len(data), data[:4000], **tus):
        until(lambda: phone.offset(where) == 4000)
        assert phone.send(where, data[4000:], 4000).status_code == 204
    assert len(mine(kernel, alice)) == 1


def test_a_connection_that_drips_holds_nothing_of_what_is_kept(
    kernel: Kernel, alice: Employee, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_uploads, "SAVE_EVERY", 0.0)
    half = 8 * 2**20
    begun = [phone.begin(2 * half).headers["location"] for _ in range(4)]
    with kernel.db.transaction(alice.tenant_id) as session:
        open_ones = resumable.of(session, alice.id, utc_now())
    for one in open_ones:
        resumable.save(kernel, one, bytes(half), utc_now())
    tus = {"tus_resumable": "1.0.0", "upload_offset": str(half), "content_type": "application/offset+octet-stream"}
    with ExitStack() as lines:
        tracemalloc.start()
        lines.callback(tracemalloc.stop)
        for where in begun:
            lines.enter_context(hung(phone, "PATCH", where, 1000, b"1", **tus))
        until(lambda: {one["received"] for one in phone.http.get(URL).json()} == {half + 1})
        # The thread that has written the last one lets go of it.
        until(lambda: tracemalloc.get_traced_memory()[0] < half)


def test_what_another_connection_wrote_anew_is_not_ended(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    where = phone.begin(5).headers["location"]
    phone.send(where, b"12")
    one = UUID(where.rpartition("/")[2])
    slower, faster = (resumable.taken_up(kernel, alice.tenant_id, alice.id, one, utc_now()) for _ in range(2))
    resumable.save(kernel, faster, b"3", utc_now())
    with pytest.raises(resumable.OffsetMoved):
        resumable.save(kernel, slower, b"3", utc_now())
    assert phone.offset(where) == 3
    kernel.objects.delete(faster.path or "")
    assert phone.send(where, b"45", 3).status_code == 410
    assert phone.http.head(where).status_code == 404


def test_bodies_in_flight_are_few_of_a_person_of_a_company_and_of_all(
    kernel: Kernel, alice: Employee, phone: Phone, address: str, bob: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kernel.db.transaction(alice.tenant_id) as session:
        second = make_employee(session, kernel)
        give_consent(session, kernel, second)
    colleague = Phone(kernel, address, second)
    stranger = Phone(kernel, address, bob)

    def hand_in(who: Phone, megabytes: int) -> socket.socket:
        kind = "multipart/form-data; boundary=x"
        return hung(who, "POST", "/api/v1/visit/photos", megabytes * 10**6, content_type=kind)

    def refused(who: Phone, megabytes: int) -> int:
        with hand_in(who, megabytes) as line:
            return int(line.recv(4096).split(b" ")[1])

    def in_flight(megabytes: int) -> bool:
        until(lambda: uploads._bytes[None] == megabytes * 10**6)
        return True

    with ExitStack() as lines:
        for _ in range(4):
            lines.enter_context(hand_in(phone, 1))
        assert in_flight(4)
        assert refused(phone, 1) == 429
    assert in_flight(0)
    with ExitStack() as lines:
        for _ in range(4 - 1):
            lines.enter_context(hand_in(phone, 26))
        assert in_flight(78)
        assert refused(phone, 26) == 429
        monkeypatch.setattr(uploads, "OF_A_COMPANY", 100 * 10**6)
        assert refused(colleague, 26) == 429
        lines.enter_context(hand_in(stranger, 26))
        assert in_flight(104)
        monkeypatch.setattr(uploads, "OF_ALL", 110 * 10**6)
        assert refused(stranger, 26) == 503
    assert in_flight(0)
    assert not uploads._under_way


def test_an_upload_is_cut_for_want_of_progress_and_not_for_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "PATIENCE", 1.0)
    monkeypatch.setattr(uploads, "PROGRESS", 100)

    passed = [0.0]
    monkeypatch.setattr(uploads, "time", SimpleNamespace(monotonic=lambda: sum(passed)))

    async def steady() -> Any:
        for _ in range(12):
            passed.append(0.25)
            await asyncio.sleep(0.01)
            yield bytes(60)

    async def dripping() -> Any:
        while True:
            passed.append(0.05)
            await asyncio.sleep(0.01)
            yield b"."

    async def came(stream: Any) -> int:
        return sum([len(piece) async for piece in uploads.in_time(stream)])

    assert asyncio.run(came(steady())) == 720  # Three times as long as the patience.
    with pytest.raises(uploads.UploadTooSlow):
        asyncio.run(came(dripping()))


def test_a_file_that_changed_is_noticed_and_begins_again(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    where = phone.begin(8, sha256(b"12345678").hexdigest()).headers["location"]
    phone.send(where, b"1234")
    refused = phone.send(where, b"abcd", 4)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:likeness:file-changed")
    assert phone.http.head(where).status_code == 404
    assert (mine(kernel, alice), stored(kernel, alice)) == ([], [])


def test_a_person_has_few_uploads_on_their_way(
    kernel: Kernel, alice: Employee, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable, "MOST_UNFINISHED", 2)
    first, second = (phone.begin(5).headers["location"] for _ in range(2))
    phone.send(first, b"12")
    refused = phone.begin(5)
    assert (refused.status_code, refused.json()["type"]) == (429, "urn:likeness:too-many-unfinished")
    with kernel.db.transaction(alice.tenant_id) as session:
        for one in resumable.of(session, alice.id, utc_now()):
            one.touched_at -= timedelta(hours=2)
            session.add(one)
    assert phone.begin(5).status_code == 201  # The one that was left longest ago made room.
    assert [phone.http.head(where).status_code for where in (first, second)].count(404) == 1


def test_thirty_photos_are_the_most_and_those_on_their_way_count(
    kernel: Kernel, alice: Employee, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "MOST", 3)
    make_photos(kernel, alice, 2)
    known = sha256(b"accepted 0").hexdigest()
    assert phone.begin(5).status_code == 201
    assert phone.begin(5).json()["type"] == "urn:likeness:too-many-photos"
    assert phone.begin(10, known).status_code == 201  # It is there already, so it is none more.


def test_removing_deletes_what_came(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    where = phone.begin(5).headers["location"]
    phone.send(where, b"123")
    assert len(stored(kernel, alice)) == 1
    assert phone.http.delete(where).status_code == 204
    assert phone.http.head(where).status_code == 404
    assert stored(kernel, alice) == []


def test_after_a_day_what_came_is_gone(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    where = phone.begin(5).headers["location"]
    phone.send(where, b"123")
    intake.sweep_orphans(kernel, utc_now() + timedelta(hours=23))
    retention.delete_due(kernel, alice.tenant_id, utc_now() + timedelta(hours=23))
    assert phone.offset(where) == 3
    done = phone.begin(4).headers["location"]
    phone.send(done, b"1234")
    retention.delete_due(kernel, alice.tenant_id, utc_now() + timedelta(hours=25))
    assert phone.http.head(where).status_code == 404
    assert phone.http.head(done).status_code == 404
    (photo,) = mine(kernel, alice)  # What became a photo has the photo's own days.
    assert stored(kernel, alice) == [photo.path]
    retention.retire_keys(kernel, alice.tenant_id, utc_now() + timedelta(hours=25))
    assert kernel.keys.state(KeyRef(alice.tenant_id, alice.id, KeyClass.SOURCE)) == "live"


def test_an_expired_upload_is_not_taken_up(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    where = phone.begin(5).headers["location"]
    with kernel.db.transaction(alice.tenant_id) as session:
        (one,) = resumable.of(session, alice.id, utc_now())
        one.due_at = utc_now() - timedelta(seconds=1)
        session.add(one)
    assert phone.http.head(where).status_code == 410
    assert phone.send(where, b"12345").status_code == 410


def test_after_withdrawal_nothing_more_is_taken(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    where = phone.begin(5).headers["location"]
    phone.send(where, b"12")
    with kernel.db.transaction(alice.tenant_id) as session:
        consents.withdraw(session, alice.id, utc_now())
    assert phone.send(where, b"345", 2).status_code == 403
    assert phone.begin(5).status_code == 403
    assert mine(kernel, alice) == []


@pytest.mark.parametrize("withdrawn", [False, True])
def test_an_erasure_takes_what_is_still_arriving(
    kernel: Kernel, alice: Employee, bob: Employee, address: str, phone: Phone, withdrawn: bool
) -> None:
    phone.send(phone.begin(5).headers["location"], b"123")
    other = Phone(kernel, address, bob)
    theirs = other.begin(5).headers["location"]
    other.send(theirs, b"123")
    with kernel.db.transaction(alice.tenant_id) as session:
        if withdrawn:
            sittings.withdraw(session, alice.id, utc_now())
        else:
            erasures.request(session, alice.id, trigger=Trigger.PERSON, requested_by="test", now=utc_now())
    attending.attend(kernel, utc_now())
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        (erasure,) = erasures.all_erasures(session)
        assert (erasure.state, erasure.failures) == (ErasureState.CERTIFIED, 0)
        assert erasure.counts["source"]["objects"] == 1
        assert session.exec(select(Upload)).all() == []
    assert kernel.objects.list(f"tenants/{alice.tenant_id}/employees/{alice.id}") == []
    assert other.offset(theirs) == 3


def test_a_last_step_that_failed_is_done_when_the_browser_asks_again(
    kernel: Kernel, alice: Employee, phone: Phone
) -> None:
    """All bytes are kept, but the photo's row was not written: the answer to "how far" finishes it."""
    where = phone.begin(5).headers["location"]
    with kernel.db.transaction(alice.tenant_id) as session:
        (upload,) = resumable.of(session, alice.id, utc_now())
    resumable.save(kernel, upload, b"12345", utc_now())
    assert phone.offset(where) == 5
    (photo,) = mine(kernel, alice)
    assert stored(kernel, alice) == [photo.path]
    with kernel.db.transaction(alice.tenant_id) as session:
        assert resumable.get(session, alice.id, upload.id, utc_now()).photo_id == photo.id


def test_a_photo_whose_picture_is_lost_is_said_and_comes_back(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    kept, lost = make_photos(kernel, alice, 2)
    aside = kernel.objects.raw(lost.path)
    kernel.objects.delete(lost.path)
    intake.notice_missing(kernel, utc_now())
    shown = {photo["id"]: photo["missing"] for photo in phone.photos()}
    assert shown == {str(kept.id): False, str(lost.id): True}
    page = phone.http.get("/visit/photos").text
    assert page.count("We cannot find the picture of this photo any more") == 1
    with kernel.db.transaction(alice.tenant_id) as session:
        assert [photo.id for photo in photos.accepted(session, alice.id)] == [kept.id]
        assert photos.progress(session, alice.id).accepted == 1
    # The store was only away: what comes back counts again.
    kernel.objects._store.create(lost.path, [aside])
    intake.notice_missing(kernel, utc_now())
    assert not any(photo["missing"] for photo in phone.photos())
    kernel.objects.delete(lost.path)
    intake.notice_missing(kernel, utc_now())
    assert intake.add(kernel, alice.tenant_id, alice.id, b"accepted 1", utc_now()).id == lost.id
    assert not any(photo["missing"] for photo in phone.photos())


def test_no_name_of_a_file_is_kept(kernel: Kernel, alice: Employee, phone: Phone) -> None:
    phone.begin(5, sha256(b"12345").hexdigest())
    with kernel.db.transaction(alice.tenant_id) as session:
        (upload,) = resumable.of(session, alice.id, utc_now())
    assert "holiday" not in str(Upload.model_dump(upload))
