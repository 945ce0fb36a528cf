"""The documentation, tried: each command in it is run as it is typed, links lead somewhere, and messages exist."""

from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path

import pytest

from compliance.proof import certificates, signing
from likeness.ground.db import utc_now
from likeness.run.app import FIGURES
from tests import pictures
from tests.journey.test_production import answer, wait_for
from tests.ports import free_port
from tests.waiting import PATIENCE

TOP = Path(__file__).parents[2]
PAGES = sorted([*(TOP / "docs").rglob("*.md"), TOP / "README.md", TOP / "CONTRIBUTING.md"])
SITE = "https://heads.example"
FLOORS = ("platform", "batch", "compliance", "tenants", "gpu_cluster", "dashboard")
MINUTES = ("make demo", "make test", "make lint", "make up", "make faults")
"""Targets that take minutes or never end: `make` is asked what it would run, and the program whether it takes the words."""
ELSEWHERE = {
    "systemctl": "there is no systemd in a test",
    "kubectl": "tests/helm has a cluster",
    "helm": "tests/helm has a cluster",
    "pg_dump": "a database of one's own; tests/journey/test_install.py has one",
}
"""What a page may say and this machine cannot do, by the first word."""


def blocks(page: Path) -> list[str]:
    """Those of a shell, also under a numbered point, without those that only hold settings."""
    found = re.findall(r"^( *)```sh\n(.*?)^ *```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [text for _, text in found if not all("=" in line.split(" ")[0] for line in lines(text))]


def lines(block: str) -> list[str]:
    words = (re.sub(r"\s+# .*", "", line).strip() for line in block.splitlines())
    return [line for line in words if line and not line.startswith("#")]


SEEN: set[str] = set()
"""What an earlier page has had already is not run twice."""


@pytest.fixture(scope="module")
def desk() -> Iterator[tuple[Path, dict[str, str], str]]:
    """A folder as a reader has it, beside a Likeness that runs; its environment, and its address."""
    folder = Path(tempfile.mkdtemp(prefix="likeness-docs-"))
    folder.chmod(0o755)
    for name in (".venv", "Makefile", "pyproject.toml", "constraints.txt", "locks", ".ci"):
        (folder / name).symlink_to(TOP / name)
    shutil.copy(TOP / "tests/cases/06_two_sheets.xlsx", folder / "people.xlsx")
    (folder / "photos").mkdir()
    (folder / "photos/one.jpg").write_bytes(pictures.astronaut())
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    ours = clean | {"LIKENESS_HOME": str(folder / "home"), "LIKENESS_PORT": str(port), "OMP_NUM_THREADS": "1"}
    up = subprocess.Popen(
        [Path(sys.executable).with_name("likeness"), "up"], env=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(lambda: answer(f"{address}/readyz") == 200)
        _certificate(folder)
        yield folder, ours, address
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(PATIENCE)
        shutil.rmtree(folder, ignore_errors=True)


def _certificate(folder: Path) -> None:
    """As a person downloads it: signed with the key of this installation."""
    key = signing.made_in(folder / "home/signer")
    at = certificates.moment(utc_now() - timedelta(days=1))
    (folder / "certificate.jws").write_text(certificates.sign({"id": "1", "issued_at": at}, key) + "\n")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "page",
    # tests/journey/test_install.py walks the page about installing.
    [pytest.param(page, id=str(page.relative_to(TOP))) for page in PAGES if blocks(page) and page.name != "install.md"],
)
def test_the_commands_of_a_page_run_as_they_are_typed(desk: tuple[Path, dict[str, str], str], page: Path) -> None:
    folder, environment, address = desk
    for command in (line for block in blocks(page) for line in lines(block)):
        if command.split()[0] in ELSEWHERE or command in SEEN:
            continue
        SEEN.add(command)
        typed = dry(command) if command.startswith(MINUTES) else command.replace(SITE, address)
        done = subprocess.run(
            ["bash", "-euc", typed], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        said = f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in said
        if "likeness check" in command:  # A machine without HTTPS or room says so, and ends with 1.
            assert done.returncode in (0, 1), said
            assert "✓" in said or "✗" in said
        else:
            assert done.returncode == 0, said


def dry(command: str) -> str:
    """What `make` would run, and whether the program knows the options that are passed on to it."""
    asked = f"make -n {command.removeprefix('make ')} > /dev/null"
    options = re.search(r'make demo ARGS="(.*)"', command)
    return f"{asked} && .venv/bin/likeness demo {options[1]} --help > /dev/null" if options else asked


def test_every_page_is_reached_and_every_link_leads_somewhere() -> None:
    reached = set()
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
            if not re.match(r"https?:|mailto:", target):
                there = (page.parent / target).resolve()
                assert there.exists(), f"{page.relative_to(TOP)} links to {target}"
                reached.add(there)
    folders = {one for one in reached if one.is_dir()}
    lost = [page for page in PAGES if page.parent != TOP and page not in reached and page.parent not in folders]
    assert lost == []


def test_the_map_leads_to_files_that_are_there_and_to_what_is_in_them() -> None:
    floors = [TOP / one for one in FLOORS]
    files = {path.relative_to(TOP).as_posix() for floor in floors for path in floor.rglob("*") if path.is_file()}
    for page in (TOP / "ARCHITECTURE.md", TOP / "CONTRIBUTING.md"):
        for told in re.findall(r"`([\w/*.]+\.(?:py|txt|html))`", page.read_text()):
            assert any(fnmatch(path, f"*/{told}") for path in ["/" + one for one in files]) or (TOP / told).exists(), told
        for name, told in re.findall(r"`([A-Z]\w+)` (?:in|of) `([\w/]+\.py)`", page.read_text()):
            found = [(TOP / path).read_text() for path in files if f"/{path}".endswith(f"/{told}")]
            assert any(re.search(rf"^(?:class )?{name}\b", text, re.MULTILINE) for text in found), f"{name} of {told}"


def test_every_command_of_the_program_is_in_the_reference() -> None:
    from likeness.cli.main import main

    page = (TOP / "docs/reference.md").read_text()
    assert [name for name in main.commands if f"`{name}`" not in page] == []


def test_every_figure_is_in_the_reference() -> None:
    page = (TOP / "docs/reference.md").read_text()
    assert [name for name in FIGURES if f"`likeness_{name}`" not in page] == []


def test_every_message_of_the_troubleshooting_page_is_one_of_the_program() -> None:
    page = (TOP / "docs/operating/troubleshooting.md").read_text()
    said = [*_texts(), "Input should be"]  # The latter by the library that reads the settings.
    for message in re.findall(r"^\| `([^`]+)`", page, re.MULTILINE):
        assert any(_is(message, one) for one in said), f"no part of the program says {message!r}"


def _texts() -> Iterator[str]:
    """Every text in the program, with … in the place of what is put into it."""
    for folder in FLOORS:
        for path in (TOP / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                words = [str(one.value) if isinstance(one, ast.Constant) else "…" for one in parts]
                yield "".join(words)


def _is(message: str, text: str) -> bool:
    """Whether the page quotes this text or a part of it; either may have … where the other has words."""
    if message in text or message.strip("… ") in text or (len(text) > 12 and text.strip(". :") in message):
        return True
    sure = [piece for piece in text.split("…") if len(piece) > 8]
    shape = ".+".join(re.escape(piece) for piece in text.split("…")) + "?"
    return bool(sure) and "…" in text and re.match(shape, message + " ") is not None
