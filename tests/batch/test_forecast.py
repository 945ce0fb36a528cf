"""How long it takes, over clusters that are played: what is said after a tenth of a wait is right within a fifth."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import pytest

from batch.models import Employee, SittingState
from batch.people import employees
from batch.sittings import forecast, sittings
from batch.sittings.forecast import LEAST, PastOrder, seconds_left
from batch.sittings.runs import Run, RunState
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.factories import give_consent, make_employee
from tests.handed_in import get_sitting, make_person, make_sitting

START = datetime(2026, 11, 28, 8, tzinfo=UTC)
WITHIN, FIRST = 0.2, 0.1


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@dataclass
class Played:
    submitted: float
    started: float
    ended: float
    share: float

    def as_of(self, now: float) -> PastOrder:
        """As the rows say it at this moment: steps of the training, and since when that is over."""
        trained = self.started + self.share * (self.ended - self.started)
        if self.share and now >= trained:
            return PastOrder(at(self.started), part=self.share, reached=at(trained))
        return PastOrder(at(self.started), part=(now - self.started) / (self.ended - self.started) if self.share else 0.0)


def play(random: Random, *, studios: int, usual: float, spread: float, people: int, share: float) -> list[Played]:
    """Orders in line before `studios` that take one after the other; each lasts within `spread` of the usual."""
    free = [0.0] * studios
    made = []
    submitted = 0.0
    for _ in range(people):
        # Most hand in at once after the mail, the rest in the hours after it.
        submitted += random.expovariate(1 / (usual / studios * random.choice([0.2, 1.1])))
        place = heapq.heappop(free)
        started = max(place, submitted)
        ended = started + usual * random.uniform(1 - spread, 1 + spread)
        heapq.heappush(free, ended)
        made.append(Played(submitted, started, ended, share))
    return made


def said(orders: list[Played], mine: Played, now: float) -> float | None:
    done = sorted((one for one in orders if one.ended <= now), key=lambda one: -one.ended)[:20]
    at_work = [one for one in orders if one.started <= now < one.ended]
    line = [one for one in orders if one.submitted <= now < one.started and one.submitted < mine.submitted]
    return seconds_left(
        [PastOrder(at(one.started), at(one.ended)) for one in done],
        mine.as_of(now) if mine.started <= now else None,
        [*(one.as_of(now) for one in at_work), *(None for _ in line)],
        at(now),
    )


@pytest.mark.parametrize(
    ("studios", "usual", "share"),
    [(1, 1140.0, 0.75), (1, 1140.0, 0.3), (4, 1140.0, 0.5), (2, 40.0, 0.0)],
    ids=["one GPU", "one GPU that draws longer than it trains", "four GPUs", "cut-outs on two processors"],
)
def test_what_is_said_after_a_tenth_is_right_within_a_fifth(studios: int, usual: float, share: float) -> None:
    asked = wrong = silent = 0
    for seed in range(6):
        random = Random(seed)
        orders = play(random, studios=studios, usual=usual, spread=0.12, people=60, share=share)
        for mine in orders[10:]:
            whole = mine.ended - mine.submitted
            for part in (FIRST, 0.25, 0.5, 0.75, 0.9):
                now = mine.submitted + part * whole
                left = said(orders, mine, now)
                asked += 1
                silent += left is None and any(one.ended <= now for one in orders)
                off = abs(part * whole + (left or 0.0) - whole) if left is not None else 0.0
                wrong += off > WITHIN * whole and off > LEAST
    assert silent == 0, "once an order has ended there is something to go by"
    assert wrong <= 0.002 * asked, f"{wrong} of {asked}"


def test_nothing_is_said_where_nothing_was_measured() -> None:
    assert seconds_left([], None, [None] * 3, START) is None
    assert seconds_left([], PastOrder(START), [], at(60)) is None, "no steps, and no order before it"
    own = seconds_left([], PastOrder(START, part=0.5), [], at(300))
    assert own == pytest.approx(300), "the first order of all is known by its own steps"
    before = [PastOrder(START, at(100))]
    assert seconds_left(before, PastOrder(START), [], at(250)) is None, "an order that takes far longer is none of those"


TRAIN, DRAW = 240.0, 330.0
"""Seconds of an order of two people as the rows of such a run have it: trained together, then drawn one after the other."""


def order_of_two(kernel: Kernel, people: list[Employee], began: datetime, *, slower: float = 1.0) -> list[Run]:
    runs = []
    for person in people:
        sitting = make_sitting(kernel, person)
        with kernel.db.transaction(person.tenant_id) as session:
            fence = sittings.claim(session, sitting.id, began)
            run = Run(
                tenant_id=person.tenant_id, employee_id=person.id, sitting_id=sitting.id, fence=fence or 0, pack=2,
                recipe={}, steps=600, started_at=began,
                seconds={"load": 20.0, "train": TRAIN * slower / 2, "render": DRAW * slower, "judge": 0.0},
            )  # fmt: skip
            session.add(run)
        runs.append(run)
    return runs


def make_employee_of(kernel: Kernel, tenant: UUID) -> Employee:
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
        give_consent(session, kernel, person)
    return person


def test_a_recorded_order_is_right_within_a_fifth_from_its_first_tenth_on_for_both_of_its_people(kernel: Kernel) -> None:
    """It draws longer than it trains, and is a tenth slower than the ones before."""
    people, now = [make_person(kernel)], utc_now()
    tenant = people[0].tenant_id
    with kernel.db.transaction(tenant) as session:
        for _ in range(3):
            people.append(make_employee(session, kernel))
            give_consent(session, kernel, people[-1])
    whole, slower = TRAIN + 2 * DRAW, 1.1
    for run in order_of_two(kernel, people[:2], now - timedelta(hours=1)):
        with kernel.db.transaction(tenant) as session:
            session.add(run)
            run.state, run.finished_at = RunState.SUCCEEDED, run.started_at + timedelta(seconds=whole)
    runs, other = order_of_two(kernel, people[2:], now, slower=slower), make_person(kernel)
    off = []
    for part in (0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.97):
        gone = part * whole * slower
        for number, run in enumerate(runs):
            drawing = TRAIN * slower + number * DRAW * slower
            with kernel.db.transaction(tenant) as session:
                sitting = get_sitting(session, run.sitting_id)
                session.add(run)
                run.step = round(600 * min(1.0, gone / (TRAIN * slower)))
                if gone >= drawing:
                    sitting.state, sitting.changed_at = SittingState.RENDERING, now + timedelta(seconds=drawing)
                session.add(sitting)
        for run in runs:
            with kernel.db.transaction(tenant) as session:
                sitting = get_sitting(session, run.sitting_id)
                left = forecast.of_sitting(session, sitting, now + timedelta(seconds=gone))
            assert left is not None
            off.append(abs(gone + left - whole * slower) / (whole * slower))
    assert max(off) <= WITHIN, off
    # Who waits is told the same by everybody: the person's page, the batch's, the company's and the API.
    waiting = [make_sitting(kernel, make_employee_of(kernel, tenant)).id for _ in range(3)]
    moment = now + timedelta(seconds=0.5 * whole)
    with kernel.db.transaction(tenant) as session:
        last = max((get_sitting(session, one) for one in waiting), key=lambda one: one.created_at)
        told = forecast.of_sitting(session, last, moment)
        assert told is not None
        assert forecast.of_line(session, moment) == told
        assert forecast.of_line(session, moment, employees.get(session, last.employee_id).batch_id) == told
        assert forecast.of_line(session, moment, uuid4()) is None
    # What one company has measured says nothing to another.
    sitting = make_sitting(kernel, other)
    with kernel.db.transaction(other.tenant_id) as session:
        assert forecast.of_sitting(session, sitting, now) is None
        assert forecast.of_line(session, now) is None
