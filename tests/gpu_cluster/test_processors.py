"""A studio without a GPU makes room for other programs, because sharing a processor costs it far more than leaving it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from gpu_cluster.processors import SHORTEST, Processors, threads_beside


@pytest.mark.parametrize(
    ("others", "processors", "threads"),
    [
        (0.0, 2, 2), (0.25, 2, 2), (0.5, 2, 1), (1.0, 2, 1), (2.0, 2, 1),
        (0.0, 1, 1), (1.0, 1, 1), (3.0, 8, 5), (3.6, 8, 4), (9.0, 8, 1),
        (-0.1, 2, 2),  # Two clocks are compared, and they round differently.
    ],
)  # fmt: skip
def test_a_thread_is_given_up_for_a_busy_processor(others: float, processors: int, threads: int) -> None:
    assert threads_beside(others, processors) == threads


def test_other_programs_are_seen_and_the_own_work_is_not_taken_for_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    processors = Processors()
    processors._threads = 99
    with monkeypatch.context() as soon:
        soon.setattr("gpu_cluster.processors.SHORTEST", 3600.0)
        assert processors.threads() == 99, "so soon nothing has been seen yet"
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in processors._mine]
    try:
        time.sleep(2 * SHORTEST)
        assert processors.threads() == 1
    finally:
        for process in busy:
            process.kill()
            process.wait()
    taken, enough = processors._read(), time.process_time() + 0.5
    while time.process_time() < enough:
        pass
    _, all_of_it, own = (after - before for after, before in zip(processors._read(), taken, strict=True))
    assert 0.4 < own <= all_of_it + 0.1
