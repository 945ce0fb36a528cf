"""How long a slow connection is borne, on a clock of its own: it moves on whenever nobody has anything to do."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from likeness.web import uploads
from likeness.web.connections import Connection

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = 8_000_000
"""More than the system buffers."""


class Idle(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "nobody has anything to do ever again"
            self.now += timeout
        return ready


class Clockwork(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.idle = Idle()
        super().__init__(self.idle)

    def time(self) -> float:
        return self.idle.now


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Takes the whole body first."""
    while (message := await receive()).get("more_body"):
        continue
    if message["type"] == "http.request":
        headers = [(b"content-length", str(LONG).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x" * LONG})


class Caller:
    """The other side of a connection."""

    def __init__(self, end: socket.socket) -> None:
        self.end, self.loop = end, asyncio.get_running_loop()
        self.moved = 0.0
        """When it last did what is enough for another minute."""
        self.over: float | None = None
        """When it was cut off."""
        self.hung_up = False

    async def says(self, data: bytes) -> None:
        await self.loop.sock_sendall(self.end, data)
        self.moved = self.loop.time()

    async def drips(self) -> None:
        with suppress(OSError):
            while self.over is None:
                await self.loop.sock_sendall(self.end, b" ")
                await asyncio.sleep(1)

    def takes(self, most: int) -> int:
        with suppress(OSError):
            return len(self.end.recv(most))
        return 0


def called(talk: Callable[[Caller], Awaitable[None]]) -> Caller:
    """What became of somebody who talks like this to the web server."""

    async def both() -> Caller:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        caller = Caller(theirs)

        class Told(Connection):
            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                if not caller.hung_up:
                    caller.over = caller.loop.time()

        config = uvicorn.Config(answering, log_config=None, access_log=False, http=Told, lifespan="off")
        config.load()
        await caller.loop.connect_accepted_socket(lambda: Told(config, ServerState(), {}), ours)
        # So that nothing happens at the very moment of a look.
        await asyncio.sleep(0.3)
        await talk(caller)
        caller.hung_up = caller.over is None
        theirs.close()
        await asyncio.sleep(1)
        return caller

    with asyncio.Runner(loop_factory=Clockwork) as runner:
        return runner.run(both())


async def waits(caller: Caller) -> None:
    while caller.over is None:
        await asyncio.sleep(1)


async def drips_headers(caller: Caller) -> None:
    await caller.loop.sock_sendall(caller.end, b"GET / HTTP/1.1\r\nX: ")
    await caller.drips()


async def begins_a_body(caller: Caller) -> None:
    await caller.says(POST)
    await waits(caller)


async def drips_a_body(caller: Caller) -> None:
    await caller.says(POST)
    await caller.drips()


async def was_fast_once(caller: Caller) -> None:
    await caller.says(POST)
    await asyncio.sleep(20)
    await caller.says(b"x" * 3 * Connection.PROGRESS)
    await caller.drips()


async def reads_nothing(caller: Caller) -> None:
    await caller.says(GET)
    await waits(caller)


async def reads_a_byte_now_and_then(caller: Caller) -> None:
    await caller.says(GET)
    while caller.over is None:
        caller.takes(1)
        await asyncio.sleep(1)


async def read_on_once(caller: Caller) -> None:
    await caller.says(GET)
    await asyncio.sleep(40)
    caller.takes(2**20)
    caller.moved = caller.loop.time()
    await waits(caller)


HEAD, STILL = Connection.HEAD_SECONDS, Connection.STILL_SECONDS


@pytest.mark.parametrize(
    ("talk", "bar"),
    [
        (waits, HEAD), (drips_headers, HEAD), (begins_a_body, STILL), (drips_a_body, STILL), (was_fast_once, STILL),
        (reads_nothing, STILL), (reads_a_byte_now_and_then, STILL), (read_on_once, STILL),
    ],
)  # fmt: skip
def test_whoever_hardly_moves_is_gone_within_the_time_and_not_long_before(
    talk: Callable[[Caller], Awaitable[None]], bar: float
) -> None:
    caller = called(talk)
    assert caller.over is not None
    assert bar - 2 * Connection.LOOK_SECONDS <= caller.over - caller.moved <= bar


async def brings_just_enough(caller: Caller) -> None:
    await caller.says(POST)
    for _ in range(30):
        await asyncio.sleep(STILL - 3)
        await caller.says(b"x" * Connection.PROGRESS)


async def takes_just_enough(caller: Caller) -> None:
    await caller.says(GET)
    for _ in range(10):
        await asyncio.sleep(STILL - 3)
        assert caller.takes(2**20) >= Connection.PROGRESS


@pytest.mark.parametrize("talk", [brings_just_enough, takes_just_enough])
def test_whoever_moves_may_take_many_minutes(talk: Callable[[Caller], Awaitable[None]]) -> None:
    caller = called(talk)
    assert caller.moved
    assert caller.over is None


def test_a_sender_is_told_before_the_connection_is_cut() -> None:
    assert uploads.PATIENCE + 2 * Connection.LOOK_SECONDS < Connection.STILL_SECONDS
    assert uploads.PROGRESS == Connection.PROGRESS
