"""What the files of one key are called, and what stands in them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_bytes

from likeness.ground.files import below, content, there, touch, unlink, write_atomically
from likeness.keys.data_key import KeyRef
from likeness.keys.states import KeyDestroyed

RETIRED = re.compile(r"\.[0-9a-f]{16}")
"""What a key's file name is followed by until the key is wiped."""


def file_of(ref: KeyRef) -> str:
    return f"{ref.cls}.key"


def wrapping(ref: KeyRef) -> bytes:
    """What the wrapped key is bound to."""
    return f"data key|{ref}".encode()


def retired(folder: int, ref: KeyRef) -> bool:
    """Whether a key lost its name and is not wiped yet. What somebody else put beside it is no sign of that."""
    return any(RETIRED.fullmatch(name.removeprefix(file_of(ref))) for name in os.listdir(folder))


def write_first(tenant: int, ref: KeyRef, sealed: bytes) -> None:
    """An owner's first key, in a folder of its own, which is on the disk once the company's open one is. Raises
    `FileExistsError`."""
    os.mkdir(str(ref.owner), 0o700, dir_fd=tenant)
    with below(tenant, str(ref.owner)) as owner:
        write_atomically(owner, file_of(ref), [sealed])
        touch(owner, f"{ref.cls}.made")


def write_over(folder: int, name: str, renewed: Callable[[bytes], bytes | None]) -> None:
    """Writes what `renewed` makes of the wrapped key in its place, as long as it was; nothing where that is None."""
    file = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    with os.fdopen(file, "r+b", buffering=0) as opened:
        before = os.fstat(file)
        after = renewed(opened.read())
        if after is not None:
            os.pwrite(file, after, 0)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # It is as old as it was.
            if os.fstat(file).st_nlink == 0 or not there(folder, name):
                os.pwrite(file, token_bytes(len(after)), 0)
            os.fsync(file)


def retire(folder: int, ref: KeyRef, now: datetime) -> None:
    """The key leaves its name in one step before it is overwritten, so no reader meets half of it, and a fresh key that
    somebody makes meanwhile is another file."""
    with suppress(FileNotFoundError):
        os.rename(file_of(ref), f"{file_of(ref)}.{token_bytes(8).hex()}", src_dir_fd=folder, dst_dir_fd=folder)
    if retired(folder, ref):  # Also one whose retirement was interrupted.
        marker = f"{ref.cls}.retired"
        with suppress(FileNotFoundError):
            os.unlink(marker, dir_fd=folder)
        with suppress(FileExistsError):
            write_atomically(folder, marker, [dated(now)])
        if not there(folder, file_of(ref)):
            unlink(folder, f"{ref.cls}.made")


def dated(now: datetime) -> bytes:
    """What a marker holds."""
    return json.dumps({"destroyed_at": now.astimezone(UTC).isoformat()}).encode()


def read_wrapped(tenant: int, ref: KeyRef) -> bytes:
    """One key as it lies in the company's open folder. Raises `KeyDestroyed` and `FileNotFoundError`."""
    with below(tenant, str(ref.owner)) as owner:
        wrapped = content(owner, file_of(ref))
        # Destruction writes its marker before it touches the key, so half-overwritten bytes always have a marker.
        if there(owner, f"{ref.cls}.destroyed"):
            raise KeyDestroyed
        return wrapped
