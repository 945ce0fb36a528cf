"""Long answers: made piece by piece while they are sent, and ended at once when the reader leaves or stops reading.

A piece holds no transaction while it waits for the reader, so the slowest of them costs some memory and nothing else.
Only so many are sent at once; whoever comes then is told to try again, and everything else goes on.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import RawIOBase
from typing import TYPE_CHECKING, Any
from uuid import UUID

import anyio
import anyio.lowlevel
from anyio import to_thread
from litestar import Request
from litestar.response import Stream
from litestar.response.base import ASGIResponse
from litestar.response.streaming import ASGIStreamingResponse
from litestar.types import Receive, Scope, Send

from likeness.ground.errors import TooMany, Unavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

log = logging.getLogger(__name__)

PIECE = 256 * 1024
"""What is handed to the network at once: at the end of patience below, a reader still moves some 4 kB a second."""
PATIENCE_SECONDS = 60.0
"""A reader that took nothing for so long is cut off."""
OF_A_COMPANY, AT_ONCE = 4, 12
"""Downloads in one process: each holds a piece of some megabytes at most, and one company leaves room for others."""

PRIVATE = {"cache-control": "private, no-store"}


class Sink(RawIOBase):
    """What an archive has written and nobody has taken yet. It cannot seek, so sizes follow each file."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        piece = memoryview(data)
        self._held += piece
        return piece.nbytes

    def take(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held


class TooManyDownloads(TooMany):
    """The company's own downloads fill its share."""

    title = "Too many downloads at once"


class DownloadsFull(Unavailable):
    title = "Too many downloads at once"


class _Places:
    """How many downloads run, by company."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[UUID] = Counter()

    @contextmanager
    def one(self, tenant: UUID) -> Iterator[None]:
        """Raises `TooManyDownloads` and `DownloadsFull`."""
        with self._lock:
            if self._taken[tenant] >= OF_A_COMPANY:
                raise TooManyDownloads(
                    "{n} downloads of your company are running already. Nothing was changed. Please start this one again"
                    " when one of them has ended.",
                    n=OF_A_COMPANY,
                )
            if self._taken.total() >= AT_ONCE:
                raise DownloadsFull(
                    "Many downloads are running at the moment. Nothing was changed. Please try again in a minute."
                )
            self._taken[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[tenant] -= 1
                self._taken += Counter()  # Forgets companies at zero.

    def taken(self) -> int:
        with self._lock:
            return self._taken.total()


places = _Places()


def download(
    pieces: Callable[[], Iterator[bytes]],
    *,
    tenant: UUID,
    filename: str,
    media_type: str,
    headers: Mapping[str, str] | None = None,
    status: int | None = None,
) -> Stream:
    """An answer to be saved as a file. `pieces` is called once there is a place; what goes wrong up to its first piece
    is still told as an error, with its status."""
    about = PRIVATE | {"content-disposition": f'attachment; filename="{filename}"'} | dict(headers or {})
    return _Download(pieces, tenant, about, media_type, status)


class _Download(Stream):
    def __init__(
        self,
        pieces: Callable[[], Iterator[bytes]],
        tenant: UUID,
        headers: dict[str, str],
        media_type: str,
        status: int | None,
    ) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type, status_code=status)
        self.pieces, self.tenant = pieces, tenant

    def to_asgi_response(self, app: Any, request: Request[Any, Any, Any], **about: Any) -> ASGIResponse:
        headers = {**(about.pop("headers", None) or {}), **self.headers}
        status = self.status_code or about.pop("status_code", None)
        about = {name: about[name] for name in ("background", "cookies", "is_head_response") if name in about}
        return _Sending(
            self.pieces,
            self.tenant,
            iterator=(),
            headers=headers,
            media_type=self.media_type,
            status_code=status,
            **about,
        )


class _Sending(ASGIStreamingResponse):
    __slots__ = ("pieces", "tenant", "waiting")

    def __init__(self, pieces: Callable[[], Iterator[bytes]], tenant: UUID, **about: Any) -> None:
        super().__init__(**about)
        self.pieces, self.tenant = pieces, tenant

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with places.one(self.tenant):
            made: list[Iterator[bytes]] = []
            try:
                self.waiting = await _in_thread(lambda: _begin(self.pieces, made))
                await super().__call__(scope, receive, send)
            finally:
                # Not left to the garbage collector, which may come minutes later; also when this task is cancelled.
                await _in_thread(lambda: _close(made))

    async def _stream(self, send: Send) -> None:
        while (piece := await _in_thread(lambda: next(self.waiting, None))) is not None:
            # Sending to somebody who is gone neither fails nor waits, so without this nothing would notice it.
            await anyio.lowlevel.checkpoint()
            for start in range(0, len(piece), PIECE):
                with anyio.move_on_after(PATIENCE_SECONDS) as patience:
                    await send({"type": "http.response.body", "body": piece[start : start + PIECE], "more_body": True})
                if patience.cancelled_caught:
                    log.info("a download that nobody read on was cut off")
                    return  # Without the end, so that the file does not look whole.
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def send_body(self, send: Send, receive: Receive) -> None:
        """Sends until the end or until the reader is gone, whichever comes first."""
        async with anyio.create_task_group() as tasks:

            async def sending() -> None:
                await self._stream(send)
                tasks.cancel_scope.cancel()  # Nobody needs to listen any longer.

            tasks.start_soon(sending)
            while (await receive())["type"] != "http.disconnect":
                continue
            tasks.cancel_scope.cancel()


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Runs to its end also when the reader leaves meanwhile: a generator cannot be closed while it runs."""
    with anyio.CancelScope(shield=True):
        return await to_thread.run_sync(work)


def _begin(pieces: Callable[[], Iterator[bytes]], made: list[Iterator[bytes]]) -> Iterator[bytes]:
    """The pieces, with the first of them made; what is to be closed afterwards goes into `made`."""
    source = pieces()
    made.append(source)
    first = next(source, b"")

    def all_of_it() -> Iterator[bytes]:
        yield first
        yield from source

    whole = all_of_it()
    made.insert(0, whole)
    return whole


def _close(made: list[Iterator[bytes]]) -> None:
    for one in made:
        close = getattr(one, "close", None)
        if close is not None:
            close()
