"""What an erasure's certificate will say: counted before anything is deleted, and put together when all of it is gone."""

from __future__ import annotations

import hmac
from base64 import b64encode
from contextlib import suppress
from datetime import datetime
from importlib.metadata import version
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select

from batch import employees, texts
from batch.employees import EmployeeProfile
from batch.models import Batch, Employee
from compliance import certificates, holds, rescan
from compliance.models import Erasure, Trigger
from compliance.wiping import batch_of
from likeness import ledger, mail
from likeness.db import tenant_of
from likeness.errors import Gone
from likeness.kernel import Kernel
from likeness.keys import KeyBroken, KeyClass, KeyRef, SealBroken
from likeness.mail import Mail
from tenants import members, tenants


def traces(session: Session, kernel: Kernel, person: Employee) -> dict[str, Any]:
    batch = batch_of(session, person)
    samples = {}
    for ref in kernel.keys.refs(person.tenant_id, person.id):
        if kernel.keys.state(ref) == "live":
            # A damaged key file opens nothing any more; it must not keep everything else of the person.
            with suppress(KeyBroken):
                sealed = kernel.keys.open(ref).seal(b"must not open", rescan.SAMPLE_CONTEXT)
                samples[str(ref.cls)] = b64encode(sealed).decode()
    return {
        "email_index": person.email_index.hex(),
        "workbooks": [str(batch.workbook_id)] if batch and batch.workbook_id else [],
        "samples": samples,
        "keys": [
            str(cls)
            for cls in KeyClass
            if kernel.keys.state(KeyRef(person.tenant_id, person.id, cls)) in ("live", "destroyed")
        ],
    }


def inform(session: Session, kernel: Kernel, erasure: Erasure) -> list[dict[str, Any]]:
    """Asks everybody who downloaded released headshots to delete their copies (GDPR article 19); who, when, which mail.

    A mail goes to the member who downloaded, because nobody else knows where the copies are.
    """
    downloads = [
        entry for entry in ledger.entries(session, subject=erasure.employee_id) if entry.event == "release.downloaded"
    ]
    if not downloads:
        return []
    with suppress(Gone, SealBroken, KeyBroken):
        who = employees.profile(kernel.keys, employees.get(session, erasure.employee_id))
        mails = {
            caller: _ask_to_delete(session, kernel, erasure, caller, who, downloads)
            for caller in {entry.caller for entry in downloads}
        }
        return [
            {
                "recipient": "the employer's desk",
                "at": certificates.moment(entry.at),
                "headshots": len(entry.objects),
                "mail": mails[entry.caller],
            }
            for entry in downloads
        ]
    return [
        {"recipient": "the employer's desk", "at": certificates.moment(entry.at), "headshots": len(entry.objects),
         "mail": None}
        for entry in downloads
    ]  # fmt: skip


def _ask_to_delete(
    session: Session,
    kernel: Kernel,
    erasure: Erasure,
    caller: str,
    who: EmployeeProfile,
    downloads: list[ledger.LedgerEntry],
) -> str | None:
    """The id of the mail to this member; None when they no longer work the desk."""
    try:
        member = members.active(session, UUID(caller.rpartition(":")[2]))
    except (ValueError, members.MemberMissing):
        return None
    theirs = [entry for entry in downloads if entry.caller == caller]
    letter = texts.letter(
        "copies",
        "en",
        members.profile(kernel.keys, member).email,
        name=who.full_name,
        count=str(len({one for entry in theirs for one in entry.objects})),
        days=", ".join(sorted({f"{entry.at:%Y-%m-%d}" for entry in theirs})),
        controller=tenants.get(session).name,
    )
    mail_id = mail.post(session, kernel.keys, member.id, letter, template="copies", campaign=str(erasure.id))
    return str(mail_id) if mail_id else None


def being_informed(session: Session, erasure: Erasure) -> bool:
    """Whether a mail to a recipient is still on its way."""
    mails = _mails(session, erasure)
    return any(one.sent_at is None and one.failed_at is None for one in mails.values())


def _mails(session: Session, erasure: Erasure) -> dict[str, Mail]:
    wanted = {UUID(one["mail"]) for one in erasure.recipients if one.get("mail")}
    found = session.exec(select(Mail).where(col(Mail.tenant_id) == erasure.tenant_id, col(Mail.id).in_(wanted)))
    return {str(one.id): one for one in found}


