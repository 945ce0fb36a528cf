"""Invitations: a person is asked, a mail brings a link, the link signs them in once.

A GET consumes nothing, because mail scanners open links: `look_up` is for the page, `accept` for its button. Each mail
carries a link of its own, so a reminder does not kill the link of the mail before it; a used link offers a fresh one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, func, insert, text, update
from sqlmodel import Session, col, select

from batch import employees, funnel, notices, texts, ways
from batch.funnel import Stage
from batch.models import Batch, Employee, Invitation, Link
from likeness import jobs, ledger, mail, sweeping
from likeness.db import tenant_of, utc_now
from likeness.errors import Conflict, Gone
from likeness.identity import LeadsNowhere, end_sessions_of, new_token, token_hash
from likeness.kernel import Kernel
from likeness.mail import Letter
from likeness.settings import Settings
from tenants import credits, tenants

LIFETIME = timedelta(days=14)
MOST_REMINDERS = 3
PAUSE = timedelta(days=3)
REST = timedelta(days=14)
"""After an invitation that brought no yes, for everybody alike: a no, a withdrawal and no answer rest equally long."""
RENEWAL_PAUSE = timedelta(minutes=2)
"""Between two fresh links that one old link may ask for, so that nobody's mailbox is filled by a stranger."""

REMIND_ABOUT = {
    Stage.DELIVERED: "remind-start",
    Stage.OPENED: "remind-start",
    Stage.CONSENTED: "remind-photos",
    Stage.UPLOADING: "remind-photos",
    Stage.READY: "remind-choose",
}


class AlreadyInvited(Conflict):
    """The person holds an invitation."""

    title = "This person is invited already"


class HasOptedOut(Conflict):
    """The person does not take part. They may change their mind at any time, and be asked again from a day on."""

    title = "This person does not take part"


class NotInvited(Conflict):
    """The person holds no invitation."""


class SentJustNow(Conflict):
    """Two links within two minutes help nobody."""


class LinkUnknown(LeadsNowhere, Gone):
    """No such link, or the invitation was withdrawn."""


class LinkUsed(Gone):
    """The link was used; it offers to mail a fresh one to the same address."""


class LinkExpired(Gone):
    """The link ran out; it offers to mail a fresh one to the same address."""


@dataclass(frozen=True)
class Found:
    """What a link leads to, for the page that it opens."""

    invitation: Invitation
    employee_id: UUID
    state: Literal["open", "used", "expired"]


def invite(session: Session, employee: Employee, now: datetime, *, send_at: datetime | None = None) -> Invitation:
    """Reserves a credit and leaves the mail to be written, now or at `send_at`.

    Who did not take part may be asked again from a day on. Raises `AlreadyInvited`, `HasOptedOut` or `NoCredits`.
    """
    earlier = standing(session, employee.id)
    if employees.stage(session, employee.id, now) == Stage.OPTED_OUT:
        _rested(session, employee, now)
        if earlier is not None:
            earlier.revoked_at = now
            session.add(earlier)
            session.flush()
        _end_links(session, employee.id)
        employee.opted_out_at = None
        session.add(employee)
    elif earlier is not None:
        raise AlreadyInvited("Their invitation stands. You can send them a fresh link.")
    return invite_all(session, [employee.id], now, send_at=send_at)[0]


def _rested(session: Session, employee: Employee, now: datetime) -> None:
    today = now.astimezone(UTC).date()
    again = again_from(session, [employee.id]).get(employee.id)
    if employee.restricted_at is not None or again is None or today < again:
        day = max(again or today, today + timedelta(days=1))
        raise HasOptedOut(
            f"This person does not take part. You may invite them again from {day}. They can change their mind before"
            " that at any time."
        )


