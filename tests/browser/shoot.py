"""Every page as a picture: phone and desktop, light and dark. `make screenshots OUT=folder`.

What is printed last is when each page was first painted, in a browser that had nothing of it yet, and what it weighs there
without its pictures.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openpyxl
from playwright.sync_api import Browser, Page, sync_playwright

from batch.reading import workbook
from likeness.ground.settings import Settings
from likeness.kernel import assemble
from likeness.keys import fingerprint
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tests.browser.world import World, build, cookie_of, served, workbook_of

CHROMIUM = "/usr/bin/chromium"
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync"]  # fmt: skip
MOST_HIGH = 5000
SIZES = {"phone": {"width": 360, "height": 800}, "desktop": {"width": 1440, "height": 900}}


def everywhere(world: World, browser: Browser) -> list[tuple[str, str, str]]:
    """With the pages of an import, which only a dropped file brings up."""
    return [
        *pages(world),
        ("visit-sign", "consent", to_sign(world, browser)),
        ("desk-preview", "hr", preview(world, browser, workbook_of(["Ada Byron", "Grace Hopper", "Edsger Dijkstra"]))),
        ("desk-preview-changes", "hr", preview(world, browser, corrected(world, browser))),
        ("desk-columns", "hr", preview(world, browser, UNKNOWN)),
    ]


def pages(world: World) -> list[tuple[str, str, str]]:
    """Name, whose cookie, address."""
    batch = f"/desk/batches/{world.batch}"
    return [
        ("front", "", "/"),
        ("sign-in", "", f"/sign-in/{world.sign_in}"),
        ("door", "", "/sign-in"),
        ("desk-team", "hr", "/team"),
        ("not-found", "hr", "/nowhere"),
        ("forbidden", "photos", "/desk"),
        ("unauthorized", "", "/desk"),
        ("link", "", world.link),
        ("visit-welcome", "consent", "/visit/welcome"),
        ("visit-consent", "consent", "/visit/consent"),
        ("visit-consent-de", "german", "/visit/consent/biometric"),
        ("visit-declined", "declined", "/visit/declined"),
        ("visit-photos", "photos", "/visit/photos"),
        ("visit-withdrawn", "withdrawn", "/visit/declined"),
        ("visit-withdrawn-consent", "withdrawn", "/visit/consent"),
        ("visit-face-withdrawn", "withdrawn", "/visit/face"),
        ("visit-address", "asked", "/visit/photos"),
        ("address", "", world.address_question),
        ("visit-photos-none", "few", "/visit/photos"),
        ("visit-photos-who-de", "who", "/visit/photos"),
        ("visit-phone", "few", "/visit/phone"),
        ("visit-photos-done", "choose", "/visit/photos"),
        ("visit-photos-enough", "enough", "/visit/photos"),
        ("visit-making", "making", "/visit/making"),
        ("visit-failed", "failed", "/visit/making"),
        ("visit-headshots", "choose", "/visit/headshots"),
        ("visit-headshot", "choose", f"/visit/headshots/{world.headshot}"),
        ("visit-hand-over", "choose", f"/visit/hand-over?headshot={world.headshot}&headshot={world.another}"),
        ("visit-done", "choose", "/visit/done"),
        ("visit-certificates", "choose", "/visit/certificates"),
        ("visit-wrong", "choose", "/visit/wrong?page=/visit/done"),
        ("visit-face", "choose", "/visit/face"),
        ("visit-delete", "choose", "/visit/delete"),
        ("gone", "", world.gone),
        ("retention", "", f"/retention/{world.tenant}"),
        ("studio-welcome", "studio-consent", "/visit/welcome"),
        ("studio-consent", "studio-consent", "/visit/consent"),
        ("studio-photos-de", "studio-photos", "/visit/photos"),
        ("studio-making", "studio-making", "/visit/making"),
        ("studio-headshots", "studio-choose", "/visit/headshots"),
        ("studio-headshot", "studio-choose", f"/visit/headshots/{world.studio.headshot}"),
        ("studio-edit-form", "studio-choose", f"/visit/headshots/{world.studio.headshot}/edit"),
        ("studio-edit", "studio-choose", "/visit/edit"),
        ("studio-face", "studio-choose", "/visit/face"),
        ("studio-batch", "studio", f"/desk/batches/{world.studio.batch}"),
        ("desk-batch-crowded", "studio", world.studio.crowded),
        ("studio-desk-headshots", "studio", f"/desk/batches/{world.studio.batch}/headshots"),
        ("studio-approval", "studio", "/desk/headshots/approval"),
        ("legal-late", "studio-legal", "/legal"),
        ("desk-empty", "empty", "/desk"),
        ("desk", "hr", "/desk"),
        ("desk-batches-empty", "empty", "/desk/batches"),
        ("desk-batches", "hr", "/desk/batches"),
        ("desk-all-headshots", "hr", "/desk/headshots"),
        ("desk-help", "hr", "/help"),
        ("desk-account", "hr", "/account"),
        ("desk-people", "hr", "/desk/people"),
        ("desk-people-nobody", "empty", "/desk/people"),
        ("desk-person", "hr", f"/desk/people/{world.person}"),
        ("desk-batch", "hr", batch),
        ("desk-headshots", "hr", f"{batch}/headshots"),
        ("desk-looks", "hr", "/desk/looks"),
        ("desk-look-departments", "hr", f"/desk/looks/{world.look}/departments"),
        ("desk-pilot", "hr", f"{batch}/pilot"),
        ("desk-disclosure", "hr", "/desk/headshots/disclosure"),
        ("desk-credits", "hr", "/desk/credits"),
        ("desk-questions", "hr", "/questions"),
        ("legal-questions", "legal", "/questions"),
        ("legal", "legal", "/legal"),
        ("legal-empty", "empty-legal", "/legal"),
        ("legal-ledger", "legal", "/legal/ledger"),
        ("trust", "", "/trust"),
        ("verify", "", "/verify"),
        ("visit-requests", "choose", "/visit/requests"),
        ("desk-person-delete", "hr", f"/desk/people/{world.person}/delete"),
        ("desk-batch-delete", "hr", f"{batch}/delete"),
        ("desk-settings", "hr", "/settings"),
        ("desk-leaving", "hr", "/settings/leaving"),
        ("desk-sender", "hr", "/settings/sender"),
        ("desk-keys", "hr", "/team/keys"),
        ("desk-webhooks", "hr", "/team/webhooks"),
        ("legal-requests", "legal", "/legal/requests"),
        ("legal-records", "legal", "/legal/records"),
        ("operations-mail", "operator", "/operations/mail"),
        ("operations", "operator", "/operations"),
        ("operations-companies", "operator", "/operations/companies"),
        ("operations-company", "operator", f"/operations/companies/{world.tenant}"),
        ("operations-mailbox", "operator", "/operations/mailbox"),
    ]


def to_sign(world: World, browser: Browser) -> str:
    """Answers each question of the consent with yes and returns the address of the page that is signed."""
    context = browser.new_context()
    context.add_cookies([cookie_of(world, "consent")])  # type: ignore[list-item]
    at = "/visit/consent/headshots"
    while not at.startswith("/visit/consent/name"):
        path, _, draft = at.partition("?draft=")
        answer = {"answer": "yes", "draft": draft}
        at = context.request.post(world.address + path, form=answer, max_redirects=0).headers["location"]
    context.close()
    return at


def preview(world: World, browser: Browser, data: bytes) -> str:
    """Drops a workbook and returns the address of its preview."""
    context = browser.new_context()
    context.add_cookies([cookie_of(world, "hr")])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(world.address + "/desk/batches")
    file = {"name": "people.xlsx", "mimeType": "application/octet-stream", "buffer": data}
    page.set_input_files("#workbook", file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Look at the file").click()
    page.wait_for_url("**/preview")
    address = page.url.removeprefix(world.address)
    context.close()
    return address


UNKNOWN = workbook.export(
    ("Personal-Nr.", "Wer", "E-Mail 1", "E-Mail 2", "Abteilung", "Gehaltsgruppe"),
    [("10482", "Hanna Brandt", "hanna@acme.example", "hb82@mail.example", "Design", "E13"),
     ("10077", "Emeka Okafor", "emeka@acme.example", "", "Operations", "E11")],
)  # fmt: skip


def corrected(world: World, browser: Browser) -> bytes:
    """The list as HR can download it, with some departments changed, somebody new, and a row that cannot be used."""
    context = browser.new_context()
    context.add_cookies([cookie_of(world, "hr")])  # type: ignore[list-item]
    status = context.request.get(f"{world.address}/desk/batches/{world.batch}/status").body()
    context.close()
    heads, *rows = ([cell.value for cell in row] for row in openpyxl.load_workbook(io.BytesIO(status)).worksheets[0])
    for row in rows[:3]:
        row[3] = "Legal"
    more = [["", "Lin Zhao", "lin.zhao@acme.example"], ["", "Max Frei", "nowhere"], ["", "Ola Nyberg", "ola@gmial.com"]]
    return workbook.export([str(head) for head in heads[:6]], [row[:6] for row in [*rows[:8], *more]])


PAINTED = """performance.getEntriesByName("first-contentful-paint")[0]?.startTime"""
PAINT_SECONDS = 0.5
WEIGHED = """[...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource").filter(one =>
    one.initiatorType === "xmlhttprequest" || /\\.(css|js|woff2)([?]|$)/.test(one.name)
)].reduce((sum, one) => sum + one.encodedBodySize, 0)"""
MOST_BYTES = 150_000
"""Of a page as it comes over the line, with its letters, scripts, styles and the parts it fetches at once."""
SPEAK = """language => fetch("/visit/language", {method: "POST", redirect: "manual",
    headers: {"content-type": "application/x-www-form-urlencoded"}, body: "language=" + language})"""


def shoot(
    world: World, browser: Browser, out: Path, only: str, sizes: list[str], schemes: list[str], language: str = ""
) -> tuple[dict[str, float], dict[str, int]]:
    """Seconds until the first paint of each page, and its bytes."""
    wanted, painted, weights = everywhere(world, browser), dict[str, float](), dict[str, int]()
    for size in sizes:
        for scheme in schemes:
            for name, who, address in wanted:
                if only and not any(part in name for part in only.split(",")):
                    continue
                options: dict[str, Any] = {"viewport": SIZES[size], "color_scheme": scheme}
                # Whoever works the desk and has chosen no language is read to in their browser's.
                context = browser.new_context(**options, reduced_motion="reduce", locale=language or None)
                if who:
                    context.add_cookies([cookie_of(world, who)])  # type: ignore[list-item]
                page = context.new_page()
                page.goto(world.address + address)
                painted[f"{name} at {size}, {scheme}"] = first_paint(page)
                weights[f"{name} at {size}, {scheme}"] = page.evaluate(WEIGHED)
                if language and address.startswith("/visit"):
                    page.evaluate(SPEAK, language)
                    page.goto(world.address + address)
                page.evaluate("document.querySelectorAll('img').forEach(one => { one.loading = 'eager'; })")
                page.wait_for_timeout(250)
                page.screenshot(path=out / f"{name}-{size}-{scheme}.png", full_page=True)
                wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
                if wide > 0:
                    print(f"{name} at {size} is {wide} px too wide")
                high = page.evaluate("document.documentElement.scrollHeight")
                if high > MOST_HIGH and size == "phone":
                    print(f"{name} at {size} is {high} px high")
                context.close()
    return painted, weights


def first_paint(page: Page) -> float:
    """Seconds."""
    while (first := page.evaluate(PAINTED)) is None:
        page.wait_for_timeout(20)
    return float(first) / 1000


def measure() -> dict[str, Any]:
    """When each page is first painted on a phone, in a browser that has nothing of it yet; for `make bench`."""
    painted = dict[str, float]()
    with a_world() as (world, browser):
        for name, who, address in everywhere(world, browser):
            context = browser.new_context(viewport=SIZES["phone"])  # type: ignore[arg-type]
            if who:
                context.add_cookies([cookie_of(world, who)])  # type: ignore[list-item]
            page = context.new_page()
            page.goto(world.address + address)
            painted[name] = first_paint(page)
            context.close()
    slow = sorted(painted, key=lambda name: -painted[name])
    return {
        "pages": len(painted),
        "median_s": painted[slow[len(slow) // 2]],
        f"after_{PAINT_SECONDS}_s": sum(seconds > PAINT_SECONDS for seconds in painted.values()),
        "slowest_s": {name: painted[name] for name in slow[:5]},
    }


def say(painted: dict[str, float], weights: dict[str, int]) -> None:
    slow = sorted(painted, key=lambda name: -painted[name])
    late = sum(seconds > PAINT_SECONDS for seconds in painted.values())
    middle = painted[slow[len(slow) // 2]]
    print(f"First paint of {len(painted)}: median {middle:.2f} s, {late} after {PAINT_SECONDS} s; the slowest:")
    for name in slow[:5]:
        print(f"  {painted[name]:.2f} s  {name}")
    heavy = sorted(weights, key=lambda name: -weights[name])
    over = sum(size > MOST_BYTES for size in weights.values())
    print(f"Without pictures {over} weigh more than {MOST_BYTES:,} bytes; the heaviest:")
    for name in heavy[:5]:
        print(f"  {weights[name]:,}  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="parts of names, with commas between")
    parser.add_argument("--size", choices=[*SIZES, "both"], default="both")
    parser.add_argument("--scheme", choices=["light", "dark", "both"], default="both")
    parser.add_argument("--language", default="", help="in which pages of the visit and the desk are read")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    sizes = list(SIZES) if asked.size == "both" else [asked.size]
    schemes = ["light", "dark"] if asked.scheme == "both" else [asked.scheme]
    with a_world() as (world, browser):
        say(*shoot(world, browser, asked.out, asked.only, sizes, schemes, asked.language))


@contextmanager
def a_world() -> Iterator[tuple[World, Browser]]:
    """Companies in every state on a database of their own, served, and a browser."""
    home = Path(tempfile.mkdtemp(prefix="likeness-shoot-"))
    home.chmod(0o755)
    server = EmbeddedPostgres(home / "postgres")
    try:
        server.start()
        migrate(server.url("likeness_owner"))
        kernel = assemble(Settings(home=home, database_url=server.url("likeness_app"), profile="embedded"))
        fingerprint.settle(kernel.db, kernel.keys)
        with served(kernel) as address, sync_playwright() as playwright:
            world = build(kernel, address)
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            yield world, browser
            browser.close()
        kernel.db.close()
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
