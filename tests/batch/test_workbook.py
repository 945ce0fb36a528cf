"""Rosters: what is read from good files, said about bad cells, and refused without harm."""

import contextlib
import csv
import io
import resource
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook

from batch.reading import cells, headings, roster, sheets, workbook
from batch.reading.workbook import Problem, Reading, WorkbookUnreadable, read
from likeness.locale.languages import LANGUAGES
from likeness.locale.marks import unpacked
from likeness.locale.words import words
from likeness.sandbox.child import Children, Limits

HEADINGS = ["Employee ID", "Name", "E-mail", "Department", "Location", "Manager e-mail", "Language"]
ALICE = ["1", "Alice Ng", "alice@acme.com"]
BOB = ["2", "Bob Ray", "bob@acme.com"]


def xlsx(*lines: Sequence[Any], name: str = "People") -> bytes:
    book, file = Workbook(), io.BytesIO()
    page = book.worksheets[0]
    page.title = name
    for line in lines:
        page.append(list(line))
    book.save(file)
    return file.getvalue()


@contextlib.contextmanager
def working_at_most(seconds: int) -> Iterator[None]:
    """Whoever reads a file has so many seconds of a processor, however long it waits for one."""
    limits = replace(workbook._children.limits, processor_seconds=seconds)
    children = Children("batch.reading.roster", "parse", warm="warm_up", limits=limits, keep=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workbook, "_children", children)
        yield


def parse(data: bytes, **about: Any) -> Reading:
    """Reads without a child, for the many small cases."""
    answer, _ = roster.parse(about, data)
    if "unreadable" in answer:
        raise WorkbookUnreadable(unpacked(answer["unreadable"]))
    return workbook.reading_of(answer)


def codes(reading: Reading) -> list[tuple[int, str, str]]:
    return [(problem.row, problem.field, problem.code) for problem in reading.problems]


SHARED_STRINGS = (
    b'<Override PartName="/xl/sharedStrings.xml" ContentType='
    b'"application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"/></Types>'
)


def zipped(**parts: bytes | str) -> bytes:
    """A workbook with some parts replaced; `__` stands for a slash, `_DOT_` for a dot."""
    file = io.BytesIO()
    changed = {name.replace("__", "/").replace("_DOT_", "."): data for name, data in parts.items()}
    with (
        zipfile.ZipFile(io.BytesIO(xlsx(HEADINGS[:3], ALICE))) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        types = old.read("[Content_Types].xml")
        strings = "xl/sharedStrings.xml" in changed
        changed["[Content_Types].xml"] = types.replace(b"</Types>", SHARED_STRINGS) if strings else types
        for name in old.namelist():
            if name not in changed:
                new.writestr(name, old.read(name))
        for name, data in changed.items():
            new.writestr(name, data)
    return file.getvalue()


def sheet_xml(rows: str, dimension: str = "") -> str:
    return (
        '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
        f"{dimension}<sheetData>{rows}</sheetData></worksheet>"
    )


def inline(row: int, *texts: str) -> str:
    cell = '<c r="{}{}" t="inlineStr"><is><t>{}</t></is></c>'
    return (
        f'<row r="{row}">' + "".join(cell.format("ABCDEFG"[at], row, text) for at, text in enumerate(texts)) + "</row>"
    )


# Good files


def test_a_roster_is_read_in_a_child() -> None:
    reading = read(xlsx(HEADINGS, [*ALICE, "Design", "Oslo", "bob@acme.com", "Deutsch"]), "people.xlsx")
    (alice,) = reading.rows
    assert alice == workbook.RosterRow(2, "1", "Alice Ng", "alice@acme.com", "Design", "Oslo", "bob@acme.com", "de")
    assert (reading.sheet, reading.header_row, reading.problems) == ("People", 1, ())
    assert reading.mapping["email"] == "E-mail"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_in_every_spelling(encoding: str, delimiter: str) -> None:
    lines = [HEADINGS[:3], ["1", "Zoë; van, der\nBerg", "zoë@büro.de"], ["2", "李雷", "li@acme.com"]]
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(lines)
    reading = parse(text.getvalue().encode(encoding))
    assert [row.full_name for row in reading.rows] == ["Zoë; van, der Berg", "李雷"]


def test_csv_names_its_separator() -> None:
    assert parse(b"sep=|\r\nName|E-mail\r\nAlice|a@acme.com\r\n").rows[0].row == 3


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1252", ["Zoë van der Berg", "José Ñúñez-O\u2019Brien", "François d\u2019Été", "Jürgen Groß", "Bjørn Ærø"]),
        ("cp1250", ["Łukasz Żółć", "Małgorzata Wiśniewska", "Jiří Dvořák", "Ágnes Kovács"]),
        ("cp1251", ["Мария Иванова", "Сергей Ильич", "Анна Белых"]),
        ("cp932", ["山田 太郎", "鈴木 さくら"]),
        ("cp1253", ["Ελένη Παπαδοπούλου", "Γιώργος Νικολάου"]),
        ("cp949", ["김민수", "이영희"]),
        ("mac_roman", ["Jürgen Müller", "François Noël"]),
    ],
)
def test_a_csv_file_that_is_not_unicode_is_read_and_says_how(encoding: str, names: list[str]) -> None:
    lines = ["Name;E-mail", *(f"{name};p{at}@acme.com" for at, name in enumerate(names))]
    reading = parse("\n".join(lines).encode(encoding))
    assert ([row.full_name for row in reading.rows], reading.encoding) == (names, encoding)
    assert "does not say how its letters are written" in reading.notes[0]


