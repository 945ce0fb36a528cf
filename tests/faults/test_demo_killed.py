"""Any process of the running demo is killed; a second start finishes the job: nothing lost, nothing twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.kernel.rabbit import free_port

LIKENESS = Path(sys.executable).with_name("likeness")
VICTIMS = {
    "the program": "likeness demo",
    "the database": "bin/postgres -D",
    "a database connection": "postgres: likeness_app",
    "the studio": "Studio",
    "the raylet": "raylet/raylet",
    "the inspector": "batch/child.py",
}


@pytest.fixture
def home() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="likeness-killed-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def start(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [LIKENESS, "demo", "--employees", "2", "--seed", "3", "--report", home / "report.json", "--exit"],
        cwd=home,
        env=os.environ | {"LIKENESS_HOME": str(home), "LIKENESS_PORT": str(free_port())},
        stdout=(home / "said.txt").open("wb"),
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
    while demo.poll() is None:
        found = victim(demo, VICTIMS[who])
        if found:
            found.kill()
            break
        time.sleep(0.2)
    with suppress(subprocess.TimeoutExpired):
        demo.wait(timeout=240)
    if demo.poll() is None:
        demo.kill()
        demo.wait()
    (home / "report.json").unlink(missing_ok=True)
    again = start(home)
    assert again.wait(timeout=900) == 0, (home / "said.txt").read_text()[-2000:]
    report = json.loads((home / "report.json").read_text())
    assert report["certificate_verified"]
    assert report["photos_submitted"] <= 12 * 2
    assert report["headshots_delivered"] >= 3
    # The one person who was not erased has one sitting that ended well and as many headshots as one sitting makes.
    assert "done" in report["sittings"].values() or "released" in report["sittings"].values()
    assert report["headshots_made"] <= 12 * 2
