"""The limited child: it answers, and whatever happens in it stays there."""

import ctypes
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psutil
import pytest

from likeness.sandbox.child import Answer, ChildFailed, Children, Limits
from tests.waiting import until

MODULE = "tests.batch.test_child"
LIMITS = Limits(memory=256 * 2**20, processor_seconds=1, wall_seconds=30, open_files=32)


def spin() -> None:
    while True:
        pass


DEEDS: dict[str, Callable[[], object]] = {
    "echo": lambda: None,
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(0),
    "kill": lambda: os.kill(os.getppid(), 9),
    "memory": lambda: b"x" * 2**30,
    "spin": spin,
    "sleep": lambda: time.sleep(60),
    "raise": lambda: int("secret text of a file"),
    "socket": socket.socket,
    "program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
    "fork": os.fork,
    "open": lambda: os.open("/etc/passwd", os.O_RDONLY),
    "thread": lambda: threading.Thread(target=int).start(),
    "remember": lambda: os.environ.update(SOMEBODY="Alice"),
}


def act(about: dict[str, Any], data: bytes) -> Answer:
    """Runs in the child: does the bad thing that it is asked for."""
    DEEDS[about["do"]]()
    return {"pid": os.getpid(), "names": sorted(os.environ)}, data


def broken() -> None:
    raise RuntimeError("no models")


@pytest.fixture(scope="module")
def children() -> Any:
    with_limits = Children(MODULE, "act", limits=LIMITS, size=1)
    yield with_limits
    with_limits.close()


def test_data_comes_back(children: Children) -> None:
    data = os.urandom(3_000_000)
    assert children.run({"do": "echo"}, data)[1] == data


def test_each_job_is_its_own_process(children: Children) -> None:
    pids = {children.run({"do": "echo"}, b"")[0]["pid"] for _ in range(3)}
    assert len(pids) == 3
    assert "SOMEBODY" in children.run({"do": "remember"}, b"")[0]["names"]
    assert "SOMEBODY" not in children.run({"do": "echo"}, b"")[0]["names"]


def test_the_environment_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIKENESS_DATABASE_URL", "postgresql://somewhere")
    pool = Children(MODULE, "act", limits=LIMITS, keep=False)
    assert "LIKENESS_DATABASE_URL" not in pool.run({"do": "echo"}, b"")[0]["names"]


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("segfault", "crash"),
        ("exit", "crash"),
        ("memory", "memory"),
        ("spin", "processor"),
        ("raise", "refused"),
        ("socket", "refused"),
        ("program", "refused"),
        ("fork", "refused"),
        ("open", "refused"),
        ("kill", "refused"),
    ],
)
def test_what_goes_wrong_is_an_exception_and_the_next_job_works(children: Children, deed: str, reason: str) -> None:
    with pytest.raises(ChildFailed) as caught:
        children.run({"do": deed}, b"")
    assert caught.value.reason == reason
    assert "secret text" not in str(caught.value)
    assert children.run({"do": "echo"}, b"next")[1] == b"next"


def test_threads_still_work(children: Children) -> None:
    assert children.run({"do": "thread"}, b"still")[1] == b"still"


def test_only_an_unjudged_file_is_the_machines_fault() -> None:
    assert ChildFailed("busy").machine
    assert not ChildFailed("crash").machine


def test_a_child_that_cannot_start_says_so() -> None:
    for pool in (
        Children(MODULE, "act", warm="broken"),
        Children("batch.nowhere", "act"),
        Children(MODULE, "act", limits=Limits(memory=8 * 2**20)),
    ):
        with pytest.raises(ChildFailed) as caught:
            pool.run({"do": "echo"}, b"")
        assert caught.value.reason == "start"


def test_no_more_than_size_jobs_run_at_a_time() -> None:
    pool = Children(MODULE, "act", limits=replace(LIMITS, wall_seconds=3.0), size=1, wait_seconds=0.1)
    failures: list[str] = []

    def ask() -> None:
        try:
            pool.run({"do": "sleep"}, b"")
        except ChildFailed as error:
            failures.append(error.reason)

    first = threading.Thread(target=ask)
    first.start()
    until(lambda: pool._turns._value == 0)
    ask()
    first.join()
    pool.close()
    assert failures == ["busy", "time"]


def test_a_child_is_replaced_after_its_jobs_and_when_it_died_idle() -> None:
    pool = Children(MODULE, "act", limits=LIMITS, size=1, jobs=2)
    for at in range(5):
        assert pool.run({"do": "echo"}, b"%d" % at)[1] == b"%d" % at
    (idle,) = pool._idle
    os.kill(idle._process.pid, 9)
    idle._process.wait()
    assert pool.run({"do": "echo"}, b"again")[1] == b"again"
    pool.close()


def processes() -> set[int]:
    """Of any parent, because who loses theirs gets another."""
    return {one.pid for one in psutil.process_iter(["cmdline"]) if MODULE in (one.info["cmdline"] or [])}


def test_a_child_that_is_not_kept_leaves_no_process() -> None:
    pool = Children(MODULE, "act", limits=LIMITS, keep=False)
    before = processes()
    pool.run({"do": "echo"}, b"")
    assert processes() - before == set()
    assert pool._idle == []
