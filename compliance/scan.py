"""What a re-scan answers, and the one kind of answer that a certificate accepts. No database, no files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, final

from compliance import stores
from likeness.errors import LikenessError

Result = Literal["clean", "found", "not reachable", "not applicable"]


class ScanFailed(LikenessError):
    """Something was found, or a store did not answer: neither is clean."""

    status, title = 409, "The verification did not pass"


@dataclass(frozen=True)
class Answer:
    store: str
    result: Result
    found: int = 0
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"result": f"found {self.found}" if self.result == "found" else self.result}
        return answer | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Scan:
    verifier: str
    version: str
    started_at: datetime
    finished_at: datetime
    answers: tuple[Answer, ...]

    def problems(self) -> list[str]:
        """The stores that keep this scan from passing, those too that nobody asked."""
        bad = [answer.store for answer in self.answers if answer.result not in ("clean", "not applicable")]
        unasked = stores.names() - {answer.store for answer in self.answers}
        return sorted({*bad, *unasked})

    def as_dict(self) -> dict[str, Any]:
        return {
            "verifier": self.verifier,
            "version": self.version,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat(),
            "stores": {answer.store: answer.as_dict() for answer in self.answers},
        }


@final
class PassedScan:
    """A scan in which every registered store answered, and none found anything. Raises `ScanFailed` otherwise."""

    def __init__(self, scan: Scan) -> None:
        problems = scan.problems()
        if problems:
            raise ScanFailed(f"Not clean: {', '.join(problems)}")
        self.scan = scan
