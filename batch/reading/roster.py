"""A roster as rows and problems, read from an opened book. All of it runs in a limited child process."""

from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import islice
from typing import Any, Literal, cast

from batch.mailbox import email_identity
from batch.reading import cells, columns, delimited, excel, headings, names, opening, sheets
from batch.reading.cells import Fault
from batch.reading.sheets import FilledRow, WorkbookUnreadable
from likeness.locale.marks import Told, packed

MOST_ROWS = 20_000
# How far down the headings may stand: some files begin with a title and a note.
HEADING_ROWS = 25
TOO_MANY_CELLS = Told(
    "This row has more cells than there are headings, so values may stand in the wrong columns. Check name and address;"
    " what stands behind them was not read. Put quotation marks around values with a comma."
)


STORED = Told("This is a formula; the value stored in the file was used.")
READ_AS_EMPTY = Told("The cell was read as empty.")
HALF_A_NAME = Told("This cell is empty; the name has one part only.")


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
class ColumnRead:
    """A column of the file as somebody is asked about it. `field` is what it was read as, or empty."""

    letter: str
    label: str
    heading: str
    field: str
    samples: tuple[str, ...]


@dataclass(frozen=True)
class ColumnQuestion:
    """Which column holds a field; nothing is imported before it is answered. `suggested` was read meanwhile."""

    field: str
    message: str
    columns: tuple[str, ...]
    suggested: str = ""


@dataclass(frozen=True)
class Reading:
    """`mapping` is our field → column in the file; `failed` holds the rows with errors as they stand in the file.

    `notes` are warnings about the file as a whole: what was left out, and what was understood without being said.
    """

    sheet: str
    sheets: tuple[str, ...]
    header_row: int
    mapping: dict[str, str]
    rows: tuple[RosterRow, ...]
    problems: tuple[Problem, ...]
    columns: tuple[ColumnRead, ...] = ()
    failed: tuple[tuple[int, tuple[str, ...]], ...] = ()
    questions: tuple[ColumnQuestion, ...] = ()
    notes: tuple[str, ...] = ()
    hidden_sheets: tuple[str, ...] = ()
    hidden_rows: int = 0
    """How many rows of the sheet are hidden, whether they were read or not."""
    with_hidden_rows: bool = False
    encoding: str = ""
    """Of a CSV file, one of `delimited.ENCODINGS`."""
    shape: str = ""
    """Stands for the set of headings; `remembered` says that the columns are what somebody said for the same set."""
    remembered: bool = False

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def unknown_columns(self) -> tuple[str, ...]:
        """Columns with a heading that were not used."""
        return tuple(
            one.label for one in self.columns if one.heading and not one.field and not headings.is_reason(one.heading)
        )


def warm_up() -> None:
    """Reads small files, so that nothing has to be imported once files may no longer be opened."""
    excel.warm_up()
    delimited.warm_up()
    parse({}, "Name;E-mail;Manager\nZoë;zoë@büro.example;zoe@gmial.com".encode())