def again_from(session: Session, employee_ids: Collection[UUID]) -> dict[UUID, date]:
    """The day (UTC) from which people who do not take part may be invited again, counted from the end of their last
    invitation.

    A whole day, told and kept alike: a moment would say to the second when somebody was invited or answered.
    """
    rows = session.exec(
        select(Employee.id, Employee.opted_out_at, func.max(col(Invitation.expires_at)))
        .outerjoin(
            Invitation,
            (col(Invitation.tenant_id) == col(Employee.tenant_id)) & (col(Invitation.employee_id) == col(Employee.id)),
        )
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(list(employee_ids)))
        .group_by(col(Employee.id), col(Employee.opted_out_at))
    )
    found = {}
    for employee_id, opted_out_at, ended in rows:
        if ended is None and opted_out_at is not None:
            ended = opted_out_at + LIFETIME
        if ended is not None:
            found[employee_id] = (ended + REST).astimezone(UTC).date() + timedelta(days=1)
    return found


def invite_all(
    session: Session, employee_ids: Collection[UUID], now: datetime, *, send_at: datetime | None = None
) -> list[Invitation]:
    """The same for many who hold no invitation, in a handful of statements; all of them or none."""
    tenant = tenant_of(session)
    credits.reserve_all(session, employee_ids)
    start = max(now, send_at or now)
    invited = [
        Invitation(tenant_id=tenant, employee_id=one, created_at=now, expires_at=start + LIFETIME, mails=1)
        for one in employee_ids
    ]
    if invited:
        session.execute(insert(Invitation), [invitation.model_dump() for invitation in invited])
        messages = [(str(invitation.id), "invitation", "1") for invitation in invited]
        jobs.send_all(session, deliver, messages, due=send_at)
        ledger.record(session, "invitation.created", objects=[invitation.id for invitation in invited])
    return invited


def standing(session: Session, employee_id: UUID) -> Invitation | None:
    return session.exec(
        select(Invitation).where(
            col(Invitation.tenant_id) == tenant_of(session),
            col(Invitation.employee_id) == employee_id,
            col(Invitation.revoked_at).is_(None),
        )
    ).one_or_none()


@jobs.actor()
def deliver(attempt: jobs.Attempt, invitation_id: str, template: str, number: str) -> None:
    """Makes a token and writes the mail that carries it, in one transaction: the token is in no other place."""
    kernel, now = attempt.kernel, utc_now()
    with attempt.finishing() as session:
        invitation = _wanted(session, UUID(invitation_id), template, now)
        if invitation is None:
            return
        employee = employees.get(session, invitation.employee_id)
        token = new_token(invitation.tenant_id)
        letter = _letter(session, kernel, employee, template, token, now)
        campaign = f"{invitation.id}:{number}"
        mail_id = mail.post(session, kernel.keys, employee.id, letter, template=template, campaign=campaign)
        if mail_id is None:
            return
        link = Link(
            tenant_id=invitation.tenant_id,
            employee_id=employee.id,
            invitation_id=invitation.id,
            token_hash=token_hash(token),
            mail_id=mail_id,
            created_at=now,
            expires_at=now + LIFETIME,
        )
        session.add(link)
        invitation.expires_at = max(invitation.expires_at, link.expires_at)
        session.add(invitation)
        ledger.record(session, "invitation.sent", subject=employee.id, objects=[invitation.id])


def look_up(session: Session, token: str, now: datetime) -> Found:
    """What the page of a link shows; consumes nothing. Raises `LinkUnknown`."""
    found = session.exec(
        select(Invitation, Link)
        .join(
            Link, (col(Link.tenant_id) == col(Invitation.tenant_id)) & (col(Link.invitation_id) == col(Invitation.id))
        )
        .where(
            col(Link.tenant_id) == tenant_of(session),
            col(Link.token_hash) == token_hash(token),
            col(Invitation.revoked_at).is_(None),
        )
    ).one_or_none()
    if found is None:
        raise LinkUnknown(
            "This link does not lead anywhere any more. Ask your personnel department for a new invitation."
        )
    invitation, link = found
    state: Literal["open", "used", "expired"] = "open"
    if link.used_at is not None:
        state = "used"
    elif link.expires_at <= now:
        state = "expired"
    return Found(invitation, link.employee_id, state)


