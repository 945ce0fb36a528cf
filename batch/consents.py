"""Consent: one person's answer to each purpose of a notice. No byte of a photo is taken before it.

Only the person gives it: nothing here takes a member's id. Withdrawing ends every consent at once and stops the
sitting; what was made until then is deleted by the floor above, which looks for people who opted out.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from batch import employees, notices, texts, ways
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
from likeness import jobs, ledger, mail
from likeness.db import tenant_of
from likeness.errors import Conflict, Forbidden, Unprocessable
from likeness.keys import KeyFolder
from tenants import credits, tenants
from tenants.plain import one_line

CONTEXT = "consent/signature"
PURPOSES = {
    "en": {
        Purpose.HEADSHOTS: "My selfies may be used to train a model of me alone and to make my headshots.",
        Purpose.PORTRAIT: "My photos may be cut out and set on my company's backdrop. No model of me is made for this.",
        Purpose.BIOMETRIC: "My face may be measured, in memory only, to check photos and headshots.",
    },
    "de": {
        Purpose.HEADSHOTS: "Mit meinen Selfies darf ein Modell allein von mir trainiert werden,"
        " um meine Porträts zu erstellen.",
        Purpose.PORTRAIT: "Meine Fotos dürfen freigestellt und vor den Hintergrund meiner Firma gesetzt werden."
        " Dafür entsteht kein Modell von mir.",
        Purpose.BIOMETRIC: "Mein Gesicht darf zur Prüfung der Fotos und Porträts vermessen werden,"
        " und zwar nur im Arbeitsspeicher.",
    },
}
"""The words beside the boxes, none of which is ever ticked in advance."""


class ConsentMissing(Forbidden):
    """The person has not agreed to this, or not to the notice as it is now."""


class NoticeOutdated(Conflict):
    """The notice changed since the page was opened; the person reads the new one first."""


class BeingDeleted(Conflict):
    """What the person handed in before they withdrew is not gone yet."""

    title = "Your earlier photos are still being deleted"


class PurposeMissing(Unprocessable):
    """Nothing was agreed to, or something that is not asked about."""


def give(
    session: Session,
    keys: KeyFolder,
    employee_id: UUID,
    purposes: Collection[Purpose | str],
    notice_id: UUID,
    typed_name: str,
    now: datetime,
) -> list[Consent]:
    """Stores each purpose alone, reserves the credit, and mails a receipt. The same answer twice is stored once.

    Raises `NoticeOutdated`, `PurposeMissing`, `TextRefused`, `BeingDeleted` and `NoCredits`.
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
    signature = one_line(typed_name, 200, "name")
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
            )
    employee.opted_out_at = None
    session.add(employee)
    credits.reserve(session, employee.id)
    given = _standing(session, employee.id, notice.version)
    _post_receipt(session, keys, employee, notice, given)
    return given


def decline(session: Session, employee_id: UUID, now: datetime) -> None:
    """As easy as consenting, without a reason, and at any time; whatever was agreed to before is withdrawn."""
    _opt_out(session, employee_id, now, "consent.declined")


def withdraw(session: Session, employee_id: UUID, now: datetime) -> None:
    _opt_out(session, employee_id, now, "consent.withdrawn")


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
    return {purpose: PURPOSES[language][purpose] for purpose in ways.asked(tenants.get(session))}


def recipes(session: Session, employee_id: UUID) -> list[str]:
    """The ways of making headshots that the company offers and the person agreed to, the company's order."""
    tenant = tenants.get(session)
    given = {consent.purpose for consent in _standing(session, employee_id, notices.version(tenant))}
    return [recipe for recipe in tenant.recipes if ways.purpose_of(recipe) in given]


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
        raise PurposeMissing("Tick what you agree to, or decline.")
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
    session.execute(update(Consent).where(*mine, col(Consent.withdrawn_at).is_(None)).values(withdrawn_at=now))
    sittings = (col(Sitting.tenant_id) == employee.tenant_id, col(Sitting.employee_id) == employee.id)
    session.execute(
        update(Sitting)
        .where(*sittings, col(Sitting.state).in_(ACTIVE))
        .values(state=SittingState.CANCELLED, changed_at=now)
    )
    served = session.exec(select(Sitting.id).where(*sittings, col(Sitting.state) == SittingState.DONE)).first()
    if served is None and not _invited(session, employee, now):
        # While the invitation runs, a credit that came back would tell the company that somebody said no.
        credits.release(session, employee.id)
    if employee.opted_out_at is None:
        employee.opted_out_at = now
        session.add(employee)
        ledger.record(session, event, caller=f"employee:{employee.id}", subject=employee.id)
        if not _handed_in(session, employee):
            # Whoever handed something in gets another mail once it goes, with the way to their certificate.
            address = employee.email_index.hex()[:32]
            jobs.send(session, acknowledge, str(employee.id), address, key=f"{employee.id}:{uuid4()}")


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
        for table in (Photo, Headshot, Upload)
    )


@jobs.actor()
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
        who = employees.profile(attempt.kernel.keys, employee)
        letter = texts.letter(
            "declined",
            texts.language_for(who.language),
            who.email,
            name=who.full_name,
            date=f"{employee.opted_out_at:%Y-%m-%d %H:%M} UTC",
            controller=tenants.get(session).name,
        )
        campaign = f"{employee.opted_out_at:%Y%m%d%H%M%S%f}"
        mail.post(session, attempt.kernel.keys, employee.id, letter, template="declined", campaign=campaign)


def _post_receipt(session: Session, keys: KeyFolder, employee: Employee, notice: Notice, given: list[Consent]) -> None:
    who = employees.profile(keys, employee)
    newest = max(given, key=lambda consent: consent.given_at)
    letter = texts.letter(
        "receipt",
        notice.language,
        who.email,
        name=who.full_name,
        date=f"{newest.given_at:%Y-%m-%d %H:%M} UTC",
        purposes="\n".join(f"* {PURPOSES[notice.language][Purpose(c.purpose)]}" for c in given),
        version=notice.version,
        digest=notice.digest,
        notice=notice.text,
    )
    mail.post(session, keys, employee.id, letter, template="receipt", campaign=str(newest.id))
