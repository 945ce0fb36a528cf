"""Opens a workbook or CSV file that anybody may have made, and gives its cells as text.

Everything here runs in a limited child process. The size of what a ZIP directory promises is checked before anything
is unpacked: a 20 KB file can hold a 500 MB string.
"""

import csv
import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, Protocol

import openpyxl
from openpyxl.xml import DEFUSEDXML, LXML

from batch.cells import Cell

LARGEST_FILE = 10 * 2**20
# 10,000 rows of seven columns unpack to about 6 MB; the strings are held in memory, the sheets are streamed.
LARGEST_SHEET = 150 * 2**20
LARGEST_PART = 32 * 2**20
MOST_PARTS = 2_000
MOST_SHEETS = 100
# The last row of Excel; a file that claims more is not one.
LAST_ROW = 1_048_576
MOST_COLUMNS = 100
# Cells are cut here; whatever asks for more text than that is refused with a message.
LONGEST_CELL = 1_024

Row = tuple[int, list[Cell]]


class WorkbookUnreadable(ValueError):
    """Nothing could be read; the message says what to do."""


class Book(Protocol):
    """An opened file: its sheets by name, and the filled rows of one, with their numbers as in the file."""

    names: list[str]

    def rows(self, name: str) -> Iterator[Row]: ...


def open_book(data: bytes) -> Book:
    """Opens by content; the file's name may lie. Raises WorkbookUnreadable."""
    if not data.strip(b"\0 \t\r\n"):
        raise WorkbookUnreadable("The file is empty.")
    if len(data) > LARGEST_FILE:
        raise WorkbookUnreadable(f"The file is larger than {LARGEST_FILE // 2**20} MB. Keep only the list of people.")
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        _refuse_ole(data)
    if data.startswith(b"PK"):
        return _Xlsx(data)
    if data.startswith((b"%PDF", b"\x89PNG", b"\xff\xd8\xff", b"{\\rtf", b"\x1f\x8b", b"7z")):
        raise WorkbookUnreadable("This is not a workbook. Save the list as .xlsx or .csv.")
    return _Csv(data)


def _refuse_ole(data: bytes) -> None:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise WorkbookUnreadable("The workbook is protected by a password. Save a copy without one.")
    raise WorkbookUnreadable("This is an old .xls file. Open it and save it as .xlsx.")


