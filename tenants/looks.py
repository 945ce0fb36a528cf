"""Looks: backdrop, dress, framing and light that the company approved. A change makes a new version.

Each is for everybody, or for the people of some departments. Who works in a department that has looks of its own gets
these alone; everybody else gets those for everybody.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from likeness import ledger
from likeness.ground.db import oldest_first, row_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, Forbidden, Gone, NotFound, Unprocessable
from likeness.keys.keys import KeyClass, KeyFolder, KeyRef
from likeness.locale.marks import N_
from tenants import backdrops, bounds
from tenants.models import Look, LookPack
from tenants.plain import one_line

DEFAULT: tuple[dict[str, Any], ...] = (
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
MOST = 200
"""Departments of one look."""
CONTEXT = "look departments"
WALL = re.compile(r"(?:gradient:)?#[0-9a-fA-F]{6}|office|picture:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Walls of studio portraits for the backdrops that are named most; every other begins with the first look's.
WALLS = {"light grey": "gradient:#c3cad2", "white": "#f3f4f5", "dark grey": "gradient:#5b626c", "office": "office"}


class LookMissing(NotFound):
    """The company has no such look, or retired it."""

    title = "There is no such look"


class WallRefused(Unprocessable):
    """What stands behind a studio portrait is a colour, a gradient of one, the drawn office, or a company's picture."""

    title = "This backdrop cannot be used"


class LastLook(Conflict):
    """At least one look stays for everybody, or some people would get none."""

    title = "At least one look has to stay for everybody"


class LookOfOthers(Forbidden):
    """The look is not only for the departments that the member works for."""

    title = "This look is for others too"


class DepartmentsRefused(Unprocessable):
    """No department is named, or too many are."""

    title = "These departments cannot be chosen"


class LookTaken(Conflict):
    """The company has a look of this name."""

    title = "There is a look of this name already"


def names(session: Session) -> dict[UUID, str]:
    """Of every look that there ever was, for headshots that were made with it."""
    found = session.exec(select(Look.id, Look.name).where(col(Look.tenant_id) == tenant_of(session)))
    return {look_id: name for look_id, name in found}


def list_looks(
    session: Session, most: int | None = None, *, after: tuple[datetime, UUID] | None = None
) -> list[Look]:
    """Those in use, oldest first; at most so many, those `after` the moment and the id of one."""
    query = select(Look).where(col(Look.tenant_id) == tenant_of(session), col(Look.retired_at).is_(None))
    return list(session.exec(oldest_first(query, col(Look.created_at), col(Look.id), most, after)))


def get(session: Session, look_id: UUID) -> Look:
    """Retired ones too, because headshots name the version they were made with."""
    look = row_of(session, Look, look_id)
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
    for_nobody: bool = False,
    caller: str = ledger.SYSTEM,
) -> Look:
    """With `for_nobody` nobody gets it before its departments are said. Raises `LookTaken`, `WallRefused`,
    `BackdropMissing`, `TextRefused` and, of whoever works for some departments and would give it to everybody,
    `LookOfOthers`."""
    departments: list[bytes] | None = [] if for_nobody else None
    _check_own(session, departments)
    words = _words(name, backdrop, dress, framing, light, wall)
    backdrops.behind(session, words["wall"])
    if any(look.name == words["name"] for look in list_looks(session)):
        raise LookTaken("There is a look “{name}” already.", name=words["name"])
    return _next_version(session, words, caller, departments)


def revise(
    session: Session,
    keys: KeyFolder,
    look_id: UUID,
    *,
    backdrop: str,
    dress: str,
    framing: str,
    light: str,
    wall: str = "",
    caller: str = ledger.SYSTEM,
) -> Look:
    """The next version takes the old one's place, for the same departments; what was made with the old one keeps naming
    it. Raises `LookOfOthers`."""
    old = _in_use(session, look_id)
    words = _words(old.name, backdrop, dress, framing, light, wall)
    backdrops.behind(session, words["wall"])
    old.retired_at = utc_now()
    session.add(old)
    look = _next_version(session, words, caller, old.departments)
    packs = select(LookPack).where(col(LookPack.tenant_id) == tenant_of(session), col(LookPack.looks).contains([old.id]))
    for pack in session.exec(packs):
        pack.looks = [look.id if one == old.id else one for one in pack.looks]
        session.add(pack)
    _seal(keys, look, departments_of(keys, old))
    return look


def retire(session: Session, look_id: UUID, *, caller: str = ledger.SYSTEM) -> None:
    """Raises `LastLook` and `LookOfOthers`."""
    look = _in_use(session, look_id)
    _keep_general(session, look)
    look.retired_at = utc_now()
    session.add(look)
    ledger.record(session, "look.retired", caller=caller, objects=[look.id])


