"""How long until somebody's headshots are ready, by what was measured so far; where nothing is known nothing is said.

Three things are measured: how long an order of the same recipe takes from its claim to its end, how far each is that is at
work now, and how many are at work at once. Who waits in line is told the end of the line played through with these; where
other companies take their turns, fewer of ours are at work, so their turns are counted in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heapreplace
from statistics import median
from uuid import UUID

from sqlalchemy import Text, case, cast
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session, col, func, select

from batch.models import ACTIVE, Employee, Sitting, SittingState
from batch.sittings.runs import Run, RunState
from likeness.ground.db import tenant_of

LAST = 20
"""Orders that the median is taken of: enough to forget one odd order, few enough to follow a faster machine."""
LEAST = 15.0
"""Seconds. Less is not promised: the page asks every four seconds, and the last steps are not counted."""
WORN = 2.0
"""An order that has run so many times as long as usual is none that the usual says anything about."""


@dataclass(frozen=True)
class PastOrder:
    """One order as it was, or as far as it is."""

    started: datetime
    ended: datetime | None = None
    part: float = 0.0
    """How much of the whole is done, by the steps that the studio reports; 0 where it reports none."""
    reached: datetime | None = None
    """When that part was done, where nothing was reported since: once the training has ended. None is now."""

    @property
    def seconds(self) -> float:
        return (self.ended - self.started).total_seconds() if self.ended else 0.0


def seconds_left(
    done: Sequence[PastOrder], mine: PastOrder | None, before: Sequence[PastOrder | None], now: datetime
) -> float | None:
    """Until the person's order ends. `done` are orders of the same recipe that worked, newest first; `mine` is None while
    it waits; `before` are those that come first, None for each that is not begun. None where there is nothing to go by.
    """
    usual = median(one.seconds for one in done) if done else None
    if mine is not None:
        return _running(usual, mine, now)
    if usual is None:
        return None
    # The line is played: whoever is next takes the place that is free first. Where nobody is at work yet, one place is.
    places = [_running(usual, one, now) or usual for one in before if one is not None] or [0.0]
    heapify(places)
    for _ in range(sum(one is None for one in before)):
        heapreplace(places, places[0] + usual)
    return max(LEAST, places[0] + usual)


def _running(usual: float | None, order: PastOrder, now: datetime) -> float | None:
    gone = max(0.0, (now - order.started).total_seconds())
    reached = gone if order.reached is None else min(gone, max(0.0, (order.reached - order.started).total_seconds()))
    own = reached / order.part if order.part >= 0.1 else None
    if own is not None:
        # What this very order has done says more about it the further it is.
        whole = own if usual is None else order.part * own + (1 - order.part) * usual
        return max(LEAST, whole - gone)
    if usual is None or gone > WORN * usual:
        return None
    return max(LEAST, usual - gone)


def of_sitting(session: Session, sitting: Sitting, now: datetime) -> float | None:
    """Seconds until the headshots of this sitting are ready, or None where that cannot be said honestly."""
    if sitting.state not in ACTIVE:
        return None
    ended = [run for run, _ in _runs(session, sitting.recipe, RunState.SUCCEEDED, LAST) if run.finished_at]
    done, share = [PastOrder(one.started_at, one.finished_at) for one in ended], _share(ended)
    running = _runs(session, sitting.recipe, RunState.RUNNING)
    drawing = _drawing(running)
    at_work = {run.sitting_id: _under_way(run, share, drawing.get(run.started_at)) for run, _ in running}
    if sitting.state != SittingState.READY:
        # Its row comes with the claim; where there is none, somebody else has taken the sitting over just now.
        mine = next((run for run, _ in running if _is_of(run, sitting)), None)
        return seconds_left(done, at_work[mine.sitting_id], [], now) if mine else None
    return seconds_left(done, None, [*at_work.values(), *([None] * _ahead(session, sitting))], now)


def of_line(session: Session, now: datetime, batch_id: UUID | None = None) -> float | None:
    """Seconds until everybody is through who is in line or at work, of the company or of one batch: as long as the last of
    them is told. None where nobody is, and where it cannot be said."""
    wanted = select(Sitting).where(col(Sitting.tenant_id) == tenant_of(session))
    if batch_id is not None:
        wanted = wanted.join(
            Employee,
            (col(Employee.tenant_id) == col(Sitting.tenant_id)) & (col(Employee.id) == col(Sitting.employee_id)),
        ).where(col(Employee.batch_id) == batch_id)
    # Of who waits in line the last of each recipe; of who is at work everybody.
    each = case((col(Sitting.state) == SittingState.READY, col(Sitting.recipe)), else_=cast(col(Sitting.id), Text))
    last = wanted.where(col(Sitting.state).in_(ACTIVE)).ext(distinct_on(each))
    found = session.exec(last.order_by(each, col(Sitting.created_at).desc())).all()
    line = [of_sitting(session, one, now) for one in found if one.state == SittingState.READY]
    if None in line:
        return None
    # Of one that takes far longer than usual nothing is known; the others are said.
    left = [*line, *(of_sitting(session, one, now) for one in found if one.state != SittingState.READY)]
    return max((one for one in left if one is not None), default=None)


def _runs(
    session: Session, recipe: str, state: RunState, most: int | None = None
) -> Sequence[tuple[Run, Sitting]]:
    return session.exec(
        select(Run, Sitting)
        .join(Sitting, (col(Sitting.tenant_id) == col(Run.tenant_id)) & (col(Sitting.id) == col(Run.sitting_id)))
        .where(col(Run.tenant_id) == tenant_of(session), col(Run.state) == state, col(Sitting.recipe) == recipe)
        .order_by(col(Run.finished_at).desc(), col(Run.started_at).desc())
        .limit(most)
    ).all()


def _is_of(run: Run, sitting: Sitting) -> bool:
    return run.sitting_id == sitting.id and run.fence == sitting.fence


def _ahead(session: Session, sitting: Sitting) -> int:
    """How many of the company have waited longer for the same recipe."""
    return session.exec(
        select(func.count())
        .select_from(Sitting)
        .where(
            col(Sitting.tenant_id) == tenant_of(session),
            col(Sitting.state) == SittingState.READY,
            col(Sitting.recipe) == sitting.recipe,
            col(Sitting.created_at) < sitting.created_at,
        )
    ).one()


def _share(done: Sequence[Run]) -> float:
    """How much of an order is over when its training is, as it was measured here; 0, which says nothing, until it was.

    The people of an order are trained together, and their headshots are made one person after the other.
    """
    shares = []
    for one in done:
        whole = (one.finished_at - one.started_at).total_seconds() if one.finished_at else 0.0
        if "train" in one.seconds and whole > 0:
            after = sum(spent for stage, spent in one.seconds.items() if stage not in ("load", "train"))
            shares.append(min(1.0, max(0.0, 1 - one.pack * after / whole)))
    return median(shares) if shares else 0.0


def _drawing(running: Sequence[tuple[Run, Sitting]]) -> dict[datetime, datetime]:
    """Of orders whose training is over, since when. The people of one order are claimed in the same moment."""
    since: dict[datetime, datetime] = {}
    for run, sitting in running:
        if sitting.state == SittingState.RENDERING:
            since[run.started_at] = min(since.get(run.started_at, sitting.changed_at), sitting.changed_at)
    return since


def _under_way(run: Run, share: float, drawing: datetime | None) -> PastOrder:
    if drawing is not None:
        return PastOrder(run.started_at, part=share, reached=drawing)
    trained = min(1.0, run.step / run.steps) if run.steps else 0.0
    return PastOrder(run.started_at, part=trained * share)
