"""Six languages: nothing is missing from a catalogue, and each writes days, numbers and plurals its own way."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import Environment, meta

from likeness.ground.errors import Conflict
from likeness.kernel import Kernel
from likeness.locale import update
from likeness.locale import words as words_module
from likeness.locale.languages import LANGUAGES, accepted, first_of
from likeness.locale.marks import Told, packed, unpacked
from likeness.locale.words import Words, words
from likeness.mail import letters
from likeness.mail.mail import Letter
from likeness.mail.markup import html_of
from likeness.mail.paragraphs import joined, wrapped
from likeness.run.app import create_app

OTHERS = [language for language in LANGUAGES if language != "en"]
LETTERS = Path(letters.__file__).parents[1] / "locale"


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_has_a_translation_with_the_same_values(language: str) -> None:
    assert update.missing(language) == [], "run `python -m likeness.locale.update`, then translate what is empty"
    assert update.wrong(language) == []


def test_sentences_of_pages_errors_and_findings_are_all_found() -> None:
    found = update.sentences()
    for sentence in (
        "Choose what your employer may have",
        "This link has run out. We can send a fresh one to the same address.",
        "More photos are needed",
        "We could not find a face in this photo.",
        "No headshot was good enough to be shown.",
        "the operators' pages",
    ):
        assert sentence in found
    assert found["{n} selfie"].many == "{n} selfies"
    assert len(found) > 400


def test_each_letter_is_there_in_each_language_with_the_same_values() -> None:
    """Wherever its file lies, and whoever reads it: the desk and the operators have a language as well."""
    places = {Path(*file.relative_to(LETTERS).parts[1:]) for file in LETTERS.rglob("*.txt")}
    lacking = [f"{code}/{place}" for code in LANGUAGES for place in places if not (LETTERS / code / place).exists()]
    assert not lacking, sorted(lacking)
    english = {path.name: _values(path) for path in (LETTERS / "en/letters").glob("*.txt")}
    assert len(english) >= 39
    differing = [
        f"{language}/{name}: {sorted(english[name] ^ there)}"
        for language in OTHERS for name in sorted(english)
        if (there := _values(LETTERS / language / "letters" / name)) != english[name]
    ]  # fmt: skip
    assert not differing, differing


def _values(path: Path) -> set[str]:
    return meta.find_undeclared_variables(Environment().parse(path.read_text(encoding="utf-8")))  # noqa: S701


def test_no_module_keeps_words_of_its_own_by_language() -> None:
    """Texts are in the catalogues and the letters: a dictionary of English and German forgets four languages.

    Whoever needs one for the sheets that companies send has all six in it.
    """
    own = []
    for file in sorted(source for start in update.MARKING for source in (update.TREE / start).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            parts = node.keys if isinstance(node, ast.Dict) else node.elts if isinstance(node, ast.Tuple) else []
            codes = {one.value for one in parts if isinstance(one, ast.Constant)} & set(LANGUAGES)
            if "en" in codes and len(codes) > 1 and codes != set(LANGUAGES):
                own.append(f"{file.relative_to(update.TREE)}:{node.lineno} lacks {sorted(set(LANGUAGES) - codes)}")
    assert not own, own


def test_numbers_have_their_form() -> None:
    def selfies(language: str, *counts: int) -> list[str]:
        return [words(language).ngettext("{n} selfie", "{n} selfies", n) for n in counts]

    assert selfies("en", 1, 2, 1200) == ["1 selfie", "2 selfies", "1,200 selfies"]
    assert selfies("de", 1, 1200) == ["1 Selfie", "1.200 Selfies"]
    assert selfies("ja", 1, 2) == ["自撮り写真1枚", "自撮り写真2枚"]
    assert selfies("ar", 1, 2, 3) == ["صورة سيلفي واحدة", "صورتا سيلفي", "3 صور سيلفي"]
    assert selfies("ar", 11, 100) == ["11 صورة سيلفي", "100 صورة سيلفي"]
    days = [words("ar").span(86400 * n) for n in (2, 10, 11, 99, 100, 102)]
    assert days == ["يومان", "10 أيام", "11 يومًا", "99 يومًا", "100 يوم", "102 يوم"]


def test_no_arabic_sentence_has_the_form_for_hundreds_where_eleven_stands() -> None:
    """After 11 to 99 the singular is in the accusative, after hundreds it is not: Babel numbers these forms 5 and 4."""
    turned = [
        message.id[0] for message in update.catalogue_of("ar")
        if isinstance(message.string, tuple) and re.search(r"\{n\} \S+ًا(?!\S)", message.string[4])
    ]  # fmt: skip
    assert not turned, turned


def test_days_and_times_are_those_of_the_company() -> None:
    late = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert words("en").moment(late) == "30 Nov 2026, 23:30 UTC"
    assert words("en", "Europe/Berlin").moment(late) == "1 Dec 2026, 00:30 CET"
    assert words("de", "Europe/Berlin").moment(late) == "01.12.2026, 00:30 MEZ"
    assert words("ja", "Asia/Tokyo").day(late) == "2026年12月1日"
    assert words("ar").day(late) == "30 نوفمبر 2026"
    assert words("fr", "No/Where").moment(late).endswith("UTC")


def test_what_a_browser_likes_best_of_what_there_is() -> None:
    assert accepted("nl, fr-CA;q=0.8, de;q=0.9") == "de"
    assert accepted("ar-EG") == "ar"
    assert accepted("de;q=0, nl") is None
    assert accepted("") is None
    assert accepted("de;q=x" + ",a" * 10_000) is None
    assert first_of(None, "xx", "pt_BR", "ES") == "es"
    assert first_of("tlh") == "en"


def test_an_error_is_said_in_the_readers_language() -> None:
    error = Conflict("Please choose between 1 and {n} headshots.", n=20)
    assert str(error) == "Please choose between 1 and 20 headshots."
    assert Words("de").error(error).detail == "Bitte wählen Sie zwischen 1 und 20 Porträts."
    assert Words("de").error(error).title == "Das passt nicht zum jetzigen Stand"
    assert Words("fr").sentences("An eye looks closed. Choose a photo with open eyes.") == (
        "Un œil semble fermé. Choisissez une photo avec les yeux ouverts."
    )


def test_names_do_not_turn_an_arabic_sentence_about() -> None:
    said = words("ar").gettext("{company} invites you to a headshot", company="Lens & Co")
    assert "\u2068Lens & Co\u2069" in said
    assert "\u2068" not in words("fr").gettext("{company} invites you to a headshot", company="Lens & Co")


def test_a_line_of_an_arabic_letter_that_begins_in_latin_letters_runs_from_the_right() -> None:
    said = {"name": "Layla", "controller": "Lens & Co", "until": "x", "link": "https://likeness.example/i/x"}
    lines = letters.letter("link", words("ar"), "a@b.example", **said).text.split("\n")
    assert "\u200fLikeness، نيابةً عن \u2068Lens & Co\u2069" in lines
    assert said["link"] in lines, "an address stays what it is"
    assert "مع التحية،<br>\u200fLikeness، نيابةً عن" in html_of(letters.letter("link", words("ar"), "a@b.example", **said))
    assert "\u200f" not in letters.letter("link", words("fr"), "a@b.example", **said).text


def test_lines_of_scripts_without_spaces_are_joined_without_one() -> None:
    assert joined(["写真を", "送る"]) == "写真を送る"
    assert joined(["one", "two"]) == "one two"


def test_a_sentence_ends_with_one_full_stop_also_after_a_value_that_has_one() -> None:
    twelve = timedelta(minutes=12)
    span = words("de").span(twelve)
    assert span == "12 Min."
    assert words("de").gettext("Short of photos for {span}.", span=span) == "Zu wenige Fotos, schon 12 Min."
    for language in ("en", "de", "ar"):
        said = words(language).gettext("Mails come from {address}.", address="Acme Inc.")
        assert "Inc.." not in said.replace("\u2069", "")
        assert "Inc." in said
    assert words("en").gettext("Mails come from {address}.", address="a@b.example") == "Mails come from a@b.example."


def test_what_is_told_is_english_by_itself_and_crosses_a_process_with_its_values() -> None:
    rows = Told("row {rows}", many="rows {rows}", n=2, rows="3, 4")
    said = Told("Several columns could hold the {what}: {columns}.", what=Told("names"), columns="A {n}")
    assert said.then(rows) == "Several columns could hold the names: A {n}. rows 3, 4"
    there = unpacked(json.loads(json.dumps(packed([said.then(rows), "as it is", None, {"x": [said]}]))))
    assert there == [said.then(rows), "as it is", None, {"x": [said]}]
    assert words("de").told(there[0]) != there[0] == words("en").told(there[0])
    assert words("de").told("As somebody typed it") == "As somebody typed it"


@pytest.mark.parametrize("asks", ["{n.__class__}", "{n[0]}", "{n!r}", "{n:>99999999}", "{}", "{0}"])
def test_a_sentence_that_asks_for_more_than_its_values_is_none(asks: str) -> None:
    for told in ([asks, "", {"n": 1}], ["{n}", asks, {"n": 2}], ["{m}", "", {"m": {"told": [asks, "", {"n": 1}]}}]):
        with pytest.raises(ValueError, match="no sentence of the catalogue"):
            unpacked({"told": told})


def test_a_server_has_read_every_language_before_the_first_page(kernel: Kernel) -> None:
    words_module._catalogue.cache_clear()
    create_app(kernel).state["probes"].db.close()
    assert words_module._catalogue.cache_info().currsize == len(LANGUAGES)


def test_a_latin_word_in_a_long_japanese_line_stays_whole() -> None:
    """An address that was cut in two, and glued with a space in HTML, opens nothing and answers nobody."""
    address = "datenschutzbeauftragte@grosshandel-und-soehne.example"
    for length in range(40, 62):
        text = f"{'個' * length}{address}にお問い合わせください。Landesbeauftragte für Datenschutz und Informationsfreiheit"
        laid = wrapped(text)
        assert "\n" in laid
        assert address in laid
        assert all(word in laid for word in ("Landesbeauftragte", "Datenschutz", "Informationsfreiheit"))
        assert not any(line.startswith(("。", " ")) for line in laid.split("\n"))
        shown = html_of(Letter(to="x@y.example", subject="", text=f"{laid}\n\nLikeness", language="ja"))
        assert address in shown
