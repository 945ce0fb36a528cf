"""A company's own provider, handed in by operators and by its owner, in the browser and by the API: a real Keycloak."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NoReturn
from uuid import UUID, uuid4

import httpx
import pytest
from litestar.testing import TestClient
from playwright.sync_api import Browser, expect
from sqlmodel import col, select

from likeness.ground.db import PLATFORM
from likeness.identity import Kind
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from likeness.mail import mail
from likeness.run.app import create_app
from tenants.members import members
from tenants.models import Role
from tenants.sso import changing
from tests.factories import make_member, run_jobs, sign_in
from tests.keycloak.conftest import House, oidc_provider, saml_provider
from tests.keycloak.test_keycloak import give_password, page_of, sessions_of
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.keycloak, pytest.mark.timeout(900)]
SECRET = "between-us"


@pytest.fixture(scope="module")
def hands_in(house: House) -> Kernel:
    """The web server holds the setup secret, and providers may be in the tests' own network."""
    more = {"keycloak_setup_secret": house.made.setup_secret, "webhook_networks": "127.0.0.0/8"}
    return replace(house.kernel, settings=house.kernel.settings.model_copy(update=more))


@pytest.fixture
def operator(hands_in: Kernel) -> Iterator[TestClient[Any]]:
    with TestClient(create_app(hands_in)) as client:
        sign_in(client, hands_in, PLATFORM, Kind.OPERATOR, make_member(hands_in, PLATFORM, Role.OPERATOR).id)
        yield client


def typed(written: dict[str, Any], **more: str) -> dict[str, str]:
    return {name: written[name] for name in ("kind", "issuer", "client_id", "client_secret")} | more


def there(house: House, kernel: Kernel, tenant: UUID) -> dict[str, Any]:
    with kernel.db.transaction(tenant) as session:
        alias = changing.row(session).alias
    (found,) = [one for one in house.keycloak.of("likeness").get_idps() if one["alias"] == alias]
    return dict(found)


def found_at(client: TestClient[Any], name: str) -> UUID:
    return UUID(next(one["id"] for one in client.get("/api/v1/tenants").json() if one["name"] == name))


def mails_of(kernel: Kernel, tenant: UUID) -> list[str]:
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        read = [mail.read(kernel.keys, one) for one in mail.mailbox(session) if one.template == "sign-in-changed"]
    return sorted(one.text for one in read if one is not None)


def events_of(kernel: Kernel, tenant: UUID) -> list[tuple[str, str]]:
    with kernel.db.transaction(tenant) as session:
        query = select(LedgerEntry.event, LedgerEntry.caller).where(
            col(LedgerEntry.tenant_id) == tenant, col(LedgerEntry.event).startswith("provider.")
        )
        return [(event, caller) for event, caller in session.exec(query.order_by(col(LedgerEntry.sequence)))]


def metadata_of(house: House, realm: str) -> str:
    return httpx.get(f"{house.keycloak.url}/realms/{realm}/protocol/saml/descriptor", timeout=PATIENCE).text


def test_a_company_is_founded_in_the_browser_with_its_own_provider_and_its_people_come_in_by_it(
    house: House, hands_in: Kernel, operator: TestClient[Any], chromium: Browser
) -> None:
    name = f"f{uuid4().hex[:8]}"
    written = oidc_provider(house.keycloak, f"{name}-own", {"ada": f"ada@{name}.example"})
    sent = {"name": name, "admin_name": "Ada Byron", "admin_email": f"ada@{name}.example", "domains": f"{name}.example"}
    for wrong, sentence in (
        (typed(written, client_secret="guessed-wrongly"), "does not know this client"),
        (typed(written, issuer=f"{written['issuer']}/"), "calls itself"),
        (typed(written, issuer="https://169.254.169.254"), "leads to no server"),
        ({"kind": "saml", "metadata": "<EntityDescriptor"}, "This is no XML"),
    ):
        refused = operator.post("/operations/tenants", data=sent | wrong)
        assert (refused.status_code, sentence in refused.text) == (422, True), refused.text
        assert "guessed-wrongly" not in refused.text
        assert wrong.get("issuer", "") in refused.text, "what was typed is kept"
    without = operator.post("/operations/tenants", data=sent | typed(written) | {"domains": ""})
    assert "at least one mail domain" in without.text
    assert name not in operator.get("/api/v1/tenants").text, "nothing was begun"
    page = operator.post("/operations/tenants", data=sent | typed(written, trusts_addresses="1"))
    assert "is set up" in page.text
    tenant = found_at(operator, name)
    found = there(house, hands_in, tenant)
    assert (found["trustEmail"], found["config"]["issuer"]) == (True, written["issuer"])
    shown = operator.get(f"/operations/companies/{tenant}").text
    assert f"/broker/{found['alias']}/endpoint" in shown, "what the provider has to be told"
    assert SECRET not in page.text + shown
    context, browser, _ = page_of(chromium)
    with hands_in.db.transaction(tenant) as session:
        way = changing.shown(session)
    assert way is not None
    browser.goto(f"{house.address}{way.way}")
    give_password(browser, "ada")
    expect(browser).to_have_url(f"{house.address}/desk")
    context.close()


