"""What several of the kernel's tests begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from likeness.jobs import jobs
from tests.kernel.warm import Warm, warm


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> dict[str, jobs.Sweep]:
    """No sweeps but those that the test adds."""
    mine: dict[str, jobs.Sweep] = {}
    monkeypatch.setattr(jobs, "SWEEPS", mine)
    return mine


@pytest.fixture(scope="session")
def likeness() -> Iterator[Warm]:
    with warm() as commands:
        yield commands
