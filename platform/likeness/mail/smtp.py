"""One mail to one SMTP server, and exactly what came of it, at whichever line the server said no or fell silent.

What counts is the end of the message's text: before it the server has taken nothing, and the mail may be tried again. From
then on only its answer tells, and without one nobody can know whether the mail goes out: it is never sent a second time.
"""

from __future__ import annotations

import re
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from enum import StrEnum
from urllib.parse import unquote, urlsplit
from uuid import UUID

import idna

from likeness.ground.db import utc_now
from likeness.ground.tls import doubt
from likeness.mail.logos import Logo
from likeness.mail.markup import Pictured, Written, html_of

LOCAL = ("localhost", "127.0.0.1", "::1")
CERTAIN = policy.SMTP.clone(cte_type="7bit")
"""Every server takes seven bits; what eight would save is not worth asking."""
PATIENCE, LAST_PATIENCE = 3, 2
"""How many time-outs all lines up to the text may take together, and how many the answer to the text."""
NOT_OURS_TO_MEND = frozenset({421, 454, 530, 534, 535, 538})
"""The server goes away or does not accept who we are: true for every mail, not for this one."""


class MailOutcome(StrEnum):
    SENT = "sent"
    """The server has taken it, and the rest is its duty."""
    ADDRESS = "address"
    """The server does not take mail for this address."""
    REFUSED = "refused"
    """The server does not take this mail."""
    SPELLING = "spelling"
    """Letters before the @ that this server cannot carry."""
    LATER = "later"
    """The server asks to come again."""
    AWAY = "away"
    """The server is not reachable, is silent, goes away, or does not let us in. It has taken nothing."""
    UNKNOWN = "unknown"
    """All of it was handed over and no answer came."""
    NO_MAILBOX = "no mailbox"
    """It came back later: nobody has this address."""
    FULL = "full"
    """It came back later: the mailbox is full."""
    RETURNED = "returned"
    """It came back later, for another reason."""


@dataclass(frozen=True)
class SmtpAnswer:
    outcome: MailOutcome
    code: str = ""
    """As the server said it, e.g. `550 5.1.1`; its words stay out, since they may quote the address."""
    doubt: str = ""
    """Why its certificate was not believed."""


class _Said(Exception):
    """The server's answer ends this try."""

    def __init__(self, answer: SmtpAnswer) -> None:
        super().__init__(answer.outcome)
        self.answer = answer


def hand_over(
    url: str, sender: str, letter: Written, mail_id: UUID, *, timeout: float, handing: Callable[[], None],
    logo: Logo | None = None, returns: str = "",
) -> SmtpAnswer:  # fmt: skip
    """Sends one mail. `handing` is called once the server is ready for the text and before any of it leaves. What another
    server cannot bring comes back to `returns`, or to the sender."""
    try:
        message, mail_from, rcpt_to = _message(sender, letter, mail_id, logo)
        mail_from = address_of(returns).addr_spec if returns else mail_from
    except (ValueError, UnicodeError):  # Header values with line ends, addresses that are none.
        return SmtpAnswer(MailOutcome.ADDRESS)
    deadline = time.monotonic() + PATIENCE * timeout
    try:
        with _until_it_answers(), _connected(url, timeout) as server:
            _greet(server, url, timeout, deadline)
            _envelope(server, mail_from, rcpt_to, timeout, deadline)
            _step(server, "DATA", MailOutcome.REFUSED, timeout, deadline)
            return _text(server, message, timeout, handing)
    except _Said as said:
        return said.answer


def would_take(url: str, sender: str, *, timeout: float, returns: str = "") -> SmtpAnswer:
    """Whether the server lets us in and takes mail of this sender, to the sender's own address; nothing is sent."""
    deadline = time.monotonic() + PATIENCE * timeout
    try:
        own = address_of(sender).addr_spec
        with _until_it_answers(), _connected(url, timeout) as server:
            _greet(server, url, timeout, deadline)
            _envelope(server, address_of(returns).addr_spec if returns else own, own, timeout, deadline)
            return SmtpAnswer(MailOutcome.SENT)
    except ValueError:
        return SmtpAnswer(MailOutcome.REFUSED)
    except _Said as said:
        return said.answer


def _message(
    sender: str, letter: Written, mail_id: UUID, logo: Logo | None = None
) -> tuple[EmailMessage, str, str]:
    """The mail with both addresses as an envelope carries them."""
    message = EmailMessage(policy=CERTAIN)
    own, theirs = address_of(sender), address_of(letter.to)
    message["From"], message["To"], message["Subject"] = own, theirs, letter.subject
    message["Date"] = format_datetime(utc_now())
    # A stable id lets receivers drop a copy, and one of our own domain is what filters expect.
    message["Message-ID"] = f"<{mail_id}@{own.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = letter.language
    message.set_content(letter.text)
    pictured = Pictured(f"logo@{own.domain}", logo.width, logo.height) if logo else None
    message.add_alternative(html_of(letter, pictured), subtype="html")
    if logo and pictured:
        page = message.get_body(("html",))
        assert isinstance(page, EmailMessage)
        page.add_related(logo.picture, "image", "png", cid=f"<{pictured.cid}>", disposition="inline")
    return message, own.addr_spec, theirs.addr_spec


