"""Certificates are issued: the first when a scan has passed, the second when no backup is left to bring anything back.

The log says first that a certificate is being prepared, then a checkpoint is signed that covers this, and the certificate
holds the proof. It is kept outside the database before it is stored, so that no restored backup takes it from the person.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import DateTime, Text, cast, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from compliance import departed
from compliance.erasure import cases, rescan
from compliance.models import Certificate, Erasure, ErasureState
from compliance.proof import certificates, signing, stored
from compliance.proof.paper import page, sealing
from compliance.proof.scan import PassedScan
from likeness import checkpoints, ledger
from likeness.ground.db import PLATFORM, oldest_first, row_of, rows_of, tenant_of, utc_now
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.jobs.jobs import Job
from likeness.kernel import Kernel
from likeness.ledger import LedgerEntry
from tenants import tenants
from tenants.webhooks import deliveries
from tenants.webhooks.events import Event

log = logging.getLogger(__name__)

PREPARED = "certificate.prepared"
MOST = 200
"""Second certificates that one sweep of one company begins."""


def first(attempt: jobs.Attempt, erasure: Erasure, passed: PassedScan, then: Callable[[Session, Erasure], None]) -> None:
    """`then` runs in the transaction that stores it."""
    kernel, now, certificate_id = attempt.kernel, utc_now(), uuid4()
    with attempt.transaction() as session:
        mine = locked(session, erasure.id)
        if mine.state not in (ErasureState.VERIFYING, ErasureState.VERIFIED):
            return
        mine.state, mine.verified_at = ErasureState.VERIFIED, passed.scan.finished_at
        session.add(mine)
        ledger.record(session, PREPARED, objects=[mine.id, certificate_id])
    with attempt.transaction() as session:
        placed = logged(session, kernel, certificate_id, now)
        case = cases.case(session, kernel, mine, certificate_id, placed, now)
    document = certificates.build(case, passed)
    made = _made(kernel, mine, document, now)
    with attempt.finishing() as session:
        mine = locked(session, erasure.id)
        if mine.state != ErasureState.VERIFIED:
            return
        _store(session, kernel, mine, made)
        mine.state, mine.scan = ErasureState.CERTIFIED, passed.scan.as_dict()
        session.add(mine)
        then(session, mine)


def logged(session: Session, kernel: Kernel, certificate_id: UUID, now: datetime) -> dict[str, Any]:
    """The entry that says that the certificate is prepared, a checkpoint that covers it, and the proof."""
    point = checkpoints.sign(session, signing.signer(kernel, now), now)
    entry = session.exec(
        select(LedgerEntry)
        .where(
            col(LedgerEntry.tenant_id) == tenant_of(session),
            col(LedgerEntry.event) == PREPARED,
            cast(col(LedgerEntry.objects), Text).contains(str(certificate_id)),
        )
        .order_by(col(LedgerEntry.sequence).desc())
        .limit(1)
    ).one()
    assert point is not None
    return checkpoints.place(session, entry, point)


def made(kernel: Kernel, tenant: UUID, document: dict[str, Any], language: str, now: datetime) -> Certificate:
    """Signed, and drawn and sealed as a page in this language; what it is about, the caller sets. Raises `SignerAway`."""
    key = signing.key(kernel, now)
    token = certificates.sign(document, key)
    drawn = page.render(document, token, language, fingerprint=key.thumbprint())
    credential = signing.seal_credential(kernel, now)
    return Certificate(
        id=UUID(document["id"]),
        tenant_id=tenant,
        stage=document["stage"],
        document=document,
        jws=token,
        paper=sealing.seal(drawn, *credential),
        issued_at=now,
    )


def _made(kernel: Kernel, erasure: Erasure, document: dict[str, Any], now: datetime) -> Certificate:
    mine = made(kernel, erasure.tenant_id, document, erasure.language, now)
    mine.erasure_id = erasure.id
    return mine


def _store(session: Session, kernel: Kernel, erasure: Erasure, made: Certificate) -> None:
    facts = {
        "id": str(erasure.id), "employee_id": str(erasure.employee_id), "trigger": erasure.trigger,
        "scope": erasure.scope, "language": erasure.language, "subject_commitment": erasure.subject_commitment,
        "requested_at": erasure.requested_at.isoformat(),
        "deleted_at": erasure.deleted_at.isoformat() if erasure.deleted_at else None,
        "receipt_hash": erasure.receipt_hash.hex() if erasure.receipt_hash else None,
    }  # fmt: skip
    keep(session, kernel, made, {"erasure": facts})
    ledger.record(session, "certificate.issued", subject=erasure.employee_id, objects=[erasure.id, made.id])
    ids = {"erasure_id": erasure.id, "certificate_id": made.id}
    deliveries.happened(session, Event.CERTIFICATE_ISSUED, ids, made.issued_at)


def keep(session: Session, kernel: Kernel, made: Certificate, about: dict[str, Any]) -> None:
    """Outside the database first, with what makes the receipt lead to it again; then here."""
    said = {"id": str(made.id), "stage": made.stage, "issued_at": made.issued_at.isoformat(), "jws": made.jws}
    kernel.db.outside.keep_certificate(made.tenant_id, made.id, {**about, "certificate": said})
    session.execute(insert(Certificate).values(**made.model_dump()).on_conflict_do_nothing())


def give_back(session: Session, kernel: Kernel, facts: dict[str, Any]) -> bool:
    """Stores a certificate that a restored database lacks, with the erasure or the departure that its receipt leads to.
    Whether it did."""
    said = facts["certificate"]
    if kernel.settings.signer_path() is None:
        return False  # Its page has to be sealed: a process that holds the keys gives it back when it starts.
    if "departure" in facts:
        language, whose = facts["departure"]["language"], {"departure_id": departed.again(session, facts["departure"])}
    else:
        _erasure_again(session, facts["erasure"])
        language, whose = facts["erasure"]["language"], {"erasure_id": UUID(facts["erasure"]["id"])}
    token = str(said["jws"])
    document = certificates.verify(token, signing.published(kernel))
    drawn = page.render(document, token, language, fingerprint=str(certificates.kid_of(token)))
    issued_at = datetime.fromisoformat(said["issued_at"])
    credential = signing.seal_credential(kernel, issued_at)
    values = {
        "id": UUID(said["id"]), "tenant_id": tenant_of(session), "stage": said["stage"], "document": document,
        "jws": token, "paper": sealing.seal(drawn, *credential), "issued_at": issued_at, **whose,
    }  # fmt: skip
    session.execute(insert(Certificate).values(**values).on_conflict_do_nothing())
    return True


def _erasure_again(session: Session, about: dict[str, Any]) -> None:
    known = session.exec(
        select(Erasure).where(col(Erasure.tenant_id) == tenant_of(session), col(Erasure.id) == UUID(about["id"]))
    ).one_or_none()
    erasure = known or Erasure(
        id=UUID(about["id"]),
        tenant_id=tenant_of(session),
        employee_id=UUID(about["employee_id"]),
        trigger=about["trigger"],
        scope=about["scope"],
        requested_by="system",
        requested_at=datetime.fromisoformat(about["requested_at"]),
    )
    erasure.state, erasure.language = ErasureState.CERTIFIED, about["language"]
    erasure.subject_commitment = about["subject_commitment"]
    erasure.deleted_at = datetime.fromisoformat(about["deleted_at"]) if about["deleted_at"] else None
    erasure.receipt_hash = bytes.fromhex(about["receipt_hash"]) if about["receipt_hash"] else erasure.receipt_hash
    session.add(erasure)
    session.flush()


# The second one


@jobs.every(timedelta(hours=1))
def begin_second(kernel: Kernel, now: datetime) -> None:
    """For everybody whose last backup, as the operator states it, has run out."""
    days = kernel.settings.backup_days
    if days is None:
        return
    # The people of a company that left have a right to their second certificate as well.
    for tenant in (*tenants.all_ids(kernel, left=True), PLATFORM):
        _begin_second_of(kernel, tenant, now, days)


def _begin_second_of(kernel: Kernel, tenant: UUID, now: datetime, days: int) -> None:
    """Looks on behind those whose signed text is not of the day that their rows say: however many were changed in the
    database, they keep nobody's turn."""
    today, begun, after = f":second:{now:%Y%m%d}", 0, None
    while begun < MOST:
        with kernel.db.transaction(tenant) as session:
            ripe = _ripe(session, now, days, today, after)
            for erasure_id, deleted_at in ripe:
                if stored.has_run_out(kernel, certificates_of(session, erasure_id), now, deleted_at):
                    jobs.send(session, second, str(erasure_id), key=f"{erasure_id}{today}")
                    begun += 1
        if len(ripe) < MOST:
            return
        last, deleted_at = ripe[-1]
        after = (deleted_at, last)


