from __future__ import annotations

import pytest

from batch.people import ways
from batch.visit import notices
from likeness import ledger
from likeness.kernel import Kernel
from likeness.locale.languages import LANGUAGES
from likeness.locale.words import words
from likeness.mail import letters
from likeness.mail.paragraphs import RIGHT_TO_LEFT
from tenants import tenants
from tenants.models import CUTOUT, Tenant
from tests.factories import make_tenant

DRAWN = "flux2-klein-4b-reference"
SAYS = {
    "en": ["controller", "processor", "own list of employees", "(a)", "(b)", "memory", "after 5 days", "after 20 days",
           "complain to the LfD", "no other model", "opted out", "not affected", "withdraw", "certificate"],
    "de": ["verantwortlich", "Auftragsverarbeiter", "Liste der Beschäftigten", "(a)", "(b)", "Arbeitsspeicher",
           "nach 5 Tagen", "nach 20 Tagen", "Beschweren können Sie sich bei: the LfD", "kein anderes Modell",
           "nimmt nicht teil", "kein Nachteil", "widerrufen", "Bescheinigung"],
    "fr": ["responsable du traitement", "sous-traitant", "liste du personnel", "(a)", "(b)", "mémoire", "après 5 jours",
           "après 20 jours", "réclamation à the LfD", "aucun autre modèle", "opted out", "en rien affecté", "retirer",
           "certificat"],
    "es": ["responsable del tratamiento", "encargado del tratamiento", "lista de personal", "(a)", "(b)", "memoria",
           "después de 5 días", "después de 20 días", "reclamar ante the LfD", "ningún otro modelo", "opted out",
           "no se ve afectado", "retirar", "certificado"],
    "ja": ["管理者", "処理者", "従業員名簿", "(a)", "(b)", "メモリー", "5日後", "20日後", "the LfD", "ほかのモデルの学習",
           "opted out", "仕事への影響は一切ありません", "撤回", "証明書"],
    "ar": ["المتحكم في البيانات", "معالج البيانات", "قائمة موظفي", "(أ)", "(ب)", "ذاكرة", "بعد 5 أيام", "بعد 20 يومًا",
           "the LfD", "أي نموذج آخر", "opted out", "ولا يتأثر عملك", "سحب موافقتك", "شهادة"],
}  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
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


@pytest.mark.parametrize(("days", "said"), [(1, "after 1 day"), (7, "after 7 days")])
def test_days_read_like_words(kernel: Kernel, days: int, said: str) -> None:
    with kernel.db.transaction(make_tenant(kernel, source_days=days)) as session:
        assert said in " ".join(notices.current(session, "en").text.split())


