"""The access package: everything that is held about one person, for that person alone (GDPR articles 15 and 20).

It is made while it is sent and is stored nowhere. What is in it comes from the registry, and what is not is listed in it
with the reason. The list of its files is signed, and the program that checks it lies inside.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlmodel import Session, col, select

from batch.marks import credential
from batch.models import Headshot, Photo
from batch.people import employees
from batch.sittings import framing, headshots
from compliance import holds, requests
from compliance.models import Certificate, Erasure, Package, RequestKind
from compliance.proof import certificates, signing, stored, verifier, verify_package
from compliance.rights import handing, page, paper, reading, schema
from compliance.rights.contents import CONTENTS, OUTSIDE, PackageSection
from compliance.rights.handing import KEPT
from likeness import ledger
from likeness.ground.db import PLATFORM, tenant_of
from likeness.ground.errors import Gone, NotFound
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef, SealBroken
from likeness.locale.marks import N_
from likeness.locale.words import Words
from likeness.web.streaming import Sink
from tenants import tenants

MANIFEST, SIGNED, START, OMISSIONS = "manifest.json", "manifest.jws", "START-HERE.html", "omissions.json"
PAPER = "report.pdf"
GONE = N_("It is on record, but was deleted, or its key destroyed.")
KEY_GONE = N_("It is on record, but its key is destroyed.")
HOW_TO = (
    N_("This package can be checked without a network. It takes Python 3.9 or newer and its library “cryptography”."),
    N_("Unpack the package into a folder, and type:"),
    "python verify/verify_package.py FOLDER --fingerprint FINGERPRINT",
    N_("FOLDER is where you unpacked it. FINGERPRINT is the one in your consent receipt. With --key public-key.json the key"
       " itself is pinned. Without either, it is only checked that the package is whole under the key in it."),
    N_("It ends with 0 when everything holds, with 1 when something does not, and with 2 when a file cannot be read."),
)  # fmt: skip
FROM_YOU, FROM_EMPLOYER, MADE = "you", "your employer", "made by this program"
ORIGINS = {
    PackageSection.YOU: FROM_EMPLOYER, PackageSection.PHOTOS: FROM_YOU, PackageSection.CONSENT: FROM_YOU,
    PackageSection.HEADSHOTS: MADE,
}  # fmt: skip
PURPOSES = {
    PackageSection.YOU: "to write to you and let you in", PackageSection.PHOTOS: "to make headshots of you",
    PackageSection.HEADSHOTS: "for you to choose from", PackageSection.MODEL: "to make headshots of you",
    PackageSection.CONSENT: "to show what you agreed to", PackageSection.EVENTS: "to show what was done",
    PackageSection.RECEIVED: "to show who received it",
    PackageSection.REQUESTS: "to answer you, and to show that it was done",
}  # fmt: skip


def pieces(kernel: Kernel, tenant: UUID, employee_id: UUID, now: datetime, *, caller: str) -> Iterator[bytes]:
    """A ZIP, piece by piece, with one picture in memory at a time. Before the first piece it raises `EmployeeMissing`, and
    `KeyUnavailable` where nobody signs what headshots say of themselves, or the package itself.

    The request is on record as received at the beginning, and as answered when all of it was taken.
    """
    with kernel.db.transaction(tenant) as session:
        requests.receive(session, employee_id, RequestKind.ACCESS, now, caller=caller)
    signer = credential.of(kernel)
    handing.ready(kernel, now)
    with kernel.db.transaction(tenant) as session:
        person = employees.get(session, employee_id)
        read = reading.everything(session, kernel, person)
        pictures, certified = _pictures(session, employee_id, now), _certificates(session, kernel, employee_id)
        company = tenants.get(session)
        words = employees.words(kernel.keys, person, company)
        session.expunge_all()
    checked_with = _verifier(kernel, words)
    with kernel.db.transaction(PLATFORM) as session:
        read.processors = reading.sub_processors(session, person.created_at, now)
    sent, listed = Sink(), []
    omitted = [*_withheld(read), *({"what": one["what"], "reason": one.get("reason", KEY_GONE)} for one in read.unread)]
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED) as packed:

        def pack(name: str, data: bytes, section: PackageSection | None = None) -> bytes:
            # Pictures do not compress.
            stored = name.startswith((f"{PackageSection.PHOTOS}/", f"{PackageSection.HEADSHOTS}/"))
            entry = zipfile.ZipInfo(name, now.timetuple()[:6])
            packed.writestr(entry, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
            listed.append(_listed(name, data, section))
            return sent.take()

        for section in PackageSection:
            yield pack(f"{section}.json", _section(section, read), section)
        for one, cls, section in pictures:
            name = f"{section}/{one.id}"
            try:
                data = kernel.objects.get(one.path, kernel.keys.open(KeyRef(tenant, employee_id, cls)))
            except (NotFound, Gone, SealBroken):
                omitted.append({"what": name, "reason": GONE})
            else:
                if isinstance(one, Headshot):
                    data = framing.faithful(data, one, signer)
                yield pack(f"{name}.{headshots.kind(data)}", data, section)
        for name, token in certified:
            if token is None:
                omitted.append({"what": name, "reason": reading.CHANGED})
            else:
                yield pack(name, token.encode(), PackageSection.REQUESTS)
        told = list(page.parts(company, words, read, omitted, now))
        yield pack(START, "".join(page.start(iter(told), words)).encode())
        yield pack(PAPER, paper.render(told, words))
        yield pack(OMISSIONS, _json([{**one, "reason": words.gettext(one["reason"])} for one in omitted]))
        for name, data in checked_with.items():
            yield pack(name, data)
        package, manifest = _manifest(tenant, employee_id, now, list(listed))
        packed.writestr(zipfile.ZipInfo(MANIFEST, now.timetuple()[:6]), manifest, zipfile.ZIP_DEFLATED)
        yield sent.take()
        token = handing.signature(kernel, package)
        packed.writestr(zipfile.ZipInfo(SIGNED, now.timetuple()[:6]), token)
    yield sent.take()
    with kernel.db.transaction(tenant) as session:
        requests.close(session, employee_id, RequestKind.ACCESS, now)
        ledger.record(session, "package.handed", caller=caller, subject=employee_id, objects=[package.id])


def _listed(name: str, data: bytes, section: PackageSection | None) -> dict[str, Any]:
    told: dict[str, Any] = {"path": name, "bytes": len(data), "sha256": sha256(data).hexdigest()}
    if section is None:
        return told | {
            "category": "package",
            "purpose": "to explain and check this package",
            "origin": MADE,
            "portable": False,
        }
    provided = section == PackageSection.PHOTOS and "/" in name
    has_provided = name.endswith(".json") and any(one.portable for one in CONTENTS.values() if one.section == section)
    return told | {
        "category": str(section), "purpose": PURPOSES[section], "origin": ORIGINS.get(section, MADE),
        "portable": True if provided else "as the schema marks it" if has_provided else False,
    }  # fmt: skip


def _manifest(tenant: UUID, employee_id: UUID, now: datetime, files: list[dict[str, Any]]) -> tuple[Package, bytes]:
    package = Package(id=uuid4(), tenant_id=tenant, employee_id=employee_id, made_at=now, due_at=now + KEPT, digest="")
    manifest = _json({"package": str(package.id), "made_at": certificates.moment(now), "files": files})
    package.digest = sha256(manifest).hexdigest()
    return package, manifest


def _section(section: PackageSection, read: reading.PersonRecords) -> bytes:
    records = read.of(section)
    if section == PackageSection.RECEIVED:
        records |= {"ledger_entry": page.received(read), "sub_processor": read.processors}
    return _json({"version": schema.VERSION, "section": str(section), "records": records})


def _withheld(read: reading.PersonRecords) -> list[dict[str, str]]:
    """Every column that is on record and is not shown, and every place that is no table."""
    columns = [
        {"what": f"{table}.{column}", "reason": page.reason(code)}
        for table, contents in CONTENTS.items()
        if read.records[table]
        for column, code in contents.withheld.items()
    ]
    return [*columns, *({"what": name, "reason": reason} for name, reason in OUTSIDE.items())]


def _pictures(
    session: Session, employee_id: UUID, now: datetime
) -> list[tuple[Photo | Headshot, KeyClass, PackageSection]]:
    """With what a hold keeps, deleted or past its day, unless the person must not learn of the hold."""
    since = now if holds.silent(session, employee_id, now) else datetime.min.replace(tzinfo=UTC)
    found: list[tuple[Photo | Headshot, KeyClass, PackageSection]] = []
    kinds: tuple[tuple[Any, KeyClass, PackageSection], ...] = (
        (Photo, KeyClass.SOURCE, PackageSection.PHOTOS),
        (Headshot, KeyClass.HEADSHOT, PackageSection.HEADSHOTS),
    )
    for table, cls, section in kinds:
        rows = session.exec(
            select(table)
            .where(
                col(table.tenant_id) == tenant_of(session),
                col(table.employee_id) == employee_id,
                col(table.due_at) > since,
                col(table.bytes) > 0,  # The picture of a rejected photo was deleted when it was rejected.
            )
            .order_by(col(table.created_at), col(table.id))
        )
        found += [(one, cls, section) for one in rows]
    return found


def _certificates(session: Session, kernel: Kernel, employee_id: UUID) -> list[tuple[str, str | None]]:
    """Of what was deleted before, and is about this person; without its text where it was changed."""
    found = session.exec(
        select(Certificate)
        .join(Erasure, (col(Erasure.id) == Certificate.erasure_id) & (col(Erasure.tenant_id) == Certificate.tenant_id))
        .where(col(Certificate.tenant_id) == tenant_of(session), col(Erasure.employee_id) == employee_id)
        .order_by(col(Certificate.issued_at))
    )
    return [
        (f"{PackageSection.REQUESTS}/certificate-{one.id}.jws", stored.shown(kernel, one, employee_id).text)
        for one in found
    ]


def _verifier(kernel: Kernel, words: Words) -> Mapping[str, bytes]:
    """What checks the package on a machine without network."""
    return {
        "verify/verify_package.py": Path(verify_package.__file__).read_bytes(),
        "verify/verifier.py": Path(verifier.__file__).read_bytes(),
        "verify/public-key.json": _json(signing.published(kernel)),
        "verify/schema.json": _json(schema.build(kernel.settings.public_url)),
        "verify/HOW-TO.txt": "\n\n".join(map(words.gettext, HOW_TO)).encode() + b"\n",
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=2).encode()
