"""A company that demands a second factor of its members, over a real Keycloak that asks for it."""

from __future__ import annotations

import hmac
import time
from base64 import b32decode

import pytest
from playwright.sync_api import Browser, expect

from likeness.sso.administering import Reach
from likeness.sso.companies import add_company, broker_of
from likeness.sso.keycloak import MFA
from tenants.models import Role
from tenants.sso import providers
from tests.factories import make_member, make_tenant
from tests.keycloak.conftest import House, oidc_provider
from tests.keycloak.test_keycloak import give_password, page_of, sessions_of

pytestmark = [pytest.mark.keycloak, pytest.mark.timeout(900)]


def code_of(secret: str, ahead: int = 0) -> str:
    """RFC 6238 as Keycloak has it where nobody says otherwise: SHA-1, six digits, thirty seconds."""
    step = int(time.time()) // 30 + ahead
    digest = hmac.digest(b32decode(secret + "=" * (-len(secret) % 8)), step.to_bytes(8, "big"), "sha1")
    at = digest[-1] & 15
    return f"{int.from_bytes(digest[at : at + 4], 'big') % 2**31 % 10**6:06d}"


def test_members_of_a_company_that_demands_it_give_a_code_and_set_it_up_at_the_first_sign_in(
    house: House, chromium: Browser
) -> None:
    tenant = make_tenant(house.kernel, name="Strict")
    written = oidc_provider(house.keycloak, "strict-own", {"hanna": "hanna@strict.example"}) | {"second_factor": True}
    reach = Reach(house.keycloak.url, "likeness", client_secret=house.made.setup_secret)
    organization = add_company(reach, "strict", "Strict", ["strict.example"], broker_of(written))
    member = make_member(house.kernel, tenant, Role.OWNER, Role.HR, email="hanna@strict.example")
    with house.kernel.db.transaction(tenant) as session:
        found = session.merge(member)
        found.joined_at = found.signed_in_at = None
        provider = providers.connect(
            session, issuer=house.kernel.issuer.name, organization=organization, alias="strict",  # type: ignore[union-attr]
            domains=["strict.example"], brokered=True, members_acr=MFA,
        )  # fmt: skip
    context, page, _ = page_of(chromium)
    page.goto(f"{house.address}/sso/{provider.id}")
    give_password(page)
    page.locator("#mode-manual").click()
    secret = page.locator("#kc-totp-secret-key").inner_text().replace(" ", "")
    assert sessions_of(house, tenant) == 0, "the password alone opens nothing"
    page.locator("#totp").fill(code_of(secret))
    page.locator("#userLabel").fill("phone")
    page.locator("#saveTOTPBtn").click()
    expect(page).to_have_url(f"{house.address}/desk")
    context.close()
    context, page, _ = page_of(chromium)
    page.goto(f"{house.address}/sso/{provider.id}")
    give_password(page)
    page.locator("#otp").fill("000000")
    page.locator("#kc-login").click()
    expect(page.locator("#otp")).to_be_visible()
    assert sessions_of(house, tenant) == 1
    page.locator("#otp").fill(code_of(secret, ahead=1))
    page.locator("#kc-login").click()
    expect(page).to_have_url(f"{house.address}/desk")
    assert sessions_of(house, tenant) == 2
    context.close()
