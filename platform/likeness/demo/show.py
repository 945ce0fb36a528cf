"""The live table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from likeness.demo.visit import Visitor

BAR = 12
"""Characters of a progress bar."""


class ProgressLines:
    """One line a person, redrawn in place; on something that is no terminal only its last state is printed."""

    def __init__(self, console: Console, visitors: Sequence[Visitor]) -> None:
        self.visitors = visitors
        # Eighty columns hold every figure; there, a company's name is cut.
        self._room = max(12, min(32, console.width - 69))
        self._live = Live(self._table(), console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> ProgressLines:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.refresh()
        self._live.__exit__(kind, error, trace)

    def refresh(self) -> None:
        self._live.update(self._table())

    def _table(self) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for title, width in (("Company", self._room), ("Person", 16), ("Stage", 11)):
            table.add_column(title, no_wrap=True, max_width=width)
        table.add_column("Progress", width=BAR)
        table.add_column("Headshots", justify="right", no_wrap=True)
        table.add_column("Likeness", justify="right", no_wrap=True)
        for visitor in self.visitors:
            mean = f"{sum(visitor.ratios) / len(visitor.ratios):.2f}" if visitor.ratios else ""
            table.add_row(
                visitor.company.name,
                visitor.player.name,
                visitor.state,
                ProgressBar(total=1.0, completed=visitor.progress, width=BAR),
                str(visitor.made or ""),
                mean,
            )
        return table
