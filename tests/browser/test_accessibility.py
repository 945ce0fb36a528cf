"""Every page, by day and by night, against the rules of WCAG 2.2 AA that a machine can check (axe-core)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from likeness.kernel import Kernel
from tests.browser.shoot import ARGS, CHROMIUM, SIZES, everywhere
from tests.browser.world import World, build, cookie_of, served

AXE = Path(__file__).parent / "vendor/axe-4.14.1.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# Each broken rule with the first element that breaks it.
FAULTS = """tags => axe.run(document, {runOnly: tags, resultTypes: ["violations"]}).then(found =>
    found.violations.map(rule => rule.id + ": " + rule.nodes[0].html.slice(0, 160) + " " + rule.nodes[0].any.map(
        check => check.message).join(" ").slice(0, 120)))"""

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed: apt install chromium."),
]


@pytest.fixture(scope="module")
def world(kernel: Kernel) -> Iterator[World]:
    with served(kernel) as address:
        yield build(kernel, address)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desktop", "dark")])
def test_no_page_breaks_a_rule(world: World, browser: Browser, size: str, scheme: str) -> None:
    faults = []
    for name, who, address in everywhere(world, browser):
        options: dict[str, Any] = {"viewport": SIZES[size], "color_scheme": scheme, "reduced_motion": "reduce"}
        context = browser.new_context(**options)
        if who:
            context.add_cookies([cookie_of(world, who)])  # type: ignore[list-item]
        page = context.new_page()
        page.goto(world.address + address)
        page.evaluate(AXE.read_text() + ";0")
        faults += [f"{name}: {fault}" for fault in page.evaluate(FAULTS, TAGS)]
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            faults.append(f"{name}: {wide} px too wide")
        context.close()
    assert not faults, "\n".join(faults)
