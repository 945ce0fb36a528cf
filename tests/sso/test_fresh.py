"""What cannot be taken back is done by somebody who signed in within the last five minutes."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text

from batch.people import funnel
from batch.visit import consents
from likeness.ground.db import utc_now
from likeness.identity import Kind
from likeness.kernel import Kernel
from tenants import suspension
from tenants.models import Role
from tests.factories import make_batch, make_member, sign_in, sign_in_employee
from tests.sso.conftest import Browser, Company
from tests.sso.other import Other

HTML = {"accept": "text/html"}


def aged(kernel: Kernel, tenant: UUID, minutes: int) -> None:
    with kernel.db.transaction(tenant) as session:
        session.execute(
            text("update web_session set authenticated_at = authenticated_at - make_interval(mins => :m)"),
            {"m": minutes},
        )


def refused(answer: Any) -> bool:
    return bool(answer.status_code == 403 and answer.json()["type"] == "urn:likeness:fresh-sign-in-needed")


def test_four_acts_ask_for_a_fresh_sign_in_and_are_done_after_one(
    app: Litestar, zebra: Company, sso_kernel: Kernel
) -> None:
    hr, legal = (make_member(sso_kernel, zebra.tenant, role) for role in (Role.HR, Role.LEGAL))
    person = zebra.employee("nadia")
    with sso_kernel.db.transaction(zebra.tenant) as session:
        batch = make_batch(session)
    acts: list[tuple[UUID, str, str, dict[str, Any]]] = [
        (hr.id, "POST", f"/api/v1/batches/{batch.id}/revoke", {}),
        (legal.id, "PATCH", "/api/v1/tenant", {"json": {"source_days": 3}}),
        (legal.id, "GET", "/api/v1/ledger", {}),
        (person.id, "GET", "/api/v1/visit/export", {}),
    ]
    with TestClient(app) as client:
        for who, method, path, body in acts:
            kind = Kind.EMPLOYEE if who == person.id else Kind.MEMBER
            sign_in(client, sso_kernel, zebra.tenant, kind, who)
            aged(sso_kernel, zebra.tenant, 6)
            assert refused(client.request(method, path, **body)), path
            page = client.request(method, path, headers=HTML, **body)
            assert page.status_code == 403
            if method == "GET":
                assert 'href="/sso/again"' in page.text
            sign_in(client, sso_kernel, zebra.tenant, kind, who)
            aged(sso_kernel, zebra.tenant, 4)
            assert not refused_or_broken(client.request(method, path, **body)), path
        sign_in(client, sso_kernel, zebra.tenant, Kind.MEMBER, legal.id)
        aged(sso_kernel, zebra.tenant, 6)
        assert client.patch("/api/v1/tenant", json={"contact": "dpo@zebra.example"}).status_code == 200


def refused_or_broken(answer: Any) -> bool:
    return answer.status_code >= 500 or (answer.status_code == 403)


def test_an_account_proves_itself_again_with_its_password(
    browser: Browser, zebra: Company, sso_kernel: Kernel, other: Other
) -> None:
    zebra.member(Role.LEGAL, name="hanna", joined=False)
    account = zebra.account("hanna")
    account.signed_in_at -= 3600
    browser.sign_in(zebra, account)
    assert refused(browser.client.get("/api/v1/ledger")), "the issuer says when the password was given, not we"
    assert f"/sso/{zebra.provider.id}?again=true" in browser.client.get("/sso/again").text
    assert browser.sign_in(zebra, account, again="true").status_code == 303
    assert browser.client.get("/api/v1/ledger").status_code == 200


def test_an_issuer_that_asks_for_no_password_makes_no_fresh_session(
    browser: Browser, zebra: Company, other: Other
) -> None:
    zebra.member(Role.LEGAL, name="hanna", joined=False)
    account = zebra.account("hanna")
    browser.sign_in(zebra, account)
    other.claims = lambda told: told | {"auth_time": told["auth_time"] - 600}
    assert browser.sign_in(zebra, account, again="true").status_code == 403


def test_where_there_is_no_account_a_link_goes_to_the_own_address(
    app: Litestar, zebra: Company, sso_kernel: Kernel
) -> None:
    legal, person = make_member(sso_kernel, zebra.tenant, Role.LEGAL), zebra.employee("nadia")
    with TestClient(app) as client:
        sign_in(client, sso_kernel, zebra.tenant, Kind.MEMBER, legal.id)
        assert "Mail me a link" in client.get("/sso/again").text
        assert "on its way" in client.post("/sso/again").text
        link = zebra.mails(legal.id, "sign-in")[0].text.split("/sign-in/")[1].split()[0]
        aged(sso_kernel, zebra.tenant, 60)
        assert client.post(f"/api/v1/sign-in/{link}").status_code == 200
        assert client.get("/api/v1/ledger").status_code == 200
        sign_in_employee(client, sso_kernel, person)
        with sso_kernel.db.transaction(zebra.tenant) as session:
            session.execute(text("update link set created_at = created_at - interval '1 hour'"))
        assert "on its way" in client.post("/sso/again").text


@pytest.mark.parametrize("state", ["declined", "declined and over", "suspended"])
def test_whoever_said_no_gets_a_link_to_what_is_kept_of_them_and_hr_sees_nothing_of_it(
    app: Litestar, zebra: Company, sso_kernel: Kernel, state: str
) -> None:
    person, tenant = zebra.employee(), zebra.tenant
    with sso_kernel.db.transaction(tenant) as session:
        if state == "suspended":
            suspension.suspend(session, utc_now(), caller="operator:1")
        else:
            consents.decline(session, person.id, utc_now())
        session.execute(text("update link set created_at = created_at - interval '1 hour'"))
        if "over" in state:
            session.execute(text("update invitation set expires_at = now() - interval '3 days'"))
        day = funnel.again_from(session, [person.id])
    with TestClient(app) as client:
        sign_in_employee(client, sso_kernel, person)
        assert "on its way" in client.post("/sso/again").text
        mails = zebra.mails(person.id, "link")
        link = mails[-1].text.split("/i/")[1].split()[0]
        client.cookies.clear()
        assert client.post(f"/i/{link}", follow_redirects=False).status_code == 303
        assert client.get("/api/v1/visit/export").status_code == 200
    with sso_kernel.db.transaction(tenant) as session:
        assert funnel.again_from(session, [person.id]) == day or state == "suspended"


def test_a_clock_that_differs_is_told_from_the_date_of_an_answer(
    sso_kernel: Kernel, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = sso_kernel.issuer
    assert issuer is not None
    assert abs(issuer.clock_difference()) < 5
    monkeypatch.setattr("likeness.sso.issuer.time", SimpleNamespace(time=lambda: time.time() + 60))
    assert -65 < issuer.clock_difference() < -55


def code_on(screen: TestClient[Any]) -> str:
    said = screen.post("/visit/phone", headers=HTML).text.split("/p/", 1)[1]
    return said.split("<")[0].split('"')[0].strip()


@pytest.mark.parametrize("door", ["/sign-in", "/api/v1/sign-in"])
def test_a_code_for_the_phone_proves_nobody_anew(
    app: Litestar, browser: Browser, zebra: Company, sso_kernel: Kernel, door: str
) -> None:
    """Whoever finds a screen unlocked has the page on their phone for a while, neither everything as a file nor the page
    for good."""
    person = zebra.employee("nadia")
    with TestClient(app) as screen:
        sign_in_employee(screen, sso_kernel, person)
        aged(sso_kernel, zebra.tenant, 60)
        code = code_on(screen)
    assert browser.client.post(f"{door}/{code}", follow_redirects=False).status_code == 410
    assert browser.client.post(f"/p/{code}", follow_redirects=False).status_code == 303
    assert browser.client.get("/visit", follow_redirects=False).status_code == 303
    assert refused(browser.client.get("/api/v1/visit/export"))
    browser.sign_in(zebra, zebra.account("somebody-else"), connect="true")
    assert "identity.bound" not in zebra.events()


def test_what_goes_on_on_the_phone_ends_with_the_session_of_the_screen(
    app: Litestar, zebra: Company, sso_kernel: Kernel
) -> None:
    """From code to code nobody stays signed in for longer than a day's work, and a newer code voids the one before."""
    person = zebra.employee("nadia")
    with TestClient(app) as screen, TestClient(app) as phone:
        sign_in_employee(screen, sso_kernel, person)
        codes = [code_on(screen), code_on(screen)]
        assert phone.post(f"/p/{codes[0]}", follow_redirects=False).status_code == 410
        assert phone.post(f"/p/{codes[1]}", follow_redirects=False).status_code == 303
        with sso_kernel.db.transaction(zebra.tenant) as session:
            ends = session.execute(text("select expires_at from web_session")).scalars().all()
        assert len(ends) == 2
        assert len(set(ends)) == 1
        again = code_on(screen)
        screen.post("/sign-out", headers=HTML)
        assert TestClient(app).post(f"/p/{again}", follow_redirects=False).status_code == 410
