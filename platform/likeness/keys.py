"""Keys per person and per class, kept in a folder that no database backup holds.

    master key ── tenant key ── a person's data key per class ── objects and columns

Destroying a data key makes every copy of what it sealed unreadable, those in backups included. Files are overwritten
before they are removed, but a copy-on-write file system, an SSD or a snapshot may keep the old blocks. What is left
there is wrapped: it also takes the tenant key to open it. A backup of this folder must be kept apart from database
backups and for at most three days, because a restored copy brings destroyed keys back.
"""

from __future__ import annotations

import hmac
import json
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from secrets import token_bytes
from typing import Literal, NoReturn
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from likeness.errors import Gone, Unavailable
from likeness.sealing import SealBroken as SealBroken
from likeness.sealing import lay_down, open_folder, seal, unseal

KEY_BYTES = 32

TENANT_KEY = "tenant.key"
TENANT_MARKER = "tenant.destroyed"


class KeyClass(StrEnum):
    SOURCE = "source"
    MODEL = "model"
    HEADSHOT = "headshot"
    PROFILE = "profile"
    LOG_DETAIL = "log-detail"


class KeyDestroyed(Gone):
    """The key was destroyed, or there never was one."""

    title = "The key to this data no longer exists"


class MasterKeyMissing(Unavailable):
    """Keys are here but the master key that wraps them is not; a new one would hide the loss until it is too late."""

    title = "The master key is missing"


@dataclass(frozen=True)
class KeyRef:
    tenant: UUID
    owner: UUID
    cls: KeyClass

    def __post_init__(self) -> None:
        # These three become file names, so a string that was never parsed must not get this far.
        if not (isinstance(self.tenant, UUID) and isinstance(self.owner, UUID) and isinstance(self.cls, KeyClass)):
            raise TypeError("a key is named by two UUIDs and a KeyClass")

    def __str__(self) -> str:
        return f"{self.tenant}/{self.owner}/{self.cls}"


class DataKey:
    """One person's key for one class. It is not printed and cannot be pickled, so it reaches no log, queue or task."""

    def __init__(self, ref: KeyRef, secret: bytes) -> None:
        self.ref = ref
        self._secret = secret

    def seal(self, plaintext: bytes, context: str) -> bytes:
        return seal(self._secret, plaintext, _bound_to(self.ref, context))

    def open(self, sealed: bytes, context: str) -> bytes:
        """Raises SealBroken unless this key sealed these very bytes for the same context."""
        return unseal(self._secret, sealed, _bound_to(self.ref, context))

    def __repr__(self) -> str:
        return f"DataKey({self.ref})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a data key does not leave its process")


def _bound_to(ref: KeyRef, context: str) -> bytes:
    # The first three parts hold no bar, so two different refs and contexts never give the same bytes.
    return f"{ref.tenant}|{ref.owner}|{ref.cls}|{context}".encode()


