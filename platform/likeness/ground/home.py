"""The embedded profile's folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


class HomeUnusable(RuntimeError):
    """The folder cannot be made or written."""


def make_home(home: Path) -> None:
    """Makes the folder and tries whether it can be written. Raises `HomeUnusable`."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o755)
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        raise HomeUnusable(
            f"The folder {home} cannot be used: {os.strerror(error.errno or 0)}. Set LIKENESS_HOME to a folder that you may"
            " write."
        ) from error
