"""Keys per person and per class, kept in a folder that no database backup holds.

    key store ── tenant key ── a person's data key per class ── objects and columns

Destroying a data key makes every copy of what it sealed unreadable, those in backups included. Files are overwritten
before they are removed, but a copy-on-write file system, an SSD or a snapshot may keep the old blocks. What is left
there is wrapped: it also takes the tenant key to open it. A backup of this folder must be kept apart from database
backups and for at most three days, because a restored copy brings destroyed keys back.

A key is live, or destroyed, which a marker says, or neither: then the folder or a part of it is away, nothing is made in
its place, and whoever needs it waits.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Literal
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from likeness.ground.db import PLATFORM
from likeness.ground.files import (
    content,
    open_folder,
    overwrite_and_unlink,
    there,
    touch,
    unlink,
    write_atomically,
)
from likeness.keys.custody import KeyStore
from likeness.keys.data_key import DataKey as DataKey
from likeness.keys.data_key import KeyClass as KeyClass
from likeness.keys.data_key import KeyRef as KeyRef
from likeness.keys.data_key import blind_index as blind_index
from likeness.keys.key_files import dated, file_of, read_wrapped, retire, retired, wrapping, write_first, write_over
from likeness.keys.master import KEY_BYTES, MasterFolder, replace
from likeness.keys.master import MASTER_KEY as MASTER_KEY
from likeness.keys.ring import Ring
from likeness.keys.sealing import SealBroken as SealBroken
from likeness.keys.states import KeyBroken as KeyBroken
from likeness.keys.states import KeyDestroyed as KeyDestroyed
from likeness.keys.states import KeyUnavailable as KeyUnavailable
from likeness.keys.states import MasterKeyForeign as MasterKeyForeign
from likeness.keys.states import MasterKeyMissing as MasterKeyMissing

TENANT_KEY = "tenant.key"
TENANT_MARKER = "tenant.destroyed"


class KeyFolder:
    """The keys as files; several processes may share the folder, also over a network volume that has hard links.

    master.key                       only where no provider wraps, see `master.py`; 0600 like every file here
    tenants/T/tenant.key             made with the company; wrapped by the key store, see `custody.py`
    tenants/T/tenant.destroyed       the tenant left: nothing of it opens or is created again
    tenants/T/OWNER/CLASS.key        wrapped by the tenant key; an owner's first one is of the class profile
    tenants/T/OWNER/CLASS.made       empty; there is or was such a key, so none is made while its file is away
    tenants/T/OWNER/CLASS.destroyed  the key was destroyed for ever; holds the time, nothing else
    tenants/T/OWNER/CLASS.retired    when the key before was destroyed; a fresh, unrelated one may follow
    """

    def __init__(self, folder: Path, store: KeyStore | None = None) -> None:
        """`store` wraps the companies' keys; without one that is the master key in this very folder."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._root = folder.resolve()
        self._store: KeyStore = store or MasterFolder(self._root)
        self._expected: str | None = None
        self._rings: dict[UUID, tuple[bytes, float, Ring | None]] = {}

    def begin(self) -> None:
        """Makes what wraps the keys of a new database. Raises `MasterKeyMissing` where there are keys of an old one."""
        if isinstance(self._store, MasterFolder):
            self._store.begin()

    def fingerprint(self) -> str:
        """Tells these keys from those of any other database, and nothing more. Raises `MasterKeyMissing`.

        Where a provider wraps, that is told from the operators' own key, which every database has.
        """
        if isinstance(self._store, MasterFolder):
            return self._store.fingerprint()
        own = HKDF(SHA256(), 16, salt=None, info=b"fingerprint of the operators' key").derive(self.index_key(PLATFORM))
        if self._expected not in (None, own.hex()):
            raise MasterKeyForeign("The key store and the key folder belong to another database than this one.")
        return own.hex()

    def expect(self, fingerprint: str) -> None:
        """From here on no other keys are used, also when another volume is mounted in the place of this one."""
        self._expected = fingerprint
        if isinstance(self._store, MasterFolder):
            self._store.expect(fingerprint)

    def describe(self) -> str:
        """A sentence on who wraps the companies' keys. Raises `KeyUnavailable` where that one does not answer."""
        return self._store.describe()

    def begin_tenant(self, tenant: UUID) -> None:
        """Makes the tenant's key; to be called when the tenant is made and never else. Safe to repeat."""
        if isinstance(self._store, MasterFolder):
            self._store.fingerprint()  # Without a master key no folder is made either.
        with self._folder(tenant, create=True) as folder, suppress(FileExistsError):
            if there(folder, TENANT_MARKER):
                raise KeyDestroyed
            if not there(folder, TENANT_KEY):
                write_atomically(folder, TENANT_KEY, [self._store.wrap(tenant, token_bytes(KEY_BYTES))])

    def opens(self, tenant: UUID) -> bool:
        """Whether the tenant's key is there and the master key opens it."""
        try:
            self._ring(tenant)
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
        ring = self._ring(ref.tenant)
        sealed = ring.seal(secret := token_bytes(KEY_BYTES), wrapping(ref))
        with self._folder(ref, create=ref.cls == KeyClass.PROFILE) as folder:
            with suppress(FileExistsError):
                write_atomically(folder, file_of(ref), [sealed])
            touch(folder, f"{ref.cls}.made")
        # A rotation that began after the company's key was read may have passed this file by. What lies under the newest
        # key is found by the next one.
        while (newer := self._ring(ref.tenant)).keys != ring.keys:
            ring, passed_by, sealed = newer, sealed, newer.seal(secret, wrapping(ref))
            self._write_over(ref, {passed_by: sealed}.get)
        # Another process may have destroyed the key between the look and the write.
        if self._ended_at(ref):
            self._wipe(ref)
            raise KeyDestroyed
        return self.open(ref)

    def make_all(self, tenant: UUID, owners: Iterable[UUID]) -> dict[UUID, DataKey]:
        """First keys, of the class profile, of owners whose ids were drawn just now, so that nobody else names them yet.
        The company's key is unwrapped once for all of them: 0.4 ms of a core for each, where `open_or_create` takes 0.7.
        Raises `KeyDestroyed` and `KeyUnavailable`."""
        ring, made, lying = self._ring(tenant), dict[UUID, DataKey](), dict[UUID, bytes]()
        try:
            with self._folder(tenant) as folder:
                for owner in owners:
                    ref, secret = KeyRef(tenant, owner, KeyClass.PROFILE), token_bytes(KEY_BYTES)
                    lying[owner] = ring.seal(secret, wrapping(ref))
                    write_first(folder, ref, lying[owner])
                    made[owner] = DataKey(ref, secret)
                os.fsync(folder)
            while (newer := self._ring(tenant)).keys != ring.keys:  # As for one: a rotation may have passed them by.
                ring = newer
                for owner, key in made.items():
                    passed_by, lying[owner] = lying[owner], ring.seal(key.material(), wrapping(key.ref))
                    self._write_over(key.ref, {passed_by: lying[owner]}.get)
        except KeyDestroyed:  # The company left meanwhile.
            for key in made.values():
                self._wipe(key.ref)
            raise
        return made

    def open(self, ref: KeyRef) -> DataKey:
        """Raises `KeyDestroyed` where a marker says so, `KeyUnavailable` where the key is only away."""
        try:
            return self._open(ref)
        except FileNotFoundError:
            raise KeyDestroyed if self.destroyed_at(ref) else KeyUnavailable from None

    def open_all(self, tenant: UUID, owners: Iterable[UUID], cls: KeyClass) -> dict[UUID, DataKey]:
        """By owner, without those whose keys were destroyed. The company's key is unwrapped once for all of them: ten
        thousand take a fifth of the time of as many `open`. Raises `KeyUnavailable`."""
        found = {}
        with self._folder(tenant) as folder, suppress(KeyDestroyed):
            ring = self._ring_in(folder, tenant)
            for owner in owners:
                ref = KeyRef(tenant, owner, cls)
                with suppress(KeyDestroyed):
                    try:
                        found[owner] = DataKey(ref, ring.unseal(read_wrapped(folder, ref), wrapping(ref)))
                    except (FileNotFoundError, SealBroken):  # Away, damaged, or made anew by a rotation: looked at closely.
                        found[owner] = self.open(ref)
            if there(folder, TENANT_MARKER):  # It left meanwhile.
                raise KeyDestroyed
            return found
        return {}

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
                write_atomically(folder, f"{ref.cls}.destroyed", [dated(now)])
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
            made = os.stat(file_of(ref), dir_fd=folder, follow_symlinks=False).st_mtime
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
                write_atomically(folder, TENANT_MARKER, [dated(now)])
        finally:
            with suppress(FileNotFoundError), self._folder(tenant) as folder:
                overwrite_and_unlink(folder, TENANT_KEY)
            for ref in self.refs(tenant):
                self._wipe(ref)
            self._rings.pop(tenant, None)
        self._store.destroy(tenant)

    def tenants(self) -> list[UUID]:
        """The companies that have a key."""
        return sorted(UUID(file.parent.name) for file in (self._root / "tenants").glob(f"*/{TENANT_KEY}"))

    def rotate(self, breathe: Callable[[], object] = lambda: None) -> int:
        """Renews what wraps the companies' keys, these keys, and what they wrap; objects stay as they are.

        Everybody may work meanwhile, but only one process may rotate, which the caller sees to: `breathe` is called with
        each key, so that a lock can be held for long. Returns how many companies. Safe to repeat after an error.
        """
        tenants = self.tenants()
        self._store.rotate(tenants)
        for tenant in tenants:
            with suppress(KeyDestroyed):
                self._rotate(tenant, breathe)
        return len(tenants)

    def _rotate(self, tenant: UUID, breathe: Callable[[], object]) -> None:
        ring = self._ring(tenant)
        # The key before last is forgotten below, so whatever was made under it in the moment of a rotation goes first.
        self._renew(tenant, ring, breathe)
        ring = ring.rotated()
        self.put_back(tenant, self._store.wrap(tenant, ring.as_bytes()))
        self._renew(tenant, ring, breathe)

    def move_from(self, before: KeyStore) -> int:
        """Wraps anew, by this folder's key store, what another has wrapped. Returns how many companies."""
        if isinstance(self._store, MasterFolder):
            self._store.make()
        for tenant in (tenants := self.tenants()):
            if not self.opens(tenant):
                self.put_back(tenant, self._store.wrap(tenant, before.unwrap(tenant, self.wrapped(tenant))))
        self._expected = None
        return len(tenants)

    def wrapped(self, tenant: UUID) -> bytes:
        """The company's key as the key store wrapped it."""
        with suppress(FileNotFoundError), self._folder(tenant) as folder:
            return content(folder, TENANT_KEY)
        raise KeyUnavailable

    def put_back(self, tenant: UUID, wrapped: bytes) -> None:
        """The company's key, wrapped anew, in the place of the one that is there."""
        with self._folder(tenant) as folder:
            replace(folder, TENANT_KEY, wrapped)
            if there(folder, TENANT_MARKER):  # It left meanwhile.
                overwrite_and_unlink(folder, TENANT_KEY)
                raise KeyDestroyed

    def _renew(self, tenant: UUID, ring: Ring, breathe: Callable[[], object]) -> None:
        """Writes over each wrapped key in its place: whoever destroys it meanwhile destroys this very file."""
        for ref in self.refs(tenant):
            breathe()
            self._write_over(ref, partial(ring.renewed, bound_to=wrapping(ref)))

    def _write_over(self, ref: KeyRef, renewed: Callable[[bytes], bytes | None]) -> None:
        """Writes what `renewed` makes of the wrapped key in its place, as long as it was; nothing where that is None."""
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            write_over(folder, file_of(ref), renewed)
        if self._ended_at(ref):
            self._wipe(ref)

    def index_key(self, tenant: UUID) -> bytes:
        """The tenant's key for `blind_index`. It comes from the tenant key and dies with it. Raises `KeyUnavailable`."""
        return self._ring(tenant).index

    def _open(self, ref: KeyRef) -> DataKey:
        for last in (False, True):  # A rotation may have written over the file while it was read.
            # One walk down the folders: a page of a list opens fifty keys.
            with self._folder(ref.tenant) as tenant:
                wrapped, ring = read_wrapped(tenant, ref), self._ring_in(tenant, ref.tenant)
                if there(tenant, TENANT_MARKER):
                    raise KeyDestroyed
            try:
                return DataKey(ref, ring.unseal(wrapped, wrapping(ref)))
            except SealBroken:
                if last:
                    raise KeyBroken from None
        raise AssertionError("the last try returns or raises")

    def _check_never_made(self, ref: KeyRef) -> None:
        if self._ended_at(ref):
            raise KeyDestroyed
        owner = KeyRef(ref.tenant, ref.owner, KeyClass.PROFILE)
        if self._was_made(ref) or not (ref == owner or self._held(owner)):
            raise KeyDestroyed if self._ended_at(owner) else KeyUnavailable

    def _ring(self, tenant: UUID) -> Ring:
        with self._folder(tenant) as folder:
            return self._ring_in(folder, tenant)

    def _ring_in(self, folder: int, tenant: UUID) -> Ring:
        if there(folder, TENANT_MARKER):
            overwrite_and_unlink(folder, TENANT_KEY)
            self._rings.pop(tenant, None)
            raise KeyDestroyed
        try:
            wrapped, now = content(folder, TENANT_KEY), time.monotonic()
        except FileNotFoundError:
            raise KeyUnavailable from None
        # Held under the very bytes it was unwrapped from: a rotation in another process is seen at once.
        was, until, ring = self._rings.get(tenant, (b"", 0.0, None))
        if ring is None or was != wrapped or now >= until:
            ring = Ring.of(tenant, self._store.unwrap(tenant, wrapped))
            self._rings[tenant] = (wrapped, now + self._store.held_for, ring)
        return ring

    def _retire(self, ref: KeyRef, now: datetime) -> None:
        try:
            with self._folder(ref) as folder:
                retire(folder, ref, now)
        except FileNotFoundError:
            pass  # The owner never had a key.
        finally:
            self._wipe_retired(ref)

    def _wipe(self, ref: KeyRef) -> None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            overwrite_and_unlink(folder, file_of(ref))
            if there(folder, f"{ref.cls}.destroyed"):  # Where there was no room for it, none is made anew all the same.
                unlink(folder, f"{ref.cls}.made")
        self._wipe_retired(ref)

    def _wipe_retired(self, ref: KeyRef) -> None:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            for name in os.listdir(folder):  # Copies that somebody made, too.
                if name.startswith(f"{file_of(ref)}."):
                    overwrite_and_unlink(folder, name)

    def _held(self, ref: KeyRef) -> bool:
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            return there(folder, file_of(ref))
        return False

    def _was_made(self, ref: KeyRef) -> bool:
        """Whether there should be a key; not while its retirement was only interrupted."""
        with suppress(FileNotFoundError), self._folder(ref) as folder:
            return there(folder, f"{ref.cls}.made") and not retired(folder, ref)
        return False

    def _ended_at(self, ref: KeyRef) -> datetime | None:
        """When the key was destroyed for ever."""
        return self._marked_at(f"{ref.cls}.destroyed", ref) or self._marked_at(TENANT_MARKER, ref.tenant)

    def _marked_at(self, marker: str, place: UUID | KeyRef) -> datetime | None:
        with suppress(FileNotFoundError), self._folder(place) as folder:
            return datetime.fromisoformat(json.loads(content(folder, marker))["destroyed_at"])
        return None

    @contextmanager
    def _folder(self, place: UUID | KeyRef | None = None, create: bool = False) -> Iterator[int]:
        """The root, a tenant's folder or an owner's folder, open.

        Raises `FileNotFoundError` for an owner's folder that is not there, `KeyUnavailable` for the others.
        """
        names = [] if place is None else ["tenants", *str(place).split("/")[:2]]
        opened: list[int] = []
        try:
            opened.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            for depth, name in enumerate(names):
                # The company's folder is made with its key; an owner may only be added to a company that is there.
                make = create and (depth == 2 or not isinstance(place, KeyRef))
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