def blind_index(key: bytes, value: str) -> bytes:
    """A 32-byte stand-in for a value, to find its row without storing it. Case and Unicode spelling do not matter."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())
    return hmac.digest(key, folded.encode(), "sha256")


class KeyFolder:
    """The keys as files; several processes may share the folder, also over a network volume that has hard links.

    master.key                       made on first use; 0600 like every file here
    tenants/T/tenant.key             wrapped by the master key
    tenants/T/tenant.destroyed       the tenant left: nothing of it opens or is created again
    tenants/T/OWNER/CLASS.key        wrapped by the tenant key
    tenants/T/OWNER/CLASS.destroyed  the key was destroyed for ever; holds the time, nothing else
    tenants/T/OWNER/CLASS.retired    when the key before was destroyed; a fresh, unrelated one may follow
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._root = folder.resolve()
        with self._folder(create=True):
            self._master = self._master_key()

    def open_or_create(self, ref: KeyRef) -> DataKey:
        """The key, made now if there was none. After a final destruction none is made again: KeyDestroyed."""
        with suppress(FileNotFoundError):
            return self._open(ref)
        if self._ended_at(ref):
            raise KeyDestroyed
        tenant = self._tenant_key(ref.tenant, create=True)
        with self._folder(ref, create=True) as folder, suppress(FileExistsError):
            lay_down(folder, _file(ref), [seal(tenant, token_bytes(KEY_BYTES), _wrapping(ref))])
        # Another process may have destroyed the key between the look and the write.
        if self._ended_at(ref):
            self._wipe(ref)
            raise KeyDestroyed
        try:
            return self._open(ref)
        except FileNotFoundError:
            raise KeyDestroyed from None

    def open(self, ref: KeyRef) -> DataKey:
        try:
            return self._open(ref)
        except FileNotFoundError:
            raise KeyDestroyed from None

    def state(self, ref: KeyRef) -> Literal["live", "destroyed", "absent"]:
        return "destroyed" if self.destroyed_at(ref) else "live" if self._held(ref) else "absent"

    def destroy(self, ref: KeyRef, now: datetime, final: bool = True) -> None:
        """Safe to repeat; the first date stays. Destroying a key that never was also forbids creating it later.

        With `final=False`, the end of a retention period, `open_or_create` makes a fresh, unrelated key afterwards.
        """
        if not final:
            self._retire(ref, now)
            return
        # The marker comes first: after a crash in between, the key is refused already and wiped by the next try. When
        # there is no room for the marker the key goes all the same, and the error asks the caller to come again.
        try:
            with self._folder(ref, create=True) as folder, suppress(FileExistsError):
                lay_down(folder, f"{ref.cls}.destroyed", [_marker(now)])
        finally:
            self._wipe(ref)

    def destroyed_at(self, ref: KeyRef) -> datetime | None:
        """When the key was destroyed, None while there is one, also a fresh one after an earlier destruction."""
        ended = self._ended_at(ref)
        if ended or self._held(ref):
            return ended
        return self._marked_at(f"{ref.cls}.retired", ref)

    def made_at(self, ref: KeyRef) -> datetime | None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            made = os.stat(_file(ref), dir_fd=folder, follow_symlinks=False).st_mtime
            return datetime.fromtimestamp(made, UTC)
        return None

    def refs(self, tenant: UUID, owner: UUID | None = None) -> list[KeyRef]:
        """Every key file that is still on the disk, also one whose destruction was interrupted."""
        pattern = f"{owner or '*'}/*.key*"
        files = (self._root / "tenants" / str(tenant)).glob(pattern)
        found = {KeyRef(tenant, UUID(file.parent.name), KeyClass(file.name.split(".")[0])) for file in files}
        return sorted(found, key=str)

    def all_destroyed(self, tenant: UUID, owner: UUID) -> bool:
        """Whether `destroy` of every class of this owner would change nothing; costs one look into one folder."""
        with suppress(FileNotFoundError), self._folder(KeyRef(tenant, owner, KeyClass.PROFILE)) as folder:
            names = os.listdir(folder)
            return all(f"{cls}.destroyed" in names for cls in KeyClass) and not any(".key" in name for name in names)
        return False

    def destroy_tenant(self, tenant: UUID, now: datetime) -> None:
        """Nothing of the tenant opens from here on. The markers of keys destroyed earlier stay, with their dates."""
        try:
            with self._folder(tenant, create=True) as folder, suppress(FileExistsError):
                lay_down(folder, TENANT_MARKER, [_marker(now)])
        finally:
            with suppress(FileNotFoundError), self._folder(tenant) as folder:
                _overwrite_and_unlink(folder, TENANT_KEY)
            for ref in self.refs(tenant):
                self._wipe(ref)

    def index_key(self, tenant: UUID) -> bytes:
        """The tenant's key for `blind_index`. It comes from the tenant key and dies with it."""
        tenant_key = self._tenant_key(tenant, create=True)
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"blind index|{tenant}".encode()).derive(tenant_key)

    def _open(self, ref: KeyRef) -> DataKey:
        wrapped = self._read(_file(ref), ref)
        tenant = self._tenant_key(ref.tenant)
        # Destruction writes its marker before it touches the key, so half-overwritten bytes always have a marker.
        if self._ended_at(ref):
            raise KeyDestroyed
        return DataKey(ref, unseal(tenant, wrapped, _wrapping(ref)))

    def _tenant_key(self, tenant: UUID, create: bool = False) -> bytes:
        bound_to = f"tenant|{tenant}".encode()
        if create:
            with self._folder(tenant, create=True) as folder, suppress(FileExistsError):
                if not (_there(folder, TENANT_KEY) or _there(folder, TENANT_MARKER)):
                    lay_down(folder, TENANT_KEY, [seal(self._master, token_bytes(KEY_BYTES), bound_to)])
        try:
            wrapped = self._read(TENANT_KEY, tenant)
        except FileNotFoundError:
            raise KeyDestroyed from None
        with self._folder(tenant) as folder:
            if _there(folder, TENANT_MARKER):
                _overwrite_and_unlink(folder, TENANT_KEY)
                raise KeyDestroyed
        return unseal(self._master, wrapped, bound_to)

    def _master_key(self) -> bytes:
        # Looked at in this order, a process that makes the first keys meanwhile does not look like a loss.
        has_keys = any((self._root / "tenants").glob("*/*.key"))
        if not (self._root / "master.key").exists():
            if has_keys:
                raise MasterKeyMissing
            with self._folder() as folder, suppress(FileExistsError):
                lay_down(folder, "master.key", [token_bytes(KEY_BYTES)])
        master = self._read("master.key")
        if len(master) != KEY_BYTES:
            raise MasterKeyMissing(f"master.key holds {len(master)} bytes instead of {KEY_BYTES}")
        return master

    def _retire(self, ref: KeyRef, now: datetime) -> None:
        try:
            with self._folder(ref) as folder:
                # The key leaves its name in one step before it is overwritten, so no reader meets half of it, and a
                # fresh key that somebody makes meanwhile is another file.
                os.rename(_file(ref), f"{_file(ref)}.{token_bytes(8).hex()}", src_dir_fd=folder, dst_dir_fd=folder)
                marker = f"{ref.cls}.retired"
                with suppress(FileNotFoundError):
                    os.unlink(marker, dir_fd=folder)
                with suppress(FileExistsError):
                    lay_down(folder, marker, [_marker(now)])
        except FileNotFoundError:
            pass  # There is no key now; one whose retirement was interrupted is wiped all the same.
        finally:
            self._wipe_retired(ref)

    def _wipe(self, ref: KeyRef) -> None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            _overwrite_and_unlink(folder, _file(ref))
        self._wipe_retired(ref)

    def _wipe_retired(self, ref: KeyRef) -> None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            for name in os.listdir(folder):
                if name.startswith(f"{_file(ref)}."):
                    _overwrite_and_unlink(folder, name)

    def _held(self, ref: KeyRef) -> bool:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            return _there(folder, _file(ref))
        return False

    def _ended_at(self, ref: KeyRef) -> datetime | None:
        """When the key was destroyed for ever."""
        return self._marked_at(f"{ref.cls}.destroyed", ref) or self._marked_at(TENANT_MARKER, ref.tenant)

    def _marked_at(self, marker: str, below: UUID | KeyRef) -> datetime | None:
        with suppress(FileNotFoundError):
            return datetime.fromisoformat(json.loads(self._read(marker, below))["destroyed_at"])
        return None

    def _read(self, name: str, below: UUID | KeyRef | None = None) -> bytes:
        with self._folder(below) as folder:
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(file, "rb") as opened:
                return opened.read()

    @contextmanager
    def _folder(self, below: UUID | KeyRef | None = None, create: bool = False) -> Iterator[int]:
        """The root, a tenant's folder or an owner's folder, open; FileNotFoundError when it is not there."""
        match below:
            case None:
                names = []
            case UUID():
                names = ["tenants", str(below)]
            case KeyRef():
                names = ["tenants", str(below.tenant), str(below.owner)]
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in names:
                parent, folder = folder, open_folder(folder, name, create)
                os.close(parent)
            yield folder
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            raise Unavailable(f"The key folder failed: {os.strerror(error.errno or 0)}") from error
        finally:
            os.close(folder)


def _file(ref: KeyRef) -> str:
    return f"{ref.cls}.key"


def _wrapping(ref: KeyRef) -> bytes:
    return f"data key|{ref}".encode()


def _marker(now: datetime) -> bytes:
    return json.dumps({"destroyed_at": now.astimezone(UTC).isoformat()}).encode()


def _there(folder: int, name: str) -> bool:
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=folder, follow_symlinks=False)
        return True
    return False


def _overwrite_and_unlink(folder: int, name: str) -> None:
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
