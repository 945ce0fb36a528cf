"""Mails as a phone shows them: nothing is cut off at the side."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from likeness.locale.languages import LANGUAGES
from likeness.locale.words import words
from likeness.mail import letters
from likeness.mail.markup import html_of
from tests.browser.shoot import ARGS, CHROMIUM

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed: apt install chromium."),
]

VALUES = {"name": "Nadia Ümit", "date": "2026-11-30", "purposes": "* x", "version": "3", "notice": "x",
          "digest": "9f86d081" * 8}  # fmt: skip


def test_a_receipt_with_its_fingerprint_fits_a_phone() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
        for language in LANGUAGES:
            page.set_content(html_of(letters.letter("receipt", words(language), "x@y.example", brand="Lens", **VALUES)))
            assert VALUES["digest"] in page.inner_text("body")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide == 0, language
        browser.close()