@pytest.mark.parametrize(
    ("encoding", "heads", "name"),
    [
        ("gb18030", "姓名;邮箱", "李小龙"),
        ("cp949", "이름;이메일", "김민수"),
        ("cp1256", "الاسم الكامل;البريد الإلكتروني", "ليلى حداد"),
        ("cp1250", "Imię i nazwisko;Adres e-mail", "Łukasz Żółć"),
    ],
)
def test_headings_that_are_known_tell_the_encoding(encoding: str, heads: str, name: str) -> None:
    reading = parse(f"{heads}\n{name};p@acme.com".encode(encoding))
    assert (reading.rows[0].full_name, reading.encoding) == (name, encoding)


def test_the_encoding_of_a_csv_file_can_be_named() -> None:
    data = "Name;E-mail\nÁgnes Őszi;a@acme.com".encode("cp1250")
    reading = parse(data, encoding="cp1250")
    assert (reading.rows[0].full_name, reading.notes) == ("Ágnes Őszi", ())
    for wrong in ("utf-8", "utf-16", "ebcdic"):
        with pytest.raises(WorkbookUnreadable, match="encoding"):
            parse(data, encoding=wrong)


@pytest.mark.parametrize(
    ("headings", "fields"),
    [
        (
            ["Personalnummer", "Vollständiger Name", "E-Mail-Adresse", "Abteilung"],
            "employee_key full_name email department",
        ),
        (["Matricule", "Nom complet", "Courriel", "Langue"], "employee_key full_name email language"),
        (["STAFF_ID", "full name *", "EMail (work)", "Dept."], "employee_key full_name email department"),
        (["Nmae", "E-Mial", "Departmnet", "Langauge"], "full_name email department language"),
        (["氏名", "メールアドレス", "部署"], "full_name email department"),
        (["الاسم الكامل", "البريد الإلكتروني"], "full_name email"),
        (["Vorname", "Nachname", "E-Mail"], "given_name family_name email"),
        (["Name", "Vorname", "E-Mail"], "family_name given_name email"),
        (["Nombre", "Apellidos", "Correo"], "given_name family_name email"),
        (["Nome", "Cognome", "E-mail aziendale"], "given_name family_name email"),
        (["Nom", "Prénom", "Courriel"], "family_name given_name email"),
        (
            ["Imię", "Nazwisko", "Służbowy adres e-mail", "Przełożony e-mail"],
            "given_name family_name email manager_email",
        ),
        (
            ["Voornaam", "Tussenvoegsel", "Achternaam", "Zakelijk e-mailadres", "Afdeling"],
            "given_name name_particle family_name email department",
        ),
        (
            ["Nombre", "Primer apellido", "Segundo apellido", "Correo electrónico"],
            "given_name family_name second_family_name email",
        ),
        (
            ["Nome próprio", "Apelido", "Endereço de e-mail", "Número do colaborador"],
            "given_name family_name email employee_key",
        ),
        (["社員番号", "姓", "名", "会社メールアドレス"], "employee_key family_name given_name email"),
        (
            ["الاسم الأول", "اسم العائلة", "البريد الإلكتروني للعمل", "بريد المدير"],
            "given_name family_name email manager_email",
        ),
    ],
)
def test_headings_are_known_in_many_languages_and_with_typing_errors(headings: list[str], fields: str) -> None:
    assert parse(xlsx(headings, ["x"])).mapping == dict(zip(fields.split(), headings, strict=True))


