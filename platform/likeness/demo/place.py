"""Where the demo lives and what it writes, asked before anything is loaded that takes seconds."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from likeness.ground.home import HomeUnusable, make_home
from likeness.ground.settings import Settings, of_one_machine
from tenants.models import CUTOUT

FOLDER = Path("demo-report")
"""Beside the user, not in the data folder: what HR and the people keep on their own machines is in clear."""


def prepared(report: Path | None, *, cut_out: bool) -> Settings:
    """The settings of a demo whose folders are there. Raises `SettingsWrong` and `HomeUnusable`."""
    settings, folders = of_one_machine(), (FOLDER, report.parent if report else FOLDER)
    home = settings.home.resolve()
    if any(home in (one.resolve(), *one.resolve().parents) for one in folders):
        raise HomeUnusable(
            f"The demo's report cannot lie in LIKENESS_HOME, {home}: beside anything that Likeness does not keep there, no"
            " certificate is issued. Start it in another folder, and name such a one with --report."
        )
    make_home(settings.home)
    for one in folders:
        _make_writable(one)
    # The base that knows drawn people is offered here and nowhere else.
    return settings.model_copy(update={"recipe": CUTOUT if cut_out else "portrait-small"})


def _make_writable(folder: Path) -> None:
    """Before any work, because the report comes at its end. Raises `HomeUnusable`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise HomeUnusable(
            f"The demo cannot write into {folder.resolve()}: {os.strerror(error.errno or 0)}. Start it in a folder that you"
            " may write, and name such a folder with --report."
        ) from error
