"""Whether the threads that a worker or a scheduler lives by get on. Such a process listens nowhere, so it renews a file.

A thread that waits for a database, a broker or a cluster that is away turns all the same, because each of its waits ends by
itself; so nothing is restarted for what others do. One that has ended, or has got stuck where no limit reaches it, comes
back with a new process alone.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from weakref import WeakKeyDictionary

from likeness.ground.telemetry import places

log = logging.getLogger(__name__)

STUCK_SECONDS = 30 * 60.0
"""Six times as long as the longest job may take, and as long as RabbitMQ waits for somebody who took a message. A sweep
may take longer: each transaction that it begins counts as a step."""
INNERMOST = 8
"""So many frames of a stuck thread are logged: its last ones say what it waits in."""


class Liveness:
    """What one process knows of its threads. Each notes its own steps; the main thread reads all of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._watched: list[threading.Thread] = []
        # Of every thread that comes by: one that is watched may have begun before it was.
        self._since: WeakKeyDictionary[threading.Thread, float | None] = WeakKeyDictionary()
        self._told: set[threading.Thread] = set()

    def watch(self, threads: Iterable[threading.Thread]) -> None:
        """From now on these must not end, nor take long over one step."""
        self._watched += threads

    def step(self) -> None:
        """The calling thread begins something that is over soon."""
        self._since[threading.current_thread()] = self._clock()

    def idle(self) -> None:
        """The calling thread waits until there is something to do, however long that is."""
        self._since[threading.current_thread()] = None

    def stuck(self) -> list[threading.Thread]:
        before = self._clock() - STUCK_SECONDS
        return [one for one in self._watched if not one.is_alive() or (self._since.get(one) or before) < before]

    def renew(self, file: Path | None) -> None:
        """Marks the file as new, unless a thread is stuck: then the log says once which, and where."""
        stuck = self.stuck()
        for thread in stuck:
            if thread not in self._told:
                log.error("a thread of this process does not get on", extra={"sweep": thread.name, "why": _where(thread)})
        self._told = set(stuck)
        if file is not None and not stuck:
            try:
                file.touch()
            except OSError as error:
                log.error("LIKENESS_LIVENESS_FILE cannot be written", extra={"error": type(error).__name__})


def _where(thread: threading.Thread) -> list[str]:
    frame = sys._current_frames().get(thread.ident or 0)
    return places(traceback.extract_stack(frame)[-INNERMOST:]) if frame else ["it has ended"]
