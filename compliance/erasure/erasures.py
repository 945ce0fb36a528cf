"""Erasures: a person's things go away, all of them, and a certificate says so only after an independent look.

requested -> (held) -> deleting -> verifying -> verified -> certified. Each step is guarded by the state and safe to run
twice, so a crash at any point continues where it was. Deleting begins with a tombstone and the keys: from that second on
nothing of the person can be read, also by a run on the cluster that has not stopped yet. A verification that finds
something returns to deleting, and the ledger keeps the incident. Ten minutes after the certificate is one more look.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, text, update
from sqlmodel import Session, SQLModel, col, select

from batch.models import Employee, Invitation, Sitting, SittingState
from batch.people.held import COVERS
from batch.photos import photos
from batch.photos.measures import KNOWN
from batch.sittings import edits, sittings
from batch.visit import invitations
from compliance import holds, mentions, requests, stores
from compliance.erasure import cases, certifying, inventory, lines, receipts, rescan, scheduled, staying
from compliance.erasure.tombstones import Tombstone
from compliance.erasure.wiping import WipeIncomplete, locked_person, wipe, wipe_rows
from compliance.models import EVERYTHING, LEFT_BY, OPEN, Certificate, Erasure, ErasureState, RequestKind, Trigger
from compliance.proof.scan import PassedScan, Scan
from likeness import ledger
from likeness.ground.db import after_commit, newest_first, row_of, tenant_of, utc_now
from likeness.ground.errors import NotFound, Unprocessable
from likeness.ground.lanes import Lane
from likeness.identity import LeadsNowhere, end_sessions_of, token_hash
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyUnavailable
from tenants.webhooks import deliveries
from tenants.webhooks.events import Event

log = logging.getLogger(__name__)

STUDIO_STOPS = timedelta(seconds=45)
"""A run on the cluster stops within a training step or a rendered picture; until then it may still write an object."""
MAILS_TAKE = timedelta(minutes=1)
LOOK_AGAIN = timedelta(minutes=10)
LONGEST_PAUSE = timedelta(minutes=5)
NARROWER = (*LEFT_BY, Trigger.LEAVER)
"""What a person's or HR's own wish to have everything deleted takes over: it leaves a line, or can be withdrawn."""


class ErasureMissing(NotFound):
    """The company has no such erasure."""

    title = "There is no such deletion"


class ReceiptUnknown(LeadsNowhere, NotFound):
    """No erasure has this receipt."""

    title = "This receipt is not known here"


class CertificateMissing(NotFound):
    """There is no such certificate, or not yet."""

    title = "There is no certificate yet"


class TriggerUnknown(Unprocessable):
    """An erasure has one of a few causes."""

    title = "There is no such cause of a deletion"


def request(
    session: Session, employee_id: UUID, *, trigger: Trigger | str, requested_by: str, now: datetime, begin: bool = True
) -> Erasure:
    """Asking again while one is under way gives the same one. Without `begin` the caller sends its job.

    Raises `EmployeeMissing`.
    """
    if trigger not in set(Trigger):
        raise TriggerUnknown(f"{trigger} is no cause of an erasure.")
    photos.hold(session, employee_id)
    known = open_of(session, employee_id)
    if known is not None:
        if trigger in (Trigger.PERSON, Trigger.EMPLOYER) and known.trigger in NARROWER:
            _widen(session, known, Trigger(trigger), requested_by, now)
        elif trigger == Trigger.PERSON:
            requests.receive_erasure(session, employee_id, now, caller=requested_by)
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
        requests.receive_erasure(session, employee_id, now, caller=requested_by)
    if begin:
        send(session, erasure.id)
    ledger.record(session, "erasure.requested", caller=requested_by, subject=employee_id, objects=[erasure.id])
    return erasure


def _widen(session: Session, erasure: Erasure, trigger: Trigger, requested_by: str, now: datetime) -> None:
    """The person wants the employer's line about them to go as well, or the employer asks: also if they stay.

    What the employer asks of somebody who withdrew stays the person's own wish, since when they had it.
    """
    if trigger == Trigger.PERSON or erasure.trigger == Trigger.LEAVER:
        erasure.requested_by, erasure.requested_at = requested_by, now
    erasure.trigger = trigger
    session.add(erasure)
    if trigger == Trigger.PERSON:
        requests.receive_erasure(session, erasure.employee_id, now, caller=requested_by)
    ledger.record(session, "erasure.requested", caller=requested_by, subject=erasure.employee_id, objects=[erasure.id])


def ask(
    session: Session,
    kernel: Kernel,
    employee_id: UUID,
    now: datetime,
    *,
    caller: str | None = None,
    trigger: Trigger = Trigger.PERSON,
) -> tuple[Erasure, str]:
    """Everything of the person goes: the erasure, and the receipt, which is mailed to them as well. Without a `caller` the
    person asks themselves."""
    by = caller or f"employee:{employee_id}"
    erasure = request(session, employee_id, trigger=trigger, requested_by=by, now=now, begin=False)
    receipt = receipts.issue(session, kernel.keys, erasure)
    receipts.write(session, kernel, erasure, receipt)
    send(session, erasure.id)
    return erasure, receipt


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
    erasure = row_of(session, Erasure, erasure_id)
    if erasure is None:
        raise ErasureMissing("There is no such erasure.")
    return erasure


def open_of(session: Session, employee_id: UUID) -> Erasure | None:
    """The one under way for this person."""
    return session.exec(
        select(Erasure).where(
            col(Erasure.tenant_id) == tenant_of(session),
            col(Erasure.employee_id) == employee_id,
            col(Erasure.scope) == EVERYTHING,
            col(Erasure.state).in_(OPEN),
        )
    ).one_or_none()


def all_erasures(
    session: Session, most: int | None = None, *, before: tuple[datetime, UUID] | None = None
) -> list[Erasure]:
    """Newest first; at most so many, those `before` the moment and the id of one."""
    query = select(Erasure).where(col(Erasure.tenant_id) == tenant_of(session))
    return list(session.exec(newest_first(query, col(Erasure.requested_at), col(Erasure.id), most, before)))


def count(session: Session) -> int:
    return session.exec(select(func.count(col(Erasure.id))).where(col(Erasure.tenant_id) == tenant_of(session))).one()


def certificate(session: Session, certificate_id: UUID) -> Certificate:
    """Raises `CertificateMissing`."""
    return _one_certificate(session, Certificate.id, certificate_id)


def certificate_of(session: Session, erasure_id: UUID) -> Certificate:
    """Raises `CertificateMissing` while the erasure is not certified."""
    return _one_certificate(session, Certificate.erasure_id, erasure_id)


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
    with attempt.transaction() as session:
        begun = _locked(session, UUID(erasure_id))
    if begun is None:  # Withdrawn meanwhile.
        return
    if begun.scope != EVERYTHING:
        _certify_one_class(attempt, begun)
        return
    erasure = _freeze(attempt, begun)
    if erasure is None:
        return
    if erasure.state == ErasureState.DELETING:
        inventory.count(attempt, erasure)
        erasure = _delete(attempt, erasure)
    if erasure.settled_at and erasure.settled_at > utc_now():
        with attempt.finishing() as session:
            send(session, erasure.id, due=erasure.settled_at)
        return
    if _still_informing(attempt, erasure):
        return
    scan = rescan.scan(attempt.kernel, rescan.subject_of(erasure))
    if scan.problems():
        _return_to_deleting(attempt, erasure, scan)
    else:
        certifying.first(attempt, erasure, PassedScan(scan), _certified)


def _certify_one_class(attempt: jobs.Attempt, erasure: Erasure) -> None:
    pause = None if erasure.state == ErasureState.CERTIFIED else scheduled.certify(attempt, erasure)
    if pause is not None:
        with attempt.finishing() as session:
            send(session, erasure.id, due=utc_now() + pause)


def _still_informing(attempt: jobs.Attempt, erasure: Erasure) -> bool:
    """Gives the mails that ask to delete copies a minute, because the certificate says whether they were handed over, and
    the receipt as long; then that mail goes too, or nothing could be certified."""
    now = utc_now()
    with attempt.transaction() as session:
        waits = cases.being_informed(session, erasure) or receipts.on_their_way(session, erasure)
        if not waits or erasure.deleted_at is None or now - erasure.deleted_at > MAILS_TAKE:
            receipts.forget(session, attempt.kernel, erasure, now)
            return False
    with attempt.finishing() as session:
        send(session, erasure.id, due=now + timedelta(seconds=3))
    return True


def _freeze(attempt: jobs.Attempt, begun: Erasure) -> Erasure | None:
    """Stops everything around the person. None when the erasure is held, withdrawn or over."""
    now = utc_now()
    with attempt.transaction() as session:
        # The person is locked before the erasure, as in `request`, or the two could wait for each other.
        person = locked_person(session, begun.employee_id)
        erasure = _locked(session, begun.id)
        if erasure is None or erasure.state == ErasureState.CERTIFIED:
            return None
        if erasure.state not in (ErasureState.REQUESTED, ErasureState.HELD):
            return erasure
        if person is not None and erasure.id in staying.withdrawable(session):
            staying.withdraw(session, person, erasure)
            return None
        if erasure.employee_id in holds.held(session, now):
            if erasure.state != ErasureState.HELD:
                # A hold keeps what there is; it is no leave to go on using it.
                if person is not None:
                    _stop(session, person, erasure, now)
                erasure.state = ErasureState.HELD
                session.add(erasure)
                _record(session, "erasure.held", erasure)
            _let_go(session, erasure.employee_id, now)
            return None
        if person is not None:
            _stop(session, person, erasure, now)
            erasure.traces = cases.traces(session, attempt.kernel, person)
            erasure.language = cases.language(session, attempt.kernel, person)
            receipts.hand_to_leaver(session, attempt.kernel, erasure)
        erasure.recipients = cases.inform(session, attempt.kernel, erasure)
        erasure.settled_at = now + STUDIO_STOPS if _runs(session, erasure.employee_id) else now
        erasure.state = ErasureState.DELETING
        session.add(erasure)
        _record(session, "erasure.started", erasure)
        return erasure


def _let_go(session: Session, employee_id: UUID, now: datetime) -> None:
    """What no hold covers is due from now on, so that retention deletes and certifies it; the rest waits."""
    for due in stores.DUE:
        session.execute(
            text(
                f"update {due.table} set due_at = :now where tenant_id = :tenant and employee_id = :person"  # noqa: S608
                f" and due_at > :now and not {COVERS.format(table=due.table, cls=due.cls)}"
            ),
            {"now": now, "holds_now": now, "tenant": tenant_of(session), "person": employee_id},
        )


def _stop(session: Session, person: Employee, erasure: Erasure, now: datetime) -> None:
    mine = (col(Sitting.tenant_id) == person.tenant_id, col(Sitting.employee_id) == person.id)
    served = session.exec(select(Sitting.id).where(*mine, col(Sitting.state) == SittingState.DONE)).first()
    sittings.cancel(session, person.id)
    person.restricted_at = person.restricted_at or now
    session.add(person)
    # Once no transaction can hand out what was measured any more; other processes ask within seconds.
    after_commit(session, lambda: KNOWN.forget(person.id))
    if erasure.trigger == Trigger.WITHDRAWAL:
        # Their page goes on: there they read what becomes of their data, and may change their mind.
        return
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


def _runs(session: Session, employee_id: UUID) -> bool:
    """Whether the cluster is at work on this person; its tables belong to a neighbour, so they are reached by name."""
    if edits.under_way(session, employee_id):
        return True
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
    if erasure.trigger in LEFT_BY:
        with attempt.transaction() as session:
            person = locked_person(session, erasure.employee_id)
            # Looked at once more under the lock, because the person may have asked for everything to go meanwhile.
            still = _locked(session, erasure.id)
            if person is not None and still is not None and still.trigger in LEFT_BY:
                lines.leave(session, attempt.kernel, person, still, now)
    _mask_mentions(attempt, erasure)
    _wipe_or_log(attempt, erasure, now)
    with attempt.transaction() as session:
        wipe_rows(session, attempt.kernel, erasure.employee_id, now)
        mine = _locked(session, erasure.id)
        assert mine is not None
        if mine.state == ErasureState.DELETING:
            # The end of the pass that left nothing: a backup made before it may hold what this one destroyed.
            mine.state, mine.deleted_at = ErasureState.VERIFYING, utc_now()
            session.add(mine)
            _record(session, "erasure.deleted", mine)
            deliveries.happened(session, Event.ERASURE_DELETED, {"erasure_id": mine.id}, mine.deleted_at)
    return mine


def _wipe_or_log(attempt: jobs.Attempt, erasure: Erasure, now: datetime) -> None:
    """What cannot be deleted keeps nothing else: the rows go as well, and the re-scan finds what is left and comes back."""
    try:
        tombstone = Tombstone(erasure.id, erasure.tenant_id, erasure.employee_id, now)
        wipe(attempt.kernel, tombstone, erasure.traces.get("objects", ()))
    except WipeIncomplete:
        log.exception("an erasure could not delete everything", extra={"erasure": str(erasure.id)})


def _mask_mentions(attempt: jobs.Attempt, erasure: Erasure) -> None:
    try:
        mentions.mask(attempt.kernel, erasure.tenant_id, rescan.subject_of(erasure).traces(attempt.kernel))
    except KeyUnavailable:  # Nobody can read them meanwhile, and the re-scan does not pass before somebody can.
        log.exception("what others wrote about somebody could not be read", extra={"erasure": str(erasure.id)})


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


def _certified(session: Session, erasure: Erasure) -> None:
    if cases.settle(session, erasure, utc_now()):  # Else the case waits for those who have copies.
        requests.close(session, erasure.employee_id, RequestKind.ERASURE, utc_now())
    _record(session, "erasure.verified", erasure)
    jobs.send(session, look_again, str(erasure.id), due=utc_now() + LOOK_AGAIN)


@jobs.actor(lane=Lane.PRIVACY, attempts=20, lease=timedelta(minutes=3))
def look_again(attempt: jobs.Attempt, erasure_id: str) -> None:
    """Ten minutes later nothing may have come back; then the traces that the re-scan looked for go as well."""
    with attempt.transaction() as session:
        erasure = get(session, UUID(erasure_id))
    scan = rescan.scan(attempt.kernel, rescan.subject_of(erasure))
    clean, now = not scan.problems(), utc_now()
    if not clean:
        log.warning("something came back after an erasure", extra={"erasure": erasure_id})
        _mask_mentions(attempt, erasure)
        _wipe_or_log(attempt, erasure, now)
    with attempt.finishing() as session:
        mine = get(session, UUID(erasure_id))
        receipts.forget(session, attempt.kernel, mine, now)
        if clean:
            mine.looked_again_at, mine.traces = now, {}
            _record(session, "erasure.confirmed", mine)
        else:
            wipe_rows(session, attempt.kernel, mine.employee_id, now)
            mine.failures += 1
            # The first certificate is out; the second one tells this day, and its backups count from it.
            mine.scan, mine.deleted_at = scan.as_dict(), utc_now()
            _record(session, "erasure.incident", mine)
            jobs.send(session, look_again, erasure_id, key=f"{erasure_id}:{uuid4()}", due=now + timedelta(minutes=1))
        session.add(mine)


def send(session: Session, erasure_id: UUID, due: datetime | None = None) -> None:
    """One more job for this erasure, which goes on where it is."""
    jobs.send(session, execute, str(erasure_id), key=f"{erasure_id}:{uuid4()}", due=due)


def _locked(session: Session, erasure_id: UUID) -> Erasure | None:
    return row_of(session, Erasure, erasure_id, locked=True)


def _record(session: Session, event: str, erasure: Erasure) -> None:
    ledger.record(session, event, subject=erasure.employee_id, objects=[erasure.id])
