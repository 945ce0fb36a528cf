"""Files that survive a power cut, in folders whose links lead nowhere, and their wiping."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from secrets import token_bytes, token_hex

FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def write_atomically(folder: int, name: str, pieces: Iterable[bytes]) -> int:
    """Create the file `name` in an open folder and return its size; FileExistsError when somebody else was first.

    The file appears under its name only when it is whole, and it is on the disk when this returns. A hard link is
    used because it refuses to replace a file, where a rename would do so silently.
    """
    part = f"_{token_hex(8)}.part"
    file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as out:
            for piece in pieces:
                out.write(piece)
            out.flush()
            os.fsync(out.fileno())
            size = out.tell()
        os.link(part, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        with suppress(FileNotFoundError):  # whoever empties the folder takes unfinished files along
            os.unlink(part, dir_fd=folder)
        os.fsync(folder)
    return size


def is_part(name: str) -> bool:
    """A file that `write_atomically` had not finished when its process died; no other name may begin with an underscore."""
    return name.startswith("_") and name.endswith(".part")


def open_folder(parent: int, name: str, create: bool = False) -> int:
    """Open one folder below an open one without following links, so that no link can lead out of the tree."""
    if create:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            os.fsync(parent)
    return os.open(name, FOLDER_FLAGS, dir_fd=parent)


@contextmanager
def below(parent: int, name: str) -> Iterator[int]:
    """The same, closed at the end."""
    folder = open_folder(parent, name)
    try:
        yield folder
    finally:
        os.close(folder)


def content(folder: int, name: str) -> bytes:
    """What a small file in an open folder holds, unless it is a link. Raises `OSError`."""
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        found = b""
        while part := os.read(file, 65_536):
            found += part
        return found
    finally:
        os.close(file)


def there(folder: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def touch(folder: int, name: str) -> None:
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder))


def unlink(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def overwrite_and_unlink(folder: int, name: str) -> None:
    """Safe to repeat; durable when this returns."""
    with suppress(FileNotFoundError):
        # A full copy-on-write disk refuses to overwrite; the key has to go even then.
        with suppress(OSError):
            _overwrite(folder, name)
        os.unlink(name, dir_fd=folder)
    os.fsync(folder)


def _overwrite(folder: int, name: str) -> None:
    file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(file, token_bytes(os.fstat(file).st_size))
        os.fsync(file)
    finally:
        os.close(file)
