"""A clock that is wrong, on the database's side or on this one, deletes nothing and takes nothing over."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import text
from sqlmodel import select

from batch.models import Employee, Photo
from likeness.ground.clock import Clock
from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.settings import Settings
from likeness.identity import Kind
from likeness.kernel import Kernel, assemble
from likeness.keys import fingerprint
from likeness.keys.keys import KeyClass, KeyRef
from likeness.migrations import migrate
from likeness.run import check
from likeness.run.postgres import EmbeddedPostgres
from tenants.models import Role
from tests.factories import make_member, sign_in
from tests.handed_in import make_person, make_photos
from tests.metrics import figure
from tests.waiting import until

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
needs_faketime = pytest.mark.skipif(not FAKETIME.exists(), reason="needs apt-get install faketime")


class Times:
    """A database, a host and a steady clock, each to be set."""

    def __init__(self) -> None:
        self.host, self.database, self.steady = NOW, NOW, 1000.0
        self.clock = Clock(lambda: self.host, lambda: self.steady)

    def after(self, seconds: float) -> Clock:
        self.steady += seconds
        self.host += timedelta(seconds=seconds)
        self.database += timedelta(seconds=seconds)
        self.clock.observe(self.database)
        return self.clock


@pytest.fixture
def times() -> Times:
    made = Times()
    made.after(0)
    return made


def test_time_is_the_databases_and_goes_on_without_it(times: Times) -> None:
    times.steady += 30
    assert times.clock.now() == NOW + timedelta(seconds=30)
    assert times.clock.doubt() == ""


def test_a_first_answer_that_took_hours_sets_no_time() -> None:
    """The machine slept while it waited for it: the database may have said so at either end."""
    times = Times()
    times.steady += 8 * 3600
    times.host += timedelta(hours=8)
    times.clock.observe(NOW, 8 * 3600)
    assert times.clock.doubt() == "The database has not been asked for the time yet."
    assert times.clock.now() == NOW + timedelta(hours=8)
    times.database += timedelta(hours=8)
    assert times.after(1).doubt() == ""
    assert times.clock.now() == NOW + timedelta(hours=8, seconds=1)


@pytest.mark.parametrize("by", [timedelta(days=1), timedelta(hours=-1), timedelta(minutes=2)])
def test_a_host_that_is_wrong_changes_no_time_and_pauses(times: Times, by: timedelta) -> None:
    times.host += by
    clock = times.after(10)
    assert clock.now() == NOW + timedelta(seconds=10)
    assert "This machine's clock" in clock.doubt()
    assert clock.difference() == by.total_seconds()
    times.host -= by
    assert times.after(10).doubt() == ""


@pytest.mark.parametrize("both", [True, False], ids=["one machine", "two machines"])
@pytest.mark.parametrize("by", [timedelta(days=1), timedelta(days=-1), timedelta(hours=1)])
def test_a_database_that_jumps_is_not_followed_until_it_is_back(times: Times, by: timedelta, both: bool) -> None:
    times.database += by
    times.host += by if both else timedelta()
    clock = times.after(20)
    assert clock.doubt()
    assert clock.now() == NOW + timedelta(seconds=20)
    assert times.after(3600).doubt(), "it does not get right by waiting"
    times.database -= by
    times.host -= by if both else timedelta()
    assert times.after(1).doubt() == ""
    assert clock.now() == NOW + timedelta(seconds=3621)


def test_small_steps_are_followed_and_time_never_goes_back(times: Times) -> None:
    times.database += timedelta(seconds=20)
    assert times.after(1).now() == NOW + timedelta(seconds=21)
    times.database -= timedelta(seconds=15)
    clock = times.after(1)
    assert clock.doubt() == ""
    assert clock.now() == NOW + timedelta(seconds=21, microseconds=1)
    assert times.after(60).now() == NOW + timedelta(seconds=67)


def test_no_two_moments_are_one_so_that_what_is_made_later_stands_later(times: Times) -> None:
    """Also while a clock that was ahead waits for the time: lists in the order of their making would be in any order."""
    clock = Clock(lambda: times.host, lambda: times.steady)
    clock.observe(times.database, took=0.9)
    first = clock.now()
    clock.observe(times.database, took=0.002)
    moments = [first, *(clock.now() for _ in range(100))]
    assert moments == sorted(set(moments))
    assert moments[-1] - first < timedelta(milliseconds=1)


@pytest.mark.parametrize("late", [0.0, 0.4, 0.9])
def test_what_a_slow_answer_left_is_corrected_by_a_quick_one(times: Times, late: float) -> None:
    """`late` seconds after the database read its clock, of 0.9 that the answer took in all."""
    clock = Clock(lambda: times.host, lambda: times.steady)
    clock.observe(times.database - timedelta(seconds=late), took=0.9)
    clock.observe(times.database, took=0.002)
    times.steady, times.database = times.steady + 60, times.database + timedelta(seconds=60)
    assert timedelta() <= clock.now() - times.database <= timedelta(seconds=0.002)


@pytest.mark.parametrize("rate", [0.999, 1.001])
def test_a_clock_that_runs_slower_or_faster_is_followed_all_along(times: Times, rate: float) -> None:
    """As when a machine's clock is set right little by little."""
    for _ in range(600):
        times.steady += 1
        times.database += timedelta(seconds=rate)
        times.clock.observe(times.database, took=0.01)
        assert timedelta() <= times.clock.now() - times.database <= timedelta(seconds=0.02)


