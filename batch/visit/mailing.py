"""What became of the mails that ask people: on their invitations, and in a sentence for HR beside each person."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from batch.people import departments
from batch.people.funnel import REST
from likeness.ground.db import PLATFORM, tenant_of
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.mail import bounces, imap, mail
from likeness.mail.smtp import MailOutcome
from tenants import tenants

log = logging.getLogger(__name__)

State = Literal["waiting", "not delivered", "unknown"]


@dataclass(frozen=True)
class MailNote:
    """The newest mail of somebody, while there is something to say of it. One that was taken says nothing."""

    state: State
    message: str
    code: str
    """What the mail server said, e.g. `554 5.7.1`; empty where it said nothing."""
    at: datetime
    send_again: bool
    """It is not sent again by itself, and HR may decide to."""


WAITS = {
    MailOutcome.LATER: N_("The mail server asked to come again later. Nothing was delivered yet; it is tried again by"
                          " itself."),
    MailOutcome.AWAY: N_(
        "The mail server does not take mails right now. Nothing was delivered yet; it is tried again by itself for three"
        " days."
    ),
}
ENDED = {
    MailOutcome.ADDRESS: N_(
        "The mail server does not take mail for this address. Nothing was delivered. Correct the address in the sheet and"
        " drop it again, or send again once you know that it is right."
    ),
    MailOutcome.REFUSED: N_(
        "The mail server refused this mail. Nothing was delivered, and it is not tried again by itself. Ask who runs the"
        " mail server, then send again."
    ),
    MailOutcome.SPELLING: N_(
        "The mail server cannot carry the letters before the @ of this address. Nothing was delivered. Ask for an address"
        " with the letters a to z."
    ),
    MailOutcome.LATER: N_(
        "The mail server asked to come again later, for hours. Nothing was delivered, and it is not tried again by itself."
    ),
    MailOutcome.AWAY: N_(
        "The mail server took no mails for three days. Nothing was delivered, and it is not tried again by itself."
    ),
    MailOutcome.NO_MAILBOX: N_(
        "The mail came back after the mail server had taken it: there is no such mailbox. Correct the address in the sheet"
        " and drop it again, or send again once you know that it is right."
    ),
    MailOutcome.FULL: N_(
        "The mail came back after the mail server had taken it: the mailbox is full. Ask the person to make room, then send"
        " again."
    ),
    MailOutcome.RETURNED: N_(
        "The mail came back after the mail server had taken it: the server behind the address refused it. Ask whoever runs"
        " that server, the number says why, then send again."
    ),
}
UNKNOWN = N_(
    "The mail was handed over, and the mail server did not answer. Nobody knows whether it arrives, so it is not sent again"
    " by itself. Ask the person, or send again: then they may get two."
)
UNDER_WAY = N_("The mail is being handed over. The mail server has not answered yet.")
OTHER_FAILED = N_(
    "A mail to this person, such as a receipt or a question, was not delivered, and it is not tried again by itself. Their"
    " page has what it said. Ask them whether the address is right."
)
OTHER_UNKNOWN = N_(
    "A mail to this person, such as a receipt or a question, was handed over, and the mail server did not answer. Nobody"
    " knows whether it arrives. Their page has what it said."
)
FAILED = N_("This mail could not be sent. Nothing was delivered, and it is not tried again by itself.")


def notes(
    session: Session,
    batch_id: UUID | None = None,
    employee_id: UUID | None = None,
    employee_ids: Collection[UUID] | None = None,
) -> dict[UUID, MailNote]:
    """By person, for those of whom there is something to say. Mails to people who opted out are nobody's business, and so
    are later ones to those who opened their page and have not agreed."""
    wanted = list(employee_ids) if employee_ids is not None else [employee_id] if employee_id is not None else None
    whom = {"tenant": tenant_of(session), "batch": batch_id, "people": wanted} | departments.values(session)
    found: dict[UUID, MailNote] = {}
    for row in session.execute(NOTES, whom):
        if note := _note(row) if row.asks else _other(row):
            found[row.employee_id] = note
    return found


def _other(row: Any) -> MailNote:
    """Of a mail without an invitation's link: a receipt, a question about an address, the last day of headshots."""
    unknown = row.outcome == MailOutcome.UNKNOWN
    at = row.tried_at or row.handed_at or row.failed_at or row.created_at
    words = OTHER_UNKNOWN if unknown else OTHER_FAILED
    return MailNote("unknown" if unknown else "not delivered", words, row.code or "", at, False)


def _note(row: Any) -> MailNote | None:
    outcome, code = MailOutcome(row.outcome) if row.outcome else None, row.code or ""
    at = row.tried_at or row.handed_at or row.failed_at or row.created_at
    if row.sent_at is not None:
        return None
    if outcome == MailOutcome.UNKNOWN:
        return MailNote("unknown", UNKNOWN, code, at, True)
    if row.failed_at is not None:
        return MailNote("not delivered", ENDED.get(outcome, FAILED) if outcome else FAILED, code, at, True)
    if row.handed_at is not None:
        return MailNote("waiting", UNDER_WAY, "", at, False)
    if outcome in WAITS:
        return MailNote("waiting", WAITS[outcome], code, at, False)
    return None


# To who said no nothing is written at HR's wish, and nothing fails. So of whoever opened their page and has not agreed no
# later mail is told either, or a mail server that is away would tell them apart.
AGREED = """exists (select from consent c
        where c.tenant_id = e.tenant_id and c.employee_id = e.id and c.withdrawn_at is null)"""
