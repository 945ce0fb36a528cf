"""Everybody who downloaded headshots is told by mail that data was corrected, or may be used no further (GDPR article 19).

The mail goes to the member who downloaded, or who made the key of the program that did. Informed is whom the mail server
took the mail for. Whom it cannot reach waits for legal, who informs them by other means or excuses them, and no case ends
before. An erasure has mails of its own (`compliance/erasure/cases.py`); what becomes of them is noted here too.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from batch.people import employees
from batch.people.employees import EmployeeProfile
from compliance import requests
from compliance.erasure import cases, erasures
from compliance.models import (
    BY_CORRECTION,
    BY_ERASURE,
    BY_PACKAGE,
    BY_STOPPING,
    Erasure,
    ErasureState,
    Excuse,
    Means,
    Request,
    RequestKind,
)
from compliance.proof import certificates
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict, Gone
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, SealBroken
from likeness.ledger import LedgerEntry
from likeness.mail.mail import Mail
from likeness.mail.smtp import MailOutcome
from tenants import tenants

TEMPLATES: Mapping[str, str] = {
    **dict.fromkeys(BY_CORRECTION, "copies-corrected"),
    **dict.fromkeys(BY_STOPPING, "copies-stopped"),
}
LONGEST_ON_ITS_WAY = timedelta(days=7)


class NobodyWaits(Conflict):
    """No recipient of this deletion has to be told by hand."""

    title = "Nobody has to be told by hand"


def write(session: Session, kernel: Kernel, case: Request) -> None:
    """Writes to everybody who was not told of this case yet and can be reached."""
    template = TEMPLATES.get(case.kind)
    case = requests.name_recipients(session, case)
    if template is None or all(requests.written_to(one) for one in case.recipients):
        return
    with suppress(Gone, SealBroken, KeyBroken, employees.EmployeeMissing):
        who = employees.profile(kernel.keys, employees.get(session, case.employee_id))
        waiting = {(one["by"], one["at"]) for one in case.recipients if not requests.written_to(one)}
        theirs: dict[UUID, list[LedgerEntry]] = {}
        behind: dict[str, UUID | None] = {by: cases.member_behind(session, by) for by, _ in waiting}
        for entry in ledger.entries(session, subject=case.employee_id):
            member = behind.get(entry.caller)
            if member is not None and (entry.caller, entry.at.isoformat()) in waiting:
                theirs.setdefault(member, []).append(entry)
        written = {
            member: _mail(session, kernel, case, template, member, who, entries) for member, entries in theirs.items()
        }
        mails = {by: written.get(member) for by, member in behind.items() if member is not None}
        case.recipients = [_with_mail(one, mails.get(one["by"])) for one in case.recipients]
        session.add(case)
        if any(written.values()):
            ledger.record(session, "request.recipients-written", subject=case.employee_id, objects=[case.id])
        session.flush()


def _with_mail(recipient: dict[str, Any], mail_id: str | None) -> dict[str, Any]:
    return recipient if mail_id is None or requests.written_to(recipient) else recipient | {"mail": mail_id}


def _mail(
    session: Session, kernel: Kernel, case: Request, template: str, member_id: UUID, who: EmployeeProfile,
    entries: list[LedgerEntry],
) -> str | None:  # fmt: skip
    # Who downloads again while the case is open is written to again.
    campaign = f"{case.id}:{max(entry.sequence for entry in entries)}"
    return cases.write_to_recipient(session, kernel, template, member_id, who, entries, campaign=campaign)


@jobs.every(timedelta(minutes=1))
def note_informed(kernel: Kernel, now: datetime) -> None:
    """A recipient is informed when the mail server took the mail; one whose mail failed waits for legal again."""
    def of_company(session: Session) -> None:
        _note(session, now)
        for erasure in session.exec(_unsettled(session).with_for_update(skip_locked=True)).all():
            settle_erasure(session, erasure, now)

    tenants.for_each(kernel, of_company)


def _note(session: Session, now: datetime) -> None:
    # A mail is given up within days, so older cases have no mail on its way.
    lately = col(Request.done_at).is_(None) | (col(Request.done_at) > now - LONGEST_ON_ITS_WAY)
    cases_lately = session.exec(select(Request).where(col(Request.tenant_id) == tenant_of(session), lately)).all()
    on_their_way = [case for case in cases_lately if any(_waits(one) for one in case.recipients)]
    if not on_their_way:
        return
    wanted = {UUID(one["mail"]) for case in on_their_way for one in case.recipients if _waits(one)}
    mails = session.exec(select(Mail).where(col(Mail.tenant_id) == tenant_of(session), col(Mail.id).in_(wanted)))
    known = {str(one.id): one for one in mails}
    for case in on_their_way:
        session.refresh(case, with_for_update=True)  # What legal says of a recipient meanwhile stays said.
        told = [_noted(one, known.get(str(one["mail"]))) if _waits(one) else one for one in case.recipients]
        if told != case.recipients:
            case.recipients = told
            session.add(case)


def _waits(recipient: Mapping[str, Any]) -> bool:
    return bool(recipient.get("mail")) and not requests.settled(recipient)


def _noted(recipient: dict[str, Any], sent: Mail | None) -> dict[str, Any]:
    if sent is not None and sent.sent_at is not None:
        return recipient | {"informed_at": sent.sent_at.isoformat()}
    if sent is None or sent.failed_at is not None or sent.outcome == MailOutcome.UNKNOWN:
        return recipient | {"mail": None}
    return recipient


# What legal does about whom no mail reaches


def by_hand(
    session: Session, request_id: UUID, now: datetime, *, caller: str, how: Means | str | None = None,
    excuse: Excuse | str | None = None,
) -> Request:  # fmt: skip
    """Everybody whom no mail reaches was informed by other means, or cannot be for the reason that is given. Raises
    `RequestRefused`, and `RequestOver` where nobody waits for it."""
    told = _told(now, how, excuse)
    case = requests.get(session, request_id)
    session.refresh(case, with_for_update=True)
    if case.kind in BY_ERASURE:
        for erasure in of_person(session, case.employee_id):
            erasure_by_hand(session, erasure.id, now, caller=caller, how=how, excuse=excuse)
        return case
    if case.done_at is not None and not unreached(case):
        raise requests.RequestOver("This request was answered or refused already.")
    case = requests.name_recipients(session, case) if case.done_at is None else case
    case.recipients = [one if requests.written_to(one) else one | told for one in case.recipients]
    session.add(case)
    ledger.record(
        session, "request.recipients-excused" if told["excuse"] else "request.recipients-informed", caller=caller,
        subject=case.employee_id, objects=[case.id, told["excuse"] or told["how"]],
    )  # fmt: skip
    return case


def unreached(case: Request) -> bool:
    """It was answered while a mail to a recipient was on its way, as older versions did, and that mail failed."""
    if case.done_at is None or case.refusal is not None or case.kind in BY_PACKAGE | BY_ERASURE:
        return False
    return not all(requests.written_to(one) for one in case.recipients)


def erasure_by_hand(
    session: Session, erasure_id: UUID, now: datetime, *, caller: str, how: Means | str | None = None,
    excuse: Excuse | str | None = None,
) -> Erasure:  # fmt: skip
    """The same for whoever still has copies of somebody who is deleted. Raises `RequestRefused`, `ErasureMissing`, and
    `NobodyWaits`."""
    told = _told(now, how, excuse)
    erasure = erasures.get(session, erasure_id)
    session.refresh(erasure, with_for_update=True)
    settle_erasure(session, erasure, now)
    if not cases.unreached(erasure):
        raise NobodyWaits("Everybody who downloaded headshots of this person is informed, excused or being written to.")
    erasure.recipients = [one if cases.written_to(one) else one | told for one in erasure.recipients]
    ledger.record(
        session, "erasure.recipients-excused" if told["excuse"] else "erasure.recipients-informed", caller=caller,
        subject=erasure.employee_id, objects=[erasure.id, told["excuse"] or told["how"]],
    )  # fmt: skip
    settle_erasure(session, erasure, now)
    return erasure


def settle_erasure(session: Session, erasure: Erasure, now: datetime) -> None:
    """What became of its mails since. When the last recipient is informed or excused, a request that asked for it ends."""
    if cases.settle(session, erasure, now):
        requests.close(session, erasure.employee_id, RequestKind.ERASURE, now)


def waiting(session: Session, most: int = 100) -> list[Erasure]:
    """Deletions that are certified, and of which somebody with copies is to be told by hand; the oldest ones first."""
    found = session.exec(_unsettled(session).order_by(col(Erasure.requested_at)))
    return list(islice((one for one in found if cases.unreached(one)), most))


def of_person(session: Session, employee_id: UUID) -> list[Erasure]:
    found = session.exec(_unsettled(session).where(col(Erasure.employee_id) == employee_id))
    return [one for one in found if cases.unreached(one)]


def _told(now: datetime, how: Means | str | None, excuse: Excuse | str | None) -> dict[str, Any]:
    if excuse is not None:
        return {"informed_at": None, "excuse": str(requests.among(Excuse, excuse))}
    return {"informed_at": certificates.moment(now), "how": str(requests.among(Means, how or "")), "excuse": None}


def _unsettled(session: Session) -> SelectOfScalar[Erasure]:
    return select(Erasure).where(
        col(Erasure.tenant_id) == tenant_of(session),
        col(Erasure.state) == ErasureState.CERTIFIED,
        col(Erasure.recipients_settled_at).is_(None),
    )
