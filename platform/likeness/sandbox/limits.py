"""What one job in a child may use, and why it gave no answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal["start", "busy", "time", "processor", "memory", "crash", "refused"]


class ChildFailed(Exception):
    """The child gave no answer; `reason` says why."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail

    @property
    def machine(self) -> bool:
        """True when the file was not judged at all, so that the caller should try again later."""
        return self.reason in ("start", "busy", "time")


@dataclass(frozen=True)
class Limits:
    """What one job may use. Memory is address space, libraries included."""

    memory: int = 512 * 2**20
    processor_seconds: int = 60
    wall_seconds: float = 90.0
    file_bytes: int = 64 * 2**20
    open_files: int = 64
