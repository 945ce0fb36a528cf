"""Studios as actors on GPU nodes: which process serves whom, for how long, and how it ended.

A studio process never serves two tenants. It is started without an order, serves one company's orders as long as they
follow each other, and is killed then, so that nothing of one company's people is left in the memory that meets the next
one's.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

import psutil
import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, NodeDiedError, RayActorError, RayError, RayTaskError

from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.bases.weights import WeightsChanged
from gpu_cluster.cluster.node import Node
from gpu_cluster.engine.orders import Order, Outcome, Progress
from likeness.ground.errors import Unavailable
from likeness.ground.garbage import importing
from likeness.sandbox.around import close_in, say
from tenants.models import CUTOUT

log = logging.getLogger(__name__)
logging.getLogger("ray").setLevel(logging.ERROR)  # Its advice on signals and threads is not for our users.

POLL_SECONDS = 2.0
LEAST_PATIENCE = 120.0
"""Seconds without a sign of life that no studio is taken for hung for, however little its recipe expects."""
UNSTARTED = 1800.0
"""Seconds after which an order whose studio has never answered is given up: an autoscaler adds a node in less."""
HAND_OVER_SECONDS = 0.3
"""A studio that is warm says its public key at once, and one that loads is asked again in the next round."""


WARM_SECONDS = 30.0
"""How long a studio waits for its company's next order. Loading a large base again takes as long; a GPU that waits longer
costs more than it saves, and what memory holds of people is gone within this time of their order's end."""


@dataclass
class WarmStudio:
    """A studio between two orders of the company that it has served."""

    tenant: UUID
    studio: Any
    process: Any
    since: float = field(default_factory=time.monotonic)


@dataclass
class Working:
    """An order in a studio."""

    order: Order
    studio: Any
    public_key: Any
    """Answers with what the order's lease is sealed to, once the studio has started."""
    process: Any
    """Answers with the studio's process id."""
    result: Any = None
    """Answers when the order is done; None until it has been handed over with its lease."""
    refused: bool = False
    """No lease could be given, because keys were away."""
    answered: bool = False
    """Whether the studio has ever answered: before, it waits for a node or loads its base."""
    signs: dict[UUID, int] = field(default_factory=dict)
    stages: set[str] = field(default_factory=set)
    """Of those whose signs came last: what the studio is busy with."""
    last_sign: float = field(default_factory=time.monotonic)
    hung: bool = False

    @property
    def began(self) -> bool:
        return self.answered and self.result is not None

    def saw(self, progress: dict[UUID, Progress]) -> bool:
        """Whether there is a sign of life that was not there before."""
        moved = {one.stage for sitting, one in progress.items() if one.signs != self.signs.get(sitting, 0)}
        if not moved and self.answered:
            return False
        self.signs = {sitting: one.signs for sitting, one in progress.items()}
        self.answered, self.stages, self.last_sign = True, moved, time.monotonic()
        return True

    def patience(self) -> float:
        """How many seconds without a sign of life mean that it hangs, in the stage that it is in."""
        if not self.began:  # One that waits for its lease does nothing yet, and cannot be taken for hung.
            return UNSTARTED
        expected = [Recipe.expected_seconds(self.order.recipe, stage) for stage in self.stages or {"loading"}]
        return max(LEAST_PATIENCE, 3.0 * max(expected))


class Loss(StrEnum):
    """Why an order ended without an answer. Only the first two can be a person's doing."""

    STUDIO_DIED = "StudioDied"
    HUNG = "Hung"
    RESTARTED = "Restarted"
    """The program that looked after the order ended, or lost its way to Ray."""
    NODE_LOST = "NodeLost"
    NEVER_STARTED = "NeverStarted"
    WEIGHTS_CHANGED = "WeightsChanged"
    """The node holds other weights than those that were fixed, and loaded none."""
    AWAY = "KeysOrObjectsAway"


Grant = Callable[[Order, bytes], bytes]
"""Makes the lease of an order, sealed to a studio's public key. Raises `Unavailable` while keys are away."""


@dataclass(frozen=True)
class Finished:
    order: Order
    outcomes: list[Outcome] | None
    loss: Loss | None = None
    """Why there are no outcomes."""

    @property
    def well(self) -> bool:
        """Whether the studio may be used again: not after anything unforeseen, which may have left its GPU unusable."""
        return self.outcomes is not None and not any(outcome.unforeseen for outcome in self.outcomes)


