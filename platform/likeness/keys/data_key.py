"""One person's key of one class: what it is named by, what it seals, and the keyed index beside it."""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from likeness.keys.sealing import seal, unseal


class KeyClass(StrEnum):
    SOURCE = "source"
    MODEL = "model"
    HEADSHOT = "headshot"
    PROFILE = "profile"
    LOG_DETAIL = "log-detail"


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

    def digest(self, words: bytes, purpose: str) -> bytes:
        """A keyed digest that nobody can make or compare once this key is destroyed."""
        own = HKDF(SHA256(), 32, salt=None, info=b"digest|" + _bound_to(self.ref, purpose)).derive(self._secret)
        return hmac.digest(own, words, "sha256")

    def material(self) -> bytes:
        """For a lease alone, which seals it to the one process that may use it."""
        return self._secret

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
