from __future__ import annotations

import re
from pathlib import Path

from sqlmodel import SQLModel

import likeness.app  # noqa: F401 - brings every floor's tables
from compliance import stores
from likeness.keys import KeyClass


def test_every_table_and_every_column_is_declared_and_none_that_is_not_there() -> None:
    declared = {name: sorted(table.columns) for name, table in stores.TABLES.items() if name != "alembic_version"}
    there = {table.name: sorted(column.name for column in table.columns) for table in SQLModel.metadata.sorted_tables}
    assert declared == there


def test_everything_under_the_person_is_erased_and_says_which_column_names_them() -> None:
    for table in SQLModel.metadata.sorted_tables:
        under_person = any(key.column.table.name == "employee" for key in table.foreign_keys)
        declared = stores.TABLES[table.name]
        if under_person:
            assert (declared.fate, declared.person) == (stores.Fate.ERASED, ("employee_id",)), table.name
        if declared.fate == stores.Fate.KEPT:
            assert declared.why, table.name


def test_everything_with_a_last_day_is_swept() -> None:
    dated = {table.name for table in SQLModel.metadata.sorted_tables if {"due_at", "path"} <= set(table.c.keys())}
    assert dated == {due.table for due in stores.DUE}


def test_every_class_of_keys_and_objects_is_a_store() -> None:
    assert set(stores.OBJECTS) == set(stores.KEYS) == set(KeyClass)


def test_every_folder_that_code_makes_objects_in_is_declared() -> None:
    root = Path(__file__).parents[2]
    kinds = set()
    for floor in ("batch", "tenants", "gpu_cluster", "compliance", "dashboard"):
        for file in (root / floor).rglob("*.py"):
            kinds |= set(re.findall(r"\btenant_path\([^,]+, ([^,]+),", file.read_text()))
    assert kinds == {"WORKBOOKS"}
