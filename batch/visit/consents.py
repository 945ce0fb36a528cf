"""Consent: one person's answer to each purpose of a notice. No byte of a photo is taken before it.

Only the person gives it: nothing here takes a member's id. Withdrawing ends every consent at once and stops the
sitting; what was made until then is deleted by the floor above, which looks for people who opted out.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from batch.models import (
    ACTIVE,
    Consent,
    Employee,
    Headshot,
    Invitation,
    Notice,
    Photo,
    Purpose,
    Sitting,
    SittingState,
    Upload,
)
from batch.people import employees, ways
from batch.visit import addresses, notices
from likeness import checkpoints, ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict, Forbidden, Unprocessable
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.keys.keys import KeyFolder
from likeness.locale.marks import N_
from likeness.locale.words import Words
from likeness.locale.words import words as words_for
from likeness.mail import letters, mail
from tenants import credits, suspension, tenants
from tenants.plain import one_line

CONTEXT = "consent/signature"
LETTERS = 2
"""A full name has at least two, in any script; a dot or a cross is no signature."""
PURPOSES = {
    Purpose.HEADSHOTS: N_("My selfies may be used to train a model of me alone and to make my headshots."),
    Purpose.DRAWN: N_(
        "My selfies may be looked at by a model that exists already, to draw my headshots. No model of me is made for this."
    ),
    Purpose.PORTRAIT: N_("My photos may be cut out and set on my company's backdrop. No model of me is made for this."),
    Purpose.BIOMETRIC: N_("My face may be measured, in memory only, to check photos and headshots."),
}
"""The words beside the boxes, none of which is ever ticked in advance."""


class ConsentMissing(Forbidden):
    """The person has not agreed to this, or not to the notice as it is now."""

    title = "There is no consent to this"


class NoticeOutdated(Conflict):
    """The notice changed since the page was opened; the person reads the new one first."""

    title = "The notice has changed"


class BeingDeleted(Conflict):
    """What the person handed in before they withdrew is not gone yet."""

    title = "Your earlier photos are still being deleted"


class SignatureMissing(Unprocessable):
    """What was typed is no name."""

    title = "Your name is missing"


class NotTheirName(Unprocessable):
    """What was typed is not the name of the person whose page it is."""

    title = "Please sign with your own name"


class PurposeMissing(Unprocessable):
    """Nothing was agreed to, or something that is not asked about."""

    title = "Nothing was agreed to"


def give(
    session: Session,
    keys: KeyFolder,
    employee_id: UUID,
    purposes: Collection[Purpose | str],
    notice_id: UUID,
    typed_name: str,
    now: datetime,
    *,
    named_otherwise: bool = False,
) -> list[Consent]:
    """Stores each purpose alone, reserves the credit, and mails a receipt. The same answer twice is stored once.

    The typed name is the one on the list, unless the person says that the list has theirs wrong (`named_otherwise`).
    Raises `NotTheirName`, `NoticeOutdated`, `PurposeMissing`, `SignatureMissing`, `TextRefused`, `BeingDeleted` and
    `NoCredits`.
    """
    employee = employees.get(session, employee_id)
    session.refresh(employee, with_for_update={"key_share": True})
    if employee.opted_out_at is not None and (employee.restricted_at is not None or _handed_in(session, employee)):
        raise BeingDeleted(
            "What you handed in before you withdrew is being deleted first. Come back in a few minutes, then you can"
            " agree again. While a legal hold stands it takes longer, and this page says so."
        )
    notice = notices.get(session, notice_id)
    if notice.version != notices.version(tenants.get(session)):
        raise NoticeOutdated("This notice was changed meanwhile. Please read the new one.")
    suspension.check(session)
    signature = one_line(typed_name, 200, N_("name"))
    if sum(sign.isalpha() for sign in signature) < LETTERS:
        raise SignatureMissing("Type your full name as your signature.")
    theirs = is_name(signature, employees.profile(keys, employee).full_name)
    if not theirs and not named_otherwise:
        raise NotTheirName(
            "What you typed is not the name on the list. Sign with your own name. If the list has your name wrong, say"
            " below that what you typed is yours."
        )
    first = not of(session, employee.id)
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    for purpose in _known(purposes, ways.asked(tenants.get(session))):
        values = {
            "id": uuid4(),
            "tenant_id": employee.tenant_id,
            "employee_id": employee.id,
            "notice_id": notice.id,
            "purpose": purpose,
            "given_at": now,
            "signature": key.seal(signature.encode(), CONTEXT),
            "named_otherwise": not theirs,
        }
        new = session.execute(
            insert(Consent).values(**values).on_conflict_do_nothing().returning(col(Consent.id))
        ).scalar()
        if new is not None:
            ledger.record(
                session,
                "consent.given",
                caller=f"employee:{employee.id}",
                subject=employee.id,
                objects=[new, notice.id],
                detail=(keys, {"purpose": str(purpose), "notice": notice.version, "language": notice.language}),
            )
    employee.opted_out_at = None
    session.add(employee)
    credits.reserve(session, employee.id)
    given = _standing(session, employee.id, notice.version)
    _post_receipt(session, keys, employee, notice, given)
    if first:
        addresses.tell_agreed(session, keys, employee, now)
    return given


def is_name(typed: str, name: str) -> bool:
    """Whether somebody of this name would sign like that: at least two words of it, in any order, accents or none."""
    wrote, has = _words(typed), _words(name)
    if not wrote:
        return False
    # Scripts that write names without spaces are typed with and without.
    return "".join(wrote) == "".join(has) or (set(wrote) <= set(has) and len(set(wrote)) >= 2)


def _words(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", name.casefold())
    # Marks are left out, those too that take a place of their own in Indian scripts: they end no word.
    return re.findall(r"\w+", "".join(sign for sign in plain if unicodedata.category(sign)[0] != "M"))


def decline(session: Session, employee_id: UUID, now: datetime) -> None:
    """As easy as consenting, without a reason, and at any time; whatever was agreed to before is withdrawn."""
    _opt_out(session, employee_id, now, "consent.declined")


def withdraw(session: Session, employee_id: UUID, now: datetime) -> None:
    _opt_out(session, employee_id, now, "consent.withdrawn")


def narrow(session: Session, employee_id: UUID, purpose: Purpose | str, now: datetime) -> bool:
    """Takes one purpose back; photos rest on another one from then on. False, and nothing is changed, where no other way
    of making headshots is left: then everything is to be withdrawn. Raises `PurposeMissing`.
    """
    employee = employees.get(session, employee_id)
    session.refresh(employee, with_for_update={"key_share": True})
    there = _standing(session, employee_id)
    ended = [one.id for one in there if one.purpose == purpose]
    others = [one for one in there if one.purpose not in (purpose, Purpose.BIOMETRIC)]
    if not ended:
        raise PurposeMissing("You have not agreed to this, or have taken it back already.")
    if purpose == Purpose.BIOMETRIC or not others:
        return False
    for table in (Photo, Upload):
        session.execute(
            update(table)
            .where(col(table.tenant_id) == employee.tenant_id, col(table.consent_id).in_(ended))
            .values(consent_id=others[-1].id)
        )
    session.execute(
        update(Consent)
        .where(col(Consent.tenant_id) == employee.tenant_id, col(Consent.id).in_(ended))
        .values(withdrawn_at=now, signed_receipt=None)  # The next one says of the withdrawal.
    )
    ledger.record(session, "consent.narrowed", caller=f"employee:{employee_id}", subject=employee_id, objects=ended)
    return True


def standing(session: Session, employee_id: UUID) -> set[Purpose]:
    """What the person agreed to and did not withdraw, under whichever notice: enough to finish what has begun."""
    return {Purpose(consent.purpose) for consent in _standing(session, employee_id)}


def require(session: Session, employee_id: UUID) -> Consent:
    """The consent that new photos and sittings rest on: to at least one way of making headshots that the company
    offers, and to the check that comes with each, under the notice as it is now. Raises `ConsentMissing`.
    """
    tenant = tenants.get(session)
    given = {c.purpose: c for c in _standing(session, employee_id, notices.version(tenant))}
    agreed = [given[purpose] for purpose in ways.asked(tenant) if purpose in given and purpose != Purpose.BIOMETRIC]
    if not agreed or Purpose.BIOMETRIC not in given:
        raise ConsentMissing("Please read the notice and answer its questions first.")
    return agreed[0]


def words(session: Session, language: str) -> dict[Purpose, str]:
    """The words beside each box that this company's people are shown."""
    said = words_for(language)
    return {purpose: said.gettext(PURPOSES[purpose]) for purpose in ways.asked(tenants.get(session))}


