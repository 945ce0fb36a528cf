"""A reader that stops reading holds some memory and nothing else: no connection, no transaction, nobody's turn."""

from __future__ import annotations

import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
import uvicorn
from litestar import Litestar
from PIL import Image
from sqlalchemy import text

from batch.models import Employee, PhotoState, SittingState
from batch.photos import intake, photos
from batch.sittings import headshots, sittings
from compliance.proof import exports, verifier
from likeness import ledger
from likeness.ground.db import utc_now
from likeness.identity import Kind, start_session
from likeness.kernel import Kernel
from likeness.run.postgres import EmbeddedPostgres
from likeness.web import streaming
from likeness.web.guards import cookie_name
from tenants import looks
from tenants.models import Role
from tests.factories import make_member, make_tenant
from tests.handed_in import get_sitting, kept, make_person, make_sitting
from tests.waiting import PATIENCE, until

API = "/api/v1"
ENTRIES = 4_000
SOON = 30.0
"""Half of the program's patience, after which it would be so by itself."""


@pytest.fixture(scope="module")
def port(app: Litestar) -> Iterator[int]:
    """A web server whose socket takes few bytes, so that a reader who stops is noticed early."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE)


@pytest.fixture(scope="module")
def company(kernel: Kernel) -> UUID:
    """With a log of some megabytes."""
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        known = session.execute(text("select count(*) from ledger_entry where tenant_id = :t"), {"t": tenant}).scalar()
        session.execute(
            text(
                "insert into ledger_entry"
                " (id, tenant_id, sequence, epoch, position, at, event, caller, objects, format, leaf)"
                " select gen_random_uuid(), :t, n + :known, 1, n + :known - 1, now(),"
                " 'test.happened', 'system', '[]', 2, '\\x00'"
                " from generate_series(1, :count) n"
            ),
            {"t": tenant, "known": known, "count": ENTRIES},
        )
    return tenant


def cookie(kernel: Kernel, tenant: UUID, kind: Kind, subject: UUID) -> str:
    with kernel.db.transaction(tenant) as session:
        return f"{cookie_name(kernel.settings)}={start_session(session, kind, subject, utc_now())}"


def member_cookie(kernel: Kernel, tenant: UUID, role: Role) -> str:
    return cookie(kernel, tenant, Kind.MEMBER, make_member(kernel, tenant, role).id)


def ask(port: int, path: str, cookie: str) -> tuple[socket.socket, int]:
    """Sends the request, reads the status line and nothing more."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.settimeout(60)
    reader.connect(("127.0.0.1", port))
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
    return reader, int(reader.recv(12).split()[1])


def waiting_in_a_transaction(postgres: EmbeddedPostgres) -> int:
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", "")) as connection:
        found = connection.execute("select count(*) from pg_stat_activity where state like 'idle in transaction%'")
        return int(found.fetchone()[0])  # type: ignore[index]


def test_many_slow_readers_of_a_large_log_leave_everybody_else_alone(
    kernel: Kernel, postgres: EmbeddedPostgres, port: int, company: UUID
) -> None:
    mine, other = member_cookie(kernel, company, Role.LEGAL), make_tenant(kernel)
    with ExitStack() as readers:
        asked = [ask(port, f"{API}/ledger", mine) for _ in range(16)]
        for reader, _ in asked:
            readers.callback(reader.close)
        statuses = sorted(status for _, status in asked)
        assert statuses == [200] * streaming.OF_A_COMPANY + [429] * (16 - streaming.OF_A_COMPANY)
        until(lambda: waiting_in_a_transaction(postgres) == 0, SOON)
        until(lambda: kernel.db.engine.pool.checkedout() == 0, SOON)  # type: ignore[attr-defined]
        # Another company goes on, its own download included.
        theirs = {"cookie": member_cookie(kernel, other, Role.LEGAL)}
        log = httpx.get(f"http://127.0.0.1:{port}{API}/ledger", headers=theirs, timeout=60)
        assert verifier.check_log(log.content.splitlines(), []) == ([], [])
        assert httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=60).status_code == 200
        refused = httpx.get(f"http://127.0.0.1:{port}{API}/ledger", headers={"cookie": mine}, timeout=60)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "60")
        assert "again when one of them has ended" in refused.json()["detail"]
    # Nobody waits for a garbage collector: the places are free as soon as the readers are gone.
    until(lambda: streaming.places.taken() == 0, SOON)
    again = httpx.get(f"http://127.0.0.1:{port}{API}/ledger", headers={"cookie": mine}, timeout=60)
    assert again.status_code == 200
    assert len(again.content.splitlines()) > ENTRIES


