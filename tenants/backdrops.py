"""Pictures of a company's own that stand behind its people, of a lobby or a wall with its colours."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, select

from likeness.ground.db import row_of, tenant_of
from likeness.ground.errors import Conflict, NotFound
from tenants.models import Backdrop

PREFIX = "picture:"
MOST = 20
UNUSED = timedelta(hours=24)
"""How long one waits for the look that it was handed in for."""
BEGUN = timedelta(days=8)
"""How long one stays after its look was retired: what was begun keeps the looks it began with, and photos last 7 days."""


class BackdropMissing(NotFound):
    """The company has no such picture."""

    title = "There is no such picture"


class TooManyBackdrops(Conflict):
    """A company keeps few pictures, because each travels with every order."""

    title = "There is no room for another backdrop"


def add(session: Session, picture: bytes) -> Backdrop:
    """`picture` is what the sandbox made of the file. Raises `TooManyBackdrops`."""
    kept = session.exec(select(Backdrop.id).where(Backdrop.tenant_id == tenant_of(session))).all()
    if len(kept) >= MOST:
        raise TooManyBackdrops(
            "There are {n} pictures already. A picture goes {days} days after the last look that shows it was retired.",
            n=MOST, days=BEGUN.days,
        )
    backdrop = Backdrop(tenant_id=tenant_of(session), picture=picture)
    session.add(backdrop)
    session.flush()
    return backdrop


def get(session: Session, backdrop_id: UUID) -> Backdrop:
    """Raises `BackdropMissing`."""
    found = row_of(session, Backdrop, backdrop_id)
    if found is None:
        raise BackdropMissing("There is no such picture. Hand it in again.")
    return found


def behind(session: Session, wall: str) -> bytes:
    """The picture that a look's wall names; empty where it names none. Raises `BackdropMissing`."""
    return get(session, UUID(wall.removeprefix(PREFIX))).picture if wall.startswith(PREFIX) else b""


def forget_unnamed(session: Session, now: datetime) -> None:
    """Those that no look in use names any more, nor one that something may still be made with, and that were not handed in
    just now for a look to come."""
    session.execute(
        text(
            "delete from backdrop b where b.tenant_id = :tenant and b.created_at < :before and not exists"
            " (select from look l where l.tenant_id = b.tenant_id"
            " and (l.retired_at is null or l.retired_at > :begun) and l.wall = 'picture:' || b.id::text)"
        ),
        {"tenant": tenant_of(session), "before": now - UNUSED, "begun": now - BEGUN},
    )
