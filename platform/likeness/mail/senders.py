"""A company's own address that its mails come from, once the domain itself says that it is the company's.

Anybody can type an address. It counts when a TXT record of its domain names the company, and when the domain publishes the
key that our mail server signs with; until then, and once one of the two is gone, mails come from the installation's
address.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint, delete, select
from sqlmodel import Session, col

from likeness import ledger
from likeness.ground.db import Moment, TenantRow, of_tenant, tenant_of
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.mail import sender
from likeness.mail.sender import SELECTOR, Check
from likeness.mail.smtp import address_of

LONGEST = 254


class SenderMissing(NotFound):
    """The company has no sender of its own."""

    title = "There is no sender of your own"


class SenderRefused(Unprocessable):
    """What was typed is no address, or no selector."""

    title = "This sender cannot be kept"


class SenderUnproven(Conflict):
    """The domain does not say yet that mails of this company are its own, or our mail server sends none for it."""

    title = "This sender cannot be used yet"


class Sender(TenantRow, table=True):
    __table_args__ = (UniqueConstraint("tenant_id"), of_tenant())

    address: str
    selector: str
    """Of the DKIM key that our mail server signs with."""
    changed_at: datetime = Moment()
    proven_at: datetime | None = Moment(default=None, nullable=True)
    """Since when mails come from it; None: they come from the installation's address."""


def of(session: Session) -> Sender | None:
    return session.execute(select(Sender).where(col(Sender.tenant_id) == tenant_of(session))).scalar_one_or_none()


def get(session: Session) -> Sender:
    """Raises `SenderMissing`."""
    if (mine := of(session)) is None:
        raise SenderMissing("Your company has no sender of its own.")
    return mine


def in_use(session: Session) -> str:
    """The address that the company's mails come from; empty for the installation's."""
    mine = of(session)
    return mine.address if mine and mine.proven_at else ""


def give(session: Session, address: str, selector: str, now: datetime, *, caller: str) -> Sender:
    """Instead of the one before; it has to be proven. Raises `SenderRefused`."""
    address, selector = address.strip(), selector.strip()
    try:
        spec = address_of(address).addr_spec
    except ValueError:
        spec = ""
    if not spec or spec != address or len(address) > LONGEST or "." not in sender.domain_of(address):
        raise SenderRefused("Write the address alone, such as headshots@company.example.")
    if not SELECTOR.fullmatch(selector):
        raise SenderRefused("A selector has letters, digits, dots and hyphens alone. Ask whoever runs Likeness for it.")
    _take_away(session)
    mine = Sender(tenant_id=tenant_of(session), address=address, selector=selector, changed_at=now)
    session.add(mine)
    session.flush()
    ledger.record(session, "sender.changed", caller=caller, objects=[mine.id])
    return mine


def prove(session: Session, checks: list[Check], now: datetime, *, caller: str) -> None:
    """From now on mails come from it. Raises `SenderMissing` and `SenderUnproven`."""
    mine = get(session)
    if not sender.proven(checks):
        raise SenderUnproven("The record that names your company and the DKIM key have to be found first.")
    mine.proven_at = mine.proven_at or now
    session.add(mine)
    ledger.record(session, "sender.proven", caller=caller, objects=[mine.id])


def look_again(session: Session, sender_id: UUID, checks: list[Check]) -> None:
    """After a look at a sender in use: one that is not proven any more is left. Silence of DNS says nothing."""
    mine = of(session)
    if mine and mine.id == sender_id and mine.proven_at and sender.disproven(checks):
        mine.proven_at = None
        session.add(mine)
        ledger.record(session, "sender.lost", objects=[mine.id])


def take_away(session: Session, *, caller: str) -> None:
    """Mails come from the installation's address again. Raises `SenderMissing`."""
    if not _take_away(session):
        raise SenderMissing("Your company has no sender of its own.")
    ledger.record(session, "sender.removed", caller=caller)


def _take_away(session: Session) -> bool:
    gone = session.execute(
        delete(Sender).where(col(Sender.tenant_id) == tenant_of(session)).returning(col(Sender.id))
    )
    return gone.first() is not None
