"""An OpenID provider that shares no code with the program: it plays Keycloak's part, well or badly, in this process.

What it says in a token, in an answer and in its key set can be bent for one test; the rest stays as Keycloak does it.
"""

from __future__ import annotations

import hmac
import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

RSA = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS256"})
NEXT = RSAKey.generate_key(2048, {"kid": "rsa-2", "use": "sig", "alg": "RS256"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1", "use": "sig", "alg": "ES256"})
FOREIGN = RSAKey.generate_key(2048, {"kid": "rsa-1", "use": "sig", "alg": "RS256"})
"""Somebody else's key under the id of ours."""
REALM = "likeness"


@dataclass
class Account:
    """Somebody at the provider."""

    subject: str = field(default_factory=lambda: str(uuid4()))
    email: str = ""
    verified: bool = True
    organizations: dict[str, str] = field(default_factory=dict)
    session: str = field(default_factory=lambda: uuid4().hex)
    acr: str = "password"
    signed_in_at: int = field(default_factory=lambda: int(time.time()))


@dataclass
class Asked:
    """What the program asked for, of which the code reminds the provider."""

    account: Account
    query: dict[str, str]
    used: bool = False


Bend = Callable[[Any], Any]


def same(value: Any) -> Any:
    return value


@dataclass
class Other:
    address: str = ""
    signing: Any = field(default_factory=lambda: RSA)
    algorithm: str = "RS256"
    keys: list[Any] = field(default_factory=lambda: [RSA, EC])
    skew: float = 0.0
    header: Bend = same
    claims: Bend = same
    token: Bend = same
    answer: Callable[[str], tuple[int, str, bytes] | None] = lambda path: None
    """Another answer than the right one, by path."""
    redirect: str = ""
    """Where every request is sent instead."""
    slow: float = 0.0
    codes: dict[str, Asked] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def reset(self) -> None:
        fresh = Other(self.address)
        self.__dict__.update(fresh.__dict__)

    @property
    def issuer(self) -> str:
        return f"{self.address}/realms/{REALM}"

    def authorize(self, address: str, account: Account) -> dict[str, str]:
        """What the browser brings back to the program after somebody signed in here."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.issuer}/protocol/openid-connect/auth?")
        assert query["response_type"] == "code"
        assert query["code_challenge_method"] == "S256"
        if query.get("prompt") == "login":
            account.signed_in_at = int(time.time())
        if query.get("acr_values") == "mfa" and account.acr == "able":
            account.acr = "mfa"
        code = uuid4().hex
        self.codes[code] = Asked(account, query)
        return {"state": query["state"], "code": code, "iss": self.issuer, "session_state": account.session}

    def redeem(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self.codes.get(form.get("code", ""))
        challenge = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if (
            asked is None
            or asked.used
            or form.get("client_secret") != "the-secret"
            or form.get("redirect_uri") != asked.query["redirect_uri"]
            or challenge != asked.query["code_challenge"]
        ):
            return 400, {"error": "invalid_grant"}
        asked.used = True
        return 200, {
            "access_token": f"access-{form['code']}",
            "token_type": "Bearer",
            "id_token": self.token(self.signed(self.claims(self.identity(asked)))),
        }

    def identity(self, asked: Asked) -> dict[str, Any]:
        now, account = int(time.time() + self.skew), asked.account
        wanted = [one.partition(":")[2] for one in asked.query["scope"].split() if one.startswith("organization:")]
        return {
            "iss": self.issuer, "aud": "likeness", "azp": "likeness", "typ": "ID", "sub": account.subject,
            "sid": account.session, "iat": now, "exp": now + 300, "auth_time": account.signed_in_at,
            "nonce": asked.query["nonce"], "acr": account.acr,
            "organization": {alias: {"id": it} for alias, it in account.organizations.items() if alias in wanted},
        }  # fmt: skip

    def logout_token(self, account: Account, **changes: Any) -> str:
        now = int(time.time() + self.skew)
        claims = {
            "iss": self.issuer, "aud": "likeness", "typ": "Logout", "sub": account.subject, "sid": account.session,
            "iat": now, "exp": now + 60, "jti": uuid4().hex,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        } | changes  # fmt: skip
        told = {name: value for name, value in claims.items() if value is not None}
        return self.signed(told, typ="logout+jwt")

    def signed(self, claims: dict[str, Any], typ: str = "JWT") -> str:
        header = self.header({"alg": self.algorithm, "typ": typ, "kid": self.signing.kid})
        if header["alg"] in ("none", "HS256"):
            parts = ".".join(_coded(json.dumps(one).encode()) for one in (header, claims))
            # The classic confusion: the public key, which everybody has, taken as a shared secret.
            mac = hmac.digest(self.signing.as_pem(private=False), parts.encode(), "sha256")
            return f"{parts}.{_coded(mac) if header['alg'] == 'HS256' else ''}"
        return jwt.encode(header, claims, self.signing, algorithms=[header["alg"]])

    def respond(self, path: str, form: dict[str, str], bearer: str) -> tuple[int, str, bytes]:
        end = path.removeprefix(f"/realms/{REALM}/")
        self.asked.append(end)
        time.sleep(self.slow)
        if (other := self.answer(end)) is not None:
            return other
        status, said = 404, {"error": "nothing here"}
        if end == "protocol/openid-connect/token":
            status, said = self.redeem(form)
        elif end == "protocol/openid-connect/certs":
            status, said = 200, {"keys": [key.as_dict(private=False) for key in self.keys]}
        elif end == "protocol/openid-connect/userinfo":
            asked = self.codes[bearer.removeprefix("access-")]
            account = asked.account
            status, said = 200, {"sub": account.subject, "email": account.email, "email_verified": account.verified}
        elif end == ".well-known/openid-configuration":
            status, said = 200, {"issuer": self.issuer}
        return status, "application/json", json.dumps(said).encode()


@contextmanager
def other_provider() -> Iterator[Other]:
    other = Other()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def _do(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
            bearer = (self.headers.get("authorization") or "").removeprefix("Bearer ")
            if other.redirect:
                self.send_response(302)
                self.send_header("location", other.redirect)
                self.end_headers()
                return
            status, kind, body = other.respond(urlsplit(self.path).path, form, bearer)
            try:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # The program hung up, as it may.
                return

        do_GET = do_POST = _do

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    other.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield other
    finally:
        server.shutdown()
        server.server_close()


def _coded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def query_of(brought: dict[str, str]) -> str:
    return f"/sso/callback?{urlencode(brought)}"
