"""A body comes in the form that its route reads: what is sent as something else is refused before anybody looks at it."""

from __future__ import annotations

from litestar import Request
from litestar.enums import RequestEncodingType, ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.params import BodyKwarg
from litestar.types import ASGIApp, Receive, Scope, Send

from likeness.ground.errors import LikenessError
from likeness.web.guards import SAFE_METHODS, problem

ORDINARY = 2**20
"""Bytes of a body that is no file: the longest honest one, a preview with all its columns, has some kilobytes."""
WITH_FILE = 26 * 2**20
"""What a route takes that reads one file of 25 MB."""


class BodyKind(LikenessError):
    """The body comes as another type than this address reads."""

    status, title = 415, "This type of body is not read here"


class KnownBody:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and scope["method"] not in SAFE_METHODS:
            wanted = _wanted(scope["route_handler"])
            headers = dict(scope["headers"])
            sent = headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
            kind = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
            if wanted and sent and kind != wanted:
                response = problem(BodyKind(f"Please send the body as {wanted}."))
                await response.to_asgi_response(None, Request(scope))(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _wanted(handler: object) -> str:
    """The type that the route's `data` is read from; empty where it reads none, or reads the stream itself."""
    data = handler.parsed_data_field if isinstance(handler, HTTPRouteHandler) else None
    if data is None:
        return ""
    about = data.kwarg_definition
    return str(RequestEncodingType(about.media_type if isinstance(about, BodyKwarg) else RequestEncodingType.JSON).value)
