"""Keys per person and per class, kept in a folder that no database backup holds.

    master key ── tenant key ── a person's data key per class ── objects and columns

Destroying a data key makes every copy of what it sealed unreadable, those in backups included. Files are overwritten
before they are removed, but a copy-on-write file system, an SSD or a snapshot may keep the old blocks. What is left
there is wrapped: it also takes the tenant key to open it. A backup of this folder must be kept apart from database
backups and for at most three days, because a restored copy brings destroyed keys back.

A key is live, or destroyed, which a marker says, or neither: then the folder or a part of it is away, nothing is made in
its place, and whoever needs it waits.
"""

from __future__ import annotations

import hmac
import json
import os
import re
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
from likeness.sealing import lay_down, open_folder, overwrite_and_unlink, seal, there, touch, unlink, unseal

KEY_BYTES = 32

MASTER_KEY = "master.key"
TENANT_KEY = "tenant.key"
TENANT_MARKER = "tenant.destroyed"
RETIRED = re.compile(r"\.[0-9a-f]{16}")
"""What a key's file name is followed by until the key is wiped."""


class KeyClass(StrEnum):
    SOURCE = "source"
    MODEL = "model"
    HEADSHOT = "headshot"
    PROFILE = "profile"
    LOG_DETAIL = "log-detail"


class KeyDestroyed(Gone):
    """A marker says that the key was destroyed, at a retention's end or for ever."""

    title = "The key to this data no longer exists"


class KeyUnavailable(Unavailable):
    """The key is not where it was left, and no marker says that it was destroyed: a volume is away, or a file lost."""

    title = "The key to this data is not reachable right now"

    def __init__(self, message: str = "") -> None:
        super().__init__(message or "The key to this data is not reachable right now. Nothing was lost; please try again.")


class KeyBroken(KeyUnavailable):
    """The key's file is there, and the company's key does not unwrap it: it is damaged."""


class MasterKeyMissing(KeyUnavailable):
    """The master key that wraps all others is away; a new one would hide the loss until it is too late."""

    title = "The master key is missing"


