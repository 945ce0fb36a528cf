"""The scheduler: notifies of due jobs and runs every floor's sweeps, each in a thread of its own.

A sweep that takes minutes delays no other: erasures are attended to and the cluster is looked after meanwhile. Their
connections are their own as well, so that a rush of requests cannot stop them.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta

from sqlalchemy import Connection, text

from likeness.ground.clock import CLOCK
from likeness.ground.db import utc_now
from likeness.jobs import claims, jobs
from likeness.jobs.jobs import Sweep
from likeness.jobs.liveness import Liveness
from likeness.jobs.pause import DOUBT_LOCK
from likeness.kernel import Kernel

log = logging.getLogger(__name__)

NOTIFY_EVERY = timedelta(seconds=2)
ASK_AGAIN_SECONDS = 1.0
"""How often the leading process makes sure that it still leads, and a spare asks whether it may."""
LEADER_LOCK = 7465732
"""Only the process that holds this advisory lock is the scheduler; a second replica waits for it as a spare."""


def _tell(connection: Connection, doubt: str, told: str) -> str:
    if bool(doubt) != bool(told):
        if doubt:
            log.error("deletions are paused, because the clocks disagree")
        act = "pg_try_advisory_lock" if doubt else "pg_advisory_unlock"
        connection.execute(text(f"select {act}(:key)"), {"key": DOUBT_LOCK})
        connection.commit()
    return doubt


class Scheduler:
    """One thread leads, one notifies, and each sweep has one: Ray's processes end with the thread that started them."""

    def __init__(self, kernel: Kernel, liveness: Liveness | None = None) -> None:
        sweeps = list(jobs.SWEEPS.values())
        # Every thread uses one connection at a time.
        self.kernel, self._liveness = kernel.apart(len(sweeps) + 1), liveness or Liveness()
        self.kernel.db.began = self._liveness.step
        self._stop, self._leading = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._lead, name="lead", daemon=True),
            threading.Thread(target=self._notify, name="notify", daemon=True),
            *(threading.Thread(target=self._sweep, args=(one,), name=one.name, daemon=True) for one in sweeps),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        self._liveness.watch(self._threads)

    def stop(self, grace_seconds: float = 20) -> None:
        self._stop.set()
        deadline = time.monotonic() + grace_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("a thread of the scheduler did not end in time", extra={"sweep": thread.name})
        self.kernel.db.close()

    def wait(self) -> None:
        self._stop.wait()

    def _lead(self) -> None:
        """Holds a lock of its own connection while leading; a lost connection only means to ask again."""
        while not self._stop.is_set():
            self._liveness.step()
            try:
                with self.kernel.db.lone_connection() as connection:
                    held = connection.execute(text("select pg_try_advisory_lock(:key)"), {"key": LEADER_LOCK}).scalar()
                    connection.commit()
                    told = ""
                    while held and not self._stop.is_set():
                        self._liveness.step()
                        asked = CLOCK.steady()
                        said = connection.execute(text("select clock_timestamp()")).scalar_one()
                        CLOCK.observe(said, CLOCK.steady() - asked)
                        connection.commit()
                        told = _tell(connection, CLOCK.doubt(), told)
                        self._leading.set()
                        self._stop.wait(ASK_AGAIN_SECONDS)
            except Exception:  # The thread that everything else relies on must outlive any failure.
                log.exception("the scheduler was interrupted")
            finally:
                self._leading.clear()
            self._stop.wait(ASK_AGAIN_SECONDS)

    def _notify(self) -> None:
        while not self._stop.is_set():
            self._liveness.step()
            if not self._leading.wait(ASK_AGAIN_SECONDS):
                continue
            try:
                claims.notify_due(self.kernel, utc_now())
            except Exception:  # As above.
                log.exception("notifying failed")
            self._stop.wait(NOTIFY_EVERY.total_seconds())

    def _sweep(self, sweep: Sweep) -> None:
        """Runs the sweep every so often while this process leads."""
        last, swept = float("-inf"), False
        while not self._stop.is_set():
            self._liveness.step()
            if not self._leading.is_set():
                swept = swept and not self._let_go(sweep)
            elif sweep.deletes and CLOCK.doubt():
                pass  # The leading thread says so.
            elif time.monotonic() - last >= sweep.every.total_seconds():
                last, swept = time.monotonic(), True
                try:
                    sweep.function(self.kernel, utc_now())
                except Exception:  # The next round tries again.
                    log.exception("sweep failed", extra={"sweep": sweep.name})
            self._stop.wait(min(sweep.every.total_seconds(), 0.5))
        if swept:
            self._let_go(sweep)

    def _let_go(self, sweep: Sweep) -> bool:
        """A program whose Ray dies before it has let go of it is aborted, so this comes before the thread's end."""
        if sweep.let_go is not None:
            try:
                sweep.let_go(self.kernel)
            except Exception:
                log.exception("what only the leader may hold could not be let go", extra={"sweep": sweep.name})
        return True
