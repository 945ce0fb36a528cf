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
    settings = of_one_machine()
    make_home(settings.home)
    _make_writable(FOLDER)
    _make_writable(report.parent if report else FOLDER)
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
