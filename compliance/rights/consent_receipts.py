"""A receipt for each answer, in the structure of ISO/IEC TS 27560, signed with the key that signs certificates.

It is made by whoever holds that key, within a minute or two, kept with the answer, and fetched by the person; once they
take their answer back it is made anew, and says so. It names them by their random id alone: their name stands in the
mail, and sealed beside the answer. It holds a checkpoint of the company's log and the proof that the answer is in it, so
that whoever keeps their receipt can show that the log was changed afterwards.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import rfc8785
from joserfc import jws
from sqlalchemy import Text, cast, or_
from sqlmodel import Session, col, select

from batch.models import Consent, Notice, Purpose
from batch.visit import notices
from compliance.proof import certificates, signing, stored, verifier
from likeness import checkpoints
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import NotFound, Unprocessable
from likeness.ground.lanes import Lane
from likeness.ground.settings import Settings
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from tenants import tenants
from tenants.models import Tenant

log = logging.getLogger(__name__)

STRUCTURE = "ISO/IEC TS 27560:2023"
PATH = "/schemas/consent-receipt-1.json"
LATEST = timedelta(days=7)
"""Answers of before are not receipted any more; those of this version are within minutes."""
PURPOSES: dict[str, dict[str, Any]] = {
    Purpose.HEADSHOTS: {"pii": ["photographs of the face", "model of the face"],
                        "methods": ["training of one model of this person alone", "rendering"]},
    Purpose.DRAWN: {"pii": ["photographs of the face"], "methods": ["drawing after photographs, without training"]},
    Purpose.PORTRAIT: {"pii": ["photographs of the face"], "methods": ["cutting out", "composing"]},
    Purpose.BIOMETRIC: {"pii": ["measures of the face, in memory alone"], "methods": ["comparing with their own photos"]},
}  # fmt: skip


class ReceiptMissing(NotFound):
    """It is not made yet, or the answer is somebody else's."""

    title = "There is no receipt yet"


class ReceiptChanged(Unprocessable):
    """The row holds something else than what was signed for this answer."""

    title = "This receipt was changed"


def get(session: Session, kernel: Kernel, employee_id: UUID, consent_id: UUID) -> str:
    """Raises `ReceiptMissing` and `ReceiptChanged`."""
    found = session.exec(
        select(Consent.signed_receipt).where(
            col(Consent.tenant_id) == tenant_of(session),
            col(Consent.employee_id) == employee_id,
            col(Consent.id) == consent_id,
        )
    ).first()
    if not found:
        raise ReceiptMissing("There is no signed receipt of this yet. It is made within a few minutes.")
    return as_signed(kernel, found, employee_id, consent_id)


def as_signed(kernel: Kernel, token: str, employee_id: UUID, consent_id: UUID) -> str:
    """The receipt, where it was signed for this answer of this person. Raises `ReceiptChanged`."""
    try:
        pin, now = verifier.Pin(signing.published(kernel)), utc_now().timestamp()
        said = verifier.certificate(token, pin, verifier.RECEIPT, now)["record_metadata"]
    except verifier.Invalid:
        said = {}
    if (said.get("receipt_id"), said.get("pii_principal_id")) != (str(consent_id), str(employee_id)):
        stored.CHANGED.add(consent_id)
        log.error("a consent receipt was changed in the database", extra={"employee": str(employee_id)})
        raise ReceiptChanged(
            "This receipt was changed in the database, so it is not handed out. Whoever runs this installation is told."
        )
    return token


@jobs.every(timedelta(minutes=1))
def ask(kernel: Kernel, now: datetime) -> None:
    for tenant in tenants.all_ids(kernel):
        with kernel.db.transaction(tenant) as session:
            waiting = session.exec(
                select(Consent.id).where(
                    col(Consent.tenant_id) == tenant,
                    col(Consent.signed_receipt).is_(None),
                    or_(col(Consent.given_at) > now - LATEST, col(Consent.withdrawn_at) > now - LATEST),
                )
            ).all()
        sweeping.each(kernel, "consent-receipts", tenant, list(waiting), now, partial(_send, now=now))


