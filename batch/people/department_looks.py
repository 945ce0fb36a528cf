"""Looks for the people of some departments or batches: who gets which, and whom a change concerns, told beforehand."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session, col, func, select

from batch.models import ACTIVE, Batch, Employee, Sitting, SittingState
from batch.people import departments, employees
from batch.people.departments import Grouping
from batch.people.queries import BY_PACK
from likeness.ground.db import tenant_of
from likeness.keys.keys import KeyFolder
from tenants import looks, packs
from tenants.models import Look

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
    return Coming(tuple(look.name for look in meant_for(session, employee)), begun=False)


def meant_for(session: Session, employee: Employee) -> list[Look]:
    """The looks that somebody gets whose headshots are begun now: their department's, their batch's, or everybody's."""
    mine = select(Batch.pack_id).where(col(Batch.tenant_id) == tenant_of(session), col(Batch.id) == employee.batch_id)
    pack = packs.chosen(session, session.exec(mine).one_or_none())
    return looks.meant_for(looks.list_looks(session), employee.department_index, pack)


def give_to(
    session: Session, keys: KeyFolder, look_ids: Collection[UUID], named: Collection[str] | None, *, caller: str
) -> Effect:
    """One look, or all those of a pack. Raises what `looks.give_to` does."""
    called = {one.index: one.name for one in employees.groups(session, keys, Grouping.DEPARTMENT)}
    asked = {"tenant": tenant_of(session)} | departments.values(session)
    people = [(one.department_index, one.pack_id, one.people) for one in session.execute(BY_PACK, asked)]
    before = _coming(session, people)
    for look_id in look_ids:
        looks.give_to(session, keys, look_id, named, caller=caller)
    session.flush()
    after = _coming(session, people)
    grouped: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[bytes | None, int]]] = {}
    for (index, _, count), then, now in zip(people, before, after, strict=True):
        if then != now:
            grouped.setdefault((then, now), []).append((index, count))
    groups = tuple(
        LookGroup(
            tuple(sorted({called.get(index, "") for index, _ in some}, key=str.casefold)),
            sum(count for _, count in some),
            *ways,
        )
        for ways, some in grouped.items()
    )
    groups = tuple(sorted(groups, key=lambda one: [name.casefold() for name in one.departments]))
    return Effect(groups, _begun(session, {index for some in grouped.values() for index, _ in some}))


def preview(
    session: Session, keys: KeyFolder, look_ids: Collection[UUID], named: Collection[str] | None, *, caller: str
) -> Effect:
    """What `give_to` would do and refuse: it is tried, and rolled back."""
    with session.begin_nested() as trial:
        effect = give_to(session, keys, look_ids, named, caller=caller)
        trial.rollback()
    return effect


def _coming(session: Session, people: Sequence[tuple[bytes | None, UUID | None, int]]) -> list[tuple[str, ...]]:
    """The names of the looks of each of these groups of people."""
    known, held = looks.list_looks(session), {pack.id: pack.looks for pack in packs.listed(session)}
    return [
        tuple(look.name for look in looks.meant_for(known, index, held.get(pack_id, ()) if pack_id else ()))
        for index, pack_id, _ in people
    ]


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
