"""Mail: written in the transaction that causes it, sent by a job, at most once for each (owner, template, campaign).

Address, subject and text are sealed under the key of the person it is for, so an erasure also closes what a mail said.
What an SMTP server answered is written on the row (`smtp.py`); where it did not answer at the end, the row says that
nobody knows, and only a person may decide to write again.
Without an SMTP server mails stay in the mailbox that the embedded profile shows as a page.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.utils import parseaddr
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import UniqueConstraint, or_, select, text, update
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlmodel import Field, Session, col

from likeness.ground.db import Moment, TenantRow, of_tenant, tenant_of, utc_now
from likeness.ground.errors import Gone, LikenessError
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef
from likeness.mail import logos, senders
from likeness.mail.bounces import Bounce, envelope_of
from likeness.mail.smtp import MailOutcome, SmtpAnswer, hand_over

KEEP_TRYING = timedelta(days=3)
"""A mail that no server has taken by then is given up, and its row says so."""


class MailServerAway(jobs.LaneBlocked):
    """Nothing can be sent right now; every mail waits, and that is no failed try of any."""


class AskedToWait(LikenessError):
    """The server wants this mail later."""


class Mail(TenantRow, table=True):
    __table_args__ = (UniqueConstraint("tenant_id", "owner_id", "template", "campaign"), of_tenant())

    owner_id: UUID = Field(index=True)
    """The employee or member it is written to, whose key seals it."""
    template: str
    campaign: str
    sealed: bytes | None
    """Sealed JSON of a `Letter`; None once it was handed to an SMTP server."""
    created_at: datetime = Moment()
    sent_at: datetime | None = Moment(default=None, nullable=True)
    failed_at: datetime | None = Moment(default=None, nullable=True)
    outcome: str | None = None
    """What came of the last try, or what came back later, a `MailOutcome`; None before the first and without a server."""
    code: str | None = None
    tried_at: datetime | None = Moment(default=None, nullable=True)
    handed_at: datetime | None = Moment(default=None, nullable=True)
    """When its text began to leave; an answer that says that nothing was taken removes it."""


@dataclass(frozen=True)
class Letter:
    to: str
    subject: str
    text: str
    language: str = "en"
    brand: str = ""
    """Whose name stands above it in HTML."""
    colour: str = ""
    """Of the company, as #rrggbb; empty for the one of Likeness."""


def post(
    session: Session, keys: KeyFolder, owner: UUID, letter: Letter, *, template: str, campaign: str
) -> UUID | None:
    """Leaves a mail in this transaction; None when the same one was written before."""
    tenant = tenant_of(session)
    sealed = keys.open(KeyRef(tenant, owner, KeyClass.PROFILE)).seal(
        json.dumps(letter.__dict__).encode(), f"mail/{template}/{campaign}"
    )
    new = session.execute(
        insert(Mail)
        .values(
            tenant_id=tenant,
            id=(mail_id := uuid4()),
            owner_id=owner,
            template=template,
            campaign=campaign,
            sealed=sealed,
            created_at=utc_now(),
        )
        .on_conflict_do_nothing()
        .returning(col(Mail.id))
    ).first()
    if new is None:
        return None
    jobs.send(session, deliver, str(mail_id))
    return mail_id


def read(keys: KeyFolder, mail: Mail) -> Letter | None:
    """What a mail says; None when it was sent on or its owner's key is gone."""
    if mail.sealed is None:
        return None
    try:
        key = keys.open(KeyRef(mail.tenant_id, mail.owner_id, KeyClass.PROFILE))
    except Gone:
        return None
    return Letter(**json.loads(key.open(mail.sealed, f"mail/{mail.template}/{mail.campaign}")))


def mailbox(session: Session) -> list[Mail]:
    """The tenant's mails, newest first."""
    return list(
        session.execute(
            select(Mail).where(col(Mail.tenant_id) == tenant_of(session)).order_by(col(Mail.created_at).desc())
        ).scalars()
    )


@dataclass(frozen=True)
class MailFailures:
    """Mails of one kind that did not arrive, or of which nobody knows: counted, and nobody named."""

    template: str
    outcome: str
    code: str
    count: int
    newest: datetime


def failures(session: Session, since: datetime) -> list[MailFailures]:
    """What the tenant's mails of every kind came to, the newest trouble first."""
    found = session.execute(FAILURES, {"tenant": tenant_of(session), "since": since})
    return [MailFailures(one.template, one.outcome or "failed", one.code or "", one.mails, one.newest) for one in found]


@dataclass(frozen=True)
class MailCounts:
    """The tenant's mails of the last 24 hours, as counts; `oldest` is how long the first that waits has waited."""

    sent: int
    waiting: int
    failed: int
    oldest: float


TOLD = text(
    """
    select count(*) filter (where sent_at > :since), count(*) filter (where sent_at is null and failed_at is null),
           count(*) filter (where failed_at > :since),
           extract(epoch from cast(:now as timestamptz)
                   - min(created_at) filter (where sent_at is null and failed_at is null))
    from mail where tenant_id = :tenant
    """
)


def told(session: Session, now: datetime) -> MailCounts:
    asked = {"tenant": tenant_of(session), "now": now, "since": now - timedelta(days=1)}
    sent, waiting, failed, oldest = session.execute(TOLD, asked).one()
    return MailCounts(sent, waiting, failed, float(oldest or 0))


