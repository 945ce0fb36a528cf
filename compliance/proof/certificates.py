"""Deletion certificates: a document, its signature, and the check that anybody can make offline with the public key.

Nothing here touches a database. The document is canonical JSON (RFC 8785) inside a compact JWS under Ed25519.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import rfc8785
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from compliance.proof.scan import PassedScan
from likeness.ground.errors import LikenessError

ALGORITHM = "Ed25519"
TYPE = "likeness-certificate+jws"
PROCESSOR = "the operator of this instance of Likeness"
"""Where the operator named nobody (`LIKENESS_OPERATOR`)."""
BACKUPS = "backups of the key folder"
WORDING = "Not found in the listed stores at this time by this verifier."
LIMITS = (
    "What the employer downloaded before is outside this system. Each download is listed, under recipients_informed when"
    " the mail that asks to delete the copy was handed over, else under recipients_not_informed.",
    "Mails that were delivered lie in the recipient's mailbox.",
    "The audit log, accounts and requests keep the person's random id, which leads to nobody any more.",
    "Blocks of deleted files may remain on storage media; what they held was encrypted under keys that were destroyed.",
    "Log stores that the operator attached to this program's output were not searched.",
    "The database's planner statistics, freed pages and write-ahead log were not searched; on nodes of a cluster the random"
    " id alone was looked for, and no name.",
    "What stands sealed in lines of other people was not searched: who somebody's manager is, messages to the desk, and"
    " what a member saved as a view of their own.",
)
CLAIMS = {
    "measured": (
        "classes", "keys", "deleted_at", "verification", "holds", "ledger", "recipients_informed.informed_at",
        "recipients_not_informed", "kept", "subject_commitment", "terms",
    ),
    "attested": (
        "controller", "processor", "instance", "legal_basis", "residuals.backups", "recipients_informed.attested_by",
    ),
}  # fmt: skip
"""What this program saw for itself, and what others say and it only repeats."""


class CertificateInvalid(LikenessError):
    """Changed, signed by another key, signed in another way, or no certificate at all."""

    status, title = 422, "This is not a valid certificate"


@dataclass(frozen=True)
class Case:
    """What a certificate says besides the scan. Nothing in it names the person."""

    id: str
    stage: int
    issued_at: datetime
    controller: str
    instance: str
    software: str
    subject_ref: str
    request_ref: str
    trigger: str
    requested_at: datetime
    deleted_at: datetime
    classes: Mapping[str, Mapping[str, Any]]
    keys: Sequence[Mapping[str, Any]]
    informed: Sequence[Mapping[str, Any]]
    not_informed: Sequence[Mapping[str, Any]]
    holds: Sequence[Mapping[str, Any]]
    ledger: Mapping[str, Any]
    residuals: Sequence[Mapping[str, Any]] = ()
    kept: Sequence[str] = ()
    """What stays by design, and is no leftover of a deletion."""
    scope: str = "everything"
    subject_commitment: str | None = None
    sealed_by: str = ""
    """The fingerprint of the certificate that seals the page."""
    backup_days: int | None = None
    processor: str = PROCESSOR
    terms: Mapping[str, Any] = field(default_factory=dict)
    """The company's days until deletion, and the version of the notice that tells of them."""
    legal_basis: str = "GDPR article 17; CCPA section 1798.105"


def build(case: Case, passed: PassedScan) -> dict[str, Any]:
    """The document. It cannot be made without a passed scan. Raises `TypeError` for anything else."""
    if not isinstance(passed, PassedScan):
        raise TypeError("a certificate rests on a passed scan")
    return {
        "certificate": "deletion",
        "id": case.id,
        "stage": case.stage,
        "issued_at": moment(case.issued_at),
        "controller": case.controller,
        "processor": case.processor,
        "terms": dict(case.terms),
        "instance": case.instance,
        "software": case.software,
        "scope": case.scope,
        "subject_ref": case.subject_ref,
        "subject_commitment": case.subject_commitment,
        "request_ref": case.request_ref,
        "legal_basis": case.legal_basis,
        "trigger": case.trigger,
        "requested_at": moment(case.requested_at),
        "deleted_at": moment(case.deleted_at),
        "classes": {name: dict(values) for name, values in case.classes.items()},
        "keys": [dict(key) for key in case.keys],
        "verification": passed.scan.as_dict(),
        "statement": WORDING,
        "residuals": [backups(case.deleted_at, case.backup_days), *(dict(residual) for residual in case.residuals)],
        "kept": [{"what": what} for what in case.kept],
        "recipients_informed": [dict(recipient) for recipient in case.informed],
        "recipients_not_informed": [dict(recipient) for recipient in case.not_informed],
        "holds": [dict(hold) for hold in case.holds],
        "limits": list(LIMITS),
        "ledger": dict(case.ledger),
        "paper": {"sealed_by": case.sealed_by},
        "claims": {kind: list(fields) for kind, fields in CLAIMS.items()},
    }


