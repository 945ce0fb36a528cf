"""Invitations: a person is asked, a mail brings a link, the link signs them in once.

A GET consumes nothing, because mail scanners open links: `look_up` is for the page, `accept` for its button. Each mail
carries a link of its own, so a reminder does not kill the link of the mail before it; a used link offers a fresh one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, NoReturn
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, delete, func, insert, literal, update
from sqlmodel import Session, col, select

from batch.models import Consent, Employee, Invitation, Link
from batch.people import employees
from batch.people.funnel import LIFETIME, Stage, again_from
from batch.visit import letters, mailing
from likeness import ledger
from likeness.ground.db import rows_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, Gone
from likeness.ground.lanes import Lane
from likeness.identity import LinkUnknown, LinkUsed, end_sessions_of, token_hash
from likeness.jobs import jobs
from likeness.keys.keys import KeyFolder
from tenants import credits, suspension
from tenants.sso import identities

RENEWAL_PAUSE = timedelta(minutes=2)
"""Between two fresh links that one old link may ask for, so that nobody's mailbox is filled by a stranger."""

NO_LINK = "no-link"
"""In the place of a fresh link at HR's wish for who has said no: nothing is sent, and it looks sent."""
REMIND_ABOUT = {
    Stage.DELIVERED: "remind-start",
    Stage.OPENED: "remind-start",
    Stage.CONSENTED: "remind-photos",
    Stage.UPLOADING: "remind-photos",
    Stage.READY: "remind-choose",
}
UNDER_WAY = (Stage.QUEUED, Stage.TRAINING, Stage.RENDERING)


class AlreadyInvited(Conflict):
    """The person holds an invitation."""

    title = "This person is invited already"


class HasOptedOut(Conflict):
    """The person does not take part. They may change their mind at any time, and be asked again from a day on."""

    title = "This person does not take part"


class NotInvited(Conflict):
    """The person holds no invitation."""

    title = "This person was not invited"


class SentJustNow(Conflict):
    """Two links within two minutes help nobody."""

    title = "A link was sent just now"


class LinkExpired(Gone):
    """The link ran out; it offers to mail a fresh one to the same address."""

    title = "This link has run out"


@dataclass(frozen=True)
class LinkTarget:
    """What a link leads to, for the page that it opens."""

    invitation: Invitation
    employee_id: UUID
    state: Literal["open", "used", "expired"]


def invite(
    session: Session, employee: Employee, now: datetime, *, send_at: datetime | None = None, keys: KeyFolder | None = None
) -> Invitation:
    """Reserves a credit and leaves the mail to be written, now or at `send_at`; with `keys` at that hour where they are.

    Who did not take part may be asked again from a day on. Raises `AlreadyInvited`, `HasOptedOut` or `NoCredits`.
    """
    earlier = standing(session, employee.id)
    if employees.stage(session, employee.id, now) == Stage.OPTED_OUT:
        today = now.astimezone(UTC).date()
        if (again := again_from(session, [employee.id]).get(employee.id, date.max)) > today:
            _refuse(again)
        if earlier is not None:
            earlier.revoked_at = now
            session.add(earlier)
    elif earlier is not None:
        raise AlreadyInvited("Their invitation stands. You can send them a fresh link.")
    (made,) = invite_all(session, [employee.id], now, send_at=send_at, keys=keys)
    return rows_of(session, Invitation, col(Invitation.id) == made, by=col(Invitation.id))[0]


def _refuse(day: date) -> NoReturn:
    raise HasOptedOut(
        "This person does not take part. You may invite them again from {day}. They can change their mind before"
        " that at any time.",
        day=day,
    )


