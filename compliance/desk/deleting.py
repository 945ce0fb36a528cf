"""HR deletes a person or a whole batch: first a preview that counts, then the deletion of just what was counted."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Uuid, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import departments, employees
from batch.photos import photos
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


@dataclass(frozen=True)
class Going:
    """Who would go, by the rows alone. What is stored of them, `preview` asks the store for."""

    tenant: UUID
    people: Sequence[UUID]
    pictured: frozenset[UUID]
    """Those whose pictures and models are counted. Those of the others are going by themselves, and HR must not see that;
    their lines go now as well."""
    one_by_one: bool
    """Whether the store is asked about each of them."""
    held: int
    under_way: int


def people_of(session: Session, batch_id: UUID) -> list[UUID]:
    """The people of a batch whom the caller may see. Raises `BatchMissing`."""
    batches.get(session, batch_id)
    mine = select(Employee.id).where(
        col(Employee.tenant_id) == tenant_of(session), col(Employee.batch_id) == batch_id, departments.within(session)
    )
    return list(session.exec(mine.order_by(col(Employee.row))))


def whom(session: Session, people: Sequence[UUID], now: datetime) -> Going:
    kept, begun, asked = holds.held_told(session, now), _begun(session), _asked(session)
    ends = {one for one, trigger in begun.items() if trigger not in erasures.NARROWER} | asked
    going = [one for one in people if one not in ends]
    pictured = frozenset(one for one in going if one not in begun)
    few = max(FEW, employees.how_many(session) * EACH // 1000)
    return Going(
        tenant=tenant_of(session), people=going, pictured=pictured, one_by_one=len(pictured) <= few,
        held=sum(one in kept for one in going), under_way=len(people) - len(going),
    )  # fmt: skip


def preview(kernel: Kernel, going: Going) -> DeletionPreview:
    """Asks the store, which may be slow to answer: after the transaction, so that none waits for it."""
    said = DeletionPreview(people=len(going.people), held=going.held, under_way=going.under_way)
    said.objects = {str(cls): 0 for cls in dict.fromkeys(due.cls for due in stores.DUE)}
    home = f"tenants/{going.tenant}/employees"
    for folder in [f"{home}/{one}" for one in going.pictured] if going.one_by_one else [home]:
        for stored in kernel.objects.list(folder):
            under = filed(stored.path)
            if under is not None and under[0] in going.pictured and under[1] in said.objects:
                said.objects[under[1]] += 1
                said.size += stored.size
    return said


def _begun(session: Session) -> dict[UUID, str]:
    """Whose erasure is under way, and what began it."""
    mine = (col(Erasure.tenant_id) == tenant_of(session), col(Erasure.scope) == EVERYTHING)
    asked = select(Erasure.employee_id, Erasure.trigger).where(*mine, col(Erasure.state).in_(OPEN))
    return dict(session.exec(asked).all())


def _asked(session: Session) -> set[UUID]:
    """Whose deletion was asked for and begins in a moment; by their lines, which a withdrawal moves to another id."""
    lines = [UUID(args[3]) for args in held.all_undone(session, begin) if len(args) > 3]
    mine = (col(Employee.tenant_id) == tenant_of(session), col(Employee.roster_id) == any_(literal(lines, ARRAY(Uuid()))))
    return set(session.exec(select(Employee.id).where(*mine))) if lines else set()


def counted(kernel: Kernel, going: Going, people: int | None, objects: int | None) -> DeletionPreview:
    """What the preview says now, where it is what whoever deletes was shown. Raises `NotAsCounted`."""
    said = preview(kernel, going)
    if (said.people, said.total) != (people, objects):
        raise NotAsCounted(
            "This is no longer what you were shown: it is {people} people with {pictures} pictures and models now. Nothing"
            " was deleted. Please look at the new numbers.",
            people=said.people, pictures=said.total,
        )
    return said


def ask(
    session: Session, people: Sequence[UUID], now: datetime, *, caller: str, waits: timedelta = held.WAITS
) -> UUID:
    """Leaves the erasure of each to a job that begins in ten seconds, until which it can be taken back; returns the act's
    id. Raises `NotAsCounted` where one of them went, or is going, since they were counted."""
    known = select(Employee.id, Employee.roster_id).where(
        col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(list(people)), departments.within(session)
    )
    lines = dict(session.exec(known).all())
    if len(whom(session, list(lines), now).people) != len(people):
        raise NotAsCounted("There are other people now than you were shown. Please look at the new numbers.")
    about = [(caller, str(one), str(lines[one])) for one in people]
    act = held.hold(session, begin, about, now, waits=waits)
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
    """Once, and with one mail, however often it was asked for. Raises `EmployeeMissing`."""
    photos.hold(session, person)
    known = erasures.open_of(session, person)
    if known is None or known.trigger in erasures.NARROWER:
        erasures.ask(session, kernel, person, now, caller=caller, trigger=Trigger.EMPLOYER)
