"""The folder of this machine's own Ray: its sockets, its logs, and what its processes put aside.

Ray opens its folder to every user (mode 0777) and writes under names that can be guessed, so that anybody could lay a
link there and have a file of ours overwritten. It therefore gets a folder inside one that only this user may enter.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PREFIX = "lk-ray-"
TRIES = 20
LONGEST = 30
"""Ray puts Unix sockets below, whose paths may have 107 characters; its own part takes up to 70."""


@dataclass(frozen=True)
class SessionFolder:
    """Private to this user, held by this process as long as it lives."""

    path: Path
    _held: int

    @property
    def ray(self) -> str:
        return str(self.path / "r")

    @contextmanager
    def for_children(self) -> Iterator[None]:
        """Programs started in here keep their temporary files in the folder, not where everybody may write."""
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = str(self.path / "t")
        try:
            yield
        finally:
            if before is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = before

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        with suppress(OSError):
            os.close(self._held)


def make() -> SessionFolder:
    """A fresh one, after those that killed programs left behind were removed."""
    _sweep()
    for _ in range(TRIES):
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_place()))  # Made with mode 0700.
        # Another program that starts at this moment may take it for one that was left, until it is held.
        if (held := _lock(path)) is not None:
            (path / "r").mkdir(mode=0o700)
            (path / "t").mkdir(mode=0o700)
            return SessionFolder(path, held)
    raise RuntimeError(f"{path} was made a moment ago and is not this program's any more.")


def _place() -> str:
    chosen = tempfile.gettempdir()
    return chosen if len(chosen) + len(PREFIX) <= LONGEST else "/tmp"  # noqa: S108


def _lock(folder: Path) -> int | None:
    """Held as long as this process lives; None for a folder of another user, for one that somebody living holds, and for
    one that is gone."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if os.fstat(held).st_uid != os.geteuid():
            raise PermissionError(folder)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(held), os.stat(folder, follow_symlinks=False)):
            raise FileNotFoundError(folder)
    except OSError:
        os.close(held)
        return None
    return held


def _sweep() -> None:
    """Removes what the Ray of killed programs left behind."""
    for folder in Path(_place()).glob(f"{PREFIX}*"):
        held = _lock(folder)
        if held is not None:
            SessionFolder(folder, held).remove()
