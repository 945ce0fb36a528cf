"""The receipt of somebody who had everything deleted: shown once, and mailed as the last thing that is written to them.

The mail goes to the address that was known until then. It has a key of its own, because the person's are gone within the
second; row and key go as soon as the mail server has answered, or after a minute, before anything is certified.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from sqlalchemy import delete
from sqlmodel import Session, col, select

from batch.directory import people as directory
from batch.people import employees
from compliance import requests
from compliance.erasure import lines
from compliance.erasure.wiping import locked_person
from compliance.models import BY_ERASURE, Erasure, Request, Trigger, Verification
from compliance.proof import whose
from likeness import ledger
from likeness.ground.errors import Gone
from likeness.identity import new_token, token_hash
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, KeyClass, KeyFolder, KeyRef, KeyUnavailable, SealBroken
from likeness.locale.marks import N_
from likeness.mail import mail
from likeness.mail.mail import Mail
from tenants import tenants

TEMPLATE, BY_OTHERS = "erased", "removed"
"""What it is called in a mail to who asked, and to who is told that their employer, its rule for leavers or its departure
did."""
RECOGNISED: Mapping[str, str] = {
    Verification.SIGNED_IN: N_("You were signed in, so it is known that it is you."),
    Verification.KNOWN: N_("Somebody at your employer who knows you in person said that it is you."),
    Verification.CALLED_BACK: N_("You were called at a number that is on file, so it is known that it is you."),
}
"""What was done about who it is that asks (CCPA regulations, section 7021(a))."""


def issue(session: Session, keys: KeyFolder, erasure: Erasure) -> str:
    """A token to be shown once: with it the person fetches the certificate when their session is gone, and it makes the
    code that proves that the certificate is theirs.

    Only its hash is stored, and the newest one holds.
    """
    token = new_token(erasure.tenant_id)
    person = locked_person(session, erasure.employee_id)
    with suppress(Gone, SealBroken, KeyBroken):
        if person is not None:
            reads = employees.words(keys, person, tenants.get(session))
            whose.hand(erasure, token, employees.profile(keys, person), reads.language)
    erasure.receipt_hash = token_hash(token)
    session.add(erasure)
    return token


def hand_to_leaver(session: Session, kernel: Kernel, erasure: Erasure) -> None:
    """Who left gets the way to their certificate, and with it the code, when nothing calls the deletion off any more. Who
    was never invited is not written to, here either."""
    if erasure.trigger != Trigger.LEAVER or erasure.receipt_hash is not None:
        return
    if directory.knows_us(session, employees.get(session, erasure.employee_id)):
        write(session, kernel, erasure, issue(session, kernel.keys, erasure))


def write(session: Session, kernel: Kernel, erasure: Erasure, token: str) -> None:
    """Nobody's erasure hangs on a mail: without the person's keys, or with damaged ones, it goes on without."""
    with suppress(Gone, SealBroken, KeyBroken, KeyUnavailable):
        _write(session, kernel, erasure, token)


def _write(session: Session, kernel: Kernel, erasure: Erasure, token: str) -> None:
    person, tenant = employees.get(session, erasure.employee_id), tenants.get(session)
    who, reads = employees.profile(kernel.keys, person), employees.words(kernel.keys, person, tenant)
    others = erasure.trigger in (Trigger.EMPLOYER, Trigger.LEAVER, Trigger.TENANT_EXIT)
    case = None if others else _case(session, erasure)
    facts = {"link": f"{lines.receipt_link(kernel.settings, token)}?language={reads.language}"}
    if case is not None:
        facts |= {
            "number": case.number, "date": reads.day(case.received_at), "due": reads.day(case.due_at),
            "verified": reads.gettext(RECOGNISED[case.verification or Verification.SIGNED_IN]),
        }  # fmt: skip
    template = BY_OTHERS if case is None else TEMPLATE
    letter = employees.letter(template, reads, who, tenant, **facts)
    kernel.keys.open_or_create(_key(erasure))
    campaign = token_hash(token).hex()[:32]
    posted = mail.post(session, kernel.keys, erasure.id, letter, template=template, campaign=campaign)
    if posted is not None and case is not None:
        requests.receipt_written(session, case)


def _case(session: Session, erasure: Erasure) -> Request | None:
    """What the person asked for; this mail confirms that it was received."""
    cases = (requests.open_of(session, erasure.employee_id, kind) for kind in sorted(BY_ERASURE))
    return next((case for case in cases if case is not None), None)


def on_their_way(session: Session, erasure: Erasure) -> bool:
    return any(one.sent_at is None and one.failed_at is None for one in _mails(session, erasure))


def forget(session: Session, kernel: Kernel, erasure: Erasure, now: datetime) -> None:
    """Takes the mail away, with its key; on record is whether the mail server took it."""
    if not (mails := _mails(session, erasure)):
        return
    sent = min((one.sent_at for one in mails if one.sent_at is not None), default=None)
    if sent is not None:
        requests.erasure_acknowledged(session, erasure.employee_id, sent)
    kernel.keys.destroy(_key(erasure), now)
    session.execute(delete(Mail).where(col(Mail.tenant_id) == erasure.tenant_id, col(Mail.owner_id) == erasure.id))
    ledger.record(session, "receipt.mailed" if sent else "receipt.not-mailed", objects=[erasure.id])


def _mails(session: Session, erasure: Erasure) -> list[Mail]:
    mine = select(Mail).where(col(Mail.tenant_id) == erasure.tenant_id, col(Mail.owner_id) == erasure.id)
    return list(session.exec(mine))


def _key(erasure: Erasure) -> KeyRef:
    return KeyRef(erasure.tenant_id, erasure.id, KeyClass.PROFILE)
