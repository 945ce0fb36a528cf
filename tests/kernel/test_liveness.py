"""A worker or scheduler that hangs is noticed; one whose database is away, or whose work is long, is left in peace."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from likeness.ground import telemetry
from likeness.ground.db import PLATFORM, Database
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.jobs.jobs import Attempt
from likeness.jobs.liveness import STUCK_SECONDS, Liveness
from likeness.jobs.notify import Notifier, broker_for
from likeness.kernel import Kernel
from likeness.run.postgres import EmbeddedPostgres
from likeness.run.scheduler import Scheduler
from tests.factories import make_tenant
from tests.lossy import behind_a_lossy_proxy
from tests.ports import free_port
from tests.waiting import PATIENCE, until

begun, over = threading.Event(), threading.Event()
OPTIONS = {
    "on": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "idle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "interval": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "count": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "unanswered": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
}


@jobs.actor(lane=Lane.GENERAL, attempts=1)
def hang(attempt: Attempt, word: str) -> None:
    begun.set()
    over.wait(2 * PATIENCE)


class Watch:
    """What a clock shows that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def forward(self) -> None:
        self.now += STUCK_SECONDS + 1


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def log() -> Iterator[StringIO]:
    """What a process would write into its log."""
    written, root = StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    telemetry.configure(stream=written)
    yield written
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture(autouse=True)
def fresh() -> None:
    begun.clear()
    over.clear()


def lines(log: StringIO) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, log.getvalue().splitlines()) if "does not get on" in line["message"]]


def names(liveness: Liveness) -> list[str]:
    return [thread.name for thread in liveness.stuck()]


def test_a_job_that_never_ends_is_told_and_one_that_ended_is_not(
    kernel: Kernel, watch: Watch, tmp_path: Path, log: StringIO
) -> None:
    liveness, file = Liveness(watch), tmp_path / "alive"
    notifier = Notifier(kernel, broker_for(""), liveness)
    notifier.start()
    notifier.answer({Lane.GENERAL: 1})
    try:
        watch.forward()
        assert names(liveness) == [], "whoever waits for work may wait for ever"
        with kernel.db.transaction(make_tenant(kernel)) as session:
            jobs.send(session, hang, "one")
        assert begun.wait(PATIENCE)
        liveness.renew(file)
        assert file.exists()
        file.unlink()
        watch.forward()
        liveness.renew(file)
        liveness.renew(file)
        assert not file.exists()
        told = [line for line in lines(log) if any(place.endswith(" hang") for place in line["why"])]
        assert len(told) == 1, "once, and not every second"
        over.set()
        until(lambda: not liveness.stuck())
        liveness.renew(file)
        assert file.exists()
    finally:
        over.set()
        notifier.stop()
        kernel.db.notify = lambda lane: None


def test_a_thread_that_ended_is_told(tmp_path: Path, log: StringIO) -> None:
    liveness, file = Liveness(), tmp_path / "alive"
    thread = threading.Thread(target=lambda: None, name="over")
    thread.start()
    thread.join()
    liveness.watch([thread])
    liveness.renew(file)
    assert not file.exists()
    assert [(line["sweep"], line["why"]) for line in lines(log)] == [("over", ["it has ended"])]


def test_a_sweep_may_be_long_while_it_gets_on(kernel: Kernel, watch: Watch, sweeps: dict[str, jobs.Sweep]) -> None:
    goes_on = threading.Semaphore(0)

    def long(kernel: Kernel, now: datetime) -> None:
        begun.set()
        while not over.is_set():
            if goes_on.acquire(timeout=0.1):
                with kernel.db.transaction(PLATFORM):
                    pass

    sweeps["long"] = jobs.Sweep("long", long, timedelta(milliseconds=10))
    liveness = Liveness(watch)
    scheduler = Scheduler(kernel, liveness)
    scheduler.start()
    try:
        assert begun.wait(PATIENCE)
        watch.forward()
        until(lambda: names(liveness) == ["long"])
        goes_on.release()
        until(lambda: names(liveness) == [])
    finally:
        over.set()
        scheduler.stop()


def test_a_database_that_is_away_stops_no_thread(kernel: Kernel, watch: Watch, sweeps: dict[str, jobs.Sweep]) -> None:
    away = Database(f"postgresql+psycopg://likeness_app@127.0.0.1:{free_port()}/likeness")
    sweeps["look"] = jobs.Sweep("look", lambda _, now: None, timedelta(milliseconds=10))
    liveness = Liveness(watch)
    scheduler = Scheduler(replace(kernel, db=away), liveness)
    scheduler.start()
    try:
        for _ in range(2):
            watch.forward()
            until(lambda: names(liveness) == [])
    finally:
        scheduler.stop()


def test_a_database_whose_machine_vanished_is_given_up_in_a_minute(kernel: Kernel, postgres: EmbeddedPostgres) -> None:
    """A thread that waits for its answer would look stuck otherwise. Asked of the connection's own socket."""
    with behind_a_lossy_proxy(kernel, postgres) as (far, _), far.db.engine.connect() as connection:
        number = connection.connection.driver_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(number)) as line:
            held = {name: line.getsockopt(*option) for name, option in OPTIONS.items()}
    assert held == {"on": 1, "idle": 30, "interval": 10, "count": 3, "unanswered": 60_000}