def undelivered(session: Session, owners: Collection[UUID]) -> dict[UUID, Mail]:
    """The newest mail of each of them, where that did not arrive or nobody knows."""
    newest = (
        select(Mail)
        .where(col(Mail.tenant_id) == tenant_of(session), col(Mail.owner_id).in_(list(owners)))
        .ext(distinct_on(col(Mail.owner_id)))
        .order_by(col(Mail.owner_id), col(Mail.created_at).desc())
    )
    found = session.execute(newest).scalars()
    return {one.owner_id: one for one in found if one.failed_at is not None or one.outcome == MailOutcome.UNKNOWN}


FAILURES = text(
    """
    select template, outcome, code, count(*) as mails, max(created_at) as newest from mail
    where tenant_id = :tenant and created_at >= :since and (failed_at is not null or outcome = 'unknown')
    group by template, outcome, code order by max(created_at) desc limit 50
    """
)


def came_back(session: Session, bounces: Collection[Bounce], now: datetime) -> None:
    """Writes what came back on the tenant's mails, of which our own server had taken each; once for each."""
    for one in bounces:
        session.execute(
            update(Mail)
            .where(
                col(Mail.tenant_id) == tenant_of(session),
                col(Mail.id) == one.mail_id,
                col(Mail.failed_at).is_(None),
                or_(col(Mail.sent_at).is_not(None), col(Mail.outcome) == MailOutcome.UNKNOWN),
            )
            .values(sent_at=None, failed_at=now, outcome=one.outcome, code=one.code or None)
        )


def sender_of(session: Session, mail_from: str) -> str:
    """Whom the tenant's mails come from: its own address once that is proven, else the installation's, with the name that
    the company chose."""
    chosen = session.execute(text("select sender_name from tenant where id = :tenant"), {"tenant": tenant_of(session)})
    name = chosen.scalar_one_or_none()
    installation, address = parseaddr(mail_from)
    own = senders.in_use(session)
    local, _, domain = (own or address).rpartition("@")
    return str(Address(name or installation, local, domain)) if name or own else mail_from


@jobs.actor(lane=Lane.MAIL, attempts=40, lease=timedelta(minutes=5))
def deliver(attempt: jobs.Attempt, mail_id: str) -> None:
    """Sends one mail and writes what came of it on its row: at most once, whatever breaks in between.

    Raises `AskedToWait` and `MailServerAway` for another try.
    """
    kernel, now = attempt.kernel, utc_now()
    with attempt.transaction() as session:
        mail, logo = _mail(session, UUID(mail_id)), logos.of(session)
        sender = sender_of(session, kernel.settings.mail_from)
    if mail is None or mail.sent_at or mail.failed_at or mail.outcome == MailOutcome.UNKNOWN:
        return
    if mail.handed_at:
        # The program ended between the text and the answer: nobody knows, and a second copy is no way to find out.
        _note(attempt, mail, SmtpAnswer(MailOutcome.UNKNOWN), now, ends=True)
        return
    letter = read(kernel.keys, mail)
    if letter is None or not kernel.settings.smtp_url:
        with attempt.finishing() as session:
            if kept := _mail(session, UUID(mail_id)):
                kept.sent_at, kept.failed_at = (now, None) if letter else (None, now)
        return
    answer = hand_over(
        kernel.settings.smtp_url, sender, letter, mail.id,
        logo=logo, timeout=kernel.settings.smtp_timeout, handing=partial(_mark, attempt, mail.id),
        returns=envelope_of(kernel.settings.bounces_address, mail.id),
    )  # fmt: skip
    wait = answer.outcome in (MailOutcome.LATER, MailOutcome.AWAY)
    too_late = now - mail.created_at > KEEP_TRYING or (answer.outcome == MailOutcome.LATER and attempt.last)
    _note(attempt, mail, answer, utc_now(), ends=not wait or too_late)
    if answer.outcome == MailOutcome.LATER and not too_late:
        raise AskedToWait
    if answer.outcome in (MailOutcome.AWAY, MailOutcome.UNKNOWN) and not too_late:
        # Silence after the text has ended this mail; the others wait a moment rather than fall into it as well.
        raise MailServerAway


def _mark(attempt: jobs.Attempt, mail_id: UUID) -> None:
    """Durable before the text leaves, so that no crash and no second worker can send it again."""
    with attempt.transaction() as session:
        if mail := _mail(session, mail_id):
            mail.handed_at = utc_now()


def _note(attempt: jobs.Attempt, mail: Mail, answer: SmtpAnswer, now: datetime, *, ends: bool) -> None:
    with attempt.finishing() if ends else attempt.transaction() as session:
        kept = _mail(session, mail.id)
        if kept is None:
            return
        kept.outcome, kept.code, kept.tried_at = answer.outcome, answer.code or None, now
        if answer.outcome == MailOutcome.SENT:
            kept.sent_at = now
        elif answer.outcome != MailOutcome.UNKNOWN:
            kept.handed_at = None
            kept.failed_at = now if ends else None
        else:
            kept.handed_at = kept.handed_at or now
        if answer.outcome in (MailOutcome.SENT, MailOutcome.UNKNOWN):
            kept.sealed = None


def _mail(session: Session, mail_id: UUID) -> Mail | None:
    return session.execute(
        select(Mail).where(col(Mail.tenant_id) == tenant_of(session), col(Mail.id) == mail_id)
    ).scalar_one_or_none()