# The edition's own text, for a company with these terms. A changed digest means other words than those that people
# agreed to: raise `EDITION`, and put the new digests here.
DIGESTS = {
    "2027-04": {
        ("en", "model"): "c3dc5c6927d7a80ca8c4582faaa16d5e65188361a109c5012de5f029715e0e07",
        ("en", "portrait"): "d143b41a9b5fdfd5cbe8655760503c674a9eb0eb785a4c5bb09d8c30d796aebb",
        ("en", "both"): "ef578cba3c8c50be9b7cd4db4c177bbfceef0e1da60003120c1db1df74763d2a",
        ("en", "drawn"): "c622ab72b4bad69a5a26bb7ade8880a6fd84f9ed451376293f941f683356408f",
        ("en", "drawn or portrait"): "8dc3c8aac9efa13c72afc368de824df90121bb4fbe7e8691787651a9b49cb529",
        ("de", "model"): "a6b77370c69f1b4fc00f759f0e38c818ac571fad7b05236c1c6e9e62a77584c8",
        ("de", "portrait"): "c3dd00d4f933aefcd35bc60e225ceaf615b71d1e9dcd7e764733b7ed77447f48",
        ("de", "both"): "64a8373f5ddc43428b1211712032917dc5cf1b26729317dfc49c40d195bdc4fa",
        ("de", "drawn"): "beb6d54289998272a570d7ebea49939d2900f6b3a3dd7a36c25bf421f5c4c631",
        ("de", "drawn or portrait"): "15ca48c6047e5e72bcfd9b50af44118849d5cb34e8704eb8fd9533e583c1a0fb",
        ("fr", "model"): "2750bbdb2cb457d43f4279a21634eef461d2ee520d25a44b50b02e30aad68094",
        ("fr", "portrait"): "787fdc4e4b8811ad72b1c3ebe21fa850ea18920306be630317a8fb90acfde402",
        ("fr", "both"): "53a98a51467dfd5089720467589cea16410cd64a1b6c48a3b81999a3989fa248",
        ("fr", "drawn"): "c2671b214fcd289ceb740d0cb879d1be6875d790771b3bb4491c065632f387fd",
        ("fr", "drawn or portrait"): "9cb83f990e33b1ee940d7b46b8cd0dff9ff06b49151d698a041ccd94fa49f731",
        ("es", "model"): "0714325c93c2edcf46eb82b6aec77464112f2b15b9bf63b68b9cf89ec27a2f09",
        ("es", "portrait"): "8ff3700c469d484af4e12b7ada0464a102fee820cf534dc73b742ea151982e88",
        ("es", "both"): "44f59c7a9aec93c39f8a20b911deb89b0f1e56be3aca4f3bf19ca06046c4c1c3",
        ("es", "drawn"): "b13e86bed8261c2e4eee8fe3b1eff05ff71af107886695b70590bb6199b07819",
        ("es", "drawn or portrait"): "208a947079c4fd7338f2fc20eb188510911fc8aaa2e9e607f0d07b878af3a696",
        ("ja", "model"): "0f959cd7449a605cc4dc0b10c8a127d80b5e1e0c6139b42a78840a801eb8f94b",
        ("ja", "portrait"): "32d2f4f2f07fffaec520a3851a9e589bd26e96140fd1858ef4f16d5422946750",
        ("ja", "both"): "6a463bc613d40333ff3e7bff28109aad2a08b451ff14bdea158cd7e4c9d4d7bf",
        ("ja", "drawn"): "35af89f7b278e6bb4ade302dc1b8fac09e74461ccc321c9f87d1604759f7ced3",
        ("ja", "drawn or portrait"): "f6a0631a58945f122c1b461adf84207583bc7475523443b4d9a470483b5893a7",
        ("ar", "model"): "09825d6628cc81cc25cf9f7a96b94d966ef9ccfa2d3018be07553dec3b8418fc",
        ("ar", "portrait"): "7b90bff17f01173cfca48bdbe435f606b5396fb6e4821eab12460ea544e9305c",
        ("ar", "both"): "cca58987ffa683b8137e8895024584e4c98e5ce42887a35e7738a1365e083fd5",
        ("ar", "drawn"): "8add08bdaf2047b9bc7c7116a050afe774c1e91c3d7b9548dec20dafa8a47819",
        ("ar", "drawn or portrait"): "30258fd0d33966c0ed09346da2849bbfe978ce61f5a1b2c60cf18ae02e9ddfbf",
    },
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("recipes", [["sdxl"], [CUTOUT], ["sdxl", CUTOUT], [DRAWN], [DRAWN, CUTOUT]])
def test_an_edition_is_one_text_in_each_language(language: str, recipes: list[str]) -> None:
    tenant = Tenant(name="Zebra GmbH", contact="privacy@zebra.example", recipes=recipes, base=recipes[0])
    text = notices.text(tenant, language)
    assert "{" not in text
    assert "%" not in text
    assert notices.digest(text) == DIGESTS[notices.EDITION][language, ways.kind(tenant)]


# What says that a person's photos train something, or that there is a model of them.
TRAINED = {
    "en": ("are used to train", "model of you:", "the model of you", "Your model", "your model"),
    "de": ("wird ein kleines Modell", "das Modell von Ihnen", "Ihr Modell"),
    "fr": ("servent à entraîner", "votre modèle"),
    "es": ("se entrena un", "su modelo"),
    "ja": ("モデルを学習させ", "あなたのモデル:", "写真とあなたのモデル"),
    "ar": ("لتدريب نموذج", "نموذجك"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("recipes", [[DRAWN], [DRAWN, CUTOUT], [CUTOUT]])
def test_where_nothing_is_trained_nothing_is_said_of_a_model_of_the_person(language: str, recipes: list[str]) -> None:
    tenant = Tenant(name="Zebra GmbH", contact="privacy@zebra.example", recipes=recipes, base=recipes[0])
    rest = dict.fromkeys(("name", "until", "link", "note"), "x") | notices.terms(tenant, words(language))
    invitation = letters.letter("invitation", words(language), "a@zebra.example", **rest).text
    with_model = Tenant(name="Zebra GmbH", recipes=["sdxl"], base="sdxl")
    for said in (notices.text(tenant, language), invitation):
        assert not [phrase for phrase in TRAINED[language] if phrase in " ".join(said.split())]
    trained = " ".join(notices.text(with_model, language).split())
    assert sum(phrase in trained for phrase in TRAINED[language]) >= 2, "the phrases are those of the notice"


def test_what_was_agreed_to_is_the_text_in_that_language(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, language="fr")
    with kernel.db.transaction(tenant) as session:
        told = {language: notices.current(session, language) for language in LANGUAGES}
    assert len({notice.digest for notice in told.values()}) == len(LANGUAGES)
    assert len({notice.version for notice in told.values()}) == 1
    for language, notice in told.items():
        assert notice.language == language
        assert notice.digest == notices.digest(notice.text)


def test_long_values_are_laid_out_anew() -> None:
    values = {"controller": "A very long company name, " * 8, "link": "https://x.example/i/" + "t" * 140}
    needed = ("name", "until", "source", "headshots", "names", "contact", "authority", "note")
    rest = dict.fromkeys(needed, "x") | {"kind": "model"}
    for language in LANGUAGES:
        lines = letters.letter("invitation", words(language), "a@zebra.example", **values, **rest).text.splitlines()
        assert values["link"] in lines
        # The mark that says which way a line runs takes no room.
        shown = [line.removeprefix(RIGHT_TO_LEFT) for line in lines if line != values["link"]]
        assert max(map(len, shown)) <= 120, language
