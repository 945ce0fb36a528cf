"""A way in for a company that has none left: an operator asks for a link, another one confirms, and the company is told.

The link is for one member and for fifteen minutes. It is printed at the machine of who asked, once, and both operators, the
reason and the moment go by mail to the company's legal, and into both ledgers.

An operator whose access ended comes back in the same way: one asks, another one confirms, about the platform itself.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select, update

from likeness import ledger
from likeness.ground.db import PLATFORM, Moment, TenantRow, of_tenant
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.identity import Kind, make_link
from likeness.kernel import Kernel
from likeness.keys.keys import DataKey, KeyClass, KeyRef
from likeness.locale.marks import N_
from likeness.mail import mail
from tenants import tenants
from tenants.members import chains, letters, members
from tenants.models import Member, Role
from tenants.plain import one_line

LASTS = timedelta(minutes=15)
"""From the question to the confirmation, and from there for the link."""
SHORTEST = 20
CONTEXT = "break-glass reason"


class BreakGlass(TenantRow, table=True):
    """One question. Of the platform's own tenant: it is asked and confirmed by operators."""

    __tablename__ = "break_glass"
    __table_args__ = (of_tenant(),)

    company: UUID
    member_id: UUID
    reason: bytes
    """Sealed: it may name somebody."""
    asked_by: UUID
    asked_at: datetime = Moment()
    until: datetime = Moment()
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = Moment(default=None, nullable=True)
    opened_at: datetime | None = Moment(default=None, nullable=True)
    """When the link was made; it is made once."""


class QuestionMissing(NotFound):
    """There is no such question, or its fifteen minutes are over."""

    title = "This question is not open any more"


class SecondOperatorNeeded(Conflict):
    """Who asked cannot be the one who confirms, nor somebody who came in for it."""

    title = "A second operator has to confirm"


class ReasonMissing(Unprocessable):
    """The company reads the reason."""

    title = "The company reads why"


class NobodyToTell(Conflict):
    """The company has nobody who would learn of it."""

    title = "Nobody at the company would learn of it"


class ReturnAsked(Conflict):
    """A question about this operator waits for its second operator."""

    title = "This was asked already"


class HasAccess(Conflict):
    """Nobody ended this operator's access."""

    title = "They have access"


def ask(kernel: Kernel, company: UUID, email: str, *, operator: str, reason: str, now: datetime) -> UUID:
    """Opens transactions of its own. Raises `MemberMissing`, `ReasonMissing` and `NobodyToTell`."""
    reason = one_line(reason, 500, N_("reason"))
    if len(reason) < SHORTEST:
        raise ReasonMissing("Say in at least {n} characters why: the company's legal reads it.", n=SHORTEST)
    with kernel.db.transaction(company) as session:
        tenants.get(session)
        member = members.find(session, kernel.keys, email)
        if member is None:
            raise members.MemberMissing("No active member of this company has this address.")
        _told(session)
    with kernel.db.transaction(PLATFORM) as session:
        asker = members.find(session, kernel.keys, operator)
        if asker is None:
            raise members.MemberMissing("No active operator has this address.")
        return _enter(session, kernel, company, member.id, by=asker.id, reason=reason, now=now)


def _enter(
    session: Session, kernel: Kernel, company: UUID, member_id: UUID, *, by: UUID, reason: str, now: datetime
) -> UUID:
    """Writes the question down."""
    question = BreakGlass(
        tenant_id=PLATFORM,
        company=company,
        member_id=member_id,
        reason=_key(kernel).seal(reason.encode(), CONTEXT),
        asked_by=by,
        asked_at=now,
        until=now + LASTS,
    )
    session.add(question)
    session.flush()
    _record(session, "break-glass.asked", by, question.id)
    return question.id


def waiting(session: Session, now: datetime) -> list[BreakGlass]:
    """Questions for a way into a company that an operator may confirm. For a transaction of the platform's own tenant."""
    return _unanswered(session, now, col(BreakGlass.company) != PLATFORM)


def _unanswered(session: Session, now: datetime, about: ColumnElement[bool]) -> list[BreakGlass]:
    own, unanswered = col(BreakGlass.tenant_id) == PLATFORM, col(BreakGlass.confirmed_at).is_(None)
    found = select(BreakGlass).where(own, unanswered, col(BreakGlass.until) > now, about)
    return list(session.exec(found.order_by(col(BreakGlass.asked_at))))


def reason_of(kernel: Kernel, question: BreakGlass) -> str:
    return _key(kernel).open(question.reason, CONTEXT).decode()


def confirm(session: Session, question_id: UUID, *, by: UUID, now: datetime) -> None:
    """Raises `QuestionMissing` and `SecondOperatorNeeded`."""
    _settle(session, waiting(session, now), question_id, by=by, now=now)


