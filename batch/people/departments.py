"""Departments: a keyed digest in a column of each person, so that who is bound to some finds nobody else by any query.

The digest says nothing by itself: the name stands in the person's sealed line, and in the sealed line of the member who is
bound to it. A member's transaction carries the digests (`tenants/bounds.py`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, true
from sqlmodel import Session, col

from batch.models import Employee
from tenants.bounds import bound_to

BOUND = "(cast(:departments as bytea[]) is null or e.department_index = any(:departments))"
"""For a query that is written as text, whose `e` is a person; its parameter is in `values`."""


def within(session: Session) -> ColumnElement[bool]:
    """The people whom this transaction's member may see: those of their departments, or everybody."""
    allowed = bound_to(session)
    return true() if allowed is None else col(Employee.department_index).in_(allowed)


def values(session: Session) -> dict[str, Any]:
    allowed = bound_to(session)
    return {"departments": None if allowed is None else list(allowed)}
