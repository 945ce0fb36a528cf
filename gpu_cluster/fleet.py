"""The only file that knows Ray: studios as actors on GPU nodes, one process for each order.

A studio process never serves two tenants: it is started warm without an order, takes one, and is killed afterwards, so
that nothing of one company's people can be left in the memory that meets the next one's.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

# Ray reads these when it is imported. A cluster without them lets anybody on the network run code.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
if not os.environ.get("RAY_AUTH_TOKEN") and not os.environ.get("RAY_AUTH_TOKEN_PATH"):
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)

import psutil
import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, NodeDiedError, RayActorError, RayError

from gpu_cluster import session_folder
from gpu_cluster.orders import Order, Outcome, Progress
from gpu_cluster.session_folder import SessionFolder
from tenants.models import CUTOUT

log = logging.getLogger(__name__)
logging.getLogger("ray").setLevel(logging.ERROR)  # Its advice on signals and threads is not for our users.

POLL_SECONDS = 2.0
LEAST_PATIENCE = 120.0
"""Seconds without a sign of life that no studio is taken for hung for, however short its recipe's pauses are."""
UNSTARTED = 1800.0
"""Seconds after which an order whose studio has never answered is given up: an autoscaler adds a node in less."""
PROBE_SECONDS, LOST_AFTER = 5.0, 15.0
"""How often a cluster is asked whether it is there, and how long it may fail to answer."""
OBJECT_STORE_BYTES = 128 * 2**20
"""Only orders and outcomes pass through Ray's own store, a few kilobytes each."""


@dataclass
class Working:
    """An order in a studio."""

    order: Order
    studio: Any
    result: Any
    process: Any
    """Answers with the studio's process id."""
    answered: bool = False
    """Whether the studio has ever answered: before, it waits for a node or loads its base."""
    signs: int = 0
    last_sign: float = field(default_factory=time.monotonic)
    hung: bool = False

    def saw(self, progress: dict[UUID, Progress]) -> bool:
        """Whether there is a sign of life that was not there before."""
        signs = sum(one.signs for one in progress.values())
        if signs == self.signs and self.answered:
            return False
        self.answered, self.signs, self.last_sign = True, signs, time.monotonic()
        return True


class Loss(StrEnum):
    """Why an order ended without an answer. Only the first two can be a person's doing."""

    STUDIO_DIED = "StudioDied"
    HUNG = "Hung"
    RESTARTED = "Restarted"
    """The program that looked after the order ended, or lost its way to Ray."""
    NODE_LOST = "NodeLost"
    NEVER_STARTED = "NeverStarted"
    AWAY = "KeysOrObjectsAway"


@dataclass(frozen=True)
class Finished:
    order: Order
    outcomes: list[Outcome] | None
    loss: Loss | None = None
    """Why there are no outcomes."""


class RemoteStudio:
    """A studio in a process of its own. The program that asks for it does not load torch, which takes it ten seconds."""

    def __init__(self, recipe: dict[str, Any], licences: tuple[str, ...], device: str) -> None:
        from gpu_cluster.studio import Studio

        self._studio = Studio(recipe, licences, device)

    def process(self) -> int:
        return os.getpid()

    def work(self, order: Order) -> list[Outcome]:
        return self._studio.work(order)

    def progress(self) -> dict[UUID, Progress]:
        return self._studio.progress()

    def cancel(self, sitting: UUID) -> None:
        self._studio.cancel(sitting)


