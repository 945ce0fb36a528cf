"""An .xlsx file that anybody may have made, as text cells: strict or not, with what is hidden marked as hidden."""

import io
import re
import warnings
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any

import openpyxl
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser
from openpyxl.xml import DEFUSEDXML, LXML

from batch.reading import sheets
from batch.reading.cells import Cell
from likeness.locale.marks import Told

# 10,000 rows of seven columns unpack to about 6 MB; the strings are held in memory, the sheets are streamed.
LARGEST_SHEET = 150 * 2**20
LARGEST_PART = 32 * 2**20
MOST_PARTS = 2_000
MOST_SHEETS = 100
# The last row of Excel; a file that claims more is not one.
LAST_ROW = 1_048_576


class Xlsx:
    encoding, guessed = "", False

    def __init__(self, data: bytes) -> None:
        _check_parts(data)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._book = openpyxl.load_workbook(io.BytesIO(_transitional(data)), read_only=True, keep_links=False)
        except MemoryError:
            raise
        except Exception as error:
            # The library raises a dozen kinds of errors on damaged files, KeyError and TypeError among them.
            raise sheets.WorkbookUnreadable(_why(error)) from None
        self._sheets = {sheet.title: sheet for sheet in self._book.worksheets}
        self.sheets = [sheets.Sheet(name, sheet.sheet_state != "visible") for name, sheet in self._sheets.items()]
        if not self.sheets:
            raise sheets.WorkbookUnreadable(Told("The workbook has no sheet with cells."))

    def lines(self, name: str) -> Iterator[sheets.FilledRow]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield from _filled(self._sheets[name])
        except (MemoryError, sheets.WorkbookUnreadable):
            raise
        except Exception as error:
            raise sheets.WorkbookUnreadable(_why(error)) from None


class _Parser(WorkSheetParser):
    """The library reads either formulas or the values stored beside them; this one reads the value and marks the cell."""

    def parse_cell(self, element: Any) -> dict[str, Any]:
        read: dict[str, Any] = super().parse_cell(element)
        formula = element.find(FORMULA_TAG)
        read["formula"] = None if formula is None else f"={formula.text or ''}"
        return read


def _filled(sheet: Any) -> Iterator[sheets.FilledRow]:
    """Every row with something in it. The size that the file claims is not believed: some programs write a false one."""
    book, last = sheet.parent, 0
    with sheet._get_source() as source:
        parser = _Parser(
            source, sheet._shared_strings, data_only=True, epoch=book.epoch,
            date_formats=book._date_formats, timedelta_formats=book._timedelta_formats,
        )  # fmt: skip
        for number, found in parser.parse():
            about = parser.row_dimensions.pop(str(number), {})
            if number > LAST_ROW:
                raise sheets.WorkbookUnreadable(
                    Told("The sheet has more rows than Excel allows. Copy the list to a new workbook.")
                )
            if number <= last:
                continue
            last = number
            cells: list[Cell] = []
            for read in found:
                if len(cells) < read["column"] <= sheets.MOST_COLUMNS:
                    cells += [sheets.EMPTY] * (read["column"] - 1 - len(cells))
                    cells.append(_cell(sheet, read))
            while cells and not cells[-1].text:
                cells.pop()
            if any(cell.text.strip() for cell in cells):
                yield sheets.FilledRow(number, cells, about.get("hidden") in ("1", "true"))


def _cell(sheet: Any, read: dict[str, Any]) -> Cell:
    value, formula = read["value"], read.pop("formula")
    counted = formula is not None
    if value is None or value == "":
        # A formula whose result the program did not store: only a spreadsheet program could tell it.
        return Cell(formula[: sheets.LONGEST_CELL], "formula", True) if counted else sheets.EMPTY
    if read["data_type"] == "e":
        return Cell(str(value)[: sheets.LONGEST_CELL], "error", counted)
    if isinstance(value, bool):
        return Cell(str(value).upper(), "truth", counted)
    if isinstance(value, int | float):
        return Cell(_digits(value, str(ReadOnlyCell(sheet, **read).number_format)), "number", counted)
    if isinstance(value, date | datetime | time | timedelta):
        return Cell(str(value), "date", counted)
    return Cell(str(value)[: sheets.LONGEST_CELL], "text", counted)


