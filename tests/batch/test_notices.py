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
    "2027-05": {
        ("en", "model"): "ba3bf1240287e51327915df9ff14e947d487e5977d801eb458377bfdf663829d",
        ("en", "portrait"): "c56fa98a47c95142db3403067aa35bf6cc81886b7ec210442625fe4953ebc496",
        ("en", "both"): "f22ce09e167e5602dfa3701b7442ef8c22e279f258fc8857860178a5d6ba9bf8",
        ("en", "drawn"): "945faa4eee6bc2e39bb7bd1331b2894c16c94b81c5e204556e98b872e8dfa1fa",
        ("en", "drawn or portrait"): "ba0bcd8e97803deccd99af1d141b4989f97cd7b5f17621f827eb92523504a7f3",
        ("de", "model"): "80ac999c93d09b685aa55eb895f46ed1c4e6c970f258d0cc1e2a3f6692876398",
        ("de", "portrait"): "314aa0297bfe28c2c35841419e49a612424f54f4a1dfa4270181d2b74676c026",
        ("de", "both"): "7b488367e4b472d125bd0e950f6918139f04fb2140320f78b2bc822f6b205848",
        ("de", "drawn"): "1ed5aded6d53eefc94ea6727e7f02de661ba875c98beee3ba2b8d440f3a85eaf",
        ("de", "drawn or portrait"): "fc7d0a448879ceb3bb64bf66985c48a91bea94840389b32ae30a9e4af195a1d5",
        ("fr", "model"): "d871e44061b20e259a2a23680a498b21ecb970b636faa65e735e1f1abe6c979c",
        ("fr", "portrait"): "3474e8b6341c7e97cd239e39f62e4b959438b1132e61153e5ec8afa17f1b15c9",
        ("fr", "both"): "27fe753f5481aa2d91d6861fc22f16b8f32d746cf3aeb0b2cda5c986c0c227d5",
        ("fr", "drawn"): "63156c06109c6fa74945b27c4201a82084ad82e7add270f3af1d6fe8cd02c1d5",
        ("fr", "drawn or portrait"): "546edff6dadc2bec0c75a25110d99fd40f5487c0d5d9c2edc189ae5d2ac292ba",
        ("es", "model"): "ec8ea2fd0c95edbe188711348bbd75dec841ea3c9e8ee6afaa7cab92d441d4bd",
        ("es", "portrait"): "a7c3d42d4861d438d8cfa56e4f2db015a510d577ee3fa611ffa95b1e1ca7e6ba",
        ("es", "both"): "33afe5af2f1e17461858017105afbca174050539880b59d4f22f8486be8f21bb",
        ("es", "drawn"): "e047494de2db22fd9dee43e421c26e8bdae489fdb1b78e6979b3f929922d967a",
        ("es", "drawn or portrait"): "b24e8cca5b65decac846addfa342f7498c5ee56c0c06c4b215fe1a102e983823",
        ("ja", "model"): "1986a8fe220962b1023f9455f29a590e3f75e2fea1653bcc31ba652bd57d98ca",
        ("ja", "portrait"): "2a4b2369a3b5724d3739c5e4d7bc47ca0a4d27f6d2a7c1b50d8c3d03e3552854",
        ("ja", "both"): "a1dc7f9d3b4adf7535b9635cc44f59d2e10ba15dc7e558c31a1e439084d415c9",
        ("ja", "drawn"): "cba41c7fef5e7aca0d839ed09ef60eb84d60ca8c35e966066dd049d091154f24",
        ("ja", "drawn or portrait"): "2c63fd355b69e38b0556fa658cbf7f4a67e345f6f14eeb67619263870808ea73",
        ("ar", "model"): "1dbfcfbb7ca0ad13ced75aafd3857b8b6eb8cdcdbfac90dcbd93ee10955f8303",
        ("ar", "portrait"): "261aa2386d94400bc7dd442bf09e97bc87bfac4c3a58eba3f99c9431bcb71c57",
        ("ar", "both"): "049aacb75a35896bfc4ad642ae30ebdca318cee8340ac0346666bb525d008ddb",
        ("ar", "drawn"): "446e08d9191d00e7c44b749fd526c36eb29a01ea944d5aa289002dca4e38cd16",
        ("ar", "drawn or portrait"): "fd20bc9f9928234eb0471b393981a9115ac0e6d13f6a7fb27ef10f8e6f7c54a1",
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