class _Xlsx:
    def __init__(self, data: bytes) -> None:
        _check_parts(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
        except MemoryError:
            raise
        except Exception as error:
            # The library raises a dozen kinds of errors on damaged files, KeyError and TypeError among them.
            raise WorkbookUnreadable(_why(error)) from None
        self.names = [sheet.title for sheet in self._book.worksheets]
        if not self.names:
            raise WorkbookUnreadable("The workbook has no sheet with cells.")

    def rows(self, name: str) -> Iterator[Row]:
        sheet = next(sheet for sheet in self._book.worksheets if sheet.title == name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                sheet.reset_dimensions()  # Some programs write a false size, or none.
                yield from _filled(sheet)
        except (MemoryError, WorkbookUnreadable):
            raise
        except Exception as error:
            raise WorkbookUnreadable(_why(error)) from None


def _filled(sheet: Any) -> Iterator[Row]:
    # The library gives one and the same tuple for each row that the file leaves out: up to a million before a far cell.
    gap: tuple[Any, ...] = ()
    for number, row in enumerate(sheet.iter_rows(max_col=MOST_COLUMNS), 1):
        if number > LAST_ROW:
            raise WorkbookUnreadable("The sheet has more rows than Excel allows. Copy the list to a new workbook.")
        if row is gap:
            continue
        gap = row
        cells = [_cell(cell) for cell in row] if any(cell.value is not None for cell in row) else []
        while cells and not cells[-1].text:
            cells.pop()
        if any(cell.text.strip() for cell in cells):
            yield number, cells


def _why(error: Exception) -> str:
    # openpyxl hides defusedxml's refusal behind an error of its own.
    if "Forbidden" in type(error).__name__ + type(error.__cause__).__name__:
        return "The workbook holds XML entities, which no spreadsheet program writes. Save it anew as .xlsx."
    return "The workbook is damaged. Open it in your spreadsheet program and save it anew as .xlsx."


def _check_parts(data: bytes) -> None:
    if LXML or not DEFUSEDXML:
        raise RuntimeError("openpyxl must parse with defusedxml")
    try:
        parts = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise WorkbookUnreadable("The file is damaged or incomplete. Save it anew as .xlsx.") from None
    names = {part.filename.lower().lstrip("/") for part in parts}
    _refuse_relatives(names)
    if len([name for name in names if name.startswith("xl/worksheets/sheet")]) > MOST_SHEETS:
        raise WorkbookUnreadable(f"The workbook has more than {MOST_SHEETS} sheets. Keep only the list of people.")
    too_large = WorkbookUnreadable("The workbook unpacks to too much data. Copy the list alone to a new workbook.")
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > LARGEST_SHEET + LARGEST_PART:
        raise too_large
    for part in parts:
        if part.flag_bits & 1:
            raise WorkbookUnreadable("The workbook is protected by a password. Save a copy without one.")
        streamed = part.filename.lower().lstrip("/").startswith("xl/worksheets/")
        if part.file_size > (LARGEST_SHEET if streamed else LARGEST_PART):
            raise too_large
        # Text packs 5 to 20 times smaller, very repetitive sheets 100 times.
        if part.file_size > 4 * 2**20 and part.file_size > 400 * max(1, part.compress_size):
            raise too_large


def _refuse_relatives(names: set[str]) -> None:
    if any(name.endswith("vbaproject.bin") for name in names):
        raise WorkbookUnreadable("The workbook contains macros. Save it as .xlsx, which has none.")
    if "xl/workbook.bin" in names:
        raise WorkbookUnreadable("This is an .xlsb file. Open it and save it as .xlsx.")
    if "content.xml" in names and "mimetype" in names:
        raise WorkbookUnreadable("This is an OpenDocument file. Open it and save it as .xlsx.")
    if "[content_types].xml" not in names or not any(name.startswith("xl/") for name in names):
        raise WorkbookUnreadable("This is not a workbook. Save the list as .xlsx or .csv.")


def _cell(cell: Any) -> Cell:
    value = cell.value
    if value is None:
        return EMPTY
    if cell.data_type == "f":
        return Cell(str(getattr(value, "text", value) or "=")[:LONGEST_CELL], "formula")
    if cell.data_type == "e":
        return Cell(str(value)[:LONGEST_CELL], "error")
    if isinstance(value, bool):
        return Cell(str(value).upper(), "truth")
    if isinstance(value, int | float):
        return Cell(_digits(value, str(cell.number_format)), "number")
    if isinstance(value, date | datetime | time | timedelta):
        return Cell(str(value), "date")
    return Cell(str(value)[:LONGEST_CELL])


EMPTY = Cell("")


def _digits(value: float, shown_as: str) -> str:
    """A number as a person sees it: 1042.0 is 1042, and 42 shown with the format 00000 is 00042."""
    if value == value // 1 and abs(value) < 1e18:
        digits = str(int(value))
        return digits.zfill(len(shown_as)) if re.fullmatch("0+", shown_as) else digits
    return repr(value)


class _Csv:
    def __init__(self, data: bytes) -> None:
        text = _decoded(data)
        if re.match(r"\s*<(!doctype|html|table|\?xml|svg)", text[:200], re.IGNORECASE):
            raise WorkbookUnreadable("This is a web page, not a workbook. Save the list as .xlsx or .csv.")
        named = re.match(r"sep=(.)\r?\n", text)  # Excel's own way to name the separator.
        self._delimiter = named[1] if named else _sniffed(text)
        self._skip = 1 if named else 0
        self._text = text
        self.names = ["CSV"]

    def rows(self, name: str) -> Iterator[Row]:
        csv.field_size_limit(LARGEST_FILE)
        lines = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter)
        try:
            for number, line in enumerate(lines, 1):
                if number > self._skip and any(text.strip() for text in line):
                    yield number, [_typed(text[:LONGEST_CELL]) for text in line[:MOST_COLUMNS]]
        except csv.Error:
            raise WorkbookUnreadable("The CSV file is damaged: a quotation mark is not closed.") from None


def _typed(text: str) -> Cell:
    return Cell(text, "formula") if text.startswith("=") else Cell(text)


def _decoded(data: bytes) -> str:
    """UTF-8 or UTF-16. Anything else is refused: a wrong guess would spoil people's names."""
    sample = data[:2_000]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif sample[1::2].count(0) > len(sample) // 8:
        encoding = "utf-16-le"
    elif sample[0::2].count(0) > len(sample) // 8:
        encoding = "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise WorkbookUnreadable("The text is not UTF-8. Save it as “CSV UTF-8” or as .xlsx.") from None
    if sum(sign < " " and sign not in "\t\r\n" for sign in text[:2_000]) > 20:
        raise WorkbookUnreadable("This is not a workbook. Save the list as .xlsx or .csv.")
    return text


def _sniffed(text: str) -> str:
    """The separator that cuts the first filled lines into most columns, evenly."""

    def worth(delimiter: str) -> tuple[int, int]:
        counts: list[int] = []
        try:
            for line in csv.reader(io.StringIO(text[:20_000], newline=""), delimiter=delimiter):
                if any(line):
                    counts.append(len(line))
        except csv.Error:
            return 0, 0
        # The last line may be cut off by the sample.
        counts = counts[:-1] or counts
        usual = max(set(counts), key=counts.count, default=1)
        return (counts.count(usual) if usual > 1 else 0), usual

    return max(";,\t|", key=worth)


def warm_up() -> None:
    """Loads what is otherwise loaded at first use, because a child may not open files later."""
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "cp437", "idna", "punycode"):
        "a".encode(encoding)
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.create_sheet("People", 0).append(["Name", 1, date(2000, 1, 1), "=A1"])
    book.save(file)
    for data in (file.getvalue(), b"Name;Number\n"):
        opened = open_book(data)
        list(opened.rows(opened.names[0]))
