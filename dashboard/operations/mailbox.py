"""The mailbox of the embedded profile, for operators: what people would have got where no mail leaves this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from litestar import Request, Response, get
from litestar.params import FromPath
from sqlmodel import Session

from dashboard.operations.operations import OPERATORS
from dashboard.pages import page
from likeness.ground.errors import NotFound
from likeness.kernel import Kernel
from likeness.mail import mail
from likeness.web.guards import kernel_of
from tenants import tenants
from tenants.members.access import desk
from tenants.members.permissions import Permission

LINK = re.compile(r"https?://[^\s<>]+/(?:i|sign-in)/[^\s<>]+")


class MailboxClosed(NotFound):
    """Mails go out through a server here, and their text is not kept."""

    title = "There is no mailbox here"


@dataclass(frozen=True)
class ShownMail:
    subject: str
    to: str
    text: str
    language: str
    link: str | None
    created_at: datetime
    sent: bool


def mailbox_of(kernel: Kernel, session: Session) -> list[ShownMail]:
    """The newest mails of the embedded profile, for operators only: a personal link would let HR act as the person.

    Raises `MailboxClosed` where mails really leave."""
    if kernel.settings.smtp_url or not kernel.settings.embedded:
        raise MailboxClosed("Mails leave through your mail server; there is no mailbox page here.")
    found = []
    for one in mail.mailbox(session)[:100]:
        letter = mail.read(kernel.keys, one)
        if letter is not None:
            link = LINK.search(letter.text)
            # The path alone, so that the link works under whichever address this page was opened.
            path = urlsplit(link.group()).path if link else None
            found.append(
                ShownMail(
                    letter.subject, letter.to, letter.text, letter.language, path, one.created_at, one.sent_at is not None
                )
            )  # fmt: skip
    return found


@get("/operations/mailbox", sync_to_thread=True, guards=OPERATORS)
def show_mailbox(request: Request[Any, Any, Any]) -> Response[str]:
    """Whose mails to look at."""
    kernel = kernel_of(request)
    with desk(request, Permission.MAILBOX_READ) as (session, _):
        known = tenants.all_tenants(session)
        letters = mailbox_of(kernel, session)
    return page(request, "operations/mailbox.html", {"tenants": known, "chosen": None, "letters": letters})


@get("/operations/mailbox/{tenant_id:uuid}", sync_to_thread=True, guards=OPERATORS)
def show_mailbox_of(request: Request[Any, Any, Any], tenant_id: FromPath[UUID]) -> Response[str]:
    kernel = kernel_of(request)
    with desk(request, Permission.MAILBOX_READ) as (session, _):
        known = tenants.all_tenants(session)
    with kernel.db.transaction(tenant_id) as session:
        chosen = tenants.get(session)
        letters = mailbox_of(kernel, session)
    return page(request, "operations/mailbox.html", {"tenants": known, "chosen": chosen, "letters": letters})


routes: list[Any] = [show_mailbox, show_mailbox_of]