def invite_all(
    session: Session, employee_ids: Collection[UUID], now: datetime, *, send_at: datetime | None = None,
    keys: KeyFolder | None = None,
) -> list[UUID]:  # fmt: skip
    """The same for many who hold no invitation, in a handful of statements; all of them or none. Returns their ids.

    Somebody who said no, and whose invitation HR took back before its end, is among them like everybody else. Until they
    have rested nothing is written to them, and HR sees of this invitation what it sees of every one without an answer.
    """
    tenant, people = tenant_of(session), literal(list(employee_ids), ARRAY(Uuid()))
    suspension.check(session)
    credits.reserve_all(session, employee_ids)
    session.flush()
    _begin_anew(session, people, now)
    quiet = mailing.reached(session, employee_ids, now)
    own = employees.own_hours(session, keys, employee_ids, send_at, now) if keys and send_at else {}
    leaves = {one: own.get(one, send_at) for one in employee_ids}
    ids = {one: uuid4() for one in leaves}
    if ids:
        rows = [  # Plain values: ten thousand objects of the model take half a second more.
            {"id": ids[one], "tenant_id": tenant, "employee_id": one, "created_at": now, "mails": 1, "reminders": 0,
             "quiet": one in quiet, "expires_at": max(now, at or now) + LIFETIME} for one, at in leaves.items()
        ]  # fmt: skip
        session.execute(insert(Invitation), rows)
        letters.lead_anew(session, employee_ids)
        for at in dict.fromkeys(leaves.values()):
            messages = [(str(ids[one]), "invitation", "1") for one in leaves if leaves[one] == at]
            jobs.send_all(session, deliver, messages, due=at)
        ledger.record(session, "invitation.created", objects=list(ids.values()))
    return list(ids.values())


def _begin_anew(session: Session, people: ColumnElement[Any], now: datetime) -> None:
    """Whoever did not take part and has rested is asked as if for the first time, unless something of theirs is here."""
    tenant = tenant_of(session)
    mine = (col(Invitation.tenant_id) == tenant, col(Invitation.employee_id) == col(Employee.id))
    ended = func.coalesce(
        select(func.max(col(Invitation.expires_at))).where(*mine).scalar_subquery(), col(Employee.opted_out_at) + LIFETIME
    )
    kept = select(Consent.id).where(col(Consent.tenant_id) == tenant, col(Consent.employee_id) == col(Employee.id))
    rested = (col(Employee.opted_out_at).is_not(None), col(Employee.restricted_at).is_(None), ended < mailing.rested(now))
    anew = update(Employee).where(col(Employee.tenant_id) == tenant, col(Employee.id) == any_(people), *rested)
    begun = session.execute(anew.where(~kept.exists()).values(opted_out_at=None).returning(col(Employee.id))).scalars()
    session.execute(delete(Link).where(col(Link.tenant_id) == tenant, col(Link.employee_id).in_(list(begun))))


def standing(session: Session, employee_id: UUID) -> Invitation | None:
    return session.exec(
        select(Invitation).where(
            col(Invitation.tenant_id) == tenant_of(session),
            col(Invitation.employee_id) == employee_id,
            col(Invitation.revoked_at).is_(None),
        )
    ).one_or_none()


@jobs.actor(lane=Lane.GENERAL)
def deliver(attempt: jobs.Attempt, invitation_id: str, template: str, number: str) -> None:
    kernel, now = attempt.kernel, utc_now()
    with attempt.finishing() as session:
        invitation = _wanted(session, UUID(invitation_id), template, int(number), now)
        if invitation is None:
            return
        if not letters.post(
            session, kernel, invitation, template, f"{invitation.id}:{number}", now, until := now + LIFETIME
        ):
            return
        if employees.get(session, invitation.employee_id).opted_out_at is None:
            # Else the day from which HR may ask again would say that they came back.
            invitation.expires_at = max(invitation.expires_at, until)
            if invitation.quiet:
                invitation.delivered_at = invitation.delivered_at or now
        session.add(invitation)


def look_up(session: Session, token: str, now: datetime) -> LinkTarget:
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
    return LinkTarget(invitation, link.employee_id, state)


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
        .returning(col(Link.created_at))
    ).scalar()
    if used is None:
        raise LinkUsed("This link was used already. We can send a fresh one to the same address.")
    invitation, who = found.invitation, found.employee_id
    if used >= invitation.created_at:
        # Whoever holds the link got the mail, whatever the mail server said of it. One from an earlier invitation opens for
        # who has said no alone, and would say so of this one.
        invitation.delivered_at = invitation.delivered_at or now
        invitation.opened_at = invitation.opened_at or now
        invitation.bounced_at = None
        session.add(invitation)
    ledger.record(session, "invitation.opened", caller=f"employee:{who}", subject=who, objects=[invitation.id])
    return who


def renew(session: Session, token: str, now: datetime) -> None:
    """Mails a fresh link to the address of the roster, never to one that the caller names. Raises `LinkUnknown`."""
    invitation = look_up(session, token, now).invitation
    newest = _newest_link(session, invitation)
    if newest is None or now - newest >= RENEWAL_PAUSE:
        send(session, invitation, "link")


