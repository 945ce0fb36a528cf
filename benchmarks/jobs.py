"""L5 and L6: how many jobs a second, and how long ten jobs of one company take behind ten thousand of another.

Both in this process and through a RabbitMQ with two worker processes. The jobs of L5 do nothing, so that what is measured
is claiming and finishing with fsync on; those of L6 wait 50 ms each, as a job waits that talks to something.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pika
from sqlalchemy import text

from likeness.ground.db import PLATFORM
from likeness.ground.lanes import Lane
from likeness.ground.settings import Settings
from likeness.ground.stopping import until_told_to_stop
from likeness.jobs import jobs
from likeness.jobs.jobs import Attempt
from likeness.jobs.notify import Notifier, broker_for, queue_of
from likeness.kernel import Kernel, assemble
from tests.kernel.rabbit import installed, rabbit

MANY, QUICK, FEW, WAIT_SECONDS, AHEAD_SECONDS = 10_000, 3_000, 10, 0.05, 3.0
QUICK_THREADS, WAIT_THREADS = 8, 2
"""Of all processes together. Many for the quick ones, because they wait for the disk, which serves them together."""


@jobs.actor(lane=Lane.GENERAL)
def nothing(attempt: Attempt, word: str) -> None:
    with attempt.finishing():
        pass


@jobs.actor(lane=Lane.PHOTOS)
def wait(attempt: Attempt, word: str) -> None:
    time.sleep(WAIT_SECONDS)
    with attempt.finishing():
        pass


def measure(kernel: Kernel, one: UUID, other: UUID) -> dict[str, Any]:
    figures: dict[str, Any] = {"in_process": _measure(kernel, one, other, "")}
    if installed():
        with rabbit() as server:
            figures["rabbitmq_two_workers"] = _measure(kernel, one, other, server.url)
    else:
        figures["rabbitmq_two_workers"] = "RabbitMQ is not installed: apt-get install rabbitmq-server"
    return figures


def _measure(kernel: Kernel, one: UUID, other: UUID, url: str) -> dict[str, float]:
    with _working(kernel, url):
        _send(kernel, one, nothing, "warm", 20)
        _until_done(kernel, one)
        started = time.perf_counter()
        _send(kernel, one, nothing, "quick", QUICK)
        _until_done(kernel, one)
        per_second = QUICK / (time.perf_counter() - started)
        alone = statistics.median(_few(kernel, other, f"alone{number}") for number in range(3))
        _send(kernel, one, wait, "many", MANY)
        time.sleep(AHEAD_SECONDS)
        behind = statistics.median(_few(kernel, other, f"behind{number}") for number in range(3))
        left = _unfinished(kernel, one)
        done = _done(kernel, other)
        # The same words would be the same jobs, of which each is done once.
        with kernel.db.transaction(PLATFORM) as session:
            session.execute(text("delete from job where tenant_id in (:one, :other)"), {"one": one, "other": other})
    if done != 6 * FEW:
        raise RuntimeError(f"{done} jobs of the second company were done instead of {6 * FEW}, so its times mean nothing.")
    return {
        "jobs_per_s": per_second,
        "ten_alone_s": alone,
        "ten_behind_ten_thousand_s": behind,
        "ratio_behind_to_alone": behind / alone,
        "of_the_ten_thousand_left": left,
    }


@contextmanager
def _working(kernel: Kernel, url: str) -> Iterator[None]:
    """Notifies from here; the threads are here too, or in two processes of their own as in production."""
    notifier = Notifier(kernel, broker_for(url))
    notifier.start()
    with ExitStack() as stack:
        stack.callback(notifier.stop, grace_seconds=5)
        if url:
            for lane in (Lane.GENERAL, Lane.PHOTOS):
                notifier.broker.declare_queue(queue_of(lane), ensure=True)
            for _ in range(2):
                stack.enter_context(_worker(kernel, url))
            _until_two_listen(url)
        else:
            notifier.answer({Lane.GENERAL: QUICK_THREADS, Lane.PHOTOS: WAIT_THREADS})
        yield
    kernel.db.notify = lambda lane: None


def _until_two_listen(url: str) -> None:
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    for lane in (Lane.GENERAL, Lane.PHOTOS):
        while channel.queue_declare(queue_of(lane), passive=True).method.consumer_count < 2:
            time.sleep(0.2)
    channel.connection.close()


@contextmanager
def _worker(kernel: Kernel, url: str) -> Iterator[None]:
    # By its import name, under which the jobs are registered there as they are here.
    act = "import sys; from benchmarks.jobs import serve; serve(*sys.argv[1:])"
    settings = kernel.settings
    process = subprocess.Popen([sys.executable, "-c", act, str(settings.home), settings.database_url, url])
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def _send(kernel: Kernel, tenant: UUID, function: Any, word: str, number: int) -> None:
    with kernel.db.transaction(tenant) as session:
        jobs.send_all(session, function, [(f"{word}-{one}",) for one in range(number)])


def _few(kernel: Kernel, tenant: UUID, word: str) -> float:
    started = time.perf_counter()
    _send(kernel, tenant, wait, word, FEW)
    _until_done(kernel, tenant)
    return time.perf_counter() - started


def _until_done(kernel: Kernel, tenant: UUID) -> None:
    while _unfinished(kernel, tenant):
        time.sleep(0.02)


def _unfinished(kernel: Kernel, tenant: UUID) -> int:
    query = text("select count(*) from job where tenant_id = :tenant and due is not null")
    with kernel.db.transaction(tenant) as session:
        return int(session.execute(query, {"tenant": tenant}).scalar_one())


def _done(kernel: Kernel, tenant: UUID) -> int:
    query = text("select count(*) from job where tenant_id = :tenant and state = 'done'")
    with kernel.db.transaction(tenant) as session:
        return int(session.execute(query, {"tenant": tenant}).scalar_one())


def serve(home: str, database: str, broker: str) -> None:
    """One of two worker processes, until told to stop."""
    kernel = assemble(Settings(home=Path(home), database_url=database))
    notifier = Notifier(kernel, broker_for(broker))
    notifier.start()
    notifier.answer({Lane.GENERAL: QUICK_THREADS // 2, Lane.PHOTOS: WAIT_THREADS // 2})
    until_told_to_stop()
    notifier.stop(grace_seconds=5)
