"""A roster as rows and problems, read from an opened book. All of it runs in a limited child process."""

from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Literal, cast

from batch import cells, headings, sheets
from batch.cells import Cell, Fault, email_identity
from batch.sheets import WorkbookUnreadable

MOST_ROWS = 20_000
# How far down the headings may stand: some files begin with a title and a note.
HEADING_ROWS = 25


@dataclass(frozen=True)
class Problem:
    """What is wrong with one cell. `column` is the heading in the file, `field` our own name for it."""

    row: int
    column: str
    code: str
    message: str
    severity: Literal["error", "warning"]
    field: str = ""


@dataclass(frozen=True)
class RosterRow:
    """One person without errors. `email` is as typed; `email_identity` tells whether two are the same."""

    row: int
    employee_key: str | None
    full_name: str
    email: str
    department: str | None = None
    site: str | None = None
    manager_email: str | None = None
    language: str | None = None


@dataclass(frozen=True)
class Reading:
    """`mapping` is our field → heading in the file; `failed` holds the rows with errors as they stand in the file."""

    sheet: str
    sheets: tuple[str, ...]
    header_row: int
    mapping: dict[str, str]
    rows: tuple[RosterRow, ...]
    problems: tuple[Problem, ...]
    unknown_columns: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    failed: tuple[tuple[int, tuple[str, ...]], ...] = ()

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")


def warm_up() -> None:
    """Reads a small file, so that nothing has to be imported once files may no longer be opened."""
    sheets.warm_up()
    parse({}, "Name;E-mail;Manager\nZoë;zoë@büro.example;zoe@gmial.com".encode())