def test_the_log_ends_where_it_ended_when_the_download_began(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        for _ in range(exports.LINES + 10):
            ledger.record(session, "test.happened")
    with kernel.db.transaction(tenant) as session:
        before = ledger.verify(session)
    pieces = exports.jsonl(kernel, tenant)
    first = next(pieces)
    with kernel.db.transaction(tenant) as session:
        ledger.record(session, "test.happened")
    lines = (first + b"".join(pieces)).splitlines()
    assert verifier.check_log(lines, []) == ([], [])
    assert len(lines) == before > exports.LINES


def noise() -> bytes:
    """A picture of some hundred kilobytes, more than the network takes from somebody who reads nothing."""
    out = BytesIO()
    Image.frombytes("RGB", (400, 400), os.urandom(3 * 400 * 400)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def person(kernel: Kernel) -> Employee:
    """Six photos and two released headshots, all of them large."""
    person = make_person(kernel)
    tenant = person.tenant_id
    taken = [intake.add(kernel, tenant, person.id, noise(), utc_now()) for _ in range(6)]
    with kernel.db.transaction(tenant) as session:
        for photo in taken:
            photos.get(session, person.id, photo.id).state = PhotoState.ACCEPTED
    sitting = make_sitting(kernel, person)
    with kernel.db.transaction(tenant) as session:
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        sittings.advance(session, sitting.id, fence, SittingState.TRAINING, SittingState.RENDERING)
        look, current = looks.list_looks(session)[0], get_sitting(session, sitting.id)
        made = [
            kept(session, kernel, current, look.id, number, noise(), 1.0)
            for number in range(2)
        ]
        sittings.finish(session, sitting.id, fence)
    with kernel.db.transaction(tenant) as session:
        headshots.release(session, person.id, [one.id for one in made], utc_now())
    return person


def bad_rows(port: int, cookie: str) -> str:
    """The address of the rows that could not be taken of a file with many of them."""
    rows = "".join(f"Nobody {number},no address at all\n" for number in range(3000))
    batch = httpx.post(
        f"http://127.0.0.1:{port}{API}/batches",
        headers={"cookie": cookie},
        files={"workbook": ("people.csv", f"Full name,Email\nAda Okafor,ada@zebra.example\n{rows}".encode())},
        data={"name": "Spring"},
        timeout=60,
    )
    assert batch.status_code == 201, batch.text
    return f"{API}/batches/{batch.json()['batch']['id']}/problems"


@pytest.mark.parametrize("what", ["headshots", "package", "bad rows", "roster"])
def test_a_stalled_reader_of_any_file_holds_no_connection(
    kernel: Kernel, postgres: EmbeddedPostgres, port: int, person: Employee, what: str
) -> None:
    desk = member_cookie(kernel, person.tenant_id, Role.HR)
    key = desk
    if what == "bad rows":
        path = bad_rows(port, desk)
    elif what == "package":
        path, key = f"{API}/visit/export", cookie(kernel, person.tenant_id, Kind.EMPLOYEE, person.id)
    else:
        path = f"{API}/batches/{person.batch_id}/{'archive' if what == 'headshots' else 'status'}"
    reader, status = ask(port, path, key)
    with reader:
        assert status == 200
        until(lambda: waiting_in_a_transaction(postgres) == 0, SOON)
        until(lambda: kernel.db.engine.pool.checkedout() == 0, SOON)  # type: ignore[attr-defined]
        if what in ("headshots", "package"):
            assert streaming.places.taken() == 1
    until(lambda: streaming.places.taken() == 0, SOON)
    whole = httpx.get(f"http://127.0.0.1:{port}{path}", headers={"cookie": key}, timeout=60).content
    assert zipfile.ZipFile(BytesIO(whole)).testzip() is None


def test_what_goes_wrong_at_first_is_told_with_its_status(kernel: Kernel, port: int, person: Employee) -> None:
    desk = member_cookie(kernel, person.tenant_id, Role.HR)
    answer = httpx.get(f"http://127.0.0.1:{port}{API}/batches/{uuid4()}/archive", headers={"cookie": desk}, timeout=60)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:likeness:batch-missing")
    stranger = member_cookie(kernel, make_tenant(kernel), Role.HR)
    path = f"http://127.0.0.1:{port}{API}/batches/{person.batch_id}/archive"
    assert httpx.get(path, headers={"cookie": stranger}, timeout=60).status_code == 404
    until(lambda: streaming.places.taken() == 0, SOON)


def test_a_reader_that_takes_nothing_is_cut_off(
    kernel: Kernel, port: int, company: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PATIENCE_SECONDS", 0.3)
    reader, status = ask(port, f"{API}/ledger", member_cookie(kernel, company, Role.LEGAL))
    with reader:
        assert status == 200
        until(lambda: streaming.places.taken() == 0, SOON)
        # What comes in the end lacks the end, so nobody takes it for the whole log.
        rest = b""
        while block := reader.recv(65536):
            rest += block
        assert not rest.endswith(b"0\r\n\r\n")