def _recipients(session: Session, erasure: Erasure) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Who was informed, as far as this program can see it, and who was not."""
    mails = _mails(session, erasure)
    informed, not_informed = [], []
    for one in erasure.recipients:
        said = {"recipient": one["recipient"], "downloaded_at": one["at"], "headshots": one["headshots"]}
        sent = mails.get(one.get("mail") or "")
        if sent is not None and sent.sent_at is not None:
            informed.append(said | {"informed_at": certificates.moment(sent.sent_at), "how": "mail handed over"})
        elif sent is not None:
            why = "the mail could not be delivered" if sent.failed_at else "the mail was still on its way"
            not_informed.append(said | {"why": why})
        else:
            not_informed.append(said | {"why": "the member who downloaded no longer works the desk"})
    return informed, not_informed


def case(session: Session, kernel: Kernel, erasure: Erasure, certificate_id: UUID, now: datetime) -> certificates.Case:
    tenant, head = tenants.get(session), ledger.head(session)
    deleted_at = erasure.deleted_at or now
    index_key = kernel.keys.index_key(erasure.tenant_id)
    refs = [KeyRef(erasure.tenant_id, erasure.employee_id, KeyClass(cls)) for cls in erasure.traces.get("keys", [])]
    informed, not_informed = _recipients(session, erasure)
    return certificates.Case(
        id=str(certificate_id),
        stage=1,
        issued_at=now,
        controller=tenant.name,
        instance=kernel.settings.public_url,
        software=f"likeness {version('likeness')}",
        subject_ref=_keyed(index_key, f"subject|{erasure.employee_id}"),
        request_ref=str(erasure.id),
        trigger=erasure.trigger,
        requested_at=erasure.requested_at,
        deleted_at=deleted_at,
        classes={name: _class(name, found, deleted_at) for name, found in erasure.counts.items()},
        keys=[
            {
                "id": _keyed(index_key, f"key|{ref}"),
                "class": str(ref.cls),
                "destroyed_at": certificates.moment(destroyed_at),
            }
            for ref in refs
            if (destroyed_at := kernel.keys.destroyed_at(ref)) is not None
        ],
        informed=informed,
        not_informed=not_informed,
        backup_days=kernel.settings.backup_days,
        holds=[
            {
                "basis": hold.basis,
                "from": certificates.moment(hold.confirmed_at),
                "until": certificates.moment(hold.lifted_at or hold.expires_at),
            }
            for hold in holds.of(session, erasure.employee_id)
            if hold.confirmed_at
        ],
        ledger={"sequence": head.sequence, "hash": head.hash.hex()} if head else {},
        residuals=_residuals(session, kernel, erasure, now),
    )


def _class(name: str, found: dict[str, Any], deleted_at: datetime) -> dict[str, Any]:
    if not found["objects"]:
        return {**found, "deleted_at": None, "method": "there was nothing of this class", "nist_800_88": None}
    sealed = name != "records"
    return {
        **found,
        "deleted_at": certificates.moment(deleted_at),
        "method": "deleted, and its key destroyed" if sealed else "deleted",
        "nist_800_88": "Purge (cryptographic erase)" if sealed else "Clear",
    }


def _residuals(session: Session, kernel: Kernel, erasure: Erasure, now: datetime) -> list[dict[str, Any]]:
    """What is not gone yet, with the day on which it is."""
    residuals: list[dict[str, Any]] = []
    if erasure.trigger == Trigger.WITHDRAWAL:
        residuals.append({"what": "the employer's own line about the person, marked as opted out", "until": None})
    if erasure.trigger == Trigger.ADDRESS:
        residuals.append({"what": "the employer's own line about the person, with the new address", "until": None})
    latest = session.exec(
        select(func.max(col(Batch.workbook_due_at))).where(
            col(Batch.tenant_id) == tenant_of(session), col(Batch.workbook_id).is_not(None)
        )
    ).one()
    if latest and latest > now:
        residuals.append({"what": "raw workbooks of other batches, sealed", "until": certificates.moment(latest)})
    if not kernel.objects.versions_purged():
        residuals.append({"what": "older versions in the object store, without their key", "until": None})
    return residuals


def _keyed(key: bytes, words: str) -> str:
    return hmac.digest(key, words.encode(), "sha256").hex()[:32]
