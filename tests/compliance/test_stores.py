from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

import likeness.run.app  # noqa: F401 - brings every floor's tables
from compliance import departed, keeps, stores
from likeness.keys.keys import KeyClass

TEXTS = {"VARCHAR", "TEXT", "JSON", "JSONB"}


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


def test_whatever_text_the_re_scan_reads_an_erasure_can_mask() -> None:
    """A new column of text is a code of the program's own, published, or masked; none is forgotten."""
    for table in SQLModel.metadata.sorted_tables:
        texts = {one.name for one in table.columns if str(one.type.compile(postgresql.dialect())) in TEXTS}
        published = {one.partition(".")[2] for one in stores.PUBLISHED if one.startswith(f"{table.name}.")}
        codes = set(stores.CODES.get(table.name, "").split())
        assert texts == codes | published | set(stores.written(table.name)), table.name
        assert not codes & set(stores.TABLES[table.name].plain)
        assert stores.written(table.name) == () or "id" in table.columns


def test_everything_with_a_last_day_is_swept() -> None:
    dated = {table.name for table in SQLModel.metadata.sorted_tables if {"due_at", "path"} <= set(table.c.keys())}
    assert dated == {due.table for due in stores.DUE}


def test_every_store_says_for_what_it_is_kept_and_until_when() -> None:
    """What the records of processing and the public page are made from; a store without a line fails here."""
    assert set(keeps.KEPT) == stores.names()
    told = {one.store: one for one in keeps.classes(source_days=7, headshot_days=30, names_days=365)}
    assert set(told) == stores.names()
    assert told["table:photo"].category == told["objects:source"].category == "biometric (GDPR article 9)"
    assert told["objects:headshot"].last_day == "30 days after it was made, at the latest"
    assert told["table:employee"].last_day.startswith("with the person: 365 days after")
    shorter = {one.store: one for one in keeps.classes(source_days=2, headshot_days=3, names_days=365)}
    assert shorter["table:photo"].last_day.startswith("2 days")
    # What outlives the company is not said to go with it.
    outliving = departed.STAYS.keys() - {"request", "departure", "job"}
    assert [name for name in sorted(outliving) if "company" in told[f"table:{name}"].last_day] == []


def test_each_setting_that_moves_a_cache_is_declared() -> None:
    """A cache that the image, the chart or the code moves by a setting of its own, and nobody declared, fails here."""
    root = Path(__file__).parents[2]
    texts = [root / "Dockerfile", *(root / "helm").rglob("*.yaml"), *(root / "gpu_cluster").rglob("*.py")]
    moved = {name for file in texts for name in re.findall(r"\b[A-Z][A-Z_]*CACHE(?:_DIR|_HOME)?\b", file.read_text())}
    told_to_keep_none = {"PIP_NO_CACHE_DIR"}
    assert told_to_keep_none <= moved, "the settings are not found any more"
    assert moved - told_to_keep_none <= {one.variable for one in stores.KEPT_BY_LIBRARIES}


def test_every_class_of_keys_and_objects_is_a_store() -> None:
    assert set(stores.OBJECTS) == set(stores.KEYS) == set(KeyClass)


def test_every_folder_that_code_makes_objects_in_is_declared() -> None:
    root = Path(__file__).parents[2]
    kinds = set()
    for floor in ("batch", "tenants", "gpu_cluster", "compliance", "dashboard"):
        for file in (root / floor).rglob("*.py"):
            kinds |= set(re.findall(r"\btenant_path\([^,]+, ([^,]+),", file.read_text()))
    assert kinds == {"WORKBOOKS"}
