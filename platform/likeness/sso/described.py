"""A company's identity provider as its people describe it, looked at before Keycloak is told of it.

Of an OpenID provider the issuer, the client's id and its secret are enough: where to sign in is asked of the issuer itself,
in the way in which a webhook is sent. So nobody can name other keys than an issuer's own, nor lead us into our own network.
A SAML provider is described by its metadata, which is only read.
"""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, ParseError

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from likeness import outbound
from likeness.ground.errors import Unavailable
from likeness.locale.marks import N_, Term, Told
from likeness.outbound import AddressRefused, CallOutcome
from likeness.sso.companies import Broker, ProviderRefused, broker_of

LARGEST_ANSWER = 256 * 1024
LARGEST_METADATA = 512 * 1024
"""Characters; a federation server of a large company writes 100,000."""
LONGEST_WORD = 2000
CERTIFICATES = 10
SMALLEST_RSA = 2048
KEYS = ("RSA", "EC", "OKP")
POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"
REDIRECT = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect"
SPACES = {"md": "urn:oasis:names:tc:SAML:2.0:metadata", "ds": "http://www.w3.org/2000/09/xmldsig#"}
AT_ONCE = 4
"""Of the web server's forty threads: each waits for servers that somebody else has named."""
_looking = threading.BoundedSemaphore(AT_ONCE)


class ManyLook(Unavailable):
    """As many providers as may be are looked at already."""

    title = "Other providers are being looked at"


@dataclass(frozen=True)
class GivenProvider:
    """What somebody typed or sent."""

    kind: str
    issuer: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    metadata: str = field(default="", repr=False)
    trusts_addresses: bool | None = False
    second_factor: bool | None = False
    """None: as it is, of a provider that the company has already."""


def looked_at(given: GivenProvider, networks: Collection[str], now: datetime) -> Broker:
    """Raises `ProviderRefused` with what is wrong, and `ManyLook`."""
    if given.kind == "oidc":
        with _one_of_few():
            written = _discovered(given, networks)
    elif given.kind == "saml":
        written = _read(given.metadata, networks, now)
    else:
        raise ProviderRefused("Say whether the provider speaks OpenID Connect (oidc) or SAML (saml). Nothing was changed.")
    more = {"trust_email": bool(given.trusts_addresses), "second_factor": bool(given.second_factor)}
    return broker_of(written | {"kind": given.kind} | more)


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _looking.acquire(timeout=0.5):
        raise ManyLook("Nothing was changed. Please send it again in a minute.")
    try:
        yield
    finally:
        _looking.release()


def _discovered(given: GivenProvider, networks: Collection[str]) -> dict[str, Any]:
    issuer, client, secret = given.issuer.strip(), given.client_id.strip(), given.client_secret.strip()
    for what, word in ((N_("the issuer"), issuer), (N_("the client's id"), client), (N_("the client's secret"), secret)):
        if not word or len(word) > LONGEST_WORD or not word.isprintable():
            raise ProviderRefused("Write {what}, in one line. Nothing was changed.", what=Term(what))
    at = _address(N_("issuer"), issuer, networks).rstrip("/")
    found = _json(f"{at}/.well-known/openid-configuration", "issuer", networks)
    if found.get("issuer") != issuer:
        raise ProviderRefused(
            "The issuer has to be written as the provider itself writes it: it calls itself {name}. Nothing was changed.",
            name=_told(found.get("issuer")),
        )
    names = {"authorization_url": "authorization_endpoint", "token_url": "token_endpoint", "jwks_url": "jwks_uri"}
    written = {ours: _address(name, found.get(name), networks) for ours, name in names.items()}
    if found.get("end_session_endpoint"):
        written["logout_url"] = _address("end_session_endpoint", found["end_session_endpoint"], networks)
    keys = _json(written["jwks_url"], "jwks_uri", networks).get("keys")
    if not isinstance(keys, list) or not any(isinstance(one, dict) and one.get("kty") in KEYS for one in keys):
        raise ProviderRefused(
            "At the provider's jwks_uri there is no key by which its tokens could be checked. Nothing was changed."
        )
    _check_client(written["token_url"], client, secret, networks)
    return written | {"issuer": issuer, "client_id": client, "client_secret": secret}


def _address(name: str, written: object, networks: Collection[str]) -> str:
    """Raises `ProviderRefused` also where it leads into a network of ours: Keycloak will go there by itself."""
    try:
        url = outbound.checked(written if isinstance(written, str) else "", networks)
    except AddressRefused as error:
        raise ProviderRefused(
            "The {name} is no address that can be used: {why} Nothing was changed.", name=Term(name),
            why=Told(error.sentence, many=error.many, **error.values),
        ) from None  # fmt: skip
    if not outbound.leads_out(url, networks):
        raise ProviderRefused("The {name} leads to no server on the public internet. Nothing was changed.", name=Term(name))
    return url


def _json(url: str, name: str, networks: Collection[str]) -> dict[str, Any]:
    answer, body = outbound.get(url, networks, LARGEST_ANSWER)
    if answer.outcome == CallOutcome.NOT_TRUSTED:
        raise ProviderRefused(
            "The certificate of the server at the {name} is not good for its name. Nothing was changed.", name=Term(name)
        )
    if answer.status is None:
        raise ProviderRefused("The server at the {name} does not answer. Nothing was changed.", name=Term(name))
    if answer.status != 200:
        raise ProviderRefused(
            "The server at the {name} answered {code} where a description should be. Nothing was changed.", name=Term(name),
            code=str(answer.status),
        )  # fmt: skip
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderRefused(
            "What the server at the {name} sends is no description of a provider. Nothing was changed.", name=Term(name)
        )
    return found


