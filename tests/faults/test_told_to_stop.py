"""The demo is told to stop while it trains: it ends within seconds, and what it prints is for people."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ports import free_port

LIKENESS = Path(sys.executable).with_name("likeness")
pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="likeness-told-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_it_ends_in_seconds_without_a_stack_and_says_each_stage_to_a_file(folder: Path) -> None:
    environment = os.environ | {"LIKENESS_HOME": str(folder / "home"), "LIKENESS_PORT": str(free_port())}
    with (folder / "out").open("w") as out:
        demo = subprocess.Popen(
            [LIKENESS, "demo", "--employees", "2", "--exit"], cwd=folder, env=environment, stdout=out, stderr=out
        )
    deadline = time.monotonic() + 240
    while "… train and render" not in (folder / "out").read_text():
        assert demo.poll() is None, (folder / "out").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    time.sleep(10)  # The studio loads and begins.
    told = time.monotonic()
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(60) == 130
    seconds = time.monotonic() - told
    said = (folder / "out").read_text()
    assert [line for line in said.splitlines() if line.startswith("… ")] == [
        "… start", "… import", "… visit", "… train and render"
    ]  # fmt: skip
    assert "Stopping" in said
    assert "SIGTERM received" not in said
    assert "Traceback" not in said
    assert seconds < 9, f"it took {seconds:.1f} s"