def accept(session: Session, token: str, now: datetime) -> UUID:
    """Consumes the link and returns the employee's id. Raises `LinkUnknown`, `LinkUsed` or `LinkExpired`."""
    found = look_up(session, token, now)
    if found.state == "expired":
        raise LinkExpired("This link has run out. We can send a fresh one to the same address.")
    used = session.execute(
        update(Link)
        .where(
            col(Link.tenant_id) == tenant_of(session),
            col(Link.token_hash) == token_hash(token),
            col(Link.used_at).is_(None),
        )
        .values(used_at=now)
        .returning(col(Link.id))
    ).scalar()
    if used is None:
        raise LinkUsed("This link was used already. We can send a fresh one to the same address.")
    invitation = found.invitation
    # Whoever holds the link got the mail, whatever the mail server said of it.
    invitation.delivered_at = invitation.delivered_at or now
    invitation.opened_at = invitation.opened_at or now
    invitation.bounced_at = None
    session.add(invitation)
    ledger.record(
        session,
        "invitation.opened",
        caller=f"employee:{found.employee_id}",
        subject=found.employee_id,
        objects=[invitation.id],
    )
    return found.employee_id


def renew(session: Session, token: str, now: datetime) -> None:
    """Mails a fresh link to the address of the roster, never to one that the caller names. Raises `LinkUnknown`."""
    invitation = look_up(session, token, now).invitation
    newest = _newest_link(session, invitation)
    if newest is None or now - newest >= RENEWAL_PAUSE:
        _send(session, invitation, "link")


def resend(session: Session, employee_id: UUID, now: datetime, *, caller: str) -> None:
    """A fresh link at HR's wish, unless the person has said no: HR gets the same answer either way.

    Raises `EmployeeMissing`, `HasOptedOut`, `NotInvited` or `SentJustNow`.
    """
    employee = employees.get(session, employee_id)
    if employees.stage(session, employee.id, now) == Stage.OPTED_OUT:
        day = max(again_from(session, [employee.id])[employee.id], now.astimezone(UTC).date())
        raise HasOptedOut(
            f"This person does not take part. You may invite them again from {day}. They can change their mind before"
            " that at any time."
        )
    invitation = standing(session, employee.id)
    if invitation is None:
        raise NotInvited("This person is not invited.")
    sent = [at for at in (_newest_link(session, invitation), invitation.reminded_at) if at is not None]
    if sent and now - max(sent) < RENEWAL_PAUSE:
        raise SentJustNow("A link went out a moment ago. Please wait two minutes.")
    # Of who said no as well, so that a second try is answered as it would be had a link gone out.
    invitation.reminded_at = now
    session.add(invitation)
    if employee.opted_out_at is None:
        _send(session, invitation, "link")
    ledger.record(session, "invitation.resent", caller=caller, subject=employee.id, objects=[invitation.id])


def readdress(session: Session, employee_id: UUID, now: datetime) -> None:
    """After the company corrected an address: what went to the old one opens nothing, and the new one is asked anew."""
    end_sessions_of(session, employee_id)
    ended = _end_links(session, employee_id)
    invitation = standing(session, employee_id)
    # A mail that is still to be written goes to the address as it is by then.
    if invitation is not None and ended and employees.get(session, employee_id).opted_out_at is None:
        invitation.delivered_at = invitation.bounced_at = invitation.opened_at = invitation.reminded_at = None
        invitation.reminders = 0
        invitation.expires_at = now + LIFETIME
        _send(session, invitation, "invitation")


def follow(session: Session, employee_id: UUID, now: datetime, *, keep: UUID | None = None) -> None:
    """After the person confirmed their new address: old links end, every session but `keep` too, a link goes there."""
    end_sessions_of(session, employee_id, keep=keep)
    _end_links(session, employee_id)
    invitation = standing(session, employee_id)
    if invitation is not None and employees.get(session, employee_id).opted_out_at is None:
        invitation.delivered_at = invitation.bounced_at = None
        invitation.expires_at = now + LIFETIME
        _send(session, invitation, "link")


def _end_links(session: Session, employee_id: UUID) -> int:
    ended = session.execute(
        delete(Link)
        .where(col(Link.tenant_id) == tenant_of(session), col(Link.employee_id) == employee_id)
        .returning(col(Link.id))
    )
    return len(ended.all())


