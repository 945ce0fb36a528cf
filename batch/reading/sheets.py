"""Opens a workbook or CSV file that anybody may have made, and gives its cells as text.

Everything here runs in a limited child process.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from batch.reading.cells import Cell
from likeness.locale.marks import Told

LARGEST_FILE = 10 * 2**20
MOST_COLUMNS = 100
# Cells are cut here; whatever asks for more text than that is refused with a message.
LONGEST_CELL = 1_024
EMPTY = Cell("")


class Sheet(NamedTuple):
    name: str
    hidden: bool


class FilledRow(NamedTuple):
    """A filled row with its number as in the file; `hidden` by hand, by a filter or in a closed group."""

    number: int
    cells: list[Cell]
    hidden: bool


class WorkbookUnreadable(ValueError):
    """Nothing could be read; what is told says what to do."""

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self.told = told


class Book(Protocol):
    """An opened file. `encoding` is empty where the format has only one, `guessed` when the file does not say it."""

    sheets: list[Sheet]
    encoding: str
    guessed: bool

    def lines(self, name: str) -> Iterator[FilledRow]: ...
