"""Data-subject requests: when one came, how it goes on, when an answer is due, when it was given.

received -> verified -> (approved) -> dispatched -> done -> delivered, or refused with a code. What came by letter waits for
somebody who says how it is known who asks, and for a member of legal who approves the answer; what a signed-in person asks
for begins at once. No case ends before everybody who received something was informed or excused (GDPR article 19).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import delete, func, update
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import lines
from compliance import clocks
from compliance.models import (
    BY_ERASURE,
    BY_PACKAGE,
    CALIFORNIAN,
    Extension,
    Means,
    Method,
    Refusal,
    Request,
    RequestKind,
    Verification,
)
from likeness import ledger
from likeness.ground.db import row_of, rows_of, tenant_of, waiting_first
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from tenants import tenants

Code = TypeVar("Code", bound=StrEnum)

STANDS = (col(Request.done_at).is_(None), col(Request.passed_on).is_(False))
"""Of whoever reads the line now, and not over."""


class RequestMissing(NotFound):
    """The company has no such request."""

    title = "There is no such request"


class RequestRefused(Unprocessable):
    """A kind, a reason or a way that there is not."""

    title = "Part of this request is not understood"


class RequestOver(Conflict):
    """The request was answered or refused already."""

    title = "This request is closed"


class TooLate(Conflict):
    """More time is taken before the last day, not after it."""

    title = "The last day for more time is over"


class ExtendedAlready(Conflict):
    """More time is taken once."""

    title = "More time was taken already"


class NotVerified(Conflict):
    """Nobody has said how it is known who asks."""

    title = "Say first how you know who asks"


class NotApproved(Conflict):
    """A member of legal has to approve the answer first."""

    title = "Legal has to approve this first"


class RecipientsWaiting(Conflict):
    """Somebody who received headshots is neither informed nor excused."""

    title = "Somebody is still to be informed"


def receive(
    session: Session,
    employee_id: UUID,
    kind: RequestKind | str,
    now: datetime,
    *,
    caller: str,
    method: Method | str = Method.SIGNED_IN,
) -> Request:
    """The same request twice is one case while the first is open, and each is acknowledged. Raises `RequestRefused`."""
    kind = among(RequestKind, kind)
    method = among(Method, method)
    # Two who ask in the same moment wait for each other, so that they find one case.
    session.execute(
        select(col(Employee.id))
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id) == employee_id)
        .with_for_update(key_share=True)
    )
    known = open_of(session, employee_id, kind)
    signed_in = method == Method.SIGNED_IN
    if known is not None and signed_in and of_before(session, known):
        session.flush()
        known = None
    if known is not None:
        known.asked += 1
        session.add(known)
        if signed_in:
            recognise(session, known, now)
        return known
    case = Request(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        kind=kind,
        regime="ccpa" if kind in CALIFORNIAN else "gdpr",
        entered_by=caller,
        method=method,
        received_at=now,
        due_at=clocks.due(kind, now, tenants.get(session).time_zone),
        verified_at=now if signed_in else None,
        verification=Verification.SIGNED_IN if signed_in else None,
        dispatched_at=now if signed_in else None,
    )
    session.add(case)
    session.flush()
    _record(session, "request.received", case, caller)
    return case


def receive_erasure(session: Session, employee_id: UUID, now: datetime, *, caller: str) -> None:
    """One case, also where the request was entered before its erasure began."""
    known = [case for kind in BY_ERASURE if (case := open_of(session, employee_id, kind))]
    if not known:
        receive(session, employee_id, RequestKind.ERASURE, now, caller=caller)
    elif caller == f"employee:{employee_id}":
        for case in known:
            recognise(session, case, now)


def of_before(session: Session, case: Request) -> bool:
    """Whether it was asked for by whoever read the line's address before it was corrected. It stays on legal's desk, and
    shows to nobody who reads the line now."""
    if not case.passed_on and case.method == Method.SIGNED_IN:
        since = lines.read_since(session, case.employee_id)
        case.passed_on = since is not None and case.received_at < since
        session.add(case)
    return case.passed_on


def recognise(session: Session, case: Request, now: datetime) -> None:
    """The person asks for the same signed in, so it is known who asks, and it begins, also where a letter came first."""
    caller = f"employee:{case.employee_id}"
    if case.verified_at is None:
        case.verified_at, case.verification = now, Verification.SIGNED_IN
        _record(session, "request.verified", case, caller)
    if case.dispatched_at is None:
        case.dispatched_at = now
        _record(session, "request.dispatched", case, caller)
    session.add(case)


def among(kinds: type[Code], word: str) -> Code:
    if word not in set(kinds):
        raise RequestRefused(N_("This is none of those that there are: {words}."), words=", ".join(sorted(kinds)))
    return kinds(word)


def verify(session: Session, request_id: UUID, how: Verification | str, now: datetime, *, caller: str) -> Request:
    """Somebody says how it is known who asks. Raises `RequestMissing`, `RequestOver` and `RequestRefused`."""
    how = among(Verification, how)
    case = _open(session, request_id)
    if case.verified_at is None:
        case.verified_at, case.verification = now, how
        session.add(case)
        _record(session, "request.verified", case, caller)
    return case


def extend(session: Session, request_id: UUID, reason: Extension | str, now: datetime, *, caller: str) -> Request:
    """Takes more time, once and before the last day. Raises `RequestRefused`, `TooLate`, `ExtendedAlready`, `RequestOver`
    and `NotExtendable`."""
    reason = among(Extension, reason)
    case = _open(session, request_id)
    if case.extended_at is not None:
        raise ExtendedAlready("More time was taken for this request already; the law gives it once.")
    if case.due_at < now:
        raise TooLate("The last day has passed. More time has to be taken, and its reason given, before that.")
    case.due_at = clocks.extended(RequestKind(case.kind), case.received_at, tenants.get(session).time_zone)
    case.extended_at, case.extension = now, reason
    session.add(case)
    _record(session, "request.extended", case, caller)
    return case


def approve(session: Session, request_id: UUID, member_id: UUID, now: datetime) -> Request:
    """Raises `NotVerified` while nobody knows who asks, `RequestMissing` and `RequestOver`."""
    case = _open(session, request_id)
    _check_verified(case)
    if case.approved_at is None:
        case.approved_at, case.approved_by = now, member_id
        session.add(case)
        _record(session, "request.approved", case, f"member:{member_id}")
    return case


def dispatch(session: Session, request_id: UUID, now: datetime, *, caller: str) -> Request:
    """What was asked for begins. Raises `NotVerified`, `NotApproved`, `RequestMissing` and `RequestOver`."""
    case = _open(session, request_id)
    check_released(case)
    if case.dispatched_at is None:
        case.dispatched_at = now
        session.add(case)
        _record(session, "request.dispatched", case, caller)
    return case


def check_released(case: Request) -> None:
    """The gate. Raises `NotVerified` and `NotApproved`."""
    _check_verified(case)
    if case.method != Method.SIGNED_IN and case.approved_at is None:
        raise NotApproved(
            "This request came without a sign-in: a member of legal approves what is done before it is done."
        )


def _check_verified(case: Request) -> None:
    if case.verified_at is None:
        raise NotVerified("Say first how it is known who asks. A sign-in of the person is enough; ask for no passport.")


def name_recipients(session: Session, case: Request) -> Request:
    """Who downloaded the person's headshots until now, as the log knows it."""
    known = {(one["by"], one["at"]) for one in case.recipients}
    downloads = [one for one in ledger.entries(session, subject=case.employee_id) if one.event == "release.downloaded"]
    fresh = [
        {"by": one.caller, "at": one.at.isoformat(), "informed_at": None, "excuse": None}
        for one in downloads
        if (one.caller, one.at.isoformat()) not in known
    ]
    if fresh:
        case.recipients = [*case.recipients, *fresh]
        session.add(case)
    return case