def _send(session: Session, consent_id: UUID, *, now: datetime) -> None:
    jobs.send(session, sign, str(consent_id), key=f"{consent_id}:receipt:{now:%Y%m%d%H%M}")


@jobs.actor(lane=Lane.PRIVACY, attempts=10, lease=timedelta(minutes=3))
def sign(attempt: jobs.Attempt, consent_id: str) -> None:
    now = utc_now()
    key = signing.key(attempt.kernel, now)
    with attempt.finishing() as session:
        consent = session.exec(
            select(Consent)
            .where(col(Consent.tenant_id) == attempt.tenant, col(Consent.id) == UUID(consent_id))
            .with_for_update()  # A withdrawal at this moment comes before or after, and what is signed is true.
        ).one_or_none()
        if consent is None or consent.signed_receipt is not None:
            return
        said = document(consent, notices.get(session, consent.notice_id), tenants.get(session),
                        attempt.kernel.settings)  # fmt: skip
        if (placed := _place(session, attempt.kernel, consent, now)) is not None:
            said["ledger"] = placed
        header = {
            "alg": certificates.ALGORITHM, "jwk": key.as_dict(private=False), "kid": key.thumbprint(),
            "typ": verifier.RECEIPT,
        }  # fmt: skip
        words = rfc8785.dumps(said)
        consent.signed_receipt = jws.serialize_compact(header, words, key, algorithms=[certificates.ALGORITHM])
        session.add(consent)


def _place(session: Session, kernel: Kernel, consent: Consent, now: datetime) -> dict[str, Any] | None:
    """The newest entry of the log that names this answer, and a checkpoint that covers it: the one that is known, if it
    does, because several answer within the same minute. None where a restore lost the entry."""
    entry = session.exec(
        select(LedgerEntry)
        .where(
            col(LedgerEntry.tenant_id) == tenant_of(session),
            col(LedgerEntry.subject) == str(consent.employee_id),
            col(LedgerEntry.event).startswith("consent."),
            cast(col(LedgerEntry.objects), Text).contains(str(consent.id)),
        )
        .order_by(col(LedgerEntry.sequence).desc())
        .limit(1)
    ).one_or_none()
    if entry is None:
        return None
    point = checkpoints.shown(session, entry.epoch)
    if point is None or point.size <= entry.position:
        point = checkpoints.sign(session, signing.signer(kernel, now), now)
    if point is None or point.epoch != entry.epoch or point.size <= entry.position:
        return None
    return checkpoints.place(session, entry, point)


def document(consent: Consent, notice: Notice, company: Tenant, settings: Settings) -> dict[str, Any]:
    about, url = PURPOSES[consent.purpose], settings.public_url.rstrip("/")
    events = [_event(consent.given_at, "given", "a box of its own, and their name, typed, as signature")]
    if consent.withdrawn_at is not None:
        events.append(_event(consent.withdrawn_at, "withdrawn", "their own page"))
    return {
        "record_metadata": {
            "schema": f"{url}{PATH}", "schema_version": STRUCTURE, "record_id": str(consent.id),
            "receipt_id": str(consent.id), "pii_principal_id": str(consent.employee_id),
        },
        "pii_processing": {
            "privacy_notice": {
                "url": f"{url}/retention/{company.id}", "version": notice.version, "language": notice.language,
                "sha256": notice.digest,
            },
            "purposes": [
                {
                    "purpose": str(consent.purpose), "lawful_basis": "consent",
                    "pii_information": [{"pii_type": one, "special_pii_category": True} for one in about["pii"]],
                    "collection_method": "handed in by the person", "processing_methods": about["methods"],
                    "pii_controllers": ["controller"], "pii_processors": ["processor"],
                    "storage_locations": ["this installation"], "retention_period": _kept(consent.purpose, notice, company),
                    "recipient_third_parties": "what the person releases, to the controller alone",
                    "withdrawal_method": f"{url}/visit/face",
                }
            ],
        },
        "party_identification": [
            {"party_id": "controller", "party_role": "PII controller", "party_name": company.name,
             "party_contact": company.contact},
            {"party_id": "processor", "party_role": "PII processor", "party_contact": url,
             "party_name": settings.operator or certificates.PROCESSOR},
        ],
        "events": events,
    }  # fmt: skip


