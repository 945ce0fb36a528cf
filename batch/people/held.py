"""What a legal hold keeps of a person, row by row. Holds are on the floor above, so their rows are asked for by name."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Table, TextClause, select, text
from sqlmodel import Session, SQLModel

from likeness.ground.db import tenant_of

COVERS = (
    "exists (select 1 from hold h where h.tenant_id = {table}.tenant_id and h.employee_id = {table}.employee_id"
    " and h.confirmed_at is not null and h.lifted_at is null and h.expires_at > :holds_now"
    " and (json_array_length(h.classes) = 0 or h.classes::jsonb @> '[\"{cls}\"]'::jsonb)"
    " and (h.made_from is null or {table}.created_at >= h.made_from)"
    " and (h.made_until is null or {table}.created_at < h.made_until))"
)
"""Whether a standing hold covers a row: its person, its class, and when it was made."""
TOLD = f"{COVERS.removesuffix(')')} and not h.barred)"
"""Whether one does that the person may know of."""
CLASSES = {"photo": "source", "headshot": "headshot"}
"""What a person may delete one by one: the table, and its class."""


def free(table: str, cls: str, now: datetime) -> TextClause:
    """Rows of this table, which are of this class, that no hold covers. Both are the program's own names."""
    return text(f"not {COVERS.format(table=table, cls=cls)}").bindparams(holds_now=now)


def covers(session: Session, table: str, row_id: UUID, now: datetime) -> bool:
    """Whether a standing hold keeps this row of a table of `CLASSES`."""
    rows: Table = SQLModel.metadata.tables[table]
    kept = text(COVERS.format(table=table, cls=CLASSES[table])).bindparams(holds_now=now)
    asked = select(rows.c.id).where(rows.c.tenant_id == tenant_of(session), rows.c.id == row_id, kept)
    return session.execute(asked).first() is not None
