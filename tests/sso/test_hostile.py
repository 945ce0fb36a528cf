"""Every way in which an answer of the issuer, or what is passed off as one, can be wrong: none makes a session."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from likeness.kernel import Kernel
from likeness.run.app import create_app
from tenants.models import Role
from tests.factories import make_member, sign_in
from tests.sso.conftest import Browser, Company
from tests.sso.other import FOREIGN, NEXT, Account, Other

Spoil = Callable[[Other], None]


def changed(**claims: Any) -> Spoil:
    def spoil(other: Other) -> None:
        def bend(told: dict[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in (told | claims).items() if value is not None}

        other.claims = bend

    return spoil


def shifted(name: str, seconds: int) -> Spoil:
    def spoil(other: Other) -> None:
        other.claims = lambda told: told | {name: told[name] + seconds}

    return spoil


def from_now(name: str, seconds: int) -> Spoil:
    def spoil(other: Other) -> None:
        other.claims = lambda told: told | {name: int(time.time()) + seconds}

    return spoil


def headed(**header: Any) -> Spoil:
    def spoil(other: Other) -> None:
        other.header = lambda told: told | header

    return spoil


def set_to(**values: Any) -> Spoil:
    def spoil(other: Other) -> None:
        for name, value in values.items():
            setattr(other, name, value)

    return spoil


def answering(end: str, status: int, kind: str, body: bytes) -> Spoil:
    def spoil(other: Other) -> None:
        other.answer = lambda path: (status, kind, body) if path.endswith(end) else None

    return spoil


def confused(other: Other) -> None:
    other.algorithm = "HS256"


def skewed(seconds: float) -> Spoil:
    def spoil(other: Other) -> None:
        other.skew = seconds

    return spoil


REFUSED: dict[str, Spoil] = {
    "no signature": headed(alg="none"),
    "the public key as a secret": confused,
    "an unknown key": set_to(signing=NEXT),
    "a foreign key under a known id": set_to(signing=FOREIGN),
    "a key that the token brings": headed(jwk=FOREIGN.as_dict(private=False)),
    "an address of a key": headed(jku="https://evil.example/keys"),
    "a certificate": headed(x5u="https://evil.example/cert"),
    "something critical": headed(crit=["b64"], b64=False),
    "no key id": headed(kid="zzz"),
    "a changed signature": set_to(token=lambda token: token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBB")),
    "a changed claim": set_to(token=lambda token: re.sub(r"\.(.{20})..", r".\1AA", token, count=1)),
    "no token": set_to(token=lambda token: "nonsense"),
    "a token without end": set_to(token=lambda token: token + "A" * 20_000),
    "another issuer": changed(iss="https://evil.example/realms/likeness"),
    "an issuer with a slash": lambda other: changed(iss=f"{other.issuer}/")(other),
    "no issuer": changed(iss=None),
    "another audience": changed(aud="account"),
    "no audience": changed(aud=None),
    "several audiences without azp": changed(aud=["likeness", "other"], azp=None),
    "another azp": changed(azp="other"),
    "another nonce": changed(nonce="another"),
    "no nonce": changed(nonce=None),
    "no exp": changed(exp=None),
    "exp as a word": changed(exp="tomorrow"),
    "exp as truth": changed(exp=True),
    "an end long ago": shifted("exp", -400),
    "made long ago": shifted("iat", -300),
    "made tomorrow": shifted("iat", 86400),
    "not valid yet": from_now("nbf", 600),
    "no auth_time": changed(auth_time=None),
    "signed in tomorrow": from_now("auth_time", 86400),
    "no subject": changed(sub=None),
    "an empty subject": changed(sub=""),
    "a subject that is a list": changed(sub=["a"]),
    "no session": changed(sid=None),
    "an access token": changed(typ="Bearer"),
    "a logout token": changed(typ="Logout"),
    "no organization": changed(organization=None),
    "organizations as names only": lambda other: changed(organization=["zebra"])(other),
    "another organization": changed(organization={"other": {"id": str(uuid4())}}),
    "a clock two minutes ahead": skewed(120),
    "a clock two minutes behind": skewed(-140),
}  # fmt: skip

AWAY: dict[str, Spoil] = {
    "an error of the token endpoint": answering("token", 500, "text/plain", b"oops"),
    "a page instead of tokens": answering("token", 200, "text/html", b"<html>sign in</html>"),
    "a list instead of tokens": answering("token", 200, "application/json", b"[]"),
    "a page instead of keys": answering("certs", 200, "text/html", b"<html>maintenance</html>"),
    "ten megabytes of keys": answering("certs", 200, "application/json", b'{"keys": [' + b" " * 10_000_000 + b"]}"),
    "keys deeper than can be read": answering("certs", 200, "application/json", b'{"keys": ' + b"[" * 100_000),
    "tokens deeper than can be read": answering("token", 200, "application/json", b"[" * 100_000),
    "no keys": answering("certs", 200, "application/json", b'{"keys": []}'),
    "an error instead of keys": answering("certs", 503, "text/plain", b""),
}


def test_a_token_that_is_wrong_makes_no_session(browser: Browser, zebra: Company, other: Other) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    for name, spoil in REFUSED.items():
        other.reset()
        spoil(other)
        answer = browser.sign_in(zebra, account)
        assert (name, answer.status_code) == (name, 403), answer.text
        assert "Nothing was changed" in answer.text, name
        assert (name, browser.cookie, zebra.sessions()) == (name, "", 0)
    assert zebra.events().count("identity.refused") == len(REFUSED)
    assert "identity.bound" not in zebra.events()
    other.reset()
    assert browser.sign_in(zebra, account).status_code == 303, (
        "all of it was refused for what was wrong, and for nothing else"
    )


def test_an_issuer_that_answers_nonsense_is_away_and_says_so(browser: Browser, zebra: Company, other: Other) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    for name, spoil in AWAY.items():
        other.reset()
        brought = other.authorize(browser.leave(zebra), zebra.account("hanna"))
        spoil(other)
        issuer = browser.client.app.state.kernel.issuer
        issuer._read_at = float("-inf")
        answer = browser.come_back(brought)
        assert (name, answer.status_code) == (name, 503), answer.text
        assert "does not answer" in answer.text, name
        assert "retry-after" in answer.headers, name
        assert (name, browser.cookie, zebra.sessions()) == (name, "", 0)


def test_an_issuer_that_leads_elsewhere_is_not_followed(browser: Browser, zebra: Company, other: Other) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    brought = other.authorize(browser.leave(zebra), zebra.account("hanna"))
    other.redirect = f"{other.address}/elsewhere"
    assert browser.come_back(brought).status_code == 503
    assert not any("elsewhere" in path for path in other.asked)
    assert zebra.sessions() == 0


def test_a_slow_issuer_costs_seconds_and_nobody_who_is_signed_in(
    browser: Browser, app: Litestar, zebra: Company, other: Other, sso_kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("likeness.sso.transport.SECONDS", 1)
    member = make_member(sso_kernel, zebra.tenant, Role.HR)
    monkeypatch.setattr("likeness.sso.issuer.AWAY_SECONDS", 600.0)
    other.slow = 60.0
    began = time.monotonic()
    answer = browser.client.get(f"/sso/{zebra.provider.id}", follow_redirects=False)
    assert (answer.status_code, time.monotonic() - began < other.slow) == (503, True)
    assert "A link in a mail works" in answer.text
    asked = len(other.asked)
    assert browser.client.get(f"/sso/{zebra.provider.id}", follow_redirects=False).status_code == 503
    assert len(other.asked) == asked > 0, "who did not answer is left alone for a moment"
    with TestClient(app) as client:
        sign_in(client, sso_kernel, zebra.tenant, "member", member.id)  # type: ignore[arg-type]
        assert client.get("/desk").status_code == 200


def test_a_keycloak_that_is_down_is_a_page_and_not_an_error(zebra: Company, sso_kernel: Kernel) -> None:
    assert sso_kernel.issuer is not None
    down = replace(sso_kernel, issuer=replace(sso_kernel.issuer, url="http://127.0.0.1:9"))
    with TestClient(create_app(down)) as client:
        answer = client.get(f"/sso/{zebra.provider.id}", follow_redirects=False)
        assert answer.status_code == 503
        assert 'href="/sign-in"' in answer.text


def test_state_is_good_once_in_the_browser_that_it_was_given_to(
    browser: Browser, app: Litestar, zebra: Company, acme: Company, other: Other
) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    brought = other.authorize(browser.leave(zebra), account)
    with TestClient(app) as thief:
        assert Browser(thief, other).come_back(brought).status_code == 410
    for without in ("state", "code", "iss"):
        with TestClient(app) as client:
            one = Browser(client, other)
            half = other.authorize(one.leave(zebra), account)
            assert one.come_back({name: value for name, value in half.items() if name != without}).status_code >= 400
            assert not one.cookie
    assert zebra.sessions() == 0
    assert browser.come_back(brought).status_code == 303
    assert browser.come_back(brought).status_code == 410
    assert zebra.sessions() == 1
    # The state names a company; naming another one finds nothing.
    again = other.authorize(browser.leave(zebra), account)
    again["state"] = f"{acme.tenant.hex}.{again['state'].split('.', 1)[1]}"
    assert browser.come_back(again).status_code == 410
    assert acme.sessions() == 0


def test_a_code_is_good_once_and_for_the_attempt_that_it_answers(
    browser: Browser, zebra: Company, other: Other
) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    account = zebra.account("hanna")
    first = other.authorize(browser.leave(zebra), account)
    second = other.authorize(browser.leave(zebra), account)
    # The code of one attempt with the state of another: the verifier does not fit.
    assert browser.come_back(second | {"code": first["code"]}).status_code == 403
    third = other.authorize(browser.leave(zebra), account)
    assert browser.come_back(third).status_code == 303
    fourth = other.authorize(browser.leave(zebra), account)
    assert browser.come_back(fourth | {"code": third["code"]}).status_code == 403
    assert zebra.sessions() == 1


def test_an_answer_of_another_issuer_is_not_taken_to_ours(browser: Browser, zebra: Company, other: Other) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    brought = other.authorize(browser.leave(zebra), zebra.account("hanna"))
    other.asked.clear()
    assert browser.come_back(brought | {"iss": "https://evil.example/realms/likeness"}).status_code == 403
    assert not any("token" in path for path in other.asked), "a code is shown to nobody but its issuer"


def test_a_sign_in_that_was_given_up_says_so_without_the_issuers_words(
    browser: Browser, zebra: Company, other: Other
) -> None:
    brought = other.authorize(browser.leave(zebra), zebra.account())
    brought |= {"error": "access_denied", "error_description": "<b>call Quokkafell</b>"}
    answer = browser.come_back({name: value for name, value in brought.items() if name != "code"})
    assert answer.status_code == 403
    assert "was not finished" in answer.text
    assert "Quokkafell" not in answer.text


def test_an_attempt_runs_out_after_ten_minutes(
    browser: Browser, zebra: Company, other: Other, sso_kernel: Kernel
) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    brought = other.authorize(browser.leave(zebra), zebra.account("hanna"))
    with sso_kernel.db.transaction(zebra.tenant) as session:
        session.execute(text("update sign_in_attempt set expires_at = now() - interval '1 second'"))
    assert browser.come_back(brought).status_code == 410


def test_an_address_that_is_not_vouched_for_or_foreign_connects_nobody(browser: Browser, zebra: Company) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    for account in ({"verified": False}, {"email": "hanna@elsewhere.example"}, {"email": ""}, {"email": "@"}):
        assert browser.sign_in(zebra, zebra.account("hanna", **account)).status_code == 403, account
    assert zebra.sessions() == 0


def test_an_account_of_another_company_is_nobody_here(browser: Browser, zebra: Company, acme: Company) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    stranger = Account(email=f"hanna@{zebra.domain}", organizations={acme.provider.alias: acme.provider.organization})
    assert browser.sign_in(zebra, stranger).status_code == 403
    # Nor does an organization that took the alias of another: only its id counts.
    stranger.organizations = {zebra.provider.alias: acme.provider.organization}
    assert browser.sign_in(zebra, stranger).status_code == 403
    assert zebra.sessions() == acme.sessions() == 0


def test_two_organizations_in_one_token_are_refused(
    browser: Browser, zebra: Company, acme: Company, other: Other
) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    both = {one.provider.alias: {"id": one.provider.organization} for one in (zebra, acme)}
    other.claims = lambda told: told | {"organization": both}
    assert browser.sign_in(zebra, zebra.account("hanna")).status_code == 403
    assert zebra.sessions() == acme.sessions() == 0


def test_a_sign_in_that_was_switched_off_lets_nobody_in(
    browser: Browser, zebra: Company, other: Other, sso_kernel: Kernel
) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    brought = other.authorize(browser.leave(zebra), zebra.account("hanna"))
    with sso_kernel.db.transaction(zebra.tenant) as session:
        session.execute(text("update provider set disabled_at = now()"))
    assert browser.come_back(brought).status_code == 404
    assert browser.client.get(f"/sso/{zebra.provider.id}", follow_redirects=False).status_code == 404
    assert zebra.sessions() == 0


def test_nobody_is_led_to_another_site_afterwards(browser: Browser, zebra: Company) -> None:
    zebra.member(Role.HR, name="hanna", joined=False)
    account, long = zebra.account("hanna"), "/" + "a" * 400
    for where in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", long, "/\t/evil"):
        assert browser.sign_in(zebra, account, go_to=where).headers["location"] == "/", where
    assert browser.sign_in(zebra, account, go_to="/desk").headers["location"] == "/desk"


def test_what_is_asked_of_the_issuer_is_what_the_standard_asks_for(
    browser: Browser, zebra: Company, other: Other
) -> None:
    address = browser.leave(zebra)
    assert address.startswith(f"{other.issuer}/protocol/openid-connect/auth?")
    other.authorize(address, zebra.account())
    asked = next(iter(other.codes.values())).query
    assert asked["scope"] == f"openid organization:{zebra.provider.alias}"
    assert asked["kc_idp_hint"] == zebra.provider.alias
    assert asked["response_mode"] == "query"
    assert len(asked["code_challenge"]) == 43
    assert len(asked["nonce"]) >= 43


def test_the_row_of_an_attempt_finishes_nothing_by_itself(
    browser: Browser, zebra: Company, other: Other, sso_kernel: Kernel
) -> None:
    address = browser.leave(zebra)
    with sso_kernel.db.transaction(zebra.tenant) as session:
        row = session.execute(text("select row_to_json(a)::text from sign_in_attempt a")).scalar_one()
    asked = {name: value for name, value in (one.split("=", 1) for one in address.split("?")[1].split("&"))}
    for secret in (asked["state"].split(".")[1], asked["nonce"], browser.client.cookies["likeness-attempt"]):
        assert secret not in row
        assert secret.encode().hex() not in row
