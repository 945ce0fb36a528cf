"""The access package: everything that is held about one person, for that person alone (GDPR articles 15 and 20).

It is made in memory while the person waits, is stored nowhere, and what could not be put in is listed in it by name.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Any
from uuid import UUID

from sqlmodel import Session, SQLModel, col, select

from batch import consents, corrections, employees, headshots, notices, photos, resumable, sittings
from batch.models import Employee, Headshot
from compliance import certificates, erasures, holds, requests
from compliance.models import RequestKind
from likeness import ledger
from likeness.db import tenant_of
from likeness.errors import Gone, NotFound
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef, SealBroken
from likeness.mail import Mail, read
from tenants import tenants
from tenants.models import Tenant

MANIFEST = "manifest.json"


def build(kernel: Kernel, tenant: UUID, employee_id: UUID, now: datetime, *, caller: str) -> bytes:
    """A ZIP. Raises `EmployeeMissing`. The request is on record as received and answered."""
    with kernel.db.transaction(tenant) as session:
        requests.receive(session, employee_id, RequestKind.ACCESS, now, caller=caller)
    with kernel.db.transaction(tenant) as session:
        files = _records(session, kernel, employee_id, now)
        pictures = _pictures(session, employee_id)
    omitted: list[dict[str, str]] = []
    for name, path, cls in pictures:
        try:
            data = kernel.objects.get(path, kernel.keys.open(KeyRef(tenant, employee_id, cls)))
            files[f"{name}.{headshots.kind(data)}"] = data
        except (NotFound, Gone, SealBroken):
            omitted.append({"file": name, "reason": "it is on record, but was deleted or its key destroyed"})
    files["omissions.json"] = _json(omitted)
    files[MANIFEST] = _json(
        {
            "made_at": certificates.moment(now),
            "files": [
                {"path": path, "bytes": len(data), "sha256": sha256(data).hexdigest()} for path, data in files.items()
            ],
        }
    )
    with kernel.db.transaction(tenant) as session:
        requests.close(session, employee_id, RequestKind.ACCESS, now)
        ledger.record(session, "package.handed", caller=caller, subject=employee_id)
    return _zipped(files, now)


def _records(session: Session, kernel: Kernel, employee_id: UUID, now: datetime) -> dict[str, bytes]:
    tenant = tenants.get(session)
    person = employees.get(session, employee_id)
    entries = list(ledger.entries(session, subject=employee_id))
    about = {
        "id": str(person.id),
        "profile": asdict(employees.profile(kernel.keys, person)),
        "source": "a workbook that your employer gave us",
        "on_record_since": certificates.moment(person.created_at),
        "opted_out_at": _moment(person.opted_out_at),
        "restricted_at": _moment(person.restricted_at),
        "mails": _mails(session, kernel, employee_id),
        "before_it_was_corrected": _corrections(session, kernel, person, now),
    }
    return {
        "START-HERE.html": _start(tenant, now).encode(),
        "1-about-you.json": _json(about),
        "4-model.json": _json(_model(session, employee_id, now)),
        "5-consent.json": _json(_consents(session, kernel, employee_id)),
        "6-what-happened.json": _json([_event(entry) for entry in entries]),
        "7-who-received-it.json": _json(
            [_event(entry) for entry in entries if entry.event in ("release.downloaded", "headshot.viewed")]
        ),
        "8-requests.json": _json(
            {
                "requests": [
                    {"kind": one.kind, "received_at": _moment(one.received_at), "due_at": _moment(one.due_at),
                     "done_at": _moment(one.done_at)}
                    for one in requests.of(session, employee_id)
                ],
                "erasure_under_way": erasures.open_of(session, employee_id) is not None,
                "legal_holds": [
                    {"basis": one.basis, "placed_at": _moment(one.placed_at), "confirmed_at": _moment(one.confirmed_at),
                     "expires_at": _moment(one.expires_at), "lifted_at": _moment(one.lifted_at)}
                    for one in holds.of(session, employee_id)
                ],
            }
        ),
    }  # fmt: skip


def _corrections(session: Session, kernel: Kernel, person: Employee, now: datetime) -> list[dict[str, Any]]:
    """What the employer's last import changed, for the minutes in which it can still be undone."""
    return [
        {
            "corrected_at": _moment(one.at),
            "deleted_at": _moment(one.due_at),
            "profile_before": asdict(corrections.before(kernel.keys, one)),
        }
        for one in corrections.of(session, person.id, now)
    ]


def _pictures(session: Session, employee_id: UUID) -> list[tuple[str, str, KeyClass]]:
    selfies = [
        (f"2-photos-you-sent/{photo.id}", photo.path, KeyClass.SOURCE)
        for photo in photos.of(session, employee_id)
        if photo.bytes  # The picture of a rejected photo was deleted when it was rejected.
    ]
    made = session.exec(
        select(Headshot)
        .where(col(Headshot.tenant_id) == tenant_of(session), col(Headshot.employee_id) == employee_id)
        .order_by(col(Headshot.created_at))
    )
    return selfies + [(f"3-your-headshots/{one.id}", one.path, KeyClass.HEADSHOT) for one in made]


