"""Looks after the cluster: takes READY sittings fairly, watches runs, and writes what came of them.

`batch` leaves a sitting READY; here it is claimed with a fencing number. Studios write sealed objects, and only this file
writes rows, each result in one transaction that still holds the number. What a lost studio wrote and no row names is
swept away with the person's other orphans.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from sqlmodel import Session, col, select, update

from batch.models import Headshot, Sitting, SittingState
from batch.people.employees import EmployeeMissing
from batch.photos import photos
from batch.sittings import edits, headshots, resemblance, sittings
from batch.sittings.runs import Run, RunState, Weights
from gpu_cluster.bases.recipe import named
from gpu_cluster.cluster import editing
from gpu_cluster.cluster.claiming import BLAMED, blamed_packs, checkpoint, take, waits
from gpu_cluster.cluster.fleet import Fleet, Loss
from gpu_cluster.cluster.granting import grant
from gpu_cluster.engine.orders import Order, Outcome, PersonOrder, Picture, Progress
from likeness.ground.db import after_commit, tenant_of, utc_now
from likeness.ground.errors import OutcomeUnknown
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from tenants import tenants
from tenants.models import CUTOUT

log = logging.getLogger(__name__)

SETTLE_TRIES = 3
ALONE = 2
"""Times that a sitting may take its studio down while nobody else is in it, before it is called failed."""
REFUSED = N_(
    "What was made is not shown: meanwhile the photos that it was cut from were deleted, or you said of headshots as little"
    " like you that they are not you."
)
REST = timedelta(seconds=30)
"""How long nothing is started after the cluster itself failed; a base that cannot be loaded would be tried in a loop."""


class Cluster:
    """The fleet of this program, and what its rounds have to remember of each other."""

    def __init__(self) -> None:
        self._fleet: Fleet | None = None
        self._wanted = False
        self._resting: dict[bool, datetime] = {}
        """Until when nothing is started, of studio portraits (True) or of models."""
        self._interrupted = False
        """The last round failed: an order may have been claimed and not started, or a result read and not written."""

    def warm_up(self) -> None:
        """Has the next round start Ray and load the base model before the first sitting asks for it.

        The round's own thread does it, because Ray's processes end with the thread that started them.
        """
        self._wanted = True

    def close(self, kernel: Kernel) -> None:
        """Ends the studios; their sittings are taken up again at the next start."""
        self._wanted = False
        fleet, self._fleet = self._fleet, None
        if fleet:
            fleet.close()

    def run(self, kernel: Kernel, now: datetime) -> None:
        """One round: write results, watch, cancel, and start what fits. Ray starts with the first sitting."""
        try:
            self._round(kernel, now)
        except Exception:
            self._interrupted = True
            raise

    def _round(self, kernel: Kernel, now: datetime) -> None:
        if self._fleet is not None and self._fleet.lost():
            log.warning("the way to Ray is lost; it is opened again with the next sitting")
            fleet, self._fleet = self._fleet, None
            fleet.close()
        if self._fleet is None or self._interrupted:
            _declare_lost(kernel, now, self._fleet.working() if self._fleet else [])
            self._interrupted = False
        if self._fleet is None:
            if not self._wanted and not any(waits(kernel)):
                return
            self._fleet = open_fleet(kernel)
        self._settle_finished(kernel, self._fleet, now)
        _watch(kernel, self._fleet, now)
        # A node that goes down ends its studios first; what it took now would be lost a second time.
        for portraits in (True, False):
            if now < self._resting.get(portraits, now):
                continue
            while self._fleet.free(portraits=portraits) > 0 and not self._fleet.lost():
                order = take(kernel, self._fleet.working(), now, portraits=portraits)
                if order is None:
                    break
                self._fleet.start(order)
        self._fleet.hand_over(partial(grant, kernel))
        self._fleet.rest()

    def _settle_finished(self, kernel: Kernel, fleet: Fleet, now: datetime) -> None:
        fleet.end_hung()
        for finished in fleet.finished():
            if finished.loss is not None and finished.loss not in BLAMED:
                self._resting[bool(finished.order.recipe["name"] == CUTOUT)] = now + REST
            for person in finished.order.people:
                lost = finished.loss or Loss.STUDIO_DIED
                outcome = next((o for o in finished.outcomes or [] if o.sitting == person.sitting), lost)
                settle(kernel, finished.order, person, outcome)


CLUSTER = Cluster()
"""This program's own. One process leads, and one of its threads runs the rounds."""
jobs.every(timedelta(seconds=1), let_go=CLUSTER.close)(CLUSTER.run)


