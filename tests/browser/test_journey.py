"""A real browser walks from the workbook to the photos. Skipped where Debian's Chromium is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from batch.models import Employee
from likeness import identity, mail
from likeness.db import utc_now
from likeness.kernel import Kernel
from tests.browser.shoot import ARGS, CHROMIUM
from tests.browser.world import served, workbook_of
from tests.factories import make_member, make_tenant, run_jobs
from tests.handed_in import make_headshots, make_person
from tests.pictures import drawn

# A shared machine can be slow; nothing here is about speed.
expect.set_options(timeout=30_000)

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed: apt install chromium."),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(kernel: Kernel) -> Iterator[str]:
    with served(kernel) as address:
        yield address


def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A page, and what it complains about: the policy blocks inline script and style aloud, and it must never have to."""
    page, complaints = context.new_page(), []

    def note(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


def test_from_the_workbook_to_the_photos(kernel: Kernel, address: str, browser: Browser) -> None:
    tenant = make_tenant(kernel, name="Northlight Optics")
    admin = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        token = identity.make_link(session, identity.Kind.MEMBER, admin.id, utc_now())

    desk = browser.new_context(viewport={"width": 1280, "height": 800})
    page, complaints = watched(desk)
    page.goto(f"{address}/sign-in/{token}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="No batch yet")).to_be_visible()
    page.set_input_files("#workbook", {"name": "people.xlsx", "mimeType": "application/octet-stream",
                                       "buffer": workbook_of(["Nadia Ümit"])})  # fmt: skip
    expect(page.get_by_role("heading", name="This is what will change")).to_be_visible()
    expect(page.get_by_text("This is not an e-mail address.")).to_be_visible()
    page.get_by_text("Import and invite now").click()
    page.get_by_role("button", name=re.compile("Import 2 new")).click()
    expect(page.get_by_text("2 people added, 2 invited.")).to_be_visible()
    run_jobs(kernel, tenant=tenant)
    page.get_by_role("searchbox", name="Search").fill("nadia")
    expect(page.locator("#roster tbody tr")).to_have_count(1)
    with kernel.db.transaction(tenant) as session:
        letters = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    (link,) = ["/i/" + one.text.split("/i/")[1].split()[0] for one in letters if one and one.to.startswith("new1.")]
    assert complaints == []

    phone = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    page, complaints = watched(phone)
    page.goto(f"{address}{link}")
    page.get_by_role("button", name="Go on").click()
    page.get_by_role("button", name="I agree").click()
    expect(page.get_by_role("heading", name="Your answer")).to_be_visible()
    page.get_by_role("checkbox", name="Headshots My selfies").check()
    page.get_by_role("checkbox", name="Face measurements").check()
    page.get_by_label("Your full name").fill("Nadia Ümit")
    page.get_by_role("button", name="I agree").click()
    expect(page.get_by_role("heading", name="About eight selfies")).to_be_visible()
    shots = [{"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": data}
             for number, data in enumerate(drawn(5, 2, 512))]  # fmt: skip
    page.set_input_files("#photo-file", shots)  # type: ignore[arg-type]
    expect(page.locator("#photos .picture")).to_have_count(2)
    expect(page.get_by_text("checking…").first).to_be_visible()
    page.locator("#photos .picture").first.get_by_role("button", name="Remove").click()
    expect(page.locator("#photos .picture")).to_have_count(1)
    expect(page.get_by_text("gone in 7 days")).to_be_visible()
    assert complaints == []


def test_choosing_and_deleting(kernel: Kernel, address: str, browser: Browser) -> None:
    person: Employee = _with_headshots(kernel)
    context = browser.new_context(viewport={"width": 390, "height": 844})
    with kernel.db.transaction(person.tenant_id) as session:
        value = identity.start_session(session, identity.Kind.EMPLOYEE, person.id, utc_now())
    context.add_cookies([{"name": "likeness", "value": value, "url": address}])
    page, complaints = watched(context)
    page.goto(f"{address}/visit")
    page.get_by_role("button", name="Release").first.click()
    expect(page.get_by_text("1 of 3 released.")).to_be_visible()
    expect(page.locator("#face").get_by_text("1 headshot")).to_be_visible()
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_text("Nothing released yet.")).to_be_visible()
    page.get_by_role("link", name="Delete everything now").click()
    page.get_by_role("button", name="Yes, delete everything").click()
    expect(page.get_by_role("heading", name="Deleting everything")).to_be_visible()
    assert complaints == []


def test_the_keyboard_reaches_the_content_and_the_theme_is_remembered(address: str, browser: Browser) -> None:
    context = browser.new_context(color_scheme="light")
    page, complaints = watched(context)
    page.goto(address)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.get_by_role("button", name="Dark colours").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert complaints == []


def _with_headshots(kernel: Kernel) -> Employee:
    person = make_person(kernel)
    make_headshots(kernel, person)
    return person
