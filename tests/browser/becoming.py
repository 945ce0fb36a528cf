"""What a script says of a page is waited for: its own scripts run when the browser comes to them."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Page

from tests.waiting import PATIENCE

SETTLED = "document.querySelectorAll('.htmx-request, .htmx-settling, .htmx-swapping').length === 0"


def becomes(page: Page, script: str, wanted: Any = True) -> None:
    """Playwright's own waiting for an expression is refused by the pages' policy."""
    deadline = time.monotonic() + PATIENCE
    while (found := page.evaluate(script)) != wanted:
        assert time.monotonic() < deadline, f"{script}: {found}, not {wanted}"
        page.wait_for_timeout(50)


def settled(page: Page) -> None:
    """The page's own rules allow no script that waits in it."""
    page.wait_for_timeout(50)
    becomes(page, SETTLED)