def parse(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """A file as the plain values of a Reading, or {"unreadable": sentence}."""
    try:
        book = sheets.open_book(data)
        reading = _Table(book, about.get("sheet"), about.get("header_row"), about.get("mapping") or {}).reading()
    except WorkbookUnreadable as error:
        return {"unreadable": str(error)}, b""
    plain = {one.name: getattr(reading, one.name) for one in fields(reading)}
    plain["rows"] = [list(vars(row).values()) for row in reading.rows]
    plain["problems"] = [list(vars(problem).values()) for problem in reading.problems]
    return plain, b""


class _Table:
    """The sheet of a book that holds people, with its heading row found."""

    def __init__(self, book: sheets.Book, sheet: str | None, header_row: int | None, wished: dict[str, str]) -> None:
        self.book = book
        if sheet is not None and sheet not in book.names:
            raise WorkbookUnreadable(f"The workbook has no sheet “{sheet[:40]}”.")
        self.sheet, self.header_row, self.columns = _found(book, [sheet] if sheet else book.names, header_row)
        self.at = headings.match(self.columns, wished)
        self.problems: list[Problem] = []
        self.broken: set[int] = set()

    def column(self, name: str) -> str:
        return self.columns[self.at[name]] if name in self.at else name

    def blame(self, row: int, name: str, fault: Fault) -> None:
        severity: Literal["error", "warning"] = "error" if fault.severity == "error" else "warning"
        self.problems.append(Problem(row, self.column(name), fault.code, fault.message, severity, name))
        if severity == "error":
            self.broken.add(row)

    def reading(self) -> Reading:
        everyone: list[RosterRow] = []
        as_typed: dict[int, tuple[str, ...]] = {}
        if self._has_columns():
            for number, line in self.book.rows(self.sheet):
                if number <= self.header_row:
                    continue
                if len(everyone) >= MOST_ROWS:
                    raise WorkbookUnreadable(f"The sheet has more than {MOST_ROWS:,} people. Split it.")
                as_typed[number] = tuple(cell.text for cell in line[: len(self.columns)])
                everyone.append(self._person(number, line))
            if not everyone:
                self.blame(self.header_row, "full_name", Fault("no_rows", "There are no people below the headings."))
        everyone = self._without_repeats(everyone)
        self._strange_domains(everyone)
        known = set(self.at.values())
        unknown = [
            heading
            for at, heading in enumerate(self.columns)
            if heading and at not in known and headings.field_of(heading) != "reason"
        ]
        return Reading(
            sheet=self.sheet,
            sheets=tuple(self.book.names),
            header_row=self.header_row,
            mapping={name: self.columns[at] for name, at in self.at.items() if name != "reason"},
            rows=tuple(person for person in everyone if person.row not in self.broken),
            problems=tuple(sorted(self.problems, key=lambda problem: problem.row)),
            unknown_columns=tuple(unknown),
            columns=tuple(self.columns),
            failed=tuple((number, as_typed[number]) for number in sorted(self.broken & as_typed.keys())),
        )

    def _has_columns(self) -> bool:
        if any("@" in heading for heading in self.columns):
            self.blame(self.header_row, "", Fault("no_headings", "This row looks like a person, not like headings."))
        named = "full_name" in self.at or any(part in self.at for part in headings.NAME_PARTS)
        if not named:
            self.blame(self.header_row, "full_name", Fault("missing_column", "No column holds the names."))
        if "email" not in self.at:
            self.blame(self.header_row, "email", Fault("missing_column", "No column holds the e-mail addresses."))
        return named and "email" in self.at

    def _person(self, number: int, line: list[Cell]) -> RosterRow:
        def take(name: str, check: Any, *, needed: bool = False, lenient: bool = False, **words: str) -> str:
            at = self.at.get(name)
            cell = line[at] if at is not None and at < len(line) else sheets.EMPTY
            if cell is sheets.EMPTY and not needed:
                return ""
            value, faults = check(cell, **words)
            for fault in faults:
                # What is wrong in a column that nobody needs must not keep the person out.
                mild = lenient and fault.code != "formula"
                self.blame(number, name, fault._replace(severity="warning") if mild else fault)
            if needed and not value and not any(fault.severity == "error" for fault in faults):
                self.blame(number, name, Fault("empty", "This cell is empty."))
            return cast(str, value)

        return RosterRow(
            row=number,
            employee_key=take("employee_key", cells.employee_key) or None,
            full_name=self._name(take),
            email=take("email", cells.email, needed=True),
            department=take("department", cells.plain_text, named="department") or None,
            site=take("site", cells.plain_text, named="site") or None,
            manager_email=take("manager_email", cells.email, lenient=True) or None,
            language=take("language", cells.language, lenient=True) or None,
        )

    def _name(self, take: Any) -> str:
        if "full_name" in self.at:
            return cast(str, take("full_name", cells.full_name, needed=True))
        given = take("given_name", cells.full_name, needed="family_name" not in self.at)
        family = take("family_name", cells.full_name, needed=not given)
        # A column "Name" beside "First name" sometimes holds the whole name.
        return family if given and given in family.split() else f"{given} {family}".strip()

    def _without_repeats(self, everyone: list[RosterRow]) -> list[RosterRow]:
        """Drops rows that repeat an earlier one word for word; marks all rows that share a key or an address."""
        first: dict[tuple[object, ...], int] = {}
        kept: list[RosterRow] = []
        for person in everyone:
            words = tuple(value for name, value in vars(person).items() if name != "row")
            if person.row not in self.broken and words in first:
                self.blame(
                    person.row, "email", Fault("repeated_row", f"The same as row {first[words]}; left out.", "warning")
                )
                continue
            first.setdefault(words, person.row)
            kept.append(person)
        self._mark_shared(kept, "employee_key", "duplicate_key", "employee number")
        self._mark_shared(kept, "email", "duplicate_email", "address")
        return kept

    def _mark_shared(self, everyone: list[RosterRow], name: str, code: str, words: str) -> None:
        holders: dict[str, list[int]] = defaultdict(list)
        for person in everyone:
            value = getattr(person, name)
            if value:
                holders[email_identity(value) if name == "email" else value].append(person.row)
        for rows in holders.values():
            for row in rows if len(rows) > 1 else ():
                other = rows[0] if row != rows[0] else rows[1]
                self.blame(row, name, Fault(code, f"Row {other} has the same {words}."))

    def _strange_domains(self, everyone: list[RosterRow]) -> None:
        """Warns of a domain that one or two people have and that is one letter away from the company's own."""
        users: dict[str, list[int]] = defaultdict(list)
        for person in everyone:
            if person.email:
                users[email_identity(person.email).rpartition("@")[2]].append(person.row)
        common = [domain for domain, rows in users.items() if len(rows) >= 10 and len(domain) >= 6]
        for domain, rows in users.items():
            likely = cells.lookalike(domain, common) if len(rows) <= 2 and common else ""
            for row in rows if likely.startswith("Did you mean") else ():
                if not any(p.row == row and p.code == "lookalike_domain" for p in self.problems):
                    self.blame(row, "email", Fault("lookalike_domain", likely, "warning"))


def _found(book: sheets.Book, names: list[str], header_row: int | None) -> tuple[str, int, list[str]]:
    """The sheet, the number of its heading row and the headings; the first sheet that has the needed columns wins."""
    best: tuple[int, str, int, list[str]] | None = None
    for name in names[:20]:
        for number, line in islice(book.rows(name), HEADING_ROWS if header_row is None else None):
            if header_row is not None and number != header_row:
                continue
            texts = [cells.clean(cell.text[:200])[0] for cell in line]
            worth = headings.score(texts) if header_row is None else 99
            if best is None or worth > best[0]:
                best = (worth, name, number, texts)
            if header_row is not None:
                break
        if best is not None and best[0] >= 3:
            break
    if best is None:
        where = "The workbook is empty." if header_row is None else f"Row {header_row} is empty."
        raise WorkbookUnreadable(where + " Put the headings in one row and the people below.")
    return best[1], best[2], best[3]
