"""A real browser checks certificates on the public page, and sends nothing of them anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from batch.models import Employee
from batch.people import employees
from compliance.desk import leaving
from compliance.erasure import erasures, receipts
from compliance.models import Certificate, Trigger
from compliance.proof import signing, whose
from compliance.proof.paper import sealing
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from tenants.models import Role
from tests.browser.shoot import ARGS, CHROMIUM
from tests.browser.test_accessibility import AXE, FAULTS, TAGS, WIDE
from tests.browser.world import served
from tests.compliance.forging import forgeries
from tests.compliance.people import company_leaves, gone_on
from tests.factories import make_member, run_jobs
from tests.handed_in import make_person

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


def checked(page: Page, file: Path, name: str = "", email: str = "", code: str = "") -> str:
    page.locator("#outcome").evaluate("box => { box.replaceChildren(); delete box.dataset.kind; }")
    page.locator("#v-file").set_input_files(file)
    for field, value in (("name", name), ("email", email), ("code", code)):
        page.locator(f"#v-{field}").fill(value)
    page.get_by_role("button", name="Check").click()
    outcome = page.locator("#outcome .say p")
    expect(outcome).to_be_visible()
    return outcome.inner_text()


def test_a_browser_checks_page_and_text_and_sends_nothing(kernel: Kernel, browser: Browser, tmp_path: Path) -> None:
    alice = make_person(kernel)
    email = employees.profile(kernel.keys, alice).email
    with kernel.db.transaction(alice.tenant_id) as session:
        erasure = erasures.request(
            session, alice.id, trigger=Trigger.PERSON, requested_by=f"employee:{alice.id}", now=utc_now()
        )
        receipt = receipts.issue(session, kernel.keys, erasure)
    run_jobs(kernel, tenant=alice.tenant_id)
    with kernel.db.transaction(alice.tenant_id) as session:
        found = erasures.certificate_of(session, erasure.id)
    left, receipt_of_company = _departed(kernel, alice)
    assert found.paper is not None
    assert left.paper is not None
    head, body, tail = found.jws.split(".")
    files = {
        "page.pdf": found.paper,
        "text.jws": found.jws.encode(),
        "appended.pdf": found.paper + b"\n%\n",
        "byte.pdf": found.paper[:4000] + bytes([found.paper[4000] ^ 1]) + found.paper[4001:],
        "resealed.pdf": _resealed(found.paper),
        "other.jws": f"{head}.{body[:-8]}{'A' * 8}.{tail}".encode(),
        "left.pdf": left.paper,
        "left.jws": left.jws.encode(),
        "left-appended.pdf": left.paper + b"\n%\n",
        "nonsense.pdf": b"%PDF-1.7\nnothing",
        "receipt.json": json.dumps({"receipt": receipt}).encode(),
        "keys.json": b'{"keys": "a.b.c"}',
    }
    made = forgeries(found.jws, signing.published(kernel)["keys"][0])
    forged = {f"{number}.{'pdf' if made[name].startswith(b'%PDF') else 'jws'}": name for number, name in enumerate(made)}
    files |= {name: made[what] for name, what in forged.items()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with served(kernel) as address:
        page = browser.new_page(viewport={"width": 360, "height": 780})
        sent: list[Request] = []
        page.goto(f"{address}/verify#certificate={found.id}")
        expect(page.locator("#expected")).to_have_text(str(found.id))
        page.on("request", lambda request: sent.append(request))
        assert "sealed" in checked(page, tmp_path / "page.pdf")
        assert checked(page, tmp_path / "text.jws").startswith("Valid: signed")
        mine = ("Nadia Ümit", email, whose.code_of(receipt).lower())
        assert checked(page, tmp_path / "page.pdf", *mine).startswith("Valid, and it is about this very person")
        assert "not about this person" in checked(page, tmp_path / "page.pdf", "Bo Linde", *mine[1:])
        assert "sealed" in checked(page, tmp_path / "left.pdf")
        assert str(left.document["deleted_at"]) in page.locator("#outcome dl").inner_text()
        assert checked(page, tmp_path / "left.jws").startswith("Valid: signed")
        assert "not about this person" in checked(page, tmp_path / "left.pdf", *mine)
        for name in ("appended.pdf", "byte.pdf", "resealed.pdf", "other.jws", "left-appended.pdf", "nonsense.pdf"):
            assert checked(page, tmp_path / name).startswith("Not valid"), name
        assert checked(page, tmp_path / "receipt.json").startswith("This is the receipt of a deletion, which nobody signed")
        assert checked(page, tmp_path / "keys.json").startswith("Not valid: this is no certificate of a deletion")
        for name, what in forged.items():
            assert checked(page, tmp_path / name).startswith("Not valid"), what
        assert {request.method for request in sent} == {"GET"}
        assert {request.url for request in sent} == {f"{address}/.well-known/likeness-certificates.jwks.json"}
        page.screenshot(path=tmp_path / "verify.png", full_page=True)
        page.goto(f"{address}/left/{receipt_of_company}")
        page.evaluate(AXE.read_text())
        assert page.evaluate(FAULTS, TAGS) == []
        assert page.evaluate(WIDE) <= 0
        page.close()


def _departed(kernel: Kernel, person: Employee) -> tuple[Certificate, str]:
    """The certificate of the company, which leaves after its last person, and the receipt that leads to it."""
    owner = make_member(kernel, person.tenant_id, Role.OWNER)
    _, receipt = company_leaves(kernel, person.tenant_id, owner.id)
    gone_on(kernel, person)
    with kernel.db.transaction(person.tenant_id) as session:
        departure = leaving.open_of(session)
        assert departure is not None
        return leaving.certificates_of(session, departure)[0], receipt


def _resealed(paper: bytes) -> bytes:
    """The same page, sealed once more by somebody else."""
    return sealing.seal(paper, *sealing.new_credential("https://stranger.example", utc_now()), field="Other")


def test_without_its_script_the_page_that_checks_sends_nothing(kernel: Kernel, browser: Browser, tmp_path: Path) -> None:
    """A form that was to be read in the browser alone must not put a name and an address into a URL."""
    (tmp_path / "page.pdf").write_bytes(b"%PDF-1.7\n")
    with served(kernel) as address:
        context = browser.new_context(java_script_enabled=False)
        page, sent = context.new_page(), list[Request]()
        page.goto(f"{address}/verify")
        page.locator("#v-file").set_input_files(tmp_path / "page.pdf")
        page.locator("#v-name").fill("Nadia Ümit")
        page.on("request", lambda request: sent.append(request))
        page.get_by_role("button", name="Check").click()
        page.wait_for_timeout(500)
        assert sent == []
        assert page.url == f"{address}/verify"
        context.close()
