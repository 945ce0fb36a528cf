"""A document for legal: headings with tables, read on a page and saved as JSON. Each is made when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Cell = str | int | datetime | None


@dataclass(frozen=True)
class DocumentSection:
    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""


@dataclass(frozen=True)
class Document:
    name: str
    title: str
    made_at: datetime
    about: str
    sections: Sequence[DocumentSection] = field(default_factory=tuple)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "made_at": self.made_at.isoformat(),
            "about": self.about,
            "sections": [
                {
                    "heading": one.heading,
                    "note": one.note,
                    "rows": [dict(zip(one.columns, map(_plain, row), strict=True)) for row in one.rows],
                }
                for one in self.sections
            ],
        }


def _plain(cell: Cell) -> str | int | None:
    return cell.isoformat() if isinstance(cell, datetime) else cell
