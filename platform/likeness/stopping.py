"""Waiting for the word to stop."""

from __future__ import annotations

import signal
import threading


def until_told_to_stop() -> None:
    """Returns at SIGTERM or SIGINT."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    told.wait()
