"""What an operator knows and does of one company: counts and times, and the end of a company that has nobody.

A company with people is closed by its owner alone (`leaving.py`), who sees who goes. An operator closes one that was opened
by mistake or never used; it takes the same day and ends with the same certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.sittings import sittings
from batch.sittings.sittings import InLine
from compliance.desk import deleting, leaving
from compliance.models import Departure
from compliance.retention import lateness
from compliance.retention.lateness import Lateness
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants import credits, tenants
from tenants.credits import CreditState
from tenants.members import founding
from tenants.members.founding import FirstOwner
from tenants.models import Tenant

MAILS_LOOKED_AT = timedelta(days=7)


class HasPeople(Conflict):
    """Somebody is on a list of the company, or is being deleted."""

    title = "Only an owner closes this company"


@dataclass(frozen=True)
class ClosingCompany:
    row: Tenant
    people: int
    left: int
    """Credits that can be used."""
    standings: dict[CreditState, int]
    line: InLine
    owner: FirstOwner
    late: Lateness
    mails: tuple[mail.MailFailures, ...]
    departure: Departure | None


def company(kernel: Kernel, tenant: UUID, now: datetime) -> ClosingCompany:
    """Raises `TenantMissing`."""
    with kernel.db.transaction(tenant) as session:
        row = tenants.get(session)
        return ClosingCompany(
            row,
            _people(session),
            credits.balance(session),
            credits.totals(session),
            sittings.in_line(session, now),
            founding.first_owner(session),
            lateness.of_company(session, now),
            tuple(mail.failures(session, now - MAILS_LOOKED_AT)),
            leaving.open_of(session),
        )


def _people(session: Session) -> int:
    """How many are on the roster: a number, and nothing of anybody."""
    query = select(func.count()).select_from(Employee).where(col(Employee.tenant_id) == tenant_of(session))
    return session.exec(query).one()


def close(session: Session, kernel: Kernel, operator: UUID, now: datetime, *, name: str) -> Departure:
    """Raises `HasPeople`, `NotTheName` and `LeavingAlready`."""
    going = leaving.everybody(session, now)
    if going.people or going.under_way:
        raise HasPeople(
            "There are people on its lists. Its owner closes it under Settings, sees who goes, and gets the certificate."
            " You can suspend it until then. Nothing was begun."
        )
    nothing = deleting.preview(kernel, going)  # Of nobody the store is not asked.
    departure, _ = leaving.ask(
        session, kernel, operator, now, name=name, counted=0, said=nothing, hand_back=False, kind=Kind.OPERATOR
    )
    return departure


def keep(session: Session, operator: UUID, now: datetime) -> Departure:
    """Calls off what an operator has begun. Raises `NotLeaving`, `LeavingBegun` and `HasPeople`."""
    said = leaving.open_of(session)
    if said is not None and _people(session):
        raise HasPeople("Its owner has asked that it leaves, and calls that off.")
    return leaving.call_off(session, operator, now, kind=Kind.OPERATOR)
