"""Several operations in one request of a directory (RFC 7644, section 3.7).

Each is carried out as the request that it stands for, in a transaction of its own: one that fails undoes no other. What an
operation refers to by a `bulkId` is made first, wherever in the request it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from scim2_models import (
    ConflictException,
    Error,
    InvalidPathException,
    InvalidSyntaxException,
    InvalidValueException,
    PayloadTooLargeException,
)

from batch.directory.resources import MOST_OPERATIONS

RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
METHODS = ("POST", "PUT", "PATCH", "DELETE")
KINDS = ("Users", "Groups")
REFERS = "bulkId:"
Act = Callable[[str, str, str, dict[str, Any]], str]
"""Carries out a method on a kind, with an id and what was sent, and returns where the resource is. Raises why not."""


def _of(said: dict[str, Any], name: str) -> Any:
    """An attribute, whose name is written with any capitals."""
    return next((value for key, value in said.items() if key.casefold() == name.casefold()), None)


def _texts(said: Any) -> Iterator[str]:
    if isinstance(said, str):
        yield said
    elif isinstance(said, dict | list):
        for one in said.values() if isinstance(said, dict) else said:
            yield from _texts(one)


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    bulk_id: str
    data: Any

    @classmethod
    def read(cls, said: Any) -> Operation:
        if not isinstance(said, dict):
            raise InvalidSyntaxException(detail="An operation is not an object.")
        method, path, bulk_id = (str(_of(said, name) or "") for name in ("method", "path", "bulkId"))
        return cls(method.upper(), path, bulk_id, _of(said, "data"))

    @cached_property
    def refers(self) -> set[str]:
        found = [*_texts(self.data), *self.path.split("/")]
        return {one.removeprefix(REFERS) for one in found if one.startswith(REFERS)}

    def check(self) -> str:
        """The kind that it is about. Raises what is wrong with it."""
        kind, _, resource_id = self.path.lstrip("/").partition("/")
        if self.method not in METHODS:
            raise InvalidValueException(detail=f"The method of an operation is one of {', '.join(METHODS)}.")
        if kind not in KINDS or bool(resource_id) == (self.method == "POST"):
            raise InvalidPathException(detail="POST goes to /Users or /Groups; the others name one of these with its id.")
        if self.method == "POST" and not self.bulk_id:
            raise InvalidValueException(detail="An operation that makes something has a bulkId.")
        if self.method != "DELETE" and not isinstance(self.data, dict):
            raise InvalidValueException(detail="This operation needs data.")
        return kind


@dataclass
class BulkRequest:
    operations: list[Operation]
    most_errors: int | None
    base: str
    made: dict[str, str] = field(default_factory=dict)
    """From `bulkId` to id."""

    @classmethod
    def read(cls, said: dict[str, Any], base: str) -> BulkRequest:
        """Raises `PayloadTooLargeException`, and what is wrong with the whole of it."""
        operations, most = _of(said, "Operations"), _of(said, "failOnErrors")
        if not isinstance(operations, list):
            raise InvalidSyntaxException(detail="Operations is a list.")
        if len(operations) > MOST_OPERATIONS:
            raise PayloadTooLargeException(
                detail=f"There are {len(operations)} operations, and {MOST_OPERATIONS} at most are carried out at a time."
            )
        if most is not None and (not isinstance(most, int) or most < 1):
            raise InvalidValueException(detail="failOnErrors is a whole number from 1 on.")
        return cls([Operation.read(one) for one in operations], most, base)

    def carry_out(self, act: Act, error_of: Callable[[Exception], Error]) -> dict[str, Any]:
        """Until as many have failed as were accepted; those after are not begun, and are not in the answer."""
        told: dict[int, dict[str, Any]] = {}
        left = list(enumerate(self.operations))
        while left:
            # Whoever waits for nobody, or for whom nobody is left to wait.
            first = next((one for one in left if not self._waits(one[1], left)), left[0])
            left.remove(first)
            number, operation = first
            told[number] = self._one(operation, act, error_of)
            if self.most_errors and sum("response" in one for one in told.values()) >= self.most_errors:
                break
        return {"schemas": [RESPONSE], "Operations": [told[number] for number in sorted(told)]}

    def _waits(self, operation: Operation, left: list[tuple[int, Operation]]) -> bool:
        to_come = {one.bulk_id for _, one in left if one is not operation and one.method == "POST"}
        return bool(operation.refers & to_come)

    def _one(self, operation: Operation, act: Act, error_of: Callable[[Exception], Error]) -> dict[str, Any]:
        told: dict[str, Any] = {"method": operation.method}
        if operation.bulk_id:
            told["bulkId"] = operation.bulk_id
        path = "/".join(self._resolved(one) for one in operation.path.lstrip("/").split("/"))
        where = f"{self.base}/{path}"
        try:
            kind = operation.check()
            if unknown := operation.refers - self.made.keys():
                raise ConflictException(detail=f"Nothing was made for the bulkId {sorted(unknown)[0][:100]}.")
            if operation.method == "POST" and operation.bulk_id in self.made:
                raise InvalidValueException(detail="This bulkId was given before.")
            data = self._resolved(operation.data or {})
            where = act(operation.method, kind, path.partition("/")[2], data) or where
        except Exception as error:  # It is told of this one, and the others go on.
            said = error_of(error)
            place = {} if operation.method == "POST" else {"location": where}
            return told | place | {"status": str(said.status), "response": said.model_dump()}
        if operation.method == "POST":
            self.made[operation.bulk_id] = where.rpartition("/")[2]
        done = {"POST": "201", "DELETE": "204"}.get(operation.method, "200")
        return told | {"location": where, "status": done}

    def _resolved(self, said: Any) -> Any:
        """The same with ids in the place of what refers to something made before."""
        if isinstance(said, str):
            return self.made.get(said.removeprefix(REFERS), said) if said.startswith(REFERS) else said
        if isinstance(said, list):
            return [self._resolved(one) for one in said]
        return {key: self._resolved(one) for key, one in said.items()} if isinstance(said, dict) else said
