"""The key folder's own master key, which wraps the companies' keys where no provider does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_bytes, token_hex
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from likeness.ground.files import content, overwrite_and_unlink, there, write_atomically
from likeness.keys.sealing import SealBroken, seal, unseal
from likeness.keys.states import KeyUnavailable, MasterKeyForeign, MasterKeyMissing

KEY_BYTES = 32
MASTER_KEY = "master.key"
ROTATED = b"LKM2"
"""A master key that was rotated: this, the fingerprint of the first one, then the newest key and the one before."""


class MasterFolder:
    held_for = 0.0

    def __init__(self, folder: Path) -> None:
        self._root = folder
        self._expected: str | None = None
        self._known = (b"", "")

    def begin(self) -> None:
        """Makes the master key of a new database. Raises `MasterKeyMissing` where there are keys of an old one."""
        # Looked at in this order, a process that makes the first keys meanwhile does not look like a loss.
        has_keys = any((self._root / "tenants").glob("*/*.key"))
        if not (self._root / MASTER_KEY).exists():
            if has_keys:
                raise MasterKeyMissing(f"{self._root} holds keys, but not the master key that opens them.")
            self.make()

    def make(self) -> None:
        """Makes a master key where there is none."""
        with self._opened() as folder, suppress(FileExistsError):
            write_atomically(folder, MASTER_KEY, [token_bytes(KEY_BYTES)])

    def wipe(self) -> None:
        """Nothing is wrapped by it any more."""
        with self._opened() as folder:
            overwrite_and_unlink(folder, MASTER_KEY)

    def fingerprint(self) -> str:
        """Tells this master key and those that it was rotated from from any other. Raises `MasterKeyMissing`."""
        return self._keys()[0]

    def expect(self, fingerprint: str) -> None:
        self._expected = fingerprint

    def wrap(self, tenant: UUID, secret: bytes) -> bytes:
        return seal(self._keys()[1][0], secret, _wrapping(tenant))

    def unwrap(self, tenant: UUID, wrapped: bytes) -> bytes:
        for master in self._keys()[1]:
            with suppress(SealBroken):
                return unseal(master, wrapped, _wrapping(tenant))
        raise KeyUnavailable

    def rotate(self, tenants: Sequence[UUID]) -> None:
        fingerprint, (newest, *_) = self._keys()
        with self._opened() as folder:
            replace(folder, MASTER_KEY, ROTATED + bytes.fromhex(fingerprint) + token_bytes(KEY_BYTES) + newest)

    def destroy(self, tenant: UUID) -> None:
        """Nothing is kept of one company alone: its wrapped key goes with its folder."""

    def describe(self) -> str:
        self._keys()
        return f"The companies' keys are wrapped by the master key in {self._root}: whoever copies that folder opens all."

    @contextmanager
    def _opened(self) -> Iterator[int]:
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield folder
        finally:
            os.close(folder)

    def _keys(self) -> tuple[str, list[bytes]]:
        """The fingerprint, and the keys, the newest first. Read each time, because a volume may go away and another one
        come in its place."""
        try:
            with self._opened() as folder:
                held = content(folder, MASTER_KEY)
        except OSError:
            raise MasterKeyMissing("The master key is not in the key folder. Mount the folder that holds it.") from None
        if held.startswith(ROTATED) and len(held) == len(ROTATED) + 16 + 2 * KEY_BYTES:
            start = len(ROTATED) + 16
            found = held[len(ROTATED) : start].hex(), [held[start : start + KEY_BYTES], held[start + KEY_BYTES :]]
        elif len(held) == KEY_BYTES:
            known = self._known
            if known[0] != held:  # Worked out once, because a page of a list asks fifty times.
                self._known = known = held, _fingerprint(held)
            found = known[1], [held]
        else:
            raise MasterKeyMissing(f"{MASTER_KEY} holds {len(held)} bytes instead of {KEY_BYTES}.")
        if self._expected is not None and found[0] != self._expected:
            raise MasterKeyForeign("The key folder holds another master key than this database was sealed under.")
        return found


def replace(folder: int, name: str, data: bytes) -> None:
    """Puts a new file in the place of another in one step, and wipes the one that was there."""
    fresh, old = f"{name}.{token_hex(8)}.new", f"{name}.{token_hex(8)}.old"
    write_atomically(folder, fresh, [data])
    if there(folder, name):
        os.link(name, old, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)
    overwrite_and_unlink(folder, old)


def _fingerprint(master: bytes) -> str:
    return HKDF(SHA256(), 16, salt=None, info=b"fingerprint of the master key").derive(master).hex()


def _wrapping(tenant: UUID) -> bytes:
    return f"tenant|{tenant}".encode()
