"""Erasures: a person's things go away, all of them, and a certificate says so only after an independent look.

requested -> (held) -> deleting -> verifying -> verified -> certified. Each step is guarded by the state and safe to run
twice, so a crash at any point continues where it was. Deleting begins with a tombstone and the keys: from that second on
nothing of the person can be read, also by a run on the cluster that has not stopped yet. A verification that finds
something returns to deleting, and the ledger keeps the incident. Ten minutes after the certificate is one more look.
"""

from __future__ import annotations

import hmac
import logging
from base64 import b64encode
from contextlib import suppress
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, SQLModel, col, select

from batch import employees, invitations, photos, sittings
from batch.models import Batch, Employee, Invitation, Sitting, SittingState
from compliance import certificates, holds, inventory, requests, rescan
from compliance.models import OPEN, Certificate, Erasure, ErasureState, RequestKind, Trigger
from compliance.rescan import Subject
from compliance.scan import PassedScan, Scan
from compliance.tombstones import Tombstone
from compliance.wiping import WipeIncomplete, batch_of, locked_person, wipe, wipe_rows
from likeness import jobs, ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import Gone, NotFound, Unprocessable
from likeness.identity import LeadsNowhere, end_sessions_of, new_token, token_hash
from likeness.kernel import Kernel
from likeness.keys import KeyBroken, KeyClass, KeyRef, SealBroken
from likeness.lanes import Lane
from tenants import tenants

log = logging.getLogger(__name__)

STUDIO_STOPS = timedelta(seconds=45)
"""A run on the cluster stops within a training step or a rendered picture; until then it may still write an object."""
LOOK_AGAIN = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(minutes=5)


class ErasureMissing(NotFound):
    """The company has no such erasure."""


class ReceiptUnknown(LeadsNowhere, NotFound):
    """No erasure has this receipt."""


class CertificateMissing(NotFound):
    """There is no such certificate, or not yet."""


class TriggerUnknown(Unprocessable):
    """An erasure has one of a few causes."""


def request(
    session: Session, employee_id: UUID, *, trigger: Trigger | str, requested_by: str, now: datetime
) -> Erasure:
    """Asking again while one is under way gives the same one. Raises `EmployeeMissing`."""
    if trigger not in set(Trigger):
        raise TriggerUnknown(f"{trigger} is no cause of an erasure.")
    photos.hold(session, employee_id)
    known = open_of(session, employee_id)
    if known is not None:
        if trigger == Trigger.PERSON and known.trigger == Trigger.WITHDRAWAL:
            _widen(session, known, requested_by, now)
        return known
    erasure = Erasure(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        trigger=Trigger(trigger),
        requested_by=requested_by,
        requested_at=now,
    )
    session.add(erasure)
    session.flush()
    if trigger == Trigger.PERSON:
        requests.receive(session, employee_id, RequestKind.ERASURE, now, caller=requested_by)
    send(session, erasure.id)
    ledger.record(session, "erasure.requested", caller=requested_by, subject=employee_id, objects=[erasure.id])
    return erasure


def _widen(session: Session, erasure: Erasure, requested_by: str, now: datetime) -> None:
    """Who withdrew also wants the employer's line about them to go."""
    erasure.trigger, erasure.requested_by = Trigger.PERSON, requested_by
    session.add(erasure)
    requests.receive(session, erasure.employee_id, RequestKind.ERASURE, now, caller=requested_by)
    ledger.record(session, "erasure.requested", caller=requested_by, subject=erasure.employee_id, objects=[erasure.id])


def issue_receipt(session: Session, erasure: Erasure) -> str:
    """A token to be shown once: with it the person fetches the certificate when their session is gone.

    Only its hash is stored, and the newest one holds.
    """
    token = new_token(tenant_of(session))
    erasure.receipt_hash = token_hash(token)
    session.add(erasure)
    return token


def by_receipt(session: Session, token: str) -> Erasure:
    """Raises `ReceiptUnknown`."""
    erasure = session.exec(
        select(Erasure).where(
            col(Erasure.tenant_id) == tenant_of(session), col(Erasure.receipt_hash) == token_hash(token)
        )
    ).one_or_none()
    if erasure is None:
        raise ReceiptUnknown("There is no such receipt.")
    return erasure


def get(session: Session, erasure_id: UUID) -> Erasure:
    """Raises `ErasureMissing`."""
    erasure = session.exec(
        select(Erasure).where(col(Erasure.tenant_id) == tenant_of(session), col(Erasure.id) == erasure_id)
    ).one_or_none()
    if erasure is None:
        raise ErasureMissing("There is no such erasure.")
    return erasure


