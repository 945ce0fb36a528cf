"""Vault's transit engine as the one who wraps: a key of its own for each company, which never leaves Vault.

The token is read from a file each time, because the Vault agent beside the program renews it there. The policy it needs
is in `docs/operating/keys.md`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from likeness.keys.states import KeyStoreAway, MasterKeyForeign

PREFIX = "vault:v"


class Vault:
    held_for = 300.0

    def __init__(self, url: str, token_file: Path, mount: str = "transit") -> None:
        self._url, self._token_file, self._mount = url.rstrip("/"), token_file, mount.strip("/")
        self._http = httpx.Client(timeout=10)

    def wrap(self, tenant: UUID, secret: bytes) -> bytes:
        if self._ask("GET", f"keys/{_name(tenant)}", missing=True) is None:
            self._ask("POST", f"keys/{_name(tenant)}", {"type": "aes256-gcm96"})
        said = {"plaintext": _b64(secret), "associated_data": _b64(tenant.bytes)}
        return str((self._ask("POST", f"encrypt/{_name(tenant)}", said) or {})["ciphertext"]).encode()

    def unwrap(self, tenant: UUID, wrapped: bytes) -> bytes:
        if not wrapped.startswith(PREFIX.encode()):
            raise MasterKeyForeign("The company's key was not wrapped by Vault.")
        said = {"ciphertext": wrapped.decode(), "associated_data": _b64(tenant.bytes)}
        return b64decode((self._ask("POST", f"decrypt/{_name(tenant)}", said) or {})["plaintext"])

    def rotate(self, tenants: Sequence[UUID]) -> None:
        for tenant in tenants:
            self._ask("POST", f"keys/{_name(tenant)}/rotate")

    def destroy(self, tenant: UUID) -> None:
        if self._ask("GET", f"keys/{_name(tenant)}", missing=True) is not None:
            self._ask("POST", f"keys/{_name(tenant)}/config", {"deletion_allowed": True})
            self._ask("DELETE", f"keys/{_name(tenant)}")

    def describe(self) -> str:
        self._ask("GET", "/v1/auth/token/lookup-self")
        return (
            f"The companies' keys are wrapped by Vault at {self._url}, each by a key of its own in the transit engine"
            f" {self._mount}/, and are held in memory for up to {self.held_for / 60:g} minutes."
        )

    def _ask(self, method: str, path: str, said: dict[str, Any] | None = None, missing: bool = False) -> Any:
        """The answer's data; with `missing`, None where there is no such key. The errors never carry what was said."""
        url = f"{self._url}{path}" if path.startswith("/") else f"{self._url}/v1/{self._mount}/{path}"
        try:
            token = self._token_file.read_text().strip()
        except OSError as error:
            raise KeyStoreAway(f"Vault's token cannot be read from {self._token_file}.") from error
        try:
            answer = self._http.request(method, url, json=said, headers={"x-vault-token": token})
        except httpx.HTTPError:
            raise KeyStoreAway("Vault does not answer.") from None
        if missing and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if not answer.is_success:
            what = path.partition("/likeness-")[0]
            raise KeyStoreAway(f"Vault answered {answer.status_code} to {method} {what}.")
        return answer.json().get("data") if answer.content else {}


def _name(tenant: UUID) -> str:
    return f"likeness-{tenant}"


def _b64(data: bytes) -> str:
    return b64encode(data).decode()
