"""What several of the kernel's tests begin with."""

from __future__ import annotations

import pytest

from likeness.jobs import jobs


@pytest.fixture
def sweeps(monkeypatch: pytest.MonkeyPatch) -> dict[str, jobs.Sweep]:
    """No sweeps but those that the test adds."""
    mine: dict[str, jobs.Sweep] = {}
    monkeypatch.setattr(jobs, "SWEEPS", mine)
    return mine