def test_no_time_is_earlier_than_what_a_transaction_was_told_before(kernel: Kernel) -> None:
    """What SQL dates with `now()` is never later than what is asked for as due a moment afterwards."""
    for _ in range(200):
        with kernel.db.transaction(PLATFORM) as session:
            began = session.execute(text("select now()")).scalar_one()
            assert utc_now() >= began


def test_before_the_first_answer_nothing_is_known() -> None:
    assert Clock().doubt()


def test_an_answer_that_came_late_says_nothing(times: Times) -> None:
    times.clock.observe(NOW - timedelta(minutes=5), took=300)
    assert times.clock.doubt() == ""


# Whole processes under a clock that is set while they run


PROGRAM = """
import sys, threading
from datetime import timedelta
import batch.sittings.runs
from compliance.retention import retention
from likeness.ground.clock import CLOCK
from likeness.ground.settings import Settings
from likeness.jobs import jobs
from likeness.kernel import assemble
from likeness.run import scheduler
from likeness.run.scheduler import Scheduler

home, url = sys.argv[1:]
scheduler.LEADER_LOCK += 1000  # Beside the schedulers of other tests.
kernel = assemble(Settings(home=home, database_url=url, profile="embedded"))
rounds = []
jobs.SWEEPS.clear()
jobs.every(timedelta(milliseconds=50), deletes=True)(retention.sweep)
jobs.every(timedelta(milliseconds=50))(lambda kernel, now: rounds.append(now))
running = Scheduler(kernel)
running.start()
print("up", flush=True)
for line in sys.stdin:
    before = len(rounds)
    while len(rounds) < before + 6:
        threading.Event().wait(0.05)  # time.sleep does not work under a faked clock.
    print(CLOCK.doubt() or "sure", rounds[-1].isoformat(), sep="|", flush=True)
running.stop()
"""


class Shifted:
    """Where a process reads how far its clock is off."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"faketime-{uuid4().hex}"
        self.set("+0")
        self.file.chmod(0o644)

    def set(self, by: str) -> None:
        part = self.file.with_suffix(".part")
        part.write_text(f"{by}\n")
        part.chmod(0o644)
        part.rename(self.file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }  # fmt: skip


class SchedulerProcess:
    def __init__(self, kernel: Kernel, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(kernel.settings.home), kernel.settings.database_url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "up\n"

    def rounds(self) -> tuple[str, datetime]:
        """After six more rounds of its sweeps: its doubt or "sure", and the time that they were given."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        doubt, at = self.process.stdout.readline().strip().split("|")
        return doubt, datetime.fromisoformat(at)


@contextmanager
def scheduling(kernel: Kernel, environment: dict[str, str]) -> Iterator[SchedulerProcess]:
    running = SchedulerProcess(kernel, environment)
    try:
        yield running
    finally:
        assert running.process.stdin is not None
        running.process.stdin.close()
        running.process.wait(60)


