"""What a certificate's row holds is believed where it was signed, and nowhere else.

Whoever writes to the database could otherwise have this program show something else under its own name, or sign it once
more as the second certificate.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from compliance.models import Certificate
from compliance.proof import certificates, departures, signing, verifier
from compliance.proof.certificates import CertificateInvalid
from compliance.proof.paper import sealing
from compliance.proof.whose import subject_ref
from likeness.ground.db import utc_now
from likeness.kernel import Kernel

log = logging.getLogger(__name__)

CHANGED: set[UUID] = set()
"""Those that this process refused to hand out: operators watch how many."""


class CertificateChanged(CertificateInvalid):
    """The row holds something else than what was signed, or sealed, for it."""

    title = "This certificate was changed"


@dataclass(frozen=True)
class Shown:
    """What pages and lists say of a certificate: what was signed, and nothing that stands beside it. One without a `text`
    was changed, and no more is said of it."""

    id: UUID
    stage: int
    text: str | None = None
    document: Mapping[str, Any] = field(default_factory=dict)
    has_page: bool = False

    @property
    def issued_at(self) -> datetime | None:
        return datetime.fromisoformat(self.document["issued_at"]) if self.text else None


def shown(kernel: Kernel, stored: Certificate, person: UUID | None = None) -> Shown:
    """For a page, which says so itself where it was changed. `person` as in `document`."""
    try:
        said = document(kernel, stored, person)
    except CertificateChanged:
        return Shown(stored.id, stored.stage)
    return Shown(stored.id, stored.stage, stored.jws, said, stored.paper is not None)


def document(kernel: Kernel, stored: Certificate, person: UUID | None = None) -> dict[str, Any]:
    """What was signed, whatever stands beside it. Raises `SignerAway`, and `CertificateChanged` where none of our keys
    signed it, or where it is the certificate of another deletion, of another company or, with a `person`, of somebody
    else."""
    try:
        pin, now = verifier.Pin(signing.published(kernel)), utc_now().timestamp()
        said = verifier.certificate(stored.jws, pin, now=now)
    except verifier.Invalid:
        said = {}
    if not _is_of(kernel, said, stored, person):
        CHANGED.add(stored.id)
        log.error("a certificate was changed in the database", extra={"certificate": str(stored.id)})
        raise CertificateChanged(
            "This certificate was changed in the database, so it is not handed out. Whoever runs this installation can put"
            " back the one that was signed."
        )
    return said


def _is_of(kernel: Kernel, said: dict[str, Any], stored: Certificate, person: UUID | None) -> bool:
    whose = str(stored.erasure_id or stored.departure_id)
    if (said.get("id"), said.get("stage")) != (str(stored.id), stored.stage) or said.get("request_ref", whose) != whose:
        return False
    if (entry := said["ledger"].get("entry")) and json.loads(entry)["tenant"] != str(stored.tenant_id):
        return False
    return person is None or said["subject_ref"] == subject_ref(kernel.keys, stored.tenant_id, person)


def text(kernel: Kernel, stored: Certificate, person: UUID | None = None) -> str:
    """The signed text. Raises as `document` does."""
    document(kernel, stored, person)
    return stored.jws


def has_run_out(kernel: Kernel, issued: Sequence[Certificate], now: datetime, again: datetime | None = None) -> bool:
    """Whether a first certificate is all there is, and the last backup that could undo the deletion is gone by what was
    signed, by what the operator says now, and by when something was deleted `again` since."""
    if [one.stage for one in issued] != [1]:
        return False
    try:
        first = document(kernel, issued[0])
    except CertificateChanged:
        return False
    first = departures.as_now(first) if issued[0].departure_id else first
    ran_out = certificates.run_out(certificates.deleted_again(first, again), kernel.settings.backup_days)["ran_out"]
    return ran_out is not None and datetime.fromisoformat(ran_out) <= now


def paper(kernel: Kernel, stored: Certificate, person: UUID | None = None) -> bytes | None:
    """The sealed page; None for a certificate from before there were pages. Raises as `document` does, and
    `CertificateChanged` for a page that is not the one that was sealed for this text."""
    said = document(kernel, stored, person)
    if stored.paper is None:
        return None
    try:
        sealing.check(stored.paper, said.get("paper", {}).get("sealed_by", ""))
        if verifier.out_of_pdf(stored.paper) != stored.jws:
            raise sealing.PaperSealBroken
    except (sealing.PaperSealBroken, verifier.Invalid) as error:
        CHANGED.add(stored.id)
        log.error("a certificate's page was changed in the database", extra={"certificate": str(stored.id)})
        raise CertificateChanged(
            "The page of this certificate was changed in the database, so it is not handed out. Its signed text is."
        ) from error
    return stored.paper
