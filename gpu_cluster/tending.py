"""Looks after the cluster: takes READY sittings fairly, watches runs, and writes what came of them.

`batch` leaves a sitting READY; here it is claimed with a fencing number. Studios write sealed objects, and only this file
writes rows, each result in one transaction that still holds the number. What a lost studio wrote and no row names is
swept away with the person's other orphans.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import Session, col, select, update

from batch import headshots, photos, sittings
from batch.consents import ConsentMissing
from batch.models import Headshot, Sitting, SittingState
from gpu_cluster.fleet import Fleet, Loss
from gpu_cluster.models import Run, RunState, Weights
from gpu_cluster.orders import LookShot, Order, Outcome, Person, Progress
from gpu_cluster.recipe import named
from gpu_cluster.scratch import sweep_scratch
from likeness import jobs
from likeness.db import after_commit, tenant_of, utc_now
from likeness.errors import OutcomeUnknown
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyDestroyed, KeyRef, KeyUnavailable
from tenants import looks, tenants
from tenants.models import CUTOUT

log = logging.getLogger(__name__)

COMPANY = timedelta(seconds=2)
"""How long a sitting waits for others of its company, because a pack costs little more than one person."""
PORTRAITS = 4
"""Sittings of one tenant whose studio portraits are one order: few enough that companies take turns every minute."""
SETTLE_TRIES = 3
ALONE = 2
"""Times that a sitting may take its studio down while nobody else is in it, before it is called failed."""
REST = timedelta(seconds=30)
"""How long nothing is started after the cluster itself failed; a base that cannot be loaded would be tried in a loop."""
BLAMED = (Loss.STUDIO_DIED, Loss.HUNG)
"""Losses that a person's photos may be the cause of. Everything else is the cluster's, and is tried again for ever."""

_fleets: dict[int, Fleet] = {}
_wanted: set[int] = set()
_resting: dict[tuple[int, bool], datetime] = {}
"""Until when nothing is started, of studio portraits (True) or of models."""
_interrupted: set[int] = set()
"""Whose last round failed: an order may have been claimed and not started, or a result read and not written."""


def close(kernel: Kernel) -> None:
    """Ends the studios; their sittings are taken up again at the next start."""
    _wanted.discard(id(kernel.settings))
    fleet = _fleets.pop(id(kernel.settings), None)
    if fleet:
        fleet.close()
        sweep_scratch()


@jobs.every(timedelta(seconds=1), let_go=close)
def tend(kernel: Kernel, now: datetime) -> None:
    """One round: write results, watch, cancel, and start what fits. Ray starts with the first sitting."""
    try:
        _round(kernel, now)
    except Exception:
        _interrupted.add(id(kernel.settings))
        raise


def _round(kernel: Kernel, now: datetime) -> None:
    fleet = _fleets.get(id(kernel.settings))
    if fleet is not None and fleet.lost():
        log.warning("the way to Ray is lost; it is opened again with the next sitting")
        _fleets.pop(id(kernel.settings)).close()
        fleet = None
    if fleet is None or id(kernel.settings) in _interrupted:
        _declare_lost(kernel, now, fleet.working() if fleet else [])
        _interrupted.discard(id(kernel.settings))
    if fleet is None:
        sweep_scratch()
        if id(kernel.settings) not in _wanted and not any(_waits(kernel)):
            return
        fleet = _fleets[id(kernel.settings)] = open_fleet(kernel)
    _settle_finished(kernel, fleet, now)
    _watch(kernel, fleet, now)
    # A node that goes down ends its studios first; what it took now would be lost a second time.
    for portraits in (True, False):
        if now < _resting.get((id(kernel.settings), portraits), now):
            continue
        while fleet.free(portraits=portraits) > 0 and not fleet.lost():
            order = take(kernel, fleet.working(), now, portraits=portraits)
            if order is None:
                break
            fleet.start(order)


def _settle_finished(kernel: Kernel, fleet: Fleet, now: datetime) -> None:
    fleet.end_hung()
    for finished in fleet.finished():
        if finished.loss is not None and finished.loss not in BLAMED:
            portraits = bool(finished.order.recipe["name"] == CUTOUT)
            _resting[id(kernel.settings), portraits] = now + REST
        for person in finished.order.people:
            lost = finished.loss or Loss.STUDIO_DIED
            outcome = next((o for o in finished.outcomes or [] if o.sitting == person.sitting), lost)
            settle(kernel, finished.order, person, outcome)


def open_fleet(kernel: Kernel) -> Fleet:
    settings = kernel.settings
    recipe = None if settings.recipe == CUTOUT else named(settings.recipe).as_dict()
    return Fleet(settings.ray_address, recipe, tuple(sorted(settings.licences)), settings.studios, settings.darkrooms)


def warm_up(kernel: Kernel) -> None:
    """Has the next round start Ray and load the base model before the first sitting asks for it.

    The round's own thread does it, because Ray's processes end with the thread that started them.
    """
    _wanted.add(id(kernel.settings))


def settle(kernel: Kernel, order: Order, person: Person, outcome: Outcome | Loss) -> None:
    """Writes what came of one sitting, if this claim still holds; then removes the objects that no row names.

    What the cluster made costs minutes, so when the answer to the COMMIT is lost it is written again: every step is
    guarded, and finds what the first try has written. Raises `OutcomeUnknown` when that stays so.
    """
    for _ in range(SETTLE_TRIES - 1):
        try:
            kept = _settle(kernel, order, person, outcome)
            break
        except OutcomeUnknown:
            log.warning("it is not known whether a result was written; it is written again")
    else:
        kept = _settle(kernel, order, person, outcome)
    if isinstance(outcome, Outcome) and not kept:
        _remove_unnamed(kernel, order.tenant, [outcome.adapter_path, *(picture.path for picture in outcome.pictures)])


def _settle(kernel: Kernel, order: Order, person: Person, outcome: Outcome | Loss) -> bool:
    """Whether the objects of this outcome got their rows."""
    now = utc_now()
    with kernel.db.transaction(order.tenant) as session:
        run = _run(session, person)
        if isinstance(outcome, Loss):
            _close_run(run, RunState.LOST, now, outcome)
            _try_again(session, person)
        elif outcome.away:
            _close_run(run, RunState.LOST, now, Loss.AWAY)
            _try_again(session, person)
        elif outcome.cancelled:
            _drop_checkpoint(session, kernel, person.sitting)
            _close_run(run, RunState.CANCELLED, now, None)
        elif outcome.failure:
            _drop_checkpoint(session, kernel, person.sitting)
            _note_figures(run, outcome)
            _close_run(run, RunState.FAILED, now, outcome.error)
            sittings.fail(session, person.sitting, person.fence, outcome.failure)
        else:
            return _keep(session, kernel, order, person, outcome, run, now)
    return False


def _remove_unnamed(kernel: Kernel, tenant: UUID, paths: list[str]) -> None:
    """A sitting that was taken over leaves objects without rows; one that was written already has them."""
    with kernel.db.transaction(tenant) as session:
        named = {
            *session.exec(select(Headshot.path).where(col(Headshot.tenant_id) == tenant, col(Headshot.path).in_(paths))),
            *session.exec(select(Weights.path).where(col(Weights.tenant_id) == tenant, col(Weights.path).in_(paths))),
        }
    for path in paths:
        if path and path not in named:
            kernel.objects.delete(path)


def _keep(
    session: Session, kernel: Kernel, order: Order, person: Person, outcome: Outcome, run: Run | None, now: datetime
) -> bool:
    if not sittings.finish(session, person.sitting, person.fence):
        _close_run(run, RunState.CANCELLED, now, None)
        return False
    _note_figures(run, outcome)
    _close_run(run, RunState.SUCCEEDED, now, None)
    _drop_checkpoint(session, kernel, person.sitting)
    if outcome.adapter_path:  # A studio portrait has no model behind it, nor has one that was drawn from references.
        session.add(
            Weights(
                tenant_id=order.tenant,
                employee_id=person.employee,
                sitting_id=person.sitting,
                kind="adapter",
                path=outcome.adapter_path,
                bytes=outcome.adapter_bytes,
                due_at=_weights_due(session, person, now),
            )
        )
    for picture in outcome.pictures:
        headshots.record(
            session,
            person.sitting,
            person.employee,
            look_id=picture.look,
            number=picture.number,
            path=picture.path,
            size=picture.bytes,
            likeness_ratio=picture.likeness_ratio,
            question=picture.question,
            loosening=picture.loosening,
            now=now,
        )
    return True


def _weights_due(session: Session, person: Person, now: datetime) -> datetime:
    """Weights share the fate of the photos they were made of: they go with the first of them."""
    latest = now + timedelta(days=tenants.get(session).source_days)
    return min([latest, *(photo.due_at for photo in photos.accepted(session, person.employee))])


def take(kernel: Kernel, working: Sequence[Order], now: datetime, *, portraits: bool) -> Order | None:
    """Claims the next order: the tenant with the fewest sittings in work comes first, then who waits longest.

    An order is of one kind: studio portraits, or models on the base that this installation has.
    """
    settings = kernel.settings
    if not portraits and settings.recipe == CUTOUT:
        return None  # What waits for a base waits until an operator configures one; `check` says so.
    recipe: dict[str, Any] = {"name": CUTOUT} if portraits else named(settings.recipe).as_dict()
    most = PORTRAITS if portraits else recipe["pack"]
    running: Counter[UUID] = Counter()
    for order in working:
        running[order.tenant] += len(order.people)
    waiting = sorted(_ready(kernel, portraits=portraits), key=lambda item: (running[item[0]], item[1]))
    for tenant, _ in waiting:
        with kernel.db.transaction(tenant) as session:
            shots = tuple(
                LookShot(look.id, look.backdrop, look.dress, look.framing, look.light, look.wall)
                for look in looks.list_looks(session)
            )
            if not shots:
                continue
            ready = sittings.ready(session, most, portraits=portraits)
            if not portraits and len(ready) < most and any(sitting.created_at > now - COMPANY for sitting in ready):
                continue
            ready = [sitting for sitting in ready if _reachable(kernel, sitting)]
            together = _pack(session, ready, most)
            people = [p for sitting in together if (p := _claim(session, sitting, recipe, len(together), now))]
        if people:
            return Order(
                id=uuid4(),
                tenant=tenant,
                people=tuple(people),
                looks=shots,
                recipe=recipe,
                objects_url=settings.objects_address(),
                objects_plain_http=settings.objects_plain_http,
                key_folder=str(settings.keys_path()),
                licences=tuple(sorted(settings.licences)),
            )
    return None


def _reachable(kernel: Kernel, sitting: Sitting) -> bool:
    """Whether its photos can be opened; a sitting whose key is away waits until the key is back."""
    try:
        kernel.keys.open(KeyRef(sitting.tenant_id, sitting.employee_id, KeyClass.SOURCE))
    except KeyUnavailable:
        return False
    except KeyDestroyed:  # That is for the studio to say.
        return True
    return True


def _claim(session: Session, sitting: Sitting, recipe: dict[str, Any], pack: int, now: datetime) -> Person | None:
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
    checkpoint = _checkpoint(session, sitting.id)
    return Person(sitting.id, sitting.employee_id, fence, sitting.seed, paths, checkpoint.path if checkpoint else "")


def _checkpoint(session: Session, sitting_id: UUID) -> Weights | None:
    return session.exec(
        select(Weights).where(
            Weights.tenant_id == tenant_of(session), Weights.sitting_id == sitting_id, Weights.kind == "checkpoint"
        )
    ).first()


def _ready(kernel: Kernel, *, portraits: bool) -> Iterator[tuple[UUID, datetime]]:
    """Tenants with a READY sitting, each with the time since when its oldest one waits."""
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            first = sittings.ready(session, 1, portraits=portraits)
        if first:
            yield tenant, first[0].created_at


def _waits(kernel: Kernel) -> Iterator[tuple[UUID, datetime]]:
    """Tenants with a READY sitting that this installation can make."""
    yield from _ready(kernel, portraits=True)
    if kernel.settings.recipe != CUTOUT:
        yield from _ready(kernel, portraits=False)


def _watch(kernel: Kernel, fleet: Fleet, now: datetime) -> None:
    """Writes heartbeats and progress, and tells studios to drop sittings that were cancelled meanwhile."""
    progress = fleet.progress()
    for order in fleet.working():
        with kernel.db.transaction(order.tenant) as session:
            for person in order.people:
                state = session.exec(
                    select(Sitting.state).where(
                        Sitting.tenant_id == order.tenant, Sitting.id == person.sitting, Sitting.fence == person.fence
                    )
                ).first()
                if state is None or state == SittingState.CANCELLED:
                    fleet.cancel(order.id, person.sitting)
                    continue
                seen = progress.get(order.id, {}).get(person.sitting)
                if seen:
                    _note_progress(session, kernel, person, seen, now)


def _note_progress(session: Session, kernel: Kernel, person: Person, seen: Progress, now: datetime) -> None:
    session.execute(
        update(Run)
        .where(col(Run.tenant_id) == tenant_of(session), col(Run.sitting_id) == person.sitting,
               col(Run.fence) == person.fence, col(Run.state) == RunState.RUNNING)
        .values(heartbeat_at=now, step=seen.step, steps=seen.steps or Run.steps, made=seen.made, passed=seen.passed)
    )  # fmt: skip
    if seen.checkpoint:
        _note_checkpoint(session, kernel, person, seen, now)
    if seen.stage == "rendering":
        sittings.advance(session, person.sitting, person.fence, SittingState.TRAINING, SittingState.RENDERING)


def _note_checkpoint(session: Session, kernel: Kernel, person: Person, seen: Progress, now: datetime) -> None:
    """The newest checkpoint takes the place of the one before, whose object goes after the commit."""
    before = _checkpoint(session, person.sitting)
    if before and before.path == seen.checkpoint:
        return
    _drop_checkpoint(session, kernel, person.sitting)
    session.add(
        Weights(
            tenant_id=tenant_of(session),
            employee_id=person.employee,
            sitting_id=person.sitting,
            kind="checkpoint",
            path=seen.checkpoint,
            bytes=seen.checkpoint_bytes,
            due_at=_weights_due(session, person, now),
        )
    )


def _drop_checkpoint(session: Session, kernel: Kernel, sitting_id: UUID) -> None:
    row = _checkpoint(session, sitting_id)
    if row is not None:
        path = row.path
        session.delete(row)
        session.flush()
        after_commit(session, lambda: kernel.objects.delete(path))


def _declare_lost(kernel: Kernel, now: datetime, working: list[Order]) -> None:
    """Runs that no studio works on, as after a restart of this process: their sittings go back to READY."""
    alive = {(person.sitting, person.fence) for order in working for person in order.people}
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            for run in session.exec(
                select(Run).where(Run.tenant_id == tenant_of(session), Run.state == RunState.RUNNING)
            ).all():
                if (run.sitting_id, run.fence) in alive:
                    continue
                _close_run(run, RunState.LOST, now, Loss.RESTARTED)
                _try_again(session, Person(run.sitting_id, run.employee_id, run.fence, 0, ()))


def _try_again(session: Session, person: Person) -> None:
    alone = [pack for pack in _blamed_packs(session, person.sitting) if pack == 1]
    if len(alone) >= ALONE:
        sittings.fail(
            session,
            person.sitting,
            person.fence,
            "The program stopped twice while it worked on your photos alone. Please hand in a few other ones.",
        )
    else:
        for state in (SittingState.TRAINING, SittingState.RENDERING, SittingState.JUDGING):
            sittings.advance(session, person.sitting, person.fence, state, SittingState.READY)


def _blamed_packs(session: Session, sitting_id: UUID) -> list[int]:
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
    sizes = [min([most, *(max(1, pack // 2) for pack in _blamed_packs(session, one.id))]) for one in waiting]
    return [one for one, size in zip(waiting, sizes, strict=True) if size == sizes[0]][: sizes[0]] if sizes else []


def _run(session: Session, person: Person) -> Run | None:
    return session.exec(
        select(Run).where(
            Run.tenant_id == tenant_of(session), Run.sitting_id == person.sitting, Run.fence == person.fence
        )
    ).first()


def _note_figures(run: Run | None, outcome: Outcome) -> None:
    if run is not None:
        run.seconds, run.step = outcome.seconds, outcome.steps
        run.made, run.passed, run.likeness_ratio = outcome.made, outcome.passed, outcome.likeness_ratio


def _close_run(run: Run | None, state: RunState, now: datetime, error: str | None) -> None:
    if run is not None and run.state == RunState.RUNNING:
        run.state, run.finished_at, run.error = state, now, error