class RemoteStudio:
    """A studio in a process of its own. The program that asks for it does not load torch, which takes it ten seconds."""

    def __init__(
        self, recipe: dict[str, Any], licences: tuple[str, ...], weights: tuple[str, ...], device: str
    ) -> None:
        with importing():
            from gpu_cluster.cluster.studio import Studio

        say(close_in())
        self._refused: WeightsChanged | None = None
        try:
            self._studio = Studio(recipe, licences, weights, device)
        except WeightsChanged as error:
            # Of an actor that fails at its start Ray keeps a text alone.
            self._refused = error

    def process(self) -> int:
        return os.getpid()

    def public_key(self) -> bytes:
        """Raises `WeightsChanged`: without a key there is no lease, so that no order reaches a studio without a base."""
        if self._refused is not None:
            raise self._refused
        return self._studio.public_key()

    def work(self, order: Order, sealed: bytes) -> list[Outcome]:
        return self._studio.work(order, sealed)

    def progress(self) -> dict[UUID, Progress]:
        return self._studio.progress()

    def cancel(self, sitting: UUID) -> None:
        self._studio.cancel(sitting)


class RemoteDarkroom:
    """Studio portraits in a process of their own, which needs one processor and no GPU."""

    def __init__(self) -> None:
        with importing():
            from gpu_cluster.cluster.darkroom import Darkroom

        say(close_in())
        self._darkroom = Darkroom()

    def process(self) -> int:
        return os.getpid()

    def public_key(self) -> bytes:
        return self._darkroom.public_key()

    def work(self, order: Order, sealed: bytes) -> list[Outcome]:
        return self._darkroom.work(order, sealed)

    def progress(self) -> dict[UUID, Progress]:
        return self._darkroom.progress()

    def cancel(self, sitting: UUID) -> None:
        self._darkroom.cancel(sitting)


def _portraits(order: Order) -> bool:
    return bool(order.recipe["name"] == CUTOUT)