class MasterKeyForeign(KeyUnavailable):
    """The folder holds another master key than the one that the database was sealed under."""

    title = "The key folder belongs to another database"


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

    master.key                       made with the database, see `fingerprint.py`; 0600 like every file here
    tenants/T/tenant.key             made with the company; wrapped by the master key
    tenants/T/tenant.destroyed       the tenant left: nothing of it opens or is created again
    tenants/T/OWNER/CLASS.key        wrapped by the tenant key; an owner's first one is of the class profile
    tenants/T/OWNER/CLASS.made       empty; there is or was such a key, so none is made while its file is away
    tenants/T/OWNER/CLASS.destroyed  the key was destroyed for ever; holds the time, nothing else
    tenants/T/OWNER/CLASS.retired    when the key before was destroyed; a fresh, unrelated one may follow
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._root = folder.resolve()
        self._expected: str | None = None

    def begin(self) -> None:
        """Makes the master key of a new database. Raises `MasterKeyMissing` where there are keys of an old one."""
        # Looked at in this order, a process that makes the first keys meanwhile does not look like a loss.
        has_keys = any((self._root / "tenants").glob("*/*.key"))
        if not (self._root / MASTER_KEY).exists():
            if has_keys:
                raise MasterKeyMissing(f"{self._root} holds keys, but not the master key that opens them.")
            with self._folder() as folder, suppress(FileExistsError):
                lay_down(folder, MASTER_KEY, [token_bytes(KEY_BYTES)])

    def fingerprint(self) -> str:
        """Tells this master key from any other, and nothing more. Raises `MasterKeyMissing`."""
        return _fingerprint(self._master())

    def expect(self, fingerprint: str) -> None:
        """From here on no other master key is used, also when another volume is mounted in the place of this one."""
        self._expected = fingerprint

    def begin_tenant(self, tenant: UUID) -> None:
        """Makes the tenant's key; to be called when the tenant is made and never else. Safe to repeat."""
        master = self._master()
        with self._folder(tenant, create=True) as folder, suppress(FileExistsError):
            if there(folder, TENANT_MARKER):
                raise KeyDestroyed
            if not there(folder, TENANT_KEY):
                lay_down(folder, TENANT_KEY, [seal(master, token_bytes(KEY_BYTES), _tenant_wrapping(tenant))])

    def opens(self, tenant: UUID) -> bool:
        """Whether the tenant's key is there and the master key opens it."""
        try:
            self._tenant_key(tenant)
        except (KeyDestroyed, KeyUnavailable):
            return False
        return True

    def mark_made(self) -> None:
        """Leaves the mark beside keys that an older version of the program made without it."""
        for file in (self._root / "tenants").glob("*/*/*.key"):
            file.with_suffix(".made").touch(0o600)

    def open_or_create(self, ref: KeyRef) -> DataKey:
        """The key, made now if there was none. After a final destruction none is made again: KeyDestroyed.

        An owner's first key is that of the class profile; the others are made only where it is, so that nothing is made
        in a place whose keys are away. Raises `KeyUnavailable`.
        """
        with suppress(FileNotFoundError):
            return self._open(ref)
        try:
            self._check_never_made(ref)
        except KeyUnavailable:
            # Somebody else may have made it between the look and the question; otherwise it is away.
            return self.open(ref)
        tenant = self._tenant_key(ref.tenant)
        with self._folder(ref, create=ref.cls == KeyClass.PROFILE) as folder:
            with suppress(FileExistsError):
                lay_down(folder, _file(ref), [seal(tenant, token_bytes(KEY_BYTES), _wrapping(ref))])
            touch(folder, f"{ref.cls}.made")
        # Another process may have destroyed the key between the look and the write.
        if self._ended_at(ref):
            self._wipe(ref)
            raise KeyDestroyed
        return self.open(ref)

    def open(self, ref: KeyRef) -> DataKey:
        """Raises `KeyDestroyed` where a marker says so, `KeyUnavailable` where the key is only away."""
        try:
            return self._open(ref)
        except FileNotFoundError:
            raise KeyDestroyed if self.destroyed_at(ref) else KeyUnavailable from None

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
        if ended or self._held(ref) or self._was_made(ref):
            return ended
        return self._marked_at(f"{ref.cls}.retired", ref)

    def made_at(self, ref: KeyRef) -> datetime | None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            made = os.stat(_file(ref), dir_fd=folder, follow_symlinks=False).st_mtime
            return datetime.fromtimestamp(made, UTC)
        return None

    def refs(self, tenant: UUID, owner: UUID | None = None) -> list[KeyRef]:
        """Every key file that is still on the disk, also one whose destruction was interrupted.

        Raises `KeyUnavailable` when the tenant's folder is away.
        """
        with self._folder(tenant):
            pass
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
            with self._folder(tenant) as folder, suppress(FileExistsError):
                lay_down(folder, TENANT_MARKER, [_marker(now)])
        finally:
            with suppress(FileNotFoundError), self._folder(tenant) as folder:
                overwrite_and_unlink(folder, TENANT_KEY)
            for ref in self.refs(tenant):
                self._wipe(ref)

    def index_key(self, tenant: UUID) -> bytes:
        """The tenant's key for `blind_index`. It comes from the tenant key and dies with it. Raises `KeyUnavailable`."""
        tenant_key = self._tenant_key(tenant)
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"blind index|{tenant}".encode()).derive(tenant_key)

    def _open(self, ref: KeyRef) -> DataKey:
        wrapped = self._read(_file(ref), ref)
        tenant = self._tenant_key(ref.tenant)
        # Destruction writes its marker before it touches the key, so half-overwritten bytes always have a marker.
        if self._ended_at(ref):
            raise KeyDestroyed
        try:
            return DataKey(ref, unseal(tenant, wrapped, _wrapping(ref)))
        except SealBroken:
            raise KeyBroken from None

    def _check_never_made(self, ref: KeyRef) -> None:
        if self._ended_at(ref):
            raise KeyDestroyed
        owner = KeyRef(ref.tenant, ref.owner, KeyClass.PROFILE)
        if self._was_made(ref) or not (ref == owner or self._held(owner)):
            raise KeyDestroyed if self._ended_at(owner) else KeyUnavailable

    def _tenant_key(self, tenant: UUID) -> bytes:
        with self._folder(tenant) as folder:
            if there(folder, TENANT_MARKER):
                overwrite_and_unlink(folder, TENANT_KEY)
                raise KeyDestroyed
        try:
            return unseal(self._master(), self._read(TENANT_KEY, tenant), _tenant_wrapping(tenant))
        except (FileNotFoundError, SealBroken):
            raise KeyUnavailable from None

    def _master(self) -> bytes:
        # Read each time, because a volume may go away and another one come in its place.
        try:
            master = self._read(MASTER_KEY)
        except (FileNotFoundError, KeyUnavailable):
            raise MasterKeyMissing("The master key is not in the key folder. Mount the folder that holds it.") from None
        if len(master) != KEY_BYTES:
            raise MasterKeyMissing(f"{MASTER_KEY} holds {len(master)} bytes instead of {KEY_BYTES}.")
        if self._expected is not None and _fingerprint(master) != self._expected:
            raise MasterKeyForeign("The key folder holds another master key than this database was sealed under.")
        return master

    def _retire(self, ref: KeyRef, now: datetime) -> None:
        try:
            with self._folder(ref) as folder:
                # The key leaves its name in one step before it is overwritten, so no reader meets half of it, and a
                # fresh key that somebody makes meanwhile is another file.
                with suppress(FileNotFoundError):
                    os.rename(_file(ref), f"{_file(ref)}.{token_bytes(8).hex()}", src_dir_fd=folder, dst_dir_fd=folder)
                if _retired(folder, ref):  # Also one whose retirement was interrupted.
                    marker = f"{ref.cls}.retired"
                    with suppress(FileNotFoundError):
                        os.unlink(marker, dir_fd=folder)
                    with suppress(FileExistsError):
                        lay_down(folder, marker, [_marker(now)])
                    if not there(folder, _file(ref)):
                        unlink(folder, f"{ref.cls}.made")
        except FileNotFoundError:
            pass  # The owner never had a key.
        finally:
            self._wipe_retired(ref)

    def _wipe(self, ref: KeyRef) -> None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            overwrite_and_unlink(folder, _file(ref))
            if there(folder, f"{ref.cls}.destroyed"):  # Where there was no room for it, none is made anew all the same.
                unlink(folder, f"{ref.cls}.made")
        self._wipe_retired(ref)

    def _wipe_retired(self, ref: KeyRef) -> None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            for name in os.listdir(folder):  # Copies that somebody made, too.
                if name.startswith(f"{_file(ref)}."):
                    overwrite_and_unlink(folder, name)

    def _held(self, ref: KeyRef) -> bool:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            return there(folder, _file(ref))
        return False

    def _was_made(self, ref: KeyRef) -> bool:
        """Whether there should be a key; not while its retirement was only interrupted."""
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            return there(folder, f"{ref.cls}.made") and not _retired(folder, ref)
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
        """The root, a tenant's folder or an owner's folder, open.

        Raises `FileNotFoundError` for an owner's folder that is not there, `KeyUnavailable` for the others.
        """
        names = [] if below is None else ["tenants", *str(below).split("/")[:2]]
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            for depth, name in enumerate(names):
                # The company's folder is made with its key; an owner may only be added to a company that is there.
                make = create and (depth == 2 or not isinstance(below, KeyRef))
                opened.append(open_folder(opened[-1], name, make))
            yield opened[-1]
        except FileNotFoundError:
            if len(opened) < min(len(names), 2) + 1:
                raise KeyUnavailable from None
            raise
        except FileExistsError:
            raise
        except OSError as error:
            raise KeyUnavailable(f"The key folder failed: {os.strerror(error.errno or 0)}") from error
        finally:
            for one in opened:
                os.close(one)


def _fingerprint(master: bytes) -> str:
    return HKDF(SHA256(), 16, salt=None, info=b"fingerprint of the master key").derive(master).hex()


def _tenant_wrapping(tenant: UUID) -> bytes:
    return f"tenant|{tenant}".encode()


def _retired(folder: int, ref: KeyRef) -> bool:
    """Whether a key lost its name and is not wiped yet. What somebody else put beside it is no sign of that."""
    return any(RETIRED.fullmatch(name.removeprefix(_file(ref))) for name in os.listdir(folder))


def _file(ref: KeyRef) -> str:
    return f"{ref.cls}.key"


def _wrapping(ref: KeyRef) -> bytes:
    return f"data key|{ref}".encode()


def _marker(now: datetime) -> bytes:
    return json.dumps({"destroyed_at": now.astimezone(UTC).isoformat()}).encode()
