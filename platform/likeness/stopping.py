"""Waiting for the word to stop."""

from __future__ import annotations

import signal
import threading

ASK_AGAIN_SECONDS = 1.0


def until_told_to_stop() -> None:
    """Returns at SIGTERM or SIGINT.

    Ray, which another thread starts at any time, takes SIGTERM for a crash: it prints a stack and aborts the program
    three seconds later. So the handlers are set again and again, and an alarm that it has set is called off.
    """
    told = threading.Event()
    while not told.is_set():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        told.wait(ASK_AGAIN_SECONDS)
    signal.alarm(0)
