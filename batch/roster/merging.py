"""A reading laid over the roster: who is new, who is known and changed, and which rows contradict it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert
from sqlmodel import Session, col, select

from batch.mailbox import email_identity
from batch.models import Batch, Employee
from batch.people import employees, lines
from batch.people.employees import EmployeeProfile
from batch.reading import workbook
from batch.reading.headings import FIELDS
from batch.reading.workbook import Problem, Reading, RosterRow
from batch.roster import listings
from batch.visit import addresses
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Gone
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, blind_index
from likeness.locale.marks import Told

CALLED = {
    "employee_key": Told("Employee number"), "full_name": Told("Full name"), "email": Told("E-mail"),
    "department": Told("Department"), "site": Told("Site"), "manager_email": Told("Manager e-mail"),
    "language": Told("Language"),
}  # fmt: skip
"""What a field is called above its column; the reader of workbooks knows each of these names in six languages."""

KEY_THREADS = 8
"""Making a key waits for the disk several times, 10 ms in all; eight at once make 500 keys in 0.6 s instead of 5 s."""
KEYS_TOGETHER = 100


NOTHING = Told("(nothing)")


class RowVerdict(StrEnum):
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
    verdict: RowVerdict
    employee: Employee | None = None
    before: EmployeeProfile | None = None
    after: EmployeeProfile | None = None
    reason: str = ""

    def differences(self, called: Sequence[str]) -> list[tuple[str, str, str]]:
        """What would change about the person: the field, `called` so in the order of `FIELDS`, its value, the new one."""
        if self.before is None or self.after is None:
            return []
        pairs = [(getattr(self.before, field), getattr(self.after, field)) for field in FIELDS]
        return [
            (words, old or NOTHING, new or NOTHING)
            for words, (old, new) in zip(called, pairs, strict=True)
            if old != new
        ]


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
        self._protected, self._pending = lines.protected(session), addresses.pending(session)
        self._refusals, self._kept = addresses.refusals(session), lines.kept(session, utc_now())
        self._by_pending = {change.email_index: by_id[person] for person, change in self._pending.items()}
        claimed: set[UUID] = set()
        self.judged: list[Judged] = []
        self.asked: set[UUID] = set()
        self.contradicted: list[UUID] = []
        problems: list[Problem] = []
        found = [self._known(row) for row in reading.rows]
        self._opened = keys.open_all(self.tenant, {known.id for known, _ in found if known}, KeyClass.PROFILE)
        for row, (known, why) in zip(reading.rows, found, strict=True):
            if known is not None and known.id in claimed:
                why = ("same_person", Told("Another row of this file is the same person."))
            judged = Judged(row, RowVerdict.NEW) if known is None else self._compare(known, row)
            why = why or self._other_person(judged)
            if why:
                field = "employee_key" if why[0] in ("other_key", "other_person", "same_person") else "email"
                field = field if row.employee_key is not None else "email"
                problems.append(Problem(row.row, reading.mapping.get(field, field), *why, "error", field))
                judged = replace(judged, verdict=RowVerdict.REFUSED, reason=why[1])
                if known is not None and why[0] in (lines.PERSON, lines.ADDRESS):
                    self.contradicted.append(known.id)
            elif known is not None:
                claimed.add(known.id)
            self.judged.append(judged)
        self.reading = _with_problems(reading, problems)

    def of(self, *verdicts: RowVerdict) -> list[Judged]:
        return [one for one in self.judged if one.verdict in verdicts]

    @property
    def missing(self) -> list[Employee]:
        """Who is on the roster and in no row of the file that could be read. Nothing happens to them."""
        named = {one.employee.id for one in self.judged if one.employee is not None}
        return [one for one in self._roster if one.id not in named]

    @property
    def new(self) -> list[RosterRow]:
        return [one.row for one in self.of(RowVerdict.NEW)]

    @property
    def updated(self) -> int:
        return len(self.of(RowVerdict.CORRECTED, RowVerdict.ADDRESS_ASKED))

    @property
    def unchanged(self) -> int:
        return len(self.of(RowVerdict.UNCHANGED))

    def write(self, batch: Batch, now: datetime, *, caller: str) -> list[UUID]:
        """Adds the new, corrects the known; returns the ids of the new, in the order of the file."""
        new = {uuid4(): row for row in self.new}
        ids, made = list(new), dict[UUID, DataKey]()
        parts = [ids[at : at + KEYS_TOGETHER] for at in range(0, len(ids), KEYS_TOGETHER)]
        with ThreadPoolExecutor(KEY_THREADS) as threads:
            for keys in threads.map(partial(self.keys.make_all, self.tenant), parts):
                made |= keys
        added = [self._added(made[one], row, batch.id, now) for one, row in new.items()]
        if added:
            self.session.execute(insert(Employee), added)
        said = {
            one.employee.id: one.after
            for one in self.of(RowVerdict.CORRECTED, RowVerdict.ADDRESS_ASKED)
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
            return None, ("address_taken", Told("Somebody else on the roster has this address."))
        if by_key is None and by_email is not None and indexes["key_index"] and by_email.key_index:
            return None, ("other_key", Told("On the roster this address has another employee number."))
        return by_key or by_email, None

    def _compare(self, known: Employee, row: RosterRow) -> Judged:
        if (key := self._opened.get(known.id)) is None:  # Erased, or about to be.
            return Judged(row, RowVerdict.UNCHANGED, known)
        old = EmployeeProfile.opened(key, known.profile)
        # An empty cell says nothing: a file of corrections need not hold every column.
        said = {name: value for name, value in asdict(_profile(row)).items() if value is not None}
        profile, change = replace(old, **said), self._pending.get(known.id)
        moves, until = email_identity(old.email) != email_identity(profile.email), utc_now() + addresses.PATIENCE
        if change is not None and moves and change.email_index == self._indexes(row)["email_index"]:
            # The same address once more: it was asked about, and still is.
            until = change.until
            if replace(profile, email=old.email) == old:
                return Judged(row, RowVerdict.UNCHANGED, known, old, old)
        verdict = RowVerdict.UNCHANGED if profile == old else RowVerdict.CORRECTED
        if moves and known.id in self._protected:
            reason = Told(
                "This person has consented, so they are asked at their old address first. Until they answer nothing"
                " moves; without an answer by {day} the new address gets an empty page.",
                day=f"{until:%Y-%m-%d}",
            )
            return Judged(row, RowVerdict.ADDRESS_ASKED, known, old, profile, reason)
        if change is not None and not moves:
            reason = Told("The change of address that waits for an answer is taken back.")
            return Judged(row, RowVerdict.CORRECTED, known, old, profile, reason)
        return Judged(row, verdict, known, old, profile)

    def _other_person(self, judged: Judged) -> tuple[str, Told] | None:
        """A row that would turn one person into another."""
        known, old, row = judged.employee, judged.before, judged.row
        if known is None or old is None:
            return None
        waiting, wanted = self._pending.get(known.id), self._indexes(row)["email_index"]
        return lines.contradiction(
            old, replace(old, full_name=row.full_name, email=row.email),
            asked=addresses.new_address(self.keys, waiting) if waiting else None,
            kept=known.id in self._kept, refused=self._refusals.get((known.id, wanted)),
        )  # fmt: skip

    def _added(self, key: DataKey, row: RosterRow, batch_id: UUID, now: datetime) -> dict[str, Any]:
        profile = _profile(row)
        return {
            "id": key.ref.owner,
            "roster_id": uuid4(),
            "tenant_id": self.tenant,
            "batch_id": batch_id,
            "row": row.row,
            **employees.digests(self.index_key, profile),
            "profile": profile.sealed(key),
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


def change_rows(
    session: Session, keys: KeyFolder, judged: Sequence[Judged], missing: Sequence[Employee], problems: Sequence[Problem],
    now: datetime, *, caller: str, told: Callable[[str], str] = str,
) -> bytes:  # fmt: skip
    """All that an import would do, as a workbook: the preview on a page ends after some lines, this does not. Whose lines
    of the list are in it is on record. `told` says headings and sentences."""
    known = [*(one.employee for one in judged if one.employee is not None), *missing]
    listings.note(session, [one.roster_id for one in known], now, caller=caller)
    by = {one: [each for each in judged if each.verdict == one] for one in RowVerdict}
    called = [told(CALLED[field]) for field in FIELDS]
    new = [(one.row.row, *(getattr(one.row, field) for field in FIELDS)) for one in by[RowVerdict.NEW]]
    corrected = [
        (one.row.row, one.before.full_name if one.before else "", *map(told, difference), told(one.reason))
        for one in (*by[RowVerdict.CORRECTED], *by[RowVerdict.ADDRESS_ASKED])
        for difference in one.differences(called)
    ]
    unchanged = [(one.row.row, one.row.full_name) for one in by[RowVerdict.UNCHANGED]]
    warnings = [(one.row, told(one.column), told(one.message)) for one in problems if one.severity == "warning"]
    row, name = told(Told("Row")), told(Told("Full name"))
    changed = [Told("Person"), Told("What"), Told("As it was"), Told("As it will be"), Told("Note")]
    return workbook.export_sheets({
        told(Told("New")): ((row, *called), new),
        told(Told("Corrected")): ((row, *map(told, changed)), corrected),
        told(Told("Unchanged")): ((row, name), unchanged),
        told(Told("Warnings")): ((row, told(Told("Column")), told(Told("What"))), warnings),
        told(Told("Not in the file")): ((name, told(Told("E-mail"))), _named(keys, missing)),
    })  # fmt: skip


def _named(keys: KeyFolder, people: Sequence[Employee]) -> list[tuple[str, str]]:
    """Whoever was not erased a moment ago."""
    found = []
    for one in people:
        with suppress(Gone):
            who = employees.profile(keys, one)
            found.append((who.full_name, who.email))
    return found
