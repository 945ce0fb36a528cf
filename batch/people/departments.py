"""Departments, sites and managers: keyed digests in columns of each person, so that people are found and counted by them
without being opened, and who is bound to some departments finds nobody else by any query.

A digest says nothing by itself: the words stand in the person's sealed line, and those of departments in the sealed line
of the member who is bound to them. A member's transaction carries the digests (`tenants/bounds.py`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, true
from sqlmodel import Session, col

from batch.mailbox import email_identity
from batch.models import Employee
from likeness.keys.keys import blind_index
from tenants import bounds
from tenants.bounds import bound_to

BOUND = "(cast(:departments as bytea[]) is null or e.department_index = any(:departments))"
"""For a query that is written as text, whose `e` is a person; its parameter is in `values`."""


class Grouping(StrEnum):
    """What of a line several people share; the list names it or leaves it empty."""

    DEPARTMENT = "department"
    SITE = "site"
    MANAGER = "manager"

    @property
    def column(self) -> str:
        return f"{self}_index"


def digest(index_key: bytes, by: Grouping, words: str | None) -> bytes:
    """Of a name in whichever spelling of case and spaces, of a manager's address in whichever of its spellings; those of
    whom the list says nothing share one."""
    if by == Grouping.DEPARTMENT:
        return bounds.index(index_key, words)
    named = email_identity(words or "") if by == Grouping.MANAGER else " ".join((words or "").split())
    return blind_index(index_key, f"{by}|{named}")


def digests(
    index_key: bytes, department: str | None = None, site: str | None = None, manager: str | None = None
) -> dict[str, bytes]:
    """The columns of a person, by name."""
    said = {Grouping.DEPARTMENT: department, Grouping.SITE: site, Grouping.MANAGER: manager}
    return {by.column: digest(index_key, by, words) for by, words in said.items()}


def within(session: Session) -> ColumnElement[bool]:
    """The people whom this transaction's member may see: those of their departments, or everybody."""
    allowed = bound_to(session)
    return true() if allowed is None else col(Employee.department_index).in_(allowed)


def values(session: Session) -> dict[str, Any]:
    allowed = bound_to(session)
    return {"departments": None if allowed is None else list(allowed)}
