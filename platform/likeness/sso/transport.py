"""How the program talks to Keycloak: through `python-keycloak`, within bounds that the library does not have.

A server that is slow, huge or led astray must cost a sign-in, never the web server: each answer is read up to a size and
until a deadline, no redirect is followed, nothing is sent twice, and only so many threads wait for Keycloak at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keycloak import KeycloakOpenID
from keycloak.exceptions import KeycloakError
from requests import PreparedRequest, RequestException, Response
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from likeness.ground.errors import Unavailable
from likeness.ground.tls import authorities
from likeness.locale.marks import N_

SECONDS = 5
"""For a connection, and again for the whole of an answer."""
LARGEST = 256 * 1024
"""Bytes of an answer; a key set of ten keys with certificates has 20 kB."""
AT_ONCE = 8
"""Of the web server's forty threads."""
AWAY = N_(
    "Nothing was changed, and whoever is signed in goes on as before. Please try again in a minute. A link in a mail works"
    " meanwhile."
)
_talking = threading.BoundedSemaphore(AT_ONCE)


class ProviderAway(Unavailable):
    """Keycloak does not answer, or not in a way that can be used. Sessions and mailed links go on without it."""

    title = "Your company's sign-in does not answer right now"


class AnswerRefused(RequestException):
    """An answer that is too large, too slow, or leads elsewhere."""


class LedElsewhere(AnswerRefused):
    """A redirect, which is not followed."""


class Bounded(HTTPAdapter):
    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> Response:
        end = time.monotonic() + SECONDS
        response = super().send(request, stream=True, timeout=SECONDS, verify=verify, cert=cert, proxies=proxies)
        try:
            if response.is_redirect:
                raise LedElsewhere("it led to another address")
            response._content = _read(response, end)
        finally:
            response.close()
        return response


def _read(response: Response, end: float) -> bytes:
    found = bytearray()
    try:
        # One piece of what has arrived at a time: a server that sends a byte a second would never time out otherwise.
        while piece := response.raw.read1(16 * 1024, decode_content=True):
            found += piece
            if len(found) > LARGEST:
                raise AnswerRefused("it sent more than belongs here")
            if time.monotonic() > end:
                raise AnswerRefused("it took too long")
    except HTTPError as error:
        raise AnswerRefused("it broke off") from error
    return bytes(found)


@contextmanager
def talking(url: str, realm: str, client: str, secret: str) -> Iterator[KeycloakOpenID]:
    """A client for one conversation: its headers would be shared by all threads. Raises `ProviderAway`."""
    if not _talking.acquire(timeout=0.2):
        raise ProviderAway(N_("Many people are signing in and Keycloak is slow. Please try again in a minute."))
    try:
        made = KeycloakOpenID(
            server_url=f"{url.rstrip('/')}/", realm_name=realm, client_id=client, client_secret_key=secret,
            timeout=SECONDS, max_retries=0, verify=authorities("REQUESTS_CA_BUNDLE") or True,
        )  # fmt: skip
        for scheme in ("http://", "https://"):
            made.connection._s.mount(scheme, Bounded(max_retries=0))
        yield made
    # A TypeError is the library's word for an answer that is no JSON object, and one too deep to be read is none either.
    except (KeycloakError, RequestException, TypeError, RecursionError) as error:
        raise ProviderAway(AWAY) from error
    finally:
        _talking.release()
