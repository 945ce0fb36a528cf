"""Retakes as both sides see them: two are free, the headshots there are stay until one of the new ones is released, and
after those two the company's credit comes back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import ACTIVE, Headshot, Release, Sitting, SittingState
from batch.sittings.sittings import FREE_RESHOOTS
from likeness.ground.db import tenant_of
from likeness.locale.marks import N_
from tenants import credits
from tenants.credits import CreditState


class Retake(StrEnum):
    NONE = "none"
    ASKED = "asked"
    """A new set is being made, and the old one is there."""
    OFFERED = "offered"
    """The new set is there beside the old one, and nothing of it was released yet."""
    ACCEPTED = "accepted"
    """Something of the new set was released; of the old one only what was released stays."""
    FAILED = "failed"
    """Nothing of the new set passed, and the old one stays."""
    REFUNDED = "refunded"
    """Both free retakes are used up, and the credit was given back."""


WORDS = {
    Retake.NONE: N_("No retake was asked for"),
    Retake.ASKED: N_("A new set is being made. The one before stays"),
    Retake.OFFERED: N_("The new set is there, beside the one before"),
    Retake.ACCEPTED: N_("One of the new set was released"),
    Retake.FAILED: N_("Nothing of the new set passed. The one before stays"),
    Retake.REFUNDED: N_("Both free retakes are used up, and the credit was given back"),
}


@dataclass(frozen=True)
class Retakes:
    used: int
    state: Retake
    since: datetime | None

    @property
    def free(self) -> int:
        return max(0, FREE_RESHOOTS - self.used)


def of(session: Session, employee_id: UUID) -> Retakes:
    """Those that were cancelled gave nothing and do not count. One that failed can be tried again, which is no other
    retake: its state is that of the newest try."""
    tenant = tenant_of(session)
    tried = list(
        session.exec(
            select(Sitting)
            .where(
                col(Sitting.tenant_id) == tenant,
                col(Sitting.employee_id) == employee_id,
                col(Sitting.state) != SittingState.CANCELLED,
            )
            .order_by(col(Sitting.created_at))
        )
    )
    made = [one for one in tried if one.reshoot_of is not None]
    credit = credits.standings(session, [employee_id]).get(employee_id)
    if credit is not None and credit.standing == CreditState.REFUNDED and len(made) >= FREE_RESHOOTS:
        return Retakes(len(made), Retake.REFUNDED, credit.since)
    if not made:
        return Retakes(0, Retake.NONE, None)
    newest = tried[-1]
    if newest.state in ACTIVE:
        return Retakes(len(made), Retake.ASKED, newest.created_at)
    if newest.state == SittingState.FAILED:
        return Retakes(len(made), Retake.FAILED, newest.changed_at)
    released = session.exec(
        select(Release.at)
        .join(
            Headshot,
            (col(Headshot.tenant_id) == col(Release.tenant_id)) & (col(Headshot.id) == col(Release.headshot_id)),
        )
        .where(col(Release.tenant_id) == tenant, col(Headshot.sitting_id) == newest.id)
        .order_by(col(Release.at))
        .limit(1)
    ).first()
    if released is not None:
        return Retakes(len(made), Retake.ACCEPTED, released)
    return Retakes(len(made), Retake.OFFERED, newest.changed_at)
