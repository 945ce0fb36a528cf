"""The desk in its reader's language: what they chose, else what their browser asks for, else their company's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

import dashboard
from likeness.ground.db import PLATFORM
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.locale.languages import LANGUAGES, direction
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import make_member, make_tenant, sign_in, sign_in_member


@pytest.fixture(scope="module")
def client(app: Litestar) -> Iterator[TestClient[Any]]:
    with TestClient(app) as client:
        client.headers["accept"] = "text/html"
        yield client


def language_of(client: TestClient[Any], path: str = "/desk", **headers: str) -> str:
    said = client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    found = re.search(r'<html lang="(\w+)" dir="(\w+)">', said.text)
    assert found is not None
    assert found[2] == direction(found[1])
    assert said.headers.get("content-language", found[1]) == found[1]
    return found[1]


def choose(client: TestClient[Any], language: str, back: str = "/desk/people") -> str:
    answer = client.post("/account/language", data={"language": language, "back": back}, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_a_member_reads_in_the_language_that_they_chose_else_in_the_browsers_else_in_the_companys(
    client: TestClient[Any], kernel: Kernel
) -> None:
    tenant, elsewhere = make_tenant(kernel, language="fr"), make_tenant(kernel, language="fr")
    stranger = make_member(kernel, elsewhere, Role.OWNER, Role.HR)
    colleague = make_member(kernel, tenant, Role.OWNER, Role.HR)
    me = sign_in_member(client, kernel, tenant, Role.OWNER, Role.HR)
    assert language_of(client) == "fr"
    assert language_of(client, accept_language="tlh, de-AT;q=0.8") == "de"
    for language in LANGUAGES:
        assert choose(client, language) == "/desk/people"
        assert language_of(client, accept_language="de") == language
    assert language_of(client, "/nowhere", accept_language="de") == "ar", "what goes wrong is said in it too"
    for somebody in (colleague, stranger):
        sign_in(client, kernel, somebody.tenant_id, Kind.MEMBER, somebody.id)
        assert language_of(client) == "fr", "it is nobody else's"
    sign_in(client, kernel, tenant, Kind.MEMBER, me.id)
    assert language_of(client) == "ar", "it is kept with the account, not with the browser"


def test_the_switch_is_in_the_menu_of_the_account_and_leads_back_to_the_same_page(
    client: TestClient[Any], kernel: Kernel
) -> None:
    sign_in_member(client, kernel, make_tenant(kernel), Role.OWNER, Role.HR)
    html = get(client, "/desk/people?stage=invited&q=a%20b")
    assert 'action="/account/language"' in html
    assert 'name="back" value="/desk/people?stage=invited&amp;q=a%20b"' in html
    assert all(f'name="language" value="{code}" lang="{code}"' in html for code in LANGUAGES)
    assert choose(client, "de", "/desk/people?stage=invited&q=a%20b") == "/desk/people?stage=invited&q=a%20b"
    for elsewhere in ("//evil.example", "https://evil.example/desk", "/\\evil.example", "/desk\n/x", "/sign-out",
                      "/desk/../sign-out", "/account/language\r\nset-cookie: a=b", "", "/desk?a=\u00fc"):  # fmt: skip
        assert choose(client, "de", elsewhere) == "/", elsewhere
    refused = client.post("/account/language", data={"language": "tlh"}, headers={"accept-language": "en"})
    assert refused.status_code == 422
    assert "Dies gibt es in dieser Sprache nicht" in refused.text or "Wählen Sie eine der Sprachen" in refused.text


def test_legal_and_operators_read_their_pages_in_the_language_that_they_chose(
    client: TestClient[Any], kernel: Kernel
) -> None:
    sign_in_member(client, kernel, make_tenant(kernel, language="de"), Role.LEGAL)
    assert language_of(client, "/legal") == language_of(client, "/questions") == "de"
    assert choose(client, "ar", "/legal/requests?after=x") == "/legal/requests?after=x"
    assert language_of(client, "/legal", accept_language="de") == "ar"
    somebody, other = (make_member(kernel, PLATFORM, Role.OPERATOR) for _ in range(2))
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, somebody.id)
    assert language_of(client, "/operations") == "en"
    assert language_of(client, "/operations", accept_language="fr") == "fr"
    assert choose(client, "ja", "/operations/companies") == "/operations/companies"
    assert language_of(client, "/operations/companies") == language_of(client, "/account") == "ja"
    sign_in(client, kernel, PLATFORM, Kind.OPERATOR, other.id)
    assert language_of(client, "/operations") == "en", "it is nobody else's"


def test_no_page_writes_a_number_as_english_does_whatever_its_reader_reads() -> None:
    """9,400 is nine and a bit in German: numbers go through `reads.number`, or through the values of a sentence."""
    own = re.compile(r"\{:[^}\"']*,|:,\}|%,d")
    pages = sorted((Path(dashboard.__file__).parent / "templates").rglob("*.html"))
    assert len(pages) > 50
    assert [page.name for page in pages if own.search(page.read_text(encoding="utf-8"))] == []
