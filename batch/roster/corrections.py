"""What an import changed about people who were on the list before, and how that is taken back.

The old values stay sealed under the person's own key, and for the minutes in which an import can be undone only.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from sqlalchemy import ARRAY, Uuid, any_, delete, insert, literal
from sqlmodel import Session, col, select

from batch.mailbox import email_identity
from batch.models import Batch, Correction, Employee
from batch.people import employees, lines
from batch.people.employees import EmployeeProfile
from batch.visit import addresses
from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyFolder, blind_index
from tenants import tenants

KEPT_FOR = timedelta(minutes=15)


def remember(session: Session, batch: Batch, before: Mapping[UUID, bytes], now: datetime) -> None:
    """`before` are the sealed profiles of those who were corrected, as they were."""
    if not before:
        return
    known = session.execute(
        select(Employee.id, Employee.profile).where(
            col(Employee.tenant_id) == batch.tenant_id, col(Employee.id) == any_(literal(list(before), ARRAY(Uuid())))
        )
    )
    kept = [
        {
            "id": uuid4(), "tenant_id": batch.tenant_id, "employee_id": one, "batch_id": batch.id, "at": now,
            "due_at": now + KEPT_FOR, "before": before[one], "after_digest": sha256(profile).digest(),
        }
        for one, profile in known
    ]  # fmt: skip
    if kept:
        session.execute(insert(Correction), kept)


def before(keys: KeyFolder, one: Correction) -> EmployeeProfile:
    """Raises `Gone` once the person's key was destroyed."""
    return EmployeeProfile.opened(keys.open(employees.profile_ref(one.tenant_id, one.employee_id)), one.before)


def take_back(session: Session, keys: KeyFolder, batch: Batch, now: datetime, *, caller: str) -> tuple[int, int]:
    """Gives the corrected of the last import their old values; returns how many, and how many stay corrected.

    Those stay who were corrected again since, those who consented at their new address, and those who came to their page
    under a new name: it is theirs by then.
    """
    found = list(
        session.exec(
            select(Correction).where(
                col(Correction.tenant_id) == batch.tenant_id,
                col(Correction.batch_id) == batch.id,
                col(Correction.at) >= batch.imported_at,
                col(Correction.due_at) > now,
            )
        )
    )
    known = employees.locked(session, [one.employee_id for one in found])
    theirs, kept = lines.protected(session, known), lines.kept(session, now, known)
    back: dict[UUID, EmployeeProfile] = {}
    for one in found:
        employee = known.get(one.employee_id)
        if employee is None or sha256(employee.profile).digest() != one.after_digest:
            continue
        with suppress(Gone):
            old = before(keys, one)
            as_it_is = employees.profile(keys, employee)
            moves = email_identity(old.email) != email_identity(as_it_is.email)
            other = employee.id in kept and not lines.any_name_in_common(lines.theirs(as_it_is), old.full_name)
            if not (moves and employee.id in theirs) and not other:
                back[employee.id] = old
    back = _without_taken(session, keys, back)
    addresses.correct(session, keys, back, now, caller=caller)
    _restore_numbers(session, keys, known, back)
    session.execute(
        delete(Correction).where(
            col(Correction.tenant_id) == batch.tenant_id, col(Correction.id).in_([one.id for one in found])
        )
    )
    return len(back), len(found) - len(back)


def _without_taken(
    session: Session, keys: KeyFolder, before: Mapping[UUID, EmployeeProfile]
) -> dict[UUID, EmployeeProfile]:
    """Nobody gets an address or number back that somebody else has by now."""
    index_key = keys.index_key(tenant_of(session))
    taken = set[bytes]()
    for email_index, key_index in session.execute(
        select(Employee.email_index, Employee.key_index).where(
            col(Employee.tenant_id) == tenant_of(session), col(Employee.id).not_in(list(before))
        )
    ):
        taken |= {email_index, key_index or b""}
    return {
        employee_id: profile
        for employee_id, profile in before.items()
        if employees.email_index(index_key, profile.email) not in taken
        and not (profile.employee_key and blind_index(index_key, profile.employee_key) in taken)
    }


def _restore_numbers(
    session: Session, keys: KeyFolder, known: Mapping[UUID, Employee], before: Mapping[UUID, EmployeeProfile]
) -> None:
    """A list never takes a number away, so that a file without numbers loses none; an undone import may."""
    index_key = keys.index_key(tenant_of(session))
    for employee_id, profile in before.items():
        number, employee = profile.employee_key, known[employee_id]
        employee.key_index = blind_index(index_key, number) if number else None
        session.add(employee)
    session.flush()


@jobs.every(timedelta(minutes=1), deletes=True)
def forget(kernel: Kernel, now: datetime) -> None:
    """Old values go when the import can no longer be undone."""

    def forget_due(session: Session) -> None:
        session.execute(
            delete(Correction).where(col(Correction.tenant_id) == tenant_of(session), col(Correction.due_at) <= now)
        )

    tenants.for_each(kernel, forget_due)
