"""The live table on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from likeness.demo.visit import Visitor


class Board:
    """One line a person, redrawn in place; on something that is no terminal only its last state is printed."""

    def __init__(self, console: Console, visitors: Sequence[Visitor]) -> None:
        self.visitors = visitors
        self._live = Live(self._table(), console=console, refresh_per_second=4, transient=False)

    def __enter__(self) -> Board:
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
        table = Table(expand=False)
        for title in ("Company", "Person", "Stage"):
            table.add_column(title, no_wrap=True)
        table.add_column("Progress", width=24)
        table.add_column("Headshots", justify="right")
        table.add_column("Likeness", justify="right")
        for visitor in self.visitors:
            mean = f"{sum(visitor.ratios) / len(visitor.ratios):.2f}" if visitor.ratios else ""
            table.add_row(
                visitor.company.name,
                visitor.player.name,
                visitor.state,
                ProgressBar(total=1.0, completed=visitor.progress, width=24),
                str(len(visitor.ratios) or ""),
                mean,
            )
        return table
