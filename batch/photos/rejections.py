"""Why photos could not be used, and how many headshots people said are not them: counted by kind and month for each
company, and nobody named.

The company's public page and the installation's say it, so that everybody can see how strict the rules are; of headshots
only what no difference between two days tells of one person. What a person
handed in is forgotten with the person; these counts are of nobody and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import uuid4

from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Field, Session, col, select

from batch.vision.inspection import Finding
from likeness.ground.db import TenantRow, of_tenant, tenant_of
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from tenants import tenants

CHECKED, SHOWN, NOT_ME = "checked", "shown", "not-me"
"""Photos that were looked at, headshots that people were shown, and those of which they said that they are not them."""
LOOKED_AT_BY_HR, ANOTHER = "approval", "another:"
"""Released headshots that the company approved or asked to have changed, and, before the reason, the latter."""
KINDS = {
    "unreadable": N_("The file could not be read as a photo"),
    "no_face": N_("No face was found"),
    "small_face": N_("The face was too small"),
}
"""The hard reasons; everything else is advice, which the person may overrule."""
LOOKED_AT = timedelta(days=365)
LEAST = 300
"""Photos below which nothing is published: ten people who handed in thirty. Of fewer people could guess whose they were."""
LEAST_LOOKED_AT = 20
"""Released headshots below which nothing is published of what the company, which knows them, said."""
LEAST_HEADSHOTS = 360
"""Headshots below which a month of them is not published: ten people who had twelve made and both retakes."""


class Verdict(TenantRow, table=True):
    """How many photos of a month came to this."""

    __table_args__ = (UniqueConstraint("tenant_id", "month", "kind"), of_tenant())

    month: date
    kind: str
    """`checked` for all of them, or the reason for which one could not be used; of headshots, `shown` or `not-me`."""
    count: int = Field(default=0)


@dataclass(frozen=True)
class PhotoTally:
    checked: int
    refused: dict[str, int]
    """By kind, the most frequent first."""
    shown: int = 0
    not_me: int = 0
    """Headshots."""
    looked_at: int = 0
    another: Mapping[str, int] = field(default_factory=dict)
    """Of the released ones that the company looked at: those that it asked to have changed, by reason."""

    @property
    def told(self) -> bool:
        return self.checked >= LEAST

    @property
    def told_of_approvals(self) -> bool:
        return self.looked_at >= LEAST_LOOKED_AT

    @property
    def told_of_headshots(self) -> bool:
        return self.shown >= LEAST_HEADSHOTS

    def share(self, count: int) -> float:
        return count / self.checked if self.checked else 0.0


def note(session: Session, findings: Iterable[Finding], now: datetime, *, refused: bool) -> None:
    """One photo was looked at; of one that cannot be used the first hard reason counts."""
    reasons = [one.code for one in findings if one.kind == "reject"][:1] if refused else []
    for kind in (CHECKED, *reasons):
        count(session, kind, now)


def count(session: Session, kind: str, now: datetime, more: int = 1) -> None:
    session.execute(
        insert(Verdict)
        .values(id=uuid4(), tenant_id=tenant_of(session), month=now.date().replace(day=1), kind=kind, count=more)
        .on_conflict_do_update(
            index_elements=["tenant_id", "month", "kind"], set_={"count": col(Verdict.count) + more}
        )
    )


def of_company(session: Session, now: datetime) -> PhotoTally:
    """Of the last twelve months; headshots of each month that is over and had many of them.

    Whoever looks every day, or as a month begins, would read from the difference what one person had just said.
    """
    found = session.exec(
        select(Verdict.kind, col(Verdict.month), Verdict.count).where(
            col(Verdict.tenant_id) == tenant_of(session), col(Verdict.month) >= (now - LOOKED_AT).date()
        )
    ).all()
    over = now.date().replace(day=1)
    many = {month for kind, month, some in found if kind == SHOWN and month < over and some >= LEAST_HEADSHOTS}
    return _tally((kind, some) for kind, month, some in found if kind not in (SHOWN, NOT_ME) or month in many)


def everywhere(kernel: Kernel, now: datetime) -> PhotoTally:
    """Of all companies of this installation together."""
    found: list[tuple[str, int]] = []

    def look(session: Session) -> None:
        tally = of_company(session, now)
        headshots = [(SHOWN, tally.shown), (NOT_ME, tally.not_me)]
        found.extend([(CHECKED, tally.checked), *headshots, *tally.refused.items()])

    tenants.for_each(kernel, look)
    return _tally(found)


def _tally(found: Iterable[tuple[str, int]]) -> PhotoTally:
    counts: dict[str, int] = {}
    for kind, some in found:
        counts[kind] = counts.get(kind, 0) + some
    checked, shown, not_me, looked = (counts.pop(kind, 0) for kind in (CHECKED, SHOWN, NOT_ME, LOOKED_AT_BY_HR))
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    another = {kind.removeprefix(ANOTHER): some for kind, some in ordered if kind.startswith(ANOTHER)}
    refused = {kind: some for kind, some in ordered if not kind.startswith(ANOTHER)}
    return PhotoTally(checked, refused, shown, not_me, looked, another)
