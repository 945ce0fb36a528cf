"""The workbooks that a company hands in and gets back.

Reading never raises for what people typed: bad cells are `Problem`s, all of them at once, with the row number as in
the file. Only a file from which nothing can be read raises `WorkbookUnreadable`, whose message says what to do.
"""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any
from unicodedata import bidirectional

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from batch.mailbox import email_identity
from batch.reading import headings, sheets
from batch.reading.cells import LANGUAGES
from batch.reading.roster import ColumnQuestion, ColumnRead, Problem, Reading, RosterRow
from batch.reading.sheets import WorkbookUnreadable
from likeness.locale.languages import known
from likeness.locale.marks import Told, unpacked
from likeness.sandbox.child import ChildFailed, Children, Limits

__all__ = [
    "ColumnQuestion",
    "ColumnRead",
    "Problem",
    "Reading",
    "ReadingChoices",
    "RosterRow",
    "WorkbookUnreadable",
    "email_identity",
    "export",
    "export_csv",
    "failed_rows",
    "read",
    "template",
]

_children = Children(
    "batch.reading.roster",
    "parse",
    warm="warm_up",
    # Started anew, a child takes most of a second to import what reads workbooks, and a preview reads one at each choice.
    limits=Limits(memory=512 * 2**20, processor_seconds=60, wall_seconds=90),
)


@dataclass(frozen=True)
class ReadingChoices:
    """How a file is to be read, where the program's own guess is wrong or somebody has answered its questions.

    Without a sheet it is the first visible one with known headings, without a header row the best of the first rows.
    `mapping` is our field → column, as a `Reading` gives it: a field that it leaves out is looked for by name, and one
    that it gives an empty column has none. Hidden rows are read only with `hidden_rows`. `encoding` is of CSV files.
    """

    sheet: str | None = None
    header_row: int | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    hidden_rows: bool = False
    encoding: str | None = None