def _ripe(
    session: Session, now: datetime, days: int, today: str, after: tuple[datetime, UUID] | None
) -> list[tuple[UUID, datetime]]:
    """At most `MOST` behind that one, in the order in which they were deleted, of those that were not tried today: old ones
    of whom something is still there leave the newer ones their turn. What the rows say only narrows whom to ask about: the
    day itself is that of the signed text.

    The day that the first certificate promised is kept where backups are kept for less by now, because older ones may still
    be there; where they are kept for longer by now, the later day counts.
    """
    promised = cast(col(Certificate.document)["residuals"][0]["until"].as_string(), DateTime(timezone=True))
    of_people = (col(Certificate.tenant_id) == tenant_of(session), col(Certificate.erasure_id).is_not(None))
    # "Not in" a list with an empty place is never true.
    kept_for = select(Certificate.erasure_id).where(*of_people, col(Certificate.stage) == 1, promised > now)
    mine = (col(Job.tenant_id) == tenant_of(session), col(Job.kind) == jobs.name_of(second))
    tried = select(Job.key).where(*mine, col(Job.key).endswith(today))
    done = select(Certificate.erasure_id).where(*of_people, col(Certificate.stage) == 2)
    query = select(Erasure.id, Erasure.deleted_at).where(
        col(Erasure.tenant_id) == tenant_of(session),
        col(Erasure.state) == ErasureState.CERTIFIED,
        col(Erasure.deleted_at) <= now - timedelta(days=days),
        col(Erasure.id).not_in(done),
        col(Erasure.id).not_in(kept_for),
        func.concat(cast(col(Erasure.id), Text), today).not_in(tried),
    )
    found = session.exec(oldest_first(query, col(Erasure.deleted_at), col(Erasure.id), MOST, after))
    return [(erasure_id, deleted_at) for erasure_id, deleted_at in found if deleted_at]