def test_an_owner_hands_in_a_secret_then_another_provider_and_everybody_is_told(
    house: House, hands_in: Kernel, operator: TestClient[Any], chromium: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    name = f"o{uuid4().hex[:8]}"
    written = oidc_provider(house.keycloak, f"{name}-own", {"hanna": f"hanna@{name}.example"})
    new = {"name": name, "admin_name": "Hanna Reiter", "admin_email": f"hanna@{name}.example",
           "legal_name": "Lea Kant", "legal_email": f"lea@{name}.example", "domains": [f"{name}.example"],
           "provider": typed(written) | {"trusts_addresses": True}}  # fmt: skip
    tenant = UUID(operator.post("/api/v1/tenants", json=new).json()["id"])
    first = there(house, hands_in, tenant)
    context, browser, _ = page_of(chromium)
    browser.goto(f"{house.address}/sso/{_provider_id(hands_in, tenant)}")
    give_password(browser)
    expect(browser).to_have_url(f"{house.address}/desk")
    assert sessions_of(house, tenant) == 1
    with hands_in.db.transaction(tenant) as session:
        owner = next(one for one in members.all(session) if Role.OWNER in one.roles)
    with TestClient(create_app(hands_in)) as client:
        sign_in(client, hands_in, tenant, Kind.MEMBER, owner.id)
        assert "Hand in a new secret, or another provider" in client.get("/settings").text
        # The provider's own people change the secret; the old one is nothing any more.
        admin = house.keycloak.of(f"{name}-own")
        own = admin.get_client(str(admin.get_client_id("likeness")))
        admin.update_client(own["id"], own | {"secret": "since-today"})
        wrong = client.post("/settings/provider", data=typed(written))
        assert (wrong.status_code, "does not know this client" in wrong.text) == (422, True)
        assert there(house, hands_in, tenant) == first, "nothing was changed"
        given = typed(written, client_secret="since-today")
        answer = client.put("/api/v1/tenant/sign-in/provider", json=given)
        assert answer.json() == {"domains": [f"{name}.example"], "anew": False}
        assert sessions_of(house, tenant) == 2, "a new secret signs nobody out"
        assert there(house, hands_in, tenant)["trustEmail"], "an operator said so, and it is the same provider"
        assert len(mails_of(hands_in, tenant)) == 2, "the owner and legal"
        # Another one, which the owner might run: what it says of addresses counts for nothing.
        other = saml_provider(house.keycloak, f"{name}-next", {"hanna": f"hanna@{name}.example"})
        given = {"kind": "saml", "metadata": metadata_of(house, f"{name}-next"), "trusts_addresses": "1"}
        assert client.post("/settings/provider", data=given, follow_redirects=False).status_code == 303
        now = there(house, hands_in, tenant)
        assert (now["providerId"], now["config"]["idpEntityId"]) == ("saml", other["entity_id"])
        assert now["trustEmail"] is False
        assert first["alias"] not in {one["alias"] for one in house.keycloak.of("likeness").get_idps()}
        assert sessions_of(house, tenant) == 1, "whoever came by the earlier one is out; who came by a link is not"
        shown = client.get("/settings").text
        assert f"/broker/{now['alias']}/endpoint" in shown
        said = client.get("/api/v1/tenant/sign-in").json()
        assert said["redirect"].endswith(f"/broker/{now['alias']}/endpoint")
        assert "since-today" not in shown + str(said) + answer.text
    told = mails_of(hands_in, tenant)
    assert sum("signed out" in one for one in told) == 4
    assert sum("It is another one than before" in one for one in told) == 2
    assert any(name in one for one in mails_of(hands_in, PLATFORM)), "operators read of it, too"
    caller = f"member:{owner.id}"
    changes = [by for event, by in events_of(hands_in, tenant) if event == "provider.changed"]
    assert changes == [caller] * 2
    assert "since-today" not in caplog.text
    # Somebody there who has the owner's own address is nobody here before a mailed link says so.
    browser.goto(f"{house.address}/sso/{_provider_id(hands_in, tenant)}")
    give_password(browser)
    browser.wait_for_load_state()
    expect(browser.get_by_role("heading", name="Your account is not connected yet")).to_be_visible()
    assert sessions_of(house, tenant) == 1
    context.close()


def test_an_operator_gives_and_changes_a_companys_provider_later(
    house: House, hands_in: Kernel, operator: TestClient[Any]
) -> None:
    name = f"l{uuid4().hex[:8]}"
    sent = {"name": name, "admin_name": "Ada Byron", "admin_email": f"ada@{name}.example"}
    tenant = UUID(operator.post("/api/v1/tenants", json=sent).json()["id"])
    saml_provider(house.keycloak, f"{name}-own", {})
    given = {"kind": "saml", "metadata": metadata_of(house, f"{name}-own")}
    at = f"/operations/companies/{tenant}"
    assert operator.post(f"{at}/sign-in", data=given | {"domains": ""}).status_code == 422
    assert "Its people sign in with their accounts now." in operator.post(
        f"{at}/sign-in", data=given | {"domains": f"{name}.example"}
    ).text
    first = there(house, hands_in, tenant)
    assert first["trustEmail"] is False
    more = given | {"domains": f"{name}.example {name}.test", "trusts_addresses": "1", "second_factor": "1"}
    assert "Its sign-in is up to date." in operator.post(f"{at}/sign-in/change", data=more).text
    now = there(house, hands_in, tenant)
    assert (now["alias"], now["trustEmail"]) == (first["alias"], True)
    assert now["postBrokerLoginFlowAlias"], "a second factor is asked for"
    # Whoever hands in a new certificate or secret drops nothing that they do not name.
    for again in ({"json": {"provider": given}}, {"json": {"provider": given, "domains": [f"{name}.example"]}}):
        assert operator.put(f"/api/v1/tenants/{tenant}/sign-in", **again).json()["anew"] is False
    as_it_is = {"trusts_addresses": "", "second_factor": "", "domains": f"{name}.example {name}.test"}
    assert "Its sign-in is up to date." in operator.post(f"{at}/sign-in/change", data=given | as_it_is).text
    kept = there(house, hands_in, tenant)
    assert (kept["trustEmail"], bool(kept["postBrokerLoginFlowAlias"])) == (True, True)
    shown = operator.get(at).text
    assert "Members need a second factor." in shown
    assert f"{name}.example, {name}.test" in shown
    # Another company's domain goes to nobody, and nothing of either is changed.
    other = UUID(operator.post("/api/v1/tenants", json=sent | {"name": f"{name}-2"}).json()["id"])
    body = {"domains": [f"{name}.test"], "provider": given}
    assert operator.post(f"/api/v1/tenants/{other}/sign-in", json=body).status_code == 409
    assert operator.put(f"/api/v1/tenants/{other}/sign-in", json=body).status_code == 404
    assert operator.put(f"/api/v1/tenants/{tenant}/sign-in", json={}).json() == {
        "domains": [f"{name}.example", f"{name}.test"], "anew": False,
    }  # fmt: skip


def test_a_change_that_broke_off_after_keycloak_took_it_is_tried_again(
    house: House, hands_in: Kernel, operator: TestClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"b{uuid4().hex[:8]}"
    written = oidc_provider(house.keycloak, f"{name}-own", {})
    new = {"name": name, "admin_name": "Ada Byron", "admin_email": f"ada@{name}.example", "domains": [f"{name}.example"],
           "provider": typed(written)}  # fmt: skip
    tenant = UUID(operator.post("/api/v1/tenants", json=new).json()["id"])
    first = there(house, hands_in, tenant)
    saml_provider(house.keycloak, f"{name}-next", {})
    body = {"provider": {"kind": "saml", "metadata": metadata_of(house, f"{name}-next")}}

    def lost(*_: Any, **__: Any) -> NoReturn:
        raise ConnectionError("the database went away")

    with monkeypatch.context() as bad:
        bad.setattr(changing, "change", lost)
        assert operator.put(f"/api/v1/tenants/{tenant}/sign-in", json=body).status_code == 500
    admin = house.keycloak.of("likeness")
    assert first["alias"] not in {one["alias"] for one in admin.get_idps()}, "Keycloak has taken it"
    answer = operator.put(f"/api/v1/tenants/{tenant}/sign-in", json=body)
    assert (answer.status_code, answer.json().get("anew")) == (200, True), answer.text
    now = there(house, hands_in, tenant)
    assert now["providerId"] == "saml"
    assert [one["alias"] for one in admin.get_organizations() if one["name"] == name] == [now["alias"]]


def _provider_id(kernel: Kernel, tenant: UUID) -> UUID:
    with kernel.db.transaction(tenant) as session:
        return changing.row(session).id
