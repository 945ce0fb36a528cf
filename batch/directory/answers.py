"""What the answers to a directory have in common, refusals too: pages, filters, and the attributes that were asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import groupby
from typing import Any

from litestar import Request, Response
from pydantic import ValidationError
from scim2_models import (
    Context,
    Error,
    InvalidFilterException,
    ListResponse,
    PatchOp,
    PatchOperation,
    PayloadTooLargeException,
    Resource,
    ResponseParameters,
    SCIMException,
    SearchRequest,
    UnauthorizedException,
)

from batch.directory import people
from batch.directory.resources import (
    LONGEST_FILTER,
    MOST_ON_A_PAGE,
    MOST_OPERATIONS,
    POLICY,
    DirectoryUser,
    Group,
    User,
)
from batch.people import lines
from likeness.ground.errors import Gone, Unprocessable
from likeness.web.guards import HEADERS, as_likeness_error, kernel_of

MEDIA_TYPE = "application/scim+json"
Asked = Request[Any, Any, Any]
BY_ID = re.compile(r'value eq "([^"\\]*)"', re.IGNORECASE)
MOST_COMPARED = 2_000_000
"""In one change: characters of filters, times the entries that each is asked of. Some seconds of processor."""


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
    """Raises what is wrong with the change, and `PayloadTooLargeException`; the resource is of no use then."""
    with POLICY:
        said = _with_paths(payload)
        op = _about(PatchOp, kind).model_validate(said, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=POLICY)
        words = sum(_asked_of_each(one) for one in op.operations if _leaving(kind, one) is None)
        # What is added on the way is asked as well, and begins with a bracket.
        there = len(getattr(resource, "members" if kind is Group else "emails") or []) + str(said).count("{")
        if words * there > MOST_COMPARED:
            raise PayloadTooLargeException(detail="This change compares too much at a time. Please send it in several.")
        for leaving, several in groupby(op.operations, key=lambda one: _leaving(kind, one) is not None):
            if leaving:
                gone = {who for one in several for who in _leaving(kind, one) or ()}
                resource.members = [one for one in resource.members or [] if one.value not in gone] or None
            else:
                op.model_copy(update={"operations": list(several)}).patch(resource, scim_policy=POLICY)


def _asked_of_each(operation: PatchOperation[Any]) -> int:
    """How many characters the library compares with each entry of a list."""
    if operation.op == PatchOperation.Op.remove and operation.value is not None:
        return len(str(operation.value))
    return len(str(operation.path)) if operation.path is not None and operation.path.value_filter else 0


def _leaving(kind: type[Resource[Any]], operation: PatchOperation[Any]) -> set[str] | None:
    """Whom an operation takes out of a group by id, as directories do; None of everything else. Asked of each member by
    the library, a hundred who leave a group of 4,000 took 9.5 seconds of processor."""
    path = operation.path
    if kind is not Group or operation.op != PatchOperation.Op.remove or path is None:
        return None
    found = path.resolve()
    if found is None or found.field_name != "members" or found.sub_field_name is not None:
        return None
    if (one := BY_ID.fullmatch(str(path.value_filter or ""))) is not None:
        return {one[1]}
    value = operation.value if isinstance(operation.value, list) else [operation.value]
    ids = [who for one in value if isinstance(one, dict) and isinstance(who := one.get("value"), str)]
    return set(ids) if len(ids) == len(value) else None


def _with_paths(payload: dict[str, Any]) -> dict[str, Any]:
    """Entra ID writes paths with a filter as keys of a value without a path, where they would be read as unknown words."""
    name = next((key for key in payload if key.casefold() == "operations"), "")
    given = payload.get(name)
    if not isinstance(given, list):
        return payload
    if len(given) > MOST_OPERATIONS or any(_longest_path(one) > LONGEST_FILTER for one in given):
        raise PayloadTooLargeException(
            detail=f"A change has {MOST_OPERATIONS} operations at most, each with a path of {LONGEST_FILTER} characters."
        )
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


def _longest_path(operation: Any) -> int:
    """The keys of a value are paths too, at any depth."""
    longest, left = 0, [operation]
    while left:
        said = left.pop()
        for key, value in said.items() if isinstance(said, dict) else ():
            path = value if key.casefold() == "path" and isinstance(value, str) else key
            longest = max(longest, len(path))
            left.append(value)
    return longest


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