def address_of(written: str) -> Address:
    """With the domain as the mail system spells it: every server takes that, whatever else it can. Raises `ValueError`."""
    name, spec = parseaddr(written)
    local, at, domain = spec.rpartition("@")
    if not at or not local or not written.isprintable():
        raise ValueError("This is no address.")
    if not domain.isascii():
        domain = idna.encode(domain, uts46=True).decode()
    return Address(name, local, domain)


@contextmanager
def _until_it_answers() -> Iterator[None]:
    """A connection that breaks or falls silent while nothing was taken yet."""
    try:
        yield
    except smtplib.SMTPResponseException as error:
        raise _Said(SmtpAnswer(MailOutcome.AWAY, _code(error.smtp_code, error.smtp_error))) from None
    except ssl.SSLCertVerificationError as error:
        raise _Said(SmtpAnswer(MailOutcome.AWAY, "certificate", doubt(error))) from None
    except (smtplib.SMTPException, OSError, UnicodeError):
        raise _Said(SmtpAnswer(MailOutcome.AWAY)) from None


@contextmanager
def _connected(url: str, timeout: float) -> Iterator[smtplib.SMTP]:
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port or 465, timeout=timeout, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, port or 25, timeout=timeout)
    try:
        yield server
    finally:
        # Not a polite QUIT: the mail's fate is known by now, and a server that stays silent would cost one more time-out.
        try:
            if server.sock is not None:
                server.sock.settimeout(min(timeout, 1.0))
                server.putcmd("quit")
        except (smtplib.SMTPException, OSError):
            pass
        server.close()


def _greet(server: smtplib.SMTP, url: str, timeout: float, deadline: float) -> None:
    parts = urlsplit(url)
    _wait(server, timeout, deadline)
    server.ehlo_or_helo_if_needed()
    if parts.scheme == "smtp" and server.has_extn("starttls"):
        _wait(server, timeout, deadline)
        server.starttls(context=ssl.create_default_context())
        _wait(server, timeout, deadline)
        server.ehlo_or_helo_if_needed()
    elif parts.scheme == "smtp" and parts.username and (parts.hostname or "localhost") not in LOCAL:
        # Without TLS the password and the links would travel in clear.
        raise _Said(SmtpAnswer(MailOutcome.AWAY, "no TLS"))
    if parts.username:
        _wait(server, timeout, deadline)
        server.login(unquote(parts.username), unquote(parts.password or ""))


def _envelope(server: smtplib.SMTP, mail_from: str, rcpt_to: str, timeout: float, deadline: float) -> None:
    options = []
    if not (mail_from.isascii() and rcpt_to.isascii()):
        if not server.has_extn("smtputf8"):
            raise _Said(SmtpAnswer(MailOutcome.SPELLING))
        options, server.command_encoding = ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
    for command, refused in (
        (" ".join([f"MAIL FROM:<{mail_from}>", *options]), MailOutcome.REFUSED),
        (f"RCPT TO:<{rcpt_to}>", MailOutcome.ADDRESS),
    ):
        _step(server, command, refused, timeout, deadline)


def _step(server: smtplib.SMTP, command: str, refused: MailOutcome, timeout: float, deadline: float) -> None:
    _wait(server, timeout, deadline)
    _check(*server.docmd(command), refused, expected=354 if command == "DATA" else 250)


def _text(server: smtplib.SMTP, message: EmailMessage, timeout: float, handing: Callable[[], None]) -> SmtpAnswer:
    written = message.as_bytes(policy=CERTAIN if server.command_encoding == "ascii" else policy.SMTPUTF8)
    lines = re.sub(rb"(?m)^\.", b"..", re.sub(rb"\r\n|\r|\n", b"\r\n", written))
    handing()
    server.send(lines if lines.endswith(b"\r\n") else lines + b"\r\n")
    try:
        if server.sock is not None:
            server.sock.settimeout(LAST_PATIENCE * timeout)
        server.send(b".\r\n")
        code, said = server.getreply()
    except (smtplib.SMTPException, OSError):
        return SmtpAnswer(MailOutcome.UNKNOWN)
    if not 200 <= code < 600 or 300 <= code < 400:
        return SmtpAnswer(MailOutcome.UNKNOWN, _code(code, said))
    try:
        _check(code, said, MailOutcome.REFUSED, expected=250)
    except _Said as no:
        return no.answer
    return SmtpAnswer(MailOutcome.SENT, _code(code, said))


def _check(code: int, said: bytes, refused: MailOutcome, *, expected: int) -> None:
    """Raises `_Said` unless the server goes along."""
    if code == expected or (expected == 250 and 200 <= code < 300):
        return
    if code in NOT_OURS_TO_MEND or not 400 <= code < 600:
        raise _Said(SmtpAnswer(MailOutcome.AWAY, _code(code, said)))
    raise _Said(SmtpAnswer(MailOutcome.LATER if code < 500 else refused, _code(code, said)))


def _code(code: int, said: bytes | str) -> str:
    """The three digits and, where the server gives one, the enhanced status (RFC 3463)."""
    words = said.decode("ascii", "replace") if isinstance(said, bytes) else said
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", words)
    return f"{code} {enhanced[0]}" if enhanced else str(code) if 100 <= code < 600 else ""


def _wait(server: smtplib.SMTP, timeout: float, deadline: float) -> None:
    """Leaves the next line as long as there is, so that a slow server does not outlast the job's lease."""
    left = min(timeout, deadline - time.monotonic())
    if left <= 0:
        raise _Said(SmtpAnswer(MailOutcome.AWAY))
    if server.sock is not None:
        server.sock.settimeout(left)
