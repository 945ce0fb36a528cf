"""A batch is tried with three people: they are invited, and everybody else stays as they are until HR invites them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import departments, employees, funnel
from batch.people.funnel import FunnelLine, Stage
from batch.roster import batches, undoing
from batch.visit import invitations
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Conflict, Unprocessable
from likeness.ground.lanes import Lane
from likeness.jobs import held, jobs
from tenants import bounds, credits, suspension
from tenants.members import members

SIZE = 3
RELEASED = (Stage.CHOSEN, Stage.EXPORTED)
READY = (Stage.READY, *RELEASED)
HANDED_IN = (Stage.QUEUED, Stage.TRAINING, Stage.RENDERING, Stage.STUCK, Stage.FAILED, *READY)


class PilotRefused(Unprocessable):
    """A pilot is of three people of one batch."""

    title = "Choose three people"


class NoPilot(Conflict):
    """The batch was tried already, or one of the three is invited."""

    title = "This batch cannot be tried with them"


@dataclass(frozen=True)
class Pilot:
    """How far the three are, as HR sees everybody's stage, and how many people of the batch are not invited yet."""

    lines: Sequence[FunnelLine]
    rest: int

    @property
    def invited(self) -> int:
        return sum(line.stage != Stage.ADDED for line in self.lines)

    @property
    def handed_in(self) -> int:
        return self._in(HANDED_IN)

    @property
    def ready(self) -> int:
        return self._in(READY)

    @property
    def released(self) -> int:
        return self._in(RELEASED)

    def _in(self, stages: Collection[Stage]) -> int:
        return sum(line.stage in stages for line in self.lines)


def of(session: Session, batch_id: UUID, now: datetime) -> Pilot:
    """Without anybody in it as long as the batch was not tried. Raises `BatchMissing`."""
    return Pilot(tried(session, batch_id, now), batches.funnel(session, batch_id, now)[Stage.ADDED])


def tried(session: Session, batch_id: UUID, now: datetime) -> list[FunnelLine]:
    """Where the three are; nobody as long as the batch was not tried."""
    three = _members(session, batch_id)
    return funnel.lines(session, now, among=three) if three else []


def suggested(session: Session, batch_id: UUID, now: datetime) -> list[UUID]:
    """Three people who are not invited yet, of different departments where there are several; their lines' ids. Fewer where
    nobody would be left for later. Raises `BatchMissing`."""
    waiting = [line for line in batches.lines(session, batch_id, now) if line.stage == Stage.ADDED]
    if len(waiting) <= SIZE:
        return []
    works_in = dict(session.exec(select(Employee.id, Employee.department_index).where(*_of_batch(session, batch_id))).all())
    first: dict[bytes | None, FunnelLine] = {}
    for line in waiting:
        first.setdefault(works_in.get(line.employee_id), line)
    chosen = [*first.values(), *(line for line in waiting if line not in first.values())]
    return [line.roster_id for line in chosen[:SIZE]]


def begin(session: Session, batch_id: UUID, people: Collection[UUID], now: datetime, *, caller: str) -> int:
    """Invites these three lines of the batch and nobody else; returns how many people were invited.

    Raises `BatchMissing`, `PilotRefused`, `NoPilot`, `EmployeeMissing`, `NoCredits` and `CompanySuspended`.
    """
    batches.get(session, batch_id)
    batches.locked(session, batch_id)
    if len(set(people)) != SIZE:
        raise PilotRefused("A batch is tried with {n} people. Choose exactly {n}. Nobody was invited.", n=SIZE)
    if _members(session, batch_id):
        raise NoPilot("This batch was tried already. Invite everybody else, or single people.")
    three = [employees.on_roster(session, one) for one in people]
    if any(one.batch_id != batch_id for one in three):
        raise employees.EmployeeMissing
    if any(_line(session, one, now).stage != Stage.ADDED for one in three):
        raise NoPilot("One of them is invited already. Choose three who are not. Nobody was invited.")
    for one in three:
        one.pilot_at = now
        session.add(one)
    invitations.invite_all(session, [one.id for one in three], now)
    ledger.record(session, "batch.tried", caller=caller, objects=[batch_id])
    return len(three)


def ask(session: Session, batch_id: UUID, people: Collection[UUID], member_id: UUID, now: datetime, *, caller: str) -> UUID:
    """Leaves it to begin in ten seconds; returns the act's id."""
    act = held.hold(session, begin_held, [(caller, str(member_id), str(batch_id), *map(str, people))], now)
    ledger.record(session, "invitation.asked", caller=caller, objects=[act, batch_id])
    return act


def take_back(session: Session, act_id: UUID, batch_id: UUID, now: datetime, *, caller: str) -> None:
    """Raises `TooLateToTakeBack`, also for an act on another batch."""
    (gone,) = held.call_off(session, begin_held, act_id, now)
    if gone[3] != str(batch_id):
        raise held.TooLateToTakeBack("It has begun, or was taken back already. The page shows how everybody is now.")
    ledger.record(session, "invitation.undone", caller=caller, objects=[act_id, batch_id])


@held.about_others
@jobs.actor(lane=Lane.GENERAL)
def begin_held(attempt: jobs.Attempt, act_id: str, caller: str, member_id: str, batch_id: str, *people: str) -> None:
    """All three or nobody, of those whom the member sees who asked. What refuses it is on record."""
    with attempt.finishing() as session, suppress(batches.BatchMissing):
        bounds.bind_as(session, members.get(session, UUID(member_id)).departments)
        try:
            with session.begin_nested():
                begin(session, UUID(batch_id), [UUID(one) for one in people], utc_now(), caller=caller)
        except (NoPilot, employees.EmployeeMissing, credits.NoCredits, suspension.CompanySuspended):
            ledger.record(session, undoing.REFUSED.format("invitation"), caller=caller, objects=[act_id, batch_id])


def _members(session: Session, batch_id: UUID) -> list[UUID]:
    return list(session.exec(
        select(Employee.id).where(*_of_batch(session, batch_id), col(Employee.pilot_at).is_not(None))
    ))  # fmt: skip


def _of_batch(session: Session, batch_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return col(Employee.tenant_id) == tenant_of(session), col(Employee.batch_id) == batch_id, departments.within(session)


def _line(session: Session, one: Employee, now: datetime) -> FunnelLine:
    return funnel.lines(session, now, employee_id=one.id)[0]
