"""Somebody without a mouse: tab by tab through a page, and the focus has to be seen at each stop."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import BrowserContext, FilePayload, Page
from playwright.sync_api import TimeoutError as NothingHappened

# The element with the focus: what it says, and whether its outline can be seen: of itself, or of the label or the box that
# stands for it, and not under the strip or the foot that stay on the screen.
FOCUS = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const around = [one, ...(one.labels ?? []), one.closest("label, .drop, .wall-pick")].filter(Boolean);
    const shown = [...around, ...around.flatMap(each => [...each.querySelectorAll("label.button")])].filter(each => {
        const style = getComputedStyle(each), box = each.getBoundingClientRect();
        return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2 && box.width > 8 && box.height > 8;
    });
    const seen = shown.some(each => [...each.getClientRects()].some(box => {
        // Of what is higher than the screen, the part that is on it.
        const [above, below] = [Math.max(box.top, 0), Math.min(box.bottom, innerHeight)];
        const top = document.elementFromPoint(box.left + box.width / 2, (above + below) / 2);
        return top && (each.contains(top) || top.contains(each));
    }));
    const said = one.getAttribute("aria-label") ?? (one.labels?.[0] ?? one).textContent;
    return {tag: one.tagName, type: one.type ?? "", name: one.name ?? "", said: said.trim().replace(/\\s+/g, " "), seen};
}"""
MOST_TABS = 40


def reached(page: Page, said: str, kind: str = "") -> None:
    """Tab by tab to what says this; the focus is seen at each stop on the way."""
    stops = []
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        at = page.evaluate(FOCUS)
        if at is None:
            continue
        stops.append(at["said"][:60])
        assert at["seen"], f"{page.url}: the focus is not seen on {at}"
        if re.search(said, at["said"]) and kind in (at["type"], ""):
            return
    raise AssertionError(f"{page.url}: {said!r} is not among {stops}")


def hand_in(page: Page, file: FilePayload) -> None:
    """The file's field has the focus and Enter opens the chooser; a browser that was too busy to open it is asked again."""
    for last in (False, False, True):
        try:
            with page.expect_file_chooser(timeout=10_000) as opened:
                page.keyboard.press("Enter")
        except NothingHappened:
            if last:
                raise
        else:
            opened.value.set_files(file)
            return


def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and what it complains about: the policy blocks inline script and style aloud, and it must never have to."""
    page, complaints = context.new_page(), []

    def note(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints
