from __future__ import annotations

import pytest

from batch import notices, texts
from likeness import ledger
from likeness.kernel import Kernel
from tenants import tenants
from tests.factories import make_tenant

SAYS = {
    "en": ["controller", "processor", "own list of employees", "(a)", "(b)", "memory", "after 5 days", "after 20 days",
           "complain to the LfD", "no other model", "opted out", "not affected", "withdraw", "certificate"],
    "de": ["verantwortlich", "Auftragsverarbeiter", "Liste der Beschäftigten", "(a)", "(b)", "Arbeitsspeicher",
           "nach 5 Tagen", "nach 20 Tagen", "Beschweren können Sie sich bei: the LfD", "kein anderes Modell",
           "nimmt nicht teil", "kein Nachteil", "widerrufen", "Bescheinigung"],
}  # fmt: skip


@pytest.mark.parametrize("language", notices.LANGUAGES)
def test_the_notice_answers_what_happens_to_my_face(kernel: Kernel, language: str) -> None:
    tenant = make_tenant(kernel, name="Ümit & Söhne", authority="the LfD", source_days=5, headshot_days=20)
    with kernel.db.transaction(tenant) as session:
        notice = notices.current(session, language)
    words = " ".join(notice.text.split())
    for expected in [*SAYS[language], "Ümit & Söhne", "privacy@zebra.example"]:
        assert expected in words
    assert "{" not in notice.text
    assert max(map(len, notice.text.splitlines())) <= 120


def test_the_same_version_renders_to_the_same_text(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel, name="Other Ltd")
    with kernel.db.transaction(tenant) as session:
        first, again = notices.current(session, "en"), notices.current(session, "en-GB")
        assert first.id == again.id
        assert first.digest == notices.digest(first.text) == notices.digest(notices.text(tenants.get(session), "en"))
        assert notices.current(session, "xx").language == "en"
        german = notices.current(session, "de-AT")
        assert (german.language, german.version) == ("de", first.version)
    with kernel.db.transaction(tenant) as session:
        events = [entry.event for entry in ledger.entries(session)]
        assert events.count("notice.published") == 2
    with kernel.db.transaction(other) as session:
        with pytest.raises(notices.NoticeMissing):
            notices.get(session, first.id)
        assert notices.current(session, "en").version != first.version


@pytest.mark.parametrize(
    "change", [{"source_days": 3}, {"headshot_days": 9}, {"name": "Zebra Ltd"}, {"authority": "X"}, {"contact": "Y"}]
)
def test_a_changed_term_changes_version_and_text_together(kernel: Kernel, change: dict[str, object]) -> None:
    tenant = make_tenant(kernel)
    with kernel.db.transaction(tenant) as session:
        before = notices.current(session, "en")
        tenants.change(session, caller="system", **change)
        session.flush()
        after = notices.current(session, "en")
        assert before.version != after.version
        assert before.digest != after.digest
        assert notices.get(session, before.id).text == before.text


@pytest.mark.parametrize(
    ("days", "said"), [(0, "on the same day at the latest"), (1, "after 1 day"), (7, "after 7 days")]
)
def test_days_read_like_words(kernel: Kernel, days: int, said: str) -> None:
    with kernel.db.transaction(make_tenant(kernel, source_days=days)) as session:
        assert said in " ".join(notices.current(session, "en").text.split())


def test_every_text_exists_in_every_language_and_names_nobody_in_its_subject() -> None:
    values = {
        "name": "N{0}", "controller": "C", "link": "L", "until": "U", "photos": "3", "source": "S", "headshots": "H",
        "contact": "K", "authority": "A", "date": "D", "purposes": "P", "version": "V", "digest": "G", "notice": "T",
        "made": "M", "few": "F", "kept": "B", "train": "R", "needed": "6",
    }  # fmt: skip
    for language in notices.LANGUAGES:
        for name in ("invitation", "link", "receipt", "remind-start", "remind-photos", "remind-choose"):
            letter = texts.letter(name, language, "a@zebra.example", **values)
            assert "N{0}" in letter.text
            assert "{" not in letter.subject
            assert len(letter.subject) < 78


def test_long_values_are_laid_out_anew() -> None:
    values = {"controller": "A very long company name, " * 8, "link": "https://x.example/i/" + "t" * 140}
    rest = dict.fromkeys(("name", "until", "source", "headshots", "contact", "authority", "made", "few"), "x")
    rest |= {"kept": "x", "train": "x"}
    lines = texts.letter("invitation", "en", "a@zebra.example", **values, **rest).text.splitlines()
    assert values["link"] in lines
    assert max(len(line) for line in lines if line != values["link"]) <= 120