def _model(session: Session, employee_id: UUID, now: datetime) -> dict[str, Any]:
    """The weights themselves are of no use outside; that they exist, since when and until when, is what matters."""
    weights = SQLModel.metadata.tables["weights"]
    rows = session.execute(
        weights.select()
        .where(weights.c.tenant_id == tenant_of(session), weights.c.employee_id == employee_id)
        .order_by(weights.c.created_at)
    ).all()
    latest = sittings.latest_of(session, employee_id)
    return {
        "models_of_you": [
            {
                "kind": row.kind,
                "bytes": row.bytes,
                "made_at": _moment(row.created_at),
                "deleted_on": _moment(row.due_at),
            }
            for row in rows
        ],
        "newest_sitting": {"state": latest.state, "handed_in_at": _moment(latest.created_at)} if latest else None,
        "photos": [
            {"id": str(one.id), "state": one.state, "findings": one.findings, "deleted_on": _moment(one.due_at)}
            for one in photos.of(session, employee_id)
        ],
        "photos_that_are_still_arriving": [
            {"bytes": one.received, "begun_at": _moment(one.created_at), "deleted_on": _moment(one.due_at)}
            for one in resumable.of(session, employee_id, now)
        ],
    }


def _consents(session: Session, kernel: Kernel, employee_id: UUID) -> list[dict[str, Any]]:
    return [
        {
            "purpose": consent.purpose,
            "given_at": _moment(consent.given_at),
            "withdrawn_at": _moment(consent.withdrawn_at),
            "typed_name": consents.signature(kernel.keys, consent),
            "notice": (notice := notices.get(session, consent.notice_id)).text,
            "notice_version": notice.version,
            "notice_sha256": notice.digest,
        }
        for consent in consents.of(session, employee_id)
    ]


def _mails(session: Session, kernel: Kernel, employee_id: UUID) -> list[dict[str, Any]]:
    found = session.exec(
        select(Mail)
        .where(col(Mail.tenant_id) == tenant_of(session), col(Mail.owner_id) == employee_id)
        .order_by(col(Mail.created_at))
    )
    return [
        {
            "template": mail.template,
            "written_at": _moment(mail.created_at),
            "sent_at": _moment(mail.sent_at),
            "handed_to_the_mail_server_at": _moment(mail.handed_at),
            "outcome": mail.outcome,
            "subject": letter.subject if (letter := read(kernel.keys, mail)) else None,
        }
        for mail in found
    ]


def _event(entry: ledger.LedgerEntry) -> dict[str, Any]:
    """Who did it is told by their part, not by name: the staff are third parties here (C-579/21)."""
    parts = {"member": "your employer's desk", "employee": "you", "operator": "the operator", "system": "the program"}
    return {
        "at": _moment(entry.at),
        "event": entry.event,
        "by": parts.get(entry.caller.partition(":")[0], "the program"),
        "concerns": list(entry.objects),
    }


SECTIONS = (
    ("15(1)", "Confirmation", "Data about you is processed; this package holds all of it."),
    ("15(1)(a)", "Purposes", "To make headshots of you that you choose from, and to check that they look like you."),
    ("15(1)(b)", "Categories", "Who you are at work; selfies, a model of your face and headshots (biometric data);"
     " your consents; what was done with all of this."),
    ("15(1)(c)", "Recipients", "See 7-who-received-it.json. Your employer's desk gets only what you release."),
    ("15(1)(d)", "Retention", "Selfies and the model are deleted {source} days after they came, headshots after"
     " {headshots} days; each one's day is in the files here."),
    ("15(1)(e)", "Your rights", "You may have data corrected, deleted or restricted, object, and withdraw your consent"
     " at any time, in your visit or through {contact}."),
    ("15(1)(f)", "Complaint", "You may complain to {authority}."),
    ("15(1)(g)", "Source", "Your name and address come from a workbook of your employer; the photos from you."),
    ("15(1)(h)", "Automated decisions", "No decision about you is made by a machine alone; a program checks photos and"
     " headshots, and you overrule or choose."),
    ("15(2)", "Transfers", "Nothing is transferred to another country by this program."),
    ("15(3)", "Copy", "The files beside this page are the copy, each with its SHA-256 in manifest.json."),
)  # fmt: skip


def _start(tenant: Tenant, now: datetime) -> str:
    terms = {
        "source": tenant.source_days,
        "headshots": tenant.headshot_days,
        "contact": tenant.contact or "your personnel department",
        "authority": tenant.authority or "the data protection supervisory authority where you live or work",
    }
    sections = "\n".join(
        f'<section id="article-{article}"><h2>{title} <small>Article {article} GDPR</small></h2>'
        f"<p>{escape(words.format(**terms))}</p></section>"
        for article, title, words in SECTIONS
    )
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Your data</title>\n'
        f"<h1>Your data at {escape(tenant.name)}</h1>\n<p>Made on {now:%Y-%m-%d %H:%M} UTC. Controller:"
        f" {escape(tenant.name)}. Likeness and its operator are the processor.</p>\n{sections}\n</html>\n"
    )


def _zipped(files: dict[str, bytes], now: datetime) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name, now.timetuple()[:6]), data)
    return out.getvalue()


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode()


def _moment(at: datetime | None) -> str | None:
    return certificates.moment(at) if at else None
