"""A bucket that fails in the middle of an erasure: nothing is certified while anything is left, and it ends by itself."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from batch.models import Employee
from compliance.erasure.erasures import CertificateMissing, certificate_of
from compliance.models import Erasure, ErasureState
from compliance.scanning.reader import READER
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.store.objects import Objects
from tests.compliance.people import colleague_of, erase, fill, full_person, reread
from tests.compliance.test_bad_luck import work_due
from tests.handed_in import make_person
from tests.kernel.test_objects import s3_server

Answer = tuple[int, list[tuple[str, str]], bytes]


class Between:
    """A proxy before a real bucket. `fault` says of a request what is done to it: nothing, `503`, `lost` (it is carried
    out, and nobody is told), or `stale` (a list is answered as when it was first asked for)."""

    def __init__(self, port: int) -> None:
        self.fault: Callable[[str, str], str] = lambda method, target: ""
        self.first: dict[str, Answer] = {}
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                what = between.fault(self.command, self.path)
                if what == "503":
                    self._say((503, [], b"<Error><Code>SlowDown</Code></Error>"))
                    return
                answer = between.first.get(self.path) if what == "stale" else None
                answer = answer or _asked(port, self.command, self.path, dict(self.headers.items()), body)
                if is_list(self.path):
                    between.first.setdefault(self.path, answer)
                if what == "lost":
                    self.close_connection = True
                    return
                self._say(answer)

            def _say(self, answer: Answer) -> None:
                status, headers, data = answer
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                length = dict((name.lower(), value) for name, value in headers).get("content-length", "0")
                self.send_header("content-length", length if self.command == "HEAD" else str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def _asked(port: int, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
    asked = http.client.HTTPConnection("127.0.0.1", port)
    try:
        asked.request(method, target, body, headers)
        answer = asked.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        asked.close()


def is_list(target: str) -> bool:
    asked = parse_qs(urlsplit(target).query, keep_blank_values=True)
    return bool({"list-type", "versions", "uploads"} & set(asked))


def deletes(method: str, target: str) -> bool:
    return method == "DELETE" or (method == "POST" and "delete" in parse_qs(urlsplit(target).query, keep_blank_values=True))


@pytest.fixture
def flaky(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Kernel, Between]]:
    (tmp_path / "data" / "plain").mkdir(parents=True)
    with s3_server(str(tmp_path / "data")) as options:
        between = Between(urlsplit(options["endpoint"]).port or 0)
        address = f"http://127.0.0.1:{between.server.server_address[1]}"
        for name in ("access_key_id", "secret_access_key", "region"):
            monkeypatch.setenv(f"AWS_{name.upper()}", options[name])
        monkeypatch.setenv("AWS_ENDPOINT", address)
        url = f"s3://plain/{uuid4().hex}"
        settings = kernel.settings.model_copy(update={"objects_url": url, "objects_plain_http": True})
        READER.end()  # The next one finds the bucket in its environment.
        objects = Objects(url, plain_http=True, retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=5)})
        yield replace(kernel, objects=objects, settings=settings), between
        READER.end()
        between.server.shutdown()
        between.server.server_close()


def folder(person: Employee) -> str:
    return f"tenants/{person.tenant_id}/employees/{person.id}"


def certified(kernel: Kernel, erasure: Erasure) -> bool:
    with kernel.db.transaction(erasure.tenant_id) as session:
        try:
            certificate_of(session, erasure.id)
        except CertificateMissing:
            return False
    return True


FAULTS: dict[str, Callable[[str, str], str]] = {
    "it refuses to delete": lambda method, target: "503" if deletes(method, target) else "",
    "it deletes, and does not say so": lambda method, target: "lost" if deletes(method, target) else "",
    "it does not list": lambda method, target: "503" if is_list(target) else "",
    "it answers nothing": lambda method, target: "lost",
}


@pytest.mark.parametrize("what", FAULTS)
def test_nothing_is_certified_while_the_bucket_fails_and_the_erasure_ends_by_itself(
    flaky: tuple[Kernel, Between], what: str
) -> None:
    kernel, between = flaky
    alice = full_person(kernel)
    bob = colleague_of(kernel, alice)
    theirs = len(kernel.objects.list(folder(bob)))
    asked = erase(kernel, alice)
    between.fault = FAULTS[what]
    for _ in range(2):
        work_due(kernel, asked)
    deleted_all = what == "it deletes, and does not say so"
    assert certified(kernel, asked) <= deleted_all
    between.fault = lambda method, target: ""
    left, back = kernel.objects.list(folder(alice)), utc_now()
    assert bool(left) != deleted_all
    for _ in range(4):
        work_due(kernel, asked)
    assert reread(kernel, asked).state == ErasureState.CERTIFIED
    assert kernel.objects.list(folder(alice)) == []
    assert len(kernel.objects.list(folder(bob))) == theirs
    deleted_at = reread(kernel, asked).deleted_at
    assert deleted_at is not None
    assert deleted_all or deleted_at >= back


def test_a_list_that_is_older_than_the_deletion_only_delays_the_certificate(flaky: tuple[Kernel, Between]) -> None:
    kernel, between = flaky
    alice = full_person(kernel)
    between.first.clear()
    for prefix in ("", folder(alice)):
        assert kernel.objects.list(prefix)
    asked = erase(kernel, alice)
    between.fault = lambda method, target: "stale" if is_list(target) else ""
    for _ in range(2):
        work_due(kernel, asked)
    assert not certified(kernel, asked)
    assert reread(kernel, asked).failures
    between.fault = lambda method, target: ""
    for _ in range(2):
        work_due(kernel, asked)
    assert certified(kernel, asked)


def test_a_list_that_is_older_than_the_photos_hides_none_of_them(flaky: tuple[Kernel, Between]) -> None:
    """What rows named is asked for by its name: a list alone would let it be certified, and stay."""
    kernel, between = flaky
    alice = make_person(kernel)
    between.first.clear()
    for prefix in ("", folder(alice)):
        assert not [one for one in kernel.objects.list(prefix) if str(alice.id) in one.path]
    fill(kernel, alice)
    asked = erase(kernel, alice)
    between.fault = lambda method, target: "stale" if is_list(target) else "503" if deletes(method, target) else ""
    for _ in range(2):
        work_due(kernel, asked)
    assert not certified(kernel, asked)
    between.fault = lambda method, target: "stale" if is_list(target) else ""
    for _ in range(4):
        work_due(kernel, asked)
    assert certified(kernel, asked)
    between.fault = lambda method, target: ""
    assert kernel.objects.list(folder(alice)) == []
