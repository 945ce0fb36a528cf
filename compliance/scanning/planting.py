"""Where the self-test of the re-scan plants, and what a plant is. The person does not exist."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg

from likeness.kernel import Kernel

NAME, EMAIL = "Zyra Quillfeather-Ómarsdóttir", "zyra.quillfeather@planted.example"
SPELLINGS = (NAME, NAME.upper(), "Ómarsdóttir, Quillfeather Zyra", "zyra_quillfeather_omarsdottir.jpg")


@dataclass(frozen=True)
class Site:
    """Somewhere to plant: two companies, and a person of the first who was erased."""

    kernel: Kernel
    tenant: UUID
    other: UUID
    employee: UUID
    workbook: UUID
    scratch: Path
    owning: psycopg.Connection
    """Without the database's own rules about who refers to whom: leftovers keep to no rule."""
    backup: bytes
    """The file of the person's key, from before it was destroyed."""

    @property
    def home(self) -> Path:
        return self.kernel.settings.home

    @property
    def folder(self) -> Path:
        return self.home / "objects/tenants" / str(self.tenant)


@dataclass(frozen=True)
class Plant:
    says: str
    stores: tuple[str, ...]
    """Each of these has to answer that it found something."""
    put: Callable[[Site], Callable[[], object]]
    """Plants, and returns what takes it away again."""
    table: str = ""
    """Where it is in one table, that one is asked; there are hundreds of columns. `*` is for all of them."""