def revoke(session: Session, employee_ids: Collection[UUID], now: datetime) -> int:
    """Ends the invitations, links and sessions of these people and gives their credits back; returns how many."""
    tenant = tenant_of(session)
    ended = session.execute(
        update(Invitation)
        .where(
            col(Invitation.tenant_id) == tenant,
            col(Invitation.employee_id).in_(employee_ids),
            col(Invitation.revoked_at).is_(None),
        )
        .values(revoked_at=now)
        .returning(col(Invitation.id), col(Invitation.employee_id))
    ).all()
    people = [one.employee_id for one in ended]
    session.execute(delete(Link).where(col(Link.tenant_id) == tenant, col(Link.employee_id).in_(people)))
    for one in people:
        end_sessions_of(session, one)
    credits.release_all(session, people)
    if ended:
        ledger.record(session, "invitation.revoked", objects=[one.id for one in ended])
    return len(ended)


@jobs.every(timedelta(minutes=15))
def remind(kernel: Kernel, now: datetime) -> None:
    """At most three reminders a person, three days apart or a day before the batch is due, on weekdays by day."""
    if now.weekday() >= 5 or not 8 <= now.hour < 17:
        return

    due: dict[UUID, dict[UUID, Stage]] = {}

    def look(session: Session) -> None:
        due[tenant_of(session)] = found = {}
        lines = {line.invitation_id: line for line in funnel.lines(session, now) if line.stage in REMIND_ABOUT}
        needed = ways.needed(tenants.get(session))
        for invitation, due_at in _may_remind(session, now, list(lines)):
            line = lines[invitation.id]
            enough = line.stage == Stage.UPLOADING and line.photos >= needed
            last = max(line.since, invitation.reminded_at or line.since)
            near = due_at is not None and timedelta() <= due_at - now <= timedelta(days=1)
            if not enough and now - last >= (timedelta(days=1) if near else PAUSE):
                found[invitation.id] = line.stage

    def remind_one(session: Session, invitation_id: UUID) -> None:
        tenant = tenant_of(session)
        invitation = session.exec(
            select(Invitation).where(col(Invitation.tenant_id) == tenant, col(Invitation.id) == invitation_id)
        ).one()
        invitation.reminders += 1
        invitation.reminded_at = now
        _send(session, invitation, REMIND_ABOUT[due[tenant][invitation_id]])

    tenants.for_each(kernel, look)
    for tenant, found in due.items():
        sweeping.each(kernel, "remind", tenant, found, now, remind_one)


@jobs.every(timedelta(hours=1), deletes=True)
def run_out(kernel: Kernel, now: datetime) -> None:
    """Who let the invitation run out has opted out, in the same word and with the same effects as whoever declined."""

    due: dict[UUID, list[UUID]] = {}

    def look(session: Session) -> None:
        tenant = tenant_of(session)
        due[tenant] = list(session.execute(RAN_OUT, {"tenant": tenant, "now": now}).scalars())

    def opt_out(session: Session, employee_id: UUID) -> None:
        who = {"tenant": tenant_of(session), "now": now, "employee": employee_id}
        people = list(session.execute(RUN_OUT, who).scalars())
        credits.release_all(session, people)
        for one in people:
            ledger.record(session, "invitation.ran-out", subject=one)

    def give_back(session: Session) -> None:
        # Of who said no while the invitation ran, too: their credit waited for this hour.
        ended = session.execute(ENDED, {"tenant": tenant_of(session), "now": now, "since": now - REST}).scalars()
        credits.release_all(session, list(ended))

    tenants.for_each(kernel, look)
    for tenant, people in due.items():
        sweeping.each(kernel, "run-out", tenant, people, now, opt_out)
    tenants.for_each(kernel, give_back)


WHO_RAN_OUT = """
    e.tenant_id = :tenant and i.tenant_id = :tenant and i.employee_id = e.id and i.revoked_at is null
    and i.expires_at <= :now and e.opted_out_at is null
    and not exists (select from consent c
                    where c.tenant_id = e.tenant_id and c.employee_id = e.id and c.withdrawn_at is null)
"""
RAN_OUT = text(f"select distinct e.id from employee e, invitation i where {WHO_RAN_OUT}")  # noqa: S608 - the words above
RUN_OUT = text(
    f"update employee e set opted_out_at = i.expires_at from invitation i where {WHO_RAN_OUT}"  # noqa: S608 - as above
    " and e.id = :employee returning e.id"
)


