"""What a script says of a page is waited for: its own scripts run when the browser comes to them."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Page

from tests.waiting import PATIENCE


def becomes(page: Page, script: str, wanted: Any = True) -> None:
    """Playwright's own waiting for an expression is refused by the pages' policy."""
    deadline = time.monotonic() + PATIENCE
    while (found := page.evaluate(script)) != wanted:
        assert time.monotonic() < deadline, f"{script}: {found}, not {wanted}"
        page.wait_for_timeout(50)