def _settle(session: Session, open_ones: list[BreakGlass], question_id: UUID, *, by: UUID, now: datetime) -> BreakGlass:
    """Once, by a second operator."""
    question = next((one for one in open_ones if one.id == question_id), None)
    if question is None:
        raise QuestionMissing("This question was answered, or its fifteen minutes are over. Ask anew if it is needed.")
    everybody = chains.desk(session)
    if not chains.apart(everybody, question.asked_by, by) or not chains.held_before(
        everybody[by], Role.OPERATOR, question.asked_at
    ):
        raise SecondOperatorNeeded(
            "It takes a second operator, who had signed in before it was asked for, and whom the first one did not invite."
        )
    done = session.exec(
        update(BreakGlass)
        .where(
            col(BreakGlass.tenant_id) == PLATFORM,
            col(BreakGlass.id) == question.id,
            col(BreakGlass.confirmed_at).is_(None),
        )
        .values(confirmed_by=by, confirmed_at=now)
        .returning(col(BreakGlass.id))
    ).first()
    if done is None:
        raise QuestionMissing("Somebody else confirmed this at the same moment.")
    _record(session, "break-glass.confirmed", by, question.id)
    return question


def open_once(kernel: Kernel, question_id: UUID, now: datetime) -> str:
    """The link, once somebody confirmed; empty before. Tells the company in the same transaction that makes the link.

    Raises `QuestionMissing` when the time is over or the link was made.
    """
    with kernel.db.transaction(PLATFORM) as session:
        question = session.exec(
            select(BreakGlass)
            .where(
                col(BreakGlass.tenant_id) == PLATFORM,
                col(BreakGlass.id) == question_id,
                col(BreakGlass.company) != PLATFORM,
                col(BreakGlass.opened_at).is_(None),
                col(BreakGlass.until) > now,
            )
            .with_for_update()
        ).one_or_none()
        if question is None:
            raise QuestionMissing("Nobody confirmed within fifteen minutes, or the link was made already.")
        if question.confirmed_by is None:
            return ""
        question.opened_at = now
        session.add(question)
        names = [
            members.profile(kernel.keys, members.get(session, one)).name
            for one in (question.asked_by, question.confirmed_by)
        ]
        reason = reason_of(kernel, question)
        _record(session, "break-glass.opened", question.asked_by, question.id)
    with kernel.db.transaction(question.company) as session:
        member = members.active(session, question.member_id)
        # The link has the question's id: it alone opens the desk, and no other link of the same member.
        token = make_link(session, Kind.MEMBER, member.id, now, LASTS, link=question.id)
        ledger.record(
            session, "break-glass.opened", caller=f"operator:{question.asked_by}", objects=[member.id, question.id]
        )
        tenant, who = tenants.get(session), members.profile(kernel.keys, member).name
        for one in _told(session):
            known = members.profile(kernel.keys, one)
            letter = letters.break_glass(tenant, known.name, known.email, who, names, reason, now, now + LASTS)
            mail.post(session, kernel.keys, one.id, letter, template="break-glass", campaign=str(question.id))
    return f"{kernel.settings.public_url}/sign-in/{token}"


def let_in(kernel: Kernel, company: UUID, now: datetime) -> set[UUID]:
    """Links that two operators made just now: each opens the desk even where the company demands more."""
    with kernel.db.transaction(PLATFORM) as session:
        return set(
            session.exec(
                select(BreakGlass.id).where(
                    col(BreakGlass.tenant_id) == PLATFORM,
                    col(BreakGlass.company) == company,
                    col(BreakGlass.opened_at) > now - LASTS,
                )
            )
        )


def ask_back(session: Session, kernel: Kernel, member_id: UUID, *, by: UUID, reason: str, now: datetime) -> UUID:
    """For a transaction of the platform's own tenant. Raises `MemberMissing`, `HasAccess`, `ReturnAsked` and
    `ReasonMissing`."""
    if members.get(session, member_id).disabled_at is None:
        raise HasAccess("Their access did not end. Nothing was changed.")
    if any(one.member_id == member_id for one in returns(session, now)):
        raise ReturnAsked("Another operator confirms it on this page, or it ends by itself after fifteen minutes.")
    reason = one_line(reason, 500, N_("reason"))
    if len(reason) < SHORTEST:
        raise ReasonMissing("Say in at least {n} characters why: whoever confirms reads it.", n=SHORTEST)
    return _enter(session, kernel, PLATFORM, member_id, by=by, reason=reason, now=now)


def returns(session: Session, now: datetime) -> list[BreakGlass]:
    """Questions about operators whose access ended. For the same kind of transaction."""
    return _unanswered(session, now, col(BreakGlass.company) == PLATFORM)


def confirm_return(session: Session, question_id: UUID, *, by: UUID, now: datetime, caller: str) -> Member:
    """Both stay in the chain of who could have made the one who comes back. Raises `QuestionMissing` and
    `SecondOperatorNeeded`."""
    question = _settle(session, returns(session, now), question_id, by=by, now=now)
    return members.let_back(session, question.member_id, by=[question.asked_by, by], caller=caller)


def _told(session: Session) -> list[Member]:
    """The company's legal, or its owners where it has none. Raises `NobodyToTell`."""
    everybody = [one for one in members.all(session) if one.disabled_at is None]
    for role in (Role.LEGAL, Role.OWNER):
        found = [one for one in everybody if role in one.roles]
        if found:
            return found
    raise NobodyToTell("This company has nobody of legal and no owner who could be told, so nobody is let in this way.")


def _record(session: Session, event: str, by: UUID, question_id: UUID) -> None:
    ledger.record(session, event, caller=f"{Kind.OPERATOR}:{by}", objects=[question_id])


def _key(kernel: Kernel) -> DataKey:
    return kernel.keys.open_or_create(KeyRef(PLATFORM, PLATFORM, KeyClass.PROFILE))
