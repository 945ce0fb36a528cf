"""A company that is suspended: nothing new is begun for it, and everything that deletes, answers or proves goes on.

The operator suspends a company, because it asked for a pause or does not pay. Its people keep every right: they can
withdraw, delete and take their data with them, and each thing still goes on its day.
"""

from __future__ import annotations

from datetime import datetime

from sqlmodel import Session

from likeness import ledger
from likeness.ground.errors import Conflict
from likeness.locale.marks import N_
from tenants import tenants
from tenants.models import Tenant


class CompanySuspended(Conflict):
    title = "Your company's use of Likeness is suspended"


class SuspendedAlready(Conflict):
    """The company is in the state that was asked for."""

    title = "The company is in this state already"


def check(session: Session) -> None:
    """Before anything new is begun. Raises `CompanySuspended`."""
    if is_suspended(session):
        raise CompanySuspended(
            N_("Nothing new is begun for now. What is there stays until its day, and you can delete it at any time. Please"
               " ask your company.")
        )  # fmt: skip


def is_suspended(session: Session) -> bool:
    return tenants.get(session).suspended_at is not None


def suspend(session: Session, now: datetime, *, caller: str) -> Tenant:
    """Raises `SuspendedAlready`."""
    tenant = tenants.get(session)
    if tenant.suspended_at is not None:
        raise SuspendedAlready("{company} is suspended already.", company=tenant.name)
    tenant.suspended_at = now
    session.add(tenant)
    ledger.record(session, "tenant.suspended", caller=caller, objects=[tenant.id])
    return tenant


def resume(session: Session, *, caller: str) -> Tenant:
    """Raises `SuspendedAlready`."""
    tenant = tenants.get(session)
    if tenant.suspended_at is None:
        raise SuspendedAlready("{company} is not suspended.", company=tenant.name)
    tenant.suspended_at = None
    session.add(tenant)
    ledger.record(session, "tenant.resumed", caller=caller, objects=[tenant.id])
    return tenant