def settled(recipient: Mapping[str, Any]) -> bool:
    """Informed, which a mail does that the mail server took, or excused."""
    return bool(recipient["informed_at"] or recipient["excuse"])


def written_to(recipient: Mapping[str, Any]) -> bool:
    """Settled, or a mail to them is on its way."""
    return settled(recipient) or bool(recipient.get("mail"))


def answer(session: Session, request_id: UUID, now: datetime, *, caller: str) -> Request:
    """The person's answer goes out; while a mail to a recipient is on its way it is only asked for, and `done_at` stays
    empty. Raises `NotVerified`, `NotApproved`, `RecipientsWaiting`, `RequestOver`."""
    case = name_recipients(session, dispatch(session, request_id, now, caller=caller))
    if not all(written_to(one) for one in case.recipients):
        raise RecipientsWaiting(
            "Somebody downloaded headshots of this person, and no mail reaches them. Inform them of it, or say why that"
            " cannot be; then the request can be answered."
        )
    if all(settled(one) for one in case.recipients):
        case.done_at = now
        _record(session, "request.answered", case, caller)
    elif case.answer_asked_at is None:
        case.answer_asked_at = now
        _record(session, "request.answer-asked", case, caller)
    session.add(case)
    return case


def to_answer(session: Session) -> list[UUID]:
    """Cases that legal answered, and whose answer waits for recipients."""
    waiting = select(Request.id).where(
        col(Request.tenant_id) == tenant_of(session), col(Request.answer_asked_at).is_not(None)
    )
    return list(session.exec(waiting.where(col(Request.done_at).is_(None))))


