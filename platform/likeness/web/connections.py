"""A connection that may not be slow for ever: uvicorn ends one only while it is kept alive between two requests.

The headers of a request have to be there within seconds. A body may take as long as it likes while it moves, and so may a
reader of an answer. What does neither is cut, at once and without waiting for what it never took. When so many connections
are open that the process would run out of file handles, the one that has been silent for longest makes room.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

BACKLOG = 128
"""Connections that the kernel keeps for us, and the most that are taken in one go before any of them is counted."""
KEPT_FREE = 256
"""File handles for the database, objects, keys, children and logs; never for connections. Above `BACKLOG`."""
FEWEST, MOST = 64, 10_000
"""A connection costs some 20 kB of memory: ten thousand are 200 MB, and more than any company opens at once."""


def room() -> int:
    """How many connections one process holds at once, by what the operating system allows it to open."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return MOST
    return max(FEWEST, min(MOST, allowed - KEPT_FREE))


class Connection(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, watched every second from the first byte to the last."""

    HEAD_SECONDS = 15.0
    """From the first byte of a request, or from the connection, until its headers are there."""
    STILL_SECONDS = 60.0
    """In which a body brings, and a reader takes, at least `PROGRESS`: whoever last did so longer ago is gone by then."""
    PROGRESS = 64 * 1024
    """A fiftieth of the slowest mobile connection that people still use; what is left counts when it is less."""
    LOOK_SECONDS = 1.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._room = room()
        self._came = self._taken_in = self._left_over = 0
        self._since = self._heard = self._reader_since = self.loop.time()
        self._phase = "head"
        self._look: asyncio.TimerHandle | None = self.loop.call_later(self.LOOK_SECONDS, self._watch)
        if len(self.connections) > self._room:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._heard = self.loop.time()
        self._came += len(data)
        if self._phase_now() == "between":
            # From here on uvicorn no longer looks at the clock: this is the first byte of another request.
            self._phase, self._since = "head", self._heard
        super().data_received(data)
        self._note(self._heard)

    def _phase_now(self) -> str:
        """What the other side owes us: the `head` of a request, its `body`, or nothing, `between` two requests or while
        an answer is made."""
        if self.cycle is None:
            return "head"
        if self.conn.their_state is h11.SEND_BODY:
            # While the program has not fetched what came, nothing more is taken from the network.
            return "answer" if self.flow.read_paused else "body"
        if not self.cycle.response_complete:
            return "answer"
        return "head" if self._phase == "head" and self.timeout_keep_alive_task is None else "between"

    def _note(self, at: float) -> None:
        """From when on the other side owes something else, or the next `PROGRESS` of the same."""
        phase = self._phase_now()
        if phase != self._phase or (phase == "body" and self._came - self._taken_in >= self.PROGRESS):
            self._phase, self._since, self._taken_in = phase, at, self._came

    def _watch(self) -> None:
        self._look = self.loop.call_later(self.LOOK_SECONDS, self._watch)
        now = self.loop.time()
        before = now - self.LOOK_SECONDS
        # What nobody told has happened at some moment since the look before.
        self._note(before)
        if self._phase == "head" and self._late(now, self._since, self.HEAD_SECONDS):
            self._cut("a connection sent no whole request in time and was cut off")
        elif self._phase == "body" and self._late(now, self._since, self.STILL_SECONDS):
            self._cut("a request whose body hardly moved was cut off")
        self._watch_reader(now, before)

    def _watch_reader(self, now: float, before: float) -> None:
        waiting = self.transport.get_write_buffer_size()
        # Answers in pieces look after their own readers; here it counts that less is waiting than before.
        if not waiting or waiting <= self._left_over - self.PROGRESS or waiting > self._left_over:
            self._left_over, self._reader_since = waiting, before
        elif self._late(now, self._reader_since, self.STILL_SECONDS):
            self._cut("an answer that nobody read on was cut off")

    def _late(self, now: float, since: float, patience: float) -> bool:
        """Whether the patience would be over before the next look."""
        return now + self.LOOK_SECONDS > since + patience

    def _make_room(self) -> None:
        """Cuts off who has been silent for longest: first of those from whom no request has come, then of those who send
        one. A request that is being answered is never given up for another."""
        everybody = [cast(Connection, one) for one in self.connections if one is not self]
        for phases in (("head", "between"), ("body",)):
            waiting = [one for one in everybody if one._phase_now() in phases and not one.transport.is_closing()]
            if waiting:
                oldest = min(waiting, key=lambda one: one._heard)
                oldest._cut("a silent connection made room for another")
                return
        self._cut("no connection could make room for another")

    def _cut(self, why: str) -> None:
        # `close` would wait for the other side to take what is left for it.
        log.info(why)
        self.transport.abort()


def options() -> dict[str, Any]:
    """How uvicorn is told of it."""
    return {"http": Connection, "backlog": BACKLOG}