def test_a_mapping_of_the_caller_wins() -> None:
    data = xlsx(["Foo", "Bar", "Name", "E-mail"], ["7", "Real Name", "x", "a@acme.com"])
    reading = parse(data, mapping={"employee_key": "Foo", "full_name": "Bar"})
    assert (reading.rows[0].employee_key, reading.rows[0].full_name) == ("7", "Real Name")
    assert reading.unknown_columns == ("Name",)


def test_names_in_two_columns_are_joined_and_never_split() -> None:
    lines = [["Ana María", "de la Cruz Íñiguez", "a@acme.com"], ["Anna", "Anna Schmidt", "b@acme.com"]]
    reading = parse(xlsx(["First name", "Last name", "E-mail"], *lines))
    assert [row.full_name for row in reading.rows] == ["Ana María de la Cruz Íñiguez", "Anna Schmidt"]


def test_titles_and_blank_rows_may_stand_above() -> None:
    data = xlsx(["Our people"], [], [], HEADINGS[:3], [], ALICE, [], BOB)
    reading = parse(data)
    assert (reading.header_row, [row.row for row in reading.rows]) == (4, [6, 8])


def test_the_sheet_with_people_is_found_and_another_can_be_picked() -> None:
    book, file = Workbook(), io.BytesIO()
    book.worksheets[0].append(["Notes"])
    for name, person in (("Staff", ALICE), ("Old", BOB)):
        page = book.create_sheet(name)
        page.append(HEADINGS[:3])
        page.append(person)
    book.save(file)
    assert (parse(file.getvalue()).sheet, parse(file.getvalue()).sheets) == ("Staff", ("Sheet", "Staff", "Old"))
    assert parse(file.getvalue(), sheet="Old").rows[0].full_name == "Bob Ray"
    assert parse(file.getvalue(), sheet="Old", header_row=1).rows[0].row == 2
    with pytest.raises(WorkbookUnreadable, match="no sheet"):
        parse(file.getvalue(), sheet="Nowhere")
    with pytest.raises(WorkbookUnreadable, match="Row 9"):
        parse(file.getvalue(), sheet="Old", header_row=9)


def test_other_programs_files_are_read() -> None:
    rows = inline(1, "Name", "E-mail") + inline(3, "Alice", "a@acme.com")
    no_dimension = zipped(xl__worksheets__sheet1_DOT_xml=sheet_xml(rows))
    false_dimension = zipped(xl__worksheets__sheet1_DOT_xml=sheet_xml(rows, '<dimension ref="A1:A1"/>'))
    for data in (no_dimension, false_dimension):
        assert [row.row for row in parse(data).rows] == [3]