def refuse(session: Session, request_id: UUID, reason: Refusal | str, now: datetime, *, caller: str) -> Request:
    """Raises `RequestRefused` for a reason that is no code, `RequestMissing` and `RequestOver`."""
    reason = among(Refusal, reason)
    case = _open(session, request_id)
    case.done_at, case.refusal = now, reason
    session.add(case)
    _record(session, "request.refused", case, caller)
    return case


def close(session: Session, employee_id: UUID, kind: RequestKind, now: datetime) -> None:
    """A package was taken, or an erasure certified: whatever asked for just that is answered. A certificate names who was
    informed of the deletion, and a package needs nobody informed."""
    kinds: Collection[RequestKind] = BY_PACKAGE if kind in BY_PACKAGE else BY_ERASURE if kind in BY_ERASURE else {kind}
    done = session.execute(
        update(Request)
        .where(
            col(Request.tenant_id) == tenant_of(session),
            col(Request.employee_id) == employee_id,
            col(Request.kind).in_(kinds),
            *STANDS,
        )
        .values(done_at=now, delivered_at=now)
        .returning(col(Request.id))
    ).scalars()
    for case_id in done:
        ledger.record(session, "request.answered", subject=employee_id, objects=[case_id])


def of(session: Session, employee_id: UUID) -> list[Request]:
    return rows_of(session, Request, col(Request.employee_id) == employee_id, by=col(Request.received_at))


def seen_by(session: Session, employee_id: UUID) -> list[Request]:
    """For the person's own page: without those of whoever read the line's address before it was corrected."""
    since = lines.read_since(session, employee_id)
    return [one for one in of(session, employee_id) if since is None or one.received_at >= since]


def open_of(session: Session, employee_id: UUID, kind: RequestKind) -> Request | None:
    asked = (col(Request.employee_id) == employee_id, col(Request.kind) == kind, *STANDS)
    return session.exec(select(Request).where(col(Request.tenant_id) == tenant_of(session), *asked)).one_or_none()


def all_requests(
    session: Session, most: int | None = None, *, after: tuple[bool, datetime, UUID] | None = None, only_open: bool = False
) -> list[Request]:
    """Open ones first, the soonest due before the others; then the ended ones, newest first. At most so many, those `after`
    one: whether it was over, when or by when, and its id."""
    query = select(Request).where(col(Request.tenant_id) == tenant_of(session))
    if only_open:
        query = query.where(col(Request.done_at).is_(None))
    in_turn = waiting_first(query, col(Request.due_at), col(Request.done_at), col(Request.id), most, after)
    return list(session.exec(in_turn))


