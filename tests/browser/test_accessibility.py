"""Every page, by day and by night, against the rules of WCAG 2.2 AA that a machine can check (axe-core), and what it weighs
for who comes for the first time."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as NothingHappened

import dashboard
from batch.sittings import headshots
from compliance.rights import packages
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tests.browser.contrast import Contrast
from tests.browser.shoot import ARGS, CHROMIUM, MOST_BYTES, SIZES, everywhere, pages, to_sign
from tests.browser.wire import Wire
from tests.browser.world import World, build, cookie_of, served
from tests.handed_in import make_headshots, make_person

AXE = Path(__file__).parent / "vendor/axe-4.14.1.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
HIGHEST = 5000
"""Pixels of a page on a phone; what is longer shows its beginning first."""
HIGHEST_ON_PHONE = {"desk-batch": 4000, "desk-batch-crowded": 4500}
"""Of pages that grow with what happens: the one with all that can stand on it at once stays under the bar as well."""
LEAST_BYTES = 50_000
"""Of letters, styles and scripts alone, so that a page that has them from an earlier one is noticed."""
EVERY_COMPANY = ("operations-companies", "operations-mail", "operations-mailbox")
"""They show the companies of all tests, and so no height of their own."""
VIEWS: tuple[tuple[str, Literal["light", "dark"]], ...] = (
    ("phone", "light"), ("phone", "dark"), ("desktop", "dark"), ("desktop", "light"),
)  # fmt: skip
WHOLE = (("phone", "light"), ("desktop", "dark"))
"""Where every rule is asked. The other two differ from these by their colours alone, as the test after it holds, so that
they are asked what is about colours: the contrast, and links that only their colour tells from the words around them."""
WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Words that stand beyond the edge of the screen where nothing lets them be scrolled to: a page is not made wider by what
# is over its left edge when it is read from the right.
CUT = """[...document.querySelectorAll("main :is(h1, h2, p, li, button, label, a)")].filter(one => {
    const box = one.getBoundingClientRect();
    return box.width > 2 && box.height > 2 && one.checkVisibility() && !one.closest(".scroll, .hidden-visually, video")
        && (box.left < -1 || box.right > innerWidth + 1);
}).map(one => one.outerHTML.slice(0, 120))"""
# Addresses that were broken at a hyphen of the company's name, where a row is to be one line high.
BROKEN = """[...document.querySelectorAll("td .address")].filter(one =>
    one.offsetHeight > 1.5 * parseFloat(getComputedStyle(one).lineHeight)).map(one => one.innerText)"""
# A browser's own arrow lies on the border of a menu that is read from the right.
ARROWS = """[...document.querySelectorAll("select")].filter(one => getComputedStyle(one).appearance !== "none")
    .map(one => one.outerHTML.slice(0, 80))"""
# Each broken rule with the first element that breaks it. The contrast is looked at by itself.
FAULTS = """rules => axe.run(document, {
    runOnly: rules, resultTypes: ["violations"], rules: {"color-contrast": {enabled: false}},
}).then(found => found.violations.map(rule => rule.id + ": " + rule.nodes[0].html.slice(0, 160) + " "
    + rule.nodes[0].any.map(check => check.message).join(" ").slice(0, 120)))"""
LINKS = ["link-in-text-block"]
NIGHT = re.compile(r"(?:prefers-color-scheme[^{]*\{[^{]*|\[data-theme=\"dark\"\][^{,]*)\{([^}]*)\}")

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


def test_no_page_breaks_a_rule_or_is_heavy(world: World, browser: Browser) -> None:
    """On a phone and on a large screen, by day and by night; its weight is what all four of them ask for."""
    faults, contrast, weights = [], Contrast(), dict[str, int]()
    context = browser.new_context(reduced_motion="reduce")
    context.add_init_script(AXE.read_text())
    page = context.new_page()
    wire = Wire(page)
    for number, (name, who, address) in enumerate(everywhere(world, browser)):
        context.clear_cookies()
        wire.begin()
        if who:
            context.add_cookies([cookie_of(world, who)])  # type: ignore[list-item]
        # Each page begins with the view that the one before ended with.
        views = VIEWS[:: -1 if number % 2 else 1]
        set_up(page, *views[0])
        page.goto(world.address + address)
        faults += broken(page, name, contrast, views)
        weights[name] = wire.bytes()
    context.clear_cookies()
    context.add_cookies([cookie_of(world, "hr")])  # type: ignore[list-item]
    for name in people_states(world, page):
        faults += broken(page, name, contrast, VIEWS)
    context.close()
    assert len(contrast.known) > 1000
    assert not faults, "\n".join(faults)
    light_enough(weights)


def light_enough(weights: dict[str, int]) -> None:
    """Each page brought its own letters, styles and scripts, and is under the bar with them."""
    assert {name: size for name, size in weights.items() if not LEAST_BYTES < size < MOST_BYTES} == {}


def set_up(page: Page, size: str, scheme: Literal["light", "dark"]) -> None:
    if page.viewport_size != SIZES[size]:
        page.set_viewport_size(SIZES[size])
    page.emulate_media(color_scheme=scheme)


def broken(
    page: Page, name: str, contrast: Contrast, views: tuple[tuple[str, Literal["light", "dark"]], ...]
) -> list[str]:
    faults = []
    for size, scheme in views:
        set_up(page, size, scheme)
        faults += [f"{name}, {size}, {scheme}: {fault}" for fault in contrast.faults(page)]
        whole = (size, scheme) in WHOLE
        faults += [f"{name}, {size}, {scheme}: {fault}" for fault in page.evaluate(FAULTS, TAGS if whole else LINKS)]
        if not whole:
            continue
        wide, high = page.evaluate(f"[{WIDE}, document.documentElement.scrollHeight]")
        if wide > 0:
            faults.append(f"{name}, {size}: {wide} px too wide")
        bar = HIGHEST_ON_PHONE.get(name, HIGHEST) if size == "phone" else HIGHEST
        if high > bar and name not in EVERY_COMPANY:
            faults.append(f"{name}, {size}: {high} px high")
        if size == "desktop":
            faults += [f"{name}: an address in two lines: {one}" for one in page.evaluate(BROKEN)]
    return faults


def test_by_night_nothing_but_colours_is_another() -> None:
    for sheet in ("likeness.css", "visit.css"):
        text = (Path(dashboard.__file__).parent / "static" / sheet).read_text().partition("@media print")[0]
        said = [one.strip() for block in NIGHT.findall(text) for one in block.split(";") if one.strip()]
        assert all(one.startswith(("--", "color-scheme:")) for one in said)
        assert len(said) > 30 or sheet == "visit.css"


def test_a_contrast_that_is_too_low_is_found_once_and_on_another_ground_again(browser: Browser) -> None:
    page, contrast = browser.new_page(color_scheme="light"), Contrast()
    page.set_content("<main><p style='color: #999'>Faint</p><p style='color: #000'>Plain</p></main>")
    page.evaluate(AXE.read_text() + ";0")
    assert len(contrast.faults(page)) == 1
    assert contrast.faults(page) == []
    page.evaluate("document.body.style.background = '#111'")
    (fault,) = contrast.faults(page)
    assert "Plain" in fault
    page.close()


def people_states(world: World, page: Page) -> Iterator[str]:
    """What the list of people becomes while somebody works with it."""

    def listed() -> None:
        page.set_viewport_size(SIZES["desktop"])
        page.goto(f"{world.address}/desk/people?q=Zo%C3%AB")
        page.locator("#rows input[name=person]").first.check()

    listed()
    page.locator("#rows tbody th a").first.click()
    page.locator("#drawer[open] #person-name").wait_for()
    yield "people-drawer"
    page.goto(f"{world.address}/desk/people?stage=added&stage=uploading")
    page.locator("#pick-department-name").click()
    page.locator("#pick_department[open] a").nth(1).wait_for()
    yield "people-menu"
    listed()
    page.locator("#more-acts").click()
    yield "people-acts"
    page.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url("**/preview-deletion")
    yield "people-preview-deletion"
    listed()
    page.evaluate("document.querySelector('#ticked').append(Object.assign(document.createElement('input'),"
                  " {type: 'hidden', name: 'all', value: '1'}))")  # fmt: skip
    page.get_by_role("button", name="Send a fresh link").click()
    page.get_by_role("heading", name="Send a fresh link to").wait_for()
    yield "people-preview-bulk"
    undo = page.locator("#done-undo")

    def sent() -> None:
        """It can be undone for ten seconds, and a busy machine may take as long to show the page."""
        for _ in range(3):
            listed()
            page.get_by_role("button", name="Send a fresh link").click()
            with suppress(NothingHappened):
                undo.wait_for(timeout=10_000)
                return
        raise AssertionError(page.inner_text("main")[:300])

    sent()
    yield "people-undo"
    sent()
    undo.click()
    page.get_by_text("Undone").wait_for()
    yield "people-undone"


def test_no_page_of_the_visit_is_too_wide_or_heavy_from_right_to_left(world: World, browser: Browser) -> None:
    """On a phone, in Arabic, where words are as long as their own letters make them, and letters weigh the most."""
    faults = []
    context = browser.new_context(reduced_motion="reduce", viewport=SIZES["phone"])
    page, read, weights = context.new_page(), set[str](), dict[str, int]()
    wire = Wire(page)
    for name, who, address in [*pages(world), ("visit-sign", "consent", to_sign(world, browser))]:
        if not address.startswith(("/visit", "/i/", "/a/", "/gone/", "/retention/")):
            continue
        context.clear_cookies()
        if who:
            context.add_cookies([cookie_of(world, who)])  # type: ignore[list-item]
        if who and who not in read:
            context.request.post(f"{world.address}/visit/language", form={"language": "ar"}, max_redirects=0)
            read.add(who)
        wire.begin()
        page.goto(world.address + address + ("" if who else "?language=ar"))
        if page.evaluate("document.documentElement.dir") != "rtl":
            faults.append(f"{name}: not from right to left")
        wide, high = page.evaluate(f"[{WIDE}, document.documentElement.scrollHeight]")
        if wide > 0 or high > HIGHEST:
            faults.append(f"{name}: {wide} px too wide, {high} px high")
        cut = page.evaluate(CUT)
        faults += [f"{name}: beyond the edge: {one}" for one in cut]
        faults += [f"{name}: an arrow on the border: {one}" for one in page.evaluate(ARROWS)]
        page.evaluate("document.fonts.ready.then(() => 0)")
        weights[name] = wire.bytes()
    context.close()
    assert len(read) > 10
    assert not faults, "\n".join(faults)
    light_enough(weights)


LINES = """[...document.querySelectorAll(".shot .acts")].map(acts => {
    const within = [...acts.children].filter(one => getComputedStyle(one).position !== "absolute");
    const middles = within.map(one => one.getBoundingClientRect()).map(box => Math.round(box.top + box.height / 2));
    return new Set(middles).size;
})"""


def test_what_can_be_done_with_a_headshot_stands_in_one_line_beneath_it(world: World, browser: Browser) -> None:
    """Two pictures beside each other on a phone: the heart is on the picture, across from the tick, as large as a thumb."""
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 390, "height": 800}, has_touch=True)
    context.add_cookies([cookie_of(world, "choose")])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(f"{world.address}/visit/headshots")
    lines = page.evaluate(LINES)
    assert len(lines) == 6
    # The one that was released can be taken back, which takes words.
    assert sorted(lines) == [1, 1, 1, 1, 1, 2]
    heart, card = page.locator("[id^=heart-]").first, page.locator(".shot").first
    of_heart, of_card = heart.bounding_box(), card.bounding_box()
    assert of_heart is not None
    assert of_card is not None
    assert min(of_heart["width"], of_heart["height"]) >= 44
    assert of_heart["y"] < of_card["y"] + of_card["width"] / 2
    was = heart.get_attribute("aria-pressed")
    heart.click()
    expect(heart).to_have_attribute("aria-pressed", "false" if was == "true" else "true")
    context.close()


@pytest.mark.parametrize("language", ["de", "ar"])
def test_an_access_package_breaks_no_rule_and_asks_for_nothing(
    kernel: Kernel, browser: Browser, tmp_path: Path, language: str
) -> None:
    """Its page, opened from the disk: it is readable by everybody, and nothing is fetched."""
    person = make_person(kernel, profile={"full_name": "Nadia Ümit", "language": language})
    made = make_headshots(kernel, person, 2)
    with kernel.db.transaction(person.tenant_id) as session:
        headshots.release(session, person.id, [made[0].id], utc_now())
    packed = b"".join(packages.pieces(kernel, person.tenant_id, person.id, utc_now(), caller=f"employee:{person.id}"))
    with zipfile.ZipFile(io.BytesIO(packed)) as opened:
        opened.extract("START-HERE.html", tmp_path)
    context = browser.new_context(viewport=SIZES["phone"])
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"file://{tmp_path}/START-HERE.html")
    page.evaluate(AXE.read_text() + ";0")
    assert page.evaluate(FAULTS, TAGS) + Contrast().faults(page) == []
    assert page.evaluate(WIDE) <= 0
    assert asked == [f"file://{tmp_path}/START-HERE.html"]
    context.close()
