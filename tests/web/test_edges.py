"""What a caller may send that is wrong, and what each answer says: that nobody keeps it, which form, which method."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from likeness.kernel import Kernel
from tests.factories import make_employee, make_tenant, sign_in_employee, sign_in_member
from tests.handed_in import make_person, make_photos

CASES = Path(__file__).parents[1] / "cases"


@pytest.fixture
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "//", "null", "http://]", "http://evil.example"])
def test_an_origin_that_is_no_address_is_a_foreign_one(client: TestClient[Any], origin: str) -> None:
    assert client.post("/api/v1/sign-in", json={}, headers={"origin": origin}).status_code == 403


def test_the_request_that_failed_is_refused(client: TestClient[Any]) -> None:
    head, _, body = (CASES / "origin-bad-ipv6.http").read_bytes().replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *lines = head.decode().splitlines()
    method, path, _ = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines if not line.lower().startswith(("host", "content-length")))
    assert client.request(method, path, headers=headers, content=body).status_code == 403


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 100_000, b"[" * 2_000 + b"]" * 2_000, b"\xff\xfe", b"nan"])
def test_json_that_cannot_be_read_is_the_callers_mistake(client: TestClient[Any], kernel: Kernel, body: bytes) -> None:
    sign_in_member(client, kernel, make_tenant(kernel))
    for path in ("/api/v1/sign-in", "/api/v1/looks"):
        answer = client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"


def test_whoever_hangs_up_within_a_body_is_no_error_of_ours(
    client: TestClient[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Its message comes from the framework, so a new one that words it otherwise is met here."""
    answers: list[Any] = []

    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def answer(message: Any) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/sign-in", "raw_path": b"/api/v1/sign-in", "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"5000")], "state": {},
        "client": ("192.0.2.7", 1), "server": ("testserver", 80), "scheme": "http", "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    asyncio.run(client.app(scope, gone, answer))  # type: ignore[arg-type]
    assert answers[0]["status"] == 400
    assert not [one for one in caplog.records if one.levelname == "ERROR"]


@pytest.mark.parametrize("number", ["9" * 5_000, "9" * 4_300, "-1", "²", "٣", "1e9", ""])
def test_a_number_of_any_length_is_no_error_of_ours(client: TestClient[Any], kernel: Kernel, number: str) -> None:
    person = make_person(kernel)
    photo = make_photos(kernel, person, 1)[0].id
    sign_in_employee(client, kernel, person)
    answer = client.post(f"/visit/photos/{photo}/face", data={"face": number})
    assert answer.status_code in (409, 422), answer.text
    answer = client.post(
        f"/api/v1/visit/photos/{photo}/face",
        content=f'{{"face": {number}}}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (400, 409, 422), answer.text


def test_no_answer_with_people_in_it_stays_in_a_cache(client: TestClient[Any], kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
    sign_in_member(client, kernel, tenant)
    batch = person.batch_id
    for path in (
        "/desk", f"/desk/batches/{batch}", f"/desk/batches/{batch}/status", f"/api/v1/batches/{batch}/people",
        f"/api/v1/employees/{person.roster_id}", "/api/v1/batches", "/desk/nothing", f"/api/v1/employees/{batch}",
    ):  # fmt: skip
        assert "no-store" in client.get(path).headers["cache-control"], path
    client.cookies.clear()
    sign_in_employee(client, kernel, person)
    for path in ("/visit", "/api/v1/visit", "/visit/my-face", "/api/v1/visit/photos"):
        assert "no-store" in client.get(path, follow_redirects=False).headers["cache-control"], path
    assert "max-age" in client.get("/static/likeness.css").headers["cache-control"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp", "text/json"]
)
def test_a_body_of_another_type_is_not_read(client: TestClient[Any], kernel: Kernel, kind: str) -> None:
    sign_in_member(client, kernel, make_tenant(kernel))
    look = (
        b'{"name": "Studio", "backdrop": "white", "dress": "navy suit", "framing": "close-up", "light": "soft light"}'
    )
    answer = client.post("/api/v1/looks", content=look, headers={"content-type": kind} if kind else {})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]
    for right in ("application/json", "application/json; charset=utf-8", "APPLICATION/JSON"):
        assert client.post("/api/v1/looks", content=look, headers={"content-type": right}).status_code in (201, 409)
    assert client.post("/desk/looks/ways", content=b"{}", headers={"content-type": "application/json"}).status_code == 415


def test_a_body_that_is_no_file_is_small(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel))
    answer = client.post("/api/v1/looks", content=b" " * 2**21, headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_a_method_that_is_not_taken_is_answered_with_those_that_are(client: TestClient[Any], kernel: Kernel) -> None:
    sign_in_member(client, kernel, make_tenant(kernel))
    for path, wanted in (("/api/v1/looks", {"GET", "POST"}), ("/livez", {"GET"}), ("/desk", {"GET"})):
        answer = client.delete(path)
        assert answer.status_code == 405
        assert wanted <= {one.strip() for one in answer.headers["allow"].split(",")}


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "/nowhere", {"en": "There is nothing here", "de": "Hier ist nichts"}),
        ("DELETE", "/desk/batches", {"en": "This cannot be done here", "de": "Das geht hier nicht"}),
    ],
)
def test_an_error_has_a_title_that_a_colleague_would_say(
    client: TestClient[Any], kernel: Kernel, method: str, path: str, said: dict[str, str]
) -> None:
    for language, title in said.items():
        sign_in_member(client, kernel, make_tenant(kernel, language=language))
        asked = {"accept": "text/html", "accept-language": language, "origin": str(client.base_url).rstrip("/")}
        assert f"<h1>{title}</h1>" in client.request(method, path, headers=asked).text
