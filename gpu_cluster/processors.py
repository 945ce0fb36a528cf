"""How many threads a studio without a GPU computes with: as many as other programs leave processors free.

The threads of one step wait for each other thousands of times, and turn in circles while they wait. Where one of them
has to share its processor, each of these waits lasts until the other program has had its turn: with one of two processors
busy, a step of the small base took 2 to 13 s on two threads and 0.3 s on one. With both free it takes 0.2 s on two.
Letting threads sleep while they wait (OMP_WAIT_POLICY=passive) is no way out, for it costs all that the second one gains.
"""

from __future__ import annotations

import os
import time

import psutil

SPARED = 0.3
"""What others may take of a processor before a thread is given up for them: from there on, fewer are faster."""
SHORTEST = 1.0
"""Seconds to look at; the kernel counts in hundredths of a second, and other programs work in bursts."""


class Processors:
    """Those this process may use, and what others take of them."""

    def __init__(self) -> None:
        self._mine = os.sched_getaffinity(0)
        self._process = psutil.Process()
        # Until something was seen: one thread too few costs a second, one too many may cost a minute.
        self._threads = 1
        self._before = self._read()

    def threads(self) -> int:
        """How many threads are worth having now, after what others took since the last call."""
        now = self._read()
        moment, busy, own = (after - before for after, before in zip(now, self._before, strict=True))
        if moment >= SHORTEST:
            self._before = now
            self._threads = threads_beside((busy - own) / moment, len(self._mine))
        return self._threads

    def _read(self) -> tuple[float, float, float]:
        """The time, and for how long these processors and this process were busy until now, all in seconds."""
        # `guest` is left out, because the kernel counts it under `user` as well.
        busy = sum(
            times.user + times.nice + times.system + times.irq + times.softirq + times.steal
            for number, times in enumerate(psutil.cpu_times(percpu=True))
            if number in self._mine
        )
        own = self._process.cpu_times()
        return time.monotonic(), busy, own.user + own.system


def threads_beside(others: float, processors: int) -> int:
    """`others` is how many processors the other programs keep busy."""
    return max(1, min(processors, int(processors - others + SPARED)))
