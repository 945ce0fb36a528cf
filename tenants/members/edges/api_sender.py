"""The JSON edge of a company's own sender: the address that its mails come from, and what its domain says of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Request, delete, get, post, put
from litestar.params import JSONBody
from msgspec import Struct

from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.mail import sender, senders
from likeness.mail.bounces import envelope_of
from likeness.mail.sender import Check
from likeness.mail.senders import Sender
from likeness.mail.smtp import MailOutcome, would_take
from likeness.web.described import FOR_PEOPLE
from likeness.web.guards import kernel_of, only, signed_in
from tenants.members.access import desk
from tenants.members.permissions import Permission

DESK = [only(Kind.MEMBER)]


@dataclass
class SenderCheck:
    """`name` is Ownership, SPF, DKIM or DMARC, `state` good, warn or bad."""

    name: str
    state: str
    says: str
    record: str


@dataclass
class SenderShown:
    """Mails come from `address` since `proven_at`, and from the installation's address while that is null."""

    address: str
    selector: str
    proven_at: datetime | None
    checks: list[SenderCheck]


class SenderWords(Struct, forbid_unknown_fields=True):
    """`selector` is that of the DKIM key that the mail server of this installation signs with."""

    address: str
    selector: str


@get("/tenant/sender", guards=DESK, sync_to_thread=True)
def show_sender(request: Request[Any, Any, Any]) -> SenderShown:
    """What DNS says of it now."""
    with desk(request, Permission.COMPANY_READ) as (session, _):
        mine = senders.get(session)
    return _shown(mine, looked_up(request, mine))


@put("/tenant/sender", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def give_sender(request: Request[Any, Any, Any], data: JSONBody[SenderWords]) -> SenderShown:
    """Mails come from it once `POST /tenant/sender/use` has found it proven."""
    mine = kept(request, data.address, data.selector)
    return _shown(mine, looked_up(request, mine))


@post("/tenant/sender/use", guards=DESK, opt=FOR_PEOPLE, status_code=200, sync_to_thread=True)
def use_sender(request: Request[Any, Any, Any]) -> SenderShown:
    mine, checks = used(request)
    return _shown(mine, checks)


@delete("/tenant/sender", guards=DESK, opt=FOR_PEOPLE, sync_to_thread=True)
def remove_sender(request: Request[Any, Any, Any]) -> None:
    removed(request)


def looked_up(request: Request[Any, Any, Any], mine: Sender) -> list[Check]:
    """Outside of any transaction, because DNS may take its time."""
    settings = kernel_of(request).settings
    return sender.own(
        mine.address, mine.tenant_id, settings.smtp_url, mine.selector, sender.Names(settings.dns_server),
        returns=settings.bounces_address,
    )  # fmt: skip


def kept(request: Request[Any, Any, Any], address: str, selector: str) -> Sender:
    """Raises `SenderRefused`."""
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        return senders.give(session, address, selector, utc_now(), caller=str(signed_in(request)))


def used(request: Request[Any, Any, Any]) -> tuple[Sender, list[Check]]:
    """Raises `SenderMissing` and `SenderUnproven`."""
    settings = kernel_of(request).settings
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        mine = senders.get(session)
    checks = looked_up(request, mine)
    if sender.proven(checks) and settings.smtp_url:
        returns = envelope_of(settings.bounces_address, mine.id)
        answer = would_take(settings.smtp_url, mine.address, timeout=settings.smtp_timeout, returns=returns)
        if answer.outcome not in (MailOutcome.SENT, MailOutcome.LATER):
            raise senders.SenderUnproven(
                "The mail server here takes no mail from {address}. Ask whoever runs Likeness to let it.",
                address=mine.address,
            )
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        if senders.get(session).id != mine.id:
            raise senders.SenderUnproven("Somebody changed the sender meanwhile. Look at it again.")
        senders.prove(session, checks, utc_now(), caller=str(signed_in(request)))
        return senders.get(session), checks


def removed(request: Request[Any, Any, Any]) -> None:
    """Raises `SenderMissing`."""
    with desk(request, Permission.COMPANY_CHANGE) as (session, _):
        senders.take_away(session, caller=str(signed_in(request)))


def _shown(mine: Sender, checks: list[Check]) -> SenderShown:
    told = [SenderCheck(one.name, one.state, one.says, one.record) for one in checks]
    return SenderShown(mine.address, mine.selector, mine.proven_at, told)


routes: list[Any] = [show_sender, give_sender, use_sender, remove_sender]