def read(
    data: bytes,
    filename: str = "",
    how: ReadingChoices | None = None,
    *,
    remembered: Mapping[str, Mapping[str, str]] | None = None,
    also: Sequence[int] = (),
) -> Reading:
    """Reads .xlsx or .csv in a child process of at most 512 MB.

    `remembered` holds mappings by a reading's `shape`; one counts where the caller gives none. `also` are rows that come
    back as they stand in the file, together with those that have errors.
    """
    if len(data) > sheets.LARGEST_FILE:
        raise WorkbookUnreadable(Told("The file is larger than {n} MB. Keep only the list of"
                                      " people.", n=sheets.LARGEST_FILE // 2**20))
    if filename.lower().endswith((".xlsm", ".xltm")):
        raise WorkbookUnreadable(Told("The workbook may contain macros. Save it as .xlsx, which has none."))
    about = asdict(replace(how or ReadingChoices(), mapping=dict(how.mapping) if how else {}))
    about |= {"remembered": {shape: dict(said) for shape, said in (remembered or {}).items()}, "also": list(also)}
    try:
        answer, _ = _children.run(about, data)
    except ChildFailed as failure:
        if failure.machine:
            raise WorkbookUnreadable(Told("The file could not be read just now. Try again in a minute.")) from failure
        raise WorkbookUnreadable(Told("The file is too large or damaged. Copy the list alone to a new workbook.")) from None
    if "unreadable" in answer:
        raise WorkbookUnreadable(unpacked(answer["unreadable"]))
    return reading_of(answer)


def reading_of(answer: dict[str, Any]) -> Reading:
    """The child's answer, with a note about languages that nothing is written in."""
    rows = tuple(RosterRow(*row) for row in answer["rows"])
    answer = answer | {name: unpacked(answer[name]) for name in ("mapping", "problems", "columns", "questions", "notes")}
    return Reading(
        sheet=answer["sheet"],
        sheets=tuple(answer["sheets"]),
        header_row=answer["header_row"],
        mapping=answer["mapping"],
        rows=rows,
        problems=tuple(Problem(*problem) for problem in answer["problems"]),
        columns=tuple(ColumnRead(**one | {"samples": tuple(one["samples"])}) for one in answer["columns"]),
        failed=tuple((number, tuple(line)) for number, line in answer["failed"]),
        questions=tuple(ColumnQuestion(**one | {"columns": tuple(one["columns"])}) for one in answer["questions"]),
        notes=(*answer["notes"], *_untranslated(rows)),
        hidden_sheets=tuple(answer["hidden_sheets"]),
        hidden_rows=answer["hidden_rows"],
        with_hidden_rows=answer["with_hidden_rows"],
        encoding=answer["encoding"],
        shape=answer["shape"],
        remembered=answer["remembered"],
    )


def _untranslated(rows: Sequence[RosterRow]) -> list[str]:
    """Who will be written to in the company's own language although the file names another one."""
    wished = Counter(row.language.partition("-")[0] for row in rows if row.language)
    missing = {code: count for code, count in wished.items() if known(code) is None}
    if not missing:
        return []
    names = {code: LANGUAGES.get(code, code).partition(" ")[0].title() for code in missing}
    named = ", ".join(f"{names[code]} ({missing[code]})" for code in sorted(missing))
    return [
        Told(
            "There is no translation for {languages}. This person gets mails and pages in your company's language.",
            many="There is no translation for {languages}. These {n} people get mails and pages in your company's"
                 " language.",
            n=sum(missing.values()), languages=named,
        )
    ]  # fmt: skip


def export(columns: Sequence[str], rows: Iterable[Sequence[object]], *, sheet: str = "People") -> bytes:
    return export_sheets({sheet: (columns, rows)})


def export_sheets(sheets: Mapping[str, tuple[Sequence[str], Iterable[Sequence[object]]]]) -> bytes:
    """The one way in which values leave as a workbook: whole numbers are numbers, every other cell is text, so none can
    be a formula. Dates come as text in the order of their digits."""
    book = Workbook(write_only=True)
    for name, (columns, rows) in sheets.items():
        page, count = book.create_sheet(name), 1
        dress(page, columns)
        for line in rows:
            page.append([_number_cell(page, one) if type(one) is int else _text_cell(page, one) for one in line])
            count += 1
        page.auto_filter.ref = f"A1:{get_column_letter(len(columns) or 1)}{count}"
    return _saved(book)


def dress(page: Any, columns: Sequence[str]) -> None:
    """The first line of an empty sheet, which stays in sight; the sheet runs the way its first heading does."""
    strong = (kind for title in columns for sign in title if (kind := bidirectional(sign)) in ("L", "R", "AL"))
    page.sheet_view.rightToLeft = next(strong, "L") != "L"
    page.freeze_panes = "A2"
    for number in range(1, len(columns) + 1):
        page.column_dimensions[get_column_letter(number)].width = 24
    page.append([_heading_cell(page, title) for title in columns])


def _number_cell(page: Any, number: int) -> Any:
    cell = WriteOnlyCell(page, number)
    cell.number_format = "#,##0"
    return cell


def _text_cell(page: Any, value: object) -> Any:
    # 32,767 characters are the most that Excel opens in a cell.
    text = ILLEGAL_CHARACTERS_RE.sub("", "" if value is None else str(value))[:32_767]
    cell = WriteOnlyCell(page, text)
    cell.data_type = "s"
    cell.number_format = "@"
    # The mark that Excel sets for a leading apostrophe: editing the cell does not make a formula of it either.
    cell.quotePrefix = text.startswith(HOSTILE)
    return cell


HOSTILE = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def export_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """The same as CSV, which has no text cells: an apostrophe stands before what a spreadsheet would calculate."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    for line in chain([columns], rows):
        texts = ["" if value is None else str(value).replace("\0", "") for value in line]
        writer.writerow(["'" + text if text.lstrip(" \n").startswith(HOSTILE) else text for text in texts])
    return out.getvalue().encode("utf-8-sig")


def _saved(book: Workbook) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def failed_rows(reading: Reading, *, told: Callable[[str], str] = str) -> bytes:
    """Only the rows with errors, as they were, with a column that says why, as `told` says it; correct it and hand it in
    again."""
    why: dict[int, list[str]] = defaultdict(list)
    for problem in reading.errors:
        message = told(problem.message)
        why[problem.row].append(f"{told(problem.column)}: {message}" if problem.column else message)
    # A file that was corrected once already has the column.
    kept = [at for at, column in enumerate(reading.columns) if not headings.is_reason(column.heading)]
    lines = [
        [" ".join(why[number]), *(line[at] if at < len(line) else "" for at in kept)] for number, line in reading.failed
    ]
    columns = [told(Told("Reason")), *(reading.columns[at].heading for at in kept)]
    return export(columns, lines, sheet=told(Told("People")))


TEMPLATE_VERSION = 1

# Headings, names of the two sheets, and what the second one says. The headings are names that the reader knows.
TEMPLATES: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "en": (
        ("Employee ID", "Full name", "E-mail", "Department", "Location", "Manager e-mail", "Language"),
        "People",
        "Examples",
        "Fill in the sheet “People”. Full name and e-mail are needed, everything else is optional.",
    ),
    "de": (
        ("Personalnummer", "Vollständiger Name", "E-Mail", "Abteilung", "Standort", "E-Mail Vorgesetzte", "Sprache"),
        "Personen",
        "Beispiele",
        "Füllen Sie das Blatt „Personen“ aus. Name und E-Mail sind nötig, alles andere ist freiwillig.",
    ),
    "fr": (
        ("Matricule", "Nom complet", "Adresse e-mail", "Département", "Lieu", "E-mail du responsable", "Langue"),
        "Personnes",
        "Exemples",
        "Remplissez la feuille « Personnes ». Nom et e-mail sont requis, le reste est facultatif.",
    ),
    "es": (
        ("Número de empleado", "Nombre completo", "Correo", "Departamento", "Sede", "Correo del responsable", "Idioma"),
        "Personas",
        "Ejemplos",
        "Rellene la hoja «Personas». Nombre y correo son necesarios, lo demás es opcional.",
    ),
    "pt": (
        ("Matrícula", "Nome completo", "E-mail", "Departamento", "Localização", "E-mail do gestor", "Idioma"),
        "Pessoas",
        "Exemplos",
        "Preencha a folha “Pessoas”. Nome e e-mail são necessários, o resto é opcional.",
    ),
    "ja": (
        ("従業員番号", "氏名", "メールアドレス", "部署", "勤務地", "上司のメールアドレス", "言語"),
        "従業員",
        "記入例",
        "「従業員」シートに記入してください。氏名とメールアドレスは必須、ほかは任意です。",
    ),
    "ar": (
        ("الرقم الوظيفي", "الاسم الكامل", "البريد الإلكتروني", "القسم", "الموقع", "بريد المدير", "اللغة"),
        "الأشخاص",
        "أمثلة",
        "املأ ورقة «الأشخاص». الاسم والبريد الإلكتروني مطلوبان، وما عداهما اختياري.",
    ),
}
EXAMPLES = (
    ("00042", "Zoë van der Berg", "zoe@example.com", "Design", "Utrecht", "jose@example.com", "nl"),
    ("00043", "José Núñez", "jose@example.com", "Design", "Madrid", "", "es"),
    ("", "ليلى حداد", "laila+work@example.com", "", "", "jose@example.com", "ar"),
)


def template(language: str = "en") -> bytes:
    """An empty roster with headings in the reader's language; English where there is none. Examples stand on a sheet
    of their own, so that nobody invites them."""
    language = language.partition("-")[0].lower()
    titles, people, examples, says = TEMPLATES.get(language, TEMPLATES["en"])
    book = Workbook(write_only=True)
    for sheet, lines in ((people, ()), (examples, EXAMPLES)):
        page = book.create_sheet(sheet)
        page.sheet_view.rightToLeft = language == "ar"
        page.freeze_panes = "A2"
        for number in range(1, len(titles) + 1):
            column = page.column_dimensions[get_column_letter(number)]
            # Whole columns are text, so that Excel keeps the zeros of 00042 and makes no dates.
            column.width, column.number_format = 26, "@"
        page.append([_heading_cell(page, title) for title in titles])
        for line in lines:
            page.append([_text_cell(page, value) for value in line])
    page.append([])
    page.append([_text_cell(page, says)])
    page.append([_text_cell(page, f"Likeness {TEMPLATE_VERSION}")])
    book.properties.title, book.properties.version = "Likeness", str(TEMPLATE_VERSION)
    return _saved(book)


def _heading_cell(page: Any, title: str) -> Any:
    cell = _text_cell(page, title)
    cell.font = Font(bold=True)
    return cell
