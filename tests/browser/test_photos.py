"""A real browser hands in photos where things go wrong: a file that vanished, a slow network, a tab that was closed."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from batch.models import Employee, Photo
from batch.photos import photos, resumable
from compliance.desk import answering
from likeness import identity
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.web import uploads
from tests.browser.becoming import becomes
from tests.browser.shoot import ARGS, CHROMIUM
from tests.browser.world import served
from tests.handed_in import make_person, make_photos
from tests.slow_line import slow_line
from tests.waiting import until

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="Chromium is not installed: apt install chromium."),
]
UPLOADS = "**/api/v1/visit/uploads"


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


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture
def phone(kernel: Kernel, address: str, browser: Browser, alice: Employee) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    with kernel.db.transaction(alice.tenant_id) as session:
        value = identity.start_session(session, identity.Kind.EMPLOYEE, alice.id, utc_now())
    context.add_cookies([{"name": "likeness", "value": value, "url": address}])
    yield context
    context.close()


def opened(phone: BrowserContext, address: str) -> Page:
    page = phone.new_page()
    page.goto(f"{address}/visit/photos")
    becomes(page, "document.querySelector('#photo-file').multiple && window.tus !== undefined")
    return page


def slowed(page: Page, bytes_a_second: int) -> None:
    limits = {"offline": False, "latency": 20, "downloadThroughput": -1, "uploadThroughput": bytes_a_second}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", limits)


def files(folder: Path, *names: str, size: int = 200_000) -> list[Path]:
    """Bytes that are no picture: what is looked at here is the way, not the verdict."""
    made = [folder / name for name in names]
    for path in made:
        path.write_bytes(os.urandom(size))
    return made


def mine(kernel: Kernel, person: Employee) -> list[Photo]:
    with kernel.db.transaction(person.tenant_id) as session:
        return photos.of(session, person.id)


def arrived(kernel: Kernel, person: Employee) -> None:
    """The server keeps what came a moment after it notices that the line is cut."""

    def kept() -> bool:
        with kernel.db.transaction(person.tenant_id) as session:
            return any(upload.received for upload in resumable.of(session, person.id, utc_now()))

    until(kept)


def bytes_of(kernel: Kernel, person: Employee) -> set[bytes]:
    key = kernel.keys.open(KeyRef(person.tenant_id, person.id, KeyClass.SOURCE))
    return {kernel.objects.get(photo.path, key) for photo in mine(kernel, person)}


def line(page: Page, name: str) -> Any:
    return page.locator("#queue li", has_text=name)


def test_a_photo_that_is_there_already_says_so_beside_its_name_and_counts_once(
    kernel: Kernel, address: str, phone: BrowserContext, alice: Employee, tmp_path: Path
) -> None:
    (one,) = files(tmp_path, "one.jpg")
    page = opened(phone, address)
    page.set_input_files("#photo-file", [one])
    expect(page.locator("#photos .picture")).to_have_count(1)
    (copy,) = files(tmp_path, "copy.jpg")
    copy.write_bytes(one.read_bytes())
    for _ in range(2):
        page.set_input_files("#photo-file", [copy])
        expect(page.locator("#queue li")).to_have_count(1)
        expect(line(page, "copy.jpg")).to_contain_text("You have handed in this photo already.")
    assert len(mine(kernel, alice)) == 1
    expect(line(page, "copy.jpg").get_by_role("button", name="Close copy.jpg")).to_be_visible()
    assert page.evaluate("localStorage.getItem('likeness-uploads')") is None
    line(page, "copy.jpg").get_by_role("button").click()
    expect(page.locator("#queue li")).to_have_count(0)
    assert len(mine(kernel, alice)) == 1


def test_a_photo_that_is_chosen_before_the_scripts_are_there_is_sent(
    address: str, phone: BrowserContext, alice: Employee, tmp_path: Path
) -> None:
    (early,) = files(tmp_path, "early.jpg")
    page, held = phone.new_page(), list[Route]()
    page.route(re.compile(r"/photos\b.*\.js"), lambda route: held.append(route))
    page.goto(f"{address}/visit/photos", wait_until="commit")
    page.set_input_files("#photo-file", [early])
    while not held:
        page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.locator("#photos .picture")).to_have_count(1)


def test_a_file_that_vanished_is_said_and_the_others_go_on(
    kernel: Kernel, address: str, phone: BrowserContext, alice: Employee, tmp_path: Path
) -> None:
    first, gone, last = files(tmp_path, "first.jpg", "gone.jpg", "last.jpg")
    page, held = opened(phone, address), threading.Event()

    def hold(route: Route) -> None:
        """Before anything of the first photo leaves, the second one's file disappears."""
        if not held.is_set():
            held.set()
            gone.unlink()
        route.continue_()

    page.route(UPLOADS, hold)
    page.set_input_files("#photo-file", [first, gone, last])
    expect(line(page, "gone.jpg")).to_contain_text("This file cannot be read any more.")
    expect(page.locator("#photos .picture")).to_have_count(2)
    expect(page.locator("#queue li")).to_have_count(1)
    assert bytes_of(kernel, alice) == {first.read_bytes(), last.read_bytes()}
    # Chosen again, it takes the place of the line that said so.
    (again,) = files(tmp_path, "gone.jpg")
    page.set_input_files("#photo-file", [again])
    expect(page.locator("#queue li")).to_have_count(0)
    assert again.read_bytes() in bytes_of(kernel, alice)


