"""The way to Ray: this machine's own node, or a cluster's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import ray
from ray._private import ray_constants
from ray._private.node import Node as RayNode

from gpu_cluster.cluster import session_folder
from gpu_cluster.cluster.session_folder import SessionFolder

PROBE_SECONDS, LOST_AFTER = 3.0, 12.0
"""How often a cluster is asked whether it is there, and how long it may fail to answer: that it is lost is known within
15 seconds, with the second or two until somebody looks."""
OBJECT_STORE_BYTES = 128 * 2**20
"""Only orders with their sealed leases and outcomes pass through Ray's own store, some ten kilobytes each."""


SPARE = ("start_api_server", "start_monitor", "start_log_monitor")
"""What Ray starts beside its node: a dashboard's server, even where none is asked for, what scales clusters, and what sends
logs to a program that wants none. On one machine nobody asks them anything; they were 280 MB and half of Ray's start."""


class Node:
    """Started with the object; `close` ends every process on it that this program has started."""

    def __init__(self, address: str) -> None:
        self._folder: SessionFolder | None = None
        self._local: list[psutil.Process] = []
        self._probe: ClusterProbe | None = None
        try:
            if address:
                ray.init(address=address, namespace="likeness", log_to_driver=False, configure_logging=False)
                self._probe = ClusterProbe()
            else:
                self._start_local_ray()
        except BaseException:
            # Half a node would stand in the way of the next attempt.
            self.close()
            raise

    def _start_local_ray(self) -> None:
        self._folder = session_folder.make()  # Removed at the end, with Ray's logs.
        with self._folder.for_children(), _on_loopback(), _without_spare_parts():
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
    return int(ray.cluster_resources().get("GPU", 0))


class ClusterProbe:
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
                ray.nodes()
                self._answered = time.monotonic()


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Ray takes 127.0.0.1 for the wish to be reached from elsewhere, and listens at this machine's outer address instead,
    except on systems on which it runs no clusters."""
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _without_spare_parts() -> Iterator[None]:
    before = {name: getattr(RayNode, name) for name in SPARE}
    for name in SPARE:
        setattr(RayNode, name, lambda node, **about: None)
    try:
        yield
    finally:
        for name, start in before.items():
            setattr(RayNode, name, start)


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