def recipes(session: Session, employee_id: UUID) -> list[str]:
    """The ways of making headshots that the company offers and the person agreed to, the company's order."""
    tenant = tenants.get(session)
    given = {consent.purpose for consent in _standing(session, employee_id, notices.version(tenant))}
    return [recipe for recipe in tenant.offered if ways.purpose_of(recipe) in given]


def is_current(session: Session, employee_id: UUID) -> bool:
    """Whether `require` would pass."""
    try:
        require(session, employee_id)
    except ConsentMissing:
        return False
    return True


def of(session: Session, employee_id: UUID) -> list[Consent]:
    """The person's whole history, oldest first."""
    return list(
        session.exec(
            select(Consent)
            .where(col(Consent.tenant_id) == tenant_of(session), col(Consent.employee_id) == employee_id)
            .order_by(col(Consent.given_at), col(Consent.purpose))
        )
    )


def signature(keys: KeyFolder, consent: Consent) -> str:
    """The name as the person typed it."""
    return (
        keys.open(employees.profile_ref(consent.tenant_id, consent.employee_id))
        .open(consent.signature, CONTEXT)
        .decode()
    )


def _known(purposes: Collection[Purpose | str], asked_about: Collection[Purpose]) -> list[Purpose]:
    if not purposes or not set(purposes) <= set(asked_about):
        raise PurposeMissing("Say yes to what you agree to, or decline.")
    return sorted({Purpose(purpose) for purpose in purposes})


