"""Looks: backdrop, dress, framing and light that the company approved. A change makes a new version."""

from __future__ import annotations

import re
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from likeness import ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import Conflict, NotFound, Unprocessable
from tenants.models import Look
from tenants.plain import one_line

DEFAULT: tuple[dict[str, str], ...] = (
    {
        "name": "Studio grey",
        "backdrop": "light grey",
        "dress": "navy suit",
        "framing": "close-up",
        "light": "soft light",
        "wall": "gradient:#c3cad2",
    },
    {
        "name": "Studio white",
        "backdrop": "white",
        "dress": "light blue shirt",
        "framing": "head and shoulders",
        "light": "studio light",
        "wall": "#f3f4f5",
    },
    {
        "name": "Studio dark",
        "backdrop": "dark grey",
        "dress": "black turtleneck",
        "framing": "close-up",
        "light": "warm light",
        "wall": "gradient:#5b626c",
    },
)
LONGEST = 80
WALL = re.compile(r"(?:gradient:)?#[0-9a-fA-F]{6}|office")
# Walls of studio portraits for the backdrops that are named most; every other begins with the first look's.
WALLS = {"light grey": "gradient:#c3cad2", "white": "#f3f4f5", "dark grey": "gradient:#5b626c", "office": "office"}


class LookMissing(NotFound):
    """The company has no such look, or retired it."""


class WallRefused(Unprocessable):
    """What stands behind a studio portrait is a colour, a gradient of one, or the drawn office."""


class LastLook(Conflict):
    """Headshots need at least one look."""


class LookTaken(Conflict):
    """The company has a look of this name."""


def list_looks(session: Session) -> list[Look]:
    """Those in use, oldest first."""
    return list(
        session.exec(
            select(Look)
            .where(col(Look.tenant_id) == tenant_of(session), col(Look.retired_at).is_(None))
            .order_by(col(Look.created_at), col(Look.name))
        )
    )


def get(session: Session, look_id: UUID) -> Look:
    """Retired ones too, because headshots name the version they were made with."""
    look = session.exec(
        select(Look).where(col(Look.tenant_id) == tenant_of(session), col(Look.id) == look_id)
    ).one_or_none()
    if look is None:
        raise LookMissing
    return look


def add(
    session: Session,
    name: str,
    backdrop: str,
    dress: str,
    framing: str,
    light: str,
    *,
    wall: str = "",
    caller: str = ledger.SYSTEM,
) -> Look:
    """Raises `LookTaken`, `WallRefused` and `TextRefused`."""
    words = _words(name, backdrop, dress, framing, light, wall)
    if any(look.name == words["name"] for look in list_looks(session)):
        raise LookTaken(f"There is a look “{words['name']}” already.")
    return _next_version(session, words, caller)


def revise(
    session: Session,
    look_id: UUID,
    *,
    backdrop: str,
    dress: str,
    framing: str,
    light: str,
    wall: str = "",
    caller: str = ledger.SYSTEM,
) -> Look:
    """The next version takes the old one's place; what was made with the old one keeps naming it."""
    old = _in_use(session, look_id)
    old.retired_at = utc_now()
    session.add(old)
    return _next_version(session, _words(old.name, backdrop, dress, framing, light, wall), caller)


def retire(session: Session, look_id: UUID, *, caller: str = ledger.SYSTEM) -> None:
    look = _in_use(session, look_id)
    if len(list_looks(session)) == 1:
        raise LastLook("This is the company's only look. Add another one before you retire it.")
    look.retired_at = utc_now()
    session.add(look)
    ledger.record(session, "look.retired", caller=caller, objects=[look.id])


def _in_use(session: Session, look_id: UUID) -> Look:
    look = get(session, look_id)
    if look.retired_at is not None:
        raise LookMissing
    return look


def _next_version(session: Session, words: dict[str, str], caller: str) -> Look:
    versions = session.exec(
        select(Look.version).where(col(Look.tenant_id) == tenant_of(session), col(Look.name) == words["name"])
    ).all()
    look = Look(
        tenant_id=tenant_of(session),
        version=max(versions, default=0) + 1,
        name=words["name"],
        backdrop=words["backdrop"],
        dress=words["dress"],
        framing=words["framing"],
        light=words["light"],
        wall=words["wall"],
    )
    try:
        with session.begin_nested():
            session.add(look)
    except IntegrityError:
        raise LookTaken("Somebody changed this look at the same moment.") from None
    ledger.record(session, "look.added", caller=caller, objects=[look.id])
    return look


def _words(name: str, backdrop: str, dress: str, framing: str, light: str, wall: str) -> dict[str, str]:
    wall = wall.strip() or WALLS.get(backdrop.strip().lower(), WALLS["light grey"])
    if not WALL.fullmatch(wall):
        raise WallRefused("Write a colour as #c8ccd0, a gradient as gradient:#c8ccd0, or office.")
    typed = {"name": name, "backdrop": backdrop, "dress": dress, "framing": framing, "light": light}
    return {word: one_line(text, LONGEST, word) for word, text in typed.items()} | {"wall": wall}