class Fleet:
    """Studios on a Ray cluster, or on this machine's processors when `address` is empty."""

    def __init__(
        self,
        address: str,
        recipe: dict[str, Any] | None,
        licences: tuple[str, ...],
        studios: int = 1,
        darkrooms: int = 1,
        share: float = 1.0,
        weights: tuple[str, ...] = (),
    ) -> None:
        """`recipe` is None where there is no base, and studio portraits alone are made. `share` is what a studio takes of
        a GPU, `weights` are the `contents` that nodes may load."""
        self.recipe, self.licences, self.weights = recipe, licences, weights
        # A cluster may have no GPU node yet: asking for one is what makes its autoscaler add it.
        self.gpus, self.slots = bool(address), studios if address else 1
        self.darkrooms = darkrooms
        # Of one GPU; where two studios fit on it, the next one loads while the first works.
        self.share = share
        self._working: dict[UUID, Working] = {}
        self._kept: list[WarmStudio] = []
        self._spare: Any = None
        self.node = Node(address)
        # On a machine without GPUs the slots above are the only limit, so that the next studio loads while one works.
        self._actor = ray.remote(RemoteStudio).options(
            num_gpus=share if self.gpus else 0, num_cpus=1 if self.gpus else 0, max_restarts=0, max_concurrency=4
        )
        self._darkroom = ray.remote(RemoteDarkroom).options(
            num_gpus=0, num_cpus=1 if self.gpus else 0, max_restarts=0, max_concurrency=4
        )
        self.prepare()

    def lost(self) -> bool:
        """Whether a part of this machine's own Ray has died, or the way to the cluster's: then a new fleet is needed."""
        return self.node.lost()

    def free(self, *, portraits: bool = False) -> int:
        """How many more orders of this kind may run at once."""
        working = sum(_portraits(order) == portraits for order in self.working())
        return (self.darkrooms if portraits else self.slots) - working

    def working(self) -> list[Order]:
        return [work.order for work in self._working.values()]

    def prepare(self) -> None:
        """Starts loading a studio that has no order yet, so that the next company finds the base model warm."""
        if self._spare is not None or self.recipe is None:
            return
        if not self.gpus:
            self._spare = self._studio("cpu")
        elif self.share <= 0.5 and any(not _portraits(order) for order in self.working()):
            # Only beside one that works: a studio that waits alone would keep its node from being given back.
            self._spare = self._studio("cuda")

    def _studio(self, device: str) -> Any:
        return self._actor.remote(self.recipe, self.licences, self.weights, device)

    def start(self, order: Order) -> None:
        """In the studio that has served this company before; else in a fresh one, for which a kept one has to go."""
        if _portraits(order):
            studio: Any = self._darkroom.remote()
            process = studio.process.remote()
        elif (kept := next((one for one in self._kept if one.tenant == order.tenant), None)) is not None:
            self._kept.remove(kept)
            studio, process = kept.studio, kept.process
        else:
            if self._kept and len(self._kept) >= self.free():
                self._give_up(min(self._kept, key=lambda one: one.since))
            self.prepare()
            studio = self._spare or self._studio("cuda")
            process, self._spare = studio.process.remote(), None
        self._working[order.id] = Working(order, studio, studio.public_key.remote(), process)
        if self.gpus:
            self.prepare()

    def rest(self) -> None:
        """Ends the studios that have waited long enough for their company's next order, and a spare beside nobody."""
        for kept in [one for one in self._kept if time.monotonic() - one.since > WARM_SECONDS]:
            self._give_up(kept)
        if self.gpus and self._spare is not None and not self._kept and self.free() == self.slots:
            ray.kill(self._spare)
            self._spare = None

    def _give_up(self, kept: WarmStudio) -> None:
        self._kept.remove(kept)
        self._end(kept)

    def hand_over(self, grant: Grant) -> None:
        """Gives each order to its studio as soon as that has started, with a lease that only this studio can open."""
        waiting = [work for work in self._working.values() if work.result is None and not work.refused]
        if not waiting:
            return
        started, _ = ray.wait(
            [work.public_key for work in waiting], num_returns=len(waiting), timeout=HAND_OVER_SECONDS
        )
        for work in waiting:
            if work.public_key not in started:
                continue
            try:
                work.result = work.studio.work.remote(work.order, grant(work.order, ray.get(work.public_key)))
                work.last_sign = time.monotonic()
            except RayError:
                work.result = work.public_key  # It did not start; `finished` says why.
            except Unavailable:
                work.refused = True

    def cancel(self, order_id: UUID, sitting: UUID) -> None:
        work = self._working.get(order_id)
        if work:
            work.studio.cancel.remote(sitting)

    def progress(self) -> dict[UUID, dict[UUID, Progress]]:
        """By order and sitting, for the studios that show a sign of life they had not shown before."""
        asked = {work.studio.progress.remote(): order_id for order_id, work in self._working.items()}
        # One that is busy in a long call, or still loads, is passed over; one that is lost is reported by `finished`.
        answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=POLL_SECONDS) if asked else ([], [])
        moved = {}
        for answer in answered:
            with suppress(RayError):
                progress: dict[UUID, Progress] = ray.get(answer)
                if self._working[asked[answer]].saw(progress):
                    moved[asked[answer]] = progress
        return moved

    def end_hung(self) -> None:
        """Kills studios that have shown no sign of life for too long; `finished` then gives their orders back."""
        for work in self._working.values():
            if not work.hung and time.monotonic() - work.last_sign > work.patience():
                work.hung = True
                log.warning("a studio has stopped working and is ended", extra={"order": str(work.order.id)})
                self._end(work)

    def _end(self, one: Working | WarmStudio) -> None:
        """Ends the studio's process, with what its memory holds of people."""
        ray.kill(one.studio)
        if not self.gpus:
            # Ray asks the process itself to end, which one that is stopped does not hear.
            with suppress(RayError, GetTimeoutError, psutil.Error):
                psutil.Process(ray.get(one.process, timeout=0)).kill()

    def finished(self) -> list[Finished]:
        """The orders that ended since the last call; their studios are gone when this returns, or wait for their company's
        next order."""
        ended = []
        for order_id, work in list(self._working.items()):
            done, _ = ray.wait([work.result], timeout=0) if work.result is not None else ([], [])
            never = Loss.AWAY if work.refused else Loss.NEVER_STARTED if work.hung and work.result is None else None
            if not done and never is None:
                continue
            try:
                if never is not None:
                    ended.append(Finished(work.order, None, never))
                else:
                    ended.append(Finished(work.order, ray.get(work.result)))
            except RayError as error:
                loss = _loss(work, error)
                log.warning("a studio was lost", extra={"error": type(error).__name__, "loss": loss})
                ended.append(Finished(work.order, None, loss))
            del self._working[order_id]
            if ended[-1].well and not _portraits(work.order):
                self._kept.append(WarmStudio(work.order.tenant, work.studio, work.process))
            else:
                self._end(work)
        if ended:
            self.prepare()
        return ended

    def close(self) -> None:
        """Ends all studios; what they had not finished is taken up again from its row."""
        self.node.close()


def _loss(work: Working, error: RayError) -> Loss:
    if isinstance(error, RayTaskError) and isinstance(error.cause, WeightsChanged):
        return Loss.WEIGHTS_CHANGED
    if work.result is work.public_key:
        return Loss.NEVER_STARTED  # It was not handed over: the studio was gone, or could not load its base.
    if work.hung:
        return Loss.HUNG if work.began else Loss.NEVER_STARTED
    if isinstance(error, ActorUnavailableError | NodeDiedError):
        return Loss.NODE_LOST
    # Ray tells the death of a process from that of its whole node in words only.
    if isinstance(error, RayActorError) and (error.preempted or "node has died" in str(error)):
        return Loss.NODE_LOST
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return Loss.NEVER_STARTED
    return Loss.STUDIO_DIED
