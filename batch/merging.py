"""A reading laid over the roster: who is new, who is known and changed, and which rows contradict it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, update
from sqlmodel import Session, col, select

from batch import employees
from batch.employees import EmployeeProfile
from batch.models import Batch, Employee
from batch.workbook import Problem, Reading, RosterRow
from likeness.db import tenant_of
from likeness.errors import Gone
from likeness.keys import KeyFolder, blind_index

KEY_THREADS = 8
"""Making a key waits for the disk four times, 10 ms in all; eight at once make 500 keys in 0.6 s instead of 5 s."""


class Merge:
    """Looking writes nothing; `write` does. People are found by employee number, else by address."""

    def __init__(self, session: Session, keys: KeyFolder, reading: Reading) -> None:
        self.session, self.keys = session, keys
        self.tenant = tenant_of(session)
        self.index_key = keys.index_key(self.tenant)
        roster = session.exec(select(Employee).where(col(Employee.tenant_id) == self.tenant)).all()
        self._by_key = {one.key_index: one for one in roster if one.key_index is not None}
        self._by_email = {one.email_index: one for one in roster}
        self.new: list[RosterRow] = []
        self.changed: list[tuple[Employee, RosterRow, EmployeeProfile]] = []
        self.readdressed: list[UUID] = []
        self.unchanged = 0
        problems: list[Problem] = []
        claimed: set[UUID] = set()
        for row in reading.rows:
            known, why = self._known(row)
            if known is not None and known.id in claimed:
                why = ("same_person", "Another row of this file is the same person.")
            if why:
                field = "email" if why[0] == "address_taken" or row.employee_key is None else "employee_key"
                problems.append(Problem(row.row, reading.mapping.get(field, field), *why, "error", field))
            elif known is None:
                self.new.append(row)
            else:
                claimed.add(known.id)
                self._compare(known, row)
        self.reading = _with_problems(reading, problems)

    @property
    def updated(self) -> int:
        return len(self.changed)

    def write(self, batch: Batch, now: datetime) -> list[UUID]:
        """Adds the new, corrects the known; returns the ids of the new, in the order of the file."""
        with ThreadPoolExecutor(KEY_THREADS) as threads:
            added = list(threads.map(lambda row: self._added(row, batch.id, now), self.new))
        if added:
            self.session.execute(insert(Employee), added)
        for known, row, profile in self.changed:
            key = self.keys.open(employees.profile_ref(self.tenant, known.id))
            values = self._indexes(row) | {"profile": profile.sealed(key)}
            if row.employee_key is None:
                del values["key_index"]
            self.session.execute(
                update(Employee)
                .where(col(Employee.tenant_id) == self.tenant, col(Employee.id) == known.id)
                .values(**values)
            )
        return [one["id"] for one in added]

    def _known(self, row: RosterRow) -> tuple[Employee | None, tuple[str, str] | None]:
        """Whom the row means, and what contradicts it."""
        indexes = self._indexes(row)
        by_key = self._by_key.get(indexes["key_index"]) if indexes["key_index"] else None
        by_email = self._by_email.get(indexes["email_index"])
        if by_key is not None and by_email is not None and by_key.id != by_email.id:
            return None, ("address_taken", "Somebody else on the roster has this address.")
        if by_key is None and by_email is not None and indexes["key_index"] and by_email.key_index:
            return None, ("other_key", "On the roster this address has another employee number.")
        return by_key or by_email, None

    def _compare(self, known: Employee, row: RosterRow) -> None:
        old = None
        with suppress(Gone):
            old = employees.profile(self.keys, known)
        if old is None:
            self.unchanged += 1
            return
        # An empty cell says nothing: a file of corrections need not hold every column.
        said = {name: value for name, value in asdict(_profile(row)).items() if value is not None}
        profile = replace(old, **said)
        if profile == old:
            self.unchanged += 1
            return
        self.changed.append((known, row, profile))
        if known.email_index != self._indexes(row)["email_index"]:
            self.readdressed.append(known.id)

    def _added(self, row: RosterRow, batch_id: UUID, now: datetime) -> dict[str, Any]:
        employee_id = uuid4()
        key = self.keys.open_or_create(employees.profile_ref(self.tenant, employee_id))
        return {
            "id": employee_id,
            "tenant_id": self.tenant,
            "batch_id": batch_id,
            "row": row.row,
            "profile": _profile(row).sealed(key),
            "created_at": now,
        } | self._indexes(row)

    def _indexes(self, row: RosterRow) -> dict[str, Any]:
        number = row.employee_key
        return {
            "email_index": employees.email_index(self.index_key, row.email),
            "key_index": blind_index(self.index_key, number) if number else None,
        }


def _profile(row: RosterRow) -> EmployeeProfile:
    return EmployeeProfile(**{name: value for name, value in vars(row).items() if name != "row"})


def _with_problems(reading: Reading, problems: list[Problem]) -> Reading:
    """The reading without the rows that contradict the roster; they stand among the failed ones."""
    broken = {problem.row for problem in problems}
    if not broken:
        return reading
    headings = {heading: field for field, heading in reading.mapping.items()}
    failed = [
        (row.row, tuple(str(getattr(row, headings.get(heading, ""), None) or "") for heading in reading.columns))
        for row in reading.rows
        if row.row in broken
    ]
    return replace(
        reading,
        rows=tuple(row for row in reading.rows if row.row not in broken),
        problems=tuple(sorted((*reading.problems, *problems), key=lambda problem: problem.row)),
        failed=tuple(sorted((*reading.failed, *failed))),
    )
