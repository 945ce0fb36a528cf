"""What a certificate's row holds is believed where it was signed, and nowhere else.

Whoever writes to the database could otherwise have this program show something else under its own name, or sign it once
more as the second certificate.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from compliance.models import Certificate
from compliance.proof import certificates, departures, signing, verifier
from compliance.proof.certificates import CertificateInvalid
from compliance.proof.paper import sealing
from likeness.kernel import Kernel

log = logging.getLogger(__name__)


class CertificateChanged(CertificateInvalid):
    """The row holds something else than what was signed, or sealed, for it."""

    title = "This certificate was changed"


def document(kernel: Kernel, stored: Certificate) -> dict[str, Any]:
    """What was signed, whatever stands beside it. Raises `CertificateChanged` where none of our keys signed it, or where it
    is the certificate of another deletion; and `SignerAway`."""
    try:
        said = certificates.verify(stored.jws, signing.published(kernel))
    except CertificateInvalid:
        said = {}
    whose = str(stored.erasure_id or stored.departure_id)
    if said.get("id") != str(stored.id) or said.get("request_ref", whose) != whose:
        log.error("a certificate was changed in the database", extra={"certificate": str(stored.id)})
        raise CertificateChanged(
            "This certificate was changed in the database, so it is not handed out. Whoever runs this installation can put"
            " back the one that was signed."
        )
    return said


def text(kernel: Kernel, stored: Certificate) -> str:
    """The signed text. Raises as `document` does."""
    document(kernel, stored)
    return stored.jws


def has_run_out(kernel: Kernel, issued: Sequence[Certificate], now: datetime) -> bool:
    """Whether a first certificate is all there is, and the last backup that could undo the deletion is gone by what was
    signed and by what the operator says now."""
    if [one.stage for one in issued] != [1]:
        return False
    try:
        first = document(kernel, issued[0])
    except CertificateChanged:
        return False
    first = departures.as_now(first) if issued[0].departure_id else first
    ran_out = certificates.run_out(first, kernel.settings.backup_days)["ran_out"]
    return ran_out is not None and datetime.fromisoformat(ran_out) <= now


def paper(kernel: Kernel, stored: Certificate) -> bytes | None:
    """The sealed page; None for a certificate from before there were pages. Raises as `document` does, and
    `CertificateChanged` for a page that is not the one that was sealed for this text."""
    said = document(kernel, stored)
    if stored.paper is None:
        return None
    try:
        sealing.check(stored.paper, said["paper"]["sealed_by"])
        if verifier.out_of_pdf(stored.paper) != stored.jws:
            raise sealing.PaperSealBroken
    except (sealing.PaperSealBroken, verifier.Invalid) as error:
        log.error("a certificate's page was changed in the database", extra={"certificate": str(stored.id)})
        raise CertificateChanged(
            "The page of this certificate was changed in the database, so it is not handed out. Its signed text is."
        ) from error
    return stored.paper