def open_of(session: Session, employee_id: UUID) -> Erasure | None:
    """The one under way for this person."""
    return session.exec(
        select(Erasure).where(
            col(Erasure.tenant_id) == tenant_of(session),
            col(Erasure.employee_id) == employee_id,
            col(Erasure.state).in_(OPEN),
        )
    ).one_or_none()


def all_erasures(session: Session) -> list[Erasure]:
    """Newest first."""
    return list(
        session.exec(
            select(Erasure)
            .where(col(Erasure.tenant_id) == tenant_of(session))
            .order_by(col(Erasure.requested_at).desc())
        )
    )


def certificate(session: Session, certificate_id: UUID) -> Certificate:
    """Raises `CertificateMissing`."""
    return _one_certificate(session, Certificate.id, certificate_id)


def certificate_of(session: Session, erasure_id: UUID) -> Certificate:
    """Raises `CertificateMissing` while the erasure is not certified."""
    return _one_certificate(session, Certificate.erasure_id, erasure_id)


def certificates_by_erasure(session: Session) -> dict[UUID, Certificate]:
    found = session.exec(select(Certificate).where(col(Certificate.tenant_id) == tenant_of(session)))
    return {one.erasure_id: one for one in found}


def _one_certificate(session: Session, column: Any, value: UUID) -> Certificate:
    found = session.exec(
        select(Certificate)
        .where(col(Certificate.tenant_id) == tenant_of(session), column == value)
        .order_by(col(Certificate.stage).desc())
        .limit(1)
    ).first()
    if found is None:
        raise CertificateMissing("There is no such certificate yet.")
    return found


# The way through


@jobs.actor(lane=Lane.PRIVACY, attempts=10, lease=timedelta(minutes=3))
def execute(attempt: jobs.Attempt, erasure_id: str) -> None:
    """Takes an erasure as far as it goes now; `attend` sends another job for what is left."""
    erasure = _freeze(attempt, UUID(erasure_id))
    if erasure is None:
        return
    if erasure.state == ErasureState.DELETING:
        erasure = _delete(attempt, erasure)
    if erasure.settled_at and erasure.settled_at > utc_now():
        with attempt.finishing() as session:
            send(session, erasure.id, due=erasure.settled_at)
        return
    scan = rescan.scan(attempt.kernel, _subject(erasure))
    if scan.problems():
        _return_to_deleting(attempt, erasure, scan)
    else:
        _certify(attempt, erasure, PassedScan(scan))


def _freeze(attempt: jobs.Attempt, erasure_id: UUID) -> Erasure | None:
    """Stops everything around the person and counts what there is. None when the erasure is held or over."""
    now = utc_now()
    with attempt.transaction() as session:
        # The person is locked before the erasure, as in `request`, or the two could wait for each other.
        person = locked_person(session, get(session, erasure_id).employee_id)
        erasure = _locked(session, erasure_id)
        if erasure is None or erasure.state == ErasureState.CERTIFIED:
            return None
        if erasure.state not in (ErasureState.REQUESTED, ErasureState.HELD):
            return erasure
        if erasure.employee_id in holds.held(session, now):
            if erasure.state != ErasureState.HELD:
                # A hold keeps what there is; it is no leave to go on using it.
                if person is not None:
                    _stop(session, person, now)
                erasure.state = ErasureState.HELD
                session.add(erasure)
                _record(session, "erasure.held", erasure)
            return None
        if person is not None:
            _stop(session, person, now)
            erasure.traces = _traces(session, attempt.kernel, person)
        erasure.counts = inventory.counts(session, attempt.kernel, erasure.employee_id)
        erasure.recipients = _recipients(session, erasure.employee_id)
        erasure.settled_at = now + STUDIO_STOPS if _runs(session, erasure.employee_id) else now
        erasure.state = ErasureState.DELETING
        session.add(erasure)
        _record(session, "erasure.started", erasure)
        return erasure


def _stop(session: Session, person: Employee, now: datetime) -> None:
    mine = (col(Sitting.tenant_id) == person.tenant_id, col(Sitting.employee_id) == person.id)
    served = session.exec(select(Sitting.id).where(*mine, col(Sitting.state) == SittingState.DONE)).first()
    sittings.cancel(session, person.id)
    if served is None:
        invitations.revoke(session, [person.id], now)  # Gives the credit back, too.
    session.execute(
        update(Invitation)
        .where(
            col(Invitation.tenant_id) == person.tenant_id,
            col(Invitation.employee_id) == person.id,
            col(Invitation.revoked_at).is_(None),
        )
        .values(revoked_at=now)
    )
    end_sessions_of(session, person.id)
    person.restricted_at = person.restricted_at or now
    session.add(person)