NAMES = [
    "Zoë van der Berg", "José Núñez", "Nguyễn Thị Hương", "O'Connor", "D\u2019Angelo", "Jean-Luc Picard", "王",
    "李小龙", "山田 太郎", "김민수", "Мария Иванова", "Ελένη Παπαδοπούλου", "محمد بن سلمان", "فاطمه می‌خواهم", "יעל כהן",
    "प्रिया शर्मा", "สมชาย ใจดี", "Þórður Guðmundsson", "Łukasz Żółć", "\u0130brahim I\u015f\u0131k", "ß Müller",
    "mc donald", "MACDONALD", "de la Cruz", "Björk", "X Æ A-12", "Ọlájídé", "Siobhán Ní Bhriain", "Dvořák", "Đặng",
    "Ştefan Țepeş",
    "Jørgen Ærø", "Aðalheiður", "Ķēniņš", "გიორგი", "Արամ", "தமிழ் செல்வன்", "ሰላም", "🙂 Smiley", "👩‍🚀 Ann",
]  # fmt: skip


def test_forty_names_come_back_letter_for_letter() -> None:
    assert len(NAMES) == 40
    for file in (xlsx, lambda *lines: workbook.export(lines[0], lines[1:])):
        data = file(["Name", "E-mail"], *([name, f"p{at}@acme.com"] for at, name in enumerate(NAMES)))
        reading = parse(data)
        assert [row.full_name for row in reading.rows] == NAMES
        assert reading.problems == ()


# What is wrong with a cell


def problems_of(*line: Any, headings: Sequence[str] = HEADINGS) -> list[tuple[str, str, str]]:
    reading = parse(xlsx(headings, line))
    return [(problem.field, problem.code, problem.severity) for problem in reading.problems]


@pytest.mark.parametrize(
    ("field", "value", "code", "severity"),
    [
        ("full_name", None, "empty", "error"),
        ("full_name", "   ", "empty", "error"),
        ("full_name", "=A1", "formula", "error"),
        ("full_name", "x" * 201, "too_long", "error"),
        ("full_name", "alice@acme.com", "name_is_address", "error"),
        ("full_name", "12345", "name_without_letters", "error"),
        ("full_name", "Al\u200bice", "hidden_characters", "warning"),
        ("full_name", "\u202eAlice", "hidden_characters", "warning"),
        ("full_name", date(2024, 3, 1), "date", "error"),
        ("email", None, "empty", "error"),
        ("email", "alice", "not_an_address", "error"),
        ("email", "alice@localhost", "not_an_address", "error"),
        ("email", "a@acme.com; b@acme.com", "several_addresses", "error"),
        ("email", '=HYPERLINK("mailto:a@acme.com")', "formula", "error"),
        ("email", "alice@gmial.com", "lookalike_domain", "warning"),
        ("email", "alice@acme.con", "lookalike_domain", "warning"),
        ("email", "alice@\u0430cme.com", "lookalike_domain", "warning"),
        ("email", "info@acme.com", "role_address", "warning"),
        ("employee_key", date(1942, 11, 3), "date", "warning"),
        ("employee_key", 12345678901234567890, "long_number", "warning"),
        ("employee_key", "=ROW()", "formula", "warning"),
        ("department", "=1+1", "formula", "warning"),
        ("department", date(1942, 11, 3), "date", "warning"),
        ("department", "x" * 201, "too_long", "warning"),
        ("site", "=1+1", "formula", "warning"),
        ("manager_email", "nobody", "not_an_address", "warning"),
        ("manager_email", "=A1", "formula", "warning"),
        ("language", "quite polite", "unknown_language", "warning"),
    ],
)  # fmt: skip
def test_a_bad_cell_is_named(field: str, value: object, code: str, severity: str) -> None:
    line: dict[str, object] = {"employee_key": "1", "full_name": "Alice Ng", "email": "alice@acme.com"}
    names = [*line, "department", "site", "manager_email", "language"]
    assert problems_of(*({**line, field: value}.get(name) for name in names)) == [(field, code, severity)]


@pytest.mark.parametrize(
    "address",
    [
        "a+b@acme.com",
        "zoë@büro.de",
        "o'neil@acme.co.uk",
        "用户@例子.公司",
        "a@mail.acme.test",
        "a@acme.local",
        "A.B@ACME.com",
    ],
)
def test_unusual_addresses_are_fine_and_stay_as_typed(address: str) -> None:
    assert parse(xlsx(HEADINGS[:3], ["1", "Alice", address])).rows[0].email == address