def link_to_oneself(session: Session, employee_id: UUID, now: datetime, *, caller: str) -> None:
    """A fresh link for who is signed in, whatever they have answered and whether or not their company is suspended: what
    they may do with their own data stays. Raises `NotInvited` or `SentJustNow`."""
    invitation = standing(session, employee_id)
    if invitation is None:
        raise NotInvited("You are not invited any more.")
    if (newest := _newest_link(session, invitation)) is not None and now - newest < RENEWAL_PAUSE:
        raise SentJustNow("A link went out a moment ago. Please wait two minutes.")
    send(session, invitation, "link")
    ledger.record(session, "invitation.resent", caller=caller, subject=employee_id, objects=[invitation.id])


def resend(session: Session, employee_id: UUID, now: datetime, *, caller: str) -> None:
    """A fresh link at HR's wish, unless the person has said no: HR gets the same answer either way.

    Raises `EmployeeMissing`, `HasOptedOut`, `NotInvited` or `SentJustNow`.
    """
    suspension.check(session)
    employee = employees.get(session, employee_id)
    if employees.stage(session, employee.id, now) == Stage.OPTED_OUT:
        _refuse(max(again_from(session, [employee.id])[employee.id], now.astimezone(UTC).date()))
    if standing(session, employee.id) is None:
        raise NotInvited("This person is not invited.")
    if not resend_all(session, [employee.id], now, caller=caller):
        raise SentJustNow("A link went out a moment ago. Please wait two minutes.")


def resend_all(session: Session, employee_ids: Collection[UUID], now: datetime, *, caller: str) -> set[UUID]:
    """The same for many who are invited and have not opted out by what HR sees, in a handful of statements. Returns to whom
    it looks sent."""
    tenant, asked = tenant_of(session), dict[UUID, Invitation]()
    suspension.check(session)
    linked = select(func.max(Link.created_at)).where(
        col(Link.tenant_id) == tenant, col(Link.invitation_id) == col(Invitation.id)
    )
    theirs = (col(Employee.tenant_id) == col(Invitation.tenant_id)) & (col(Employee.id) == col(Invitation.employee_id))
    invited = select(Invitation, Employee.opted_out_at, linked.scalar_subquery()).join(Employee, theirs).where(
        col(Invitation.tenant_id) == tenant,
        col(Invitation.employee_id) == any_(literal(list(employee_ids), ARRAY(Uuid()))),
        col(Invitation.revoked_at).is_(None),
    )
    messages = []
    for invitation, said_no, newest in session.exec(invited).all():
        # To who has said no nothing went, and it looks sent. A link that somebody asked for themselves says nothing here.
        written = invitation.delivered_at if said_no or invitation.quiet else None
        sent = (None if invitation.quiet else newest, invitation.reminded_at, written)
        if any(at is not None and now - at < RENEWAL_PAUSE for at in sent):
            continue
        # Of who said no as well, so that a second try is answered as it would be had a link gone out.
        invitation.reminded_at, invitation.mails = now, invitation.mails + 1
        session.add(invitation)
        messages.append((str(invitation.id), NO_LINK if said_no else "link", str(invitation.mails)))
        asked[invitation.employee_id] = invitation
    jobs.send_all(session, deliver, messages)
    for one, invitation in asked.items():
        ledger.record(session, "invitation.resent", caller=caller, subject=one, objects=[invitation.id])
    return set(asked)


def readdress(session: Session, employee_id: UUID, now: datetime) -> bool:
    """After the company corrected an address: what went to the old one opens nothing, and the new one is asked anew.
    Returns whether a link had gone to the old one."""
    end_sessions_of(session, employee_id)
    identities.forget(session, employee_id)
    invitation = standing(session, employee_id)
    ended = [at for at in _end_links(session, employee_id) if invitation is not None and at >= invitation.created_at]
    asked = False
    if invitation is not None:
        # Who has said no has no link of this invitation, and it looks as if one had gone to them.
        asked = invitation.delivered_at is not None or (bool(ended) and not invitation.quiet)
        invitation.mails, invitation.quiet = invitation.mails + 1, bool(mailing.reached(session, [employee_id], now))
        session.add(invitation)
    # Nobody has been there at the new address, so none of the earlier invitations was opened by its owner.
    session.execute(
        update(Invitation)
        .where(col(Invitation.tenant_id) == tenant_of(session), col(Invitation.employee_id) == employee_id)
        .values(opened_at=None)
    )
    # A mail that is still to be written goes to the address as it is by then. Of who has said no the same is seen, and
    # `deliver` writes them none; an invitation that is over begins for nobody anew.
    if invitation is not None and asked and invitation.expires_at > now:
        invitation.delivered_at = invitation.bounced_at = invitation.opened_at = invitation.reminded_at = None
        invitation.reminders = 0
        invitation.expires_at = now + LIFETIME
        send(session, invitation, "invitation")
    return bool(ended)


