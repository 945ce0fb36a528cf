"""What a token of Keycloak has to be before anything in it is believed.

Every claim that is relied on is checked here, in one place. The algorithms are ours to choose, and the key is one of the
issuer's own set, named by its id: nothing that the token itself brings along is used to verify it.
"""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from likeness.ground.errors import Forbidden
from likeness.locale.marks import N_

ALGORITHMS = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC"}
"""What is accepted, with the kind of key that each takes."""
LEEWAY = timedelta(seconds=10)
"""How far two clocks may differ."""
OLDEST = timedelta(minutes=2)
"""A token is used in the second in which it is made."""
LONGEST = 16 * 1024
BRINGS_ITS_KEY = {"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"}
SIGNED_OUT = "http://schemas.openid.net/event/backchannel-logout"

Key = RSAKey | ECKey


class SignInRefused(Forbidden):
    """What came back from the company's sign-in is not what was asked for. `why` is for the log and names nobody."""

    title = N_("This sign-in was not completed")

    def __init__(self, why: str, message: str = "") -> None:
        unusable = N_("What came back from your company's sign-in could not be used. Nothing was changed.")
        super().__init__(message or unusable)
        self.why = why


@dataclass(frozen=True)
class Proof:
    """Whom the issuer vouches for, and since when."""

    issuer: str
    subject: str
    session: str
    organizations: Mapping[str, str]
    """Alias to id."""
    acr: str
    authenticated_at: datetime


@dataclass(frozen=True)
class SignedOut:
    """Whom the issuer signed out: one session, or all of a subject."""

    issuer: str
    session: str | None
    subject: str | None
    at: datetime


KeyOf = Callable[[str], Key | None]
"""The issuer's key with an id, None where it has none."""


def identity(token: str, key_of: KeyOf, *, issuer: str, client: str, nonce_hash: bytes, now: datetime) -> Proof:
    """Raises `SignInRefused`."""
    header, claims = _opened(token, key_of)
    if header.get("typ", "JWT") != "JWT" or claims.get("typ", "ID") != "ID":
        raise SignInRefused("type")
    _check(claims, issuer, client, now)
    if "exp" not in claims:
        raise SignInRefused("no exp")
    if not hmac.compare_digest(sha256(_text(claims, "nonce").encode()).digest(), nonce_hash):
        raise SignInRefused("nonce")
    authenticated = _moment(claims, "auth_time")
    if authenticated > now + LEEWAY:
        raise SignInRefused("auth_time")
    return Proof(
        issuer=issuer,
        subject=_text(claims, "sub"),
        session=_text(claims, "sid"),
        organizations=_organizations(claims),
        acr=str(claims.get("acr", "")),
        authenticated_at=authenticated,
    )


def signed_out(token: str, key_of: KeyOf, *, issuer: str, client: str, now: datetime) -> SignedOut:
    """A back-channel logout token. Raises `SignInRefused`."""
    header, claims = _opened(token, key_of)
    if header.get("typ", "JWT").lower() not in ("logout+jwt", "jwt") or claims.get("typ", "Logout") != "Logout":
        raise SignInRefused("type")
    _check(claims, issuer, client, now)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(SIGNED_OUT), dict) or "nonce" in claims:
        raise SignInRefused("no logout token")
    session, subject = _optional(claims, "sid"), _optional(claims, "sub")
    if session is None and subject is None:
        raise SignInRefused("neither sid nor sub")
    _text(claims, "jti")
    return SignedOut(issuer, session, subject, _moment(claims, "iat"))


def _opened(token: str, key_of: KeyOf) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token whose signature is good."""
    if len(token) > LONGEST or token.count(".") != 2:
        raise SignInRefused("no token")
    header = _header(token)
    if BRINGS_ITS_KEY & header.keys():
        raise SignInRefused("brings its own key")
    if ALGORITHMS.get(str(header.get("alg"))) is None:
        raise SignInRefused("algorithm")
    key = key_of(str(header.get("kid", "")))
    if key is None or key.key_type != ALGORITHMS[header["alg"]]:
        raise SignInRefused("unknown key")
    try:
        opened = jwt.decode(token, key, algorithms=[header["alg"]])
    except (JoseError, ValueError) as error:
        raise SignInRefused("signature") from error
    return header, dict(opened.claims)


def _header(token: str) -> dict[str, Any]:
    try:
        part = token.split(".")[0]
        header = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise SignInRefused("no token") from error
    if not isinstance(header, dict) or not isinstance(header.get("typ", ""), str):
        raise SignInRefused("no token")
    return header


def _check(claims: Mapping[str, Any], issuer: str, client: str, now: datetime) -> None:
    """What both kinds of token have in common."""
    if claims.get("iss") != issuer:
        raise SignInRefused("iss")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client not in audiences:
        raise SignInRefused("aud")
    if claims.get("azp", client) != client or (len(audiences) > 1 and "azp" not in claims):
        raise SignInRefused("azp")
    issued = _moment(claims, "iat")
    if issued > now + LEEWAY or issued < now - OLDEST:
        raise SignInRefused("iat", CLOCKS)
    if "exp" in claims and _moment(claims, "exp") <= now - LEEWAY:
        raise SignInRefused("exp", CLOCKS)
    if "nbf" in claims and _moment(claims, "nbf") > now + LEEWAY:
        raise SignInRefused("nbf", CLOCKS)


CLOCKS = N_(
    "What came back from your company's sign-in was made too long ago, or the clocks of the two servers disagree. Nothing"
    " was changed. Please try again; if it happens again, tell the people who run this server."
)


def _organizations(claims: Mapping[str, Any]) -> dict[str, str]:
    """Keycloak's claim with the ids turned on: `{"alias": {"id": "…"}}`."""
    found = claims.get("organization")
    if not isinstance(found, dict):
        return {}
    return {str(alias): str(one["id"]) for alias, one in found.items() if isinstance(one, dict) and one.get("id")}


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise SignInRefused(name)
    return value


def _optional(claims: Mapping[str, Any], name: str) -> str | None:
    return _text(claims, name) if name in claims else None


def _moment(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**40:
        raise SignInRefused(name)
    return datetime.fromtimestamp(value, UTC)
