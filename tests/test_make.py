"""What a person types: every target is listed, and the set-up says in a sentence what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PINS = ROOT / "constraints.txt"
made_by = spec_from_file_location("lock", ROOT / ".ci/lock.py")
assert made_by is not None
assert made_by.loader is not None
lock = module_from_spec(made_by)
made_by.loader.exec_module(lock)
# Targets that other targets ask for.
INNER = {"install", "debian-packages"}


def run(*command: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PATH": path} if path is not None else {})
    environment.pop("PYTHON", None)
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def test_make_alone_lists_every_target() -> None:
    phony = set(re.findall(r"^\.PHONY: (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    listed = set(re.findall(r"^  make (\S+)  +\S", run("make", "--no-print-directory").stdout, re.MULTILINE))
    assert listed == phony - INNER


def test_a_missing_python_is_told_in_a_sentence(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "env"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    missing = run(ROOT / ".ci" / "python", path=str(tools))
    assert missing.returncode == 1
    assert "Likeness needs Python 3.11" in missing.stderr

    (tools / "python3.11").symlink_to(sys.base_prefix + "/bin/python3.11")
    assert run(ROOT / ".ci" / "python", path=str(tools)).stdout.strip() == str(tools / "python3.11")


def test_a_failing_step_shows_and_names_its_log(tmp_path: Path) -> None:
    (tmp_path / "ci").mkdir()
    step = shutil.copy(ROOT / ".ci" / "step", tmp_path / "ci")
    failed = run(step, "Reaching the moon", "bash", "-c", "echo no fuel; exit 7")
    assert failed.returncode == 7
    assert failed.stdout == "Reaching the moon ... failed\n\n"
    assert "no fuel" in failed.stderr
    assert str(tmp_path / "set-up.log") in failed.stderr


def test_every_package_is_pinned_once_and_in_order() -> None:
    pins = PINS.read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", pin) for pin in pins)
    names = [pin.split("==")[0].lower() for pin in pins]
    assert len(set(names)) == len(names)
    assert [pin.lower() for pin in pins] == sorted(pin.lower() for pin in pins)


def test_every_pin_is_locked_with_the_hashes_of_its_files() -> None:
    pins = {canonicalize_name(name): version for name, version in (one.split("==") for one in PINS.read_text().split())}
    locked = {path.stem: lock.read(path.read_text()) for path in (ROOT / "locks").glob("*.txt")}
    seen = set()
    for name, entries in locked.items():
        for package, (entry, hashes) in entries.items():
            assert str(entry.specifier).partition("+")[0] == f"=={pins[package]}", (name, package)
            assert hashes, (name, package)
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), (name, package)
            seen.add(package)
    assert seen == set(pins), "`make lock` was forgotten"
    assert locked["torch-cpu"].keys() == {"torch"}, "CPU builds lie elsewhere: `make lock WHEELS=folder`"


@pytest.mark.parametrize(
    ("extra", "locks"),
    [("", ["torch", "runtime"]), ("cluster", ["torch", "runtime", "cluster"]), ("dev", ["torch", "runtime", "dev"])],
)
def test_the_lock_is_whole_because_pip_looks_for_no_more(extra: str, locks: list[str]) -> None:
    """By what the packages that are installed here say that they need."""
    told = [lock.read((ROOT / f"locks/{name}.txt").read_text()) for name in locks]
    locked = {
        name for entries in told for name, (one, _) in entries.items() if one.marker is None or one.marker.evaluate()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    todo = [Requirement(one) for one in [*project["dependencies"], *project["optional-dependencies"].get(extra, [])]]
    seen: set[tuple[str, str]] = set()
    while todo:
        wanted = todo.pop()
        name = canonicalize_name(wanted.name)
        assert name in locked, f"{name} is in none of {locks}: `make lock` was forgotten"
        for part in {"", *wanted.extras} - {part for known, part in seen if known == name}:
            seen.add((name, part))
            with suppress(PackageNotFoundError):  # Those of another extra are not installed for the tests.
                needs = map(Requirement, requires(name) or [])
                todo += [one for one in needs if one.marker is None or one.marker.evaluate({"extra": part})]


def test_nothing_is_installed_without_its_hash_but_the_project_itself() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    assert "$(PIP) --require-hashes" in makefile
    itself = re.findall(r"pip \$\(PIP\) (.*)", makefile)
    assert itself == ["-e ."]
    image = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    asked = re.findall(r"pip install ([^;&\n]*)", image)
    assert [one.split() for one in asked if "--require-hashes" not in one] == [
        ["--no-deps", "--no-build-isolation", "."]
    ]
    assert all("--no-deps" in one for one in asked)
