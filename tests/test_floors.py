"""The walls of the house: each module stands in an import contract, and no folder is a heap."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from sqlmodel import SQLModel

import likeness.run.app  # noqa: F401 - every table is declared somewhere below it.

ROOT = Path(__file__).resolve().parents[1]
HOUSE = {"likeness": ROOT / "platform/likeness"} | {
    name: ROOT / name for name in ("tenants", "batch", "gpu_cluster", "compliance", "dashboard")
}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
MOST_FILES, MOST_LINES = 12, 450
NAMED = re.compile(r"\b(?:from|join|update|into)\s+\"?([a-z_]+)", re.IGNORECASE)
"""Tables in a statement."""


def rooms(package: str) -> set[str]:
    """The rooms of a floor that a contract names, where the contract is one that tolerates no stranger."""
    named: set[str] = set()
    for contract in CONTRACTS:
        if contract.get("exhaustive") and package in contract.get("containers", []):
            for layer in contract["layers"]:
                named |= {room.strip() for room in layer.split("|")}
    return named


@pytest.mark.parametrize("package", sorted(HOUSE))
def test_every_room_stands_in_a_contract(package: str) -> None:
    there = {path.stem for path in HOUSE[package].glob("*.py")} | {
        path.parent.name for path in HOUSE[package].glob("*/__init__.py")
    }
    assert there - {"__init__", "__pycache__"} == rooms(package)


def test_a_class_name_stands_for_one_thing() -> None:
    places: dict[str, list[str]] = {}
    for folder in [*HOUSE.values(), ROOT / "benchmarks"]:
        for path in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_every_floor_stands_in_the_contract_of_floors() -> None:
    """The kernel room by room, because each of its rooms may import only what lies below."""
    assert set(floors()) == HOUSE.keys() - {"likeness"} | {f"likeness.{room}" for room in rooms("likeness")}


def floors() -> dict[str, int]:
    """Every floor with its height."""
    layers = next(contract for contract in CONTRACTS if contract["name"].startswith("Floors"))["layers"]
    return {one.strip(): height for height, layer in enumerate(reversed(layers)) for one in layer.split("|")}


BY_NAME = {
    ("batch/people/held.py", "hold"): "a hold keeps rows from being deleted by everybody, one statement for all of them",
    ("batch/directory/people.py", "erasure"): "whether an erasure has begun, asked with the person's row locked",
    ("platform/likeness/keys/fingerprint.py", "tenant"): "the first start over a database that an older version left",
    ("platform/likeness/keys/fingerprint.py", "member"): "the same",
    ("platform/likeness/mail/mail.py", "tenant"): "the name that a company gave its mails, read as each is sent",
}
"""Tables of a higher floor that are named in SQL all the same, and why no call can be handed down instead."""


def test_no_floor_names_a_table_of_a_higher_one() -> None:
    heights = floors()

    def height(module: str) -> int:
        room = ".".join(module.split(".")[:2])
        return heights[room] if room in heights else heights[module.split(".")[0]]

    owners = {str(one.local_table): height(one.class_.__module__) for one in SQLModel._sa_registry.mappers}
    found = {}
    for path in (path for top in HOUSE.values() for path in top.rglob("*.py") if "migrations" not in path.parts):
        place = path.relative_to(ROOT)
        module = ".".join(place.with_suffix("").parts).removeprefix("platform.")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for table in NAMED.findall(node.value):
                    if owners.get(table, -1) > height(module):
                        found[str(place), table] = node.lineno
    assert found.keys() == BY_NAME.keys(), found


def test_no_folder_is_a_heap() -> None:
    heaps = {}
    for folder in {path.parent for top in HOUSE.values() for path in top.rglob("*.py")}:
        files = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
        if len(files) > MOST_FILES and folder.name != "versions":
            heaps[str(folder.relative_to(ROOT))] = len(files)
    assert not heaps


def test_no_file_holds_two_nouns() -> None:
    long = {}
    for path in (path for top in HOUSE.values() for path in top.rglob("*.py")):
        if path.parent.name != "versions" and (lines := len(path.read_text().splitlines())) > MOST_LINES:
            long[str(path.relative_to(ROOT))] = lines
    assert not long
