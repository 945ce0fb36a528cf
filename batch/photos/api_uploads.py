"""Uploads that go on where they broke off: tus 1.0, its core with creation, termination and expiration.

Behind the visit's session and its consent, like every photo. What the browser calls the file is not read and not kept.
"""

from __future__ import annotations

import asyncio
import re
import time
from base64 import b64decode
from binascii import Error as NotBase64
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from uuid import UUID

from litestar import Request, Response, delete, get, head, patch, post, route
from litestar.params import FromPath

from batch.models import Upload
from batch.photos import intake, resumable
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, TooLarge, Unprocessable
from likeness.identity import Caller, Kind
from likeness.kernel import Kernel
from likeness.web import threads
from likeness.web.bodies import WITH_FILE
from likeness.web.described import SLOW_BODY
from likeness.web.guards import kernel_of, only, own, signed_in
from likeness.web.threads import PHOTOS
from likeness.web.uploads import UploadCut, UploadTooSlow, in_flight, in_time

EMPLOYEE = [only(Kind.EMPLOYEE)]
VERSION = "1.0.0"
BODY = "application/offset+octet-stream"
SAVE_EVERY = 10.0
"""Seconds after which what came is kept though more is coming: so much is lost when this process is killed."""
SHA256 = re.compile(r"[0-9a-f]{64}")
PATH = "/visit/uploads"
ONE = PATH + "/{upload_id:uuid}"
KNOWN = {"photo-known": "true"}
"""Beside the end of an upload: the same file was handed in before, and is still one photo."""
TUS = {"refuses": SLOW_BODY | {412: "Another version of tus is spoken."}}


class ProtocolUnknown(LikenessError):
    status, title = 412, "This version of tus is not spoken here"


class BodyUnknown(LikenessError):
    status, title = 415, "The bytes of an upload come as application/offset+octet-stream"


class UploadHeaderWrong(Unprocessable):
    title = "A header of the upload is missing or wrong"


class MoreThanAnnounced(TooLarge):
    title = "More bytes came than were announced"


@dataclass
class UploadShown:
    """A photo that is still arriving: `received` of `length` bytes lie sealed, until `due_at`."""

    id: UUID
    length: int
    received: int
    due_at: datetime


@dataclass
class _Stream:
    """A connection on which an upload is arriving in this process; a newer one ends it, because it may be dead."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)


_streams: dict[tuple[UUID, UUID, UUID], _Stream] = {}
"""By tenant, person and upload, so that nobody ends what is somebody else's."""


@route(PATH, http_method=["OPTIONS"], guards=EMPLOYEE, status_code=204, sync_to_thread=False)
def say_protocol() -> Response[None]:
    headers = {
        "tus-resumable": VERSION,
        "tus-version": VERSION,
        "tus-max-size": str(intake.LARGEST),
        "tus-extension": "creation,termination,expiration",
    }
    return Response(None, status_code=204, headers=headers)


@post(PATH, guards=EMPLOYEE, opt=TUS, status_code=201, sync_to_thread=True)
def begin_upload(request: Request[Any, Any, Any]) -> Response[None]:
    """Permission for a photo of `Upload-Length` bytes; `Location` is where they go.

    `Upload-Metadata` may hold `sha256`, the digest of the whole in hexadecimal, and then a file that changed meanwhile
    is noticed. Everything else in it is ignored.
    """
    _check_protocol(request)
    kernel, caller = kernel_of(request), signed_in(request)
    length, digest = _number(request, "upload-length"), _digest(request, kernel, caller)
    with kernel.db.transaction(caller.tenant) as session:
        upload = resumable.begin(session, kernel.objects, caller.id, length, digest, utc_now())
    return _answer(upload, 201, {"location": f"{request.url.path}/{upload.id}"})


@get(PATH, guards=EMPLOYEE, sync_to_thread=True)
def list_uploads(request: Request[Any, Any, Any]) -> list[UploadShown]:
    """One's own that are not finished."""
    with own(request) as (session, caller):
        found = resumable.of(session, caller.id, utc_now())
    return [UploadShown(one.id, one.length, one.received, one.due_at) for one in found]