def second(
    first: Mapping[str, Any],
    passed: PassedScan,
    *,
    id: str,
    issued_at: datetime,
    ledger: Mapping[str, Any],
    sealed_by: str,
    told: tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]] | None,
    backup_days: int | None,
) -> dict[str, Any]:
    """What the first one says, after the last backup: looked at once more, with nothing left, and with what became of those
    who had copies (None where nobody had). That the backups have run out is what the operator says, and is marked as such
    again."""
    if not isinstance(passed, PassedScan):
        raise TypeError("a certificate rests on a passed scan")
    recipients = {} if told is None else {
        "recipients_informed": [dict(recipient) for recipient in told[0]],
        "recipients_not_informed": [dict(recipient) for recipient in told[1]],
    }  # fmt: skip
    claims = first.get("claims", CLAIMS)
    return {
        **first,
        **recipients,
        "id": id,
        "stage": 2,
        "first": first["id"],
        "issued_at": moment(issued_at),
        "verification": passed.scan.as_dict(),
        "residuals": [],
        "backups": run_out(first, backup_days),
        "ledger": dict(ledger),
        "paper": {"sealed_by": sealed_by},
        "claims": {
            "measured": list(claims["measured"]),
            "attested": ["backups" if one == "residuals.backups" else one for one in claims["attested"]],
        },
    }


def deleted_again(first: Mapping[str, Any], at: datetime | None) -> Mapping[str, Any]:
    """The first one as it is true once something came back after it and was deleted `at` a later moment."""
    if at is None or moment(at) <= first["deleted_at"]:
        return first
    return {**first, "deleted_at": moment(at), "deleted_first_at": first["deleted_at"]}


def run_out(first: Mapping[str, Any], backup_days: int | None) -> dict[str, Any]:
    """The later of two days: the one that the first certificate promised, and the one that follows from what the operator
    says by now."""
    said: Mapping[str, Any] = next((one for one in first["residuals"] if one["what"] == BACKUPS), {})
    promised, basis = said.get("until"), said.get("basis")
    ran_out = promised
    if backup_days is not None:
        by_now = moment(datetime.fromisoformat(first["deleted_at"]) + timedelta(days=backup_days))
        ran_out, basis = max(promised or by_now, by_now), _attests(backup_days)
    return {"what": BACKUPS, "promised": promised, "ran_out": ran_out, "basis": basis}


def backups(deleted_at: datetime, days: int | None) -> dict[str, Any]:
    """How long a copy of the key folder could bring a key back is known to its operator alone."""
    what = {"what": BACKUPS}
    if days is None:
        return what | {"until": None, "basis": "the operator has not stated how long backups are kept"}
    return what | {"until": moment(deleted_at + timedelta(days=days)), "basis": _attests(days)}


def _attests(days: int) -> str:
    return f"the operator attests that backups are kept for {days} days"


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


def sign(document: Mapping[str, Any], key: OKPKey) -> str:
    # The key comes along, so that its fingerprint from a consent receipt is enough to check it.
    header = {"alg": ALGORITHM, "jwk": key.as_dict(private=False), "kid": key.thumbprint(), "typ": TYPE}
    return jws.serialize_compact(header, rfc8785.dumps(dict(document)), key, algorithms=[ALGORITHM])


def verify(token: str, public: Mapping[str, Any]) -> dict[str, Any]:
    """The document, when this very key signed these very bytes. `public` is a JWK or a JWKS.

    Raises `CertificateInvalid`.
    """
    token = token.strip()
    if not isinstance(public, Mapping):
        raise CertificateInvalid("The key file holds no public key. It has to be the JWK, or the list of them (JWKS).")
    try:
        _check_spelling(token)
        header = jws.extract_compact(token.encode()).headers()
        key = _key_for(public, header)
        signed = jws.deserialize_compact(token, key, algorithms=[ALGORITHM])
        document = json.loads(signed.payload)
    except CertificateInvalid:
        raise
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise CertificateInvalid("The signature does not match these words and this key.") from error
    if header.get("typ") != TYPE or not isinstance(document, dict) or rfc8785.dumps(document) != signed.payload:
        raise CertificateInvalid("This is signed, but it is no deletion certificate.")
    return document


def kid_of(token: str) -> str:
    """Which key says that it signed."""
    return str(jws.extract_compact(token.strip().encode()).headers()["kid"])


def fingerprint(jwk: Mapping[str, Any]) -> str:
    """RFC 7638."""
    return OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")}).thumbprint()


def _check_spelling(token: str) -> None:
    """Base64 has unused bits at the end, so that several spellings mean the same bytes; one of them is ours."""
    for part in token.split("."):
        meant = urlsafe_b64decode(part + "=" * (-len(part) % 4))
        if urlsafe_b64encode(meant).rstrip(b"=").decode() != part:
            raise CertificateInvalid("This certificate was changed.")


def _key_for(public: Mapping[str, Any], header: Mapping[str, Any]) -> OKPKey:
    # The header says which key to take, never which algorithm: that one is fixed.
    if header.get("alg") != ALGORITHM:
        raise CertificateInvalid("This certificate is not signed with Ed25519.")
    candidates = public.get("keys", [public])
    for jwk in candidates:
        if isinstance(jwk, Mapping) and jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            key = OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")})
            if key.thumbprint() == header.get("kid"):
                return key
    raise CertificateInvalid("This certificate was signed by another key.")
