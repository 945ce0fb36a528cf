"""Groups of the directory. A group says the department of its people where the directory names none of their own."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, Column
from sqlmodel import Field, Session, col, select

from batch.models import Employee
from likeness.ground.db import Moment, TenantRow, of_tenant, tenant_of
from likeness.ground.errors import NotFound
from tenants.plain import one_line


class GroupMissing(NotFound):
    """The company's directory has no such group."""

    title = "There is no such group"


class DirectoryGroup(TenantRow, table=True):
    __tablename__ = "directory_group"
    __table_args__ = (of_tenant(),)

    name: str
    external_id: str | None = None
    """What the directory itself calls it."""
    people: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    """Ids of lines of the list. No row hangs under a person here, or a withdrawal would show as leaving a group."""
    created_at: datetime = Moment()


def listed(session: Session) -> list[DirectoryGroup]:
    """In the order in which they came."""
    query = select(DirectoryGroup).where(col(DirectoryGroup.tenant_id) == tenant_of(session))
    return list(session.exec(query.order_by(col(DirectoryGroup.created_at), col(DirectoryGroup.id))))


def get(session: Session, group_id: str) -> DirectoryGroup:
    """Raises `GroupMissing`."""
    found = next((one for one in listed(session) if str(one.id) == group_id), None)
    if found is None:
        raise GroupMissing("There is no such group.")
    return found


def write(
    session: Session, group: DirectoryGroup, name: str, external_id: str | None, people: Collection[str]
) -> set[str]:
    """Returns the lines whose membership changed. Whoever is not on the list is in no group."""
    before = set(group.people)
    group.name = one_line(name, 200, "name of the group")
    group.external_id = one_line(external_id, 200, "id of the group") if external_id else None
    group.people = sorted(_on_the_list(session, people))
    session.add(group)
    session.flush()
    return before ^ set(group.people)


def department_of(session: Session, line: UUID) -> str | None:
    """The first group of somebody by name."""
    return min((one.name for one in listed(session) if str(line) in one.people), default=None)


def forget(session: Session, line: UUID) -> None:
    """Takes somebody who left out of every group."""
    for group in listed(session):
        if str(line) in group.people:
            group.people = [one for one in group.people if one != str(line)]
            session.add(group)


def _on_the_list(session: Session, people: Collection[str]) -> set[str]:
    wanted = set()
    for one in people:
        try:
            wanted.add(UUID(one))
        except ValueError:
            continue
    found = select(Employee.roster_id).where(
        col(Employee.tenant_id) == tenant_of(session),
        col(Employee.roster_id).in_(wanted),
        col(Employee.user_name_index).is_not(None),
    )
    return {str(one) for one in session.exec(found)}
