from __future__ import annotations

import io
import re
from datetime import UTC, datetime
from typing import Any

import pypdf
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from compliance.proof import departures, verifier
from compliance.proof.paper import company, page, sealing, typeset, words
from likeness.locale.languages import LANGUAGES
from likeness.locale.words import words as words_for

ENGLISH = words_for("en")
OTHERS = [language for language in LANGUAGES if language != "en"]
NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
AT = "2026-03-02T09:30:00+00:00"
HOSTILE = ["Zebra", '#read("/etc/passwd") $x$ `a` *b* <c> @d \\ ' * 8, "\u202eלהב" * 30, "株式会社" * 60, ""]
FINGERPRINT = "x4Qm2c1fK0yB2d7v0m8Qb1o7QFZ3zY8e9cV5nT6uWkM"


def found(count: int) -> dict[str, Any]:
    return {"objects": count, "bytes": count, "deleted_at": AT if count else None}


def document(**more: Any) -> dict[str, Any]:
    """One with something in every place."""
    said: dict[str, Any] = {
        "id": "3f6c2b1d-4e5f-4c0e-9d0a-6f9a2f0e7f5b", "stage": 1, "scope": "everything", "issued_at": AT,
        "controller": "Zebra Wörks", "processor": words.PROCESSOR, "instance": "https://likeness.example",
        "software": "likeness 0.1.0", "subject_commitment": "ab" * 32, "trigger": "person", "requested_at": AT,
        "deleted_at": AT, "keys": [{}] * 5, "kept": [],
        "classes": {"source": found(8), "model": found(0), "headshot": found(24), "records": found(71)},
        "verification": {"finished_at": AT, "stores": {"a": {"result": "clean"}, "b": {"result": "not applicable"}}},
        "residuals": [{"what": words.BACKUPS, "until": AT}, *({"what": what, "until": None} for what in words.LEFT)],
        "recipients_informed": [{"downloaded_at": AT, "headshots": 3, "informed_at": AT}] * 9,
        "recipients_not_informed": [{"downloaded_at": AT, "headshots": 1, "why": ""}],
        "holds": [{"basis": "warrant", "from": AT, "until": AT}],
        "ledger": {"position": 1233, "checkpoint": f"likeness.example/t/1\n1240\nroot\ntime {AT}\nsequence 1240\n"},
    }  # fmt: skip
    return said | more


def pages(pdf: bytes) -> int:
    return int(PdfFileReader(io.BytesIO(pdf)).root["/Pages"]["/Count"])


@pytest.fixture(scope="module")
def credential() -> tuple[bytes, bytes]:
    return sealing.new_credential("https://likeness.example", NOW)


@pytest.fixture(scope="module")
def sealed(credential: tuple[bytes, bytes]) -> bytes:
    return sealing.seal(page.render(document(), "a.b.c", "de", fingerprint=FINGERPRINT), *credential)


@pytest.mark.parametrize(
    ("language", "hostile"), [*(("de", one) for one in HOSTILE), *((one, HOSTILE[1]) for one in LANGUAGES)]
)
def test_it_is_one_accessible_page_whatever_the_company_is_called(language: str, hostile: str) -> None:
    pdf = page.render(document(controller=hostile), "a.b.c", language, fingerprint=FINGERPRINT)
    reader = PdfFileReader(io.BytesIO(pdf))
    assert pages(pdf) == 1
    assert reader.root["/Lang"] == (language if typeset.writes(language) else "en")
    assert reader.root["/MarkInfo"]["/Marked"]
    assert b"pdfuaid" in pdf or hostile == HOSTILE[3]
    assert "/JavaScript" not in reader.root.get("/Names", {})
    assert verifier.out_of_pdf(pdf) == "a.b.c"


@pytest.mark.parametrize("trigger", ["person", "withdrawal", "address-change", "undo", "retention", "tenant-exit"])
@pytest.mark.parametrize("stage", [1, 2])
def test_no_english_stands_on_a_page_in_another_language(trigger: str, stage: int) -> None:
    scope = "model" if trigger == "retention" else "everything"
    said = document(trigger=trigger, stage=stage, scope=scope, subject_commitment="ab" * 32 if stage == 1 else None)
    english = set(sentences(words.page(said, words_for("en"))))
    for language in OTHERS:
        there = sentences(words.page(said, words_for(language)))
        assert not {one for one in english & set(there) if re.search(r"[a-z]{3}", one)} - {"Zebra Wörks"}
        assert not re.search(r"\b(the|your|deleted|until|is)\b", " ".join(there))


def departure(**more: Any) -> dict[str, Any]:
    """A company's, with something in every place."""
    counted = {"people": 500, "objects": {"source": 4000, "model": 0, "headshot": 12_000}, "batches": 3}
    said: dict[str, Any] = {
        "certificate": departures.KIND, "asked_at": AT, "handed_back_at": AT, "people_erased": 500,
        "counted_when_asked": counted, "key_of_the_company": {"destroyed_at": AT},
        "residuals": [{"what": words.BACKUPS, "until": AT}], "holds": [{"basis": "warrant", "until": AT}] * 9,
    }  # fmt: skip
    return document() | said | more