def test_a_slow_network_is_waited_for(
    kernel: Kernel,
    address: str,
    phone: BrowserContext,
    alice: Employee,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A photo that takes four times the server's patience arrives, because something of it always comes."""
    monkeypatch.setattr(uploads, "PATIENCE", 3.0)
    # A tenth of what the line carries, so that other tests may take some of it away.
    monkeypatch.setattr(uploads, "PROGRESS", 14_000)
    page, seen = opened(phone, address), []
    page.on("request", lambda request: seen.append(request.method) if "/uploads" in request.url else None)
    slowed(page, 48_000)
    sent = list[Path]()
    # A machine that had no time for the browser while the server's patience lasted may break off one of three.
    while seen.count("PATCH") != 1 and len(sent) < 3:
        seen.clear()
        sent += files(tmp_path, f"large-{len(sent)}.jpg", size=600_000)
        page.set_input_files("#photo-file", [sent[-1]])
        expect(line(page, sent[-1].name)).to_contain_text("sending")
        expect(page.locator("#queue li")).to_have_count(0)
        assert bytes_of(kernel, alice) == {photo.read_bytes() for photo in sent}
    assert seen.count("PATCH") == 1  # It went through at once and was not begun again.


def test_after_a_closed_tab_the_photos_are_named_and_go_on(
    kernel: Kernel, address: str, phone: BrowserContext, alice: Employee, tmp_path: Path
) -> None:
    chosen = files(tmp_path, "one.jpg", size=2_000_000) + files(tmp_path, "two.jpg", "three.jpg", "four.jpg")
    with slow_line(address) as network:
        page = opened(phone, network.address)
        # Half of the first one arrives and no more, however long that takes and however late it is seen.
        network.bytes_a_second, network.most = 300_000, 1_000_000
        page.set_input_files("#photo-file", chosen)
        becomes(page, "document.querySelector('#queue progress').value > 40")
        until(lambda: network.arrived >= network.most)
        page.close()
        network.cut()
        network.bytes_a_second = network.most = 0
        arrived(kernel, alice)
        _comes_back(kernel, network.address, phone, alice, chosen)


def _comes_back(kernel: Kernel, address: str, phone: BrowserContext, alice: Employee, chosen: list[Path]) -> None:
    page, offsets = opened(phone, address), []
    page.on("request", lambda request: offsets.append(int(request.headers["upload-offset"]))
            if request.method == "PATCH" else None)  # fmt: skip
    expect(page.get_by_text("These photos were not finished when the page was closed.")).to_be_visible()
    expect(page.locator("#queue li")).to_have_count(4)
    expect(line(page, "one.jpg")).to_contain_text("% has arrived: choose it again")
    expect(line(page, "four.jpg")).to_contain_text("not sent yet: choose it again")
    # Names and how far they got, and nothing of a picture.
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert len(kept) < 2000
    facts = json.loads(json.loads(kept)["likeness-uploads"])
    assert {key for file in facts["files"] for key in file} == {"name", "size", "modified", "url", "sent", "at"}
    assert page.evaluate("indexedDB.databases()") == []
    line(page, "four.jpg").get_by_role("button", name="Remove four.jpg").click()
    page.set_input_files("#photo-file", chosen[:3])
    expect(page.locator("#queue li")).to_have_count(0)
    expect(page.get_by_text("These photos were not finished")).to_be_hidden()
    assert bytes_of(kernel, alice) == {path.read_bytes() for path in chosen[:3]}
    assert sorted(offsets)[:2] == [0, 0]
    assert max(offsets) > 20_000
    assert page.evaluate("localStorage.getItem('likeness-uploads')") is None


def test_files_chosen_before_the_server_has_answered_are_not_lost(
    kernel: Kernel, address: str, phone: BrowserContext, alice: Employee, tmp_path: Path
) -> None:
    """A page that comes back first asks what is there, and the person may be faster than the answer."""
    page = opened(phone, address)
    left = {"name": "left.jpg", "size": 9, "modified": 1, "url": None, "sent": 0}
    page.evaluate("([person, file]) => localStorage.setItem('likeness-uploads',"
                  " JSON.stringify({person, files: [{...file, at: Date.now()}]}))", [str(alice.id), left])  # fmt: skip
    asked: list[Route] = []
    page.route(UPLOADS, lambda route: asked.append(route) if route.request.method == "GET" else route.continue_())
    page.reload()
    becomes(page, "!document.querySelector('#queue-left').hidden")
    (photo,) = files(tmp_path, "quick.jpg")
    page.set_input_files("#photo-file", [photo])
    expect(page.locator("#photos .picture")).to_have_count(1)
    assert bytes_of(kernel, alice) == {photo.read_bytes()}
    expect(page.locator("#queue li")).to_have_count(1)
    asked[0].continue_()
    expect(line(page, "left.jpg")).to_contain_text("not sent yet")


def test_the_servers_own_sentence_stays_until_it_is_dismissed(
    address: str, phone: BrowserContext, tmp_path: Path
) -> None:
    page = opened(phone, address)
    empty, huge = tmp_path / "empty.jpg", tmp_path / "huge.jpg"
    empty.touch()
    with huge.open("wb") as file:
        file.truncate(26 * 2**20)
    page.set_input_files("#photo-file", [empty, huge])
    expect(line(page, "empty.jpg")).to_contain_text("This file is empty.")
    expect(line(page, "huge.jpg")).to_contain_text("This photo is larger than 25 MB.")
    line(page, "empty.jpg").get_by_role("button", name="Remove empty.jpg").click()
    expect(page.locator("#queue li")).to_have_count(1)


def test_a_lost_connection_is_tried_again_by_itself(
    kernel: Kernel, address: str, phone: BrowserContext, alice: Employee, tmp_path: Path
) -> None:
    page, tries, read = opened(phone, address), [], []

    def broken(route: Route) -> None:
        tries.append(route.request.method)
        if not read:
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route(UPLOADS, broken)
    (photo,) = files(tmp_path, "face.jpg")
    page.set_input_files("#photo-file", [photo])
    expect(line(page, "face.jpg")).to_contain_text("connection lost, trying again")
    read.append(True)
    expect(page.locator("#queue li")).to_have_count(0)
    assert len(tries) > 1
    assert bytes_of(kernel, alice) == {photo.read_bytes()}


def test_what_no_other_try_helps_is_not_tried_again(
    kernel: Kernel, address: str, phone: BrowserContext, alice: Employee, tmp_path: Path
) -> None:
    """Somebody had the use of their photos stopped in another tab; this page does not know of it yet."""
    page = opened(phone, address)
    with kernel.db.transaction(alice.tenant_id) as session:
        answering.stop(session, alice.id, utc_now(), caller=f"employee:{alice.id}")
    page.set_input_files("#photo-file", files(tmp_path, "late.jpg"))
    expect(line(page, "late.jpg")).to_contain_text("The use of your photos was stopped on request.")
    expect(line(page, "late.jpg")).not_to_contain_text("tried again")


def test_what_was_pressed_without_a_connection_is_not_said_to_go_on_by_itself(
    kernel: Kernel, address: str, phone: BrowserContext, alice: Employee
) -> None:
    make_photos(kernel, alice, 2)
    page = opened(phone, address)
    phone.set_offline(True)
    page.locator(".picture").last.get_by_role("button", name="Remove").click()
    said = page.locator("#messages")
    expect(said).to_contain_text("What you pressed may not have been done")
    expect(said).to_be_in_viewport()
    page.evaluate("htmx.trigger(document.body, 'photos-changed')")
    expect(said).to_contain_text("What you pressed may not have been done")
    phone.set_offline(False)
    expect(page.locator("#photos .picture")).to_have_count(2)
    page.locator(".picture").last.get_by_role("button", name="Remove").click()
    expect(page.locator("#photos .picture")).to_have_count(1)
    expect(said).to_be_empty()
    phone.set_offline(True)
    page.evaluate("htmx.trigger(document.body, 'photos-changed')")
    expect(said).to_contain_text("goes on by itself")


def test_the_next_person_at_this_browser_finds_no_names(
    kernel: Kernel, address: str, phone: BrowserContext, tmp_path: Path
) -> None:
    page = opened(phone, address)
    page.route(UPLOADS, lambda route: route.abort())
    page.set_input_files("#photo-file", files(tmp_path, "private.jpg"))
    expect(line(page, "private.jpg")).to_contain_text("connection lost")
    page.close()
    other = make_person(kernel)
    with kernel.db.transaction(other.tenant_id) as session:
        value = identity.start_session(session, identity.Kind.EMPLOYEE, other.id, utc_now())
    phone.add_cookies([{"name": "likeness", "value": value, "url": address}])
    page = opened(phone, address)
    expect(page.locator("#queue li")).to_have_count(0)
    assert page.evaluate("localStorage.getItem('likeness-uploads')") is None


def test_without_scripts_a_photo_is_sent_by_the_form(
    kernel: Kernel, address: str, browser: Browser, alice: Employee, tmp_path: Path
) -> None:
    context = browser.new_context(java_script_enabled=False)
    with kernel.db.transaction(alice.tenant_id) as session:
        value = identity.start_session(session, identity.Kind.EMPLOYEE, alice.id, utc_now())
    context.add_cookies([{"name": "likeness", "value": value, "url": address}])
    page = context.new_page()
    page.goto(f"{address}/visit/photos")
    (photo,) = files(tmp_path, "plain.jpg")
    page.set_input_files("#photo-file", [photo])
    page.get_by_role("button", name="Send this photo").click()
    expect(page.locator("#photos .picture")).to_have_count(1)
    assert bytes_of(kernel, alice) == {photo.read_bytes()}
    context.close()