def _kept(purpose: str, notice: Notice, company: Tenant) -> list[str]:
    """In the notice's own terms: where the company changed them since, its text is what holds for this answer."""
    if notice.version != notices.version(company):
        return ["as the privacy notice of this version says"]
    if purpose == Purpose.BIOMETRIC:
        return ["measures of the face: in memory alone, for the seconds that they are needed"]
    things = "photos, and a model of them" if purpose == Purpose.HEADSHOTS else "photos"
    return [f"{things}: {company.source_days} days", f"headshots: {company.headshot_days} days"]


def _event(at: datetime, state: str, how: str) -> dict[str, str]:
    said = {"event_time": certificates.moment(at), "event_type": "explicit", "event_state": f"consent {state}"}
    return said | {"entity_id": "pii_principal", "method": how} | (
        {"validity_duration": "until it is withdrawn"} if state == "given" else {}
    )


# The published form


def form(address: str) -> dict[str, Any]:
    """JSON Schema 2020-12 of what is signed: our profile of ISO/IEC TS 27560."""
    text: dict[str, Any] = {"type": "string"}
    several: dict[str, Any] = {"type": "array", "items": text, "minItems": 1}
    uuid, moment, digest = text | {"format": "uuid"}, text | {"format": "date-time"}, text | {"pattern": "^[0-9a-f]{64}$"}
    pii = _whole({"pii_type": text, "special_pii_category": {"type": "boolean"}})
    purpose = {
        "purpose": {"enum": [str(one) for one in Purpose]}, "lawful_basis": {"const": "consent"},
        "pii_information": {"type": "array", "items": pii, "minItems": 1}, "collection_method": text,
        "processing_methods": several, "pii_controllers": several, "pii_processors": several,
        "storage_locations": several, "retention_period": several, "recipient_third_parties": text,
        "withdrawal_method": text,
    }  # fmt: skip
    notice = {"url": text, "version": text, "language": text, "sha256": digest}
    party = {"party_id": {"enum": ["controller", "processor"]}, "party_role": text, "party_name": text,
             "party_contact": text}  # fmt: skip
    event = {"event_time": moment, "event_type": {"const": "explicit"}, "entity_id": {"const": "pii_principal"},
             "event_state": {"enum": ["consent given", "consent withdrawn"]}, "method": text}  # fmt: skip
    about = {"schema": text, "schema_version": {"const": STRUCTURE}, "record_id": uuid, "receipt_id": uuid,
             "pii_principal_id": uuid}  # fmt: skip
    hashes = {"type": "array", "items": digest}
    ledger = _whole({"checkpoint": text, "entry": text, "position": {"type": "integer"}, "proof": hashes})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{address}{PATH}",
        "title": "A consent receipt of Likeness, in the structure of ISO/IEC TS 27560",
        **_whole({
            "record_metadata": _whole(about),
            "pii_processing": _whole({
                "privacy_notice": _whole(notice),
                "purposes": {"type": "array", "items": _whole(purpose), "minItems": 1, "maxItems": 1},
            }),
            "party_identification": {"type": "array", "items": _whole(party), "minItems": 2, "maxItems": 2},
            "events": {"type": "array", "items": _whole(event, validity_duration=text), "minItems": 1, "maxItems": 2},
        }, ledger=ledger),
    }  # fmt: skip


def _whole(required: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object", "required": list(required), "additionalProperties": False, "properties": required | more
    }  # fmt: skip
