"""How many people a company may have on its roster."""

from __future__ import annotations

from sqlmodel import Session

from likeness.ground.errors import Conflict
from tenants import tenants


class QuotaExceeded(Conflict):
    """The roster would hold more people than the company's contract says."""

    title = "The list would be longer than your contract allows"


def check(session: Session, there: int, adding: int) -> None:
    """`there` people are on the list already. Raises `QuotaExceeded`."""
    quota = tenants.get(session).employee_quota
    if there + adding > quota:
        raise QuotaExceeded(
            f"This would make {there + adding} people; the company's limit is {quota}. Ask the operator for more."
        )
