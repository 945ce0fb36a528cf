"""Security papers name tests that exist, and leave no requirement out; who finds a hole reads whom to tell."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from likeness.ground.db import utc_now
from likeness.ground.settings import SettingsWrong, from_environment
from likeness.kernel import Kernel
from likeness.run.app import create_app

ROOT = Path(__file__).parents[2]
PAPERS = ("docs/security/asvs.md", "docs/security/threat-model.md")
SECTIONS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1, "3.2": 2, "3.3": 4, "3.4": 6,
    "3.5": 5, "3.7": 2, "4.1": 3, "4.2": 1, "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3, "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4,
    "6.5": 5, "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2, "8.2": 3, "8.3": 1,
    "8.4": 1, "9.1": 3, "9.2": 4, "10.1": 2, "10.2": 2, "10.3": 4, "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3, "11.1": 2,
    "11.2": 3, "11.3": 3, "11.4": 4, "11.5": 1, "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4, "13.1": 1, "13.2": 5, "13.3": 2,
    "13.4": 5, "14.1": 2, "14.2": 4, "14.3": 3, "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1, "16.2": 5, "16.3": 4, "16.4": 3,
    "16.5": 3,
}  # fmt: skip
"""How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has. They come first in it, so they are 1 to that."""


def test_every_test_that_a_security_paper_names_exists() -> None:
    sources = [file.read_text() for file in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in sources for name in re.findall(r"^(?:async )?def (test_\w+)", text, re.M)}
    for paper in PAPERS:
        said = (ROOT / paper).read_text()
        named = set(re.findall(r"`(test_\w+)`", said))
        assert len(named) > 5, paper
        assert named - there == set(), paper
        files = set(re.findall(r"`((?:tests|tenants|compliance|batch|platform)/[\w/]+\.py)`", said))
        assert [one for one in files if not (ROOT / one).exists()] == [], paper


def test_every_row_of_the_law_names_tests_that_there_are() -> None:
    tests: dict[str, str] = {}
    for file in (ROOT / "tests").rglob("test_*.py"):
        tests[file.stem] = tests.get(file.stem, "") + file.read_text()
    page = (ROOT / "docs/compliance.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| (holds|partly|not yet) \| (.+) \|$", page, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 81))
    for number, state, said in rows:
        named = re.findall(r"\b(test_\w+)(?:::(test_\w+))?", said)
        assert named or state != "holds", number
        for module, test in named:
            assert module in tests, (number, module)
            assert not test or f"def {test}(" in tests[module], (number, test)


def test_every_requirement_that_applies_has_one_row() -> None:
    rows = [line.split("|") for line in (ROOT / PAPERS[0]).read_text().splitlines() if re.match(r"\| \d", line)]
    listed = [one.strip() for row in rows for one in row[1].split(",")]
    wanted = [f"{section}.{number}" for section, most in SECTIONS.items() for number in range(1, most + 1)]
    assert sorted(listed) == sorted(wanted)
    assert all(row[2].strip() for row in rows)


def test_who_finds_a_hole_reads_whom_to_tell(kernel: Kernel, app: Litestar, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/.well-known/security.txt"
    with TestClient(app) as client:
        assert client.get(path).status_code == 404
    told = {"security_contact": "mailto:security@example.com", "public_url": "https://likeness.example"}
    named = replace(kernel, settings=kernel.settings.model_copy(update=told))
    with TestClient(create_app(named)) as client:
        answer = client.get(path)
    assert answer.headers["content-type"].startswith("text/plain; charset=utf-8")
    fields = dict(line.split(": ", 1) for line in answer.text.splitlines())
    assert fields["Contact"] == told["security_contact"]
    assert fields["Canonical"] == f"https://likeness.example{path}"
    assert 0 < (datetime.fromisoformat(fields["Expires"]) - utc_now()).days < 365
    for wrong in ("security@example.com", "mailto:x", "http://example.com", "https://a\nContact: x"):
        monkeypatch.setenv("LIKENESS_SECURITY_CONTACT", wrong)
        with pytest.raises(SettingsWrong, match="LIKENESS_SECURITY_CONTACT"):
            from_environment()
