"""A browser that shares two processors with all other tests: it is waited for, and an act can be taken back for longer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from likeness.jobs import held

PATIENCE = 60_000
"""Milliseconds; otherwise five seconds for what is expected, and thirty for a click or a page."""
expect.set_options(timeout=PATIENCE)
_new_context, _new_page = Browser.new_context, Browser.new_page


def _context(browser: Browser, **options: Any) -> BrowserContext:
    context = _new_context(browser, **options)
    context.set_default_timeout(PATIENCE)
    return context


def _page(browser: Browser, **options: Any) -> Page:
    page = _new_page(browser, **options)
    page.set_default_timeout(PATIENCE)
    return page


# Playwright has a default for each context and page, and none for all of them.
setattr(Browser, "new_context", _context)  # noqa: B010 - a method is no place to assign to.
setattr(Browser, "new_page", _page)  # noqa: B010


@pytest.fixture
def time_to_press_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds otherwise, in which a busy browser may not have shown the button yet."""
    monkeypatch.setattr(held, "WAITS", timedelta(minutes=5))
