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
    "2027-03": {
        ("en", "model"): "f544469744d1dbfa9fe23ee5404b469491b3f642d19d93064df7818ac00312a4",
        ("en", "portrait"): "fe5852bd06b380642ddb4199254c316defb4730888a70dfe105b3a6880f5adf1",
        ("en", "both"): "37cb3ed782944868df686b4e6a575a4f3b07e09dd96a65f87777ad696b3bc2ce",
        ("en", "drawn"): "0c7f1365de8007a2cb5f0ff7ba4d661911f8902d89ca0d6b2d7567569e14ce42",
        ("en", "drawn or portrait"): "d59434587f638d9fb0a3a96f830f773f296ac4d9c8ab6e03a7ae6d17ceeefec1",
        ("de", "model"): "076cf14b5283afacba1ee35a09f1a3dd9235d7e0ccedf619655537daef9c3d58",
        ("de", "portrait"): "026ce1efad4567430ade102f1a81cf7e359f7e48100d1d88feb4af45741179b1",
        ("de", "both"): "d69556bf4a966dea71e95752f81a8297504731653cca257be88911df3518fac8",
        ("de", "drawn"): "1d96ec2af62944bb4a52fde0cef906e82749fc267e74baaadb82834fc4cfd0ae",
        ("de", "drawn or portrait"): "a2353346eb6401a67897a2b13b00b92201fe0546d3856efe3ab162cab9f34f15",
        ("fr", "model"): "07bf702fdf0748d771cf7da8bf856047e2604186be3820f5437c30b381d7c9c2",
        ("fr", "portrait"): "9437429d1930aea264f67ea7962726110229515f0950c4264af08c5047eed2b8",
        ("fr", "both"): "788510822f0f2d6229b0eaa8c057c97a22902941a31023eb266acd04a7af4558",
        ("fr", "drawn"): "4ac291e8f7cb026b433cf3725083c550af46a49ac52c5dc6b4db47a7a348055d",
        ("fr", "drawn or portrait"): "b634ea8c7e82f7fc375f4de9a2d1d890a2ad7fabd4ab95ea592a53948ac96856",
        ("es", "model"): "fe9113b7394890c35c4cb4fb3db7f28bcfe444e7d08cb0967c5bff375c9efa8c",
        ("es", "portrait"): "83831dc5bcd8973aecca58062e5332655ad84b996a68a45e5838eab9187defa6",
        ("es", "both"): "99281a709dc534ae4b11c80dd6e21e1f4cbdc028bd12f83d889c16ce1628507a",
        ("es", "drawn"): "712001cdfa3d6c63c1d3a593c46f2e17e15ae7b19e660d82326c5ae613b25d52",
        ("es", "drawn or portrait"): "daaa5b44b2983bed213193f5810e97ab521c491bcb66759bdce705ca9d0fa872",
        ("ja", "model"): "efa7b212761ba2f5e826bc4a6dadab9ceb01bc2119285241900ca3d0358ac1cb",
        ("ja", "portrait"): "1bac2b8f47c6304f04ae37fba614cb52ccf70d89cc28803f55f2899d7b51e477",
        ("ja", "both"): "66d34a3e7aba6c63e3660866c100be7326eee6905a0b1a0353ddf2180fde5043",
        ("ja", "drawn"): "ba11f42ec8ab055460f800cf771eb540165f0af81a371c8740253caa91e5c92a",
        ("ja", "drawn or portrait"): "d20e253981a7703840834320ce289fad061f33dfc6e2da128cfb1a83ed9843e8",
        ("ar", "model"): "02b2d6be1e0373b1aac029f6370efbe75188d457cf3d6e84edb5d0ca25277fc0",
        ("ar", "portrait"): "95d7cd6c75d16da6627f8ec8ac469245b1fb1f87dd92f34e78e36810bb53bbdb",
        ("ar", "both"): "e571d2fd1e027b0ab0b6dd5f4cb5fe0b673cc3e0429616ce25bca21e09c5c30d",
        ("ar", "drawn"): "e550a071404a996618dbf778a0ef0100f4210449fa033a4b98674fde059104f3",
        ("ar", "drawn or portrait"): "b78f3f71969cc379ea83558f906dd4a8bc9d0f50766b1b92e073c8cfb7834d62",
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