ENDED = text(
    """
    select e.id from employee e join invitation i
      on i.tenant_id = e.tenant_id and i.employee_id = e.id and i.revoked_at is null
    where e.tenant_id = :tenant and e.opted_out_at is not null and i.expires_at <= :now and i.expires_at > :since
      and not exists (select from sitting s
                      where s.tenant_id = e.tenant_id and s.employee_id = e.id and s.state = 'done')
    """
)


def tell_ready(session: Session, employee_id: UUID, now: datetime) -> None:
    """A mail at once when headshots are made; the reminders begin to count from it."""
    invitation = standing(session, employee_id)
    if invitation is not None:
        invitation.reminded_at = now
        _send(session, invitation, "ready")


def _may_remind(
    session: Session, now: datetime, invitation_ids: Sequence[UUID | None]
) -> list[tuple[Invitation, datetime | None]]:
    """Those that have a reminder left, with the time at which their batch is due."""
    rows = session.exec(
        select(Invitation, col(Batch.due_on))
        .join(
            Employee,
            (col(Employee.tenant_id) == col(Invitation.tenant_id)) & (col(Employee.id) == Invitation.employee_id),
        )
        .join(Batch, (col(Batch.tenant_id) == col(Employee.tenant_id)) & (col(Batch.id) == Employee.batch_id))
        .where(
            col(Invitation.tenant_id) == tenant_of(session),
            col(Invitation.id).in_([one for one in invitation_ids if one]),
            col(Invitation.reminders) < MOST_REMINDERS,
        )
    )
    return [(one, datetime(day.year, day.month, day.day, 17, tzinfo=now.tzinfo) if day else None) for one, day in rows]


def _newest_link(session: Session, invitation: Invitation) -> datetime | None:
    return session.exec(
        select(Link.created_at)
        .where(col(Link.tenant_id) == tenant_of(session), col(Link.invitation_id) == invitation.id)
        .order_by(col(Link.created_at).desc())
        .limit(1)
    ).first()


def _send(session: Session, invitation: Invitation, template: str) -> None:
    invitation.mails += 1
    session.add(invitation)
    jobs.send(session, deliver, str(invitation.id), template, str(invitation.mails))


def _wanted(session: Session, invitation_id: UUID, template: str, now: datetime) -> Invitation | None:
    """The invitation, unless the mail has lost its point since it was asked for."""
    invitation = session.exec(
        select(Invitation)
        .where(
            col(Invitation.tenant_id) == tenant_of(session),
            col(Invitation.id) == invitation_id,
            col(Invitation.revoked_at).is_(None),
        )
        .with_for_update()
    ).one_or_none()
    if invitation is None:
        return None
    # Only a link that the person asked for themselves reaches somebody who opted out.
    if template != "link" and employees.get(session, invitation.employee_id).opted_out_at is not None:
        return None
    if template == "ready":
        stage = employees.stage(session, invitation.employee_id, now)
        return invitation if stage == Stage.READY else None
    if template.startswith("remind"):
        stage = employees.stage(session, invitation.employee_id, now)
        return invitation if REMIND_ABOUT.get(stage) == template else None
    return invitation


def _letter(session: Session, kernel: Kernel, employee: Employee, template: str, token: str, now: datetime) -> Letter:
    tenant, who = tenants.get(session), employees.profile(kernel.keys, employee)
    language = texts.language_for(who.language)
    return texts.letter(
        template,
        language,
        who.email,
        name=who.full_name,
        link=address(kernel.settings, token),
        until=f"{now + LIFETIME:%Y-%m-%d}",
        photos=str(funnel.lines(session, now, employee_id=employee.id)[0].photos),
        **notices.terms(tenant, language),
    )


def address(settings: Settings, token: str) -> str:
    return f"{settings.public_url.rstrip('/')}/i/{token}"
