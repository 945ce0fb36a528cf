"""Signing out here, there, and from there."""

from __future__ import annotations

import time
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from litestar import Litestar
from litestar.testing import TestClient

from tenants.models import Role
from tests.sso.conftest import Browser, Company
from tests.sso.other import FOREIGN, RSA, Account, Other


@pytest.fixture
def hanna(browser: Browser, zebra: Company) -> Account:
    """Signed in at the desk of a company."""
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    assert browser.sign_in(zebra, account).status_code == 303
    return account


def told(browser: Browser, token: str) -> int:
    """What the issuer's own server is answered; it holds no cookie and sends no `Origin`."""
    with TestClient(browser.client.app) as server:
        return server.post("/sso/logout", data={"logout_token": token}).status_code


def test_a_session_that_ends_at_the_issuer_ends_here(
    browser: Browser, app: Litestar, zebra: Company, acme: Company, other: Other, hanna: Account
) -> None:
    acme.member(Role.HR, name="anna", joined=False)
    with TestClient(app) as client:
        neighbour = Browser(client, other)
        neighbour.sign_in(acme, acme.account("anna"))
        assert told(browser, other.logout_token(hanna, sub=None)) == 200
        assert (zebra.sessions(), acme.sessions()) == (0, 1)
        assert client.get("/desk").status_code == 200
    assert browser.client.get("/desk", headers={"accept": "application/json"}).status_code == 401


def test_all_of_a_subjects_sessions_end_where_the_token_names_none(
    browser: Browser, app: Litestar, zebra: Company, other: Other, hanna: Account
) -> None:
    with TestClient(app) as client:
        elsewhere = zebra.account("hanna", subject=hanna.subject)
        Browser(client, other).sign_in(zebra, elsewhere)
        assert zebra.sessions() == 2
        assert told(browser, other.logout_token(hanna, sid=None)) == 200
    assert zebra.sessions() == 0


def test_a_token_that_is_sent_again_ends_nothing_new(
    browser: Browser, zebra: Company, other: Other, hanna: Account
) -> None:
    token = other.logout_token(hanna, sid=None, iat=int(time.time()) - 30)
    assert told(browser, token) == 200
    assert zebra.sessions() == 1, "this session began after the token was made"


DEEP = b"[" * 11_000
WRONG: list[dict[str, Any]] = [
    {"iss": "https://evil.example"}, {"aud": "other"}, {"azp": "other"}, {"events": None}, {"events": {}},
    {"events": []}, {"nonce": "n"}, {"sid": None, "sub": None}, {"jti": None}, {"iat": 1}, {"iat": None},
    {"exp": 1}, {"typ": "ID"}, {"sid": 7},
]  # fmt: skip


def test_a_logout_token_that_is_wrong_ends_nothing(
    browser: Browser, zebra: Company, other: Other, hanna: Account
) -> None:
    for changes in WRONG:
        assert (changes, told(browser, other.logout_token(hanna, **changes))) == (changes, 400)
    assert zebra.sessions() == 1


def test_forged_logout_tokens_end_nothing_and_cost_the_issuer_little(
    browser: Browser, zebra: Company, other: Other, hanna: Account
) -> None:
    claims = jwt.decode(other.logout_token(hanna), RSA).claims
    forged = [
        jwt.encode({"alg": "RS256", "kid": f"made-up-{number}"}, dict(claims), FOREIGN, algorithms=["RS256"])
        for number in range(20)
    ]
    forged += [jwt.encode({"alg": "RS256", "kid": "rsa-1"}, dict(claims), FOREIGN, algorithms=["RS256"]), "", "a.b.c"]
    # A head in which one list lies in another, deeper than a program may look.
    forged += [f"{urlsafe_b64encode(head).decode()}.e30.AAAA" for head in (DEEP, b'{"alg": "RS256", "kid": ' + DEEP)]
    other.asked.clear()
    assert {told(browser, token) for token in forged} == {400}
    assert zebra.sessions() == 1
    assert len(other.asked) <= 1


def test_signing_out_everywhere_ends_the_sessions_there_too_or_says_that_it_did_not(
    browser: Browser, zebra: Company, other: Other, hanna: Account
) -> None:
    ended: list[str] = []

    def agree(path: str) -> tuple[int, str, bytes] | None:
        if path.endswith("/logout"):
            ended.append(path)
            return 200, "text/html", b"Do you want to sign out?"
        return None

    other.answer = agree
    page = browser.client.post("/account/sign-out-everywhere")
    assert (page.status_code, "did not confirm it" in page.text) == (200, True)
    assert (len(ended), zebra.sessions(), browser.cookie) == (1, 0, "")


def test_whoever_signs_out_here_is_led_to_sign_out_there(
    browser: Browser, zebra: Company, other: Other, hanna: Account
) -> None:
    page = browser.client.post("/sign-out")
    assert page.status_code == 200
    assert (zebra.sessions(), browser.cookie) == (0, "")
    address = page.text.split('http-equiv="refresh" content="0; url=')[1].split('"')[0].replace("&amp;", "&")
    assert address.startswith(f"{other.issuer}/protocol/openid-connect/logout?")
    query = parse_qs(urlsplit(address).query)
    assert query["post_logout_redirect_uri"] == [f"{browser.client.app.state.kernel.settings.public_url}/sign-in"]
    hint = jwt.decode(query["id_token_hint"][0], RSA).claims
    assert hint["sub"] == hanna.subject
    assert "email" not in hint


def test_whoever_came_by_a_link_is_led_nowhere(browser: Browser, zebra: Company) -> None:
    answer = browser.client.post("/sign-out", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
