"""Companies: how one begins, which terms it chose, and which ones there are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import Session, col, select

from likeness import jobs, ledger
from likeness.db import PLATFORM, tenant_of
from likeness.errors import NotFound, Unprocessable
from likeness.identity import forget_ended
from likeness.kernel import Kernel
from likeness.keys import KeyFolder
from tenants import looks
from tenants.models import CUTOUT, Tenant
from tenants.plain import one_line

log = logging.getLogger(__name__)

TERMS = ("name", "contact", "authority", "source_days", "headshot_days", "employee_quota", "recipes")


class TenantMissing(NotFound):
    """There is no such company, or it left."""


def offers(base: str) -> list[str]:
    """What a new company offers where models are trained on this base, or there is none."""
    return [CUTOUT] if base == CUTOUT else [base, CUTOUT]


class TermsRefused(Unprocessable):
    """A company may shorten the days until deletion, never lengthen them."""


def found(kernel: Kernel, name: str, **terms: Any) -> UUID:
    """Opens a transaction of its own under a new id, because a company cannot be made from inside another one."""
    tenant = uuid4()
    with kernel.db.transaction(tenant) as session:
        create(session, kernel.keys, name, **terms)
    return tenant


def create(session: Session, keys: KeyFolder, name: str, **terms: Any) -> Tenant:
    """The company whose id the transaction carries, with its key and the looks to start from. Raises `TermsRefused`."""
    tenant = Tenant(id=tenant_of(session), name="")
    _apply(tenant, {"name": name, **terms})
    keys.begin_tenant(tenant.id)
    session.add(tenant)
    session.flush()
    for look in looks.DEFAULT:
        looks.add(session, **look)
    ledger.record(session, "tenant.created", objects=[tenant.id])
    return tenant


def get(session: Session) -> Tenant:
    tenant = session.exec(
        select(Tenant).where(col(Tenant.id) == tenant_of(session), col(Tenant.left_at).is_(None))
    ).one_or_none()
    if tenant is None:
        raise TenantMissing
    return tenant


def change(session: Session, *, caller: str, **terms: Any) -> Tenant:
    """New terms; the notice that employees read changes with them. Raises `TermsRefused`."""
    tenant = get(session)
    _apply(tenant, terms)
    session.add(tenant)
    ledger.record(session, "tenant.changed", caller=caller, objects=[tenant.id])
    return tenant


def all_ids(kernel: Kernel) -> list[UUID]:
    """Every company that has not left; the operators' own tenant is none."""
    with kernel.db.transaction(PLATFORM) as session:
        return list(
            session.exec(
                select(Tenant.id)
                .where(col(Tenant.id) != PLATFORM, col(Tenant.left_at).is_(None))
                .order_by(col(Tenant.created_at))
            )
        )


def for_each(kernel: Kernel, act: Callable[[Session], None]) -> None:
    """Runs `act` in a transaction of each company; one company's trouble must not keep the others' people waiting."""
    for tenant in all_ids(kernel):
        try:
            with kernel.db.transaction(tenant) as session:
                act(session)
        except Exception:
            log.exception("a sweep failed for one company", extra={"tenant": str(tenant), "sweep": act.__qualname__})


@jobs.every(timedelta(hours=1), deletes=True)
def forget_ended_sessions(kernel: Kernel, now: datetime) -> None:
    """Sessions and one-time links that ran out are of no use to anybody."""
    for_each(kernel, lambda session: forget_ended(session, now))


def all_tenants(session: Session) -> list[Tenant]:
    """The same with names, for a transaction of the operators; any other sees its own company only."""
    query = select(Tenant).where(col(Tenant.id) != PLATFORM, col(Tenant.left_at).is_(None))
    return list(session.exec(query.order_by(col(Tenant.created_at))))


def _apply(tenant: Tenant, terms: dict[str, Any]) -> None:
    unknown = terms.keys() - set(TERMS)
    if unknown:
        raise TermsRefused(f"There is no such term: {', '.join(sorted(unknown))}.")
    for name, value in terms.items():
        if name in ("name", "contact", "authority"):
            value = one_line(value, 200, name, needed=name == "name")
        setattr(tenant, name, value)
    if not tenant.recipes or len(set(tenant.recipes)) != len(tenant.recipes):
        raise TermsRefused("A company offers at least one way of making headshots, and each once.")
    if not 0 <= tenant.source_days <= 7:
        raise TermsRefused("Selfies are deleted after 7 days at the latest.")
    if not 1 <= tenant.headshot_days <= 30:
        raise TermsRefused("Headshots are deleted after 1 to 30 days.")
    if not 0 <= tenant.employee_quota <= 1_000_000:
        raise TermsRefused("The number of employees is between 0 and 1,000,000.")
