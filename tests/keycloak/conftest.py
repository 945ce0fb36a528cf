"""A real Keycloak with three realms: ours, and one for each of two companies that bring their own identity provider."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from keycloak import KeycloakAdmin
from playwright.sync_api import Browser, sync_playwright

from likeness.kernel import Kernel, issuer_of
from likeness.run.serving import server
from likeness.sso.administering import Reach
from likeness.sso.keycloak import KeycloakSetUp, set_up
from tests.browser.shoot import ARGS, CHROMIUM
from tests.ports import free_port

SERVERS = Path(os.environ.get("LIKENESS_TEST_SERVERS", Path(__file__).parents[3] / "shared/servers"))
STARTS_WITHIN = 300
"""Seconds; 13 on a machine that does nothing else."""


@dataclass
class Keycloak:
    url: str
    process: subprocess.Popen[bytes]

    @property
    def admin(self) -> KeycloakAdmin:
        return KeycloakAdmin(
            server_url=f"{self.url}/", username="admin", password="admin", realm_name="master", user_realm_name="master"
        )

    def of(self, realm: str) -> KeycloakAdmin:
        admin = self.admin
        admin.change_current_realm(realm)
        return admin

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(60)


@dataclass
class House:
    """The program, served for browsers, over that Keycloak."""

    kernel: Kernel
    keycloak: Keycloak
    reach: Reach
    made: KeycloakSetUp
    address: str


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The file whose last test stops Keycloak comes after the others that need it; where that test is left out, as in
    `make test`, its file keeps its place."""
    last = {item.path for item in items if item.get_closest_marker("stops_keycloak")}
    items.sort(key=lambda item: item.path in last)


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    if not (SERVERS / "keycloak").exists():
        pytest.skip(f"There is no Keycloak in {SERVERS}: LIKENESS_TEST_SERVERS names the folder of test servers.")
    if shutil.which("java") is None:
        pytest.skip("Keycloak needs Java: apt install openjdk-17-jre-headless.")
    folder, port = tmp_path_factory.mktemp("keycloak"), free_port(2)
    with (folder / "log").open("wb") as log:
        # It answers whether it is ready at the next port.
        process = subprocess.Popen(
            [str(SERVERS / "keycloak"), "--port", str(port), "--data", str(folder / "data")],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    running = Keycloak(f"http://127.0.0.1:{port}", process)
    try:
        _wait(running, folder / "log")
        yield running
    finally:
        running.stop()


def _wait(keycloak: Keycloak, log: Path) -> None:
    """Until it answers about a realm: then its database answers too, which is all that a sign-in needs."""
    end, said = time.monotonic() + STARTS_WITHIN, "nothing"
    while time.monotonic() < end:
        assert keycloak.process.poll() is None, f"Keycloak ended at its start:\n{log.read_text()[-3000:]}"
        try:
            said = str(httpx.get(f"{keycloak.url}/realms/master", timeout=5).status_code)
        except httpx.HTTPError as error:
            said = repr(error)
        if said == "200":
            return
        time.sleep(0.5)
    raise AssertionError(f"Keycloak was not ready within {STARTS_WITHIN} s, {said}:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def house(kernel: Kernel, keycloak: Keycloak) -> Iterator[House]:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    reach = Reach(keycloak.url, "likeness", user="admin", password="admin")
    made = set_up(reach, "likeness", address)
    settings = kernel.settings.model_copy(
        update={
            "public_url": address, "port": port, "keycloak_url": keycloak.url, "keycloak_secret": made.client_secret,
        }
    )  # fmt: skip
    ours = replace(kernel, settings=settings, issuer=issuer_of(settings))
    running = server(ours, host="127.0.0.1", port=port)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        thread.join(0.05)
        assert thread.is_alive(), "the web server did not start"
    yield House(ours, keycloak, reach, made, address)
    running.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Ends with its file: Playwright takes a second one in the same process only after the first has stopped."""
    if not Path(CHROMIUM).exists():
        pytest.skip("Chromium is not installed: apt install chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


def oidc_provider(keycloak: Keycloak, realm: str, people: dict[str, str]) -> dict[str, Any]:
    """A company's own OpenID provider with these people, as the company writes it into its file."""
    admin = keycloak.admin
    admin.create_realm({"realm": realm, "enabled": True})
    admin.change_current_realm(realm)
    admin.create_client(
        {
            "clientId": "likeness", "secret": "between-us", "publicClient": False, "protocol": "openid-connect",
            "standardFlowEnabled": True,
            "redirectUris": [f"{keycloak.url}/realms/likeness/broker/*"],
            "attributes": {"post.logout.redirect.uris": f"{keycloak.url}/realms/likeness/broker/*"},
        }
    )  # fmt: skip
    _people(admin, people)
    at = f"{keycloak.url}/realms/{realm}/protocol/openid-connect"
    return {
        "kind": "oidc", "issuer": f"{keycloak.url}/realms/{realm}", "authorization_url": f"{at}/auth",
        "token_url": f"{at}/token", "jwks_url": f"{at}/certs", "logout_url": f"{at}/logout",
        "client_id": "likeness", "client_secret": "between-us",
        "trust_email": True,
    }  # fmt: skip


def saml_provider(keycloak: Keycloak, realm: str, people: dict[str, str]) -> dict[str, Any]:
    """A company's own SAML provider."""
    admin = keycloak.admin
    admin.create_realm({"realm": realm, "enabled": True})
    admin.change_current_realm(realm)
    mail = {"name": "email", "protocol": "saml", "protocolMapper": "saml-user-property-mapper",
            "config": {"user.attribute": "email", "attribute.name": "email", "friendly.name": "email",
                       "attribute.nameformat": "Basic"}}  # fmt: skip
    admin.create_client(
        {
            "clientId": f"{keycloak.url}/realms/likeness", "protocol": "saml", "frontchannelLogout": True,
            "redirectUris": [f"{keycloak.url}/realms/likeness/broker/*"], "protocolMappers": [mail],
            "attributes": {"saml.assertion.signature": "true", "saml.server.signature": "true",
                           "saml.client.signature": "false",
                           "saml_name_id_format": "persistent", "saml_force_name_id_format": "true",
                           "saml.authnstatement": "true",
                           "saml.force.post.binding": "true"},
        }
    )  # fmt: skip
    _people(admin, people)
    signing = next(key for key in admin.get_keys()["keys"] if key.get("certificate") and key["algorithm"] == "RS256")
    return {
        "kind": "saml", "entity_id": f"{keycloak.url}/realms/{realm}",
        "sign_on_url": f"{keycloak.url}/realms/{realm}/protocol/saml", "certificate": signing["certificate"],
        "trust_email": True,
    }  # fmt: skip


def _people(admin: KeycloakAdmin, people: dict[str, str]) -> None:
    for name, email in people.items():
        admin.create_user(
            {
                "username": name, "email": email, "emailVerified": True, "firstName": name, "lastName": "Test",
                "enabled": True,
                "credentials": [{"type": "password", "value": "right horse", "temporary": False}],
            }
        )  # fmt: skip
