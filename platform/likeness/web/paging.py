"""Pages of lists for programs: the header `Link` names the next one while there are more, as RFC 8288 has it.

A page begins behind the last line of the one before, whatever came or went meanwhile: none is read twice, none is missed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Generic, NamedTuple, Self, TypeVar
from urllib.parse import urlencode
from uuid import UUID

from litestar import Request, Response
from litestar.params import QueryParameter

from likeness.ground.errors import Unprocessable

Row = TypeVar("Row")
Shown = TypeVar("Shown")


class CursorWrong(Unprocessable):
    title = "There is no such page"


ON_A_PAGE = 100
Most = Annotated[int, QueryParameter(ge=1, le=500)]
"""How many lines somebody wants at once."""
After = Annotated[str, QueryParameter(max_length=100)]
REASON = re.compile(r"[a-z_-]{1,40}")
START = datetime(1970, 1, 1, tzinfo=UTC)


class Mark(NamedTuple):
    """A line of those that stand newest first."""

    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{(self.at - START) // timedelta(microseconds=1)}.{self.id}"

    @classmethod
    def read(cls, cursor: str) -> Self:
        moment, last = cursor.split(".")
        return cls(START + timedelta(microseconds=_number(moment, 10**16)), UUID(last))


class PersonCursor(NamedTuple):
    """A person's line, of people in the order of the lists that they came with."""

    batch: UUID
    row: int
    id: UUID

    def __str__(self) -> str:
        return f"{self.batch}.{self.row}.{self.id}"

    @classmethod
    def read(cls, cursor: str) -> Self:
        batch, row, last = cursor.split(".")
        return cls(UUID(batch), _number(row, 2**31), UUID(last))


class DayCursor(NamedTuple):
    """What one day brought for one reason; newest days first, reasons by name."""

    day: date
    reason: str

    def __str__(self) -> str:
        return f"{self.day}.{self.reason}"

    @classmethod
    def read(cls, cursor: str) -> Self:
        day, reason = cursor.split(".")
        if not REASON.fullmatch(reason):
            raise ValueError(reason)
        return cls(date.fromisoformat(day), reason)


class Turn(NamedTuple):
    """A line of those that wait, by the time that they are due; behind them what is over, newest first."""

    over: bool
    at: datetime
    id: UUID

    def __str__(self) -> str:
        return f"{'over' if self.over else 'open'}.{Mark(self.at, self.id)}"

    @classmethod
    def read(cls, cursor: str) -> Self:
        state, _, line = cursor.partition(".")
        if state not in ("over", "open"):
            raise ValueError(state)
        return cls(state == "over", *Mark.read(line))


class PlaceCursor(NamedTuple):
    """How many lines came before, of a list sorted by what changes: whoever moves meanwhile is read twice or not at all."""

    before: int

    def __str__(self) -> str:
        return f"{self.before}"

    @classmethod
    def read(cls, cursor: str) -> Self:
        return cls(_number(cursor, 10**7))


Key = TypeVar("Key", Mark, PersonCursor, DayCursor, Turn, PlaceCursor)


class Page(Generic[Key]):
    """One that was asked for. Raises `CursorWrong`."""

    def __init__(self, key: type[Key], most: int, after: str) -> None:
        try:
            self.after: Key | None = key.read(after) if after else None
        except (ValueError, OverflowError):
            raise CursorWrong("Please take the address of the next page from the header Link.") from None
        self.most, self.lines = most, most + 1
        """The last of the lines shows that there are more."""

    def onward(self, found: list[Row], key: Callable[[Row], Key]) -> str:
        """Where the next page begins; empty behind the last."""
        return str(key(found[self.most - 1])) if len(found) == self.lines else ""

    def answer(
        self,
        request: Request[Any, Any, Any],
        found: list[Row],
        key: Callable[[Row], Key],
        show: Callable[[Row], Shown],
        **asked: object,
    ) -> Response[list[Shown]]:
        """With a link to the next page, which is asked for in the same way."""
        shown = [show(one) for one in found[: self.most]]
        if not (onward := self.onward(found, key)):
            return Response(shown)
        chosen = {name: value for name, value in asked.items() if value != ""}
        query = urlencode(chosen | {"most": self.most, "after": onward}, doseq=True)
        return Response(shown, headers={"link": f'<{request.url.path}?{query}>; rel="next"'})


def _number(text: str, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 16 or int(text) >= most:
        raise ValueError(text)
    return int(text)
