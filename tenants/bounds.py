"""Members who work for some departments only: what a transaction of theirs is bound to.

The floor above puts it into every query of people. A transaction of nobody who is bound, such as a job's, sees everybody.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session

from likeness.keys.keys import blind_index
from likeness.locale.marks import N_
from tenants.plain import one_line

MOST = 50
"""Departments of one member; whoever has more works for the whole company."""


def index(index_key: bytes, department: str | None) -> bytes:
    """Stands for a department by its name, in whichever spelling of case and spaces; people without one share one."""
    return blind_index(index_key, f"department|{' '.join((department or '').split())}")


def bind(session: Session, departments: Iterable[bytes] | None) -> None:
    session.info["departments"] = None if departments is None else tuple(departments)


def bind_as(session: Session, departments: Iterable[str] | None) -> None:
    """To those that a member's row names."""
    bind(session, None if departments is None else map(bytes.fromhex, departments))


def bound_to(session: Session) -> tuple[bytes, ...] | None:
    """None is the whole company; without any department it is nobody."""
    found: tuple[bytes, ...] | None = session.info.get("departments")
    return found


def names(typed: str) -> list[str]:
    """Departments as somebody wrote them, one a line, each once. Raises `TextRefused`."""
    found = [one_line(line, 200, N_("department")) for line in typed.splitlines() if line.strip()]
    return list({name.casefold(): name for name in found}.values())