@jobs.actor(lane=Lane.PRIVACY, attempts=10, lease=timedelta(minutes=3))
def second(attempt: jobs.Attempt, erasure_id: str) -> None:
    """Looks once more, and certifies that nothing is left; while anything is, it waits for the next day's try."""
    kernel, certificate_id = attempt.kernel, uuid4()
    with attempt.transaction() as session:
        erasure = session.exec(
            select(Erasure).where(col(Erasure.tenant_id) == tenant_of(session), col(Erasure.id) == UUID(erasure_id))
        ).one()
        issued = certificates_of(session, erasure.id)
        left, told = cases.residuals(session, kernel, erasure, utc_now()), cases.told(session, erasure)
    scan = rescan.scan(kernel, rescan.subject_of(erasure))
    if left or not issued or issued[-1].stage == 2 or scan.problems():
        log.info("a second certificate is not possible yet", extra={"erasure": erasure_id, "count": len(left)})
        with attempt.finishing():
            return
    before, now = certificates.deleted_again(stored.document(kernel, issued[-1]), erasure.deleted_at), utc_now()
    with attempt.transaction() as session:
        ledger.record(session, PREPARED, objects=[erasure.id, certificate_id])
    with attempt.transaction() as session:
        placed = logged(session, kernel, certificate_id, now)
    document = certificates.second(
        before, PassedScan(scan), id=str(certificate_id), issued_at=now, ledger=placed,
        sealed_by=signing.sealed_by(kernel, now), told=told, backup_days=kernel.settings.backup_days,
    )  # fmt: skip
    made = _made(kernel, erasure, document, now)
    with attempt.finishing() as session:
        _store(session, kernel, locked(session, erasure.id), made)


def certificates_of(session: Session, erasure_id: UUID) -> list[Certificate]:
    """Oldest first."""
    return rows_of(session, Certificate, col(Certificate.erasure_id) == erasure_id, by=col(Certificate.stage))


def by_erasure(session: Session, erasures: Collection[UUID]) -> dict[UUID, Certificate]:
    """The last certificate of each of these, where there is one."""
    query = select(Certificate).where(
        col(Certificate.tenant_id) == tenant_of(session), col(Certificate.erasure_id).in_(erasures)
    )
    return {one.erasure_id: one for one in session.exec(query.order_by(col(Certificate.stage))) if one.erasure_id}


def locked(session: Session, erasure_id: UUID) -> Erasure:
    erasure = row_of(session, Erasure, erasure_id, locked=True)
    assert erasure is not None  # Deletions stay on record.
    return erasure
