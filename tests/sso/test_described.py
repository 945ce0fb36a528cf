"""A provider is looked at before anything is changed: what it says of itself, and everything that it can say wrongly."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from likeness.ground.db import utc_now
from likeness.locale.words import words
from likeness.sso.companies import Broker, Brokered, ProviderRefused
from likeness.sso.described import AT_ONCE, GivenProvider, ManyLook, _looking, looked_at
from tests.dashboard.leaks import OTHERS, WORD

INSIDE = ("127.0.0.0/8",)
SECRET = "between-us"


@dataclass
class Issuing:
    """An OpenID provider as far as a look at it goes: it knows one client."""

    url: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def respond(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            at = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"}
            found = {"issuer": self.url} | {name: f"{self.url}/{end}" for name, end in at.items()} | self.said
            return 200, json.dumps(found).encode()
        if path == "/keys":
            return 200, json.dumps({"keys": [{"kty": "RSA", "kid": "1", "n": "…", "e": "AQAB"}]}).encode()
        if path == "/token":
            known = (form.get("client_id"), form.get("client_secret")) == ("likeness", SECRET)
            return (400, b'{"error": "invalid_grant"}') if known else (401, b'{"error": "invalid_client"}')
        return 404, b"nothing here"


@pytest.fixture
def issuing() -> Iterator[Issuing]:
    own = Issuing()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
            status, said = own.respond(self.path, {name: one[0] for name, one in parse_qs(body).items()})
            self.send_response(status)
            self.send_header("location", f"{own.url}/elsewhere")
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = _do

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    own.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield own
    server.shutdown()
    server.server_close()


def oidc(issuing: Issuing, **changes: str) -> GivenProvider:
    words = {"kind": "oidc", "issuer": issuing.url, "client_id": "likeness", "client_secret": SECRET}
    return GivenProvider(**(words | changes))


def test_of_an_openid_provider_everything_else_is_asked_of_its_issuer(issuing: Issuing) -> None:
    issuing.said["end_session_endpoint"] = f"{issuing.url}/out"
    found = looked_at(oidc(issuing), INSIDE, utc_now())
    names = ("issuer", "authorizationUrl", "tokenUrl", "jwksUrl", "logoutUrl", "clientId")
    assert {name: found.config[name] for name in names} == {
        "issuer": issuing.url, "authorizationUrl": f"{issuing.url}/auth", "tokenUrl": f"{issuing.url}/token",
        "jwksUrl": f"{issuing.url}/keys", "logoutUrl": f"{issuing.url}/out", "clientId": "likeness",
    }  # fmt: skip
    assert (found.kind, found.trusts_addresses, found.second_factor) == ("oidc", False, False)
    assert issuing.asked == ["/.well-known/openid-configuration", "/keys", "/token"]
    assert SECRET not in repr(found) + repr(oidc(issuing))


WRONG_ISSUERS: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "another secret": ({"client_secret": "guessed"}, {}, "does not know this client"),
    "no client": ({"client_id": "  "}, {}, "the client's id"),
    "no secret": ({"client_secret": ""}, {}, "the client's secret"),
    "a secret of two lines": ({"client_secret": "a\nb"}, {}, "in one line"),
    "no address": ({"issuer": "login.example.com"}, {}, "no address that can be used"),
    "a file": ({"issuer": "file:///etc/passwd"}, {}, "no address that can be used"),
    "a name and a password": ({"issuer": "https://a:b@login.example.com"}, {}, "neither a user nor a password"),
    "another issuer's name": ({}, {"issuer": "https://accounts.example.com"}, "calls itself 'https://accounts.example.com'"),
    "no name": ({}, {"issuer": None}, "calls itself nothing"),
    "a name that is a list": ({}, {"issuer": ["a"]}, "calls itself nothing"),
    "no token endpoint": ({}, {"token_endpoint": None}, "token_endpoint is no address"),
    "a token endpoint that is a number": ({}, {"token_endpoint": 7}, "token_endpoint is no address"),
    "keys inside": ({}, {"jwks_uri": "https://169.254.169.254/latest"}, "jwks_uri leads to no server on the public"),
    "a token endpoint inside": ({}, {"token_endpoint": "https://10.1.2.3/token"}, "token_endpoint leads to no server"),
    "a sign-in page inside": ({}, {"authorization_endpoint": "https://192.168.0.1/"}, "authorization_endpoint leads to no"),
    "a sign-out page that is a script": ({}, {"end_session_endpoint": "javascript:alert(1)"}, "end_session_endpoint is no"),
}


PROTOCOL = re.compile(
    r"\w+_(?:endpoint|uri)|https?://\S*|'[^']*'|OpenID Connect|oidc|SAML|saml|XML|entityID|POST|example\.com\S*"
)


def in_each_language(error: ProviderRefused) -> None:
    """With no word of English but those of the protocols; what is written in other letters shows each."""
    for language in OTHERS:
        told = words(language).error(error)
        assert told.detail != str(error), language
        assert "Nothing was changed" not in told.detail
        if language in ("ja", "ar"):
            assert not WORD.search(PROTOCOL.sub("", told.title + told.detail)), told


@pytest.mark.parametrize("case", WRONG_ISSUERS)
def test_an_openid_provider_that_is_wrong_is_refused_with_what_is_wrong(issuing: Issuing, case: str) -> None:
    typed, said, sentence = WRONG_ISSUERS[case]
    issuing.said = said
    with pytest.raises(ProviderRefused) as refused:
        looked_at(oidc(issuing, **typed), INSIDE, utc_now())
    assert sentence in str(refused.value)
    assert "Nothing was changed." in str(refused.value)
    assert SECRET not in str(refused.value)
    in_each_language(refused.value)


@pytest.mark.parametrize(
    ("path", "answer", "sentence"),
    [
        ("/.well-known/openid-configuration", (200, b"<html>"), "is no description"),
        ("/.well-known/openid-configuration", (200, b"[1]"), "is no description"),
        ("/.well-known/openid-configuration", (200, b"[" * 100_000), "is no description"),
        ("/.well-known/openid-configuration", (200, b" " * 300_000), "does not answer"),
        ("/.well-known/openid-configuration", (302, b""), "answered 302"),
        ("/.well-known/openid-configuration", (500, b"{}"), "answered 500"),
        ("/keys", (200, b'{"keys": []}'), "no key"),
        ("/keys", (200, b'{"keys": "all"}'), "no key"),
        ("/keys", (200, b'{"keys": [{"kty": "oct", "k": "YQ"}, 7, null]}'), "no key"),
        ("/keys", (404, b""), "answered 404"),
        ("/token", (400, b'{"error": "unauthorized_client"}'), "does not know this client"),
    ],
)  # fmt: skip
def test_what_an_issuer_answers_wrongly_is_told(
    issuing: Issuing, path: str, answer: tuple[int, bytes], sentence: str
) -> None:
    issuing.answers[path] = answer
    with pytest.raises(ProviderRefused, match=sentence):
        looked_at(oidc(issuing), INSIDE, utc_now())
    assert "/elsewhere" not in issuing.asked, "no redirect is followed"


def test_an_issuer_in_our_own_network_is_not_even_asked(issuing: Issuing) -> None:
    for networks in ((), ("10.0.0.0/8",)):
        for url in (issuing.url, issuing.url.replace("http://", "https://"), "https://localhost:8443", "https://[::1]:8443"):
            with pytest.raises(ProviderRefused):
                looked_at(oidc(issuing, issuer=url), networks, utc_now())
    assert issuing.asked == []


def test_only_a_few_are_looked_at_at_once(issuing: Issuing) -> None:
    for _ in range(AT_ONCE):
        assert _looking.acquire(timeout=1)
    try:
        with pytest.raises(ManyLook):
            looked_at(oidc(issuing), INSIDE, utc_now())
    finally:
        for _ in range(AT_ONCE):
            _looking.release()
    assert looked_at(oidc(issuing), INSIDE, utc_now()).kind == "oidc"


# Made once: a key of 2,048 bits takes a while.
RSA_KEY, SMALL_KEY, EC_KEY = rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP256R1())  # noqa: E501, S505


def certificate(key: Any = RSA_KEY, *, ends: datetime | None = None) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "idp")])
    ends = ends or utc_now() + timedelta(days=365)
    made = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=400)).not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    return b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


GOOD = certificate()


def changed(before: str, after: str) -> str:
    """The good certificate with other bytes in the place of some, as hexadecimal digits."""
    return b64encode(b64decode(GOOD).replace(bytes.fromhex(before), bytes.fromhex(after), 1)).decode()


NEXT = certificate(EC_KEY)
SSO = '<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-{}" Location="{}"/>'
POST, REDIRECT = (SSO.format(kind, "https://8.8.8.8/saml") for kind in ("POST", "Redirect"))


def key_of(*certificates: str, use: str = ' use="signing"') -> str:
    inner = "".join(f"<X509Certificate>\n{one}\n</X509Certificate>" for one in certificates)
    keys = f'<KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data>{inner}</X509Data></KeyInfo>'
    return f"<KeyDescriptor{use}>{keys}</KeyDescriptor>"


def metadata(
    *parts: str, entity: str = "https://idp.example", more: str = "", head: str = '<?xml version="1.0" encoding="utf-8"?>'
) -> str:
    return (
        f'{head}<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity}" {more}>'
        f'<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">{"".join(parts)}'
        "</IDPSSODescriptor></EntityDescriptor>"
    )


def saml(text: str) -> Broker:
    return looked_at(GivenProvider("saml", metadata=text), (), utc_now())


def test_a_saml_provider_is_read_from_its_metadata() -> None:
    keys = (key_of(GOOD), key_of(NEXT, use=""), key_of("bm8=", use=' use="encryption"'))
    found = saml("\ufeff" + metadata(*keys, REDIRECT, POST))
    assert found.kind == "saml"
    assert found.config["idpEntityId"] == "https://idp.example"
    assert found.config["singleSignOnServiceUrl"] == "https://8.8.8.8/saml"
    assert found.config["signingCertificate"] == f"{GOOD},{NEXT}"
    assert (found.config["wantAssertionsSigned"], found.config["validateSignature"]) == ("true", "true")
    assert found.config["postBindingAuthnRequest"] == "true"
    assert saml(metadata(key_of(GOOD), REDIRECT)).config["postBindingAuthnRequest"] == "false"
    around = f'<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata">{metadata(key_of(GOOD), POST, head="")}</EntitiesDescriptor>'  # noqa: E501
    assert saml(around).config == saml(metadata(key_of(GOOD), POST)).config


def test_a_certificate_that_is_over_is_left_out_beside_one_that_is_good() -> None:
    over = certificate(ends=utc_now() - timedelta(days=1))
    assert saml(metadata(key_of(over, GOOD), POST)).config["signingCertificate"] == GOOD


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
WRONG_METADATA: dict[str, tuple[str, str]] = {
    "nothing": ("  ", "Hand in the provider's metadata"),
    "a page": ("<html><body>Sign in</body></html>", "describes no identity providers"),
    "no XML": ("https://idp.example/metadata", "This is no XML"),
    "half of it": (metadata(key_of(GOOD), POST)[:-30], "This is no XML"),
    "a bomb": (metadata(key_of(GOOD), POST, head=BOMB, entity="&c;"), "of a kind that is not read"),
    "a file of ours": (metadata(key_of(GOOD), POST, head=OUTSIDE, entity="&b;"), "of a kind that is not read"),
    "too much": (metadata(key_of(GOOD), POST, more=f'x="{"y" * 600_000}"'), "longer than"),
    "a service's": (metadata(key_of(GOOD), POST).replace("IDPSSO", "SPSSO"), "describes no identity providers"),
    "two": (metadata(key_of(GOOD), POST, "</IDPSSODescriptor><IDPSSODescriptor>"), "describes 2 identity providers"),
    "no certificate": (metadata(POST), "names no certificate by which it signs"),
    "a certificate for sealing": (metadata(key_of(GOOD, use=' use="encryption"'), POST), "names no certificate"),
    "no real certificate": (metadata(key_of("bm8="), POST), "cannot be read"),
    "a version that there is not": (metadata(key_of(changed("a003020102", "a003020174")), POST), "cannot be read"),
    "a key that nobody knows": (
        metadata(key_of(changed("06092a864886f70d010101", "06092a864886f70d01010d")), POST), "of a kind that is not known",
    ),
    "no base64": (metadata(key_of("%%%"), POST), "cannot be read"),
    "a small key": (metadata(key_of(certificate(SMALL_KEY)), POST), "less than 2048 bits"),
    "a certificate that is over": (metadata(key_of(certificate(ends=utc_now() - timedelta(days=1))), POST), "is over"),
    "no sign-in": (metadata(key_of(GOOD)), "names no address for a sign-in"),
    "an artifact alone": (metadata(key_of(GOOD), SSO.format("Artifact", "https://8.8.8.8/")), "names no address"),
    "a sign-in inside": (metadata(key_of(GOOD), SSO.format("POST", "https://10.0.0.1/")), "leads to no server"),
    "a sign-in without TLS": (metadata(key_of(GOOD), SSO.format("POST", "http://8.8.8.8/")), "no address that can be used"),
    "a script": (metadata(key_of(GOOD), SSO.format("POST", "javascript:alert(1)")), "no address that can be used"),
    "no name": (metadata(key_of(GOOD), POST, entity=""), "names no entityID"),
    "valid until last year": (metadata(key_of(GOOD), POST, more='validUntil="2020-01-01T00:00:00Z"'), "valid no more"),
    "valid until some day": (metadata(key_of(GOOD), POST, more='validUntil="soon"'), "but no moment"),
}


@pytest.mark.parametrize("case", WRONG_METADATA)
def test_metadata_that_is_wrong_is_refused_with_what_is_wrong(case: str) -> None:
    text, sentence = WRONG_METADATA[case]
    with pytest.raises(ProviderRefused) as refused:
        saml(text)
    assert sentence in str(refused.value)
    assert "root:" not in str(refused.value)
    in_each_language(refused.value)


@pytest.mark.parametrize("kind", ["", "ldap", "oidc\n"])
def test_a_kind_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(ProviderRefused, match="OpenID Connect"):
        looked_at(GivenProvider(kind), (), utc_now())


def test_another_provider_is_told_from_the_same_with_another_secret_or_certificate() -> None:
    one = Broker("oidc", {"issuer": "https://a.example", "clientSecret": "first"})
    there = Brokered("oidc", one.config)
    assert not there.is_other(replace(one, config=one.config | {"clientSecret": "second"}), signed_by_another=True)
    assert there.is_other(replace(one, config=one.config | {"issuer": "https://b.example"}))
    assert there.is_other(Broker("saml", one.config))
    signs = Broker("saml", {"idpEntityId": "a", "signingCertificate": "AA,BB"})
    known = Brokered("saml", {"idpEntityId": "a", "signingCertificate": "AA, BB,CC"})
    assert not known.is_other(signs, signed_by_another=True)
    rotated = replace(signs, config=signs.config | {"signingCertificate": "AA,DD"})
    assert not known.is_other(rotated), "an operator changes a certificate, and the accounts stay"
    assert known.is_other(rotated, signed_by_another=True), "an owner's is a new provider"
