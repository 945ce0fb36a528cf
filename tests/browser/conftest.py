"""A browser that shares two processors with all other tests: it is waited for, and an act can be taken back for longer."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import expect

from likeness.jobs import held

# Five seconds otherwise.
expect.set_options(timeout=60_000)


@pytest.fixture
def time_to_press_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds otherwise, in which a busy browser may not have shown the button yet."""
    monkeypatch.setattr(held, "WAITS", timedelta(minutes=5))