@pytest.mark.parametrize(("language", "hostile"), [*((one, HOSTILE[1]) for one in LANGUAGES), ("de", HOSTILE[2])])
def test_a_companys_page_is_one_page_in_its_language_whatever_it_is_called(language: str, hostile: str) -> None:
    said = departure(controller=hostile, processor=hostile, stage=1 if language == "de" else 2)
    pdf = page.render(said, "a.b.c", language, fingerprint=FINGERPRINT)
    reader = PdfFileReader(io.BytesIO(pdf))
    assert (pages(pdf), verifier.out_of_pdf(pdf)) == (1, "a.b.c")
    assert reader.root["/Lang"] == (language if typeset.writes(language) else "en")
    plain = departure(handed_back_at=None, stage=said["stage"])
    english = set(sentences(company.page(plain, words_for("en"))))
    there = sentences(company.page(plain, words_for(language)))
    left = {one for one in english & set(there) if re.search(r"[a-z]{3}", one)} - {"Zebra Wörks"}
    assert not left or language == "en"


def test_a_machine_without_a_font_for_the_language_writes_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(typeset.FONTS_OF, "ja", {"No such family"})
    typeset.writes.cache_clear()
    pdf = page.render(document(), "a.b.c", "ja", fingerprint=FINGERPRINT)
    typeset.writes.cache_clear()
    assert PdfFileReader(io.BytesIO(pdf)).root["/Lang"] == "en"


def sentences(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for name, below in value.items() if name not in ("kind", "language") for one in sentences(below)]
    return [one for below in value for one in sentences(below)] if isinstance(value, list) else [str(value)]


def test_a_page_says_first_of_two_only_where_a_second_is_promised() -> None:
    unstated = document(residuals=[{"what": words.BACKUPS, "until": None, "basis": ""}])
    assert words.page(unstated, ENGLISH)["words"]["kind"] == "Certificate of deletion"
    assert words.page(document(), ENGLISH)["words"]["kind"].endswith("first of two")
    assert words.page(document(stage=2), ENGLISH)["words"]["kind"].endswith("second of two")
    told = words.page(document(), ENGLISH)["told"]
    assert (len(told), told[-1]["words"]) == (6, "5 more downloads are listed in the attached text.")


def test_what_others_say_is_marked_as_such() -> None:
    left = words.page(document(), ENGLISH)["left"]
    assert {one["kind"] for one in left if "operator" in one["words"]} == {"stated"}
    assert {one["kind"] for one in left if "operator" not in one["words"]} == {"measured"}


def test_the_seal_holds_for_the_file_as_it_is_and_for_nothing_else(
    sealed: bytes, credential: tuple[bytes, bytes]
) -> None:
    ours = sealing.fingerprint(credential[1])
    assert sealing.check(sealed, ours) > NOW
    assert verifier.out_of_pdf(sealed) == "a.b.c"
    (signature,) = PdfFileReader(io.BytesIO(sealed)).embedded_signatures
    trust = ValidationContext(trust_roots=[signature.signer_cert], allow_fetching=False)
    assert validate_pdf_signature(signature, signer_validation_context=trust).bottom_line
    assert signature.sig_object["/SubFilter"] == "/ETSI.CAdES.detached"
    middle = len(sealed) // 2
    more = IncrementalPdfFileWriter(io.BytesIO(sealed))
    more.root["/Extra"] = more.add_object(more.trailer["/Root"].get_object())
    more.update_root()
    appended = io.BytesIO()
    more.write(appended)
    unsealed = page.render(document(), "a.b.c", "de", fingerprint=FINGERPRINT)
    for changed in (
        sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :],
        sealed + b"\n%\n",
        appended.getvalue(),
        sealed[:-60],
        unsealed,
        b"",
    ):
        with pytest.raises(sealing.PaperSealBroken):
            sealing.check(changed, ours)


@pytest.mark.parametrize("gone", [b"/Size", b"/Length", b"/Type", b"/FlateDecode", b"/SubFilter", b"/ByteRange", b"/W"])
def test_a_file_in_which_a_reader_finds_no_sense_is_one_that_was_changed(
    sealed: bytes, credential: tuple[bytes, bytes], gone: bytes
) -> None:
    changed = sealed.replace(gone, b"/" + b"Z" * (len(gone) - 1))
    assert changed != sealed
    with pytest.raises(sealing.PaperSealBroken):
        sealing.check(changed, sealing.fingerprint(credential[1]))


def test_somebody_elses_seal_is_refused(credential: tuple[bytes, bytes]) -> None:
    stranger = sealing.new_credential("https://likeness.example", NOW)
    theirs = sealing.seal(page.render(document(), "a.b.c", "en", fingerprint=FINGERPRINT), *stranger)
    with pytest.raises(sealing.PaperSealBroken, match="somebody else"):
        sealing.check(theirs, sealing.fingerprint(credential[1]))


def test_headings_are_thick_in_japanese_too() -> None:
    """No free font that writes it and is small has a bold, so that its headings are drawn with a line around each sign."""

    def strokes(language: str) -> int:
        read = pypdf.PdfReader(io.BytesIO(page.render(document(), "a.b.c", language, fingerprint=FINGERPRINT)))
        return read.pages[0].get_contents().get_data().count(b"2 Tr")

    assert typeset.writes("ja")
    assert strokes("ja") > strokes("de") == 0