class RemoteDarkroom:
    """Studio portraits in a process of their own, which needs one processor and no GPU."""

    def __init__(self) -> None:
        from gpu_cluster.cutout.darkroom import Darkroom

        self._darkroom = Darkroom()

    def process(self) -> int:
        return os.getpid()

    def work(self, order: Order) -> list[Outcome]:
        return self._darkroom.work(order)

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
    ) -> None:
        """`recipe` is None where there is no base, and studio portraits alone are made."""
        self.recipe, self.licences = recipe, licences
        # A cluster may have no GPU node yet: asking for one is what makes its autoscaler add it.
        self.gpus, self.slots = bool(address), studios if address else 1
        self.darkrooms = darkrooms
        self._folder: SessionFolder | None = None
        self._working: dict[UUID, Working] = {}
        self._spare: Any = None
        self._local: list[psutil.Process] = []
        self._probe: Probe | None = None
        try:
            if address:
                ray.init(address=address, namespace="likeness", log_to_driver=False, configure_logging=False)
                self._probe = Probe()
            else:
                self._start_local_ray()
        except BaseException:
            # Half a node would stand in the way of the next attempt.
            self.close()
            raise
        # On a machine without GPUs the slots above are the only limit, so that the next studio loads while one works.
        self._actor = ray.remote(  # type: ignore[call-overload]
            num_gpus=1 if self.gpus else 0, num_cpus=1 if self.gpus else 0, max_restarts=0, max_concurrency=4
        )(RemoteStudio)
        self._darkroom = ray.remote(  # type: ignore[call-overload]
            num_gpus=0, num_cpus=1 if self.gpus else 0, max_restarts=0, max_concurrency=4
        )(RemoteDarkroom)
        self.prepare()

    def _start_local_ray(self) -> None:
        self._folder = session_folder.make()  # Removed at the end, with Ray's logs.
        with self._folder.for_children():
            ray.init(
                address="local",  # Otherwise Ray looks for a cluster in a file that any user may have left in /tmp.
                _temp_dir=self._folder.ray,
                _node_ip_address="127.0.0.1",
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                object_store_memory=OBJECT_STORE_BYTES,
                namespace="likeness",
            )
        self._local = _local_ray()

    def lost(self) -> bool:
        """Whether a part of this machine's own Ray has died, or the way to the cluster's: then a new fleet is needed."""
        if not ray.is_initialized() or (self._probe is not None and self._probe.silent()):
            return True
        return not all(_lives(process) for process in self._local)

    def free(self, *, portraits: bool = False) -> int:
        """How many more orders of this kind may run at once."""
        working = sum(_portraits(order) == portraits for order in self.working())
        return (self.darkrooms if portraits else self.slots) - working

    def working(self) -> list[Order]:
        return [work.order for work in self._working.values()]

    def prepare(self) -> None:
        """Starts loading a studio that has no order yet, so that the next order finds the base model warm."""
        # On a cluster a studio that waits would hold a GPU, and keep its node from being given back.
        if self._spare is None and not self.gpus and self.recipe is not None:
            self._spare = self._actor.remote(self.recipe, self.licences, "cpu")

    def start(self, order: Order) -> None:
        if _portraits(order):
            darkroom = self._darkroom.remote()
            self._working[order.id] = Working(order, darkroom, darkroom.work.remote(order), darkroom.process.remote())
            return
        self.prepare()
        studio = self._spare or self._actor.remote(self.recipe, self.licences, "cuda")
        self._spare = None
        self._working[order.id] = Working(order, studio, studio.work.remote(order), studio.process.remote())

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
            pause = work.order.recipe.get("longest_pause", 0)
            patience = max(LEAST_PATIENCE, 3.0 * pause) if work.answered else UNSTARTED
            if not work.hung and time.monotonic() - work.last_sign > patience:
                work.hung = True
                log.warning("a studio has stopped working and is ended", extra={"order": str(work.order.id)})
                self._end(work)

    def _end(self, work: Working) -> None:
        """Ends the studio's process, with what its memory holds of people."""
        ray.kill(work.studio)
        if not self.gpus:
            # Ray asks the process itself to end, which one that is stopped does not hear.
            with suppress(RayError, GetTimeoutError, psutil.Error):
                psutil.Process(ray.get(work.process, timeout=0)).kill()

    def finished(self) -> list[Finished]:
        """The orders that ended since the last call; their studios are gone when this returns."""
        ended = []
        for order_id, work in list(self._working.items()):
            done, _ = ray.wait([work.result], timeout=0)
            if not done:
                continue
            try:
                ended.append(Finished(work.order, ray.get(work.result)))
            except RayError as error:
                loss = _loss(work, error)
                log.warning("a studio was lost", extra={"error": type(error).__name__, "loss": loss})
                ended.append(Finished(work.order, None, loss))
            del self._working[order_id]
            self._end(work)
        if ended:
            self.prepare()
        return ended

    def close(self) -> None:
        """Ends all studios; what they had not finished is taken up again from its row."""
        local = _below_local_ray() if self._folder else []
        # Ray asks its processes to end and waits for seconds; a studio that trains does not hear it.
        for process in local:
            with suppress(psutil.Error):
                if process.name().startswith("ray::"):
                    process.kill()
        if self._probe is not None:
            self._probe.stop()
        ray.shutdown()
        # Ray's agents outlive the node that they belong to, and would stay behind when the program has ended.
        _, alive = psutil.wait_procs(local, timeout=3)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
        if self._folder:
            self._folder.remove()
            self._folder = None


def gpus(address: str) -> int:
    """How many GPUs the cluster has at this moment. Only for a program that ends afterwards."""
    ray.init(address=address, namespace="likeness", log_to_driver=False, configure_logging=False)
    return int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]


class Probe:
    """Asks a cluster's head now and then, in a thread of its own, because asking one that has died takes minutes."""

    def __init__(self) -> None:
        self._answered, self._ended = time.monotonic(), threading.Event()
        threading.Thread(target=self._ask, name="ray-probe", daemon=True).start()

    def silent(self) -> bool:
        return time.monotonic() - self._answered > LOST_AFTER

    def stop(self) -> None:
        self._ended.set()

    def _ask(self) -> None:
        while not self._ended.wait(PROBE_SECONDS):
            with suppress(Exception):  # Whatever is wrong with the way there, no answer is no answer.
                ray.nodes()  # type: ignore[no-untyped-call]
                self._answered = time.monotonic()


def _loss(work: Working, error: RayError) -> Loss:
    if work.hung:
        return Loss.HUNG if work.answered else Loss.NEVER_STARTED
    if isinstance(error, ActorUnavailableError | NodeDiedError):
        return Loss.NODE_LOST
    # Ray tells the death of a process from that of its whole node in words only.
    if isinstance(error, RayActorError) and (error.preempted or "node has died" in str(error)):
        return Loss.NODE_LOST
    if isinstance(error, RayActorError) and error.actor_init_failed:
        return Loss.NEVER_STARTED
    return Loss.STUDIO_DIED


def _local_ray() -> list[psutil.Process]:
    """What this program's own Ray node hangs on; nothing where Ray is a cluster."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # Other children of this program come and go.
            if child.name() in ("raylet", "gcs_server"):
                found.append(child)
    return found


def _below_local_ray() -> list[psutil.Process]:
    """All processes of that node."""
    found = _local_ray()
    for parent in list(found):
        with suppress(psutil.NoSuchProcess):
            found += parent.children(recursive=True)
    return found


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_STOPPED)
    return False
