"""A company of the demo signs in with accounts of its own, where a Keycloak runs beside the program (LIKENESS_KEYCLOAK).

The company's own provider is a second realm of the same Keycloak, with one account in it. Everything between that and the
desk is the product: the organization, the provider behind it, and the way there and back.
"""

from __future__ import annotations

import html
import re
import secrets
from collections import defaultdict
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit
from uuid import UUID

import httpx

from likeness.demo.desk import TIMEOUT_SECONDS, DemoCompany, DemoFailed
from likeness.ground.errors import LikenessError
from likeness.kernel import Kernel
from likeness.sso.administering import administrator, told
from likeness.sso.companies import add_company, broker_of
from likeness.sso.running import OwnKeycloak
from tenants.sso import providers

ALIAS, DOMAIN = "alpenglow", "alpenglow.example"
NAME, USER = "Mara Lindqvist", "mara"
"""A colleague in HR who never opened the link of her invitation: the company's provider vouches for her address. She looks
after the brand as well, so that the links for HR go to whoever has done that before."""
BETWEEN_US = "the two realms of one demo"


@dataclass(frozen=True)
class Round:
    """The way to the password and back to the desk."""

    seconds: dict[str, float]
    """Spent waiting for each server, by host and port."""


@dataclass(frozen=True)
class DemoAccount:
    address: str
    """Where the sign-in begins."""
    password: str
    round: Round


def with_an_account(kernel: Kernel, own: OwnKeycloak, company: DemoCompany) -> DemoAccount:
    """Gives the company its own sign-in and has somebody come in by it; a second start changes nothing but the password.

    Raises `DemoFailed`.
    """
    email, password = f"{USER}@{DOMAIN}", secrets.token_urlsafe(9)
    if email not in {member["email"] for member in company.hr.call("GET", "/members").json()}:
        company.hr.call("POST", "/members", json={"name": NAME, "email": email, "roles": ["hr", "brand"]})
    try:
        provider = _provider(kernel, own, company, password)
    except LikenessError as error:
        raise DemoFailed(f"the company's own sign-in could not be made: {error}") from error
    address = f"{kernel.settings.public_url}/sso/{provider}"
    return DemoAccount(address, password, sign_in(address, USER, password, NAME))


def _provider(kernel: Kernel, own: OwnKeycloak, company: DemoCompany, password: str) -> UUID:
    reach = own.reach(kernel.settings.keycloak_realm)
    organization = add_company(reach, ALIAS, company.name, [DOMAIN], broker_of(_accounts(own, password)))
    with kernel.db.transaction(company.tenant) as session:
        there = providers.of_company(session)
        if there is None:
            issuer = kernel.issuer.name if kernel.issuer else ""
            there = providers.connect(
                session, issuer=issuer, organization=organization, alias=ALIAS, domains=[DOMAIN], brokered=True
            )
        return there.id


def _accounts(own: OwnKeycloak, password: str) -> dict[str, object]:
    """The company's realm with one account, and what a company writes into its file about a provider."""
    realm = f"{ALIAS}-accounts"
    back = f"{own.url}/realms/{own.realm}/broker/*"
    with told():
        admin = administrator(own.reach(realm), "master")
        admin.create_realm({"realm": realm, "displayName": "Alpenglow", "enabled": True}, skip_exists=True)
        admin.change_current_realm(realm)
        client = {
            "clientId": "likeness", "secret": BETWEEN_US, "protocol": "openid-connect", "standardFlowEnabled": True,
            "redirectUris": [back], "attributes": {"post.logout.redirect.uris": back},
        }  # fmt: skip
        admin.create_client(client, skip_exists=True)
        first, last = NAME.split()
        person = {"username": USER, "email": f"{USER}@{DOMAIN}", "emailVerified": True, "firstName": first,
                  "lastName": last, "enabled": True}  # fmt: skip
        admin.set_user_password(admin.create_user(person, exist_ok=True), password, temporary=False)
    at = f"{own.url}/realms/{realm}/protocol/openid-connect"
    return {
        "kind": "oidc", "issuer": f"{own.url}/realms/{realm}", "authorization_url": f"{at}/auth",
        "token_url": f"{at}/token", "jwks_url": f"{at}/certs", "logout_url": f"{at}/logout", "client_id": "likeness",
        "client_secret": BETWEEN_US, "trust_email": True,
    }  # fmt: skip


def sign_in(address: str, user: str, password: str, name: str) -> Round:
    """As a browser does it: along every redirect to the form for the password, and back to the desk of `name`.

    Raises `DemoFailed`.
    """

    def note(_: httpx.Response) -> None:
        # Browsers take this machine for a safe place and send it the cookies that are meant for HTTPS; httpx does not.
        for cookie in browser.cookies.jar:
            cookie.secure = False

    with httpx.Client(
        follow_redirects=True, timeout=TIMEOUT_SECONDS, trust_env=False, event_hooks={"response": [note]}
    ) as browser:
        asked = browser.get(address)
        form = re.search(r'<form[^>]*id="kc-form-login"[^>]*action="([^"]+)"', asked.text)
        if form is None:
            raise DemoFailed(f"{asked.url} was answered {asked.status_code} and asks for no password")
        given = {"username": user, "password": password, "credentialId": ""}
        back = browser.post(html.unescape(form[1]), data=given)
        desk = browser.get(urljoin(address, "/desk"))
    if name not in desk.text:
        raise DemoFailed(f"{back.url} was answered {back.status_code}, and {name} is not signed in")
    seconds: dict[str, float] = defaultdict(float)
    for one in (*asked.history, asked, *back.history, back, *desk.history, desk):
        seconds[urlsplit(str(one.url)).netloc] += one.elapsed.total_seconds()
    return Round(dict(seconds))
