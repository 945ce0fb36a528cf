"""Mail: written in the transaction that causes it, sent by a job, at most once for each (owner, template, campaign).

Address, subject and text are sealed under the key of the person it is for, so an erasure also closes what a mail said.
Without an SMTP server mails stay in the mailbox that the embedded profile shows as a page.
"""

from __future__ import annotations

import json
import smtplib
import ssl
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

from sqlalchemy import UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session

from likeness import jobs
from likeness.db import Moment, TenantRow, of_tenant, tenant_of, utc_now
from likeness.errors import Gone, Unavailable
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.lanes import Lane

SMTP_TIMEOUT_SECONDS = 20


class MailServerUnsafe(Unavailable):
    """A password would be sent in clear."""


class Mail(TenantRow, table=True):
    __table_args__ = (UniqueConstraint("tenant_id", "owner_id", "template", "campaign"), of_tenant())

    owner_id: UUID = Field(index=True)
    """The employee or member it is written to, whose key seals it."""
    template: str
    campaign: str
    sealed: bytes | None
    """Sealed JSON of `to`, `subject` and `text`; None once an SMTP server has taken it."""
    created_at: datetime = Moment()
    sent_at: datetime | None = Moment(default=None, nullable=True)
    failed_at: datetime | None = Moment(default=None, nullable=True)


@dataclass(frozen=True)
class Letter:
    to: str
    subject: str
    text: str


def post(
    session: Session, keys: KeyFolder, owner: UUID, letter: Letter, *, template: str, campaign: str
) -> UUID | None:
    """Leaves a mail in this transaction; None when the same one was written before."""
    tenant = tenant_of(session)
    sealed = keys.open_or_create(KeyRef(tenant, owner, KeyClass.PROFILE)).seal(
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
        .returning(Mail.id)  # type: ignore[call-overload]
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
            select(Mail).where(Mail.tenant_id == tenant_of(session)).order_by(Mail.created_at.desc())  # type: ignore[arg-type, attr-defined]
        ).scalars()
    )


@jobs.actor(lane=Lane.MAIL, attempts=40)
def deliver(attempt: jobs.Attempt, mail_id: str) -> None:
    """Sends one mail. What the server refuses for good is written on the row, as is what fails for three hours."""
    settings = attempt.kernel.settings
    with attempt.transaction() as session:
        mail = _mail(session, UUID(mail_id))
    letter = read(attempt.kernel.keys, mail) if mail and mail.sent_at is None else None
    refused = False
    if letter and settings.smtp_url:
        try:
            _smtp(settings.smtp_url, settings.mail_from, letter, mail_id)
        except (smtplib.SMTPException, OSError) as error:
            # Codes from 500 on are for good; others, greylisting among them, ask for another try.
            codes = [code for code, _ in getattr(error, "recipients", {}).values()]
            refused = attempt.last or any(code >= 500 for code in codes)
            if not refused:
                raise
    with attempt.finishing() as session:
        mail = _mail(session, UUID(mail_id))
        if mail is None or mail.sent_at is not None:
            return
        if refused or letter is None:
            mail.failed_at = utc_now()
            return
        mail.sent_at = utc_now()
        if settings.smtp_url:
            mail.sealed = None


def _mail(session: Session, mail_id: UUID) -> Mail | None:
    return session.execute(
        select(Mail).where(Mail.tenant_id == tenant_of(session), Mail.id == mail_id)  # type: ignore[arg-type]
    ).scalar_one_or_none()


def _smtp(url: str, sender: str, letter: Letter, mail_id: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, letter.to, letter.subject
    # A stable id lets receivers drop the copy when a server accepted the mail but its answer was lost.
    message["Message-ID"] = f"<{mail_id}@likeness>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    parts = urlsplit(url)
    host, port = parts.hostname or "localhost", parts.port
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port or 465, timeout=SMTP_TIMEOUT_SECONDS, context=ssl.create_default_context()
        )
    else:
        server = smtplib.SMTP(host, port or 25, timeout=SMTP_TIMEOUT_SECONDS)
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=ssl.create_default_context())
        elif parts.scheme == "smtp" and parts.username and host not in ("localhost", "127.0.0.1", "::1"):
            raise MailServerUnsafe(f"{host} offers no TLS, so its password and the links would travel in clear.")
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(message)
