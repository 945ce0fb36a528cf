"""What every route needs: the kernel, the caller behind the cookie, and one answer for errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from litestar import MediaType, Request, Response
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.exceptions import (
    HTTPException,
    InternalServerException,
    NotAuthorizedException,
    PermissionDeniedException,
)
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlmodel import Session

from likeness.ground.db import utc_now
from likeness.ground.errors import Forbidden, LikenessError, Unauthorized
from likeness.ground.settings import Settings
from likeness.identity import SESSION_LIFETIME, Caller, FreshSignInNeeded, Kind, caller_of, end_session
from likeness.kernel import Kernel
from likeness.locale.languages import accepted
from likeness.locale.marks import N_
from likeness.locale.words import Words, words
from likeness.machines import caller_with
from likeness.web import threads

TITLES = {
    400: N_("We could not read this"),
    401: N_("Please sign in"),
    403: N_("This is not open to you"),
    404: N_("There is nothing here"),
    405: N_("This cannot be done here"),
    413: N_("This is too large"),
    500: N_("Something went wrong on our side"),
}
"""What is said above a sentence about an error of the framework's, by status."""
SIGNED_OUT = N_("You are not signed in, or your sign-in has ended.")
RETRY_AFTER = {429: "60", 503: "5"}
"""Seconds after which a program that was refused may try again."""
BY_ITSELF = "likeness-by-itself"
"""A header of what a page asks every few seconds, so that an open page is not taken for somebody who is there."""
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
    # Whatever says something of a person stays in no cache, and what says nothing of anybody costs nothing to ask again.
    # An answer that may be kept, such as a style sheet, says so itself.
    "cache-control": "no-store",
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
        value, program = shown(connection)
        if program:
            found = caller_with(kernel.db, value, utc_now())
        else:
            found = caller_of(kernel.db, value, utc_now(), by_itself=BY_ITSELF in connection.headers)
        connection.scope["state"]["likeness_caller"] = found
        if value and found:
            threads.remember(value, found.tenant, found.id)
    caller: Caller | None = connection.scope["state"]["likeness_caller"]
    return caller


def end_before(request: Request[Any, Any, Any]) -> None:
    """Ends the session that came with this request, for whoever has signed in anew: what nobody sees any more is left to
    nobody who has a copy of its cookie."""
    before = caller_or_none(request)
    if before is not None and before.kind != Kind.MACHINE:
        with kernel_of(request).db.transaction(before.tenant) as session:
            end_session(session, before.session)


def shown(connection: ASGIConnection[Any, Any, Any, Any]) -> tuple[str, bool]:
    """The key or cookie by which a request says who makes it, empty without one; and whether it is a program's key.

    Whoever shows a key is the program alone, whatever cookie comes along.
    """
    if token := bearer(connection):
        return token, True
    return connection.cookies.get(cookie_name(kernel_of(connection).settings)) or "", False


