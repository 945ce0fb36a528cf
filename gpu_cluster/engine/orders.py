"""What a studio is asked for and what it answers: plain values that cross Ray, and nothing that names or shows anybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

PORTRAITS_SHOWN = 6
"""Studio portraits that a person chooses among. More are work to look through, fewer let chance decide."""


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
    picture: bytes = b""
    """The company's own picture, where that is what stands there."""


@dataclass(frozen=True)
class PersonOrder:
    """One employee's part of an order: opaque ids and object paths, nothing that names or shows anybody."""

    sitting: UUID
    """Or the edit, where something is `cut_from` one photo."""
    employee: UUID
    fence: int
    seed: int
    photos: tuple[str, ...]
    checkpoint: str = ""
    """Object path of the last checkpoint of a run that was lost, empty for a fresh start."""
    least_ratio: float = 0.0
    """What a headshot's likeness ratio must reach beyond the judge's own bar, because the person said of others that they
    are not them."""
    cut_from: str = ""
    """Object path of the one photo that an edit is cut from again; empty for a sitting."""


@dataclass(frozen=True)
class Order:
    """What one studio does at a time: sittings of one tenant, trained in one pack.

    What opens the people's photos is not in it: that comes sealed, see `lease.py`.
    """

    id: UUID
    tenant: UUID
    people: tuple[PersonOrder, ...]
    looks: tuple[LookShot, ...]
    recipe: dict[str, Any]

    @property
    def edits(self) -> bool:
        """Whether finished headshots are made anew, and nothing of it is a sitting."""
        return any(person.cut_from for person in self.people)


@dataclass(frozen=True)
class Progress:
    stage: str = "loading"
    """"loading" also while blocks are compiled, then "training", "looking" whether that will do, and "rendering"."""
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
    photo: str = ""
    """For studio portraits alone, see `Headshot`; the photo by its object path."""


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
    missed: dict[UUID, str] = field(default_factory=dict)
    """The looks of which nothing passed, each with the name in `doubts.DOUBTS` of what was wrong."""
    unused: dict[str, str] = field(default_factory=dict)
    """The photos that nothing came of, by their object paths, each with the name of what was wrong: one in
    `cutout.limits.LIMITS`, or `doubts.UNFORESEEN`."""
    steps: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    cancelled: bool = False
    away: bool = False
    """Keys or objects were not reachable: nobody's fault, and the sitting is taken again."""
    unforeseen: bool = False
    """Something went wrong that nobody has thought of: the process that did it is not used again."""
    failure: str = ""
    error: str = ""
