"""What a studio is asked for and what it answers: plain values that cross Ray, and nothing that names or shows anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class LookShot:
    """A look in the company's own words; each base puts them into a prompt of its own."""

    look: UUID
    backdrop: str
    dress: str
    framing: str
    light: str
    wall: str = ""
    """What stands behind a studio portrait."""


@dataclass(frozen=True)
class Person:
    """One employee's part of an order: opaque ids and object paths, nothing that names or shows anybody."""

    sitting: UUID
    employee: UUID
    fence: int
    seed: int
    photos: tuple[str, ...]
    checkpoint: str = ""
    """Object path of the last checkpoint of a run that was lost, empty for a fresh start."""


@dataclass(frozen=True)
class Order:
    """What one studio does at a time: sittings of one tenant, trained in one pack."""

    id: UUID
    tenant: UUID
    people: tuple[Person, ...]
    looks: tuple[LookShot, ...]
    recipe: dict[str, Any]
    objects_url: str
    key_folder: str
    licences: tuple[str, ...]
    objects_plain_http: bool = False


@dataclass(frozen=True)
class Progress:
    stage: str = "loading"
    step: int = 0
    steps: int = 0
    made: int = 0
    passed: int = 0
    checkpoint: str = ""
    checkpoint_bytes: int = 0
    signs: int = 0
    """Grows with every sign of life; a studio in which it stands still has stopped working."""


@dataclass(frozen=True)
class Picture:
    look: UUID
    number: int
    path: str
    bytes: int
    likeness_ratio: float | None
    question: str | None = None
    loosening: float | None = None
    """For studio portraits alone, see `Headshot`."""


@dataclass
class Outcome:
    """What came of one sitting; `failure` is a sentence for people, `error` a class name for operators."""

    sitting: UUID
    pictures: list[Picture] = field(default_factory=list)
    adapter_path: str = ""
    adapter_bytes: int = 0
    made: int = 0
    passed: int = 0
    likeness_ratio: float | None = None
    steps: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    cancelled: bool = False
    away: bool = False
    """Keys or objects were not reachable: nobody's fault, and the sitting is taken again."""
    failure: str = ""
    error: str = ""
