"""The realm that vouches for people: where a sign-in begins, what its code is worth, and the keys that it signs with."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from keycloak.exceptions import KeycloakConnectionError, KeycloakError

from likeness.sso.tokens import Key, SignInRefused
from likeness.sso.transport import AWAY, LedElsewhere, ProviderAway, talking

log = logging.getLogger(__name__)

KEPT_SECONDS = 300.0
"""A key that was withdrawn is accepted no longer than this."""
PAUSE_SECONDS = 10.0
"""Between two looks for a key that is not there, where anybody may ask for one."""
MOST_KEYS = 20
AWAKE_SECONDS = 10.0
"""Who answered so long ago is taken to answer still."""
AWAY_SECONDS = 5.0
"""Who did not answer is left alone for so long."""


@dataclass(frozen=True)
class Tokens:
    """What a code was worth. The access token opens the address and nothing else."""

    identity: str = field(repr=False)
    access: str = field(repr=False)


@dataclass(frozen=True)
class Address:
    """What the issuer says of somebody's address; asked for at the first sign-in only."""

    email: str
    verified: bool


@dataclass
class Issuer:
    """One realm of a Keycloak, and this program as its client. Its keys are kept for five minutes."""

    url: str
    realm: str
    client: str
    secret: str = field(repr=False)
    redirect: str
    _keys: dict[str, Key] = field(default_factory=dict, repr=False)
    _read_at: float = field(default=float("-inf"), repr=False)
    _away_until: float = field(default=float("-inf"), repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """As its tokens say it in `iss`."""
        return f"{self.url.rstrip('/')}/realms/{quote(self.realm)}"

    def beginning(
        self,
        *,
        state: str,
        nonce: str,
        challenge: str,
        organization: str,
        provider: str = "",
        acr: str = "",
        again: bool = False,
    ) -> str:
        """Where the browser is sent; `again` asks for the password also of somebody who is signed in there."""
        asked = {
            "client_id": self.client, "response_type": "code", "response_mode": "query",
            "scope": f"openid organization:{organization}", "redirect_uri": self.redirect, "state": state, "nonce": nonce,
            "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        if provider:
            asked["kc_idp_hint"] = provider
        if acr:
            asked["acr_values"] = acr
        if again:
            asked |= {"prompt": "login", "max_age": "0"}
        return f"{self._place('auth')}?{urlencode(asked)}"

    def exchanged(self, code: str, verifier: str) -> Tokens:
        """Raises `SignInRefused` for a code that is worth nothing, `ProviderAway`."""
        with self._talking() as keycloak:
            try:
                answer = keycloak.token(
                    grant_type="authorization_code", code=code, redirect_uri=self.redirect, code_verifier=verifier
                )
            except KeycloakError as error:
                if error.response_code in (400, 401):
                    # The code, or the client itself: Keycloak says which in its log, and ours names the kind.
                    raise SignInRefused(f"code refused with {error.response_code}") from error
                raise
        identity, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(identity, str) or not isinstance(access, str):
            raise SignInRefused("no tokens")
        return Tokens(identity, access)

    def address(self, tokens: Tokens, subject: str) -> Address | None:
        """What the issuer says of the subject's address, None where it says none. Raises `SignInRefused`."""
        with self._talking() as keycloak:
            said = keycloak.userinfo(tokens.access)
        if not isinstance(said, Mapping):
            raise ProviderAway(AWAY)
        if said.get("sub") != subject:
            raise SignInRefused("userinfo of another subject")
        email = said.get("email")
        return Address(email, said.get("email_verified") is True) if isinstance(email, str) and email else None

    def key(self, kid: str) -> Key | None:
        """For a token that the issuer itself just gave us: an unknown key is looked for at once. Raises `ProviderAway`."""
        return self._key(kid, pause=0.0)

    def key_for_strangers(self, kid: str) -> Key | None:
        """For a token that anybody may have sent: made-up keys cost the issuer a question every ten seconds at most."""
        return self._key(kid, pause=PAUSE_SECONDS)

    def awake(self) -> None:
        """Raises `ProviderAway` before a browser is sent to a server that does not answer."""
        now = time.monotonic()
        if now < self._away_until:
            raise ProviderAway(AWAY)
        if now - self._read_at > AWAKE_SECONDS:
            try:
                self._refresh()
            except ProviderAway:
                self._away_until = time.monotonic() + AWAY_SECONDS
                raise ProviderAway(AWAY) from None

    def _key(self, kid: str, pause: float) -> Key | None:
        age = time.monotonic() - self._read_at
        if age > KEPT_SECONDS or (kid not in self._keys and age > pause):
            self._refresh()
        return self._keys.get(kid)

    def _refresh(self) -> None:
        """Asks outside the lock: a slow answer must not queue up the threads behind it."""
        fresh = self._read()
        with self._lock:
            self._keys, self._read_at = fresh, time.monotonic()

    def _read(self) -> dict[str, Key]:
        with self._talking() as keycloak:
            told = keycloak.certs()
        listed = told.get("keys") if isinstance(told, Mapping) else None
        if not isinstance(listed, list):
            raise ProviderAway(AWAY)
        found = {str(one["kid"]): key for one in listed[:MOST_KEYS] if isinstance(one, dict) and (key := _signing(one))}
        if not found:
            raise ProviderAway(AWAY)
        return found

    def ending(self, hint: str, back: str) -> str:
        """Where the browser is sent to sign out of the company's account too."""
        asked = {"client_id": self.client, "post_logout_redirect_uri": back} | ({"id_token_hint": hint} if hint else {})
        return f"{self._place('logout')}?{urlencode(asked)}"

    def ended(self, hint: str, back: str) -> bool:
        """Ends the session there that the hint is of, without its browser; False where that is not certain. Who carried
        it out sends the browser back, and who would rather ask somebody shows a page."""
        asked = {"client_id": self.client, "post_logout_redirect_uri": back, "id_token_hint": hint}
        with suppress(ProviderAway), self._talking() as keycloak:
            try:
                keycloak.connection.raw_post(f"realms/{self.realm}/protocol/openid-connect/logout", asked)
            except KeycloakConnectionError as error:
                return isinstance(error.__cause__, LedElsewhere)
        return False

    def clock_difference(self) -> float:
        """Seconds that the issuer's clock is ahead of `time.time()`. Raises `ProviderAway`."""
        with self._talking() as keycloak:
            answer = keycloak.connection.raw_get(f"realms/{quote(self.realm)}/.well-known/openid-configuration")
            if answer.status_code == 404:
                raise ProviderAway(f"There is no realm {self.realm}. Run `likeness keycloak setup`.")
            said, dated = answer.json(), answer.headers.get("date", "")
        if said.get("issuer") != self.name:
            raise ProviderAway(f"It calls itself {said.get('issuer')}, and tokens of {self.name} are expected.")
        return parsedate_to_datetime(dated).timestamp() - time.time() if dated else 0.0

    def question_of_redirect(self) -> str:
        """An address that sends a browser back to us at once where it may, because nobody is signed in."""
        asked = {"client_id": self.client, "response_type": "code", "redirect_uri": self.redirect, "prompt": "none",
                 "scope": "openid", "code_challenge": "x" * 43, "code_challenge_method": "S256"}  # fmt: skip
        return f"{self._place('auth')}?{urlencode(asked)}"

    def _place(self, end: str) -> str:
        return f"{self.name}/protocol/openid-connect/{end}"

    def _talking(self) -> Any:
        return talking(self.url, self.realm, self.client, self.secret)


def _signing(written: dict[str, Any]) -> Key | None:
    """A public key that signatures are verified with; None for any other."""
    if written.get("use", "sig") != "sig" or not written.get("kid") or "d" in written:
        return None
    try:
        if written.get("kty") == "RSA":
            key = RSAKey.import_key(written)
            return key if key.raw_value.key_size >= 2048 else None
        if written.get("kty") == "EC" and written.get("crv") == "P-256":
            return ECKey.import_key(written)
    except (JoseError, ValueError, TypeError):
        log.warning("a key of the issuer could not be read")
    return None
