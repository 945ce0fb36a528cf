"""A double of Vault's transit engine, by the documentation of its HTTP API: keys with versions, AEAD with associated data.

No Vault can be run here. What is known of the real one and not played: its storage, its policies, its audit devices.
"""

from __future__ import annotations

import json
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import token_bytes
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN = "hvs.a-token-for-tests"
KEY = re.compile(r"/v1/transit/keys/([\w-]+)(/rotate|/config)?")
CRYPT = re.compile(r"/v1/transit/(encrypt|decrypt)/([\w-]+)")


class VaultDouble:
    def __init__(self) -> None:
        self.keys: dict[str, list[bytes]] = {}
        self.deletable: set[str] = set()
        self.sealed = False
        self.asked: list[str] = []
        self.bodies: list[bytes] = []
        self.url = ""

    def answer(self, method: str, path: str, token: str | None, said: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        self.asked.append(f"{method} {path}")
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        if path == "/v1/auth/token/lookup-self":
            return 200, {"data": {"id": token}}
        if found := KEY.fullmatch(path):
            return self._key(method, found[1], found[2] or "", said)
        if (found := CRYPT.fullmatch(path)) and method == "POST":
            return self._encrypt(found[2], said) if found[1] == "encrypt" else self._decrypt(found[2], said)
        return 404, {"errors": []}

    def _key(self, method: str, name: str, what: str, said: dict[str, Any]) -> tuple[int, dict[str, Any] | None]:
        if method == "POST" and not what:
            self.keys.setdefault(name, [token_bytes(32)])  # A key that is there stays as it is.
            return 200, {"data": {"name": name, "type": said.get("type", "aes256-gcm96")}}
        if name not in self.keys:
            return (404, {"errors": []}) if method == "GET" else (400, {"errors": ["no existing key named " + name]})
        if method == "GET":
            return 200, {"data": {"name": name, "latest_version": len(self.keys[name])}}
        if method == "POST" and what == "/rotate":
            self.keys[name].append(token_bytes(32))
            return 200, {"data": {"latest_version": len(self.keys[name])}}
        if method == "POST" and what == "/config":
            if said.get("deletion_allowed"):
                self.deletable.add(name)
            return 200, {"data": {}}
        if method == "DELETE":
            if name not in self.deletable:
                return 400, {"errors": ["deletion is not allowed for this key"]}
            del self.keys[name]
            return 204, None
        return 405, {"errors": []}

    def _encrypt(self, name: str, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        versions = self.keys.setdefault(name, [token_bytes(32)])
        nonce = token_bytes(12)
        sealed = AESGCM(versions[-1]).encrypt(nonce, b64decode(said["plaintext"]), b64decode(said["associated_data"]))
        return 200, {"data": {"ciphertext": f"vault:v{len(versions)}:{b64encode(nonce + sealed).decode()}"}}

    def _decrypt(self, name: str, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if name not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        _, version, sealed = said["ciphertext"].split(":")
        data, key = b64decode(sealed), self.keys[name][int(version[1:]) - 1]
        try:
            plain = AESGCM(key).decrypt(data[:12], data[12:], b64decode(said["associated_data"]))
        except InvalidTag:
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": b64encode(plain).decode()}}


@contextmanager
def vault_double() -> Iterator[VaultDouble]:
    double = VaultDouble()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            double.bodies.append(body)
            token = self.headers.get("x-vault-token")
            status, said = double.answer(self.command, self.path, token, json.loads(body or b"{}"))
            data = json.dumps(said).encode() if said is not None else b""
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    double.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
