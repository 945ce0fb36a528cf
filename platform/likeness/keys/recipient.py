"""Bytes sealed to one process: whoever makes a key pair at their start is the only one who opens what is sealed to it.

Hybrid public key encryption (RFC 9180) in its base mode: X25519, HKDF-SHA256, AES-256-GCM. Each sealing has its own key.
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from likeness.keys.sealing import SealBroken

SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Recipient:
    """A key pair of this process, kept in its memory alone. It cannot be pickled, so it reaches no other process."""

    def __init__(self) -> None:
        self._private = X25519PrivateKey.generate()

    @property
    def public(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """Raises `SealBroken` unless these very bytes were sealed to this process and for this purpose."""
        try:
            return SUITE.decrypt(sealed, self._private, bound_to)
        except (InvalidTag, ValueError):
            raise SealBroken from None

    def __repr__(self) -> str:
        return f"Recipient({self.public.hex()})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not leave its process")


def seal_to(public: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    return SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public), bound_to)
