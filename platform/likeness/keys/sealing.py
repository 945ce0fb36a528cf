"""Sealing bytes with AES-256-GCM. Used by keys and objects."""

from __future__ import annotations

from secrets import token_bytes

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from likeness.ground.errors import LikenessError

# A sealed text is: one byte of format, 12 bytes of nonce, the ciphertext, 16 bytes of tag.
FORMAT = b"\x01"
NONCE = 12
OVERHEAD = len(FORMAT) + NONCE + 16


class SealBroken(LikenessError):
    """The bytes were changed, moved, cut short, or sealed under another key."""

    title = "Stored data cannot be opened"


def seal(secret: bytes, plaintext: bytes, bound_to: bytes) -> bytes:
    """AES-256-GCM under a random nonce; NIST SP 800-38D allows 2^32 of these per key, a person needs some thousands."""
    nonce = token_bytes(NONCE)
    return FORMAT + nonce + AESGCM(secret).encrypt(nonce, plaintext, bound_to)


def unseal(secret: bytes, sealed: bytes, bound_to: bytes) -> bytes:
    if len(sealed) < OVERHEAD or sealed[:1] != FORMAT:
        raise SealBroken
    try:
        return AESGCM(secret).decrypt(sealed[1 : 1 + NONCE], sealed[1 + NONCE :], bound_to)
    except InvalidTag:
        # Without `from None` a report of the error would carry the arguments of the frame below.
        raise SealBroken from None
