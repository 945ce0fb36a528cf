"""What keeps time goes on whatever one part of it, or the requests beside it, are doing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from litestar.testing import TestClient

from likeness.ground.db import PLATFORM, Database
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.run.app import create_app
from likeness.run.scheduler import Scheduler
from tests.waiting import PATIENCE, until


@pytest.fixture
def small(kernel: Kernel) -> Iterator[Kernel]:
    """A kernel whose pool is used up by two."""
    db = Database(kernel.settings.database_url, pool_size=2, overflow=0, timeout=0.2)
    yield replace(kernel, db=db)
    db.close()


def test_a_long_sweep_holds_up_no_other(kernel: Kernel, sweeps: dict[str, jobs.Sweep]) -> None:
    begun, over, rounds = threading.Event(), threading.Event(), []

    def long(_: Kernel, now: datetime) -> None:
        begun.set()
        over.wait(2 * PATIENCE)

    sweeps["long"] = jobs.Sweep("long", long, timedelta(milliseconds=10))
    sweeps["short"] = jobs.Sweep("short", lambda _, now: rounds.append(now), timedelta(milliseconds=10))
    scheduler = Scheduler(kernel)
    scheduler.start()
    try:
        assert begun.wait(PATIENCE)
        seen = len(rounds)
        until(lambda: len(rounds) > seen + 3)
        assert not over.is_set()
    finally:
        over.set()
        scheduler.stop()


def test_one_thread_starts_and_lets_go_of_what_only_the_leader_may_hold(
    kernel: Kernel, sweeps: dict[str, jobs.Sweep]
) -> None:
    """Ray's processes end with the thread that started them."""
    threads: list[str] = []

    def note(*_: object) -> None:
        threads.append(threading.current_thread().name)

    sweeps["cluster"] = jobs.Sweep(
        "cluster", note, timedelta(milliseconds=10), let_go=lambda _: note() or threads.append("let go")
    )
    sweeps["failing"] = jobs.Sweep("failing", lambda _, now: 1 / 0, timedelta(milliseconds=10))  # type: ignore[arg-type, return-value]
    scheduler = Scheduler(kernel)
    scheduler.start()
    until(lambda: len(threads) > 3)
    scheduler.stop()
    assert threads[-1] == "let go"
    assert set(threads[:-1]) == {"cluster"}


def test_of_two_only_one_leads_and_the_other_follows(kernel: Kernel, sweeps: dict[str, jobs.Sweep]) -> None:
    swept: list[str] = []
    sweeps["one"] = jobs.Sweep("one", lambda _, now: swept.append("first"), timedelta(milliseconds=10))
    first = Scheduler(kernel)
    first.start()
    until(lambda: swept)
    sweeps["one"] = jobs.Sweep("one", lambda _, now: swept.append("second"), timedelta(milliseconds=10))
    second = Scheduler(kernel)
    second.start()
    seen = len(swept)
    until(lambda: len(swept) > seen + 20)
    assert set(swept) == {"first"}
    first.stop()
    until(lambda: "second" in swept)
    second.stop()


def test_a_used_up_pool_is_503_and_the_sweeps_go_on(small: Kernel, sweeps: dict[str, jobs.Sweep]) -> None:
    rounds: list[datetime] = []

    def look(kernel: Kernel, now: datetime) -> None:
        with kernel.db.transaction(PLATFORM):
            rounds.append(now)

    sweeps["look"] = jobs.Sweep("look", look, timedelta(milliseconds=10))
    scheduler = Scheduler(small)
    with ExitStack() as held, TestClient(app=create_app(small)) as client:
        for _ in range(2):
            held.enter_context(small.db.transaction(PLATFORM))
        scheduler.start()
        try:
            until(lambda: len(rounds) > 3)
            # Who watches the program has connections of their own, and sees it in its worst hour.
            assert [client.get(path).status_code for path in ("/metrics", "/readyz")] == [200, 200]
            page = {"accept": "text/html", "cookie": f"likeness={PLATFORM.hex}.x"}
            answer = client.get("/sign-in/none", headers=page)
            assert (answer.status_code, answer.headers.get("retry-after")) == (503, "5")
        finally:
            scheduler.stop()


def test_the_server_ends_what_the_program_forgot(kernel: Kernel) -> None:
    with kernel.db.engine.connect() as connection:
        shown = {
            name: connection.exec_driver_sql(f"show {name}").scalar()
            for name in ("statement_timeout", "idle_in_transaction_session_timeout")
        }
    assert shown == {"statement_timeout": "2min", "idle_in_transaction_session_timeout": "3min"}
