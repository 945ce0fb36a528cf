"""Any process of the running demo is killed; a second start finishes the job: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from tests.ports import free_port

LIKENESS = Path(sys.executable).with_name("likeness")
VICTIMS = {
    "the program": "likeness demo",
    "the database": "bin/postgres -D",
    "a database connection": "postgres: likeness_app",
    "the studio": "Studio",
    "the raylet": "raylet/raylet",
    "the inspector": "platform/likeness/sandbox/child.py",
}


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="likeness-killed-"))
    made.chmod(0o755)
    # What the demo reports lies beside its home: in it, it would keep the certificate from being issued.
    yield made / "home"
    shutil.rmtree(made, ignore_errors=True)


def start(home: Path, command: str = "demo") -> subprocess.Popen[bytes]:
    report = home.with_suffix(".json")
    words = ["--employees", "2", "--seed", "3", "--report", report, "--exit"] if command == "demo" else []
    return subprocess.Popen(
        [LIKENESS, command, *words],
        cwd=home.parent,
        env=os.environ | {"LIKENESS_HOME": str(home), "LIKENESS_PORT": str(free_port()), "LIKENESS_RECIPE": "cutout"},
        stdout=home.with_suffix(".txt").open("wb"),
        stderr=subprocess.STDOUT,
    )


def victim(demo: subprocess.Popen[bytes], words: str) -> psutil.Process | None:
    with suppress(psutil.Error):
        top = psutil.Process(demo.pid)
        for process in [*top.children(recursive=True), top]:
            with suppress(psutil.Error):
                if words in " ".join([process.name(), *process.cmdline()]):
                    return process
    return None


@pytest.mark.faults
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("after", [15, 45])
@pytest.mark.parametrize("who", VICTIMS)
def test_nothing_is_lost_or_doubled(home: Path, who: str, after: int) -> None:
    demo = start(home)
    time.sleep(after)
    found = None
    while demo.poll() is None and found is None:
        found = victim(demo, VICTIMS[who])
        if found:
            found.kill()
        time.sleep(0.2)
    assert found, f"the demo was over before {who} was there to be killed"
    with suppress(subprocess.TimeoutExpired):
        demo.wait(timeout=240)
    if demo.poll() is None:
        demo.kill()
        demo.wait()
    home.with_suffix(".json").unlink(missing_ok=True)
    again = start(home)
    assert again.wait(timeout=1500) == 0, home.with_suffix(".txt").read_text()[-2000:]
    report = json.loads(home.with_suffix(".json").read_text())
    assert report["certificate_verified"]
    assert report["photos_submitted"] <= 12 * 2
    assert report["headshots_delivered"] >= 3
    # The one person who was not erased has one sitting that ended well and as many headshots as one sitting makes.
    assert "done" in report["sittings"].values() or "released" in report["sittings"].values()
    assert report["headshots_made"] <= 12 * 2


@pytest.mark.faults
@pytest.mark.timeout(1800)
def test_up_makes_nobody_with_the_demos_base_and_loses_no_photo(home: Path) -> None:
    def rows(query: str) -> list[tuple[Any, ...]]:
        """An empty list also while there is no server; its socket's folder stands in the fifth line of its pid file."""
        with suppress(OSError, IndexError, psycopg.OperationalError, psycopg.errors.UndefinedTable):
            socket = (home / "postgres/data/postmaster.pid").read_text().splitlines()[4]
            with psycopg.connect(host=socket, user="postgres", dbname="likeness") as connection:
                return connection.execute(query).fetchall()
        return []

    def wait_for(condition: Callable[[], object], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, home.with_suffix(".txt").read_text()[-2000:]
            time.sleep(1)

    accepted = "select id, employee_id from photo where state = 'accepted' order by id"
    demo = start(home)
    # Two who are drawn, and one in a photograph.
    wait_for(lambda: rows("select 1 from sitting having count(*) = 3"), 600)
    taken = rows(accepted)
    demo.kill()
    demo.wait()
    up = start(home, "up")
    try:
        wait_for(lambda: rows("select 1 from sitting having bool_and(state in ('done', 'failed', 'cancelled'))"), 600)
        assert rows(accepted) == taken
        assert len(taken) >= 2 * 6
        assert len(rows("select 1 from sitting")) == 3
        waited = rows("select failure from sitting where state = 'cancelled'")
        assert all("is not available here any more" in failure for (failure,) in waited)
        assert not rows("select 1 from tenant where recipes::text like '%portrait-small%' and base <> 'cutout'")
    finally:
        up.terminate()
        assert up.wait(timeout=60) == 0, home.with_suffix(".txt").read_text()[-4000:]