@head(ONE, guards=EMPLOYEE, opt=TUS)
async def ask_offset(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> Response[None]:
    """How many bytes are kept. When all of them are and the last step failed, it is done now."""
    _check_protocol(request)
    caller = signed_in(request)
    await _end_older(caller, upload_id)
    upload, known = await threads.run(PHOTOS, _whole, kernel_of(request), caller, upload_id)
    headers = {"cache-control": "no-store", "upload-length": str(upload.length)}
    return _answer(upload, 200, headers | (KNOWN if known else {}))


def _whole(kernel: Kernel, caller: Caller, upload_id: UUID) -> tuple[Upload, bool]:
    upload = resumable.taken_up(kernel, caller.tenant, caller.id, upload_id, utc_now())
    if upload.received == upload.length and upload.photo_id is None:
        return upload, resumable.finish(kernel, upload, b"", utc_now())
    return upload, False


@patch(ONE, guards=EMPLOYEE, opt=TUS, status_code=204, request_max_body_size=WITH_FILE)
async def take_bytes(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> Response[None]:
    """What follows from `Upload-Offset` on; what comes before the connection breaks is kept.

    With the last byte `Photo-Known: true` says that the same file was handed in before, and is still one photo.
    """
    _check_protocol(request)
    if request.headers.get("content-type") != BODY:
        raise BodyUnknown
    offset = _number(request, "upload-offset")
    kernel, caller = kernel_of(request), signed_in(request)
    known = False
    await _end_older(caller, upload_id)
    with in_flight(caller.tenant, caller.id, request, intake.LARGEST):
        stream = _streams[_name(caller, upload_id)] = _Stream()
        try:
            upload = await threads.run(
                PHOTOS, resumable.taken_up, kernel, caller.tenant, caller.id, upload_id, utc_now()
            )
            if offset != upload.received:
                raise resumable.OffsetMoved(
                    "{n} bytes are kept. Please go on from there.", n=upload.received
                )
            if upload.photo_id is None:
                known = await _take(request, kernel, upload, stream.stop)
        finally:
            del _streams[_name(caller, upload_id)]
            stream.ended.set()
    return _answer(upload, 204, KNOWN if known else {})


async def _take(request: Request[Any, Any, Any], kernel: Kernel, upload: Upload, stop: asyncio.Event) -> bool:
    """Holds only what came since it was last kept, which is what `in_flight` counts. Returns what `finish` does."""
    came, saved = bytearray(), time.monotonic()
    try:
        async for piece in in_time(request.stream(), stop):
            so_far = upload.received + len(came) + len(piece)
            if so_far > upload.length:
                raise MoreThanAnnounced("This upload was announced with {n} bytes.", n=upload.length)
            came += piece
            if so_far < upload.length and time.monotonic() - saved > SAVE_EVERY:
                await threads.run(PHOTOS, resumable.save, kernel, upload, came, utc_now())
                came, saved = bytearray(), time.monotonic()
    except (UploadCut, UploadTooSlow):
        if came:
            await threads.run(PHOTOS, resumable.save, kernel, upload, came, utc_now())
        raise
    if upload.received + len(came) == upload.length:
        return await threads.run(PHOTOS, resumable.finish, kernel, upload, came, utc_now())
    if came:
        await threads.run(PHOTOS, resumable.save, kernel, upload, came, utc_now())
    return False


@delete(ONE, guards=EMPLOYEE, opt=TUS, status_code=204)
async def end_upload(request: Request[Any, Any, Any], upload_id: FromPath[UUID]) -> Response[None]:
    """What came of it is deleted; a photo that it has become stays."""
    caller = signed_in(request)
    await _end_older(caller, upload_id)
    await threads.run(PHOTOS, resumable.end, kernel_of(request), caller.tenant, caller.id, upload_id)
    return Response(None, status_code=204, headers={"tus-resumable": VERSION})


def _name(caller: Caller, upload_id: UUID) -> tuple[UUID, UUID, UUID]:
    return caller.tenant, caller.id, upload_id


async def _end_older(caller: Caller, upload_id: UUID) -> None:
    """Has an older connection of the same upload keep what it has and end; it often is one that the browser left."""
    while (older := _streams.get(_name(caller, upload_id))) is not None:
        older.stop.set()
        await older.ended.wait()


def _answer(upload: Upload, status: int, headers: dict[str, str] | None = None) -> Response[None]:
    told = {
        "tus-resumable": VERSION,
        "upload-offset": str(upload.received),
        "upload-expires": format_datetime(upload.due_at.astimezone(UTC), usegmt=True),
    }
    return Response(None, status_code=status, headers=told | (headers or {}))


def _check_protocol(request: Request[Any, Any, Any]) -> None:
    if request.headers.get("tus-resumable") != VERSION:
        raise ProtocolUnknown("Please send the header Tus-Resumable: {version}.", version=VERSION)


def _number(request: Request[Any, Any, Any], name: str) -> int:
    value = request.headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,12}", value):
        raise UploadHeaderWrong("Please send the header {name} with a number of bytes.", name=name)
    return int(value)


def _digest(request: Request[Any, Any, Any], kernel: Kernel, caller: Caller) -> str:
    """The photo's keyed digest, when the browser could say the plain one; otherwise empty."""
    for pair in request.headers.get("upload-metadata", "").split(","):
        name, _, value = pair.strip().partition(" ")
        if name == "sha256":
            try:
                digest = b64decode(value, validate=True).decode("ascii")
            except (NotBase64, UnicodeDecodeError, ValueError):
                digest = ""
            if not SHA256.fullmatch(digest):
                raise UploadHeaderWrong("The sha256 in Upload-Metadata is not a digest in hexadecimal.")
            intake.admit(kernel, caller.tenant, caller.id)
            return intake.digest_of(kernel.keys, caller.tenant, caller.id, bytes.fromhex(digest))
    return ""


routes: list[Any] = [say_protocol, begin_upload, list_uploads, ask_offset, take_bytes, end_upload]