# Whoever opened the link has got the mail, whatever the mail server said of it. Of a quiet invitation see `reached`.
NEWEST = f"""
    select true as asks, newest.* from (
    select distinct on (l.employee_id) l.employee_id, m.outcome, m.code, m.tried_at, m.handed_at, m.sent_at, m.failed_at,
           m.created_at
    from link l
    join mail m on m.tenant_id = l.tenant_id and m.id = l.mail_id
    join employee e on e.tenant_id = l.tenant_id and e.id = l.employee_id
    join invitation i on i.tenant_id = l.tenant_id and i.id = l.invitation_id
    where l.tenant_id = :tenant and e.opted_out_at is null and i.revoked_at is null
      and (cast(:batch as uuid) is null or e.batch_id = :batch)
      and (cast(:people as uuid[]) is null or l.employee_id = any(cast(:people as uuid[])))
      and {departments.BOUND}
      and (i.opened_at is null or (i.opened_at < m.created_at and {AGREED})) and l.used_at is null
      and (not i.quiet or {AGREED})
    order by l.employee_id, l.created_at desc
    ) newest where sent_at is null
"""  # noqa: S608 - a constant


# The newest of what else was written to somebody, while that did not arrive or nobody knows.
OTHERS = f"""
    select false as asks, newest.* from (
        select distinct on (m.owner_id) m.owner_id as employee_id, m.outcome, m.code, m.tried_at, m.handed_at, m.sent_at,
               m.failed_at, m.created_at
        from mail m join employee e on e.tenant_id = m.tenant_id and e.id = m.owner_id
        where m.tenant_id = :tenant and e.opted_out_at is null
          and (cast(:batch as uuid) is null or e.batch_id = :batch)
          and (cast(:people as uuid[]) is null or e.id = any(cast(:people as uuid[]))) and {departments.BOUND}
          and ({AGREED} or not exists (select from invitation i
              where i.tenant_id = e.tenant_id and i.employee_id = e.id and (i.opened_at is not null or i.quiet)))
          and not exists (select from link l where l.tenant_id = m.tenant_id and l.mail_id = m.id)
          and m.template not in ('address-corrected', 'address-agreed') -- They go to an address that the list gave up.
        order by m.owner_id, m.created_at desc
    ) newest where failed_at is not null or outcome = 'unknown'
"""  # noqa: S608 - a constant
# What asks somebody comes last, so that it counts where there is something to say of both.
NOTES = text(f"({OTHERS}) union all ({NEWEST}) order by asks")


def rested(now: datetime) -> datetime:
    """An invitation that ended before this moment is forgotten, since the person has rested."""
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC) - REST


def reached(session: Session, people: Collection[UUID], now: datetime) -> set[UUID]:
    """Those of the people whom an invitation has reached from which they have not rested yet, and all who have said no.

    To who has said no nothing is sent, so nothing of it waits, fails or comes back. So of all of these HR is told nothing
    of what becomes of the mails of a later invitation, nor of those to an address that it entered since, until they agree:
    one who waits for a mail server would be told from one who is not written to.
    """
    asked = {"tenant": tenant_of(session), "people": list(people), "rested": rested(now)}
    return set(session.execute(REACHED, asked).scalars())


# A line that goes on after a withdrawal has none of the invitations before it.
REACHED = text(
    """
    select e.id from unnest(cast(:people as uuid[])) as person (id)
    join employee e on e.tenant_id = :tenant and e.id = person.id
    where e.opted_out_at is not null or exists (
        select from invitation i where i.tenant_id = e.tenant_id and i.employee_id = e.id and i.expires_at >= :rested
          and (i.quiet or i.delivered_at is not null or i.opened_at is not null))
    """
)

@jobs.every(timedelta(seconds=10))
def note_deliveries(kernel: Kernel, now: datetime) -> None:
    """What became of the mails, written on the invitations: bounces show within a minute."""
    tenants.for_each(kernel, _note_deliveries)


def _note_deliveries(session: Session) -> None:
    session.execute(DELIVERIES, {"tenant": tenant_of(session)})


# A later link that arrived takes an earlier bounce back; readdressing has removed the links of the old address. What came
# back after it was taken is newer than the delivery that was noted of it.
DELIVERIES = text(
    """
    update invitation i set delivered_at = m.sent_at, bounced_at = case when m.sent_at is null then m.failed_at end
    from (
        select l.invitation_id, max(mail.sent_at) as sent_at, max(mail.failed_at) as failed_at
        from link l join mail on mail.tenant_id = l.tenant_id and mail.id = l.mail_id
        where l.tenant_id = :tenant and (mail.sent_at is not null or mail.failed_at is not null)
        group by l.invitation_id
    ) m
    where i.tenant_id = :tenant and i.id = m.invitation_id and i.opened_at is null and not i.quiet
      and case when i.delivered_at is null then m.sent_at is not null or i.bounced_at is null
               else m.sent_at is null and m.failed_at > i.delivered_at end
    """
)


@jobs.every(timedelta(seconds=30))
def collect_bounces(kernel: Kernel, now: datetime) -> None:
    """Reads the mailbox that mails come back to. A report is deleted once it is written on the mail's row; whatever else
    lies there is for people, and stays."""
    settings = kernel.settings
    if not (settings.bounces_imap and settings.bounces_address):
        return
    try:
        with imap.opened(settings.bounces_imap, timeout=settings.smtp_timeout) as mailbox:
            read = {one.uid: bounces.read(one.data, settings.bounces_address) for one in mailbox.unread()}
            failed = [one for one in read.values() if one and one.outcome]
            if failed:
                # Whose mail it is only its row says.
                for tenant in (*tenants.all_ids(kernel), PLATFORM):
                    with kernel.db.transaction(tenant) as session:
                        mail.came_back(session, failed, now)
            for uid, one in read.items():
                (mailbox.delete if one else mailbox.leave)(uid)
    except imap.MailboxAway as error:
        log.warning("the mailbox of returned mails cannot be read: %s", error)