@jobs.every(timedelta(minutes=1))
def turn_away(kernel: Kernel, now: datetime) -> None:
    """Ends what waits for a base that this installation had before; what it has now is what companies offer."""
    tenants.note_base(kernel)

    def away(session: Session) -> None:
        for sitting in sittings.turn_away(session, kernel.settings.recipe):
            _drop_checkpoint(session, kernel, sitting)

    tenants.for_each(kernel, away)


def open_fleet(kernel: Kernel) -> Fleet:
    settings = kernel.settings
    recipe = None if settings.recipe == CUTOUT else named(settings.recipe).as_dict()
    licences = tuple(sorted(settings.licences))
    return Fleet(
        settings.ray_address,
        recipe,
        licences,
        settings.studios,
        settings.darkrooms,
        settings.gpu_share,
        tuple(settings.fixed_weights),
    )


def settle(kernel: Kernel, order: Order, person: PersonOrder, outcome: Outcome | Loss) -> None:
    """Writes what came of one sitting, if this claim still holds; then removes the objects that no row names.

    What the cluster made costs minutes, so when the answer to the COMMIT is lost it is written again: every step is
    guarded, and finds what the first try has written. Raises `OutcomeUnknown` when that stays so.
    """
    for _ in range(SETTLE_TRIES - 1):
        try:
            _settle(kernel, order, person, outcome)
            break
        except OutcomeUnknown:
            log.warning("it is not known whether a result was written; it is written again")
    else:
        _settle(kernel, order, person, outcome)
    if isinstance(outcome, Outcome):
        _remove_unnamed(kernel, order.tenant, [outcome.adapter_path, *(picture.path for picture in outcome.pictures)])


def _settle(kernel: Kernel, order: Order, person: PersonOrder, outcome: Outcome | Loss) -> None:
    now = utc_now()
    with kernel.db.transaction(order.tenant) as session:
        if order.edits:
            editing.settle(session, person, outcome, now)
            return
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
            unused = _unused(session, person, outcome)
            sittings.fail(session, person.sitting, person.fence, outcome.failure, outcome.missed, unused)
        else:
            _keep(session, kernel, person, outcome, run, now)


def _remove_unnamed(kernel: Kernel, tenant: UUID, paths: list[str]) -> None:
    """A sitting that was taken over, and what its person refused meanwhile, leave objects without rows."""
    with kernel.db.transaction(tenant) as session:
        named = {
            *session.exec(
                select(Headshot.path).where(col(Headshot.tenant_id) == tenant, col(Headshot.path).in_(paths))
            ),
            *session.exec(select(Weights.path).where(col(Weights.tenant_id) == tenant, col(Weights.path).in_(paths))),
        }
    for path in paths:
        if path and path not in named:
            kernel.objects.delete(path)


def _keep(session: Session, kernel: Kernel, person: PersonOrder, outcome: Outcome, run: Run | None, now: datetime) -> None:
    try:
        # Whoever says "not me" or deletes a photo at this moment has said so before it is looked at what they refused.
        photos.hold(session, person.employee)
    except EmployeeMissing:
        _close_run(run, RunState.CANCELLED, now, None)
        return
    pictures = _wanted(session, person, outcome)
    if outcome.pictures and not pictures:
        _drop_checkpoint(session, kernel, person.sitting)
        _note_figures(run, outcome)
        _close_run(run, RunState.FAILED, now, "NothingWanted")
        sittings.fail(session, person.sitting, person.fence, REFUSED, outcome.missed)
        return
    if not sittings.finish(session, person.sitting, person.fence, outcome.missed, _unused(session, person, outcome)):
        _close_run(run, RunState.CANCELLED, now, None)
        return
    _note_figures(run, outcome)
    _close_run(run, RunState.SUCCEEDED, now, None)
    _drop_checkpoint(session, kernel, person.sitting)
    if outcome.adapter_path:  # A studio portrait has no model behind it, nor has one that was drawn from references.
        _note_weights(session, person, "adapter", outcome.adapter_path, outcome.adapter_bytes, now)
    for picture, photo_id in pictures:
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
            photo_id=photo_id,
            now=now,
        )


