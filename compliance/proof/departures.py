"""The certificate of a company that left: what was there, what was handed back, who looked, and what is kept.

It is signed, sealed and followed by a second one as a person's is (`certificates.py`). Nothing in it names a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from compliance.proof import certificates
from compliance.proof.certificates import moment
from compliance.proof.scan import PassedScan

KIND = "departure"
LEGAL_BASIS = "GDPR article 28(3)(g)"
LIMITS = (
    "What the company downloaded or was handed back before is outside this system.",
    "Mails that were delivered lie in the recipient's mailbox.",
    "Blocks of deleted files may remain on storage media; what they held was encrypted under keys that were destroyed.",
    "Log stores that the operator attached to this program's output were not searched.",
    "The database's planner statistics, freed pages and write-ahead log were not searched.",
    "Accounts that the company's people have at its own provider of sign-ins are the company's.",
)
CLAIMS = {
    "measured": (
        "asked_at", "counted_when_asked", "handed_back_at", "people_erased", "deleted_at", "key_of_the_company",
        "verification", "holds", "ledger", "kept",
    ),
    "attested": ("controller", "processor", "instance", "legal_basis", "residuals.backups"),
}  # fmt: skip
"""What this program saw for itself, and what others say and it only repeats."""


@dataclass(frozen=True)
class DepartureCase:
    """What the certificate says besides the scan."""

    id: str
    request_ref: str
    issued_at: datetime
    deleted_at: datetime
    """When the company's key was destroyed, after everything else was."""
    asked_at: datetime
    returned_at: datetime | None
    controller: str
    processor: str
    instance: str
    software: str
    counted: Mapping[str, Any]
    people: int
    kept: Sequence[str]
    holds: Sequence[Mapping[str, Any]]
    ledger: Mapping[str, Any]
    sealed_by: str
    backup_days: int | None


def build(case: DepartureCase, passed: PassedScan) -> dict[str, Any]:
    """The document. It cannot be made without a passed scan. Raises `TypeError` for anything else."""
    if not isinstance(passed, PassedScan):
        raise TypeError("a certificate rests on a passed scan")
    return {
        "certificate": KIND,
        "id": case.id,
        "stage": 1,
        "request_ref": case.request_ref,
        "issued_at": moment(case.issued_at),
        "controller": case.controller,
        "processor": case.processor,
        "instance": case.instance,
        "software": case.software,
        "legal_basis": LEGAL_BASIS,
        "asked_at": moment(case.asked_at),
        "counted_when_asked": dict(case.counted),
        "handed_back_at": moment(case.returned_at) if case.returned_at else None,
        "people_erased": case.people,
        "deleted_at": moment(case.deleted_at),
        "key_of_the_company": {
            "destroyed_at": moment(case.deleted_at), "nist_800_88": "Purge (cryptographic erase)",
        },
        "verification": passed.scan.as_dict(),
        "statement": certificates.WORDING,
        "residuals": [certificates.backups(case.deleted_at, case.backup_days)],
        "kept": [{"what": what} for what in case.kept],
        "holds": [dict(hold) for hold in case.holds],
        "limits": list(LIMITS),
        "ledger": dict(case.ledger),
        "paper": {"sealed_by": case.sealed_by},
        "claims": {kind: list(fields) for kind, fields in CLAIMS.items()},
    }  # fmt: skip


def as_now(document: Mapping[str, Any]) -> dict[str, Any]:
    """One of an earlier version, with the fields that a second one is made from."""
    deleted_at = document["key_of_the_company"]["destroyed_at"]
    return {"deleted_at": deleted_at, "claims": CLAIMS, "limits": list(LIMITS), **document}
