"""Where a studio keeps an order's unsealed files: in memory, wiped with the order, or swept when its process was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a memory file system, so that nothing unsealed reaches a disk
PREFIX = "likeness-studio-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for one order, locked as long as its process lives, so that nobody takes it for a dead one's."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_root()))
        held = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
        if made.exists():  # Otherwise it was swept in the moment before it was locked.
            break
        os.close(held)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(held)


def sweep_scratch() -> int:
    """Removes what killed studios left on this machine, weights in clear among it; returns how many folders."""
    swept = 0
    for left in _root().glob(f"{PREFIX}*"):
        with suppress(OSError):  # It lives, it ended meanwhile, or it is another user's.
            held = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
                swept += 1
            finally:
                os.close(held)
    return swept


def _root() -> Path:
    return MEMORY if MEMORY.is_dir() else Path(tempfile.gettempdir())
