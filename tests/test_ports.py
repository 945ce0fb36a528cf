"""Ports that tests choose for servers which listen there a while later."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests import ports

ROOT = Path(__file__).resolve().parents[1]


def test_a_port_is_one_processs_alone_and_none_that_the_system_gives_to_others() -> None:
    """Another process that begins to look at the same place, as one does whose number is this one's plus 750."""
    begin = ports._next
    mine = [ports.free_port(), ports.free_port(6)]
    code = f"from tests import ports; ports._next = {begin}; print(*(ports.free_port() for _ in range(8)))"
    theirs = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    taken = {mine[0], *range(mine[1], mine[1] + 6)}
    assert not taken & {int(one) for one in theirs.split()}
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert lowest > ports.LAST


def test_a_port_that_somebody_listens_at_is_passed_over() -> None:
    port = ports.FIRST + ports._next % (ports.LAST - ports.FIRST - 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        assert ports.free_port() != port
