"""What every route needs: the kernel, the caller behind the cookie, and one answer for errors."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from litestar import MediaType, Request, Response
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from likeness.db import utc_now
from likeness.errors import Forbidden, LikenessError, Unauthorized
from likeness.identity import SESSION_LIFETIME, Caller, Kind, caller_of
from likeness.kernel import Kernel
from likeness.settings import Settings

log = logging.getLogger(__name__)

RETRY_AFTER = {429: "60", 503: "5"}
"""Seconds after which a program that was refused may try again."""
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; font-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}


def kernel_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Kernel:
    kernel: Kernel = connection.app.state.kernel
    return kernel


def cookie_name(settings: Settings) -> str:
    # The `__Host-` prefix needs TLS, which the embedded profile on a laptop does not have.
    return "__Host-likeness" if settings.public_url.startswith("https://") else "likeness"


def cookie(settings: Settings, value: str) -> dict[str, Any]:
    """Keyword arguments for `Response.set_cookie`; an empty value signs out."""
    return {
        "key": cookie_name(settings),
        "value": value,
        "max_age": int(SESSION_LIFETIME.total_seconds()) if value else 0,
        "path": "/",
        "httponly": True,
        "samesite": "lax",
        "secure": settings.public_url.startswith("https://"),
    }


def caller_or_none(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller | None:
    """Who makes this request; looked up once a request."""
    if "likeness_caller" not in connection.scope["state"]:
        kernel = kernel_of(connection)
        value = connection.cookies.get(cookie_name(kernel.settings))
        connection.scope["state"]["likeness_caller"] = caller_of(kernel.db, value, utc_now())
    caller: Caller | None = connection.scope["state"]["likeness_caller"]
    return caller


def signed_in(request: Request[Any, Any, Any]) -> Caller:
    """Raises `Unauthorized` without a session."""
    caller = caller_or_none(request)
    if caller is None:
        raise Unauthorized("Please sign in.")
    return caller


def only(*kinds: Kind) -> Any:
    """A Litestar guard that lets only these kinds of callers in. Every route has a guard or is marked `public=True`."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        caller = caller_or_none(connection)
        if caller is None:
            raise Unauthorized("Please sign in.")
        if caller.kind not in kinds:
            raise Forbidden("This page belongs to somebody else's part.")

    return guard


class SameOrigin:
    """Refuses writes that another site caused: by Fetch Metadata, or by `Origin` where a browser sends no metadata."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] not in SAFE_METHODS:
            headers = dict(scope["headers"])
            site = headers.get(b"sec-fetch-site", b"").decode("latin-1")
            origin = headers.get(b"origin", b"").decode("latin-1")
            host = headers.get(b"host", b"").decode("latin-1")
            foreign = site not in ("", "same-origin", "none")
            if foreign or (not site and origin and urlsplit(origin).netloc != host):
                response = problem(Forbidden("This request came from another site and was not carried out."))
                await response.to_asgi_response(None, Request(scope))(scope, receive, send)
                return
        await self.app(scope, receive, send)


def problem(error: LikenessError) -> Response[dict[str, Any]]:
    """RFC 9457 problem details."""
    headers = {"retry-after": RETRY_AFTER[error.status]} if error.status in RETRY_AFTER else {}
    body = {"type": f"urn:likeness:{error.code}", "title": error.title, "status": error.status, "detail": str(error)}
    return Response(body, status_code=error.status, media_type="application/problem+json", headers=headers | HEADERS)


def as_likeness_error(error: Exception) -> LikenessError:
    """Any exception as one that may be shown: what is not ours is told without its message."""
    if isinstance(error, LikenessError):
        return error
    status = error.status_code if isinstance(error, HTTPException) else 500
    if isinstance(error, UnicodeDecodeError):
        status = 400  # What was sent as JSON is not text; nothing else here decodes what it was given.
    shown = LikenessError(_sentence(error, status))
    shown.status, shown.title = status, HTTPStatus(status).phrase
    return shown


def _sentence(error: Exception, status: int) -> str:
    if isinstance(error, (NotAuthorizedException, PermissionDeniedException)):
        return "This is not yours to do."
    if status < 500:
        return {404: "There is nothing at this address.", 405: "This address does not take this method."}.get(
            status, "The request could not be read: please check what was sent."
        )
    return "Something went wrong on our side. Nothing was lost; please try again."


def wants_page(request: Request[Any, Any, Any]) -> bool:
    return not request.url.path.startswith("/api/") and MediaType.HTML in request.headers.get("accept", "")
