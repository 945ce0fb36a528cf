"""A company's sign-in after it was made: its domains change, its provider is another one, it ends and comes back."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest
from litestar.testing import TestClient

from likeness.ground.db import PLATFORM, utc_now
from likeness.identity import Kind, make_link
from likeness.kernel import Kernel
from likeness.run.app import create_app
from tenants.models import Role
from tenants.sso import changing, providers
from tests.factories import give_consent, make_member, sign_in
from tests.sso.conftest import Browser, Company, make_company


def test_a_sign_in_that_ends_signs_everybody_out_who_came_by_it_and_links_open_again(
    browser: Browser, zebra: Company, acme: Company, sso_kernel: Kernel
) -> None:
    member = zebra.member(Role.HR, name="hanna", joined=False)
    acme.member(Role.HR, name="other", joined=False)
    browser.sign_in(zebra, zebra.account("hanna"))
    with TestClient(browser.client.app) as there:
        Browser(there, browser.other).sign_in(acme, acme.account("other"))
        with sso_kernel.db.transaction(zebra.tenant) as session:
            own = make_link(session, Kind.MEMBER, member.id, utc_now())
            assert changing.end(session, utc_now()) == 1
            assert changing.end(session, utc_now()) == 0
            found = changing.shown(session)
            assert found is not None
            assert found.ended_at is not None
            assert providers.of_company(session) is None
        assert browser.client.get("/desk", headers={"accept": "application/json"}).status_code == 401
        assert browser.client.get(f"/sso/{zebra.provider.id}", follow_redirects=False).status_code == 404
        assert there.get("/desk").status_code == 200, "another company's sign-in goes on"
    assert zebra.events().count("provider.ended") == 1
    with TestClient(browser.client.app) as by_link:
        assert by_link.post(f"/api/v1/sign-in/{own}").status_code == 200
    # It comes back as it was, and the account is still connected.
    with sso_kernel.db.transaction(zebra.tenant) as session:
        changing.change(session)
    assert browser.sign_in(zebra, zebra.account("new")).status_code == 403


def test_domains_are_added_and_taken_away_and_no_other_companys_is_taken(
    zebra: Company, acme: Company, sso_kernel: Kernel, browser: Browser
) -> None:
    more = f"more-{zebra.domain}"
    for _ in range(2):
        with sso_kernel.db.transaction(zebra.tenant) as session:
            changing.change(session, domains=[more])
            found = changing.shown(session)
            assert found is not None
            assert found.domains == [more]
    assert f"/sso/{zebra.provider.id}" in browser.client.post("/sign-in", data={"email": f"a@{more}"}).text
    assert "/sso/" not in browser.client.post("/sign-in", data={"email": f"a@{zebra.domain}"}).text
    with pytest.raises(providers.DomainTaken), sso_kernel.db.transaction(zebra.tenant) as session:
        changing.change(session, domains=[more, acme.domain])
    with sso_kernel.db.transaction(acme.tenant) as session:
        kept = changing.shown(session)
        assert kept is not None
        assert kept.domains == [acme.domain]


def test_an_account_of_an_earlier_provider_is_nobody_with_the_next_one(
    browser: Browser, zebra: Company, sso_kernel: Kernel
) -> None:
    """Two providers may call two people by the same number."""
    person = zebra.employee("nadia")
    account = zebra.account("nadia")
    assert browser.sign_in(zebra, account).status_code == 303
    with sso_kernel.db.transaction(zebra.tenant) as session:
        give_consent(session, sso_kernel, session.merge(person))
    with sso_kernel.db.transaction(zebra.tenant) as session:
        changing.change(session, broker=True, moved=("zebra-next", "another-organization"))
    assert zebra.sessions() == 0
    account.organizations = {"zebra-next": "another-organization"}
    answer = browser.sign_in(zebra, account)
    assert answer.status_code == 403
    assert zebra.mails(person.id, "account-refused"), "whoever is on the list gets a link and connects it anew"


def test_a_company_without_a_sign_in_has_nothing_to_change(sso_kernel: Kernel) -> None:
    company = make_company(sso_kernel)
    with sso_kernel.db.transaction(company.tenant) as session:
        session.delete(changing.row(session))
    with sso_kernel.db.transaction(company.tenant) as session:
        assert changing.shown(session) is None
        with pytest.raises(providers.ProviderMissing):
            changing.end(session, utc_now())


def test_a_company_reads_of_its_sign_in_under_settings_and_when_it_worked_for_a_member(
    browser: Browser, zebra: Company, acme: Company
) -> None:
    zebra.member(Role.OWNER, Role.HR, name="hanna", joined=False)
    acme.member(Role.OWNER, Role.HR, name="other", joined=False)
    browser.sign_in(zebra, zebra.account("hanna"))
    said = browser.client.get("/settings").text
    assert f"<dd>{zebra.domain}</dd>" in said
    assert "nobody has tried it yet" not in said
    assert acme.domain not in said
    assert f"/sso/{zebra.provider.id}?go_to=/settings" in said
    with TestClient(browser.client.app) as there:
        sign_in(there, acme.kernel, acme.tenant, Kind.MEMBER, acme.member(Role.OWNER).id)
        said = there.get("/settings").text
        assert "nobody has tried it yet" in said
        assert zebra.domain not in said


def test_when_an_employee_came_by_it_is_noted_nowhere(browser: Browser, zebra: Company) -> None:
    zebra.employee("nadia")
    assert browser.sign_in(zebra, zebra.account("nadia")).status_code in (200, 303)
    assert zebra.sessions() == 1
    with zebra.kernel.db.transaction(zebra.tenant) as session:
        shown = changing.shown(session)
    assert shown is not None
    assert shown.came_at is None


def test_a_keycloak_that_does_not_answer_leaves_no_company_behind(sso_kernel: Kernel) -> None:
    """The form says so and keeps what was typed; where the server may not change it, the page names the command."""
    sent = {"name": f"K{uuid4().hex}", "admin_name": "Ada Byron", "admin_email": "ada@kestrel.example"}
    for secret, status in (("", 409), ("a-secret", 503)):
        away = {"keycloak_url": "http://127.0.0.1:9", "keycloak_setup_secret": secret}
        kernel = replace(sso_kernel, settings=sso_kernel.settings.model_copy(update=away))
        with TestClient(create_app(kernel)) as client:
            operator = make_member(kernel, PLATFORM, Role.OPERATOR)
            sign_in(client, kernel, PLATFORM, Kind.OPERATOR, operator.id)
            answer = client.post("/operations/tenants", data=sent | {"domains": "kestrel.example"})
            assert answer.status_code == status
            assert sent["name"] in answer.text
            assert ('name="domains"' in answer.text) == bool(secret)
            assert client.post("/api/v1/tenants", json=sent | {"domains": ["kestrel.example"]}).status_code == status
            assert not [one for one in client.get("/api/v1/tenants").json() if one["name"] == sent["name"]]
            assert client.post("/api/v1/tenants", json=sent | {"domains": ["nonsense"]}).status_code == 422
