"""Where sealed objects lie as bytes under their paths: what every store can do, and a local folder as one."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import BinaryIO, Protocol
from urllib.parse import unquote

from likeness.ground.errors import Conflict, NotFound, Unavailable, Unprocessable
from likeness.ground.files import FOLDER_FLAGS, is_part, open_folder, write_atomically

# 8 MiB per request: a slow reader of a large object holds no connection open until it times out.
BLOCK = 8 << 20
# Of the files in a folder, which nobody else waits for.
PIECE = 1 << 20
# With the longest pauses, 1.2 s until a folder that others keep deleting is given up.
TRIES = 50
PAUSE_SECONDS = 0.001
# An object begins with this many bytes that no other begins with: its format and its random id.
HEADER = 20


class PathRefused(Unprocessable):
    """Not a path that Likeness makes; nothing was looked up."""

    title = "This is not a path of an object"


class StoreSilent(Unavailable):
    """The store did not answer in time; whether it did what it was asked to nobody knows."""

    title = "The object store does not answer"


class ObjectMissing(NotFound):
    title = "The object does not exist"


class ObjectExists(Conflict):
    title = "The object exists already"


class StoreFull(Unavailable):
    """The write left nothing behind and may be repeated once there is room."""

    title = "The object store is full"


@dataclass(frozen=True)
class StoredObject:
    path: str
    size: int
    modified: datetime


class Store(Protocol):
    """Bytes under paths that were checked. Reading starts at once, so ObjectMissing comes from the call itself."""

    def create(self, path: str, pieces: Iterable[bytes]) -> int: ...
    def read(self, path: str) -> Iterator[bytes]: ...
    def exists(self, path: str) -> bool: ...
    def delete(self, path: str) -> None: ...
    def find(self, prefix: str) -> Iterable[StoredObject]: ...
    def folders(self, prefix: str) -> Iterable[str]: ...
    def delete_prefix(self, prefix: str) -> int: ...
    def delete_unfinished(self, prefix: str, before: datetime) -> int: ...
    def versions_purged(self) -> bool: ...
    def older(self, prefix: str) -> Iterable[str]: ...
    def address(self, path: str, lasts: timedelta, write: bool) -> str: ...


class Folder:
    """A local folder. Not obstore's: its put does not fsync and it follows links out of the folder."""

    def __init__(self, url: str) -> None:
        if not url.startswith("file:///"):
            raise ValueError(f"objects are kept in file:///folder or s3://bucket/prefix, not {url!r}")
        root = Path(unquote(url.removeprefix("file://")))
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._root = root.resolve()

    def create(self, path: str, pieces: Iterable[bytes]) -> int:
        stored = list(pieces)
        # A deletion may remove the empty folder between opening it and writing into it; then it is made anew, after a pause
        # of no fixed length, because two threads that take turns at one pace would take them so for ever.
        for attempt in range(TRIES):
            if attempt:
                time.sleep(random.uniform(0, PAUSE_SECONDS * attempt))  # noqa: S311 - nothing secret
            with suppress(ObjectMissing), _folder_errors(), self._parent(path, create=True) as (folder, name):
                try:
                    return write_atomically(folder, name, stored)
                except FileExistsError:
                    raise ObjectExists from None
        raise Unavailable("The folder is being deleted")

    def read(self, path: str) -> Iterator[bytes]:
        with _folder_errors(), self._parent(path) as (folder, name):
            # Without O_NONBLOCK a named pipe in the object's place would block for ever.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            if not S_ISREG(os.fstat(file).st_mode):
                os.close(file)
                raise PathRefused
            opened = os.fdopen(file, "rb")
        return _blocks(opened)

    def exists(self, path: str) -> bool:
        try:
            with _folder_errors(), self._parent(path) as (folder, name):
                return S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except ObjectMissing:
            return False

    def delete(self, path: str) -> None:
        try:
            with _folder_errors(), self._parent(path) as (folder, name):
                try:
                    os.unlink(name, dir_fd=folder)
                except IsADirectoryError:  # Whatever somebody put in the object's place goes as well.
                    self.delete_prefix(path)
                os.fsync(folder)
        except ObjectMissing:
            return
        self._prune(os.path.dirname(path))

    def find(self, prefix: str) -> Iterable[StoredObject]:
        for below, folder, names in self._walk(prefix):
            for name in names:
                if is_part(name):
                    continue
                try:
                    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield StoredObject(f"{below}/{name}", found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def folders(self, prefix: str) -> Iterable[str]:
        try:
            with _folder_errors(), self._parent(f"{prefix}/.") as (top, _):
                return os.listdir(top)
        except ObjectMissing:
            return []

    def delete_prefix(self, prefix: str) -> int:
        deleted = 0
        emptied = []
        stuck: OSError | None = None
        for below, folder, names in self._walk(prefix):
            for name in names:
                try:
                    os.unlink(name, dir_fd=folder)
                    deleted += not is_part(name)
                except FileNotFoundError:
                    continue
                except OSError as error:  # The others go; the caller hears of this one.
                    stuck = stuck or error
            os.fsync(folder)
            emptied.append(below)
        for below in emptied:
            self._prune(below)
        if stuck:
            with _folder_errors():
                raise stuck
        return deleted

    def delete_unfinished(self, prefix: str, before: datetime) -> int:
        deleted = 0
        for _, folder, names in self._walk(prefix):
            for name in filter(is_part, names):
                try:
                    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < before.timestamp():
                        os.unlink(name, dir_fd=folder)
                        deleted += 1
                except FileNotFoundError:
                    continue
        return deleted

    def older(self, prefix: str) -> Iterable[str]:
        return ()

    def versions_purged(self) -> bool:
        return True

    def address(self, path: str, lasts: timedelta, write: bool) -> str:
        return ""

    def _walk(self, prefix: str) -> Iterator[tuple[str, int, list[str]]]:
        """Folders from the leaves up, open, with the names of what is in them; links are names, never followed."""
        try:
            with _folder_errors(), self._parent(f"{prefix}/." if prefix else ".") as (top, _):
                for below, folders, files, folder in os.fwalk(
                    ".", topdown=False, onerror=_closed, follow_symlinks=False, dir_fd=top
                ):
                    links = [name for name in folders if _is_link(name, folder)]
                    yield os.path.normpath(os.path.join(prefix, below)), folder, files + links
        except ObjectMissing:
            return

    def _prune(self, folder_path: str) -> None:
        """Removes the folder and those above it while they are empty: an id in a folder's name is a trace as well."""
        names = folder_path.split("/")
        while names and names != ["."]:
            try:
                with self._parent("/".join(names)) as (folder, name):
                    os.rmdir(name, dir_fd=folder)
                    os.fsync(folder)
            except OSError:
                return
            names.pop()

    @contextmanager
    def _parent(self, path: str, create: bool = False) -> Iterator[tuple[int, str]]:
        """The folder that holds the path, open, and the last name."""
        *folders, name = path.split("/")
        folder = os.open(self._root, FOLDER_FLAGS)
        try:
            for below in folders:
                parent, folder = folder, open_folder(folder, below, create)
                os.close(parent)
            yield folder, name
        finally:
            os.close(folder)


def _closed(error: OSError) -> None:
    """A folder that may not be looked into is not an empty one; one that has just gone is."""
    if not isinstance(error, FileNotFoundError):
        raise error


def _blocks(opened: BinaryIO) -> Iterator[bytes]:
    with opened:
        while block := opened.read(PIECE):
            yield block


def _is_link(name: str, folder: int) -> bool:
    try:
        return S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def _folder_errors() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise ObjectMissing from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull from error
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.EISDIR):
            raise PathRefused("Something else stands where the object or its folder should be") from error
        raise Unavailable(f"The object folder failed: {os.strerror(error.errno or 0)}") from error
