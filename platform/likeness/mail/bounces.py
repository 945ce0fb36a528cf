"""Mails that come back: hours after our server took one, another says in a message of its own that it cannot bring it.

Each mail leaves under an envelope sender that holds its id (VERP), so that whatever comes back there says which mail it is
about. Of such a message (RFC 3464) only that id, the kind of failure and its digits are taken. The rest, which quotes an
address and often the whole mail, is kept nowhere.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from uuid import UUID

from likeness.mail.smtp import MailOutcome

LARGEST = 256 * 1024
"""Bytes of a message that are looked at; what says why stands before the mail that is quoted."""
MOST_PARTS = 50
LONGEST_HEADER = 2000
ADDRESSED = ("To", "Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To")
ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
DIGITS = re.compile(r"(?<![\d.])([45]\d\d)(?=[ \-#])")
OURS = re.compile(r"^message-id:\s*<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@", re.IGNORECASE | re.MULTILINE)
NOBODY = frozenset({"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1", "5.4.1", "5.4.4"})
"""Enhanced status codes (RFC 3463, and what Exchange means by them): no such mailbox or domain, or one that is closed."""
FULL = frozenset({"5.2.2", "4.2.2"})


@dataclass(frozen=True)
class Bounce:
    """What a message says that came back."""

    mail_id: UUID
    outcome: MailOutcome | None
    """None: the other server is still trying, or has brought it."""
    code: str = ""
    """As the other server said it, e.g. `550 5.1.1`."""


def envelope_of(address: str, mail_id: UUID) -> str:
    """The envelope sender of one mail, `bounces+TOKEN@example.com`; empty where nobody reads what comes back."""
    local, at, domain = address.rpartition("@")
    return f"{local}+{_token(mail_id)}@{domain}" if at else ""


def read(data: bytes, address: str) -> Bounce | None:
    """None for what is no report about a mail of ours: an answer of somebody, another's mail, rubbish."""
    try:
        message = message_from_bytes(data[:LARGEST])
        return _read(message, address)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, AssertionError):
        # Anybody may write to this mailbox, and the standard library's parser has its limits.
        return None


def _read(message: Message, address: str) -> Bounce | None:
    parts = list(_parts(message))
    mail_id = _named(message, address) or _quoted(parts)
    if mail_id is None:
        return None
    said = [block for part in parts if part.get_content_type() == "message/delivery-status" for block in _blocks(part)]
    if not said:
        return _in_words(message, parts, mail_id)
    failed = next((block for block in said if _word(block, "Action") == "failed"), None)
    if failed is None:
        return Bounce(mail_id, None) if any(_word(block, "Action") for block in said) else None
    diagnosis, status = _header(failed, "Diagnostic-Code"), ENHANCED.search(_header(failed, "Status"))
    inner = ENHANCED.search(diagnosis)
    # Some write 5.0.0 for everything and quote what the other server had said.
    best = inner if inner and (status is None or status[1].endswith(".0.0")) else status
    return _bounce(mail_id, DIGITS.search(diagnosis), best)


def _in_words(message: Message, parts: list[Message], mail_id: UUID) -> Bounce | None:
    """Older servers name the recipient in a header and say the rest in a text for people."""
    if not _header(message, "X-Failed-Recipients"):
        return None
    texts = (one.get_payload() for one in parts if one.get_content_type() == "text/plain")
    text = next((one for one in texts if isinstance(one, str)), "")[:20_000]
    return _bounce(mail_id, DIGITS.search(text), ENHANCED.search(text))


def _bounce(mail_id: UUID, digits: re.Match[str] | None, enhanced: re.Match[str] | None) -> Bounce:
    status = enhanced[1] if enhanced else ""
    outcome = MailOutcome.NO_MAILBOX if status in NOBODY else MailOutcome.FULL if status in FULL else MailOutcome.RETURNED
    return Bounce(mail_id, outcome, " ".join(one for one in (digits[1] if digits else "", status) if one))


def _parts(message: Message) -> Iterator[Message]:
    """The message and what is in it, not what is in a mail that it quotes."""
    yield message
    held = message.get_payload()
    if message.get_content_maintype() == "multipart" and isinstance(held, list):
        for part in held[:MOST_PARTS]:
            if isinstance(part, Message):
                yield from _parts(part) if part.get_content_type() == "multipart/mixed" else [part]


def _blocks(part: Message) -> list[Message]:
    held = part.get_payload()
    return [one for one in held[:MOST_PARTS] if isinstance(one, Message)] if isinstance(held, list) else []


def _named(message: Message, address: str) -> UUID | None:
    """By the address that the report was sent to."""
    local, _, domain = address.rpartition("@")
    ours = re.compile(rf"(?<![^\s<,;:]){re.escape(local)}\+([a-z2-7]{{26}})@{re.escape(domain)}(?![\w.-])", re.IGNORECASE)
    for name in ADDRESSED:
        for value in (message.get_all(name) or [])[:MOST_PARTS]:
            if found := ours.search(str(value)[:LONGEST_HEADER]):
                return UUID(bytes=b32decode(f"{found[1].upper()}======"))
    return None


def _quoted(parts: list[Message]) -> UUID | None:
    """By the mail that it quotes, where a server on the way has taken the token from the address."""
    for part in parts:
        kind, held = part.get_content_type(), part.get_payload()
        if kind == "message/rfc822" and isinstance(held, list) and held and isinstance(held[0], Message):
            text = f"Message-ID: {_header(held[0], 'Message-ID')}"
        elif kind in ("text/rfc822-headers", "message/rfc822-headers") and isinstance(held, str):
            text = held
        else:
            continue
        if found := OURS.search(text):
            return UUID(found[1])
    return None


def _header(message: Message, name: str) -> str:
    return str(message.get(name, ""))[:LONGEST_HEADER]


def _word(block: Message, name: str) -> str:
    words = re.match(r"\s*([a-z]+)", _header(block, name), re.IGNORECASE)
    return words[1].lower() if words else ""


def _token(mail_id: UUID) -> str:
    return b32encode(mail_id.bytes).decode().rstrip("=").lower()
