"""What the OpenAPI document says of every route besides its own answer: who may call it, and how it refuses."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    OpenAPIType,
    Operation,
    Parameter,
    Reference,
    Schema,
    SecurityScheme,
)
from litestar.routes import HTTPRoute

from likeness.ground.settings import Settings
from likeness.identity import Kind
from likeness.web.guards import SAFE_METHODS, cookie_name, let_in

SESSION = "session"
KEY = "key"
PROBLEM = Schema(
    type=OpenAPIType.OBJECT,
    title="Problem",
    description="RFC 9457: `type` is for programs, `detail` is a sentence for people.",
    properties={
        "type": Schema(type=OpenAPIType.STRING),
        "title": Schema(type=OpenAPIType.STRING),
        "status": Schema(type=OpenAPIType.INTEGER),
        "detail": Schema(type=OpenAPIType.STRING),
    },
    required=["type", "title", "status", "detail"],
)
ALWAYS = {400: "What was sent could not be read.", 429: "Too much at once.", 503: "Not available right now."}
SIGNED_IN = {
    401: "There is no session.",
    403: "The session's part is another one, or its role.",
    404: "What it is about is not there, or is another company's.",
    410: "What it is about was deleted for good.",
}
SLOW_BODY = {408: "The body hardly moved for nearly a minute."}
"""For the `opt` of a route that reads a file: `opt={"refuses": SLOW_BODY}`."""
FOR_PEOPLE = {"for_people": True}
"""For the `opt` of a route that no program's key opens, because it asks for what only somebody with a name may do."""
WITH_ID = {404: "There is no such thing, or it is another company's.", 410: "It was deleted for good."}
WRITING = {
    403: "The request came from another site, or the caller may not do this.",
    409: "It does not fit the present state; nothing was changed.",
    410: "It was deleted for good.",
    413: "The body is too large.",
    415: "The body comes as another type.",
    422: "What was sent cannot be used as it is; nothing was changed.",
}
ONCE = Parameter(
    name="Idempotency-Key",
    param_in="header",
    required=False,
    description="16 to 200 printable characters that nobody guesses, such as a random UUID; good for 24 hours. The same key"
    " with the same request is carried out once and answers the same, with `Idempotent-Replayed: true`. With another"
    " request it is refused (422), and while the first one runs, or when nobody knows how it ended, too (409). Bodies"
    " over 1 MiB take no key: the same file twice is one anyway.",
    schema=Schema(type=OpenAPIType.STRING, min_length=16, max_length=200),
)
READING = {422: "A parameter cannot be used as it is."}
MORE = OpenAPIHeader(
    description="While there are more lines, the address of the next page, as RFC 8288 has it: `<…>; rel=\"next\"`.",
    schema=Schema(type=OpenAPIType.STRING),
)
"""On the answer of every list that takes `after`."""


def security(settings: Settings) -> Components:
    """How a request is signed: by the cookie that signing in gives, or by a program's key."""
    cookie = SecurityScheme(
        type="apiKey",
        name=cookie_name(settings),
        security_scheme_in="cookie",
        description="Given by `POST /api/v1/sign-in/{token}`.",
    )
    key = SecurityScheme(
        type="http", scheme="bearer", description="A key that a member made on the page Team, Keys for programs."
    )
    return Components(security_schemes={SESSION: cookie, KEY: key})


def describe(app: Litestar) -> None:
    """Writes into the document what every route has in common, so that no route has to repeat it."""
    document = app.openapi_schema
    if document.components.schemas is not None:
        document.components.schemas["Problem"] = PROBLEM
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            for handler in route.route_handlers:
                for operation in _operations(document.paths or {}, route, handler):
                    _refusals(operation, route, handler)


def _operations(paths: Any, route: HTTPRoute, handler: HTTPRouteHandler) -> list[Operation]:
    item = paths.get(route.path_format)
    found = [getattr(item, method.lower(), None) for method in handler.http_methods] if item else []
    return [one for one in found if one is not None]


def _signed_by(handler: HTTPRouteHandler) -> list[dict[str, list[str]]]:
    kinds, signed = let_in(handler), list[dict[str, list[str]]]()
    if kinds - {Kind.MACHINE}:
        signed.append({SESSION: []})
    if Kind.MACHINE in kinds:
        signed.append({KEY: []})
    return signed


def _refusals(operation: Operation, route: HTTPRoute, handler: HTTPRouteHandler) -> None:
    guarded = bool(handler.resolve_guards())
    operation.security = _signed_by(handler) if guarded else [{}]
    writes = bool(set(handler.http_methods) - SAFE_METHODS)
    if guarded and writes and not route.path.startswith("/api/v1/visit"):
        operation.parameters = [*(operation.parameters or []), ONCE]
    said = dict(ALWAYS) | (SIGNED_IN if guarded else {}) | (WITH_ID if route.path_parameters else {})
    said = (WRITING if writes else READING) | said
    said |= handler.opt.get("refuses", {})
    responses = operation.responses = dict(operation.responses or {})
    answered = responses.get("200")
    if not writes and "after" in handler.parsed_fn_signature.parameters and isinstance(answered, OpenAPIResponse):
        answered.headers = dict(answered.headers or {}) | {"Link": MORE}
    for status, words in sorted(said.items()):
        body = OpenAPIMediaType(schema=Reference(ref="#/components/schemas/Problem"))
        answer = OpenAPIResponse(description=words or HTTPStatus(status).phrase, content={"application/problem+json": body})
        # Litestar describes its own 400, which no answer of ours looks like.
        responses[str(status)] = answer