def follow(session: Session, employee_id: UUID, now: datetime, *, keep: UUID | None = None) -> None:
    """After the person confirmed their new address: old links end, every session but `keep` too, a link goes there."""
    end_sessions_of(session, employee_id, keep=keep)
    _end_links(session, employee_id)
    invitation = standing(session, employee_id)
    if invitation is not None and employees.get(session, employee_id).opted_out_at is None:
        invitation.delivered_at = invitation.bounced_at = None
        invitation.expires_at = now + LIFETIME
        send(session, invitation, "link")


def _end_links(session: Session, employee_id: UUID) -> Sequence[datetime]:
    """Returns when each was made."""
    mine = (col(Link.tenant_id) == tenant_of(session), col(Link.employee_id) == employee_id)
    return session.execute(delete(Link).where(*mine).returning(col(Link.created_at))).scalars().all()


def revoke(session: Session, employee_ids: Collection[UUID], now: datetime) -> int:
    """Ends the invitations, links and sessions of these people and gives their credits back; returns how many.

    The links of who has said no are kept for their next invitation, since no other will be mailed to them.
    """
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
    answered = select(Employee.id).where(col(Employee.tenant_id) == tenant, col(Employee.opted_out_at).is_not(None))
    links = (col(Link.tenant_id) == tenant, col(Link.employee_id).in_(people), col(Link.employee_id).not_in(answered))
    session.execute(delete(Link).where(*links))
    end_sessions_of(session, *people)
    credits.release_all(session, people)
    if ended:
        ledger.record(session, "invitation.revoked", objects=[one.id for one in ended])
    return len(ended)


def tell(session: Session, employee_id: UUID, template: str, now: datetime) -> None:
    """A mail at once, as when headshots are made; the reminders begin to count from it."""
    invitation = standing(session, employee_id)
    if invitation is not None:
        invitation.reminded_at = now
        send(session, invitation, template)


def _newest_link(session: Session, invitation: Invitation) -> datetime | None:
    return session.exec(
        select(Link.created_at)
        .where(col(Link.tenant_id) == tenant_of(session), col(Link.invitation_id) == invitation.id)
        .order_by(col(Link.created_at).desc())
        .limit(1)
    ).first()


def send(session: Session, invitation: Invitation, template: str) -> None:
    invitation.mails += 1
    session.add(invitation)
    jobs.send(session, deliver, str(invitation.id), template, str(invitation.mails))


def _wanted(session: Session, invitation_id: UUID, template: str, number: int, now: datetime) -> Invitation | None:
    """The invitation, unless the mail has lost its point since it was asked for. Of who has said no it looks sent."""
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
        if template in ("invitation", NO_LINK, REMIND_ABOUT.get(employees.stage(session, invitation.employee_id, now))):
            # A link would have put the end off, and an end of its own would tell who said no.
            invitation.expires_at = max(invitation.expires_at, now + LIFETIME)
            invitation.delivered_at = invitation.delivered_at or now
            session.add(invitation)
        return None
    if template == NO_LINK:
        return None
    # Nor does one that they asked for before the company gave their line another address.
    if employees.get(session, invitation.employee_id).opted_out_at is not None and number < invitation.mails:
        return None
    if template == "ready":
        stage = employees.stage(session, invitation.employee_id, now)
        return invitation if stage == Stage.READY else None
    if template in ("not-made", "failed"):
        stage = employees.stage(session, invitation.employee_id, now)
        return None if stage in UNDER_WAY else invitation
    if template.startswith("remind"):
        stage = employees.stage(session, invitation.employee_id, now)
        return invitation if REMIND_ABOUT.get(stage) == template else None
    return invitation