def _digits(value: float, shown_as: str) -> str:
    """A number as a person sees it: 1042.0 is 1042, and 42 shown with the format 00000 is 00042."""
    if value == value // 1 and abs(value) < 1e18:
        digits = str(int(value))
        return digits.zfill(len(shown_as)) if re.fullmatch("0+", shown_as) else digits
    return repr(value)


def _why(error: Exception) -> Told:
    # openpyxl hides defusedxml's refusal behind an error of its own.
    if "Forbidden" in type(error).__name__ + type(error.__cause__).__name__:
        return Told("The workbook holds XML entities, which no spreadsheet program writes. Save it anew as .xlsx.")
    return Told("The workbook is damaged. Open it in your spreadsheet program and save it anew as .xlsx.")


def _check_parts(data: bytes) -> None:
    """The size of what a ZIP directory promises, before anything is unpacked: 20 KB can hold a string of 500 MB."""
    if LXML or not DEFUSEDXML:
        raise RuntimeError("openpyxl must parse with defusedxml")
    try:
        parts = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise sheets.WorkbookUnreadable(Told("The file is damaged or incomplete. Save it anew as .xlsx.")) from None
    names = {part.filename.lower().lstrip("/") for part in parts}
    _refuse_relatives(names)
    if len([name for name in names if name.startswith("xl/worksheets/sheet")]) > MOST_SHEETS:
        raise sheets.WorkbookUnreadable(
            Told("The workbook has more than {n} sheets. Keep only the list of people.", n=MOST_SHEETS)
        )
    too_large = sheets.WorkbookUnreadable(
        Told("The workbook unpacks to too much data. Copy the list alone to a new workbook.")
    )
    if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > LARGEST_SHEET + LARGEST_PART:
        raise too_large
    for part in parts:
        if part.flag_bits & 1:
            raise sheets.WorkbookUnreadable(Told("The workbook is protected by a password. Save a copy without one."))
        streamed = part.filename.lower().lstrip("/").startswith("xl/worksheets/")
        if part.file_size > (LARGEST_SHEET if streamed else LARGEST_PART):
            raise too_large
        # Text packs 5 to 20 times smaller, very repetitive sheets 100 times.
        if part.file_size > 4 * 2**20 and part.file_size > 400 * max(1, part.compress_size):
            raise too_large


def _refuse_relatives(names: set[str]) -> None:
    if any(name.endswith("vbaproject.bin") for name in names):
        raise sheets.WorkbookUnreadable(Told("The workbook contains macros. Save it as .xlsx, which has none."))
    if "xl/workbook.bin" in names:
        raise sheets.WorkbookUnreadable(Told("This is an .xlsb file. Open it and save it as .xlsx."))
    if "content.xml" in names and "mimetype" in names:
        raise sheets.WorkbookUnreadable(Told("This is an OpenDocument file. Open it and save it as .xlsx."))
    if "[content_types].xml" not in names or not any(name.startswith("xl/") for name in names):
        raise sheets.WorkbookUnreadable(Told("This is not a workbook. Save the list as .xlsx or .csv."))


# ISO/IEC 29500 has two dialects that differ in the names of their namespaces; the library knows the transitional ones.
STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/([A-Za-z]+)/")
_AT_ONCE = 2**20
_LONGEST_NAME = 128


def _transitional(data: bytes) -> bytes:
    """A strict workbook with the names of the transitional dialect; any other one as it is."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old:
        if "_rels/.rels" not in old.namelist() or not STRICT.search(old.read("_rels/.rels")):
            return data
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new:
            for part in old.infolist():
                if part.filename.endswith((".xml", ".rels")):
                    with old.open(part) as source, new.open(part.filename, "w", force_zip64=True) as target:
                        for chunk in _renamed(source):
                            target.write(chunk)
    return out.getvalue()


def _renamed(source: Any) -> Iterator[bytes]:
    held = b""
    while chunk := source.read(_AT_ONCE):
        # The end of a chunk may cut a name in two, so the last bytes wait for the next chunk.
        held = STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/", held + chunk)
        yield held[:-_LONGEST_NAME]
        held = held[-_LONGEST_NAME:]
    yield held


def warm_up() -> None:
    """Reads a small file, so that nothing has to be imported later."""
    book, file = openpyxl.Workbook(), io.BytesIO()
    book.create_sheet("People", 0).append(["Name", 1, date(2000, 1, 1), "=A1"])
    book.save(file)
    opened = Xlsx(file.getvalue())
    list(opened.lines(opened.sheets[0].name))
