"""What a person types: every target is listed, and the set-up says in a sentence what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Targets that other targets ask for.
INNER = {"install", "debian-packages"}


def run(*command: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"PATH": path} if path is not None else {})
    environment.pop("PYTHON", None)
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False,
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
    pins = (ROOT / "constraints.txt").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", pin) for pin in pins)
    names = [pin.split("==")[0].lower() for pin in pins]
    assert len(set(names)) == len(names)
    assert [pin.lower() for pin in pins] == sorted(pin.lower() for pin in pins)
