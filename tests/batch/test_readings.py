"""Files as companies have them: whose name, which address, which number comes out, and what is asked instead of guessed."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from openpyxl import Workbook

from batch.reading import roster, workbook
from batch.reading.headings import meaning
from batch.reading.workbook import Reading, ReadingChoices
from likeness.cli.main import main

CASES = Path(__file__).parents[1] / "cases"


def parsed(data: bytes, **about: Any) -> Reading:
    """Reads without a child, for the many small cases."""
    answer, _ = roster.parse(about, data)
    return workbook.reading_of(answer)


def case(name: str, **about: Any) -> Reading:
    return parsed((CASES / name).read_bytes(), **about)


def table(*lines: Sequence[Any], hidden: Sequence[int] = ()) -> bytes:
    book, file = Workbook(), io.BytesIO()
    page = book.worksheets[0]
    for line in lines:
        page.append(list(line))
    for row in hidden:
        page.row_dimensions[row].hidden = True
    book.save(file)
    return file.getvalue()


def names(reading: Reading) -> list[str]:
    return [row.full_name for row in reading.rows]


def asked(reading: Reading) -> list[str]:
    return [question.field for question in reading.questions]


@pytest.mark.parametrize(
    ("file", "people"),
    [
        ("es_nombre_apellidos.xlsx", ["María José García Núñez", "Luis Pérez"]),
        ("remembered_mapping_2_vorname_name.xlsx", ["Hans Müller", "Eva Schmidt"]),
        ("31_workday.csv", ["Max Mustermann"]),
        ("20_excel_de_cp1252_semicolon.csv", ["Zoë van der Berg", "José Ñúñez-O\u2019Brien", "François d\u2019Été",
                                              "X Æ A-12", "O"]),
    ],
)  # fmt: skip
def test_nobody_loses_a_name(file: str, people: list[str]) -> None:
    reading = case(file)
    assert names(reading) == people
    assert reading.questions == reading.errors == ()


@pytest.mark.parametrize(
    ("file", "field", "column", "value"),
    [
        ("private_mail_in_brackets.xlsx", "email", "E-Mail (dienstlich)", "hans@cos.example"),
        ("manager_name_and_mail.xlsx", "manager_email", "Manager e-mail", "max@cos.example"),
        ("id_is_row_number.xlsx", "employee_key", "Employee ID", "E00017"),
        ("31_workday.csv", "email", "Email - Primary Work", "max.m@bueroblau.example"),
        ("31_workday.csv", "employee_key", "Employee ID", "001234"),
        ("site_a.xlsx", "employee_key", "ID", "1"),
    ],
)
def test_the_column_that_is_meant_is_taken(file: str, field: str, column: str, value: str) -> None:
    reading = case(file)
    assert (reading.mapping[field], getattr(reading.rows[0], field)) == (column, value)
    assert reading.questions == ()


def test_hidden_sheets_are_named_and_read_only_when_chosen() -> None:
    reading = case("05_hidden_sheet_first.xlsx")
    assert (reading.sheet, reading.hidden_sheets, len(reading.rows)) == ("Aktiv", ("Ausgeschieden",), 12)
    assert "“Ausgeschieden”" in reading.notes[0]
    assert case("05_hidden_sheet_first.xlsx", sheet="Ausgeschieden").rows[0].full_name == "Former Person 1"


def test_filtered_rows_are_said_and_read_only_when_chosen() -> None:
    reading = case("07_filtered_hidden_rows.xlsx")
    assert [row.row for row in reading.rows] == [2, 3, 5, 6, 8, 9, 11, 12]
    assert reading.notes == ("4 hidden or filtered rows were left out.",)
    whole = case("07_filtered_hidden_rows.xlsx", hidden_rows=True)
    assert (len(whole.rows), whole.notes) == (12, ("4 hidden or filtered rows were read as well.",))


def test_a_formula_in_a_column_that_nobody_needs_keeps_nobody_out() -> None:
    reading = case("08b_department_formula.xlsx")
    assert {row.department for row in reading.rows} == {"Design"}
    assert [(one.code, one.severity) for one in reading.problems] == [("stored_value", "warning")]
    assert len(reading.rows) == 12


def test_a_strict_workbook_is_read_like_any_other() -> None:
    strict = workbook.read((CASES / "42_strict_ooxml.xlsx").read_bytes())
    assert len(strict.rows) == 12
    assert strict.problems == strict.questions == ()


def test_a_second_sheet_with_people_is_said() -> None:
    assert "“Hamburg”" in case("06_two_sheets.xlsx").notes[0]
    assert len(case("06_two_sheets.xlsx", sheet="Hamburg").rows) == 6


def test_languages_without_a_translation_are_said() -> None:
    (note,) = case("languages-without-a-translation.xlsx").notes
    assert note == (
        "There is no translation for Dutch (1). This person gets mails and pages in your company's language."
    )
    assert parsed(table(["Name", "E-mail", "Language"], ["A B", "a@x.example", "Deutsch"])).notes == ()


PARTS = [
    (["Nombre", "Apellido paterno", "Apellido materno"], ["Ana", "de la Cruz", "Íñiguez"], "Ana de la Cruz Íñiguez"),
    (["Primer nombre", "Segundo nombre", "Apellidos"], ["Juan", "Carlos", "Ruiz"], "Juan Carlos Ruiz"),
    (["Voornaam", "Tussenvoegsel", "Achternaam"], ["Zoë", "van der", "Berg"], "Zoë van der Berg"),
    (["Voornaam", "Naam"], ["Jan", "Peeters"], "Jan Peeters"),
    (["Nome", "Cognome"], ["Maria Grazia", "De Luca"], "Maria Grazia De Luca"),
    (["Nome", "Sobrenome"], ["João", "da Silva"], "João da Silva"),
    (["Prénom", "Nom de famille"], ["Anne-Laure", "d\u2019Été"], "Anne-Laure d\u2019Été"),
    (["NOM", "PRENOM"], ["LEFÈVRE", "Zoé"], "Zoé LEFÈVRE"),
    (["Imię", "Drugie imię", "Nazwisko"], ["Jan", "Maria", "Żółć"], "Jan Maria Żółć"),
    (["Ad", "Soyad"], ["Ayşe", "Y\u0131lmaz"], "Ayşe Y\u0131lmaz"),
    (["Имя", "Фамилия"], ["Мария", "Иванова"], "Мария Иванова"),
    (["الاسم الأول", "اسم العائلة"], ["ليلى", "حداد"], "ليلى حداد"),
    (["姓", "名", "メールの種類"], ["山田", "太郎", ""], "山田 太郎"),
    (["姓", "名"], ["李", "小龙"], "李小龙"),
    (["성", "이름"], ["김", "민수"], "김민수"),
    (["Vezetéknév", "Keresztnév"], ["Nagy", "Ágnes"], "Nagy Ágnes"),
    (["Last name", "First name", "Middle name"], ["Smith", "Ann", "Lee"], "Ann Lee Smith"),
    (["Given Name(s)", "Surname"], ["Thomas", "Thomas"], "Thomas Thomas"),
    (["Rufname", "Vorname", "Familienname"], ["Uli", "Ulrich", "Groß"], "Ulrich Groß"),
    (["Vorname", "Name"], ["Anna", "Anna Schmidt"], "Anna Schmidt"),
    (["Name, Vorname"], ["Brandt, Hanna"], "Hanna Brandt"),
    (["Apellidos y nombre"], ["García Núñez, María José"], "María José García Núñez"),
    (["Nom et prénom"], ["Lefèvre Zoé"], "Lefèvre Zoé"),
    (["氏名", "氏名\uff08カナ\uff09"], ["山田 太郎", "ヤマダ タロウ"], "山田 太郎"),
    (["Mitarbeiter", "Firma"], ["Eva Neu", "ACME"], "Eva Neu"),
    (["Name", "Manager Name"], ["Eva Neu", "Max Boss"], "Eva Neu"),
    (["First name", "Last name", "Emergency contact last name"], ["Eva", "Neu", "Alt"], "Eva Neu"),
]


@pytest.mark.parametrize(("heads", "cells", "name"), PARTS)
def test_parts_of_names_are_joined_in_the_order_of_their_language(
    heads: list[str], cells: list[str], name: str
) -> None:
    reading = parsed(table([*heads, "E-mail"], [*cells, "a@x.example"]))
    assert names(reading) == [name], reading
    assert asked(reading) == []


PROGRAMS = [
    "Employee #|First Name|Middle Name|Last Name|Preferred Name|Work Email|Home Email|Reporting to"
    "\n101|Ann|B|Lee|Annie|right@co.example|x@home.example|Max Boss\nAnn B Lee|101",
    "Mitarbeiter-ID|Vorname (Hauptwohnsitz)|Nachname|E-Mail|Private E-Mail-Adresse|Vorgesetzter"
    "\n7|Jörg|Müller-Lüdenscheidt|right@co.example|x@home.example|Eva Chef\nJörg Müller-Lüdenscheidt|7",
    "User/Employee ID|First Name|Last Name|Business E-Mail Information Email Address|Manager User Sys ID"
    "\nu1|Ana|Silva|right@co.example|u9\nAna Silva|u1",
    "First Name [Required]|Last Name [Required]|Email Address [Required]|Employee ID|Recovery Email|Manager Email"
    "\nAna|Silva|right@co.example|9|x@home.example|m@co.example\nAna Silva|9",
    "displayName|givenName|surname|userPrincipalName|mail|employeeId|manager"
    "\nAna Silva|Ana|Silva|ana@tenant.example|right@co.example|9|Max\nAna Silva|9",
    "Legal First Name|Legal Last Name|Preferred First Name|Work Contact: Work Email|Personal Contact: Personal Email"
    "|Associate ID|Supervisor Name\nAna|Silva|Anita|right@co.example|x@home.example|A1|Boss, Max\nAna Silva|A1",
    "Matricule|Nom|Prénom|Email professionnel|Email personnel|Responsable hiérarchique|Email du responsable"
    "\n1|DUPONT|Jean-Marc|right@co.example|x@home.example|Max|m@co.example\nJean-Marc DUPONT|1",
    "Personeelsnummer|Roepnaam|Voorletters|Tussenvoegsel|Achternaam|E-mail werk|E-mail privé"
    "\n5|Jan|J.P.|van der|Berg|right@co.example|x@home.example\nJan van der Berg|5",
    "社員番号|氏名|氏名カナ|メールアドレス\uff08会社\uff09|メールアドレス\uff08個人\uff09|上司メールアドレス"
    "\n5|山田 太郎|ヤマダ タロウ|right@co.example|x@home.example|m@co.example\n山田 太郎|5",
    "Team member|Email\nAnn Lee|right@co.example\nAnn Lee|",
    "Manager e-mail|Manager|Name|E-mail\nMax Boss|max@co.example|Ann Lee|right@co.example\nAnn Lee|",
]


@pytest.mark.parametrize("written", PROGRAMS)
def test_what_programs_export_is_read_without_a_question(written: str) -> None:
    heads, cells, expected = (line.split("|") for line in written.split("\n"))
    reading = parsed(table(heads, cells))
    assert [[row.full_name, row.employee_key or "", row.email] for row in reading.rows] == [
        [*expected, "right@co.example"]
    ]
    assert asked(reading) == []


def test_titles_above_a_csv_table_do_not_hide_its_separator() -> None:
    assert names(parsed(b"Staff list\nas of May\nName,E-mail\nEva Neu,e@x.example\n")) == ["Eva Neu"]


ADDRESSES = [
    ["E-Mail privat", "E-Mail geschäftlich"], ["Personal email", "Work email"], ["E-mail perso", "E-mail pro"],
    ["Correo personal", "Correo corporativo"], ["Email personale", "Email aziendale"],
    ["E-mail pessoal", "E-mail profissional"], ["Privé e-mailadres", "Zakelijk e-mailadres"],
    ["Adres e-mail (prywatny)", "Adres e-mail (służbowy)"], ["個人メール", "会社メール"],
    ["البريد الشخصي", "بريد العمل"], ["Home e-mail", "E-mail"], ["E-Mail des Vorgesetzten", "E-Mail"],
    ["Emergency contact e-mail", "Mail"], ["Backup email", "Dienstmail"], ["Correo del jefe", "Correo"],
    ["E-Mail (priv.)", "E-Mail"], ["Vorg. E-Mail", "E-Mail"], ["E-Mail FK", "E-Mail-Adr."],
]  # fmt: skip


@pytest.mark.parametrize("heads", ADDRESSES)
@pytest.mark.parametrize("turned", [False, True])
def test_the_persons_own_address_at_work_is_taken(heads: list[str], turned: bool) -> None:
    cells = ["wrong@home.example", "right@work.example"]
    lines = [["Name", *heads], ["Eva Neu", *cells]]
    reading = parsed(table(*([line[::-1] for line in lines] if turned else lines)))
    assert [row.email for row in reading.rows] == ["right@work.example"]
    assert asked(reading) == []


@pytest.mark.parametrize(
    ("heads", "cells", "about"),
    [
        (["Name", "E-Mail 1", "E-Mail 2"], ["Eva Neu", "a@x.example", "b@x.example"], "email"),
        (["Name", "E-Mail", "E-Mail"], ["Eva Neu", "a@x.example", "b@x.example"], "email"),
        (["Name", "Work email", "Office e-mail"], ["Eva Neu", "a@x.example", "b@x.example"], "email"),
        (["Name", "Kontakt"], ["Eva Neu", "a@x.example"], "email"),
        (["Full name", "Legal full name", "E-mail"], ["Eva Neu", "Eva Maria Alt", "a@x.example"], "full_name"),
        (
            ["First name", "Last name", "Full name", "E-mail"],
            ["Eva", "Neu", "Eva Neu López", "a@x.example"],
            "full_name",
        ),
        (["Vorname", "Bemerkung", "E-mail"], ["Eva", "Neu", "a@x.example"], "family_name"),
        (["Name", "E-mail"], ["Neu, Eva", "a@x.example"], "full_name"),
        (["Wer", "E-mail"], ["Eva Neu", "a@x.example"], "full_name"),
        (["Name", "E-mail", "Employee ID", "Payroll number"], ["Eva Neu", "a@x.example", "1", "9"], "employee_key"),
    ],
)
def test_two_plausible_columns_are_a_question(heads: list[str], cells: list[str], about: str) -> None:
    reading = parsed(table(heads, cells))
    assert asked(reading) == [about]
    assert reading.questions[0].message


@pytest.mark.parametrize(
    ("heads", "field"),
    [
        ("Abt.|Abt.-Name|Abteilungsbezeichnung|Fachabteilung|Hauptabteilung|Org.-Einheit", "department"),
        ("Geschäftsbereich|Gruppe|Referat|Dezernat|Ressort|Dép.|Dpto.|Depto.", "department"),
        ("Dienstsitz|Arbeitsstätte|Einsatzort|Betriebsstätte", "site"),
        ("PNR|P-Nr.|MA-ID|Mitarb.-Nr.|Stammnummer|Mitarbeiterkennung", "employee_key"),
        ("Kompletter Name|Gesamtname", "full_name"),
        ("Mail-Adr.|Emailadr.|E-Mail-Adr.", "email"),
        ("Sprachcode|Sprachkürzel", "language"),
        # A running number, a cost centre and what somebody does are none of these.
        ("Lfd. Nr.|Kostenstelle|Tätigkeit|Stelle|Geburtsname", ""),
    ],
)
def test_what_lists_of_a_personnel_department_abbreviate_is_known(heads: str, field: str) -> None:
    found = {head: one.field if (one := meaning(head)) else "" for head in heads.split("|")}
    assert found == dict.fromkeys(heads.split("|"), field)


def test_an_answer_closes_the_question_and_no_column_is_an_answer() -> None:
    data = table(["Name", "E-Mail 1", "E-Mail 2"], ["Eva Neu", "a@x.example", "b@x.example"])
    answered = parsed(data, mapping={"email": "E-Mail 2"})
    assert (asked(answered), answered.rows[0].email) == ([], "b@x.example")
    first_only = parsed(table(["Vorname", "E-mail"], ["Eva", "a@x.example"]), mapping={"family_name": ""})
    assert (asked(first_only), names(first_only)) == ([], ["Eva"])
    alike = parsed(table(["Name", "E-Mail", "E-Mail"], ["Eva Neu", "a@x.example", "b@x.example"]),
                   mapping={"email": "column C"})  # fmt: skip
    assert (alike.mapping["email"], alike.rows[0].email) == ("E-Mail (column C)", "b@x.example")


@pytest.mark.parametrize("mapping", [{"email": "Nowhere"}, {"shoe": "Name"}, {"email": "Name", "full_name": "Name"}])
def test_a_mapping_that_cannot_be_is_refused(mapping: dict[str, str]) -> None:
    answer, _ = roster.parse({"mapping": mapping}, table(["Name", "E-mail"], ["Eva Neu", "a@x.example"]))
    assert answer["unreadable"]


def test_what_is_remembered_is_about_one_set_of_headings_alone() -> None:
    one, other = table(["Wer", "Wohin"], ["Eva Neu", "e@x.example"]), table(["Wer", "Wohin", "Name"], ["x", "y", "z"])
    shape = parsed(one).shape
    said = {shape: {"full_name": "Wer", "email": "Wohin"}}
    assert (names(parsed(one, remembered=said)), parsed(one, remembered=said).remembered) == (["Eva Neu"], True)
    turned = table(["Wohin", "Wer"], ["e@x.example", "Eva Neu"])
    assert names(parsed(turned, remembered=said)) == ["Eva Neu"]
    assert not parsed(other, remembered=said).remembered
    assert names(parsed(one, remembered=said, mapping={"full_name": "Wohin", "email": "Wer"})) == []


def test_a_counted_line_is_no_employee_number() -> None:
    reading = parsed(table(["Nr.", "Name", "E-mail"], [1, "Eva Neu", "e@x.example"], [2, "Hans Alt", "h@x.example"]))
    assert [row.employee_key for row in reading.rows] == [None, None]
    shared = parsed(table(["ID", "Name", "E-mail"], [7, "Eva Neu", "e@x.example"], [7, "Hans Alt", "h@x.example"]))
    assert [row.employee_key for row in shared.rows] == [None, None]
    assert "several rows share one" in shared.notes[0]


def test_a_comma_without_quotes_is_warned_about_and_moves_nothing_into_the_wrong_column() -> None:
    data = b"Name,E-mail,Department,Location\nEva Neu,e@x.example,IT,Bonn\nHans Alt,h@x.example,IT (Boss, Big),Bonn\n"
    reading = parsed(data + b"Ina Klar,i@x.example,IT,Bonn\n")
    assert [row.department for row in reading.rows] == ["IT", None, "IT"]
    assert [(one.row, one.code) for one in reading.problems] == [(3, "too_many_cells")]


def test_zeros_that_a_csv_file_protects_are_kept() -> None:
    assert parsed(b'Name,E-mail,Employee ID\nEva Neu,e@x.example,"=""00042"""\n').rows[0].employee_key == "00042"