def test_two_spellings_of_an_address_are_the_same() -> None:
    assert workbook.email_identity("Zoe@BÜRO.de") == workbook.email_identity("zoe@xn--bro-hoa.DE")


@pytest.mark.parametrize(
    ("value", "key"),
    [(1042.0, "1042"), (1042, "1042"), ("1042.0", "1042"), ("0042", "0042"), ("A-7", "A-7"), (10.5, "10.5")],
)
def test_employee_numbers_are_text(value: object, key: str) -> None:
    assert parse(xlsx(HEADINGS[:3], [value, "Alice", "a@acme.com"])).rows[0].employee_key == key


def test_zeros_that_a_number_format_shows_are_kept() -> None:
    book, file = Workbook(), io.BytesIO()
    book.worksheets[0].append(HEADINGS[:3])
    book.worksheets[0].append([42, "Alice", "a@acme.com"])
    book.worksheets[0]["A2"].number_format = "00000"
    book.save(file)
    assert parse(file.getvalue()).rows[0].employee_key == "00042"


def test_every_problem_at_once_with_the_row_of_the_file() -> None:
    lines = [[f"{at}", f"Person {chr(65 + at % 26)}", f"p{at}@acme.com"] for at in range(500)]
    lines[100][2], lines[200] = "nonsense", ["=A1", "", "="]
    reading = parse(xlsx(HEADINGS[:3], *lines))
    assert codes(reading) == [
        (102, "email", "not_an_address"),
        (202, "full_name", "empty"),
        (202, "email", "formula"),
        (202, "employee_key", "formula"),
    ]
    assert len(reading.rows) == 498
    assert reading.problems[0] == Problem(
        102, "E-mail", "not_an_address", "This is not an e-mail address.", "error", "email"
    )


def test_repeats_in_the_file_name_each_other() -> None:
    reading = parse(
        xlsx(
            HEADINGS[:3],
            ["1", "Alice", "alice@acme.com"],
            ["2", "Alicia", "ALICE@Acme.com"],
            ["3", "Bob", "bob@acme.com"],
            ["3", "Bobby", "bobby@acme.com"],
            ["4", "Carl", "carl@acme.com"],
            ["4", "Carl", "carl@acme.com"],
        )
    )
    assert codes(reading) == [
        (2, "email", "duplicate_email"),
        (3, "email", "duplicate_email"),
        (4, "employee_key", "duplicate_key"),
        (5, "employee_key", "duplicate_key"),
        (7, "email", "repeated_row"),
    ]
    assert "Row 3 " in reading.problems[0].message
    assert "Row 2 " in reading.problems[1].message
    assert [row.full_name for row in reading.rows] == ["Carl"]


def test_a_domain_one_letter_from_the_companys_own_is_warned_about() -> None:
    lines = [["", f"P {chr(65 + at)}", f"p{at}@acme.com"] for at in range(12)]
    reading = parse(xlsx(HEADINGS[:3], *lines, ["", "Eve", "eve@acmee.com"]))
    assert [(p.row, p.message) for p in reading.problems] == [(14, "Did you mean acme.com?")]


def test_missing_columns_and_people_are_said() -> None:
    assert codes(parse(xlsx(["Foo", "Bar"], ["x", "y"]))) == [
        (1, "full_name", "missing_column"),
        (1, "email", "missing_column"),
    ]
    assert codes(parse(xlsx(HEADINGS))) == [(1, "full_name", "no_rows")]
    assert codes(parse(b"Alice;alice@acme.com\nBob;bob@acme.com\n"))[0] == (1, "", "no_headings")


# Files that mean harm, and files that are something else


def test_a_far_cell_costs_nothing() -> None:
    rows = inline(1, "Name", "E-mail") + inline(2, "Alice", "a@acme.com")
    rows += '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    with working_at_most(2):
        assert len(read(zipped(xl__worksheets__sheet1_DOT_xml=sheet_xml(rows))).rows) == 1


