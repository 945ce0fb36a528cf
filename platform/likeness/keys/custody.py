"""Who wraps the companies' keys: the key folder itself, Vault, AWS KMS, or a PKCS#11 token.

Whichever it is, what is wrapped lies in the key folder; what opens it lies with the provider, and never in this program
for longer than a company's key may be held in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class KeyStore(Protocol):
    """Everything here raises `KeyUnavailable` while the provider does not answer; then everybody waits."""

    held_for: float
    """Seconds for which an unwrapped key may be kept in memory, so that not every picture asks the provider."""

    def wrap(self, tenant: UUID, secret: bytes) -> bytes: ...
    def unwrap(self, tenant: UUID, wrapped: bytes) -> bytes: ...

    def rotate(self, tenants: Sequence[UUID]) -> None:
        """A new version of what wraps these companies' keys. What older versions have wrapped still opens."""

    def destroy(self, tenant: UUID) -> None:
        """What the provider keeps of this company alone. Safe to repeat."""

    def describe(self) -> str:
        """A sentence on what wraps, asked of the provider now."""