def _traces(session: Session, kernel: Kernel, person: Employee) -> dict[str, Any]:
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
    }


def _subject(erasure: Erasure) -> Subject:
    traces = erasure.traces
    return Subject(
        tenant=erasure.tenant_id,
        employee=erasure.employee_id,
        email_index=bytes.fromhex(traces["email_index"]) if "email_index" in traces else None,
        workbooks=tuple(UUID(one) for one in traces.get("workbooks", [])),
        samples=traces.get("samples", {}),
    )


def _recipients(session: Session, employee_id: UUID) -> list[dict[str, Any]]:
    """Actual recipients with dates (GDPR article 19): who downloaded released headshots."""
    return [
        {"recipient": "the employer's desk", "at": certificates.moment(entry.at), "headshots": len(entry.objects)}
        for entry in ledger.entries(session, subject=employee_id)
        if entry.event == "release.downloaded"
    ]


def _runs(session: Session, employee_id: UUID) -> bool:
    """Whether the cluster is at work on this person; its tables belong to a neighbour, so they are reached by name."""
    run = SQLModel.metadata.tables["run"]
    found = session.execute(
        run.select()
        .with_only_columns(run.c.id)
        .where(run.c.tenant_id == tenant_of(session), run.c.employee_id == employee_id, run.c.state == "running")
        .limit(1)
    ).first()
    return found is not None


def _delete(attempt: jobs.Attempt, erasure: Erasure) -> Erasure:
    now = utc_now()
    if erasure.trigger == Trigger.WITHDRAWAL:
        with attempt.transaction() as session:
            _leave_line(session, attempt.kernel, erasure, now)
    _wipe_or_log(attempt, erasure, now)
    with attempt.transaction() as session:
        wipe_rows(session, attempt.kernel, erasure.employee_id, now)
        mine = _locked(session, erasure.id)
        assert mine is not None
        if mine.state == ErasureState.DELETING:
            mine.state, mine.deleted_at = ErasureState.VERIFYING, mine.deleted_at or now
            session.add(mine)
            _record(session, "erasure.deleted", mine)
    return mine


def _wipe_or_log(attempt: jobs.Attempt, erasure: Erasure, now: datetime) -> None:
    """What cannot be deleted keeps nothing else: the rows go as well, and the re-scan finds what is left and comes back."""
    try:
        wipe(attempt.kernel, Tombstone(erasure.id, erasure.tenant_id, erasure.employee_id, now))
    except WipeIncomplete:
        log.exception("an erasure could not delete everything", extra={"erasure": str(erasure.id)})


def _leave_line(session: Session, kernel: Kernel, erasure: Erasure, now: datetime) -> None:
    """Who withdrew stays on the employer's list as one of those who opted out, or their absence alone would tell HR.

    It is done before the keys go, because the name has to be read once more, and together with the rows, so that a crash
    leaves neither two lines nor none.
    """
    person = locked_person(session, erasure.employee_id)
    # Looked at once more under the lock, because the person may have asked for everything to go meanwhile.
    mine = _locked(session, erasure.id)
    if person is None or mine is None or mine.trigger != Trigger.WITHDRAWAL:
        return
    try:
        who = employees.profile(kernel.keys, person)
    except (Gone, SealBroken, KeyBroken):  # Without its keys or damaged: nobody can say any more whose line it was.
        return
    wipe_rows(session, kernel, person.id, now)
    employees.enter_as_opted_out(session, kernel.keys, person, who, person.opted_out_at or now)


def _return_to_deleting(attempt: jobs.Attempt, erasure: Erasure, scan: Scan) -> None:
    log.warning("an erasure was not clean", extra={"erasure": str(erasure.id)})
    with attempt.finishing() as session:
        mine = _locked(session, erasure.id)
        if mine is None or mine.state not in (ErasureState.VERIFYING, ErasureState.VERIFIED):
            return
        mine.failures += 1
        mine.state, mine.scan = ErasureState.DELETING, scan.as_dict()
        session.add(mine)
        _record(session, "erasure.incident", mine)
        pause = min(timedelta(seconds=2**mine.failures), LONGEST_PAUSE)
        send(session, mine.id, due=utc_now() + pause)