def _check_client(token_url: str, client: str, secret: str, networks: Collection[str]) -> None:
    """With a code that nobody was given: whoever knows the client refuses the code, and others the client."""
    body = {"grant_type": "authorization_code", "code": "none", "redirect_uri": "https://localhost/",
            "client_id": client, "client_secret": secret}  # fmt: skip
    headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
    answer, said = outbound.ask("POST", token_url, urlencode(body).encode(), headers, networks, LARGEST_ANSWER)
    if answer.status is None:
        raise ProviderRefused("The server at the {name} does not answer. Nothing was changed.", name="token_endpoint")
    try:
        reason = json.loads(said).get("error")
    except (ValueError, AttributeError, RecursionError):
        reason = None
    if answer.status == 401 or reason in ("invalid_client", "unauthorized_client"):
        raise ProviderRefused(
            "The provider does not know this client, or another secret belongs to it. Nothing was changed."
        )


def _read(metadata: str, networks: Collection[str], now: datetime) -> dict[str, Any]:
    if not metadata.strip():
        raise ProviderRefused("Hand in the provider's metadata, an XML file. Nothing was changed.")
    if len(metadata) > LARGEST_METADATA:
        raise ProviderRefused("The metadata is longer than {n} characters. Nothing was changed.", n=LARGEST_METADATA)
    try:
        root = fromstring(metadata.strip().lstrip("\ufeff"), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise ProviderRefused("This is no XML, or XML of a kind that is not read here. Nothing was changed.") from None
    found = [root] if root.tag == f"{{{SPACES['md']}}}EntityDescriptor" else root.findall("md:EntityDescriptor", SPACES)
    providers = [(one, own) for one in found for own in one.findall("md:IDPSSODescriptor", SPACES)]
    if not providers:
        raise ProviderRefused("The metadata describes no identity providers; it has to describe one. Nothing was changed.")
    if len(providers) > 1:
        raise ProviderRefused(
            "The metadata describes {n} identity providers; it has to describe one. Nothing was changed.", n=len(providers)
        )
    entity, provider = providers[0]
    _check_lasts([root, entity, provider], now)
    at = {one.get("Binding"): one.get("Location") for one in provider.findall("md:SingleSignOnService", SPACES)}
    binding = POST if POST in at else REDIRECT
    if binding not in at:
        raise ProviderRefused("The metadata names no address for a sign-in by POST or by redirect. Nothing was changed.")
    name = (entity.get("entityID") or "").strip()
    if not name or len(name) > LONGEST_WORD or not name.isprintable():
        raise ProviderRefused("The metadata names no entityID. Nothing was changed.")
    return {
        "entity_id": name,
        "sign_on_url": _address(N_("address of the sign-in"), at[binding], networks),
        "certificate": ",".join(_certificates(provider, now)),
        "by_redirect": binding == REDIRECT,
    }


def _check_lasts(elements: list[Element], now: datetime) -> None:
    for written in (one.get("validUntil") for one in elements):
        if written is None:
            continue
        try:
            until = datetime.fromisoformat(written)
        except ValueError:
            raise ProviderRefused("The metadata says until when it is valid, but no moment. Nothing was changed.") from None
        if (until if until.tzinfo else until.replace(tzinfo=UTC)) <= now:
            raise ProviderRefused("The metadata is valid no more. Hand in a newer one. Nothing was changed.")


def _certificates(provider: Element, now: datetime) -> list[str]:
    """Those by which it signs and that are good now, as base64: a provider that changes its key names two for a while."""
    signing = [one for one in provider.findall("md:KeyDescriptor", SPACES) if one.get("use") in (None, "signing")]
    texts = [text.text or "" for one in signing for text in one.findall(".//ds:X509Certificate", SPACES)]
    good, over = dict[str, None](), False
    for written in texts[:CERTIFICATES]:
        plain = "".join(written.split())
        try:
            certificate = x509.load_der_x509_certificate(b64decode(plain, validate=True))
            key = _key_of(certificate)
        except (ValueError, TypeError, x509.InvalidVersion):
            raise ProviderRefused("A certificate in the metadata cannot be read. Nothing was changed.") from None
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < SMALLEST_RSA:
            raise ProviderRefused(
                "A certificate in the metadata has a key of less than {bits} bits. Nothing was changed.",
                bits=str(SMALLEST_RSA),
            )
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise ProviderRefused(
                "A certificate in the metadata has a key of a kind that is not known here. Nothing was changed."
            )
        if certificate.not_valid_after_utc <= now:
            over = True
        else:
            good[plain] = None
    if not good:
        if over:
            raise ProviderRefused("The certificate in the metadata is over. Nothing was changed.")
        raise ProviderRefused("The metadata names no certificate by which it signs. Nothing was changed.")
    return list(good)


def _key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except UnsupportedAlgorithm:
        return None  # It is refused like every kind that is not known.


def _told(word: object) -> str:
    return repr(word[:200]) if isinstance(word, str) else Term(N_("nothing"))
