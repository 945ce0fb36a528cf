"""One person at HR's desk, with 500 people and no mouse: from the mailed link to the archive of headshots."""

from __future__ import annotations

import io
import re
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from sqlmodel import select

from batch.models import Employee
from batch.reading import workbook
from batch.sittings import headshots
from batch.visit import invitations
from likeness import identity
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.web.guards import cookie_name
from tenants.models import CUTOUT
from tests.browser.becoming import becomes
from tests.browser.keyboard import hand_in, reached, watched
from tests.browser.shoot import ARGS, CHROMIUM
from tests.browser.world import served
from tests.factories import give_consent, make_employee, make_member, make_tenant
from tests.handed_in import make_headshots

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed: apt install chromium."),
]

PEOPLE = 500
WITHIN = 600
"""Seconds in which one person is to have imported, invited and watched this many; a machine answers in a fraction of it."""


def test_one_person_imports_500_invites_them_watches_them_and_downloads_by_keyboard_alone(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel, name="Northlight Optics", with_credits=1000), make_tenant(kernel)
    admin = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        token = identity.make_link(session, identity.Kind.MEMBER, admin.id, utc_now())
    book = workbook.export(
        ("Employee ID", "Full name", "E-mail", "Department"),
        [(f"{n:04}", f"Person Number{n:03}", f"n{n}@northlight.example", "Design") for n in range(PEOPLE)],
    )
    with served(kernel) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page, complaints = watched(browser.new_context(viewport={"width": 1440, "height": 900}))
        began = time.monotonic()
        page.goto(f"{address}/sign-in/{token}")
        reached(page, "^Sign in")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="No batch yet")).to_be_visible()
        reached(page, "Import people")
        page.keyboard.press("Enter")
        page.wait_for_url("**/desk/batches*")
        reached(page, "", "file")
        hand_in(page, {"name": "people.xlsx", "mimeType": "application/octet-stream", "buffer": book})
        reached(page, "Look at the file")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="This is what will change")).to_be_visible(timeout=60_000)
        reached(page, "Import and invite now", "radio")
        page.keyboard.press("Space")
        reached(page, f"^Import {PEOPLE} new")
        page.keyboard.press("Enter")
        expect(page.get_by_text(f"{PEOPLE} people added, {PEOPLE} invited.")).to_be_visible(timeout=60_000)
        # Somebody answers while the batch is watched: the page counts it by itself, and nobody of another company.
        with kernel.db.transaction(tenant) as session:
            person = session.exec(select(Employee).limit(1)).one()
            give_consent(session, kernel, person)
        expect(page.locator("#live [role=img]")).to_have_attribute("aria-label", re.compile("consented: 1"), timeout=60_000)
        with kernel.db.transaction(other) as session:
            assert session.exec(select(Employee)).all() == []
        with kernel.db.transaction(tenant) as session:
            assert len(session.exec(select(invitations.Invitation)).all()) == PEOPLE
        (made, *_) = make_headshots(kernel, person)
        with kernel.db.transaction(tenant) as session:
            headshots.release(session, person.id, [made.id], utc_now())
        reached(page, "^Headshots")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Released headshots")).to_be_visible()
        reached(page, "Skip to the download")
        page.keyboard.press("Enter")
        reached(page, "^Download all 1$")
        with page.expect_download() as taken:
            page.keyboard.press("Enter")
        archive = zipfile.ZipFile(io.BytesIO(Path(taken.value.path()).read_bytes()))
        assert sum("Person-Number" in name for name in archive.namelist()) == 1
        assert archive.testzip() is None
        assert time.monotonic() - began < WITHIN
        assert complaints == []
        browser.close()


