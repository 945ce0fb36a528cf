"""What is done about a request: asked for by the person, or entered for them by HR or legal.

What a signed-in person asks for begins at once; what was entered for somebody begins when legal carries it out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlmodel import Session

from batch.photos.measures import KNOWN
from batch.sittings import sittings
from compliance import requests
from compliance.desk import informing, letters
from compliance.erasure import erasures
from compliance.erasure.wiping import locked_person
from compliance.models import BY_ERASURE, BY_PACKAGE, BY_STOPPING, Method, Request
from likeness import ledger
from likeness.ground.db import after_commit
from likeness.ground.errors import Conflict, Unprocessable
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from tenants import tenants


class NotForTheDesk(Unprocessable):
    """Only the person themselves asks signed in."""

    title = "Only the person themselves can ask for this"


class AnswersItself(Conflict):
    """A package or a certificate is the answer to this request, and closes it."""

    title = "This request closes by itself"


class ErasureUnderWay(Conflict):
    """Everything of the person is being deleted."""

    title = "Everything is being deleted already"


def ask(session: Session, kernel: Kernel, employee_id: UUID, kind: str, now: datetime) -> tuple[Request, str | None]:
    """The person asks, signed in. With an erasure comes the receipt, which is shown once. Raises `RequestRefused`."""
    caller = f"employee:{employee_id}"
    case = requests.receive(session, employee_id, kind, now, caller=caller)
    return case, _begin(session, kernel, case, now, caller)


def enter(session: Session, employee_id: UUID, kind: str, method: str, now: datetime, *, caller: str) -> Request:
    """HR or legal enters what came by letter. Raises `NotForTheDesk` and `RequestRefused`."""
    if method == Method.SIGNED_IN:
        raise NotForTheDesk("Say how it came: by letter, mail, phone or in person. A sign-in is the person's own.")
    return requests.receive(session, employee_id, kind, now, caller=caller, method=method)


def carry_out(session: Session, kernel: Kernel, request_id: UUID, now: datetime, *, caller: str) -> Request:
    """Raises `NotVerified`, `NotApproved`, `RequestMissing` and `RequestOver`."""
    case = requests.dispatch(session, request_id, now, caller=caller)
    _begin(session, kernel, case, now, caller)
    if case.kind in BY_PACKAGE:
        letters.say_ready(session, kernel, case)
    return case


def _begin(session: Session, kernel: Kernel, case: Request, now: datetime, caller: str) -> str | None:
    if case.kind in BY_ERASURE:
        _, receipt = erasures.ask(session, kernel, case.employee_id, now, caller=caller)
        return receipt
    if case.kind in BY_STOPPING:
        stop(session, case.employee_id, now, caller=caller)
        informing.write(session, kernel, case)
    return None


def stop(session: Session, employee_id: UUID, now: datetime, *, caller: str) -> None:
    """Nothing more is made of the person's photos; what is stored stays until its last day (GDPR article 18)."""
    person = locked_person(session, employee_id)
    if person is None or person.restricted_at is not None:
        return
    sittings.cancel(session, person.id)
    person.restricted_at = now
    session.add(person)
    after_commit(session, lambda: KNOWN.forget(employee_id))
    ledger.record(session, "processing.stopped", caller=caller, subject=employee_id)


def go_on(session: Session, employee_id: UUID) -> None:
    """The person lets their photos be used again. Raises `ErasureUnderWay`."""
    person = locked_person(session, employee_id)
    if person is None or person.restricted_at is None:
        return
    if erasures.open_of(session, employee_id) is not None:
        raise ErasureUnderWay(N_("Everything of yours is being deleted, so nothing can go on."))
    person.restricted_at = None
    session.add(person)
    ledger.record(session, "processing.resumed", caller=f"employee:{employee_id}", subject=employee_id)


def answer(session: Session, kernel: Kernel, request_id: UUID, now: datetime, *, caller: str) -> Request:
    """The letter that ends a case; it waits for mails to recipients that are on their way.

    Raises `AnswersItself`, and what `requests.answer` does.
    """
    case = requests.get(session, request_id)
    if case.kind in BY_PACKAGE | BY_ERASURE:
        raise AnswersItself(
            "This request is answered when the person takes their package, or when the deletion is certified. Carry it"
            " out, or refuse it with a reason."
        )
    requests.check_released(case)
    if case.kind in BY_STOPPING:
        stop(session, case.employee_id, now, caller=caller)
    informing.write(session, kernel, case)
    case = requests.answer(session, request_id, now, caller=caller)
    if case.done_at is not None:
        letters.say_answered(session, kernel, case)
    return case


@jobs.every(timedelta(seconds=30))
def send_answers(kernel: Kernel, now: datetime) -> None:
    """What legal answered goes out once the last recipient is informed or excused."""
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            waiting = requests.to_answer(session)
        sweeping.each(kernel, "answer", tenant, waiting, now, partial(_send_answer, kernel=kernel, now=now))


def _send_answer(session: Session, request_id: UUID, *, kernel: Kernel, now: datetime) -> None:
    case = requests.get(session, request_id)
    informing.write(session, kernel, case)  # Somebody may have downloaded meanwhile.
    if all(requests.settled(one) for one in case.recipients):
        letters.say_answered(session, kernel, requests.answer(session, request_id, now, caller=ledger.SYSTEM))


def confirm_receipt(session: Session, request_id: UUID, means: str, now: datetime, *, caller: str) -> Request:
    """Legal told the person by other means that the request was received. Raises `RequestRefused`."""
    case = requests.get(session, request_id)
    requests.acknowledged(session, case, now, caller=caller, means=means)
    return case


def refuse(session: Session, kernel: Kernel, request_id: UUID, reason: str, now: datetime, *, caller: str) -> Request:
    """With a letter that says why. Raises `AnswersItself` for an erasure that has begun, and as `requests.refuse`."""
    case = requests.get(session, request_id)
    if case.kind in BY_ERASURE and case.dispatched_at is not None:
        raise AnswersItself("The deletion has begun and is not called back.")
    case = requests.refuse(session, request_id, reason, now, caller=caller)
    letters.say_refused(session, kernel, case)
    return case


def extend(session: Session, kernel: Kernel, request_id: UUID, reason: str, now: datetime, *, caller: str) -> Request:
    case = requests.extend(session, request_id, reason, now, caller=caller)
    letters.say_extended(session, kernel, case)
    return case


FIELDS = ("date_of_request", "nature_of_request", "manner", "date_of_response", "nature_of_response", "basis_of_denial")
"""What section 7101(b) has a business keep of each request."""


def record(session: Session) -> list[tuple[str, ...]]:
    """One line a request, under `FIELDS`; it names nobody."""
    return [
        (
            one.received_at.isoformat(timespec="seconds"),
            one.kind,
            one.method,
            one.done_at.isoformat(timespec="seconds") if one.done_at else "",
            ("refused" if one.refusal else "granted") if one.done_at else "open",
            one.refusal or "",
        )
        for one in requests.all_requests(session)
    ]