def test_a_row_that_excel_does_not_have() -> None:
    rows = inline(1, "Name", "E-mail") + '<row r="999999999"><c r="A999999999"><v>1</v></c></row>'
    with pytest.raises(WorkbookUnreadable, match="more rows than Excel"):
        read(zipped(xl__worksheets__sheet1_DOT_xml=sheet_xml(rows)))


def bomb(size: int) -> bytes:
    return b"<x>" + b"a" * size


def lying(data: bytes, size: int) -> bytes:
    """The same archive with a directory that promises the largest part to be small."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        largest = max(archive.infolist(), key=lambda part: part.file_size).file_size
    return data.replace(largest.to_bytes(4, "little"), size.to_bytes(4, "little"))


STRINGS = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>'
ENTITIES = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9))
    + "]>"
)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: b"", "empty"),
        (lambda: b"\0" * 3000, "empty"),
        (lambda: b"PK\x03\x04 but no more", "damaged"),
        (lambda: xlsx(HEADINGS, ALICE)[:2000], "damaged"),
        (lambda: xlsx(), "empty"),
        (lambda: OLE + "EncryptedPackage".encode("utf-16-le"), "password"),
        (lambda: OLE + "Workbook".encode("utf-16-le"), "old .xls"),
        (lambda: b"%PDF-1.7 ...", "not a workbook"),
        (lambda: b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not a workbook"),
        (lambda: bytes(range(1, 32)) * 40, "not a workbook"),
        (lambda: b"<html><table><tr><td>Name</td></tr></table></html>", "web page"),
        (lambda: zipped(xl__vbaProject_DOT_bin=b"x"), "macros"),
        (lambda: zipped(xl__workbook_DOT_bin=b"x"), "xlsb"),
        (lambda: zipped(mimetype=b"application/vnd.oasis", content_DOT_xml=b"<x/>"), "OpenDocument"),
        (lambda: zipped(xl__sharedStrings_DOT_xml=bomb(64 * 2**20)), "too much data"),
        (lambda: zipped(xl__worksheets__sheet1_DOT_xml=bomb(160 * 2**20)), "too much data"),
        (lambda: zipped(xl__worksheets__sheet1_DOT_xml=bomb(32 * 2**20)), "too much data"),
        (lambda: lying(zipped(xl__sharedStrings_DOT_xml=STRINGS + b"a" * 2**25), 2**20), "damaged|too much"),
        (lambda: zipped(xl__worksheets__sheet1_DOT_xml=ENTITIES + "<worksheet>&j;</worksheet>"), "entities"),
        (lambda: zipped(xl__workbook_DOT_xml=ENTITIES + "<workbook>&j;</workbook>"), "entities"),
        (lambda: zipped(xl__sharedStrings_DOT_xml=ENTITIES + "<sst><si><t>&j;</t></si></sst>"), "entities"),
        (lambda: zipped(xl__workbook_DOT_xml=b"<nonsense"), "damaged"),
        (lambda: zipped(xl__worksheets__sheet1_DOT_xml=b"<nonsense"), "damaged"),
        (lambda: zipped(xl__styles_DOT_xml=b"<nonsense"), "damaged"),
        (lambda: zipped(**{f"xl__worksheets__sheet{at}_DOT_xml": sheet_xml("") for at in range(2, 10_002)}), "sheets"),
        (lambda: zipped(**{f"xl__media__{at}_DOT_png": b"" for at in range(2_100)}), "too much data"),
    ],
)  # fmt: skip
def test_a_bad_file_is_refused_with_a_sentence(make: Callable[[], bytes], sentence: str) -> None:
    with pytest.raises(WorkbookUnreadable, match=sentence):
        parse(make())


def test_the_names_of_macro_files_and_large_files_are_refused_at_once() -> None:
    with pytest.raises(WorkbookUnreadable, match="macros"):
        read(xlsx(HEADINGS, ALICE), "people.XLSM")
    with pytest.raises(WorkbookUnreadable, match="10 MB"):
        read(b"x" * (sheets.LARGEST_FILE + 1))


def test_more_people_than_the_limit_are_refused() -> None:
    lines = "".join(f"P,p{at}@acme.com\n" for at in range(roster.MOST_ROWS + 1))
    with pytest.raises(WorkbookUnreadable, match="20,000"):
        read(("Name,E-mail\n" + lines).encode())


def test_external_links_are_not_followed() -> None:
    link = '<externalLink xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"/>'
    assert len(parse(zipped(xl__externalLinks__externalLink1_DOT_xml=link)).rows) == 1


def test_a_cell_of_a_megabyte_is_one_problem() -> None:
    data = zipped(
        xl__worksheets__sheet1_DOT_xml=sheet_xml(inline(1, "Name", "E-mail") + inline(2, "x" * 2**20, "a@acme.com"))
    )
    reading = read(data)
    assert codes(reading) == [(2, "full_name", "too_long")]
    assert len(reading.failed[0][1][0]) <= sheets.LONGEST_CELL


def test_what_exhausts_the_child_is_a_sentence_in_the_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of thousands of elements in one string: below the limits of the directory, large in memory."""
    narrow = Children("batch.reading.roster", "parse", warm="warm_up", limits=Limits(memory=220 * 2**20), keep=False)
    monkeypatch.setattr(workbook, "_children", narrow)
    digits = "".join(f"<r><t>{at}</t></r>" for at in range(300_000)).encode()
    with pytest.raises(WorkbookUnreadable, match="too large or damaged"):
        read(zipped(xl__sharedStrings_DOT_xml=STRINGS[:-3] + digits + b"</si></sst>"))


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"Name;E-mail\n"):
        with contextlib.suppress(WorkbookUnreadable):
            parse(start + data)


