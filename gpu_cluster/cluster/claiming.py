"""Whose sittings are the next order: taken fairly between companies, and in halves of what was lost before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import Session, col, select

from batch.models import Sitting
from batch.photos import photos
from batch.sittings import edits, resemblance, sittings
from batch.sittings.edits import Edit, EditGone
from batch.sittings.runs import Run, RunState, Weights
from batch.visit.consents import ConsentMissing
from gpu_cluster.bases.recipe import named
from gpu_cluster.cluster.fleet import Loss
from gpu_cluster.engine.orders import LookShot, Order, PersonOrder
from likeness.ground.db import tenant_of
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyDestroyed, KeyRef, KeyUnavailable
from tenants import backdrops, looks, tenants
from tenants.backdrops import BackdropMissing
from tenants.models import CUTOUT

COMPANY = timedelta(seconds=2)
"""How long a sitting waits for others of its company, because a pack costs little more than one person."""
SEEN = 16
"""Orders' worth of a company's waiting sittings among which those with the same looks are sought."""
PORTRAITS = 4
"""Sittings of one tenant whose studio portraits are one order: few enough that companies take turns every minute."""
BLAMED = (Loss.STUDIO_DIED, Loss.HUNG)
"""Losses that a person's photos may be the cause of. Everything else is the cluster's, and is tried again for ever."""


def take(kernel: Kernel, working: Sequence[Order], now: datetime, *, portraits: bool) -> Order | None:
    """Claims the next order: the tenant with the fewest sittings in work comes first, then who waits longest.

    An order is of one recipe: studio portraits, or what is made on the base that this installation has. Whoever agreed to
    another one is not in it. Its people get the same looks.
    """
    settings = kernel.settings
    if not portraits and settings.recipe == CUTOUT:
        return None
    recipe: dict[str, Any] = {"name": CUTOUT} if portraits else named(settings.recipe).as_dict()
    most = PORTRAITS if portraits else recipe["pack"]
    running: Counter[UUID] = Counter()
    for order in working:
        running[order.tenant] += len(order.people)
    waiting = sorted(_ready(kernel, recipe["name"]), key=lambda item: (running[item[0]], item[1]))
    for tenant, _ in waiting:
        with kernel.db.transaction(tenant) as session:
            if portraits and (edited := _edit(kernel, session, now)) is not None:
                return edited
            ready = _alike(kernel, session, most, recipe["name"])
            if not portraits and len(ready) < most and any(sitting.created_at > now - COMPANY for sitting in ready):
                continue
            shots = _shots(session, ready[0].looks, portraits=portraits) if ready else ()
            if not shots:
                continue
            together = _pack(session, ready, most)
            people = [p for sitting in together if (p := _claim(session, sitting, recipe, len(together), now))]
        if people:
            return Order(id=uuid4(), tenant=tenant, people=tuple(people), looks=shots, recipe=recipe)
    return None


def _alike(kernel: Kernel, session: Session, most: int, recipe: str) -> list[Sitting]:
    """Those that wait longest of those whose people get the same looks, the first of all among them."""
    found = list[Sitting]()
    for sitting in sittings.ready(session, SEEN * most, recipe):
        if not sitting.looks:
            sittings.choose_looks(session, sitting)
        if len(found) < most and (not found or sitting.looks == found[0].looks) and _reachable(kernel, sitting):
            found.append(sitting)
    return found


def _shots(session: Session, chosen: Sequence[UUID], *, portraits: bool) -> tuple[LookShot, ...]:
    found = list[LookShot]()
    for look in (looks.get(session, one) for one in chosen):
        wall, behind = look.wall, b""
        try:
            behind = backdrops.behind(session, wall) if portraits else b""
        except backdrops.BackdropMissing:
            # Whoever waited longer than a retired look's picture stays must not keep the others waiting.
            wall = looks.WALLS["light grey"]
        found.append(LookShot(look.id, look.backdrop, look.dress, look.framing, look.light, wall, behind))
    return tuple(found)


def _edit(kernel: Kernel, session: Session, now: datetime) -> Order | None:
    """One headshot that is made anew on another backdrop: somebody looks at a page and waits for it, so it comes before the
    company's sittings, and takes seconds."""
    edit = edits.ready(session)
    if edit is None or not _reachable(kernel, edit):
        return None
    try:
        photo = edits.photo_of(session, edit, now)
        backdrops.behind(session, looks.get(session, edit.look_id).wall)
    except (EditGone, BackdropMissing):
        edits.fail(session, edit.id, edit.fence, edits.GONE, now)
        return None
    fence = edits.claim(session, edit, now)
    paths = tuple(one.path for one in photos.accepted(session, edit.employee_id))
    seen = tuple(dict.fromkeys((*paths, photo.path)))
    person = PersonOrder(edit.id, edit.employee_id, fence, 0, seen, cut_from=photo.path)
    shots = _shots(session, [edit.look_id], portraits=True)
    return Order(uuid4(), tenant_of(session), (person,), shots, {"name": CUTOUT})