def bearer(connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    """The key that a program shows; empty for a browser."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def signed_in(request: Request[Any, Any, Any]) -> Caller:
    """Raises `Unauthorized` without a session."""
    caller = caller_or_none(request)
    if caller is None:
        raise Unauthorized(SIGNED_OUT)
    return caller


class NotByKey(Forbidden):
    title = "This is done by people alone"


class only:
    """A Litestar guard that lets only these kinds of callers in. Every route has a guard or is marked `public=True`."""

    def __init__(self, *kinds: Kind) -> None:
        self.kinds = kinds

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        caller = caller_or_none(connection)
        if caller is None:
            raise Unauthorized(SIGNED_OUT)
        if caller.kind == Kind.MACHINE and "for_people" in handler.opt:
            raise NotByKey("No key opens this: it is asked of a person who signed in.")
        # A program works in a member's place, on the API alone: a page is for somebody who reads it.
        in_place = caller.kind == Kind.MACHINE and Kind.MEMBER in self.kinds and connection.url.path.startswith("/api/")
        part = caller if in_place else caller.as_kind(*self.kinds)
        if part is None:
            raise Forbidden("This page belongs to somebody else's part.")
        connection.scope["state"]["likeness_caller"] = part


@contextmanager
def own(request: Request[Any, Any, Any]) -> Iterator[tuple[Session, Caller]]:
    """A transaction of the caller's company, for what people do about themselves. It ends with the block, so what is long
    or slow comes after it. What members and operators do asks for a permission: `tenants.members.access.desk`."""
    caller = signed_in(request)
    with kernel_of(request).db.transaction(caller.tenant) as session:
        yield session, caller


def let_in(handler: BaseRouteHandler) -> frozenset[Kind]:
    """The kinds of callers that a route is for; empty for a public one.

    A program is among them where it may work in a member's place: not where somebody has to have signed in a moment ago,
    nor where the route says that it is for people.
    """
    guards = [getattr(guard, "func", guard) for guard in handler.resolve_guards()]
    kinds = frozenset(kind for guard in guards if isinstance(guard, only) for kind in guard.kinds)
    in_place = Kind.MEMBER in kinds and fresh not in guards and "for_people" not in handler.opt
    return kinds | {Kind.MACHINE} if in_place else kinds


def fresh(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """A Litestar guard behind `only`, for what cannot be taken back. Raises `FreshSignInNeeded`."""
    caller = caller_or_none(connection)
    if caller is None:
        raise Unauthorized(SIGNED_OUT)
    if caller.kind == Kind.MACHINE:
        raise FreshSignInNeeded("No key opens this: it is asked of a person who signed in within the last five minutes.")
    caller.check_fresh(utc_now())


def recent(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether `fresh` lets through now: a page shows no form whose words would be lost."""
    caller = caller_or_none(connection)
    try:
        if caller is not None:
            caller.check_fresh(utc_now())
    except FreshSignInNeeded:
        return False
    return caller is not None


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
            if foreign or (not site and origin and _host_in(origin) != host):
                reads = words(accepted(headers.get(b"accept-language", b"").decode("latin-1")))
                elsewhere = Forbidden(N_("This request came from another site and was not carried out."))
                response = problem(elsewhere, reads)
                await response.to_asgi_response(None, Request(scope))(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _host_in(origin: str) -> str | None:
    """None for what is no address: nobody's own."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def problem(error: LikenessError, reads: Words | None = None) -> Response[dict[str, Any]]:
    """RFC 9457 problem details, in the language of these words; programs go by `type`."""
    said = (reads or Words()).error(error)
    headers = {"retry-after": RETRY_AFTER[error.status]} if error.status in RETRY_AFTER else {}
    body = {"type": f"urn:likeness:{error.code}", "title": said.title, "status": error.status, "detail": said.detail}
    return Response(body, status_code=error.status, media_type="application/problem+json", headers=headers | HEADERS)


def as_likeness_error(error: Exception) -> LikenessError:
    """Any exception as one that may be shown: what is not ours is told without its message."""
    if isinstance(error, LikenessError):
        return error
    status = error.status_code if isinstance(error, HTTPException) else 500
    if isinstance(error, UnicodeDecodeError) or _raised_in_reading(error) or _hung_up(error):
        status = 400  # What was sent as JSON is not text; nothing else here decodes what it was given.
    shown = LikenessError(_sentence(error, status))
    shown.status, shown.title = status, TITLES.get(status, TITLES[400 if status < 500 else 500])
    return shown


def _hung_up(error: Exception) -> bool:
    """Whether it is the framework's word for a caller who went away before the whole body had come."""
    return isinstance(error, InternalServerException) and error.detail == "client disconnected prematurely"


def _raised_in_reading(error: Exception) -> bool:
    """Whether it is of brackets that are nested too deeply for whoever reads JSON, not of our own program."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return isinstance(error, RecursionError) and place is not None and "/msgspec" in place.tb_frame.f_code.co_filename


def _sentence(error: Exception, status: int) -> str:
    if isinstance(error, (NotAuthorizedException, PermissionDeniedException)):
        return N_("You may not do this.")
    if status < 500:
        return {404: N_("There is nothing at this address."), 405: N_("This address does not take this method.")}.get(
            status, N_("The request could not be read: please check what was sent.")
        )
    return N_("Something went wrong on our side. Nothing was lost; please try again.")


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a person reads the answer: in a page, or in a part of one, which HTMX fetches as anything (`*/*`)."""
    read = "hx-request" in request.headers or MediaType.HTML in request.headers.get("accept", "")
    return read and not request.url.path.startswith("/api/")