@given(st.lists(st.lists(st.text(max_size=30), min_size=3, max_size=3), max_size=8))
def test_no_cells_raise_and_no_row_is_lost(lines: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([HEADINGS[:3], *lines])
    try:
        reading = parse(text.getvalue().encode("utf-8", "surrogatepass"))
    except WorkbookUnreadable:
        return
    left_out = {problem.row for problem in reading.problems}
    rows = {row.row for row in reading.rows} | left_out
    assert all(row.full_name and "@" in row.email for row in reading.rows)
    assert len(rows) <= len(lines) + 1


@given(st.text(max_size=40))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once, _ = cells.clean(text)
    assert cells.clean(once) == (once, False)


@given(st.text("abcd", max_size=7), st.text("abcd", max_size=7))
def test_distance_is_the_same_both_ways(one: str, other: str) -> None:
    assert cells.apart(one, other, 9) == cells.apart(other, one, 9)
    assert (cells.apart(one, other, 9) == 0) == (one == other)


# What goes back


@pytest.mark.parametrize("language", [*workbook.TEMPLATES, "xx", "de-AT"])
def test_a_template_is_read_again_in_every_language(language: str) -> None:
    data = workbook.template(language)
    reading = parse(data)
    assert set(reading.mapping) == {*headings.FIELDS}
    assert reading.unknown_columns == ()
    assert codes(reading) == [(1, "full_name", "no_rows")]
    book = load_workbook(io.BytesIO(data))
    assert book.properties.version == str(workbook.TEMPLATE_VERSION)
    assert any(row[0].value == "00042" for row in book.worksheets[1].iter_rows())


def test_failed_rows_come_back_with_reasons_and_merge() -> None:
    names = [*HEADINGS[:3], "Shoe size"]
    first = parse(xlsx(names, [*ALICE, "38"], ["2", "Bob", "nonsense", "44"], ["3", "=A1", "c@acme.com"]))
    assert first.unknown_columns == ("Shoe size",)
    data = workbook.failed_rows(first)
    page = load_workbook(io.BytesIO(data)).worksheets[0]
    lines = [list(line) for line in page.iter_rows(values_only=True)]
    assert lines[0] == ["Reason", *names]
    assert lines[1] == ["E-mail: This is not an e-mail address.", "2", "Bob", "nonsense", "44"]
    assert len(lines) == 3
    lines[1][3], lines[2][2] = "bob@acme.com", "Carl"
    again = parse(xlsx(*lines))
    assert [(row.employee_key, row.full_name) for row in again.rows] == [("2", "Bob"), ("3", "Carl")]
    assert again.unknown_columns == ("Shoe size",)
    assert again.problems == ()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_column_of_reasons_is_named_and_known_again_in_each_language(language: str) -> None:
    says, names = words(language), [*HEADINGS[:3], "Shoe size"]
    first = parse(xlsx(names, [*ALICE, "38"], ["2", "Bob", "nonsense", "44"]))
    data = workbook.failed_rows(first, told=says.told)
    page = load_workbook(io.BytesIO(data)).worksheets[0]
    lines = [list(line) for line in page.iter_rows(values_only=True)]
    assert (page.title, lines[0]) == (says.gettext("People"), [says.gettext("Reason"), *names])
    again = parse(xlsx(*lines))
    assert again.unknown_columns == ("Shoe size",)
    assert load_workbook(io.BytesIO(workbook.failed_rows(again, told=says.told))).worksheets[0].max_column == len(lines[0])


HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\uff1d1",
    "=HYPERLINK(1)",
    "\x00=1",
    5,
    None,
    True,
    "\ud7ff_x000D_",
]


