"""Waiting for the word to stop."""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

ASK_AGAIN_SECONDS = 1.0


def until_told_to_stop(meanwhile: Callable[[], None] = lambda: None) -> None:
    """Returns at SIGTERM or SIGINT; until then does `meanwhile` every second.

    Ray, which another thread starts at any time, puts a handler of its own in the place of ours, so ours is set again
    and again.
    """
    told = threading.Event()
    while not told.is_set():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: told.set())
        meanwhile()
        told.wait(ASK_AGAIN_SECONDS)
    stop_in_peace()


def interrupt_when_told_to_stop() -> None:
    """From now on SIGTERM raises KeyboardInterrupt as Ctrl-C does. To be called now and then, because of Ray, as above."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)


def stop_in_peace() -> None:
    """To be called before a program takes its parts down. Ray takes SIGTERM for a crash: its handler prints a stack, calls
    ours, and has an alarm abort the program three seconds later."""
    signal.alarm(0)


def leave(status: int) -> NoReturn:
    """Ends a program whose parts are all stopped. A usual exit takes six seconds more, inside of Ray's library."""
    atexit._run_exitfuncs()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
