"""A request that a program sends twice is carried out once: `Idempotency-Key`, as in the IETF's draft of that name.

The first request with a key is carried out, and what was answered is kept for a day; whoever sends the same again gets
that answer. It is sealed under a key that is made from the program's own, which is stored nowhere: without it nobody reads
what was asked or answered. What was refused changed nothing, so nothing of it is kept, and the same key is tried anew.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from litestar import Request
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send
from sqlalchemy import UniqueConstraint, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from likeness.ground.db import PLATFORM, Moment, TenantRow, of_tenant, utc_now
from likeness.ground.errors import Conflict, LikenessError, OutcomeUnknown, Unprocessable
from likeness.identity import Caller, Kind
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.web import threads
from likeness.web.bodies import ORDINARY
from likeness.web.guards import caller_or_none, kernel_of, problem
from likeness.web.threads import PAGES

HEADER = b"idempotency-key"
KEPT = timedelta(hours=24)
METHODS = {"POST", "PATCH", "PUT", "DELETE"}
KEY = re.compile(r"[\x21-\x7e]{16,200}")
LARGEST = 256 * 1024
"""Of an answer that is kept; a larger one is carried out, and a second try is told so."""
NONCE = 12
UNKNOWN = OutcomeUnknown("").code.encode()

log = logging.getLogger(__name__)


class KeyRefused(Unprocessable):
    title = "This Idempotency-Key cannot be used"


class KeyReused(Unprocessable):
    """The key came with another request before."""

    title = "This Idempotency-Key belongs to another request"


class StillRunning(Conflict):
    """The first request with this key has not ended, or nobody knows how it ended."""

    title = "The first request with this key has not ended"


class AnswerTooLarge(Conflict):
    """It was carried out, and what was answered is too large to be kept."""

    title = "This was carried out; its answer is not kept"


class Answered(TenantRow, table=True):
    """One key of one caller, and what was answered to it."""

    __table_args__ = (UniqueConstraint("tenant_id", "key_hash"), of_tenant())

    key_hash: bytes
    """Of the caller and the key, which says neither."""
    request_digest: bytes
    """Made with the key, so that nobody who guesses what was sent can see whether it was that."""
    at: datetime = Moment(index=True)
    status: int | None = None
    """None while the first request runs."""
    sealed: bytes | None = None


@dataclass(frozen=True)
class KeyedCall:
    kernel: Kernel
    tenant: UUID
    key: bytes
    key_hash: bytes
    request_digest: bytes

    @property
    def cipher(self) -> AESGCM:
        return AESGCM(HKDF(SHA256(), 32, self.key_hash, b"idempotent answer").derive(self.key))

    def seal(self, told: dict[str, Any]) -> bytes:
        nonce = os.urandom(NONCE)
        return nonce + self.cipher.encrypt(nonce, json.dumps(told).encode(), self.request_digest)

    def open(self, sealed: bytes) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.cipher.decrypt(sealed[:NONCE], sealed[NONCE:], self.request_digest))
        return told


def begin(asked: KeyedCall, now: datetime) -> tuple[int, dict[str, Any]] | None:
    """What was answered before; None when this is the first time.

    Raises `KeyReused`, `StillRunning` and `AnswerTooLarge`.
    """
    with asked.kernel.db.transaction(asked.tenant) as session:
        new = session.execute(
            insert(Answered)
            .values(tenant_id=asked.tenant, key_hash=asked.key_hash, request_digest=asked.request_digest, at=now)
            .on_conflict_do_nothing()
            .returning(col(Answered.id))
        ).first()
        if new is not None:
            return None
        known = session.exec(
            select(Answered).where(col(Answered.tenant_id) == asked.tenant, col(Answered.key_hash) == asked.key_hash)
        ).one_or_none()
    if known is None:  # The first was refused between these two statements.
        raise StillRunning("The first request with this key has ended just now and changed nothing. Please send it again.")
    if not hmac.compare_digest(known.request_digest, asked.request_digest):
        raise KeyReused("Each request takes a key of its own. Nothing was changed.")
    if known.status is None or known.sealed is None:
        raise StillRunning(
            "It is being carried out, or was cut off and nobody knows how it ended: please look at what it was about."
            " Nothing was changed by this one."
        )
    told = asked.open(known.sealed)
    if told["body"] is None:
        raise AnswerTooLarge("It was carried out once, and not again. Ask for what it was about to see how it is now.")
    return known.status, told


def end(asked: KeyedCall, status: int, told: dict[str, Any] | None) -> None:
    """Keeps the answer; None for what changed nothing, which is forgotten, so that it can be tried again."""
    with asked.kernel.db.transaction(asked.tenant) as session:
        mine = (col(Answered.tenant_id) == asked.tenant, col(Answered.key_hash) == asked.key_hash)
        if told is None:
            session.execute(delete(Answered).where(*mine))
        else:
            session.execute(update(Answered).where(*mine).values(status=status, sealed=asked.seal(told)))


class Once:
    """For what members, operators and their programs send; people's own pages need no keys."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"]) if scope["type"] == ScopeType.HTTP else {}
        method = cast(HTTPScope, scope)["method"] if headers else ""
        if HEADER not in headers or method not in METHODS or not scope["path"].startswith("/api/"):
            await self.app(scope, receive, send)
            return
        request: Request[Any, Any, Any] = Request(scope)
        caller = await threads.run(PAGES, caller_or_none, request)
        if caller is None or caller.kind == Kind.EMPLOYEE:
            await self.app(scope, receive, send)
            return
        try:
            body = await _body(receive)
            if body is None:
                return
            asked = _asked(kernel_of(request), caller, headers[HEADER], cast(HTTPScope, scope), body)
            known = await threads.run(PAGES, begin, asked, utc_now())
        except LikenessError as refused:
            await problem(refused).to_asgi_response(None, request)(scope, receive, send)
            return
        if known is not None:
            await _again(send, *known)
            return
        await self._first(asked, body, scope, receive, send)

    async def _first(self, asked: KeyedCall, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(send)
        given = False

        async def read() -> Any:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        # Whoever is cut off in the middle leaves the row as it is: what they began may have been stored.
        await self.app(scope, read, answer.keep)
        try:
            if answer.changed_nothing:
                await threads.run(PAGES, end, asked, answer.status, None)
            elif answer.status < 400:
                await threads.run(PAGES, end, asked, answer.status, answer.told())
        except Exception as error:  # It was carried out, which the caller shall know; a second try is refused.
            log.error("an answer could not be kept", exc_info=error)
        await answer.pass_on()


class _Answer:
    """Held back until it is kept; one that is too large to be kept goes out as it comes."""

    def __init__(self, send: Send) -> None:
        self.send = send
        self.messages: list[Message] = []
        self.status, self.code, self.size = 500, "", 0

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.size += len(message.get("body", b""))
        self.messages.append(message)
        if self.size > LARGEST:
            await self.pass_on()

    async def pass_on(self) -> None:
        for message in self.messages:
            await self.send(message)
        self.messages = []

    @property
    def changed_nothing(self) -> bool:
        """Refused, or not begun because something is away. Of every other failure nobody knows what it stored."""
        return 400 <= self.status < 500 or (self.status == 503 and UNKNOWN not in self.body())

    def body(self) -> bytes:
        found = b""
        for message in self.messages:
            if message["type"] == "http.response.body":
                found += message.get("body", b"")
        return found

    def told(self) -> dict[str, Any]:
        if self.size > LARGEST:
            return {"headers": [], "body": None}
        headers = list[tuple[str, str]]()
        for message in self.messages:
            if message["type"] == "http.response.start":
                headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message["headers"]]
        # A cookie signs somebody in, which a repeated answer must not.
        kept = [(name, value) for name, value in headers if name.lower() != "set-cookie"]
        return {"headers": kept, "body": self.body().decode("latin-1")}


