"""`make bench-gpu`: without a GPU it says so, and its protocol runs from end to end on a tiny base."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu


def bench(out: Path, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    order = [sys.executable, "-m", "benchmarks.gpu", "--out", str(out), *options]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(order, capture_output=True, text=True, check=False, timeout=600, env=environment)
    return done, json.loads(out.read_text()) if out.exists() else {}


def test_without_a_gpu_nothing_is_measured_and_that_is_said(tmp_path: Path) -> None:
    done, figures = bench(tmp_path / "gpu.json")
    assert done.returncode == 0, done.stderr
    assert (figures["measured"], figures["gpu"]) == (False, None)
    assert "not measured" in figures["why"]
    assert figures["protocol"] == gpu.protocol([1, 2, 4, 8, 12])
    assert json.loads(done.stdout)["protocol"] == figures["protocol"]


@pytest.mark.engine
def test_the_protocol_runs_from_end_to_end(tmp_path: Path) -> None:
    options = ("--device", "cpu", "--packs", "2", "--steps", "20", "--rounds", "1")
    done, figures = bench(tmp_path / "gpu.json", *options)
    assert done.returncode == 0, done.stderr
    rows = {row: found[0] for row, found in figures["contenders"].items()}
    assert {row for row, found in rows.items() if "error" in found} == set(gpu.PEERS), "the script is not at hand"
    assert all(rows[row]["sample_steps_per_s"] > 0 for row in ("pack of 2", "pack of 2, not compiled"))
    assert rows["pack of 2"]["states_kept"] == 4
    assert all(rows[f"rendered by {size}"]["seconds_a_picture"] > 0 for size in gpu.BATCHES)
    assert [path.name for path in tmp_path.iterdir()] == ["gpu.json"], "the base is removed"