def test_a_long_department_takes_no_room_from_names_and_nothing_is_to_press_before_a_tick(kernel: Kernel) -> None:
    """At the width of a large and of a small desk: a short name stands in one line, the menu's names beside the account."""
    tenant = make_tenant(kernel, name="Northlight Optics")
    admin = make_member(kernel, tenant)
    long = "Department for Cross-Functional Strategic Enablement, Transformation and Continuous Improvement EMEA"
    with kernel.db.transaction(tenant) as session:
        for number, name in enumerate(("Sæunn Eriksson", "Bruno Ivanova", "Ada Adeyemi")):
            address = f"somebody.{number}@northlight-optics.example"
            make_employee(session, kernel, full_name=name, email=address, department=long, site="Zürich")
        cookie = identity.start_session(session, identity.Kind.MEMBER, admin.id, utc_now())
    with served(kernel) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        for width in (1024, 1440):
            page, complaints = watched(browser.new_context(viewport={"width": width, "height": 900}))
            page.context.add_cookies([{"name": cookie_name(kernel.settings), "value": cookie, "url": address}])
            page.goto(f"{address}/desk/people")
            rows = page.locator("tbody tr")
            assert [row.bounding_box()["height"] < 48 for row in rows.all()] == [True] * 3  # type: ignore[index]
            assert page.locator("td.team a").first.get_attribute("title") == long
            assert page.locator(".bar > .wide").bounding_box()["height"] < 72  # type: ignore[index]
            assert page.locator("#rows .scroll").evaluate("one => one.scrollWidth - one.clientWidth") == 0, "all is seen"
            looks = "getComputedStyle(document.querySelector('.bulk .acts > .button')).backgroundColor"
            quiet = page.evaluate(looks)
            rows.first.locator("input").check()
            assert quiet == "rgba(0, 0, 0, 0)"
            becomes(page, f"{looks} !== '{quiet}'")
            assert complaints == []
        page, complaints = watched(browser.new_context(viewport={"width": 390, "height": 844}, locale="de"))
        page.context.add_cookies([{"name": cookie_name(kernel.settings), "value": cookie, "url": address}])
        page.goto(f"{address}/desk/people")
        page.locator("#more-acts").click()
        menu = page.locator(".bulk .menu ul").bounding_box()
        assert menu is not None
        assert menu["x"] >= 0, "each act of the menu can be read"
        assert menu["x"] + menu["width"] <= 390, "each act of the menu can be read"
        assert complaints == []
        browser.close()


def test_a_colour_is_typed_or_chosen_and_only_what_the_wall_is_made_of_is_asked_for(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, name="Northlight Optics", recipes=[CUTOUT])
    admin = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        cookie = identity.start_session(session, identity.Kind.MEMBER, admin.id, utc_now())
    with served(kernel) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        page, complaints = watched(browser.new_context(viewport={"width": 1440, "height": 900}))
        page.context.add_cookies([{"name": cookie_name(kernel.settings), "value": cookie, "url": address}])
        page.goto(f"{address}/desk/looks")
        page.get_by_text("Add a look").click()
        typed, chooser, picture = (
            page.locator("#look-colour"),
            page.locator("[data-colour-of]"),
            page.locator("#look-picture"),
        )
        typed.fill("0B5D4C")
        expect(chooser).to_have_value("#0b5d4c")
        sketch = page.locator("#look_sketch")
        expect(sketch.locator("stop").first).to_have_attribute("stop-color", "#0c6452")
        chooser.fill("#123456")
        expect(typed).to_have_value("#123456")
        expect(sketch.locator("stop").first).to_have_attribute("stop-color", "#13385d")
        typed.fill("#12")
        page.get_by_text("One even colour").click()
        typed.fill("#3a3a3a")
        expect(sketch.locator("rect").first).to_have_attribute("fill", "#3a3a3a")
        expect(picture).to_be_hidden()
        page.get_by_text("A picture of your own").click()
        expect(picture).to_be_visible()
        expect(typed).to_be_hidden()
        file = io.BytesIO()
        Image.new("RGB", (640, 640), "#345678").save(file, "PNG")
        picture.set_input_files({"name": "lobby.png", "mimeType": "image/png", "buffer": file.getvalue()})
        expect(sketch.locator("[data-own-picture]").first).to_have_attribute("href", re.compile("^blob:"))
        page.get_by_text("The drawn office").click()
        expect(picture).to_be_hidden()
        page.get_by_text("One even colour").click()
        typed.fill("0B5D4C")
        page.locator("#look-name").fill("Brand")
        page.get_by_role("button", name="Add this look").click()
        expect(page.get_by_text("#0b5d4c")).to_be_visible()
        assert complaints == []
        browser.close()
