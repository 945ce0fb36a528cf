"""The one loop that keeps time: rings for due jobs and runs every floor's sweeps."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import text

from likeness import claims, jobs
from likeness.db import utc_now
from likeness.kernel import Kernel

log = logging.getLogger(__name__)

RING_EVERY = timedelta(seconds=2)
LEADER_LOCK = 7465731
"""Only the process that holds this advisory lock tends; a second replica waits for it as a spare."""


class Tending:
    """Runs in threads of its own: one rings, one sweeps, so that a long sweep never delays a job."""

    def __init__(self, kernel: Kernel, let_go: Callable[[], None]) -> None:
        """`let_go` ends what only the leader may hold: at the end, and when another replica may be leading already.

        The sweeping thread calls it, because Ray's processes die with the thread that started them, and a program whose
        Ray dies before it has let go of it is aborted.
        """
        self.kernel, self._let_go = kernel, let_go
        self._stop = threading.Event()
        self._last: dict[str, float] = {}
        self._threads = [
            threading.Thread(target=self._lead, args=(self._ring,), name="ring", daemon=True),
            threading.Thread(target=self._lead, args=(self._sweep,), name="sweep", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, grace_seconds: float = 20) -> None:
        self._stop.set()
        deadline = time.monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("tending did not end in time", extra={"part": thread.name})

    def wait(self) -> None:
        self._stop.wait()

    def _lead(self, loop: Callable[[], None]) -> None:
        """Holds a lock of its own connection while tending; a lost connection only means to ask again."""
        key = LEADER_LOCK + (loop == self._sweep)
        while not self._stop.is_set():
            try:
                with self.kernel.db.engine.connect() as connection:
                    held = connection.execute(text("select pg_try_advisory_lock(:key)"), {"key": key}).scalar()
                    connection.commit()
                    try:
                        while held and not self._stop.is_set():
                            connection.execute(text("select 1"))
                            connection.commit()
                            loop()
                    finally:
                        connection.execute(text("select pg_advisory_unlock(:key)"), {"key": key})
                        connection.commit()
            except Exception:  # The loop that everything else relies on must outlive any failure.
                log.exception("tending was interrupted")
                self._release(loop)
            self._stop.wait(2)
        self._release(loop)

    def _release(self, loop: Callable[[], None]) -> None:
        if loop == self._sweep:
            try:
                self._let_go()
            except Exception:
                log.exception("what only the leader may hold could not be let go")

    def _ring(self) -> None:
        claims.ring_due(self.kernel, utc_now())
        self._stop.wait(RING_EVERY.total_seconds())

    def _sweep(self) -> None:
        for sweep in list(jobs.SWEEPS.values()):
            if self._stop.is_set():
                return
            if time.monotonic() - self._last.get(sweep.name, float("-inf")) < sweep.every.total_seconds():
                continue
            self._last[sweep.name] = time.monotonic()
            try:
                sweep.function(self.kernel, utc_now())
            except Exception:  # One floor's failing sweep must not stop the others'.
                log.exception("sweep failed", extra={"sweep": sweep.name})
        self._stop.wait(0.5)
