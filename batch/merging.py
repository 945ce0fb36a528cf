"""A reading laid over the roster: who is new, who is known and changed, and which rows contradict it."""

from __future__ import annotations

import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlmodel import Session, col, select

from batch import addresses, employees
from batch.cells import email_identity
from batch.employees import EmployeeProfile
from batch.models import Batch, Employee
from batch.workbook import Problem, Reading, RosterRow
from likeness.db import tenant_of, utc_now
from likeness.errors import Gone
from likeness.keys import KeyFolder, blind_index

KEY_THREADS = 8
"""Making a key waits for the disk four times, 10 ms in all; eight at once make 500 keys in 0.6 s instead of 5 s."""


class Verdict(StrEnum):
    """What a row does to the roster."""

    NEW = "new"
    CORRECTED = "corrected"
    UNCHANGED = "unchanged"
    ADDRESS_ASKED = "address asked"
    """Another address of somebody who has consented: they are asked; what else the row corrects is corrected."""
    REFUSED = "refused"


@dataclass(frozen=True)
class Judged:
    """One row of the file: `before` and `after` are the person as the roster has them and as the row says.

    `reason` says in a sentence what is not plain from the two.
    """

    row: RosterRow
    verdict: Verdict
    employee: Employee | None = None
    before: EmployeeProfile | None = None
    after: EmployeeProfile | None = None
    reason: str = ""