def _certify(attempt: jobs.Attempt, erasure: Erasure, passed: PassedScan) -> None:
    kernel, now = attempt.kernel, utc_now()
    key = certificates.signing_key(kernel.settings.keys_path())
    with attempt.finishing() as session:
        mine = _locked(session, erasure.id)
        if mine is None or mine.state not in (ErasureState.VERIFYING, ErasureState.VERIFIED):
            return
        mine.verified_at = passed.scan.finished_at
        certificate_id = uuid4()
        document = certificates.build(_case(session, kernel, mine, certificate_id, now), passed)
        session.execute(
            insert(Certificate)
            .values(
                id=certificate_id,
                tenant_id=mine.tenant_id,
                erasure_id=mine.id,
                stage=1,
                document=document,
                jws=certificates.sign(document, key),
                issued_at=now,
            )
            .on_conflict_do_nothing()
        )
        mine.state, mine.scan = ErasureState.CERTIFIED, passed.scan.as_dict()
        session.add(mine)
        requests.close(session, mine.employee_id, RequestKind.ERASURE, now)
        _record(session, "erasure.verified", mine)
        ledger.record(session, "certificate.issued", subject=mine.employee_id, objects=[mine.id, certificate_id])
        jobs.send(session, look_again, str(mine.id), due=now + LOOK_AGAIN)


def _case(session: Session, kernel: Kernel, erasure: Erasure, certificate_id: UUID, now: datetime) -> certificates.Case:
    tenant, head = tenants.get(session), ledger.head(session)
    deleted_at = erasure.deleted_at or now
    index_key = kernel.keys.index_key(erasure.tenant_id)
    refs = [KeyRef(erasure.tenant_id, erasure.employee_id, cls) for cls in KeyClass]
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
        classes={
            name: {
                **found,
                "deleted_at": certificates.moment(deleted_at),
                "method": "deleted, and its key destroyed" if name != "records" else "deleted",
                "nist_800_88": "Purge (cryptographic erase)" if name != "records" else "Clear",
            }
            for name, found in erasure.counts.items()
        },
        keys=[
            {
                "id": _keyed(index_key, f"key|{ref}"),
                "class": str(ref.cls),
                "destroyed_at": certificates.moment(kernel.keys.destroyed_at(ref) or now),
                "backup_horizon_days": certificates.BACKUP_HORIZON_DAYS,
            }
            for ref in refs
        ],
        recipients=erasure.recipients,
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


def _residuals(session: Session, kernel: Kernel, erasure: Erasure, now: datetime) -> list[dict[str, Any]]:
    """What is not gone yet, with the day on which it is."""
    residuals: list[dict[str, Any]] = []
    if erasure.trigger == Trigger.WITHDRAWAL:
        residuals.append({"what": "the employer's own line about the person, marked as opted out", "until": None})
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


@jobs.actor(lane=Lane.PRIVACY, attempts=20, lease=timedelta(minutes=3))
def look_again(attempt: jobs.Attempt, erasure_id: str) -> None:
    """Ten minutes later nothing may have come back; then the traces that the re-scan looked for go as well."""
    with attempt.transaction() as session:
        erasure = get(session, UUID(erasure_id))
    scan = rescan.scan(attempt.kernel, _subject(erasure))
    clean, now = not scan.problems(), utc_now()
    if not clean:
        log.warning("something came back after an erasure", extra={"erasure": erasure_id})
        _wipe_or_log(attempt, erasure, now)
    with attempt.finishing() as session:
        mine = get(session, UUID(erasure_id))
        if clean:
            mine.looked_again_at, mine.traces = now, {}
            _record(session, "erasure.confirmed", mine)
        else:
            wipe_rows(session, attempt.kernel, mine.employee_id, now)
            mine.failures += 1
            mine.scan = scan.as_dict()
            _record(session, "erasure.incident", mine)
            jobs.send(session, look_again, erasure_id, key=f"{erasure_id}:{uuid4()}", due=now + timedelta(minutes=1))
        session.add(mine)


def send(session: Session, erasure_id: UUID, due: datetime | None = None) -> None:
    """One more job for this erasure, which goes on where it is."""
    jobs.send(session, execute, str(erasure_id), key=f"{erasure_id}:{uuid4()}", due=due)


def _locked(session: Session, erasure_id: UUID) -> Erasure | None:
    return session.exec(
        select(Erasure)
        .where(col(Erasure.tenant_id) == tenant_of(session), col(Erasure.id) == erasure_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()


def _record(session: Session, event: str, erasure: Erasure) -> None:
    ledger.record(session, event, subject=erasure.employee_id, objects=[erasure.id])
