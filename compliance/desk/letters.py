"""The letters of a request, in the person's language: received, more time, refused, answered.

They are sealed like every mail. The record of the request holds codes alone, and what a letter says besides is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.people import employees
from batch.visit import notices
from compliance import requests
from compliance.models import (
    BY_CORRECTION,
    BY_PACKAGE,
    BY_STOPPING,
    Extension,
    Method,
    Refusal,
    Request,
    RequestKind,
)
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, SealBroken
from likeness.locale.marks import N_
from likeness.mail import letters, mail
from likeness.mail.mail import Mail
from tenants import tenants

KINDS: Mapping[str, str] = {
    RequestKind.ACCESS: N_("a copy of your data"),
    RequestKind.PORTABILITY: N_("your data to take with you"),
    RequestKind.RECTIFICATION: N_("to correct your data"),
    RequestKind.ERASURE: N_("to delete your data"),
    RequestKind.RESTRICTION: N_("to stop using your data"),
    RequestKind.OBJECTION: N_("your objection to the use of your data"),
    RequestKind.KNOW: N_("to know what is held about you"),
    RequestKind.DELETE: N_("to delete what is held about you"),
    RequestKind.CORRECT: N_("to correct what is held about you"),
    RequestKind.OPT_OUT: N_("not to sell or share your data"),
    RequestKind.LIMIT: N_("to limit the use of sensitive data"),
}
HOW: Mapping[str, str] = {
    Method.SIGNED_IN: N_("through your own page"),
    Method.LETTER: N_("by letter"),
    Method.MAIL: N_("by e-mail"),
    Method.PHONE: N_("by telephone"),
    Method.IN_PERSON: N_("in person"),
}
NEXT: Mapping[bool, str] = {
    True: N_("It has begun."),
    False: N_(
        "It did not come through your own page: if it is not from you, please tell your employer at once. Before anything"
        " is done, somebody makes sure that it is you who asks."
    ),
}
EXTENSIONS: Mapping[str, str] = {
    Extension.COMPLEX: N_("it is complex"),
    Extension.MANY: N_("many requests came at once"),
}
REFUSALS: Mapping[str, str] = {
    Refusal.NO_MATCH: N_("nothing is held about you"),
    Refusal.NOT_VERIFIED: N_("it could not be made sure that it is you who asks"),
    Refusal.NOT_COVERED: N_("the law gives no such right here"),
    Refusal.OUTSIDE: N_("this law does not apply to you"),
    Refusal.TOO_MANY: N_("the same was asked and answered too often in a short time"),
}
PACKAGE = N_("your data is ready. Open your own page, sign in afresh and take it from there.")
CORRECTED = N_("your data was corrected.")
STOPPED = N_(
    "nothing more is made of your photos. What is stored stays until its last day, and you may have it deleted at any"
    " time. Your data was and is neither sold nor shared."
)
DONE: Mapping[str, str] = {
    **dict.fromkeys(BY_PACKAGE, PACKAGE), **dict.fromkeys(BY_CORRECTION, CORRECTED), **dict.fromkeys(BY_STOPPING, STOPPED),
}  # fmt: skip
INFORMED: Mapping[str, str] = {
    "nobody": N_("Nobody had received headshots of you."),
    "all": N_("Who had received headshots of you is informed of it."),
    "some": N_("Who had received headshots of you is informed of it, as far as that is possible."),
}


@jobs.every(timedelta(seconds=10))
def confirm_receipts(kernel: Kernel, now: datetime) -> None:
    """Each time somebody asks, a mail says within the minute what was received and by when it is answered."""
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            waiting = requests.to_acknowledge(session)
        sweeping.each(kernel, "acknowledge", tenant, waiting, now, partial(_confirm, kernel=kernel))


def _confirm(session: Session, request_id: UUID, *, kernel: Kernel) -> None:
    case = requests.get(session, request_id)
    how, begun = HOW[case.method], NEXT[case.dispatched_at is not None]
    sent = _write(session, kernel, case, "request-received", str(case.asked), how=how, next=begun)
    if sent:
        requests.receipt_written(session, case)


def say_extended(session: Session, kernel: Kernel, case: Request) -> None:
    _write(session, kernel, case, "request-extended", "1", reason=EXTENSIONS[case.extension or ""])


def say_refused(session: Session, kernel: Kernel, case: Request) -> None:
    _write(session, kernel, case, "request-refused", "1", reason=REFUSALS[case.refusal or ""])


def say_answered(session: Session, kernel: Kernel, case: Request) -> None:
    excused = any(one["excuse"] for one in case.recipients)
    told = "some" if excused else "all" if case.recipients else "nobody"
    _write(session, kernel, case, "request-answered", "1", done=DONE[case.kind], informed=INFORMED[told])


def say_ready(session: Session, kernel: Kernel, case: Request) -> None:
    """The package waits for the person; the case is closed by their taking it."""
    _write(session, kernel, case, "request-ready", "1")


def _write(session: Session, kernel: Kernel, case: Request, template: str, campaign: str, **said: str) -> bool:
    """Whether a letter could be written: nobody is left to write to once the person's keys are gone, or their line has
    another address, which is somebody else's.

    What is said besides the case's own facts are sentences of the catalogue.
    """
    if requests.of_before(session, case):
        return False
    with suppress(Gone, SealBroken, KeyBroken, employees.EmployeeMissing):
        person = employees.get(session, case.employee_id)
        who, tenant = employees.profile(kernel.keys, person), tenants.get(session)
        reads = employees.words(kernel.keys, person, tenant)
        facts = notices.terms(tenant, reads) | {
            "what": reads.gettext(KINDS[case.kind]),
            "number": case.number,
            "date": reads.day(case.received_at),
            "due": reads.day(case.due_at),
            "code": case.refusal or "",
            "link": f"{kernel.settings.public_url.rstrip('/')}/visit",
        }
        facts |= {name: reads.gettext(sentence) for name, sentence in said.items()}
        letter = letters.letter(template, reads, who.email, colour=tenant.colour, name=who.full_name, **facts)
        mail.post(session, kernel.keys, person.id, letter, template=template, campaign=f"{case.id}:{campaign}")
        return True
    return False


@jobs.every(timedelta(seconds=20))
def note_delivered(kernel: Kernel, now: datetime) -> None:
    """A receipt is confirmed, and an answer delivered, when the mail server took the mail."""

    def of_company(session: Session) -> None:
        mine = select(Request).where(col(Request.tenant_id) == tenant_of(session))
        asked = mine.where(col(Request.acknowledged) > 0, col(Request.acknowledged_at).is_(None))
        for case in session.exec(asked.with_for_update(skip_locked=True)).all():
            if sent_at := _taken(session, case, ("request-received",)):
                requests.acknowledged(session, case, max(sent_at, case.received_at))
        done = mine.where(col(Request.done_at).is_not(None), col(Request.delivered_at).is_(None))
        for case in session.exec(done).all():
            sent_at = _taken(session, case, ("request-answered", "request-refused"))
            if sent_at is not None and case.done_at is not None:
                case.delivered_at = max(sent_at, case.done_at)
                session.add(case)

    tenants.for_each(kernel, of_company)


def _taken(session: Session, case: Request, templates: tuple[str, ...]) -> datetime | None:
    """When the mail server took the first letter of this kind about this case."""
    mails = select(func.min(col(Mail.sent_at))).where(
        col(Mail.tenant_id) == tenant_of(session),
        col(Mail.owner_id) == case.employee_id,
        col(Mail.template).in_(templates),
        col(Mail.campaign).startswith(f"{case.id}:"),
    )
    return session.exec(mails).one()
