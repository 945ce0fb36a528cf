"""Somebody works in a list that is fetched again by itself: where they stand, and what they ticked, survives each time."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

from batch.models import PhotoState
from batch.visit import invitations
from likeness.ground.db import utc_now
from likeness.identity import Kind, start_session
from likeness.kernel import Kernel
from likeness.web.guards import cookie_name
from tests.browser.becoming import becomes, settled
from tests.browser.shoot import ARGS, CHROMIUM
from tests.browser.world import served
from tests.factories import give_consent, make_batch, make_employee, make_member, make_tenant
from tests.handed_in import make_headshots, make_person, make_photos

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed: apt install chromium."),
]


@pytest.mark.usefixtures("time_to_press_undo")
def test_live_rows_keep_focus_scroll_and_ticks(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    member = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [
            make_employee(session, kernel, batch=batch, full_name=f"Person {number}", site="Bern") for number in range(40)
        ]
        value = start_session(session, Kind.MEMBER, member.id, utc_now())
    one, other = people[20], people[22]
    with served(kernel) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(viewport={"width": 1440, "height": 700})
        context.add_cookies([{"name": cookie_name(kernel.settings), "value": value, "url": address}])
        page = context.new_page()
        page.goto(f"{address}/desk/people")
        # A menu is opened, filled, left and closed by keys, and the focus is where it was.
        page.focus("#pick-site-name")
        page.keyboard.press("Enter")
        expect(page.locator("#pick_site[open] a")).to_have_count(2)
        expect(page.locator("#pick-site-name")).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        expect(page.locator("#pick_site a:focus")).to_have_text("Bern40")
        page.keyboard.press("Escape")
        expect(page.locator("#pick_site[open]")).to_have_count(0)
        expect(page.locator("#pick-site-name")).to_be_focused()
        page.check(f"#t-{other.roster_id}")
        page.focus(f"#p-{one.roster_id}")
        before = page.evaluate("scrollY")
        assert before > 0
        with kernel.db.transaction(tenant) as session:
            invitations.invite(session, one, utc_now())
        with page.expect_response(lambda answer: answer.request.headers.get("hx-target") == "rows", timeout=60_000):
            pass
        expect(page.locator(f"tr:has(#p-{one.roster_id}) .tag")).to_have_text("invited")
        # Rows are there some milliseconds before what was held of them.
        expect(page.locator(f"#t-{other.roster_id}")).to_be_checked()
        expect(page.locator(f"#p-{one.roster_id}")).to_be_focused()
        expect(page.locator("[data-ticked]").first).to_have_text("1 ticked")
        becomes(page, "scrollY", before)
        # A name opens the person beside the list; the list goes on by itself behind it, and closing leads back to its row.
        page.keyboard.press("Enter")
        expect(page.locator("#drawer h1")).to_be_focused()
        page.evaluate("htmx.ajax('GET', '/desk/people', {target: '#rows', swap: 'outerHTML'})")
        page.fill("#c-email", "nowhere")
        page.locator("#b-correct").evaluate("button => { button.form.noValidate = true; button.click(); }")
        expect(page.locator("#drawer [role=alert]")).to_be_visible()
        expect(page.locator("#c-email")).to_have_value("nowhere")
        page.click("#b-revoke")
        expect(page.locator("#person_done-undo")).to_be_visible()
        page.click("#person_done-undo")
        expect(page.locator("#drawer .say-good")).to_contain_text("Undone")
        page.keyboard.press("Escape")
        expect(page.locator("#drawer")).to_be_hidden()
        # Rows are there some milliseconds before what was held of them.
        expect(page.locator(f"#t-{other.roster_id}")).to_be_checked()
        expect(page.locator(f"#p-{one.roster_id}")).to_be_focused()
        becomes(page, "scrollY", before)
        # From anywhere outside of a field, one key leads to the search.
        page.keyboard.press("Control+k")
        expect(page.locator("#find")).to_be_focused()
        browser.close()


PART = "htmx.ajax('GET', '{}', {{target: '#{}', swap: 'outerHTML'}})"
STANDS = """() => {
    const one = document.activeElement, form = one.closest("form");
    return [one.localName, one.getAttribute("href") ?? form?.getAttribute("action") ?? "", one.textContent.trim()];
}"""


def test_whatever_has_the_focus_in_a_live_part_has_it_after_the_part_was_fetched_again(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    member = make_member(kernel, tenant)
    with kernel.db.transaction(tenant) as session:
        batch = make_batch(session)
        people = [make_employee(session, kernel, batch=batch, full_name=f"Person {number}") for number in range(4)]
        person = people[0]
        give_consent(session, kernel, person)
        invitations.invite_all(session, [one.id for one in people[:2]], utc_now())
        hr = start_session(session, Kind.MEMBER, member.id, utc_now())
        own = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
    make_photos(kernel, person, 2)
    make_photos(kernel, person, 3, PhotoState.ADVISED)
    walks = (
        (hr, f"/desk/batches/{batch.id}", "live", "#live a, #live button"),
        (own, "/visit/photos", "photos", "#photos a, #photos button"),
        (own, "/visit/photos", "strip", "#strip summary, #strip a"),
    )
    with served(kernel) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(viewport={"width": 1440, "height": 700})
        for value, path, part, what in walks:
            context.add_cookies([{"name": cookie_name(kernel.settings), "value": value, "url": address}])
            page = context.new_page()
            page.goto(address + path)
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
            stops = page.locator(what).count()
            assert stops >= 3, part
            for number in range(stops):
                # In one go, because the part may be fetched by itself at any moment.
                before = page.evaluate(f"document.querySelectorAll('{what}')[{number}].focus(), ({STANDS})()")
                page.evaluate(PART.format("/visit/fates" if part == "strip" else path, part))
                settled(page)
                becomes(page, STANDS, before)
            page.close()
        # Two parts at once, each with its own.
        context.add_cookies([{"name": cookie_name(kernel.settings), "value": hr, "url": address}])
        page = context.new_page()
        page.goto(f"{address}/desk/people")
        page.check(f"#t-{people[3].roster_id}")
        page.focus(f"#p-{people[2].roster_id}")
        page.evaluate(PART.format("/desk/people", "rows") + ";" + PART.format("/desk/people", "chips"))
        settled(page)
        expect(page.locator(f"#t-{people[3].roster_id}")).to_be_checked()
        expect(page.locator(f"#p-{people[2].roster_id}")).to_be_focused()
        browser.close()


def test_a_press_is_not_lost_when_its_part_is_fetched_again_meanwhile(kernel: Kernel) -> None:
    person = make_person(kernel)
    make_photos(kernel, person, 2)
    with kernel.db.transaction(person.tenant_id) as session:
        value = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
    with served(kernel) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(viewport={"width": 390, "height": 844})
        context.add_cookies([{"name": cookie_name(kernel.settings), "value": value, "url": address}])
        page = context.new_page()
        # However long this machine takes, the press is a short one.
        page.clock.set_fixed_time(utc_now())
        page.goto(f"{address}/visit/photos")
        page.locator(".picture").last.get_by_role("button", name="Remove").hover()
        page.mouse.down()
        page.evaluate(PART.format("/visit/photos", "photos"))
        settled(page)
        page.mouse.up()
        expect(page.locator("#photos .picture")).to_have_count(1)
        # Once nothing is pressed, the part comes again.
        page.evaluate("document.querySelector('#photos').dataset.first = 'yes'")
        page.evaluate(PART.format("/visit/photos", "photos"))
        expect(page.locator("#photos:not([data-first])")).to_have_count(1)
        browser.close()


def test_whoever_is_signed_out_meanwhile_reads_so_where_they_pressed(kernel: Kernel) -> None:
    person = make_person(kernel)
    make_headshots(kernel, person, 8)
    with kernel.db.transaction(person.tenant_id) as session:
        value = start_session(session, Kind.EMPLOYEE, person.id, utc_now())
    with served(kernel) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
        context.add_cookies([{"name": cookie_name(kernel.settings), "value": value, "url": address}])
        page = context.new_page()
        page.goto(f"{address}/visit/headshots")
        page.locator("[data-pick]").nth(1).check()
        context.clear_cookies()
        page.locator("[id^=heart-]").last.click()
        expect(page.locator("#messages")).to_contain_text("Please sign in")
        expect(page.locator("#messages")).to_be_in_viewport()
        expect(page.locator("[data-pick]:checked")).to_have_count(1)
        # What a page fetches by itself says it too, and not anew each time.
        page.evaluate("document.getElementById('messages').replaceChildren()")
        page.evaluate(PART.format("/visit/fates", "strip"))
        expect(page.locator("#messages .say")).to_have_count(1)
        page.evaluate("document.querySelector('#messages .say').id = 'first'")
        page.evaluate(PART.format("/visit/fates", "strip"))
        settled(page)
        expect(page.locator("#first")).to_have_count(1)
        browser.close()