def give_to(
    session: Session, keys: KeyFolder, look_id: UUID, departments: Collection[str] | None, *, caller: str
) -> Look:
    """From now on the people of these departments get the look; None: everybody whose department has none of its own.
    What was begun keeps the looks that it began with.

    Raises `DepartmentsRefused`, `LookOfOthers`, `LastLook` and `TextRefused`.
    """
    look = _in_use(session, look_id)
    digests = named(session, keys, departments)
    if digests is not None:
        _keep_general(session, look)
    look.departments = digests
    _seal(keys, look, None if departments is None else _names(departments))
    session.add(look)
    ledger.record(session, "look.bound" if digests is not None else "look.unbound", caller=caller, objects=[look.id])
    return look


def named(session: Session, keys: KeyFolder, departments: Collection[str] | None) -> list[bytes] | None:
    """The digests of departments that a look is to be for. Raises `DepartmentsRefused`, `TextRefused` and, where they are
    not the member's own, `LookOfOthers`."""
    digests = None
    if departments is not None:
        key, called = keys.index_key(tenant_of(session)), _names(departments)
        if not 0 < len(called) <= MOST:
            raise DepartmentsRefused("Name between 1 and {n} departments, or give the look to everybody.", n=MOST)
        digests = [bounds.index(key, one) for one in called]
    _check_own(session, digests)
    return digests


def departments_of(keys: KeyFolder, look: Look) -> list[str] | None:
    """As they were written; None where the look is for everybody. Raises `KeyUnavailable`."""
    if look.departments is None:
        return None
    if look.sealed_departments is not None:
        with suppress(Gone):
            return list(json.loads(keys.open(_key_ref(look)).open(look.sealed_departments, CONTEXT)))
    return []


def meant_for(known: Sequence[Look], department: bytes | None, pack: Collection[UUID] = ()) -> list[Look]:
    """Which of these looks somebody of this department gets, whose batch is given those of `pack`. A department's own go
    before, and what is for other departments is in nobody's pack."""
    theirs = [look for look in known if look.departments and department in look.departments]
    given = [look for look in known if look.id in pack and not look.departments]
    return theirs or given or [look for look in known if look.departments is None]


def own(session: Session, look: Look) -> bool:
    """Whether this transaction's member may change it, as far as departments go."""
    allowed = bounds.bound_to(session)
    return allowed is None or (look.departments is not None and set(look.departments) <= set(allowed))


def _check_own(session: Session, departments: Collection[bytes] | None) -> None:
    allowed = bounds.bound_to(session)
    if allowed is not None and (departments is None or not set(departments) <= set(allowed)):
        raise LookOfOthers("You work for some departments. A look of yours is for these and for nobody else.")


def _keep_general(session: Session, leaving: Look) -> None:
    """Somebody whose department has no look of its own still gets one. Two who take the last two away come one after the
    other."""
    mine = (col(Look.tenant_id) == tenant_of(session), col(Look.retired_at).is_(None))
    rows = session.exec(select(Look).where(*mine).order_by(col(Look.id)).with_for_update()).all()
    if not any(one.departments is None for one in rows if one.id != leaving.id):
        raise LastLook(
            "This is the only look for everybody, and whoever's department has none of its own would get no headshot."
            " Add another one first."
        )


def _seal(keys: KeyFolder, look: Look, departments: list[str] | None) -> None:
    look.sealed_departments = None
    if departments is not None:
        key = keys.open_or_create(_key_ref(look))
        look.sealed_departments = key.seal(json.dumps(departments, ensure_ascii=False).encode(), CONTEXT)


def _key_ref(look: Look) -> KeyRef:
    return KeyRef(look.tenant_id, look.id, KeyClass.PROFILE)


def _names(departments: Collection[str]) -> list[str]:
    return bounds.names("\n".join(departments))


def _in_use(session: Session, look_id: UUID) -> Look:
    look = get(session, look_id)
    if look.retired_at is not None:
        raise LookMissing
    if not own(session, look):
        raise LookOfOthers("This look is for others than your departments too. Somebody of the whole company changes it.")
    return look


def _next_version(session: Session, words: dict[str, str], caller: str, departments: list[bytes] | None) -> Look:
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
        departments=departments,
    )
    try:
        with session.begin_nested():
            session.add(look)
    except IntegrityError:
        raise LookTaken("Somebody changed this look at the same moment.") from None
    ledger.record(session, "look.added", caller=caller, objects=[look.id])
    return look


CALLED = {
    "name": N_("name"), "backdrop": N_("backdrop"), "dress": N_("dress"), "framing": N_("framing"), "light": N_("light"),
}  # fmt: skip


def _words(name: str, backdrop: str, dress: str, framing: str, light: str, wall: str) -> dict[str, str]:
    wall = wall.strip() or WALLS.get(backdrop.strip().lower(), WALLS["light grey"])
    if not WALL.fullmatch(wall):
        raise WallRefused(
            "Write a colour as #c8ccd0, a gradient as gradient:#c8ccd0, office, or the picture that was handed in."
        )
    typed = {"name": name, "backdrop": backdrop, "dress": dress, "framing": framing, "light": light}
    return {word: one_line(text, LONGEST, CALLED[word]) for word, text in typed.items()} | {"wall": wall}
