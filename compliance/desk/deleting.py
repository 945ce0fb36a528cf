"""HR deletes a person or a whole batch: first a preview that counts, then the deletion of just what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import departments, employees
from batch.roster import batches
from compliance import holds, stores
from compliance.erasure import erasures
from compliance.models import EVERYTHING, OPEN, Erasure, Trigger
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Conflict
from likeness.ground.lanes import Lane
from likeness.jobs import held, jobs
from likeness.kernel import Kernel
from likeness.store.objects import filed

FEW, EACH = 20, 30
"""Up to `FEW` people the store is asked about each. More are looked for in all that the company has where that takes fewer
requests: a bucket lists a thousand objects with one, and a person has some `EACH`."""


class NotAsCounted(Conflict):
    """Something came or went between the preview and the deletion."""

    title = "Something came or went since you looked"


@dataclass
class DeletionPreview:
    """What would go. `held` are people whose deletion waits for the end of a legal hold that they may know of: whoever
    deletes them knows them by name."""

    people: int = 0
    held: int = 0
    under_way: int = 0
    """People who are being deleted already, their line included, and are not counted again."""
    objects: dict[str, int] = field(default_factory=dict)
    """By class: pictures, models and headshots in the store."""
    size: int = 0

    @property
    def total(self) -> int:
        return sum(self.objects.values())


def people_of(session: Session, batch_id: UUID) -> list[UUID]:
    """The people of a batch whom the caller may see. Raises `BatchMissing`."""
    batches.get(session, batch_id)
    mine = select(Employee.id).where(
        col(Employee.tenant_id) == tenant_of(session), col(Employee.batch_id) == batch_id, departments.within(session)
    )
    return list(session.exec(mine.order_by(col(Employee.row))))


def preview(session: Session, kernel: Kernel, people: Sequence[UUID], now: datetime) -> DeletionPreview:
    kept, begun, said = holds.held_told(session, now), _begun(session), DeletionPreview()
    said.objects = {str(cls): 0 for cls in dict.fromkeys(due.cls for due in stores.DUE)}
    counting = set[UUID]()
    for person in people:
        trigger = begun.get(person)
        if trigger is not None and trigger not in erasures.NARROWER:
            said.under_way += 1
            continue
        said.people += 1
        said.held += person in kept
        if trigger is None:
            counting.add(person)
        # Else their things are going by themselves, and HR must not see that; their line goes now as well.
    home = f"tenants/{tenant_of(session)}/employees"
    few = max(FEW, employees.how_many(session) * EACH // 1000)
    for folder in [f"{home}/{one}" for one in counting] if len(counting) <= few else [home]:
        for stored in kernel.objects.list(folder):
            under = filed(stored.path)
            if under is not None and under[0] in counting and under[1] in said.objects:
                said.objects[under[1]] += 1
                said.size += stored.size
    return said


def _begun(session: Session) -> dict[UUID, str]:
    """Whose erasure is under way, and what began it."""
    mine = (col(Erasure.tenant_id) == tenant_of(session), col(Erasure.scope) == EVERYTHING)
    asked = select(Erasure.employee_id, Erasure.trigger).where(*mine, col(Erasure.state).in_(OPEN))
    return dict(session.exec(asked).all())


def delete(
    session: Session,
    kernel: Kernel,
    people: Sequence[UUID],
    now: datetime,
    *,
    caller: str,
    counted_people: int,
    counted_objects: int,
) -> DeletionPreview:
    """Begins the erasure of each, with a mail that says so. Raises `NotAsCounted`."""
    said = counted(session, kernel, people, now, counted_people, counted_objects)
    for person in people:
        known = erasures.open_of(session, person)
        if known is None or known.trigger in erasures.NARROWER:
            erasures.ask(session, kernel, person, now, caller=caller, trigger=Trigger.EMPLOYER)
    return said


def counted(
    session: Session, kernel: Kernel, people: Sequence[UUID], now: datetime, counted_people: int, counted_objects: int
) -> DeletionPreview:
    """Raises `NotAsCounted`."""
    said = preview(session, kernel, people, now)
    if (said.people, said.total) != (counted_people, counted_objects):
        raise NotAsCounted(
            "This is no longer what you were shown: it is {people} people with {pictures} pictures and models now. Nothing"
            " was deleted. Please look at the new numbers.",
            people=said.people, pictures=said.total,
        )
    return said


def ask(session: Session, people: Sequence[UUID], now: datetime, *, caller: str) -> UUID:
    """Leaves the erasure of each to begin in ten seconds, until which it can be taken back; returns the act's id."""
    known = select(Employee.id, Employee.roster_id).where(
        col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(list(people))
    )
    lines = dict(session.exec(known).all())
    act = held.hold(session, begin, [(caller, str(one), str(lines.get(one, one))) for one in people], now)
    ledger.record(session, "deletion.asked", caller=caller, objects=[act, *people])
    return act


def take_back(session: Session, act_id: UUID, now: datetime, *, caller: str) -> int:
    """Returns for how many people. Raises `TooLateToTakeBack`."""
    gone = held.call_off(session, begin, act_id, now)
    ledger.record(session, "deletion.undone", caller=caller, objects=[act_id, *(one[2] for one in gone)])
    return len(gone)


@held.about_others
@jobs.actor(lane=Lane.PRIVACY)
def begin(attempt: jobs.Attempt, act: str, caller: str, person_id: str, roster_id: str = "") -> None:
    """A withdrawal may have moved the person's line to another id within the ten seconds; the line is what HR ticked."""
    now = utc_now()
    with attempt.finishing() as session, suppress(employees.EmployeeMissing):
        try:
            _begin(session, attempt.kernel, UUID(person_id), now, caller)
        except employees.EmployeeMissing:
            if roster_id:
                _begin(session, attempt.kernel, employees.on_roster(session, UUID(roster_id)).id, now, caller)


def _begin(session: Session, kernel: Kernel, person: UUID, now: datetime, caller: str) -> None:
    known = erasures.open_of(session, person)
    if known is None or known.trigger in erasures.NARROWER:
        erasures.ask(session, kernel, person, now, caller=caller, trigger=Trigger.EMPLOYER)
