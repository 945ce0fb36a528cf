"""When two spellings of an address are the same mailbox."""

from __future__ import annotations

import contextlib
import unicodedata
from functools import lru_cache

import idna


def email_identity(address: str) -> str:
    """The one spelling under which two spellings of an address are the same: lower case, A-label domain.

    Letters that only look or sound alike stay two: ß and ss are two mailboxes, whoever has either.
    """
    local, _, domain = unicodedata.normalize("NFC", address.strip()).rpartition("@")
    return f"{local.lower()}@{_a_label(domain)}"


@lru_cache(maxsize=1_000)
def _a_label(domain: str) -> str:
    """By itself, because ten thousand addresses of a company have one domain."""
    with contextlib.suppress(idna.IDNAError):
        domain = idna.encode(domain, uts46=True).decode("ascii")
    return domain.lower()