class RequestCounts(NamedTuple):
    everything: int
    open: int
    late: int


def counts(session: Session, now: datetime) -> RequestCounts:
    is_open = col(Request.done_at).is_(None)
    query = select(
        func.count(), func.count().filter(is_open), func.count().filter(is_open, col(Request.due_at) < now)
    ).where(col(Request.tenant_id) == tenant_of(session))
    return RequestCounts(*session.exec(query).one())


def get(session: Session, request_id: UUID) -> Request:
    """Raises `RequestMissing`."""
    case = row_of(session, Request, request_id)
    if case is None:
        raise RequestMissing("There is no such request.")
    return case


def _open(session: Session, request_id: UUID) -> Request:
    case = get(session, request_id)
    session.refresh(case, with_for_update=True)
    if case.done_at is not None:
        raise RequestOver("This request was answered or refused already.")
    return case


def timeline(session: Session, case: Request) -> list[ledger.LedgerEntry]:
    """What happened about it, oldest first, as the log holds it."""
    entries = ledger.entries(session, subject=case.employee_id)
    return [one for one in entries if str(case.id) in one.objects]


def unconfirmed(session: Session, now: datetime) -> list[Request]:
    """Requests whose receipt is not confirmed on the eighth business day."""
    waiting = [one for one in all_requests(session, only_open=True) if one.acknowledged_at is None]
    return [one for one in waiting if clocks.alarm_at(one.received_at) <= now]


@jobs.every(timedelta(hours=6), deletes=True)
def forget_old(kernel: Kernel, now: datetime) -> None:
    """The record of a request goes 24 months and a grace after its answer."""

    def of_company(session: Session) -> None:
        # Months differ in length, so that the database sorts out roughly and the calendar decides.
        old = session.exec(
            select(Request).where(
                col(Request.tenant_id) == tenant_of(session), col(Request.done_at) < now - timedelta(days=700)
            )
        ).all()
        gone = [one.id for one in old if one.done_at and clocks.forgotten_at(one.done_at) <= now]
        if gone:
            session.execute(
                delete(Request).where(col(Request.tenant_id) == tenant_of(session), col(Request.id).in_(gone))
            )
            ledger.record(session, "request.forgotten", objects=gone)

    # Requests outlive their company, and have the same last day.
    tenants.for_each(kernel, of_company, left=True)


def to_acknowledge(session: Session) -> list[UUID]:
    """Open cases of people who are still there, whose last asking was not acknowledged."""
    there = (col(Employee.tenant_id) == col(Request.tenant_id)) & (col(Employee.id) == Request.employee_id)
    waits = (col(Request.tenant_id) == tenant_of(session), *STANDS, col(Request.acknowledged) < col(Request.asked))
    return list(session.exec(select(Request.id).join(Employee, there).where(*waits)))


def receipt_written(session: Session, case: Request) -> None:
    """The mail that confirms the receipt is written; whether the mail server takes it is not known yet."""
    case.acknowledged = case.asked
    session.add(case)


def acknowledged(
    session: Session, case: Request, at: datetime, *, caller: str = ledger.SYSTEM, means: Means | str | None = None
) -> None:
    """The mail server took the mail, or somebody told the person by other `means`. Raises `RequestRefused`."""
    if case.acknowledged_at is None:
        case.acknowledged_at = at
        session.add(case)
        _record(session, "request.acknowledged", case, caller, *([among(Means, means)] if means is not None else []))


def erasure_acknowledged(session: Session, employee_id: UUID, at: datetime) -> None:
    """The mail server took the mail that confirms a wish to have everything deleted."""
    for case in of(session, employee_id):
        if case.kind in BY_ERASURE and case.acknowledged:
            acknowledged(session, case, max(at, case.received_at))


def _record(session: Session, event: str, case: Request, caller: str, *codes: str) -> None:
    ledger.record(session, event, caller=caller, subject=case.employee_id, objects=[case.id, *codes])
