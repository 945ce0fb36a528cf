"""What the answers to a directory have in common, refusals too: pages, filters, and the attributes that were asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from litestar import Request, Response
from pydantic import ValidationError
from scim2_models import (
    Context,
    Error,
    InvalidFilterException,
    ListResponse,
    PatchOp,
    Resource,
    ResponseParameters,
    SCIMException,
    SearchRequest,
    UnauthorizedException,
)

from batch.directory import people
from batch.directory.resources import LONGEST_FILTER, MOST_ON_A_PAGE, POLICY, DirectoryUser, Group, User
from batch.people import lines
from likeness.ground.errors import Gone, Unprocessable
from likeness.web.guards import HEADERS, as_likeness_error, kernel_of

MEDIA_TYPE = "application/scim+json"
Asked = Request[Any, Any, Any]


def base(request: Asked) -> str:
    return f"{kernel_of(request).settings.public_url.rstrip('/')}/scim/v2"


def answer(body: Any, status: int = 200, **headers: str) -> Response[Any]:
    content = json.dumps(body, ensure_ascii=False).encode() if body is not None else b""
    return Response(content, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def asked_of(request: Asked, kind: type[Resource[Any]]) -> SearchRequest[Any]:
    """Raises `InvalidFilterException` for a filter that is too long, as one that cannot be read does."""
    said: SearchRequest[Any] = _about(SearchRequest, kind).model_validate(
        dict(request.query_params), scim_ctx=Context.DEFAULT, scim_policy=POLICY
    )
    if said.filter is not None and len(str(said.filter)) > LONGEST_FILTER:
        raise InvalidFilterException(detail=f"A filter has {LONGEST_FILTER} characters at most.")
    return said


def _about(message: Any, kind: type[Resource[Any]]) -> Any:
    """The class of a message about resources of a kind that is known only when this runs."""
    return message[kind]


def page(
    rows: list[Any], asked: SearchRequest[Any], shown: Callable[[Any], Resource[Any]], kind: type[Resource[Any]]
) -> ListResponse[Any]:
    """Only the lines of the page are opened where nothing is filtered."""
    start = max(1, asked.start_index or 1)
    most = MOST_ON_A_PAGE if asked.count is None else min(max(0, asked.count), MOST_ON_A_PAGE)
    found: list[Any] = rows
    if asked.filter is not None:
        found = [one for one in map(shown, rows) if asked.filter.match(one)]
    part = found[start - 1 : start - 1 + most]
    if asked.filter is None:
        part = [shown(one) for one in part]
    whole: ListResponse[Any] = _about(ListResponse, kind)(
        total_results=len(found), start_index=start, items_per_page=len(part), resources=part
    )
    return whole


def listed(whole: ListResponse[Any], asked: SearchRequest[Any]) -> Response[Any]:
    return answer(whole.model_dump(scim_ctx=Context.RESOURCE_QUERY_RESPONSE, response_parameters=asked))


def one(request: Asked, resource: Resource[Any], context: Context, status: int = 200) -> Response[Any]:
    wanted = {name: value for name, value in request.query_params.items() if name in ("attributes", "excludedAttributes")}
    kind = DirectoryUser if isinstance(resource, User) else Group
    shaped = _about(ResponseParameters, kind).model_validate(wanted, scim_policy=POLICY)
    location = str(resource.meta.location) if resource.meta else ""
    return answer(resource.model_dump(scim_ctx=context, response_parameters=shaped), status, location=location)


def patched(kind: type[Resource[Any]], payload: dict[str, Any], resource: Any) -> None:
    with POLICY:
        said = _with_paths(payload)
        op = _about(PatchOp, kind).model_validate(said, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=POLICY)
        op.patch(resource, scim_policy=POLICY)


def _with_paths(payload: dict[str, Any]) -> dict[str, Any]:
    """Entra ID writes paths with a filter as keys of a value without a path, where they would be read as unknown words."""
    name = next((key for key in payload if key.casefold() == "operations"), "")
    given = payload.get(name)
    if not isinstance(given, list):
        return payload
    operations: list[Any] = []
    for one in given:
        value: Any = one.get("value") if isinstance(one, dict) and not one.get("path") else None
        apart = {key: word for key, word in value.items() if "[" in key} if isinstance(value, dict) else {}
        if not apart:
            operations.append(one)
            continue
        rest = {key: word for key, word in value.items() if key not in apart}
        operations += [one | {"value": rest}] if rest else []
        operations += [one | {"path": key, "value": word} for key, word in apart.items()]
    return payload | {name: operations}


def error_of(error: Exception) -> Error:
    """Every refusal in SCIM's own words. Nothing of what was sent is repeated."""
    if isinstance(error, ValidationError):
        return Error.from_validation_errors(error)[0]
    if isinstance(error, SCIMException):
        return error.to_error()
    ours = as_likeness_error(error)
    kind = {people.UserTaken: "uniqueness", lines.OtherPerson: "uniqueness", Unprocessable: "invalidValue"}
    name = next((name for one, name in kind.items() if isinstance(ours, one)), None)
    status = 400 if isinstance(ours, Unprocessable) else 404 if isinstance(ours, Gone) else ours.status
    return Error(status=status, scim_type=name, detail=str(ours))


def answer_error(_: Asked, error: Exception) -> Response[Any]:
    said, headers = error_of(error), dict(HEADERS)
    if said.status == UnauthorizedException.status:
        headers["www-authenticate"] = "Bearer"
    return Response(
        json.dumps(said.model_dump()).encode(), status_code=said.status or 500, media_type=MEDIA_TYPE, headers=headers
    )
