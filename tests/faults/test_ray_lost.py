"""A Ray cluster behind its token that answers no more: `check` says what is wrong; that it is lost is known in 15 s."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gpu_cluster.cluster.node import Node
from tests.ports import free_port

LIKENESS = Path(sys.executable).with_name("likeness")
TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a token of 32 letters or more, which nobody knows"}
KNOWN_WITHIN = 15.0
"""Seconds; and two more until a round of the scheduler has looked."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The address of a head without TLS, and its process."""
    port, folder = free_port(), tempfile.mkdtemp(prefix="ray-")
    ports = [
        f"--{name}={free_port()}" for name in ("port", "dashboard-agent-listen-port", "dashboard-agent-grpc-port")
    ]
    with (tmp_path / "ray.log").open("wb") as log:
        head = subprocess.Popen(
            [LIKENESS.with_name("ray"), "start", "--head", "--block", f"--ray-client-server-port={port}", *ports,
             "--num-cpus=1", "--num-gpus=0", "--node-ip-address=127.0.0.1", "--include-dashboard=false",
             f"--temp-dir={folder}"],
            env=os.environ | TOKEN, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield f"ray://127.0.0.1:{port}", psutil.Process(head.pid)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGCONT)
            head.terminate()
        with suppress(subprocess.TimeoutExpired):
            head.wait(15)
        with suppress(ProcessLookupError):
            os.killpg(head.pid, signal.SIGKILL)


def checked(address: str, home: Path, token: dict[str, str]) -> list[str]:
    ended = subprocess.run(
        [LIKENESS, "check"],
        env=os.environ | token | {"LIKENESS_HOME": str(home), "LIKENESS_RAY_ADDRESS": address},
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert "Traceback" not in ended.stdout + ended.stderr
    return [line for line in ended.stdout.splitlines() if "Ray cluster does not work" in line]


@pytest.mark.faults
@pytest.mark.timeout(500)
def test_a_cluster_that_asks_for_another_token_or_has_gone_quiet_is_known(
    cluster: tuple[str, psutil.Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, head = cluster
    deadline = time.monotonic() + 90
    while checked(address, tmp_path / "home", TOKEN):
        assert time.monotonic() < deadline, "the cluster did not come up"
    for wrong in ({**TOKEN, "RAY_AUTH_TOKEN": "another token of 32 letters or more, made up"}, {}):
        [said] = checked(address, tmp_path / "home", wrong)
        assert TOKEN["RAY_AUTH_TOKEN"] not in said
        assert "LIKENESS_RAY_ADDRESS and Ray's token" in said
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)
    node = Node(address)
    try:
        time.sleep(20)
        assert not node.lost(), "a cluster that answers is not lost"
        for process in head.children(recursive=True):
            process.suspend()
        quiet = time.monotonic()
        while not node.lost():
            assert time.monotonic() - quiet < KNOWN_WITHIN
            time.sleep(0.2)
    finally:
        for process in head.children(recursive=True):
            process.resume()
        node.close()