def parse(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """A file as the plain values of a Reading, or {"unreadable": sentence}."""
    try:
        book = opening.open_book(data, about.get("encoding"))
        reading = _Table(book, about).reading()
    except WorkbookUnreadable as error:
        return {"unreadable": packed(error.told)}, b""
    plain = {one.name: getattr(reading, one.name) for one in fields(reading)}
    plain["rows"] = [list(vars(row).values()) for row in reading.rows]
    plain["problems"] = [packed(list(vars(problem).values())) for problem in reading.problems]
    plain["columns"] = [packed(vars(column)) for column in reading.columns]
    plain["questions"] = [packed(vars(question)) for question in reading.questions]
    plain |= {name: packed(plain[name]) for name in ("mapping", "notes")}
    return plain, b""


class _Table:
    """The sheet of a book that holds people, with its heading row found.

    `about` may name `sheet`, `header_row`, `mapping` (field → column), `hidden_rows` (whether to read them), `encoding`,
    `remembered` (mappings by shape), and `also`: numbers of rows that are to come back as they stand.
    """

    def __init__(self, book: sheets.Book, about: dict[str, Any]) -> None:
        self.book = book
        sheet, header_row = about.get("sheet"), about.get("header_row")
        if sheet is not None and sheet not in [one.name for one in book.sheets]:
            raise WorkbookUnreadable(Told("The workbook has no sheet “{name}”.", name=sheet[:40]))
        self.sheet, self.header_row, self.heads, self.others = _found(book, sheet, header_row)
        below = [line for line in book.lines(self.sheet) if line.number > self.header_row]
        self.hidden_rows = sum(line.hidden for line in below)
        self.with_hidden_rows = bool(about.get("hidden_rows"))
        self.below = [line for line in below if self.with_hidden_rows or not line.hidden]
        if len(self.below) > MOST_ROWS:
            raise WorkbookUnreadable(Told("The sheet has more than {n} people. Split it.", n=MOST_ROWS))
        self.columns = columns.columns_of(self.heads, [[cell.text for cell in line.cells] for line in self.below])
        self.no_headings = any("@" in heading for heading in self.heads)
        self.shape = headings.shape(self.heads)
        wished = about.get("mapping") or {}
        self.remembered = not wished and self.shape in (about.get("remembered") or {})
        self.choice = columns.choose(self.columns, about["remembered"][self.shape] if self.remembered else wished)
        self.at = self.choice.at
        self.labels = {one.at: one.label for one in self.columns}
        self.also = frozenset(about.get("also") or ())
        self.shifted = self._shifted()
        self.needed_until = max((at for name, at in self.at.items() if name in (*columns.NAMES, "email")), default=0)
        self.problems: list[Problem] = []
        self.broken: set[int] = set()
        self.mild: dict[tuple[str, str, str], list[int]] = defaultdict(list)

    def column(self, name: str) -> str:
        return self.labels.get(self.at.get(name, -1), name)

    def _shifted(self) -> frozenset[int]:
        """Rows of a CSV file that have more cells than there are headings: somewhere a comma stands without quotes."""
        width = len(self.heads)
        wide = [line.number for line in self.below if any(cell.text.strip() for cell in line.cells[width:])]
        # Where most rows are so wide, the last column simply has no heading.
        usual = len(self.below) > 2 and len(wide) > len(self.below) / 2
        return frozenset() if usual or not self.book.encoding else frozenset(wide)

    def _parts(self) -> bool:
        return any(name in self.at for name in headings.NAME_PARTS)

    def blame(self, row: int, name: str, fault: Fault) -> None:
        severity: Literal["error", "warning"] = "error" if fault.severity == "error" else "warning"
        self.problems.append(Problem(row, self.column(name), fault.code, fault.message, severity, name))
        if severity == "error":
            self.broken.add(row)

    def reading(self) -> Reading:
        everyone: list[RosterRow] = []
        if self._has_columns():
            everyone = [self._person(line) for line in self.below]
            if not everyone:
                self.blame(
                    self.header_row, self._name_field(), Fault("no_rows", Told("There are no people below the headings."))
                )
        everyone = self._without_repeats(everyone)
        self._strange_domains(everyone)
        self._blame_columns()
        field_at = {at: name for name, at in self.at.items()}
        failed = self.broken | self.also
        return Reading(
            sheet=self.sheet,
            sheets=tuple(one.name for one in self.book.sheets),
            header_row=self.header_row,
            mapping={name: self.labels[at] for name, at in self.at.items()},
            rows=tuple(person for person in everyone if person.row not in self.broken),
            problems=tuple(sorted(self.problems, key=lambda problem: problem.row)),
            columns=tuple(
                ColumnRead(one.letter, one.label, one.heading, field_at.get(one.at, ""), tuple(one.samples))
                for one in self.columns
            ),
            failed=tuple(
                (
                    line.number,
                    tuple(line.cells[one.at].text if one.at < len(line.cells) else "" for one in self.columns),
                )
                for line in self.below
                if line.number in failed
            ),
            questions=tuple(
                ColumnQuestion(one.field, one.message, one.labels, one.suggested) for one in self.choice.questions
            ),
            notes=tuple([*self._left_out(), *self.choice.notes]),
            hidden_sheets=tuple(one.name for one in self.book.sheets if one.hidden),
            hidden_rows=self.hidden_rows,
            with_hidden_rows=self.with_hidden_rows,
            encoding=self.book.encoding,
            shape=self.shape,
            remembered=self.remembered,
        )

    def _left_out(self) -> list[str]:
        """What of the file was not read, and what was read without being said."""
        notes = list[str]()
        if self.book.guessed:
            notes.append(
                Told(
                    "The file does not say how its letters are written. It was read as {encoding}; check the names, or"
                    " choose another encoding.",
                    encoding=delimited.ENCODINGS[self.book.encoding],
                )
            )
        hidden = [one.name for one in self.book.sheets if one.hidden and one.name != self.sheet]
        if hidden:
            notes.append(Told("Left out because hidden: {sheets}.", sheets=_sheets(hidden)))
        if self.others:
            read = Told("Only “{name}” was read. There are people in other sheets too: {sheets}.",
                        name=self.sheet, sheets=_sheets(self.others))  # fmt: skip
            notes.append(read)
        if self.remembered:
            notes.append(Told("The columns were read as you said for an earlier file with the same headings."))
        if self.hidden_rows:
            n = self.hidden_rows
            notes.append(
                Told("{n} hidden or filtered row was read as well.", many="{n} hidden or filtered rows were read as"
                    " well.", n=n)
                if self.with_hidden_rows else
                Told("{n} hidden or filtered row was left out.", many="{n} hidden or filtered rows were left out.", n=n)
            )  # fmt: skip
        return notes

    def _has_columns(self) -> bool:
        if self.no_headings:
            self.blame(self.header_row, "", Fault("no_headings", Told("This row looks like a person, not like headings.")))
        named = self._parts() or "full_name" in self.at or "full_name_reversed" in self.at
        if not named:
            self.blame(self.header_row, "full_name", Fault("missing_column", Told("No column holds the names.")))
        if "email" not in self.at:
            self.blame(self.header_row, "email", Fault("missing_column", Told("No column holds the e-mail addresses.")))
        return named and "email" in self.at and not self.no_headings

    def _name_field(self) -> str:
        return next((name for name in columns.NAMES if name in self.at), "full_name")

    def _person(self, line: FilledRow) -> RosterRow:
        number = line.number
        if number in self.shifted:
            self.blame(number, "", Fault("too_many_cells", TOO_MANY_CELLS, "warning"))

        def take(name: str, check: Any, *, needed: bool = False, optional: bool = False, **words: str) -> str:
            at = self.at.get(name)
            cell = line.cells[at] if at is not None and at < len(line.cells) else sheets.EMPTY
            if cell is sheets.EMPTY and not needed:
                return ""
            if optional and number in self.shifted and at is not None and at > self.needed_until:
                return ""
            value, faults = check(cell, **words)
            if cell.counted and value:
                self.mild[name, "stored_value", STORED].append(number)
            for fault in faults:
                if optional:
                    # What is wrong in a column that nobody needs never keeps a person out.
                    empty = fault.severity == "error" and isinstance(fault.message, Told)
                    message = fault.message.then(READ_AS_EMPTY) if empty else fault.message
                    self.mild[name, fault.code, message].append(number)
                else:
                    self.blame(number, name, fault)
            if any(fault.severity == "error" for fault in faults):
                return "" if optional else cast(str, value)
            if needed and not value:
                self.blame(number, name, Fault("empty", Told("This cell is empty.")))
            return cast(str, value)

        return RosterRow(
            row=number,
            employee_key=take("employee_key", cells.employee_key, optional=True) or None,
            full_name=self._name(number, take),
            email=take("email", cells.email, needed=True),
            department=take("department", cells.plain_text, optional=True, named=Told("department")) or None,
            site=take("site", cells.plain_text, optional=True, named=Told("site")) or None,
            manager_email=take("manager_email", cells.email, optional=True) or None,
            language=take("language", cells.language, optional=True) or None,
        )

    def _name(self, row: int, take: Any) -> str:
        if "full_name" in self.at:
            return cast(str, take("full_name", cells.full_name, needed=True))
        if "full_name_reversed" in self.at:
            return names.turned(take("full_name_reversed", cells.full_name, needed=True))
        family = take("family_name", cells.full_name)
        given = take("given_name", cells.full_name, needed=not family and "given_name" in self.at)
        if not given and not family and "given_name" not in self.at:
            take("family_name", cells.full_name, needed=True)
        middle, particle, second = (
            take(name, cells.plain_text, named=Told("name"))
            for name in ("middle_name", "name_particle", "second_family_name")
        )
        if given and names.holds(family, given):
            sentence = Told("“{name}” stands in the column of last names too and is taken once.", name=given)
            self.blame(row, "family_name", Fault("name_held_twice", sentence, "warning"))
        for name, value, other in (("family_name", family, given), ("given_name", given, family)):
            if name in self.at and not value and other and row not in self.broken:
                self.mild[name, "half_a_name", HALF_A_NAME].append(row)
        return names.composed(given, middle, particle, family, second, order=self.choice.order)

    def _blame_columns(self) -> None:
        """What is wrong with many cells of a column in the same way is one warning."""
        for (name, code, message), rows in self.mild.items():
            more = Told("The same in {rows}.", rows=_rows(rows[1:])) if rows[1:] else ""
            self.blame(rows[0], name, Fault(code, message.then(more) if isinstance(message, Told) else message, "warning"))

    def _without_repeats(self, everyone: list[RosterRow]) -> list[RosterRow]:
        """Drops rows that repeat an earlier one word for word; marks all rows that share a key or an address."""
        first: dict[tuple[object, ...], int] = {}
        kept: list[RosterRow] = []
        for person in everyone:
            words = tuple(value for name, value in vars(person).items() if name != "row")
            if person.row not in self.broken and words in first:
                same = Told("The same as row {row}; left out.", row=str(first[words]))
                self.blame(person.row, "email", Fault("repeated_row", same, "warning"))
                continue
            first.setdefault(words, person.row)
            kept.append(person)
        self._mark_shared(kept, "employee_key", "duplicate_key", Told("employee number"))
        self._mark_shared(kept, "email", "duplicate_email", Told("address"))
        return kept

    def _mark_shared(self, everyone: list[RosterRow], name: str, code: str, words: str) -> None:
        holders: dict[str, list[int]] = defaultdict(list)
        for person in everyone:
            value = getattr(person, name)
            if value:
                # As close as the list keeps them, where no two people's addresses differ by ß and ss alone.
                holders[email_identity(value).casefold() if name == "email" else value].append(person.row)
        for rows in holders.values():
            for row in rows if len(rows) > 1 else ():
                other = rows[0] if row != rows[0] else rows[1]
                self.blame(row, name, Fault(code, Told("Row {row} has the same {what}.", row=str(other), what=words)))

    def _strange_domains(self, everyone: list[RosterRow]) -> None:
        """Warns of a domain that one or two people have and that is one letter away from the company's own."""
        users: dict[str, list[int]] = defaultdict(list)
        for person in everyone:
            if person.email:
                users[email_identity(person.email).rpartition("@")[2]].append(person.row)
        common = tuple(domain for domain, rows in users.items() if len(rows) >= 10 and len(domain) >= 6)
        for domain, rows in users.items():
            likely = cells.lookalike(domain, common) if len(rows) <= 2 and common else ""
            for row in rows if likely.startswith("Did you mean") else ():
                if not any(p.row == row and p.code == "lookalike_domain" for p in self.problems):
                    self.blame(row, "email", Fault("lookalike_domain", likely, "warning"))


def _rows(rows: list[int]) -> str:
    shown = ", ".join(str(row) for row in rows[:8])
    if len(rows) > 8:
        return Told("rows {rows} and {n} more", rows=shown, n=len(rows) - 8)
    return Told("row {rows}", many="rows {rows}", n=len(rows), rows=shown)


def _sheets(found: list[str]) -> str:
    listed = ", ".join(f"“{name[:40]}”" for name in found[:5]) + (" …" if len(found) > 5 else "")
    return Told("sheet {sheets}", many="sheets {sheets}", n=len(found), sheets=listed)


def _found(book: sheets.Book, wanted: str | None, header_row: int | None) -> tuple[str, int, list[str], list[str]]:
    """The sheet, the number of its heading row, the headings, and which other sheets look like lists of people.

    A sheet that is hidden is read only when somebody names it, or when there is no other.
    """
    shown = [one.name for one in book.sheets if not one.hidden] or [one.name for one in book.sheets]
    best: tuple[tuple[int, bool], str, int, list[str]] | None = None
    others: list[str] = []
    for name in [wanted] if wanted else shown[:20]:
        found: tuple[tuple[int, bool], str, int, list[str]] | None = None
        for line in islice(book.lines(name), HEADING_ROWS if header_row is None else None):
            if header_row is not None and line.number != header_row:
                continue
            texts = [cells.clean(cell.text[:200])[0] for cell in line.cells]
            worth = (headings.score(texts) if header_row is None else 99, sum(map(bool, texts)) > 1)
            if found is None or worth > found[0]:
                found = worth, name, line.number, texts
            if header_row is not None:
                break
        if best is None or best[0][0] < 3:
            best = found if best is None or (found is not None and found[0] > best[0]) else best
        elif found is not None and found[0][0] >= 3 and header_row is None:
            others.append(name)
    if best is None:
        where = Told("The workbook is empty.") if header_row is None else Told("Row {row} is empty.", row=str(header_row))
        raise WorkbookUnreadable(where.then(Told("Put the headings in one row and the people below.")))
    return best[1], best[2], best[3], others
