"""A person on the roster, who they are, and how they are found again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch import funnel
from batch.cells import email_identity
from batch.funnel import Stage as Stage
from batch.models import Employee
from likeness.db import tenant_of, utc_now
from likeness.errors import NotFound
from likeness.keys import DataKey, KeyClass, KeyFolder, KeyRef, blind_index

CONTEXT = "employee/profile"


class EmployeeMissing(NotFound):
    """Nobody of this company has this id."""


@dataclass(frozen=True)
class EmployeeProfile:
    full_name: str
    email: str
    employee_key: str | None = None
    department: str | None = None
    site: str | None = None
    manager_email: str | None = None
    language: str | None = None
    receipt: str | None = None
    """Opens the certificate of what this person had deleted; for their own page, never from the company's list."""

    def sealed(self, key: DataKey) -> bytes:
        return key.seal(json.dumps(asdict(self), ensure_ascii=False).encode(), CONTEXT)

    @staticmethod
    def opened(key: DataKey, sealed: bytes) -> EmployeeProfile:
        return EmployeeProfile(**json.loads(key.open(sealed, CONTEXT)))


def get(session: Session, employee_id: UUID) -> Employee:
    """Raises `EmployeeMissing`, also for somebody of another company."""
    employee = session.exec(
        select(Employee).where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id) == employee_id)
    ).one_or_none()
    if employee is None:
        raise EmployeeMissing
    return employee


def find(session: Session, keys: KeyFolder, email: str) -> Employee | None:
    """The person with this address, in whichever spelling."""
    return session.exec(
        select(Employee).where(
            col(Employee.tenant_id) == tenant_of(session),
            col(Employee.email_index) == email_index(keys.index_key(tenant_of(session)), email),
        )
    ).one_or_none()


def profile(keys: KeyFolder, employee: Employee) -> EmployeeProfile:
    """Raises `KeyDestroyed` when the person was erased."""
    return EmployeeProfile.opened(keys.open(profile_ref(employee.tenant_id, employee.id)), employee.profile)


def enter_again(
    session: Session,
    keys: KeyFolder,
    again: UUID,
    before: Employee,
    who: EmployeeProfile,
    *,
    opted_out_at: datetime | None,
) -> None:
    """The company's own line about somebody whose row is gone, under the new id `again` and a new key."""
    session.add(
        Employee(
            id=again,
            tenant_id=before.tenant_id,
            batch_id=before.batch_id,
            row=before.row,
            email_index=email_index(keys.index_key(before.tenant_id), who.email),
            key_index=before.key_index,
            profile=who.sealed(keys.open_or_create(profile_ref(before.tenant_id, again))),
            created_at=before.created_at,
            opted_out_at=opted_out_at,
        )
    )
    session.flush()


def profile_ref(tenant: UUID, employee_id: UUID) -> KeyRef:
    return KeyRef(tenant, employee_id, KeyClass.PROFILE)


def email_index(index_key: bytes, email: str) -> bytes:
    return blind_index(index_key, email_identity(email))


def stage(session: Session, employee_id: UUID, now: datetime | None = None) -> Stage:
    """Raises `EmployeeMissing`."""
    found = funnel.lines(session, now or utc_now(), employee_id=employee_id)
    if not found:
        raise EmployeeMissing
    return found[0].stage