def test_exported_cells_are_never_formulas() -> None:
    data = workbook.export(["=A", "B"], [[value, value] for value in HOSTILE])
    for row in load_workbook(io.BytesIO(data)).worksheets[0].iter_rows():
        assert all(cell.data_type in ("s", "inlineStr") or cell.value in (None, 5) for cell in row)
    sheet = zipfile.ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert sheet.count(b't="inlineStr"') + sheet.count(b't="n"') == sheet.count(b"<c ")


def test_an_exported_sheet_is_read_and_counted_as_a_sheet() -> None:
    """Headings stand out and filter; whole numbers add up, and a number that is a name (00042) stays one."""
    data = workbook.export(["People", "Employee ID"], [[1234567, "00042"], [-3, "=1"], [None, True]])
    page = load_workbook(io.BytesIO(data)).worksheets[0]
    assert all(cell.font.b for cell in page[1])
    assert (page.freeze_panes, page.auto_filter.ref) == ("A2", "A1:B4")
    assert [(cell.value, cell.data_type) for cell in page["A"]][1:3] == [(1234567, "n"), (-3, "n")]
    assert page["A2"].number_format == "#,##0"
    assert [cell.value for cell in page["B"]][1:] == ["00042", "=1", "True"]
    for titles, arabic in ((["الاسم الكامل", "Site"], True), (["Reason", "القسم"], False)):
        view = load_workbook(io.BytesIO(workbook.export(titles, []))).worksheets[0].sheet_view
        assert bool(view.rightToLeft) is arabic


def test_exported_csv_holds_nothing_that_is_calculated() -> None:
    lines = csv.reader(io.StringIO(workbook.export_csv(["A"], [[value] for value in HOSTILE]).decode("utf-8-sig")))
    assert not any(text.startswith(workbook.HOSTILE) for line in lines for text in line)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=4))
def test_any_text_can_be_exported(line: list[str]) -> None:
    page = load_workbook(io.BytesIO(workbook.export(line, [line]))).worksheets[0]
    assert all(cell.data_type != "f" for row in page.iter_rows() for cell in row)


# Figures


def roster_of(count: int) -> bytes:
    people = (
        [f"{at:05}", f"Zoë Müller {at}", f"zoë.{at}@büro.de", "Design", "Oslo", "b@acme.com", "de"]
        for at in range(count)
    )
    return workbook.export(HEADINGS, people)


def test_500_rows_take_less_than_3_seconds_of_a_processor() -> None:
    data = roster_of(500)
    with working_at_most(3):
        assert len(read(data).rows) == 500


def test_10_000_rows_take_less_than_a_minute_of_a_processor_and_little_memory_here() -> None:
    data = roster_of(10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with working_at_most(60):
        assert len(read(data).rows) == 10_000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < 50 * 1024
