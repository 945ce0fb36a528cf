"""How many people a company may have on its roster."""

from __future__ import annotations

from sqlalchemy import text
from sqlmodel import Session

from likeness.db import tenant_of
from likeness.errors import Conflict
from tenants import tenants


class QuotaExceeded(Conflict):
    """The roster would hold more people than the company's contract says."""


def check(session: Session, adding: int) -> None:
    """Raises `QuotaExceeded`."""
    quota = tenants.get(session).employee_quota
    # The roster belongs to the floor above; its size is all that is needed of it here.
    there = int(
        session.execute(
            text("select count(*) from employee where tenant_id = :tenant"), {"tenant": tenant_of(session)}
        ).scalar_one()
    )
    if there + adding > quota:
        raise QuotaExceeded(
            f"This would make {there + adding} people; the company's limit is {quota}. Ask the operator for more."
        )
