"""Waiting for what another thread, process or server does: no longer than it takes, and patient with a busy machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 90.0
"""Seconds after which something did not happen. A busy machine has needed twenty for what else takes a moment."""


def until(happened: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:.0f} s"
        time.sleep(0.02)


def answers(port: int) -> bool:
    """Whether somebody listens at this port of this machine."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