def _standing(session: Session, employee_id: UUID, version: str | None = None) -> list[Consent]:
    query = select(Consent).where(
        col(Consent.tenant_id) == tenant_of(session),
        col(Consent.employee_id) == employee_id,
        col(Consent.withdrawn_at).is_(None),
    )
    if version is not None:
        told = select(Notice.id).where(col(Notice.tenant_id) == tenant_of(session), col(Notice.version) == version)
        query = query.where(col(Consent.notice_id).in_(told))
    return list(session.exec(query.order_by(col(Consent.purpose), col(Consent.given_at))))


def _opt_out(session: Session, employee_id: UUID, now: datetime, event: str) -> None:
    employee = employees.get(session, employee_id)
    # First of all, as everybody does who changes things of one person, or two could wait for each other.
    session.refresh(employee, with_for_update={"key_share": True})
    mine = (col(Consent.tenant_id) == employee.tenant_id, col(Consent.employee_id) == employee.id)
    withdrawn = update(Consent).where(*mine, col(Consent.withdrawn_at).is_(None)).returning(col(Consent.id))
    ended = list(session.execute(withdrawn.values(withdrawn_at=now, signed_receipt=None)).scalars())
    end_sittings(session, employee.id)
    sittings = (col(Sitting.tenant_id) == employee.tenant_id, col(Sitting.employee_id) == employee.id)
    served = session.exec(select(Sitting.id).where(*sittings, col(Sitting.state) == SittingState.DONE)).first()
    if served is None and not _invited(session, employee, now):
        # While the invitation runs, a credit that came back would tell the company that somebody said no.
        credits.release(session, employee.id)
    if employee.opted_out_at is None:
        employee.opted_out_at = now
        session.add(employee)
        addresses.end_question(session, employee.id, now)
        ledger.record(session, event, caller=f"employee:{employee.id}", subject=employee.id, objects=ended)
        if not _handed_in(session, employee):
            # Whoever handed something in gets another mail once it goes, with the way to their certificate.
            address = employee.email_index.hex()[:32]
            jobs.send(session, acknowledge, str(employee.id), address, key=f"{employee.id}:{uuid4()}")


