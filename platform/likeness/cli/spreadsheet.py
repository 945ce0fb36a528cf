"""What a preview says about a workbook, on this machine alone: no server, no database, nothing kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from batch.reading.delimited import ENCODINGS
from batch.reading.workbook import Reading


def plain(reading: Reading) -> dict[str, Any]:
    """For programs. `columns` is our field → the file's column; `warnings` holds what is about the whole file first."""
    return {
        "sheet": reading.sheet,
        "sheets": [{"name": name, "hidden": name in reading.hidden_sheets} for name in reading.sheets],
        "header_row": reading.header_row,
        "encoding": ENCODINGS.get(reading.encoding, ""),
        "columns": reading.mapping,
        "not_used": list(reading.unknown_columns),
        "hidden_rows": reading.hidden_rows,
        "hidden_rows_read": reading.with_hidden_rows,
        "people": [_person(row) for row in reading.rows],
        "questions": [
            {"about": one.field, "message": one.message, "columns": list(one.columns), "suggested": one.suggested}
            for one in reading.questions
        ],
        "problems": [_problem(one) for one in reading.errors],
        "warnings": [
            *({"row": None, "column": "", "code": "file", "message": note} for note in reading.notes),
            *(_problem(one) for one in reading.problems if one.severity == "warning"),
        ],
    }


def _person(row: Any) -> dict[str, Any]:
    words = {"full_name": "name", "email": "address"}
    return {words.get(name, name): value for name, value in vars(row).items()}


def _problem(problem: Any) -> dict[str, Any]:
    return {"row": problem.row, "column": problem.column, "code": problem.code, "message": problem.message}


def lines(reading: Reading) -> Iterator[str]:
    """For people."""
    yield f"Sheet “{reading.sheet}”, headings in row {reading.header_row}"
    if reading.encoding:
        yield f"Written in {ENCODINGS[reading.encoding]}"
    yield "\nColumns"
    for field, label in reading.mapping.items():
        yield f"  {field:<20} {label}"
    for label in reading.unknown_columns:
        yield f"  {'(not used)':<20} {label}"
    for title, said in (
        ("Questions", [one.message for one in reading.questions]),
        ("Problems", [_where(one) for one in reading.errors]),
        ("Warnings", [*reading.notes, *(_where(one) for one in reading.problems if one.severity == "warning")]),
    ):
        if said:
            yield f"\n{title}"
            yield from (f"  {line}" for line in said)
    people = "person" if len(reading.rows) == 1 else "people"
    yield f"\n{len(reading.rows):,} {people}" + (" (as far as the questions are open)" if reading.questions else "")
    for row in reading.rows:
        yield f"  row {row.row:<6} {row.full_name} <{row.email}>" + (f" {row.employee_key}" if row.employee_key else "")


def _where(problem: Any) -> str:
    column = f", {problem.column}" if problem.column else ""
    return f"row {problem.row}{column}: {problem.message}"
