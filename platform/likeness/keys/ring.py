"""A company's key with the one before it, so that it can be rotated while everybody works.

What is made for an index must not change with it, because the index is in the database: its key is kept from the first.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from secrets import token_bytes
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from likeness.keys.master import KEY_BYTES
from likeness.keys.sealing import SealBroken, seal, unseal
from likeness.keys.states import KeyUnavailable

FORMAT = b"\x02"


@dataclass(frozen=True)
class Ring:
    index: bytes = field(repr=False)
    keys: tuple[bytes, ...] = field(repr=False)
    """The newest first; whatever was not made anew at the last rotation is under the second."""

    @classmethod
    def of(cls, tenant: UUID, held: bytes) -> Ring:
        """From what the key store has unwrapped. Raises `KeyUnavailable` for anything else."""
        if len(held) == KEY_BYTES:  # Never rotated.
            return cls(HKDF(SHA256(), KEY_BYTES, salt=None, info=f"blind index|{tenant}".encode()).derive(held), (held,))
        parts = [held[start : start + KEY_BYTES] for start in range(len(FORMAT), len(held), KEY_BYTES)]
        if not held.startswith(FORMAT) or len(parts) < 2 or len(parts[-1]) != KEY_BYTES:
            raise KeyUnavailable
        return cls(parts[0], tuple(parts[1:]))

    def rotated(self) -> Ring:
        return Ring(self.index, (token_bytes(KEY_BYTES), self.keys[0]))

    def as_bytes(self) -> bytes:
        return FORMAT + self.index + b"".join(self.keys)

    def seal(self, secret: bytes, bound_to: bytes) -> bytes:
        return seal(self.keys[0], secret, bound_to)

    def unseal(self, wrapped: bytes, bound_to: bytes) -> bytes:
        """Raises `SealBroken`."""
        for key in self.keys:
            with suppress(SealBroken):
                return unseal(key, wrapped, bound_to)
        raise SealBroken

    def renewed(self, wrapped: bytes, bound_to: bytes) -> bytes | None:
        """The same under the newest key, and as long; None where it is already, or is damaged."""
        with suppress(SealBroken):
            unseal(self.keys[0], wrapped, bound_to)
            return None
        with suppress(SealBroken):
            return self.seal(self.unseal(wrapped, bound_to), bound_to)
        return None