def _wanted(session: Session, person: PersonOrder, outcome: Outcome) -> list[tuple[Picture, UUID | None]]:
    """Without what the person refused while it was made: what is no liker than a headshot that they said is not them, and
    what was cut from a photo that is gone. Each with the photo it was cut from."""
    least = resemblance.bar(session, person.employee)
    there = {photo.path: photo.id for photo in photos.of(session, person.employee)}
    return [
        (one, there.get(one.photo))
        for one in outcome.pictures
        if (one.likeness_ratio is None or one.likeness_ratio >= least) and (not one.photo or one.photo in there)
    ]


def _unused(session: Session, person: PersonOrder, outcome: Outcome) -> dict[UUID, str]:
    """Of the photos that nothing came of those that are still there."""
    there = {photo.path: photo.id for photo in photos.of(session, person.employee)}
    return {there[path]: name for path, name in outcome.unused.items() if path in there}


def _weights_due(session: Session, person: PersonOrder, now: datetime) -> datetime:
    """Weights share the fate of the photos they were made of: they go with the first of them."""
    latest = now + timedelta(days=tenants.get(session).source_days)
    return min([latest, *(photo.due_at for photo in photos.accepted(session, person.employee))])


def _watch(kernel: Kernel, fleet: Fleet, now: datetime) -> None:
    """Writes heartbeats and progress, and tells studios to drop sittings that were cancelled meanwhile."""
    progress = fleet.progress()
    for order in fleet.working():
        with kernel.db.transaction(order.tenant) as session:
            for person in order.people:
                if not _wanted_still(session, order, person):
                    fleet.cancel(order.id, person.sitting)
                    continue
                seen = progress.get(order.id, {}).get(person.sitting)
                if seen and not order.edits:
                    _note_progress(session, kernel, person, seen, now)


def _wanted_still(session: Session, order: Order, person: PersonOrder) -> bool:
    if order.edits:
        return edits.held(session, person.sitting, person.fence) is not None
    state = session.exec(
        select(Sitting.state).where(
            Sitting.tenant_id == order.tenant, Sitting.id == person.sitting, Sitting.fence == person.fence
        )
    ).first()
    return state is not None and state != SittingState.CANCELLED


def _note_progress(session: Session, kernel: Kernel, person: PersonOrder, seen: Progress, now: datetime) -> None:
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


def _note_checkpoint(session: Session, kernel: Kernel, person: PersonOrder, seen: Progress, now: datetime) -> None:
    """The newest checkpoint takes the place of the one before, whose object goes after the commit."""
    before = checkpoint(session, person.sitting)
    if before and before.path == seen.checkpoint:
        return
    _drop_checkpoint(session, kernel, person.sitting)
    _note_weights(session, person, "checkpoint", seen.checkpoint, seen.checkpoint_bytes, now)


def _note_weights(session: Session, person: PersonOrder, kind: str, path: str, size: int, now: datetime) -> None:
    weights = Weights(
        tenant_id=tenant_of(session),
        employee_id=person.employee,
        sitting_id=person.sitting,
        kind=kind,
        path=path,
        bytes=size,
        due_at=_weights_due(session, person, now),
    )
    session.add(weights)


def _drop_checkpoint(session: Session, kernel: Kernel, sitting_id: UUID) -> None:
    row = checkpoint(session, sitting_id)
    if row is not None:
        path = row.path
        session.delete(row)
        session.flush()
        after_commit(session, lambda: kernel.objects.delete(path))


def _declare_lost(kernel: Kernel, now: datetime, working: list[Order]) -> None:
    """Runs and edits that no studio works on, as after a restart of this process: they go back to READY."""
    alive = {(person.sitting, person.fence) for order in working for person in order.people}
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            edits.give_back_lost(session, alive, now)
            for run in session.exec(
                select(Run).where(Run.tenant_id == tenant_of(session), Run.state == RunState.RUNNING)
            ).all():
                if (run.sitting_id, run.fence) in alive:
                    continue
                _close_run(run, RunState.LOST, now, Loss.RESTARTED)
                _try_again(session, PersonOrder(run.sitting_id, run.employee_id, run.fence, 0, ()))


def _try_again(session: Session, person: PersonOrder) -> None:
    alone = [pack for pack in blamed_packs(session, person.sitting) if pack == 1]
    if len(alone) >= ALONE:
        sittings.fail(
            session,
            person.sitting,
            person.fence,
            N_("The program stopped twice while it worked on your photos alone. Please hand in a few other ones."),
        )
    else:
        for state in (SittingState.TRAINING, SittingState.RENDERING):
            sittings.advance(session, person.sitting, person.fence, state, SittingState.READY)


def _run(session: Session, person: PersonOrder) -> Run | None:
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
