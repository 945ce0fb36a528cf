"""Photos, sittings, headshots and delivery over HTTP."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from typing import Any
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from batch.models import Employee, PhotoState
from batch.people import employees
from batch.photos import intake, photos
from batch.vision.inspection import FINDINGS
from likeness import ledger
from likeness.kernel import Kernel
from likeness.locale.words import words
from likeness.web import uploads
from tenants.models import Role
from tests import pictures
from tests.factories import make_employee, run_jobs, sign_in_employee, sign_in_member
from tests.handed_in import make_headshots, make_person, make_photos, shows

API = "/api/v1"


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app=app, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> Employee:
    """Of another company."""
    return make_person(kernel)


def send(client: TestClient[Any], data: bytes, field: str = "photo") -> Any:
    return client.post(f"{API}/visit/photos", files={field: ("my face.jpg", data, "image/jpeg")})


def ledger_of(kernel: Kernel, person: Employee) -> list[str]:
    with kernel.db.transaction(person.tenant_id) as session:
        return [entry.event for entry in ledger.entries(session, subject=person.id)]


def test_a_photo_goes_from_the_phone_to_accepted(client: TestClient[Any], kernel: Kernel, alice: Employee) -> None:
    sign_in_employee(client, kernel, alice)
    sent = send(client, pictures.drawn(1)[0])
    assert sent.status_code == 201
    assert sent.json()["state"] == PhotoState.CHECKING
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        photos.get(session, alice.id, UUID(sent.json()["id"])).findings = [asdict(FINDINGS["blurred"])]
        employees.choose_language(session, kernel.keys, alice.id, "fr")
    told = client.get(f"{API}/visit/photos").json()
    assert told["progress"]["hint"].startswith("1 sur 8")
    (said,) = told["photos"][0]["findings"]
    assert said["code"] == "blurred", "programs go by the code"
    assert said["message"] == words("fr").gettext(FINDINGS["blurred"].message) != FINDINGS["blurred"].message
    with kernel.db.transaction(alice.tenant_id) as session:
        employees.choose_language(session, kernel.keys, alice.id, "en")
    shown = client.get(f"{API}/visit/photos").json()
    assert [photo["state"] for photo in shown["photos"]] == [PhotoState.ACCEPTED]
    assert shown["progress"]["accepted"] == 1
    assert shown["progress"]["hint"].startswith("1 of 8")
    assert "path" not in shown["photos"][0]
    seen = client.get(f"{API}/visit/photos/{sent.json()['id']}/picture")
    assert seen.headers["cache-control"] == "private, no-store"
    assert seen.headers["content-type"] == "image/jpeg"
    assert seen.content.startswith(b"\xff\xd8")
    assert client.delete(f"{API}/visit/photos/{sent.json()['id']}").status_code == 204
    assert client.get(f"{API}/visit/photos").json()["photos"] == []


def test_the_same_upload_again_is_the_same_photo_and_says_so(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    sign_in_employee(client, kernel, alice)
    first, events = send(client, b"one").json(), ledger_of(kernel, alice)
    again = send(client, b"one")
    assert again.status_code == 201
    assert (first.pop("known"), again.json().pop("known")) == (False, True)
    assert again.json() == first | {"known": True}
    assert send(client, b"two").json()["known"] is False
    # It is no fault of the person: nothing is written of it, and it counts for nothing.
    assert ledger_of(kernel, alice) == [*events, "photo.added"]
    assert [photo["id"] for photo in client.get(f"{API}/visit/photos").json()["photos"]][:1] == [first["id"]]


def test_a_rejected_photo_and_one_that_is_lost_are_taken_again_like_new_ones(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    sign_in_employee(client, kernel, alice)
    lost, rejected = UUID(send(client, b"lost").json()["id"]), UUID(send(client, b"rejected").json()["id"])
    with kernel.db.transaction(alice.tenant_id) as session:
        photos.get(session, alice.id, rejected).state = PhotoState.REJECTED
        path = photos.get(session, alice.id, lost).path
    kernel.objects.delete(path)
    for name, photo_id in ((b"lost", lost), (b"rejected", rejected)):
        again = send(client, name).json()
        assert (again["id"], again["known"]) == (str(photo_id), False)


def test_without_consent_an_upload_is_forbidden(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_employee(client, kernel, make_person(kernel, consented=False))
    answer = send(client, b"a byte")
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:likeness:consent-missing"


def test_25_mb_are_taken_and_one_byte_more_is_not(client: TestClient[Any], kernel: Kernel, alice: Employee) -> None:
    sign_in_employee(client, kernel, alice)
    assert send(client, bytes(intake.LARGEST)).status_code == 201
    for size in (intake.LARGEST + 1, intake.LARGEST + 2**20):
        answer = send(client, bytes(size))
        assert answer.status_code == 413
        assert "25 MB" in answer.json()["detail"]


def test_what_is_no_photo_form_is_refused_with_a_sentence(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    sign_in_employee(client, kernel, alice)
    url = f"{API}/visit/photos"
    assert send(client, b"x", field="picture").status_code == 422
    assert send(client, b"").status_code == 422
    assert client.post(url, content=b"x").status_code == 422
    assert client.post(url, json={"photo": "x"}).status_code == 422
    form = {"content-type": "multipart/form-data; boundary=edge"}
    for body in (b"", b"nonsense", b'--edge\r\ncontent-disposition: form-data; name="photo"\r\n\r\nhalf a pho'):
        assert client.post(url, content=body, headers=form).status_code == 422
    twice = client.post(url, files=[("photo", ("a", b"one")), ("photo", ("b", b"two"))])
    assert twice.status_code == 422
    assert twice.json()["type"] == "urn:likeness:one-file-only"
    assert client.get(url).json()["photos"] == []


def half_an_upload(client: TestClient[Any], then: Callable[[], Awaitable[Any]]) -> int:
    """The status that an upload is answered with after which this happens on the connection."""
    messages = [{"type": "http.request", "body": b"--edge\r\n", "more_body": True}]
    answers: list[Any] = []

    async def receive() -> Any:
        return messages.pop() if messages else await then()

    async def answer(message: Any) -> None:
        answers.append(message)

    path = f"{API}/visit/photos"
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"host": "localhost", "content-type": "multipart/form-data; boundary=edge", "cookie": cookies}
    scope: Any = {
        "type": "http", "http_version": "1.1", "method": "POST", "scheme": "http", "path": path, "root_path": "",
        "raw_path": path.encode(), "query_string": b"", "client": ("127.0.0.1", 1), "server": ("localhost", 80),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "state": {},
    }  # fmt: skip
    asyncio.run(client.app(scope, receive, answer))  # type: ignore[arg-type]
    status: int = answers[0]["status"]
    return status


def test_an_upload_that_breaks_off_or_stalls_is_not_an_error_of_ours(
    client: TestClient[Any], kernel: Kernel, alice: Employee, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def silent() -> Any:
        await asyncio.sleep(60)

    sign_in_employee(client, kernel, alice)
    assert half_an_upload(client, gone) == 400
    monkeypatch.setattr(uploads, "PATIENCE", 0.05)
    assert half_an_upload(client, silent) == 408


def test_from_photos_to_a_sitting_to_released_headshots(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    sign_in_employee(client, kernel, alice)
    assert client.get(f"{API}/visit/sitting").json()["state"] == "none"
    assert client.post(f"{API}/visit/sitting").status_code == 409
    make_photos(kernel, alice, 5)
    advised = make_photos(kernel, alice, 1, PhotoState.ADVISED)[0]
    assert client.post(f"{API}/visit/photos/{advised.id}/use-anyway").json()["state"] == PhotoState.ACCEPTED
    assert client.post(f"{API}/visit/photos/{advised.id}/face", json={"face": 0}).status_code == 409
    assert client.post(f"{API}/visit/sitting").json()["state"] == "ready"
    assert client.get(f"{API}/visit/sitting").json()["active"] is True
    made = make_headshots(kernel, alice, 2)
    shown = client.get(f"{API}/visit/headshots").json()
    assert [one["id"] for one in shown] == [str(headshot.id) for headshot in made]
    seen = client.get(f"{API}/visit/headshots/{made[0].id}/picture")
    assert shows(seen.content, 0)
    assert seen.headers["content-type"] == "image/png"
    assert seen.headers["cache-control"] == "private, no-store"
    assert client.post(f"{API}/visit/headshots/{made[0].id}/favourite").status_code == 204
    given = client.post(f"{API}/visit/release", json={"headshot_ids": [str(made[0].id)]})
    assert [one["headshot_id"] for one in given.json()] == [str(made[0].id)]
    shown = client.get(f"{API}/visit/headshots").json()
    assert [(one["favourite"], one["released"]) for one in shown] == [(True, True), (False, False)]
    assert client.delete(f"{API}/visit/release/{made[0].id}").status_code == 204
    again = client.post(f"{API}/visit/reshoot").json()
    assert again["refunded"] is False
    assert again["sitting"]["reshoot"] is True
    assert client.post(f"{API}/visit/withdraw").json() == {"sittings_ended": 1}
    assert send(client, b"a byte").status_code == 403


def test_hr_sees_and_downloads_released_headshots_only(
    client: TestClient[Any], kernel: Kernel, alice: Employee
) -> None:
    kept, given = make_headshots(kernel, alice, 2)
    sign_in_employee(client, kernel, alice)
    client.post(f"{API}/visit/release", json={"headshot_ids": [str(given.id)]})
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    batch = f"{API}/batches/{alice.batch_id}"
    listed = client.get(f"{batch}/headshots").json()
    assert [(one["id"], one["full_name"], one["downloaded_at"]) for one in listed] == [
        (str(given.shelf_id), "Nadia Ümit", None)
    ]
    assert shows(client.get(f"{batch}/headshots/{given.shelf_id}/picture").content, 1)
    for number in (kept.shelf_id, given.id):
        assert client.get(f"{batch}/headshots/{number}/picture").status_code == 404
    sent = client.get(f"{batch}/archive")
    assert sent.headers["content-type"] == "application/zip"
    assert sent.headers["cache-control"] == "private, no-store"
    assert zipfile.ZipFile(io.BytesIO(sent.content)).namelist() == ["Nadia-Ümit.png", "manifest.csv"]
    assert client.get(f"{batch}/headshots").json()[0]["downloaded_at"]
    for path in ("visit/photos", "visit/headshots", f"visit/headshots/{given.id}/picture"):
        assert client.get(f"{API}/{path}").status_code == 403


def test_hr_sees_why_somebody_does_not_get_on_and_helps(
    client: TestClient[Any], kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    make_photos(kernel, alice, 10, PhotoState.REJECTED)
    make_photos(kernel, alice, 2, PhotoState.ADVISED)
    path = f"{API}/people/{alice.roster_id}/photos"
    sign_in_member(client, kernel, bob.tenant_id, Role.HR)
    assert client.get(path).status_code == 404
    assert client.post(f"{path}/wave-through").status_code == 404
    sign_in_member(client, kernel, alice.tenant_id, Role.HR)
    seen = {"uploads": 12, "accepted": 0, "advised": 2, "aside": 0, "reasons": {"blurred": 2}}
    assert client.get(path).json() == seen
    assert client.post(f"{path}/wave-through").json() == {"photos": 2}
    assert client.post(f"{path}/wave-through").status_code == 409


def strangers(kernel: Kernel, alice: Employee, bob: Employee) -> Iterator[Employee]:
    yield bob
    with kernel.db.transaction(alice.tenant_id) as session:
        colleague = make_employee(session, kernel)
    yield colleague


def test_every_route_of_a_person_hides_it_from_strangers(
    client: TestClient[Any], kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    headshot = make_headshots(kernel, alice, 1)[0]
    with kernel.db.transaction(alice.tenant_id) as session:
        photo = photos.of(session, alice.id)[0]
    routes = [
        ("GET", "photos/{}/picture", photo.id, None),
        ("DELETE", "photos/{}", photo.id, None),
        ("GET", "headshots/{}/picture", headshot.id, None),
        ("POST", "headshots/{}/favourite", headshot.id, None),
        ("DELETE", "headshots/{}/favourite", headshot.id, None),
        ("POST", "headshots/{}/not-me", headshot.id, None),
        ("DELETE", "release/{}", headshot.id, None),
    ]
    for stranger in strangers(kernel, alice, bob):
        sign_in_employee(client, kernel, stranger)
        for method, path, real, body in routes:
            answers = [client.request(method, f"{API}/visit/{path.format(one)}", json=body) for one in (real, uuid4())]
            assert [answer.status_code for answer in answers] == [404, 404], path
            assert answers[0].json() == answers[1].json()
        wish = client.post(f"{API}/visit/release", json={"headshot_ids": [str(headshot.id)]})
        assert wish.status_code == 404
        assert client.get(f"{API}/visit/photos").json()["photos"] == []
        assert client.get(f"{API}/visit/headshots").json() == []


def test_the_desk_of_another_company_and_of_another_role_get_nothing(
    client: TestClient[Any], kernel: Kernel, alice: Employee, bob: Employee
) -> None:
    headshot = make_headshots(kernel, alice, 1)[0]
    paths = [
        f"{API}/batches/{alice.batch_id}/{path}"
        for path in ("headshots", "archive", f"headshots/{headshot.id}/picture")
    ]
    sign_in_member(client, kernel, bob.tenant_id, Role.HR)
    assert [client.get(path).status_code for path in paths] == [404] * 3
    sign_in_member(client, kernel, alice.tenant_id, Role.LEGAL)
    assert [client.get(path).status_code for path in paths] == [403] * 3
    sign_in_employee(client, kernel, alice)
    assert [client.get(path).status_code for path in paths] == [403] * 3
    client.cookies.clear()
    assert [client.get(path).status_code for path in paths] == [401] * 3
    assert send(client, b"a byte").status_code == 401
