"""A real browser walks from the workbook to the photos. Skipped where Debian's Chromium is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from batch.models import Employee, PhotoState
from batch.photos import photos
from batch.sittings import headshots, sittings
from batch.visit import invitations
from likeness import identity
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants.models import CUTOUT
from tests.browser.becoming import becomes, settled
from tests.browser.keyboard import hand_in, reached, watched
from tests.browser.shoot import ARGS, CHROMIUM
from tests.browser.world import served, workbook_of
from tests.factories import make_employee, make_member, make_tenant, run_jobs
from tests.handed_in import make_headshots, make_person, run_sitting
from tests.pictures import drawn

# A shared machine can be slow; nothing here is about speed.
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
    page.get_by_role("link", name="Import people").click()
    page.set_input_files("#workbook", {"name": "people.xlsx", "mimeType": "application/octet-stream",
                                       "buffer": workbook_of(["Nadia Ümit"])})  # fmt: skip
    page.get_by_role("button", name="Look at the file").click()
    expect(page.get_by_role("heading", name="This is what will change")).to_be_visible()
    expect(page.get_by_text("This is not an e-mail address.")).to_be_visible()
    page.get_by_text("Import and invite now").click()
    page.get_by_role("button", name=re.compile("Import 2 new")).click()
    expect(page.get_by_text("2 people added, 2 invited.")).to_be_visible()
    run_jobs(kernel, tenant=tenant)
    page.wait_for_load_state()  # A search that is typed before the script is there is not heard.
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
    expect(page.locator("#strip-open")).to_contain_text("Nothing of your face is here · your employer has nothing")
    page.get_by_role("link", name="Give your answer").click()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("alert")).to_contain_text("Say yes or no")
    page.get_by_role("radio", name="Yes, I agree").check()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", name="Face measurements")).to_be_visible()
    page.get_by_role("radio", name="Yes, I agree").check()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", name="Your answer", exact=True)).to_be_visible()
    # The browser's own way back shows what was answered, and no question whether to send it again.
    page.go_back()
    expect(page.get_by_role("heading", name="Face measurements")).to_be_visible()
    page.go_forward()
    expect(page.get_by_role("heading", name="Your answer", exact=True)).to_be_visible()
    page.get_by_role("button", name="I agree").click()
    expect(page.get_by_label("Your full name")).to_be_focused()
    page.get_by_label("Your full name").fill("Nadia Ümit")
    page.get_by_label("Your full name").press("Enter")
    expect(page.get_by_role("heading", name="About eight selfies")).to_be_visible()
    shots = [{"name": f"{number}.jpg", "mimeType": "image/jpeg", "buffer": data}
             for number, data in enumerate(drawn(5, 2, 512))]  # fmt: skip
    becomes(page, "document.querySelector('#photo-file').multiple && window.tus !== undefined")
    page.set_input_files("#photo-file", shots)  # type: ignore[arg-type]
    expect(page.locator("#photos .picture")).to_have_count(2)
    expect(page.get_by_text("checking…").first).to_be_visible()
    expect(page.locator("#queue li")).to_have_count(0)
    settled(page)
    page.locator("#photos .picture").first.get_by_role("button", name="Remove").click()
    expect(page.locator("#photos .picture")).to_have_count(1)
    expect(page.locator("#strip-open")).to_contain_text("1 selfie · gone by")
    page.locator("#strip-open").click()
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
    page.get_by_role("checkbox").nth(0).check()
    page.get_by_role("checkbox").nth(1).check()
    page.get_by_role("button", name="Look once more at these 2").click()
    page.get_by_role("button", name="Hand over these 2").click()
    expect(page.get_by_role("heading", name="That is all. Thank you")).to_be_visible()
    expect(page.locator("#strip-open")).to_contain_text("your employer sees 2 headshots")
    page.get_by_role("link", name="Choose others").click()
    page.get_by_role("button", name="Take back").first.click()
    expect(page.get_by_text("1 of 3 released.")).to_be_visible()
    expect(page.locator("#strip-open")).to_contain_text("your employer sees 1 headshot")
    page.goto(f"{address}/visit/delete")
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
    expect(page.locator("#main")).to_be_focused()
    page.get_by_role("button", name="Dark colours").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert complaints == []


def test_the_keyboard_alone_leads_from_the_link_to_the_release(kernel: Kernel, address: str, browser: Browser) -> None:
    tenant = make_tenant(kernel, name="Lens & Co", recipes=[CUTOUT])
    with kernel.db.transaction(tenant) as session:
        person = make_employee(session, kernel)
        invitations.invite(session, person, utc_now())
    run_jobs(kernel, tenant=tenant)
    with kernel.db.transaction(tenant) as session:
        letters = [mail.read(kernel.keys, one) for one in mail.mailbox(session)]
    (link,) = ["/i/" + one.text.split("/i/")[1].split()[0] for one in letters if one and "/i/" in one.text]
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    page, complaints = watched(context)
    page.goto(address + link)
    reached(page, "Go on")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Would you like a headshot?")).to_be_visible()
    reached(page, "Give your answer")
    page.keyboard.press("Enter")
    for question in ("Studio portrait", "Face measurements"):
        expect(page.get_by_role("heading", name=question)).to_be_visible()
        # The first of two that nobody has chosen from; the space bar chooses, the arrow keys change it and back.
        reached(page, "Yes, I agree", "radio")
        for key in ("Space", "ArrowDown", "ArrowUp"):
            page.keyboard.press(key)
        expect(page.get_by_role("radio", name="Yes, I agree")).to_be_checked()
        reached(page, "Next")
        page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your answer", exact=True)).to_be_visible()
    reached(page, "Your full name")
    page.keyboard.type("Nadia Ümit")
    reached(page, "^I agree$")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="About three photos")).to_be_visible()
    page.wait_for_load_state("networkidle")
    reached(page, "", "file")
    hand_in(page, {"name": "me.jpg", "mimeType": "image/jpeg", "buffer": drawn(5, 1, 512)[0]})
    expect(page.locator("#photos .picture")).to_have_count(1)
    with kernel.db.transaction(tenant) as session:
        (photo,) = photos.of(session, person.id)
        photo.state = PhotoState.ACCEPTED
    expect(page.get_by_role("button", name="Make my headshots")).to_be_visible()
    reached(page, "Make my headshots")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Waiting for a free place")).to_be_visible()
    reached(page, "Stop and withdraw")
    with kernel.db.transaction(tenant) as session:
        sitting = sittings.latest_of(session, person.id)
    assert sitting is not None
    run_sitting(kernel, sitting)
    expect(page.get_by_role("heading", name="Choose what your employer may have")).to_be_visible()
    reached(page, "Headshot 1", "checkbox")
    page.keyboard.press("Space")
    reached(page, "Look once more at this one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Hand this one over to Lens & Co?")).to_be_visible()
    reached(page, "Hand over this one")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="That is all. Thank you")).to_be_visible()
    with kernel.db.transaction(tenant) as session:
        assert len(headshots.releases(session, person.id)) == 1
    assert complaints == []
    context.close()


def _with_headshots(kernel: Kernel) -> Employee:
    person = make_person(kernel)
    make_headshots(kernel, person)
    return person
