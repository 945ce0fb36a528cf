"""Slow and silent connections end, and as many of them as the process can hold stop nobody."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import httpx
import pytest
import uvicorn

from likeness.web import connections
from likeness.web.connections import Connection
from tests.waiting import PATIENCE, until

HEAD, STILL = 0.6, 0.8


class Quick(Connection):
    HEAD_SECONDS, STILL_SECONDS, LOOK_SECONDS = HEAD, STILL, 0.05


class Clock:
    """The loop of a connection, whose time passes only when a test says so."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: list[float]) -> None:
        self._loop, self._now = loop, now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def time(self) -> float:
        return sum(self._now)


class Timed(Quick):
    """Under a clock of the test's own. Each test makes a class of its own of it, by `timed`."""

    now: list[float]
    made: list[Timed]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.loop = cast(asyncio.AbstractEventLoop, Clock(self.loop, self.now))
        self.looks, self.lost = 0, threading.Event()
        super().connection_made(transport)
        self.made.append(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.lost.set()

    def _watch(self) -> None:
        super()._watch()
        self.looks += 1

    def has_brought(self, size: int) -> None:
        until(lambda: self._came == size)

    def looked_at(self) -> None:
        """Waits until it was looked at with all that is so now."""
        seen = self.looks
        until(lambda: self.looks > seen + 1 or self.lost.is_set())


def timed(progress: int) -> type[Timed]:
    return type("Timed", (Timed,), {"PROGRESS": progress, "now": [], "made": []})


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, then answers; `/long` answers with more than the system buffers."""
    if scope["type"] != "http":
        return
    size = 0
    while (message := await receive())["type"] == "http.request":
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = b"x" * 8_000_000 if scope["path"] == "/long" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(http: type[Connection] = Quick, **changes: Any) -> Iterator[int]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    config = uvicorn.Config(answering, log_config=None, access_log=False, http=http, lifespan="off", **changes)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield listening.getsockname()[1]
    finally:
        server.force_exit = server.should_exit = True
        thread.join(PATIENCE)


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def ended(one: socket.socket, within: float) -> bool:
    """Whether the other side ends the connection in that time."""
    one.settimeout(within)
    try:
        while one.recv(65536):
            continue
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return True


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_headers_come_in_time_or_the_connection_ends(said: bytes) -> None:
    with serving() as port:
        started = time.monotonic()
        one = connect(port)
        one.sendall(said)
        assert ended(one, PATIENCE)
        assert time.monotonic() - started >= HEAD * 0.8


def test_headers_that_drip_end_as_well_also_those_of_a_second_request() -> None:
    with serving() as port:
        one, answered = connect(port), False
        for _ in range(20):
            # Where this machine has no time for what is quick enough elsewhere, it comes too late and is cut off.
            with suppress(OSError):
                one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answered = b"200 OK" in one.recv(4096)
            if answered:
                break
            one = connect(port)
        assert answered
        with pytest.raises(OSError):  # noqa: PT011
            for letter in b"GET / HTTP/1.1\r\nX: " + b"y" * 200:
                one.sendall(bytes([letter]))
                time.sleep(HEAD / 10)


def test_a_body_that_moves_may_take_long_and_one_that_hardly_moves_ends() -> None:
    watched = timed(progress=1000)
    with serving(watched) as port:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 12000\r\n\r\n"
        moving, still = connect(port), connect(port)
        moving.sendall(head)
        still.sendall(head)
        until(lambda: len(watched.made) == 2)
        watched.made[1].has_brought(len(head))
        for number in range(12):
            moving.sendall(b"a" * 1000)
            watched.made[0].has_brought(len(head) + 1000 * (number + 1))
            watched.now.append(STILL / 4)  # Three times the patience, all in all.
            for one in watched.made:
                one.looked_at()
        assert b"12000" in moving.recv(4096)
        assert ended(still, PATIENCE)


def test_a_reader_who_stops_is_cut_off_and_one_who_goes_on_gets_it_all() -> None:
    watched = timed(progress=Connection.PROGRESS)
    with serving(watched) as port:
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        one.sendall(b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: watched.made and watched.made[0].transport.get_write_buffer_size())
        watched.made[0].looked_at()
        watched.now.append(STILL)
        assert watched.made[0].lost.wait(PATIENCE)
        got = 0
        one.settimeout(PATIENCE)
        with suppress(ConnectionResetError):
            while piece := one.recv(65536):
                got += len(piece)
        assert got < 8_000_000
        assert len(httpx.get(f"http://127.0.0.1:{port}/long", timeout=PATIENCE).content) == 8_000_000


def test_an_answer_that_takes_long_to_make_is_no_slow_connection() -> None:
    async def thinking(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(STILL * 2)
        await answering(scope, receive, send)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(thinking, log_config=None, http=Quick, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    port = listening.getsockname()[1]
    try:
        for body in (b"", b"hello"):
            for last in (*[False] * 20, True):
                # Where this machine has no time for it, the head itself comes too late, which is none of this.
                try:
                    answer = httpx.post(f"http://127.0.0.1:{port}/", content=body, timeout=PATIENCE)
                except httpx.TransportError:
                    if last:
                        raise
                else:
                    break
            assert answer.status_code == 200
    finally:
        server.force_exit = server.should_exit = True
        thread.join(PATIENCE)


def test_the_longest_silent_makes_room_and_whoever_asks_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Patient(Connection):
        HEAD_SECONDS = 60.0

    monkeypatch.setattr(connections, "room", lambda: 20)
    with serving(Patient) as port:
        idle = [connect(port) for _ in range(30)]
        assert httpx.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE).status_code == 200
        assert all(ended(one, PATIENCE) for one in idle[:10])
        assert not any(ended(one, 0.2) for one in idle[-15:])


OPENING = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
held = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(); one.settimeout(60); one.connect(("127.0.0.1", int(sys.argv[1]))); held.append(one)
print("open", flush=True)
sys.stdin.read()
"""


def test_a_thousand_idle_ones_under_a_limit_of_1024_do_not_stop_livez(kernel: Any) -> None:
    from likeness.run.serving import server

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    running = server(kernel, port=0, lifespan="off")
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    # What other tests left open in this process comes on top of what a server of its own would have.
    left_open = max(0, len(os.listdir("/proc/self/fd")) - connections.KEPT_FREE // 2)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024 + left_open, before[1]))
    assert connections.room() < 1010
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        until(lambda: running.started)
        with subprocess.Popen(
            [sys.executable, "-c", OPENING, str(port), "1010"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as idle:
            assert idle.stdout
            assert idle.stdin
            assert idle.stdout.readline() == "open\n"
            for path in ("/livez", "/readyz", "/livez"):
                assert httpx.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE).status_code == 200
            idle.stdin.close()
            idle.wait(PATIENCE)
    finally:
        running.force_exit = running.should_exit = True
        thread.join(PATIENCE)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
