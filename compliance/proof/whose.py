"""Whose a certificate is: a commitment to name and address, and the code that opens it, which the person alone is given.

The certificate outlives the name, so it cannot hold it. It holds SHA-256 of code, address and name. Whoever has all three
can show that it is about them; whoever has another person's certificate cannot make it theirs.
"""

from __future__ import annotations

import hmac
from base64 import b32encode
from uuid import UUID

from batch.people.employees import EmployeeProfile
from compliance.models import Erasure
from compliance.proof import verifier
from likeness.identity import token_hash
from likeness.keys.keys import KeyFolder

CODE = b"likeness/proof-code/v1"


def code_of(receipt: str) -> str:
    """From the receipt, which is stored nowhere: the page that it leads to can show the code, and nobody else can."""
    letters = b32encode(hmac.digest(receipt.encode(), CODE, "sha256")[:16]).decode().rstrip("=")
    return "-".join(letters[at : at + 5] for at in range(0, len(letters), 5))


def hand(erasure: Erasure, receipt: str, who: EmployeeProfile, language: str) -> None:
    """Ties the certificate to come to whoever holds this receipt and bears this name and address, in their language."""
    erasure.receipt_hash = token_hash(receipt)
    erasure.subject_commitment = commitment(receipt, who.full_name, who.email)
    erasure.language = language


def commitment(receipt: str, name: str, email: str) -> str:
    return verifier.commitment(code_of(receipt), name, email)


def keyed(key: bytes, words: str) -> str:
    """What nobody traces back who lacks the company's key."""
    return hmac.digest(key, words.encode(), "sha256").hex()[:32]


def subject_ref(keys: KeyFolder, tenant: UUID, person: UUID) -> str:
    """Whose certificate it is, for this program alone. Raises `KeyUnavailable`."""
    return keyed(keys.index_key(tenant), f"subject|{person}")
