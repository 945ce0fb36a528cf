"""The mailbox that returned mails come to, by IMAP (RFC 3501)."""

from __future__ import annotations

import imaplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from likeness.ground.errors import LikenessError
from likeness.ground.tls import doubt
from likeness.mail.bounces import LARGEST
from likeness.mail.smtp import LOCAL

MOST = 100
"""Messages of one visit; those behind them are read at the next."""


class MailboxAway(LikenessError):
    """The mailbox cannot be read now. What it says names neither address nor password."""

    title = "The mailbox cannot be read"


@dataclass(frozen=True)
class Returned:
    """A message as it lies there, by its number in the mailbox."""

    uid: str
    data: bytes
    """Its first bytes, at most `bounces.LARGEST`."""


class Mailbox:
    def __init__(self, server: imaplib.IMAP4) -> None:
        self._server = server

    def unread(self) -> Iterator[Returned]:
        """At most `MOST`, oldest first. Nothing is marked as read by it."""
        _, found = self._server.uid("search", "UNSEEN", "UNDELETED")
        for uid in (found[0] or b"").split()[:MOST]:
            _, held = self._server.uid("fetch", uid.decode(), f"(UID BODY.PEEK[]<0.{LARGEST}>)")
            for one in held:
                if isinstance(one, tuple) and b"BODY[" in one[0]:
                    yield Returned(uid.decode(), one[1])

    def leave(self, uid: str) -> None:
        """It is for people: it stays, and is not looked at again."""
        self._server.uid("store", uid, "+FLAGS.SILENT", r"(\Seen)")

    def delete(self, uid: str) -> None:
        self._server.uid("store", uid, "+FLAGS.SILENT", r"(\Seen \Deleted)")
        if "UIDPLUS" in self._server.capabilities:
            self._server.uid("expunge", uid)  # This one alone, whatever somebody else has marked.
        else:
            self._server.expunge()


@contextmanager
def opened(url: str, *, timeout: float) -> Iterator[Mailbox]:
    """`imaps://user:password@host:993/INBOX`, or `imap://` with STARTTLS. Raises `MailboxAway`, within too."""
    parts = urlsplit(url)
    host, folder = parts.hostname or "localhost", unquote(parts.path.strip("/")) or "INBOX"
    server: imaplib.IMAP4 | None = None
    try:
        if parts.scheme == "imaps":
            server = imaplib.IMAP4_SSL(host, parts.port or 993, ssl_context=ssl.create_default_context(), timeout=timeout)
        else:
            server = imaplib.IMAP4(host, parts.port or 143, timeout=timeout)
            if "STARTTLS" in server.capabilities:
                server.starttls(ssl.create_default_context())
            elif host not in LOCAL:
                # Without TLS the password and what came back would travel in clear.
                raise MailboxAway("The server offers no TLS.")
        server.login(unquote(parts.username or ""), unquote(parts.password or ""))
        answer, _ = server.select('"' + folder.replace("\\", "\\\\").replace('"', '\\"') + '"')
        if answer != "OK":
            raise MailboxAway("There is no such folder.")
        yield Mailbox(server)
    except ssl.SSLCertVerificationError as error:
        raise MailboxAway(f"The server was not believed: {doubt(error)}.") from None
    except imaplib.IMAP4.abort:
        raise MailboxAway("The connection broke.") from None
    except imaplib.IMAP4.error:
        raise MailboxAway("The server does not let us in.") from None
    except OSError:
        raise MailboxAway("The server does not answer.") from None
    finally:
        if server is not None:
            with suppress(imaplib.IMAP4.error, OSError):
                server.logout()


def trouble(url: str, *, timeout: float) -> str:
    """Why the mailbox cannot be read; empty when it can. Nothing in it is looked at."""
    try:
        with opened(url, timeout=timeout):
            return ""
    except MailboxAway as error:
        return str(error)
