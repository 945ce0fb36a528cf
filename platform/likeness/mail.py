"""Mail: written in the transaction that causes it, sent by a job, at most once for each (owner, template, campaign).

Address, subject and text are sealed under the key of the person it is for, so an erasure also closes what a mail said.
What an SMTP server answered is written on the row (`smtp.py`); where it did not answer at the end, the row says that
nobody knows, and only a person may decide to write again.
Without an SMTP server mails stay in the mailbox that the embedded profile shows as a page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session

from likeness import jobs
from likeness.db import Moment, TenantRow, of_tenant, tenant_of, utc_now
from likeness.errors import Gone, LikenessError
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.lanes import Lane
from likeness.smtp import Answer, Outcome, hand_over

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
    """Sealed JSON of `to`, `subject` and `text`; None once it was handed to an SMTP server."""
    created_at: datetime = Moment()
    sent_at: datetime | None = Moment(default=None, nullable=True)
    failed_at: datetime | None = Moment(default=None, nullable=True)
    outcome: str | None = None
    """What came of the last try, one of `smtp.Outcome`; None before the first and without a server."""
    code: str | None = None
    tried_at: datetime | None = Moment(default=None, nullable=True)
    handed_at: datetime | None = Moment(default=None, nullable=True)
    """When its text began to leave; an answer that says that nothing was taken removes it."""


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


@jobs.actor(lane=Lane.MAIL, attempts=40, lease=timedelta(minutes=5))
def deliver(attempt: jobs.Attempt, mail_id: str) -> None:
    """Sends one mail and writes what came of it on its row: at most once, whatever breaks in between.

    Raises `AskedToWait` and `MailServerAway` for another try.
    """
    kernel, now = attempt.kernel, utc_now()
    with attempt.transaction() as session:
        mail = _mail(session, UUID(mail_id))
    if mail is None or mail.sent_at or mail.failed_at or mail.outcome == Outcome.UNKNOWN:
        return
    if mail.handed_at:
        # The program ended between the text and the answer: nobody knows, and a second copy is no way to find out.
        _note(attempt, mail, Answer(Outcome.UNKNOWN), now, ends=True)
        return
    letter = read(kernel.keys, mail)
    if letter is None or not kernel.settings.smtp_url:
        with attempt.finishing() as session:
            if kept := _mail(session, UUID(mail_id)):
                kept.sent_at, kept.failed_at = (now, None) if letter else (None, now)
        return
    answer = hand_over(
        kernel.settings.smtp_url, kernel.settings.mail_from, letter, mail.id,
        timeout=kernel.settings.smtp_timeout, handing=partial(_mark, attempt, mail.id),
    )  # fmt: skip
    wait = answer.outcome in (Outcome.LATER, Outcome.AWAY)
    too_late = now - mail.created_at > KEEP_TRYING or (answer.outcome == Outcome.LATER and attempt.last)
    _note(attempt, mail, answer, utc_now(), ends=not wait or too_late)
    if answer.outcome == Outcome.LATER and not too_late:
        raise AskedToWait
    if answer.outcome in (Outcome.AWAY, Outcome.UNKNOWN) and not too_late:
        # Silence after the text has ended this mail; the others wait a moment rather than fall into it as well.
        raise MailServerAway


def _mark(attempt: jobs.Attempt, mail_id: UUID) -> None:
    """Durable before the text leaves, so that no crash and no second worker can send it again."""
    with attempt.transaction() as session:
        if mail := _mail(session, mail_id):
            mail.handed_at = utc_now()


def _note(attempt: jobs.Attempt, mail: Mail, answer: Answer, now: datetime, *, ends: bool) -> None:
    with attempt.finishing() if ends else attempt.transaction() as session:
        kept = _mail(session, mail.id)
        if kept is None:
            return
        kept.outcome, kept.code, kept.tried_at = answer.outcome, answer.code or None, now
        if answer.outcome == Outcome.SENT:
            kept.sent_at = now
        elif answer.outcome != Outcome.UNKNOWN:
            kept.handed_at = None
            kept.failed_at = now if ends else None
        else:
            kept.handed_at = kept.handed_at or now
        if answer.outcome in (Outcome.SENT, Outcome.UNKNOWN):
            kept.sealed = None


def _mail(session: Session, mail_id: UUID) -> Mail | None:
    return session.execute(
        select(Mail).where(Mail.tenant_id == tenant_of(session), Mail.id == mail_id)  # type: ignore[arg-type]
    ).scalar_one_or_none()