def whole(kernel: Kernel, person: Employee) -> bool:
    with kernel.db.transaction(person.tenant_id) as session:
        kept = session.exec(select(Photo.id).where(Photo.employee_id == person.id)).all()
    return len(kept) == 2 and kernel.keys.state(KeyRef(person.tenant_id, person.id, KeyClass.SOURCE)) == "live"


def in_hours(kernel: Kernel, person: Employee, hours: int) -> None:
    """Sets when the person's photos are deleted."""
    with kernel.db.transaction(person.tenant_id) as session:
        for photo in session.exec(select(Photo).where(Photo.employee_id == person.id)):
            photo.due_at = datetime.now(UTC) + timedelta(hours=hours)


@needs_faketime
def test_a_scheduler_on_a_machine_that_is_a_day_ahead_deletes_nothing_and_says_so(
    kernel: Kernel, app: Litestar, tmp_path: Path
) -> None:
    alice, bob = make_person(kernel), make_person(kernel)
    for person, hours in ((alice, 20), (bob, -1)):
        make_photos(kernel, person, 2)
        in_hours(kernel, person, hours)
    clock = Shifted(tmp_path)
    clock.set("+1d")
    with scheduling(kernel, clock.environment) as running, TestClient(app=app) as client:
        doubt, at = running.rounds()
        assert "ahead" in doubt
        assert abs(at - datetime.now(UTC)) < timedelta(minutes=1)
        assert whole(kernel, alice)
        assert whole(kernel, bob), "what is due waits as well: nobody knows the time"
        assert client.get("/readyz").text.startswith("ready; nothing is deleted")
        assert figure(client, "likeness_deletions_paused") == 1
        operator = make_member(kernel, PLATFORM, Role.OPERATOR)
        sign_in(client, kernel, PLATFORM, Kind.OPERATOR, operator.id)
        assert "Deletions wait for the right time" in client.get("/operations").text
        clock.set("+0")
        until(lambda: not whole(kernel, bob))
        assert running.rounds()[0] == "sure"
        assert whole(kernel, alice)
        until(lambda: client.get("/readyz").text == "ready")
        assert figure(client, "likeness_deletions_paused") == 0


@pytest.fixture
def other(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Kernel, Shifted]]:
    """A database of its own whose clock can be set."""
    below = home.with_name(f"{home.name}-clock") / f"clock-{UUID(int=1).hex[:4]}"
    below.mkdir(mode=0o755, parents=True)
    clock, server = Shifted(below), EmbeddedPostgres(below / "postgres")
    with monkeypatch.context() as patch:
        for name, value in clock.environment.items():
            patch.setenv(name, value)
        server.start()
    migrate(server.url("likeness_owner"))
    kernel = assemble(Settings(home=below, database_url=server.url("likeness_app"), profile="embedded"))
    fingerprint.settle(kernel.db, kernel.keys)
    yield kernel, clock
    kernel.db.close()
    server.stop()


@needs_faketime
def test_a_database_whose_clock_jumps_deletes_nothing_early(other: tuple[Kernel, Shifted]) -> None:
    kernel, clock = other
    alice, bob = make_person(kernel), make_person(kernel)
    for person in (alice, bob):
        make_photos(kernel, person, 2)
        in_hours(kernel, person, 20)
    with scheduling(kernel, {}) as running:
        assert running.rounds()[0] == "sure"
        url = kernel.settings.database_url
        assert list(check.clocks(url)) == []
        for by, words in (("+1d", "behind"), ("-1d", "ahead of"), ("+2h", "behind")):
            clock.set(by)
            until(lambda: running.rounds()[0] != "sure")
            (told,) = check.clocks(url)
            assert f"seconds {words} the database's. From 60 seconds on nothing is deleted" in told
            doubt, at = running.rounds()
            assert abs(at - datetime.now(UTC)) < timedelta(minutes=1), (by, doubt)
            assert whole(kernel, alice)
        in_hours(kernel, bob, -1)
        running.rounds()
        assert whole(kernel, bob)
        clock.set("+0")
        until(lambda: not whole(kernel, bob))
        assert whole(kernel, alice)