def test_bad_rows_come_back_whole() -> None:
    heads = ["Personalnummer", "Vorname", "Nachname", "E-Mail", "Kostenstelle", "", "Tel"]
    reading = parsed(table(heads, ["88", "Eva", "Neu", "nowhere", "K3", "note", "0123"]))
    lines = parsed(workbook.failed_rows(reading))
    assert [one.heading for one in lines.columns] == ["Reason", *heads]
    assert lines.failed[0][1][1:] == ("88", "Eva", "Neu", "nowhere", "K3", "note", "0123")


def test_the_command_prints_what_was_read_without_a_server() -> None:
    runner = CliRunner()
    told = runner.invoke(main, ["workbook", str(CASES / "es_nombre_apellidos.xlsx"), "--json"])
    assert told.exit_code == 0, told.output
    read = json.loads(told.output)
    assert [(one["name"], one["address"]) for one in read["people"]] == [
        ("María José García Núñez", "maria@cos.example"), ("Luis Pérez", "luis@cos.example"),
    ]  # fmt: skip
    assert read["columns"]["family_name"] == "Apellidos"
    assert read["problems"] == read["warnings"] == read["questions"] == []
    words = runner.invoke(
        main, ["workbook", str(CASES / "06_two_sheets.xlsx"), "--sheet", "Hamburg", "--column", "site="]
    )
    assert "Hamburg Person 6 <hamburg6@bueroblau.example> 40006" in words.output
    assert "(not used)           Location" in words.output
    bad = runner.invoke(main, ["workbook", __file__, "--column", "email"])
    assert bad.exit_code == 2
    assert runner.invoke(main, ["workbook", str(CASES / "06_two_sheets.xlsx"), "--sheet", "Bonn"]).exit_code == 1


def test_long_texts_without_spaces_and_notes_with_numbers_are_read_in_a_moment() -> None:
    """What looks for names and for strange letters would take minutes for such a list, and the reader be ended."""
    notes = ("Works from home on Fridays and " * 40)[:1000]
    lines = ["Wer;Wo;Anmerkung;Bild"]
    lines += [f"Jürgen Müller {'ABCDEF'[n]};j{n}@acme.example;{notes}{n};{'QUJD' * 6_000}" for n in range(6)]
    found = workbook.read("\n".join(lines).encode("cp1252"), "liste.csv", ReadingChoices(mapping={"email": "Wo"}))
    assert [row.full_name for row in found.rows] == [f"Jürgen Müller {one}" for one in "ABCDEF"]