async def _body(receive: Receive) -> bytes | None:
    """None of a caller who went away before the end. Raises `KeyRefused`."""
    body = b""
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += bytes(message.get("body", b""))
        if len(body) > ORDINARY:
            raise KeyRefused("Files are sent without an Idempotency-Key: the same file twice is one anyway.")
        if not message.get("more_body", False):
            return body


def _asked(kernel: Kernel, caller: Caller, key: bytes, scope: HTTPScope, body: bytes) -> KeyedCall:
    """Raises `KeyRefused`."""
    if not KEY.fullmatch(key.decode("latin-1")):
        raise KeyRefused("Send 16 to 200 letters, digits or signs that nobody guesses, such as a random UUID.")
    owner = f"{caller}|".encode()
    about = f"{scope['method']} {scope['path']}?".encode() + scope["query_string"] + b"\n"
    return KeyedCall(kernel, caller.tenant, key, sha256(owner + key).digest(), hmac.digest(key, about + body, sha256))


async def _again(send: Send, status: int, told: dict[str, Any]) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told["headers"]]
    start: HTTPResponseStartEvent = {
        "type": "http.response.start", "status": status, "headers": [*headers, (b"idempotent-replayed", b"true")],
    }  # fmt: skip
    await send(start)
    await send({"type": "http.response.body", "body": told["body"].encode("latin-1"), "more_body": False})


@jobs.every(timedelta(hours=1), deletes=True)
def forget_answers(kernel: Kernel, now: datetime) -> None:
    """A key is good for a day."""
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(delete(Answered).where(col(Answered.at) < now - KEPT))
