"""Looks for the people of some departments: who gets which, and whom a change concerns, told before it is made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session, col, func, select

from batch.models import ACTIVE, Employee, Sitting, SittingState
from batch.people import employees
from batch.people.departments import Grouping
from batch.people.employees import PeopleGroup
from likeness.ground.db import tenant_of
from likeness.keys.keys import KeyFolder
from tenants import looks

BEGUN = (*ACTIVE, SittingState.DONE)


@dataclass(frozen=True)
class LookGroup:
    """People who get other looks than before, all of them in the same way; the names of looks and of departments."""

    departments: tuple[str, ...]
    people: int
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Effect:
    groups: tuple[LookGroup, ...]
    begun: int
    """How many of these people have handed in: they keep the looks that they began with."""


@dataclass(frozen=True)
class Coming:
    """Names of the looks that somebody gets, or that their headshots were begun with."""

    looks: tuple[str, ...]
    begun: bool


def of_person(session: Session, employee: Employee) -> Coming:
    """Of who has said no only what is true of everybody of their department."""
    sitting = session.exec(
        select(Sitting)
        .where(col(Sitting.tenant_id) == tenant_of(session), col(Sitting.employee_id) == employee.id)
        .where(col(Sitting.state) != SittingState.CANCELLED)
        .order_by(col(Sitting.created_at).desc())
        .limit(1)
    ).first()
    if sitting and sitting.looks and sitting.state in BEGUN and employee.opted_out_at is None:
        return Coming(tuple(looks.get(session, one).name for one in sitting.looks), begun=True)
    theirs = looks.meant_for(looks.list_looks(session), employee.department_index)
    return Coming(tuple(look.name for look in theirs), begun=False)


def give_to(
    session: Session, keys: KeyFolder, look_id: UUID, named: Collection[str] | None, *, caller: str
) -> Effect:
    """Raises what `looks.give_to` does."""
    everywhere = employees.groups(session, keys, Grouping.DEPARTMENT)
    before = _by_department(session, everywhere)
    looks.give_to(session, keys, look_id, named, caller=caller)
    session.flush()
    after = _by_department(session, everywhere)
    grouped: dict[tuple[tuple[str, ...], tuple[str, ...]], list[PeopleGroup]] = {}
    for one in everywhere:
        if (then := before[one.index]) != (now := after[one.index]):
            grouped.setdefault((then, now), []).append(one)
    groups = tuple(
        LookGroup(tuple(one.name for one in some), sum(one.people for one in some), *ways) for ways, some in grouped.items()
    )
    return Effect(groups, _begun(session, [one.index for some in grouped.values() for one in some]))


def preview(
    session: Session, keys: KeyFolder, look_id: UUID, named: Collection[str] | None, *, caller: str
) -> Effect:
    """What `give_to` would do and refuse: it is tried, and rolled back."""
    with session.begin_nested() as trial:
        effect = give_to(session, keys, look_id, named, caller=caller)
        trial.rollback()
    return effect


def _by_department(session: Session, everywhere: Sequence[PeopleGroup]) -> dict[bytes | None, tuple[str, ...]]:
    known = looks.list_looks(session)
    return {one.index: tuple(look.name for look in looks.meant_for(known, one.index)) for one in everywhere}


def _begun(session: Session, digests: Collection[bytes | None]) -> int:
    handed_in = select(Sitting.id).where(
        col(Sitting.tenant_id) == col(Employee.tenant_id),
        col(Sitting.employee_id) == col(Employee.id),
        col(Sitting.state).in_(BEGUN),
    )
    return session.exec(
        select(func.count(col(Employee.id))).where(
            col(Employee.tenant_id) == tenant_of(session),
            col(Employee.department_index).in_([one for one in digests if one is not None]),
            # Of who has said no nothing more is told than of who has not answered.
            col(Employee.opted_out_at).is_(None),
            handed_in.exists(),
        )
    ).one()