def _reachable(kernel: Kernel, sitting: Sitting | Edit) -> bool:
    """Whether its photos can be opened; one whose key is away waits until the key is back."""
    try:
        kernel.keys.open(KeyRef(sitting.tenant_id, sitting.employee_id, KeyClass.SOURCE))
    except KeyUnavailable:
        return False
    except KeyDestroyed:  # That is for the studio to say.
        return True
    return True


def _claim(session: Session, sitting: Sitting, recipe: dict[str, Any], pack: int, now: datetime) -> PersonOrder | None:
    try:
        paths = tuple(photo.path for photo in sittings.photos_for(session, sitting))
    except ConsentMissing:
        # The terms changed or the consent went while the sitting waited: it must not keep the others waiting.
        sittings.cancel(session, sitting.employee_id)
        return None
    fence = sittings.claim(session, sitting.id, now)
    if fence is None:
        return None
    session.add(
        Run(
            tenant_id=tenant_of(session),
            employee_id=sitting.employee_id,
            sitting_id=sitting.id,
            fence=fence,
            pack=pack,
            recipe=recipe,
            steps=recipe.get("steps", 0),
            started_at=now,
            heartbeat_at=now,
        )
    )
    kept = checkpoint(session, sitting.id)
    least = resemblance.bar(session, sitting.employee_id)
    return PersonOrder(sitting.id, sitting.employee_id, fence, sitting.seed, paths, kept.path if kept else "", least)


def checkpoint(session: Session, sitting_id: UUID) -> Weights | None:
    return session.exec(
        select(Weights).where(
            Weights.tenant_id == tenant_of(session), Weights.sitting_id == sitting_id, Weights.kind == "checkpoint"
        )
    ).first()


def _ready(kernel: Kernel, recipe: str) -> Iterator[tuple[UUID, datetime]]:
    """Tenants with a READY sitting or edit, each with the time since when its oldest one waits."""
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            first = sittings.ready(session, 1, recipe)
            edit = edits.ready(session) if recipe == CUTOUT else None
        since = [one.created_at for one in (*first, edit) if one is not None]
        if since:
            yield tenant, min(since)


def waits(kernel: Kernel) -> Iterator[tuple[UUID, datetime]]:
    """Tenants with a READY sitting that this installation can make."""
    for recipe in dict.fromkeys((CUTOUT, kernel.settings.recipe)):
        yield from _ready(kernel, recipe)


def blamed_packs(session: Session, sitting_id: UUID) -> list[int]:
    """The sizes of the orders that were lost with this sitting in them, for reasons that it may be the cause of."""
    return list(
        session.exec(
            select(Run.pack).where(
                Run.tenant_id == tenant_of(session),
                Run.sitting_id == sitting_id,
                Run.state == RunState.LOST,
                col(Run.error).in_(BLAMED),
            )
        )
    )


def _pack(session: Session, waiting: Sequence[Sitting], most: int) -> list[Sitting]:
    """Who is taken together: the first, and those behind who may be in an order as large.

    Whoever was in an order that was lost is in one of half its size the next time, until who takes studios down is alone.
    """
    sizes = [min([most, *(max(1, pack // 2) for pack in blamed_packs(session, one.id))]) for one in waiting]
    return [one for one, size in zip(waiting, sizes, strict=True) if size == sizes[0]][: sizes[0]] if sizes else []
