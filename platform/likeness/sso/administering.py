"""Administering a Keycloak: where it is, as whom, and what is said when it does not do something."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from keycloak import KeycloakAdmin
from keycloak.exceptions import KeycloakError
from requests import RequestException

from likeness.ground.errors import Unavailable
from likeness.ground.tls import authorities

SECONDS = 60
"""A realm is made in a second, and in half a minute on a machine that is busy."""
SETUP_CLIENT = "likeness-setup"


class KeycloakRefused(Unavailable):
    """Keycloak does not answer, or does not let this be done."""

    title = "Keycloak did not do this"


@dataclass(frozen=True)
class Reach:
    """Where Keycloak is, and as whom it is administered."""

    url: str
    realm: str
    user: str = ""
    password: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    """Of `likeness-setup`; an administrator's name and password where it is empty."""


def differs(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    for name, value in wanted.items():
        found = there.get(name)
        if isinstance(value, Mapping) and isinstance(found, Mapping):
            if differs(found, value):
                return True
        elif isinstance(value, list) and isinstance(found, list):
            if sorted(map(str, value)) != sorted(map(str, found)):
                return True
        elif found != value:
            return True
    return False


def administrator(reach: Reach, realm: str) -> KeycloakAdmin:
    """An object for one piece of work: it keeps its token in headers that all of its users would share."""
    server = f"{reach.url.rstrip('/')}/"
    if reach.client_secret:
        return KeycloakAdmin(
            server_url=server, realm_name=reach.realm, client_id=SETUP_CLIENT, client_secret_key=reach.client_secret,
            timeout=SECONDS, max_retries=0, verify=authorities("REQUESTS_CA_BUNDLE") or True,
        )  # fmt: skip
    return KeycloakAdmin(
        server_url=server, username=reach.user, password=reach.password, user_realm_name="master", realm_name=realm,
        timeout=SECONDS, max_retries=0, verify=authorities("REQUESTS_CA_BUNDLE") or True,
    )  # fmt: skip


@contextmanager
def told() -> Iterator[None]:
    try:
        yield
    except KeycloakError as error:
        if error.response_code is None:
            raise KeycloakRefused("Keycloak does not answer. Is LIKENESS_KEYCLOAK_URL its address?") from error
        raise KeycloakRefused(
            "Keycloak answered {code}: {said}", code=str(error.response_code), said=_first(error)
        ) from error
    except RequestException as error:
        raise KeycloakRefused("Keycloak does not answer: {error}.", error=type(error).__name__) from error


def _first(error: KeycloakError) -> str:
    """What Keycloak says is wrong; never the request, which may hold a secret."""
    body = error.response_body
    try:
        said = json.loads(body) if body else {}
    except ValueError:
        said = {}
    if not isinstance(said, dict):
        said = {}
    reason = said.get("errorMessage") or said.get("error_description") or said.get("error")
    return str(reason or "without a reason")[:300]
