"""What a re-scan answers, and the one kind of answer that a certificate accepts. No database, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, final

from compliance import stores
from likeness.ground.errors import LikenessError

Result = Literal["clean", "found", "not reachable", "not applicable"]


class ScanFailed(LikenessError):
    """Something was found, or a store did not answer: neither is clean."""

    status, title = 409, "The verification did not pass"


@dataclass(frozen=True)
class StoreAnswer:
    store: str
    result: Result
    found: int = 0
    note: str = ""
    where: tuple[str, ...] = ()
    """For the operator's terminal alone: a path may hold a name, and no certificate repeats it."""

    def as_dict(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"result": f"found {self.found}" if self.result == "found" else self.result}
        return answer | ({"note": self.note} if self.note else {})


def asked(store: str, count: Callable[[], int], note: str = "") -> StoreAnswer:
    try:
        found = count()
    except Exception as error:  # Whatever keeps a store from answering: it is not clean.
        return StoreAnswer(store, "not reachable", note=type(error).__name__)
    return StoreAnswer(store, "found" if found else "clean", found, note)


@dataclass(frozen=True)
class Scan:
    verifier: str
    version: str
    started_at: datetime
    finished_at: datetime
    answers: tuple[StoreAnswer, ...]
    rights: Mapping[str, str] = field(default_factory=dict)
    """Which process looked, and what its access would let it do besides reading."""
    needed: frozenset[str] = field(default_factory=stores.names)
    """What has to answer: every registered store when a person is looked for."""

    def problems(self) -> list[str]:
        """The stores that keep this scan from passing, those too that nobody asked."""
        bad = [answer.store for answer in self.answers if answer.result not in ("clean", "not applicable")]
        unasked = self.needed - {answer.store for answer in self.answers}
        return sorted({*bad, *unasked})

    def as_dict(self) -> dict[str, Any]:
        return {
            "verifier": self.verifier,
            "version": self.version,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "rights": dict(self.rights),
            "stores": {answer.store: answer.as_dict() for answer in self.answers},
        }


@final
class PassedScan:
    """A scan in which every store that is needed answered, and none found anything. Raises `ScanFailed` otherwise."""

    def __init__(self, scan: Scan) -> None:
        problems = scan.problems()
        if problems:
            raise ScanFailed(f"Not clean: {', '.join(problems)}")
        self.scan = scan
