"""Forms with a file, read into memory only: a framework's upload would leave a copy in a temporary file."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from litestar import Request
from litestar.exceptions import InternalServerException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from likeness.ground.errors import LikenessError, TooLarge, TooMany, Unavailable, Unprocessable

PATIENCE = 55.0
"""Less than the minute after which `connections.py` cuts without a word, so that the sender is told why."""
PROGRESS = 64 * 1024
"""Bytes that have to come in that time: a fiftieth of the slowest mobile connection that people still use."""
MOST_AT_ONCE = 4
"""Photos that one person may be sending at the same time; a browser sends them one by one."""
OF_A_PERSON, OF_A_COMPANY, OF_ALL = 100 * 10**6, 400 * 10**6, 1_000 * 10**6
"""Bytes of bodies in flight in this process: each is held in memory until what it brought is kept. Beside them stand only
the copies that the few threads make of what they are sealing at the moment."""
LONGEST_VALUE = 10_000
MOST_PARTS = 20
AROUND = 2**20
"""What a form may hold beside its file."""


class FormUnreadable(Unprocessable):
    title = "The form could not be read"


class OneFileOnly(Unprocessable):
    title = "Please send one file at a time"


class FileTooLarge(TooLarge):
    title = "The file is too large"


class UploadTooSlow(LikenessError):
    status, title = 408, "The upload took too long"


class UploadCut(LikenessError):
    status, title = 400, "The upload broke off"


@dataclass
class Form:
    """The text fields, and the one file."""

    values: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    filename: str = ""


async def form_in(request: Request[Any, Any, Any], file_field: str, largest: int) -> Form:
    """Raises `FormUnreadable`, `OneFileOnly`, `FileTooLarge`, `UploadTooSlow` and `UploadCut`."""
    content_type, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if content_type != b"multipart/form-data" or not boundary:
        raise FormUnreadable("Please send a form with the file as its field `{name}`.", name=file_field)
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdecimal() and (len(length) > 12 or int(length) > largest + AROUND):
        raise FileTooLarge("The file is larger than {n} MB.", n=largest // 2**20)
    parts = _Parts(file_field, largest)
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        async for piece in in_time(request.stream()):
            parser.write(piece)
        parser.finalize()
    except FormParserError:
        raise FormUnreadable("The upload arrived incomplete. Please send it again.") from None
    if parts.open or not parts.has_file:
        raise FormUnreadable("Please send a form with the file as its field `{name}`.", name=file_field)
    return parts.form


async def in_time(stream: AsyncIterator[bytes], stop: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    """The stream, ended by progress and never by its length: `PATIENCE` without `PROGRESS` bytes is too slow.

    Raises `UploadTooSlow`, `UploadCut`, and `UploadCut` as well once `stop` is set.
    """
    came, since = 0, time.monotonic()
    while True:
        piece = await _next(stream, since + PATIENCE - time.monotonic(), stop)
        if piece is None:
            return
        came += len(piece)
        if came >= PROGRESS:
            came, since = 0, time.monotonic()
        yield piece


async def _next(stream: AsyncIterator[bytes], patience: float, stop: asyncio.Event | None) -> bytes | None:
    """The next piece, None at the end."""
    arriving = asyncio.ensure_future(anext(stream, None))
    waits: list[asyncio.Future[Any]] = [arriving]
    if stop is not None:
        waits.append(asyncio.ensure_future(stop.wait()))
    try:
        await asyncio.wait(waits, timeout=max(0.0, patience), return_when=asyncio.FIRST_COMPLETED)
        if arriving.done():
            return arriving.result()
    except InternalServerException:  # What the framework says of a client that went away.
        raise UploadCut("The connection broke off. Please send the file again.") from None
    finally:
        for wait in waits:
            wait.cancel()
    if stop is not None and stop.is_set():
        raise UploadCut("This upload goes on over another connection.")
    raise UploadTooSlow("The connection was too slow. Please try again where it is better.")


class TooManyAtOnce(TooMany):
    title = "Too many uploads at once"


class UploadsFull(Unavailable):
    title = "Too many uploads at once"


_under_way: Counter[UUID] = Counter()
_bytes: Counter[UUID | None] = Counter()
"""By person, by company, and of all together under None."""


@contextmanager
def in_flight(
    tenant: UUID, person: UUID, request: Request[Any, Any, Any], largest: int, at_once: int = MOST_AT_ONCE
) -> Iterator[None]:
    """A place for one body, from before its first byte is read until what it brought is done.

    Raises `TooManyAtOnce` and `UploadsFull`. Used on the event loop alone, so nothing here needs a lock.
    """
    said = request.headers.get("content-length", "")
    size = min(int(said), largest + AROUND) if said.isascii() and said.isdecimal() and len(said) < 12 else largest + AROUND
    if _under_way[person] >= at_once or (_bytes[person] and _bytes[person] + size > OF_A_PERSON):
        raise TooManyAtOnce("Several uploads of yours are under way. Let one of them arrive first.")
    if _bytes[tenant] + size > OF_A_COMPANY:
        raise TooManyAtOnce("Many uploads of your company are under way. Please send this one again in a minute.")
    if _bytes[None] + size > OF_ALL:
        raise UploadsFull("Very many uploads are under way, so this one was not taken. Please send it again in a minute.")
    owners = (person, tenant, None)
    _under_way[person] += 1
    for owner in owners:
        _bytes[owner] += size
    try:
        yield
    finally:
        _under_way[person] -= 1
        for owner in owners:
            _bytes[owner] -= size
            if not _bytes[owner]:
                del _bytes[owner]
        if not _under_way[person]:
            del _under_way[person]


class _Parts:
    """Collects the parts of a form; what is too long ends it at once."""

    def __init__(self, file_field: str, largest: int) -> None:
        self.form, self.open, self.has_file = Form(), False, False
        self._file_field, self._largest = file_field, largest
        self._name, self._value = bytearray(), bytearray()
        self._field, self._text, self._file = "", bytearray(), bytearray()
        self._count = 0

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": self._content,
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._count += 1
        self.open, self._field = True, ""
        self._text.clear()
        if self._count > MOST_PARTS:
            raise FormUnreadable("The form has too many fields.")

    def _header(self) -> None:
        if bytes(self._name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._field = options.get(b"name", b"").decode("utf-8", "replace")
            if self._field == self._file_field:
                if self.has_file:
                    raise OneFileOnly("Please send one file at a time.")
                self.form.filename = options.get(b"filename", b"").decode("utf-8", "replace")
        self._name.clear()
        self._value.clear()

    def _content(self, data: bytes, start: int, end: int) -> None:
        if self._field == self._file_field:
            self._file += data[start:end]
            if len(self._file) > self._largest:
                raise FileTooLarge("The file is larger than {n} MB.", n=self._largest // 2**20)
        else:
            self._text += data[start:end]
            if len(self._text) > LONGEST_VALUE:
                raise FormUnreadable("A field of the form is too long.")

    def _end(self) -> None:
        self.open = False
        if self._field == self._file_field:
            self.form.data, self.has_file = bytes(self._file), True
            self._file = bytearray()  # One file is held once.
        else:
            self.form.values[self._field] = self._text.decode("utf-8", "replace")