class Merge:
    """Looking writes nothing; `write` does. People are found by employee number, else by address."""

    def __init__(self, session: Session, keys: KeyFolder, reading: Reading) -> None:
        self.session, self.keys = session, keys
        self.tenant = tenant_of(session)
        self.index_key = keys.index_key(self.tenant)
        roster = session.exec(select(Employee).where(col(Employee.tenant_id) == self.tenant)).all()
        by_id = {one.id: one for one in roster}
        self._roster = roster
        self._by_key = {one.key_index: one for one in roster if one.key_index is not None}
        self._by_email = {one.email_index: one for one in roster}
        self._protected, self._pending = addresses.protected(session), addresses.pending(session)
        self._refusals = addresses.refusals(session)
        self._by_pending = {change.email_index: by_id[person] for person, change in self._pending.items()}
        claimed: set[UUID] = set()
        self.judged: list[Judged] = []
        self.asked: set[UUID] = set()
        problems: list[Problem] = []
        for row in reading.rows:
            known, why = self._known(row)
            if known is not None and known.id in claimed:
                why = ("same_person", "Another row of this file is the same person.")
            judged = Judged(row, Verdict.NEW) if known is None else self._compare(known, row)
            why = why or self._other_person(judged)
            if why:
                field = "employee_key" if why[0] in ("other_key", "other_person", "same_person") else "email"
                field = field if row.employee_key is not None else "email"
                problems.append(Problem(row.row, reading.mapping.get(field, field), *why, "error", field))
                judged = replace(judged, verdict=Verdict.REFUSED, reason=why[1])
            elif known is not None:
                claimed.add(known.id)
            self.judged.append(judged)
        self.reading = _with_problems(reading, problems)

    def of(self, *verdicts: Verdict) -> list[Judged]:
        return [one for one in self.judged if one.verdict in verdicts]

    @property
    def missing(self) -> list[Employee]:
        """Who is on the roster and in no row of the file that could be read. Nothing happens to them."""
        named = {one.employee.id for one in self.judged if one.employee is not None}
        return [one for one in self._roster if one.id not in named]

    @property
    def new(self) -> list[RosterRow]:
        return [one.row for one in self.of(Verdict.NEW)]

    @property
    def updated(self) -> int:
        return len(self.of(Verdict.CORRECTED, Verdict.ADDRESS_ASKED))

    @property
    def unchanged(self) -> int:
        return len(self.of(Verdict.UNCHANGED))

    def write(self, batch: Batch, now: datetime, *, caller: str) -> list[UUID]:
        """Adds the new, corrects the known; returns the ids of the new, in the order of the file."""
        with ThreadPoolExecutor(KEY_THREADS) as threads:
            added = list(threads.map(lambda row: self._added(row, batch.id, now), self.new))
        if added:
            self.session.execute(insert(Employee), added)
        said = {
            one.employee.id: one.after
            for one in self.of(Verdict.CORRECTED, Verdict.ADDRESS_ASKED)
            if one.employee is not None and one.after is not None
        }
        self.asked = addresses.correct(self.session, self.keys, said, now, caller=caller)
        return [one["id"] for one in added]

    def _known(self, row: RosterRow) -> tuple[Employee | None, tuple[str, str] | None]:
        """Whom the row means, and what contradicts it."""
        indexes = self._indexes(row)
        by_key = self._by_key.get(indexes["key_index"]) if indexes["key_index"] else None
        by_email = self._by_email.get(indexes["email_index"]) or self._by_pending.get(indexes["email_index"])
        if by_key is not None and by_email is not None and by_key.id != by_email.id:
            return None, ("address_taken", "Somebody else on the roster has this address.")
        if by_key is None and by_email is not None and indexes["key_index"] and by_email.key_index:
            return None, ("other_key", "On the roster this address has another employee number.")
        return by_key or by_email, None

    def _compare(self, known: Employee, row: RosterRow) -> Judged:
        old = None
        with suppress(Gone):
            old = employees.profile(self.keys, known)
        if old is None:
            return Judged(row, Verdict.UNCHANGED, known)
        # An empty cell says nothing: a file of corrections need not hold every column.
        said = {name: value for name, value in asdict(_profile(row)).items() if value is not None}
        profile, change = replace(old, **said), self._pending.get(known.id)
        moves = email_identity(old.email) != email_identity(profile.email)
        if change is not None and change.email_index == self._indexes(row)["email_index"]:
            # The same address once more: it was asked about, and still is.
            profile, moves, change = replace(profile, email=old.email), False, None
        verdict = Verdict.UNCHANGED if profile == old else Verdict.CORRECTED
        if moves and known.id in self._protected:
            until = f"{utc_now() + addresses.PATIENCE:%Y-%m-%d}"
            reason = (
                "This person has consented, so they are asked at their old address first. Until they answer nothing"
                f" moves; without an answer by {until} the new address gets an empty page."
            )
            return Judged(row, Verdict.ADDRESS_ASKED, known, old, profile, reason)
        if change is not None and not moves:
            reason = "The change of address that waits for an answer is taken back."
            return Judged(row, Verdict.CORRECTED, known, old, profile, reason)
        return Judged(row, verdict, known, old, profile)

    def _other_person(self, judged: Judged) -> tuple[str, str] | None:
        """A row that would turn one person into another."""
        known, old, row = judged.employee, judged.before, judged.row
        if known is None or old is None:
            return None
        same_name = _same_name(old.full_name, row.full_name)
        same_address = self._indexes(row)["email_index"] in (
            known.email_index,
            *(change.email_index for change in [self._pending.get(known.id)] if change),
        )
        if not same_name and not same_address:
            return (
                "other_person",
                "On the roster this number belongs to somebody with another name and another address."
                " If it is the same person, correct the name first and the address in a second file.",
            )
        by_address_alone = known.key_index is None or row.employee_key is None
        if by_address_alone and known.id in self._protected and not _any_name_in_common(old.full_name, row.full_name):
            return (
                "other_person",
                "On the roster this address belongs to somebody with another name, who has consented."
                " Give the new person an address of their own.",
            )
        refused = self._refusals.get((known.id, self._indexes(row)["email_index"]))
        if judged.verdict == Verdict.ADDRESS_ASKED and refused:
            return ("address_refused", f"On {refused:%Y-%m-%d} the person said that this address is not theirs.")
        return None

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


def _same_name(one: str, other: str) -> bool:
    """Whether two spellings are one name: in another order, without accents, or with a middle name more."""
    ours, theirs = _parts(one), _parts(other)
    fewer = min(ours, theirs, key=len)
    return ours == theirs or (len(fewer) > 1 and (ours <= theirs or theirs <= ours))


def _any_name_in_common(one: str, other: str) -> bool:
    """Somebody who marries keeps a first name; somebody else has neither."""
    return bool(_parts(one) & _parts(other))


def _parts(name: str) -> frozenset[str]:
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    return frozenset(re.findall(r"\w+", bare.casefold()))


def _with_problems(reading: Reading, problems: list[Problem]) -> Reading:
    """The reading without the rows that contradict the roster; they stand among the failed ones, without their cells."""
    broken = {problem.row for problem in problems}
    if not broken:
        return reading
    return replace(
        reading,
        rows=tuple(row for row in reading.rows if row.row not in broken),
        problems=tuple(sorted((*reading.problems, *problems), key=lambda problem: problem.row)),
        failed=tuple(sorted((*reading.failed, *((row, ()) for row in broken)))),
    )