def end_sittings(session: Session, employee_id: UUID) -> int:
    """Ends whatever is under way for this person and returns how many sittings that were; the cluster stops by itself,
    because what it does from here on carries an old fence."""
    ended = session.execute(
        update(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.employee_id) == employee_id,
            col(Sitting.state).in_(ACTIVE),
        )
        .values(state=SittingState.CANCELLED, fence=col(Sitting.fence) + 1, changed_at=func.now())
        .returning(col(Sitting.id))
    ).all()
    for row in ended:
        ledger.record(session, "sitting.cancelled", subject=employee_id, objects=[row.id])
    return len(ended)


def _invited(session: Session, employee: Employee, now: datetime) -> bool:
    running = select(Invitation.id).where(
        col(Invitation.tenant_id) == employee.tenant_id,
        col(Invitation.employee_id) == employee.id,
        col(Invitation.revoked_at).is_(None),
        col(Invitation.expires_at) > now,
    )
    return session.exec(running).first() is not None


def _handed_in(session: Session, employee: Employee) -> bool:
    """Whether there is anything that withdrawing deletes."""
    return any(
        session.exec(
            select(table.id).where(col(table.tenant_id) == employee.tenant_id, col(table.employee_id) == employee.id)
        ).first()
        for table in (Consent, Photo, Headshot, Upload)
    )


@jobs.actor(lane=Lane.PRIVACY)
def acknowledge(attempt: jobs.Attempt, employee_id: str, address: str) -> None:
    """Writes to somebody who said no that this is on record, and what their employer sees of it.

    Only to the address from which they said it: one that was corrected since then is not to learn of it.
    """
    with attempt.finishing() as session:
        employee = session.exec(
            select(Employee).where(col(Employee.tenant_id) == attempt.tenant, col(Employee.id) == UUID(employee_id))
        ).one_or_none()
        if employee is None or employee.opted_out_at is None or employee.email_index.hex()[:32] != address:
            return
        who, tenant = employees.profile(attempt.kernel.keys, employee), tenants.get(session)
        reads = employees.words(attempt.kernel.keys, employee, tenant)
        letter = employees.letter("declined", reads, who, tenant, date=reads.moment(employee.opted_out_at))
        campaign = f"{employee.opted_out_at:%Y%m%d%H%M%S%f}"
        mail.post(session, attempt.kernel.keys, employee.id, letter, template="declined", campaign=campaign)


def _witness(session: Session, reads: Words) -> str:
    """The log's newest checkpoint, so that who consents can tell later whether it was changed; empty before the first."""
    point = checkpoints.shown(session)
    if point is None:
        return ""
    instance = point.note.splitlines()[0].rsplit("/", 2)[0]
    words = letters.render("witness", reads, note="{note}", fingerprint=point.kid, address=f"{instance}/trust")
    # Its lines are what was signed: they are laid out by nobody.
    return "\n" + words.replace("{note}", point.note)


def _post_receipt(session: Session, keys: KeyFolder, employee: Employee, notice: Notice, given: list[Consent]) -> None:
    who, tenant = employees.profile(keys, employee), tenants.get(session)
    newest = max(given, key=lambda consent: consent.given_at)
    # In the language of what was read and agreed to, even if the page is read in another one by now.
    reads = words_for(notice.language, tenant.time_zone)
    letter = employees.letter(
        "receipt",
        reads,
        who,
        tenant,
        date=reads.moment(newest.given_at),
        purposes="\n".join(f"* {reads.gettext(PURPOSES[Purpose(c.purpose)])}" for c in given),
        version=notice.version,
        digest=notice.digest,
        notice=notice.text,
    )
    letter = replace(letter, text=letter.text + _witness(session, reads))
    mail.post(session, keys, employee.id, letter, template="receipt", campaign=str(newest.id))
