"""Packs: looks that go together under a name. The people of a batch may be given one of them, and a department is locked to
the looks of one by giving it all of these (`looks.give_to`), which goes before what is chosen for a batch.

A look may stand in several packs. One that is revised keeps its place, and one that is retired is no more in any.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from likeness import ledger
from likeness.ground.db import row_of, tenant_of
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.locale.marks import N_
from tenants import bounds, looks
from tenants.models import Look, LookPack
from tenants.plain import one_line

MOST = 100
LONGEST = 80


class PackMissing(NotFound):
    """The company has no such pack."""

    title = "There is no such pack"


class PackRefused(Unprocessable):
    """A pack has a name and holds looks of the company's."""

    title = "This pack cannot be kept"


class PackTaken(Conflict):
    """The company has a pack of this name, or too many of them."""

    title = "There is no room for this pack"


def listed(session: Session) -> list[LookPack]:
    """Oldest first."""
    mine = select(LookPack).where(col(LookPack.tenant_id) == tenant_of(session))
    return list(session.exec(mine.order_by(col(LookPack.created_at), col(LookPack.id))))


def get(session: Session, pack_id: UUID) -> LookPack:
    """Raises `PackMissing`."""
    pack = row_of(session, LookPack, pack_id)
    if pack is None:
        raise PackMissing("There is no such pack.")
    return pack


def add(session: Session, name: str, look_ids: Collection[UUID], *, caller: str) -> LookPack:
    """Raises `PackRefused`, `PackTaken`, `TextRefused` and, of whoever works for some departments, `LookOfOthers`."""
    known = listed(session)
    if len(known) >= MOST:
        raise PackTaken("There are {n} packs already. Remove one first.", n=MOST)
    pack = LookPack(tenant_id=tenant_of(session), name="", looks=[])
    return _kept(session, pack, known, name, look_ids, "pack.added", caller)


def change(session: Session, pack_id: UUID, name: str, look_ids: Collection[UUID], *, caller: str) -> LookPack:
    """Counts for headshots that are begun from now on. Raises `PackMissing` and what `add` does."""
    pack = get(session, pack_id)
    others = [one for one in listed(session) if one.id != pack_id]
    return _kept(session, pack, others, name, look_ids, "pack.changed", caller)


def _kept(
    session: Session, pack: LookPack, others: list[LookPack], name: str, look_ids: Collection[UUID], event: str, caller: str
) -> LookPack:
    _check_whole(session)
    name = one_line(name, LONGEST, N_("name of the pack"))
    if any(one.name.casefold() == name.casefold() for one in others):
        raise PackTaken("There is a pack “{name}” already.", name=name)
    there = [look.id for look in looks.list_looks(session)]
    if not look_ids or not set(look_ids) <= set(there):
        raise PackRefused("Tick at least one of the looks that your company has now.")
    pack.name, pack.looks = name, [one for one in there if one in set(look_ids)]
    session.add(pack)
    session.flush()
    ledger.record(session, event, caller=caller, objects=[pack.id])
    return pack


def remove(session: Session, pack_id: UUID, *, caller: str) -> None:
    """Its looks stay; batches that had it get those for everybody. Raises `PackMissing` and `LookOfOthers`."""
    pack = get(session, pack_id)
    _check_whole(session)
    session.delete(pack)
    ledger.record(session, "pack.removed", caller=caller, objects=[pack.id])


def looks_in(session: Session, pack: LookPack) -> list[Look]:
    """Those of the pack that are in use."""
    return [look for look in looks.list_looks(session) if look.id in pack.looks]


def chosen(session: Session, pack_id: UUID | None) -> Sequence[UUID]:
    """The looks of a batch's pack; none where it has no pack, or that was removed."""
    pack = row_of(session, LookPack, pack_id) if pack_id else None
    return pack.looks if pack else ()


def _check_whole(session: Session) -> None:
    if bounds.bound_to(session) is not None:
        raise looks.LookOfOthers("You work for some departments. Packs are for the whole company.")
