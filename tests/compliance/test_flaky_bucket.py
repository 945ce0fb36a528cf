"""A bucket that fails in the middle of an erasure: nothing is certified while anything is left, and it ends by itself."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

import pytest
from sqlalchemy import text

from batch.models import Employee
from compliance.erasure.erasures import CertificateMissing, certificate_of
from compliance.models import Erasure, ErasureState
from compliance.retention import retention
from compliance.scanning.reader import READER
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.store.objects import Objects
from tests.compliance.people import colleague_of, erase, fill, full_person, reread
from tests.compliance.test_bad_luck import work_due
from tests.handed_in import make_person
from tests.kernel.test_objects import s3_server
from tests.waiting import until

Answer = tuple[int, list[tuple[str, str]], bytes]


class Between:
    """A proxy before a real bucket. `fault` says of a request what is done to it: nothing, `503`, `lost` (it is carried
    out, and nobody is told), `stale` (a list is answered as when it was first asked for), `hangs` (it is passed on to
    nobody, and never answered) or `drips` (the answer comes, a byte at a time, and never ends)."""

    def __init__(self, port: int) -> None:
        self.fault: Callable[[str, str], str] = lambda method, target: ""
        self.first: dict[str, Answer] = {}
        self.waited: list[str] = []
        """What was asked for and never answered."""
        self.over = threading.Event()
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                # What is to be deleted stands in the body.
                what = between.fault(self.command, f"{self.path}#{body.decode('latin-1')}")
                if what == "503":
                    self._say((503, [], b"<Error><Code>SlowDown</Code></Error>"))
                    return
                if what in ("hangs", "drips"):
                    between.waited.append(f"{self.command} {self.path}")
                    self.close_connection = True
                    _keep_back(self, between.over, 0.05 if what == "drips" else 120)
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


def _keep_back(handler: BaseHTTPRequestHandler, over: threading.Event, pause: float) -> None:
    with suppress(OSError):
        if pause < 1:
            handler.send_response(200)
            handler.send_header("content-length", "1000000")
            handler.end_headers()
        while not over.wait(pause):
            handler.wfile.write(b" ")


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


def asks(target: str, what: str) -> bool:
    return what in parse_qs(urlsplit(target).query, keep_blank_values=True)


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
        between.over.set()
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


def impatient(kernel: Kernel) -> Kernel:
    """With a second for each question: what is kept back is not waited for any longer."""
    settings = kernel.settings.model_copy(update={"objects_timeout": 1.0})
    objects = Objects(settings.objects_url, plain_http=True, timeout=settings.objects_timeout)
    return replace(kernel, settings=settings, objects=objects)


HANGS: dict[str, tuple[str, Callable[[str, str], bool]]] = {
    "it answers no list": ("hangs", lambda method, target: is_list(target)),
    "its lists never end": ("drips", lambda method, target: asks(target, "list-type")),
    "it deletes nothing and says nothing": ("hangs", deletes),
    "its lists of versions never end": ("drips", lambda method, target: asks(target, "versions")),
    "it does not say what is there": ("hangs", lambda method, target: method == "HEAD"),
}
"""One after the other on the way of one erasure."""


def test_what_a_bucket_keeps_back_is_waited_for_once_or_twice_and_certifies_nothing(flaky: tuple[Kernel, Between]) -> None:
    kernel, between = flaky
    alice = full_person(kernel)
    asked = erase(kernel, alice)
    for what, (how, which) in HANGS.items():
        between.fault = partial(_fault, how, which)
        between.waited.clear()
        work_due(impatient(kernel), asked)
        # However much there is of her: two questions by the deletion, and what each part of the look asked once.
        assert 1 <= len(between.waited) <= 6, (what, between.waited)
        assert not certified(kernel, asked), what
    between.fault = lambda method, target: ""
    for _ in range(4):
        work_due(kernel, asked)
    assert reread(kernel, asked).state == ErasureState.CERTIFIED
    assert kernel.objects.list(folder(alice)) == []


def test_nobody_waits_for_a_persons_row_while_the_bucket_is_waited_for(flaky: tuple[Kernel, Between]) -> None:
    kernel, between = flaky
    alice = full_person(kernel)
    asked = erase(kernel, alice)
    between.fault = partial(_fault, "hangs", lambda method, target: is_list(target))
    with ThreadPoolExecutor(1) as apart:
        work = apart.submit(work_due, kernel, asked)
        until(lambda: between.waited)
        with kernel.db.transaction(alice.tenant_id) as session:
            assert session.execute(IDLE).scalar_one() == 0
            session.execute(LOCKED, {"id": alice.id})
            assert session.execute(STOPPED, {"id": alice.id}).scalar_one() is not None, "what she wished began"
        between.over.set()
        work.result()
    assert not certified(kernel, asked)


def _fault(how: str, which: Callable[[str, str], bool], method: str, target: str) -> str:
    return how if which(method, target) else ""


IDLE = text(
    "select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"
    " and pid <> pg_backend_pid()"
)
LOCKED = text("select id from employee where id = :id for update nowait")
STOPPED = text("select restricted_at from employee where id = :id")


def test_what_is_kept_back_of_one_person_holds_up_neither_others_nor_other_companies(
    flaky: tuple[Kernel, Between],
) -> None:
    kernel, between = flaky
    alice, stranger = full_person(kernel), full_person(kernel)
    bob = colleague_of(kernel, alice)
    between.fault = lambda method, target: "hangs" if str(alice.id) in unquote(target) and deletes(method, target) else ""
    later = utc_now() + timedelta(days=60)
    quick = impatient(kernel)
    for tenant in (alice.tenant_id, stranger.tenant_id):
        retention.delete_due(quick, tenant, later)
    assert kernel.objects.list(folder(bob)) == kernel.objects.list(folder(stranger)) == []
    assert kernel.objects.list(folder(alice))
