"""The letter to somebody whose things are held: once the second of two confirmed it, unless telling them is forbidden."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from batch.people import employees
from compliance import holds
from compliance.models import Hold
from likeness import ledger
from likeness.ground.errors import Gone
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, SealBroken
from likeness.mail import mail
from tenants import tenants


def confirm(session: Session, kernel: Kernel, hold_id: UUID, *, confirmed_by: UUID, now: datetime) -> Hold:
    """As `holds.confirm`, and the person is told."""
    hold = holds.confirm(session, hold_id, confirmed_by=confirmed_by, now=now)
    if not hold.barred:
        with suppress(Gone, SealBroken, KeyBroken, employees.EmployeeMissing):
            _write(session, kernel, hold)
    return hold


def _write(session: Session, kernel: Kernel, hold: Hold) -> None:
    person, company = employees.get(session, hold.employee_id), tenants.get(session)
    who, reads = employees.profile(kernel.keys, person), employees.words(kernel.keys, person, company)
    covered = [reads.gettext(holds.NAMES[cls]) for cls in hold.classes] or [reads.gettext(holds.EVERYTHING)]
    letter = employees.letter(
        "held", reads, who, company, date=reads.day(hold.confirmed_at or hold.placed_at),
        day=reads.day(hold.expires_at), what=reads.listed(covered),
        link=f"{kernel.settings.public_url.rstrip('/')}/visit/requests",
    )  # fmt: skip
    if mail.post(session, kernel.keys, person.id, letter, template="held", campaign=str(hold.id)) is not None:
        ledger.record(session, "hold.told", subject=person.id, objects=[hold.id])
