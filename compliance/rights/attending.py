"""What starts erasures and starts them again: withdrawn consents, jobs that were lost, holds that ended."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import or_
from sqlmodel import Session, SQLModel, col, select

from batch.models import Consent, Employee, Headshot, Photo, Upload
from batch.people.held import free
from batch.sittings import narrowing, sittings
from batch.visit import addresses
from compliance import holds, stores
from compliance.erasure import erasures, staying
from compliance.models import EVERYTHING, OPEN, Erasure, ErasureState, Trigger
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.jobs import jobs, sweeping
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from tenants import tenants

log = logging.getLogger(__name__)


@jobs.every(timedelta(seconds=10))
def attend(kernel: Kernel, now: datetime) -> None:
    """Withdrawn consents and unanswered addresses become erasures; those that lost their job or whose hold ended go on, and
    those that were certified are looked at once more."""
    for tenant in tenants.all_ids(kernel):
        try:
            with kernel.db.transaction(tenant) as session:
                withdrawn, stranded = _withdrawn(session), _stranded(session, now)
                silent, unlooked = _silent(session, now), _unlooked(session)
        except Exception:  # One company's trouble must not keep the others' people waiting.
            log.exception("erasures could not be attended to", extra={"tenant": str(tenant)})
            continue
        sweeping.each(kernel, "withdrawn", tenant, withdrawn, now, partial(_follow_withdrawal, now=now))
        sweeping.each(kernel, "silent", tenant, silent, now, partial(_start_empty, kernel=kernel, now=now))
        sweeping.each(kernel, "stranded", tenant, stranded, now, erasures.send)
        sweeping.each(kernel, "unlooked", tenant, unlooked, now, _look_again)


def _follow_withdrawal(session: Session, employee_id: UUID, *, now: datetime) -> None:
    erasures.request(session, employee_id, trigger=Trigger.WITHDRAWAL, requested_by=ledger.SYSTEM, now=now)


def withdraw(session: Session, employee_id: UUID, now: datetime) -> Erasure | None:
    """Takes the consent back; what was handed in and made goes from here on. None when there is nothing to delete."""
    sittings.withdraw(session, employee_id, now)
    session.flush()
    if not _withdrawn(session, employee_id):
        return erasures.open_of(session, employee_id)
    by = f"employee:{employee_id}"
    return erasures.request(session, employee_id, trigger=Trigger.WITHDRAWAL, requested_by=by, now=now)


def withdraw_one(session: Session, employee_id: UUID, purpose: str, now: datetime) -> bool:
    """Takes one purpose back; True where the rest goes on. Raises `PurposeMissing`."""
    if narrowing.withdraw_one(session, employee_id, purpose, now):
        return True
    withdraw(session, employee_id, now)
    return False


def _silent(session: Session, now: datetime) -> list[UUID]:
    """Whose new address nobody confirmed in time; never while a hold keeps all there is."""
    kept = holds.held_whole(session, now)
    return [change.employee_id for change in addresses.silent(session, now) if change.employee_id not in kept]


def _start_empty(session: Session, employee_id: UUID, *, kernel: Kernel, now: datetime) -> None:
    change = addresses.pending_of(session, employee_id)
    if change is None or not addresses.run_out(session, kernel.keys, change, now):
        return
    erasure = erasures.request(session, employee_id, trigger=Trigger.ADDRESS, requested_by=ledger.SYSTEM, now=now)
    if erasure.trigger == Trigger.ADDRESS:
        # The link in the mail to the old address leads to the certificate from here on.
        erasure.receipt_hash = change.token_hash
        session.add(erasure)


def _withdrawn(session: Session, employee_id: UUID | None = None) -> list[UUID]:
    """People who opted out after they had handed something in, and for whom no erasure is under way."""
    tenant = tenant_of(session)
    one = [] if employee_id is None else [col(Employee.id) == employee_id]
    under_way = select(Erasure.employee_id).where(
        col(Erasure.tenant_id) == tenant, col(Erasure.scope) == EVERYTHING, col(Erasure.state).in_(OPEN)
    )
    has = [
        select(table.employee_id).where(col(table.tenant_id) == tenant, col(table.employee_id) == col(Employee.id))
        for table in (Consent, Photo, Headshot, Upload)
    ]
    return list(
        session.exec(
            select(Employee.id).where(
                col(Employee.tenant_id) == tenant,
                *one,
                col(Employee.opted_out_at).is_not(None),
                col(Employee.id).not_in(under_way),
                or_(*(one.exists() for one in has), _has_weights()),
            )
        )
    )


def _has_weights() -> Any:
    weights = SQLModel.metadata.tables["weights"]
    return (
        weights.select()
        .with_only_columns(weights.c.id)
        .where(weights.c.tenant_id == col(Employee.tenant_id), weights.c.employee_id == col(Employee.id))
        .exists()
    )


def _stranded(session: Session, now: datetime) -> list[UUID]:
    """Erasures under way without a job on its way: a held one once its hold is over, once something of it is covered no
    longer, or once its person stays. A hold of some things keeps no certificate about others."""
    tenant = tenant_of(session)
    waiting = session.exec(select(Erasure).where(col(Erasure.tenant_id) == tenant, col(Erasure.state).in_(OPEN))).all()
    if not waiting:
        return []
    busy, stay = _on_their_way(session, jobs.name_of(erasures.execute)), staying.withdrawable(session)
    about = {one.scope: None if one.scope == EVERYTHING else one.scope for one in waiting}
    held = {scope: holds.held(session, now, cls) for scope, cls in about.items()}
    return [
        one.id
        for one in waiting
        if str(one.id) not in busy
        and (
            one.employee_id not in held[one.scope]
            or one.id in stay
            or (one.scope == EVERYTHING and (one.state != ErasureState.HELD or _free(session, one.employee_id, now)))
        )
    ]


def _unlooked(session: Session) -> list[UUID]:
    """Certified, and nobody is going to look whether anything came back: the certificate itself came back with a restore,
    or with the start after a process that died while it stored it."""
    tenant = tenant_of(session)
    waiting = session.exec(
        select(Erasure.id).where(
            col(Erasure.tenant_id) == tenant, col(Erasure.scope) == EVERYTHING,
            col(Erasure.state) == ErasureState.CERTIFIED, col(Erasure.looked_again_at).is_(None),
        )
    ).all()  # fmt: skip
    busy = _on_their_way(session, jobs.name_of(erasures.look_again)) if waiting else set()
    return [one for one in waiting if str(one) not in busy]


def _look_again(session: Session, erasure_id: UUID) -> None:
    jobs.send(session, erasures.look_again, str(erasure_id), key=f"{erasure_id}:{uuid4()}")


def _on_their_way(session: Session, kind: str) -> set[str]:
    """Which erasures have a job of this kind."""
    theirs = (col(Job.tenant_id) == tenant_of(session), col(Job.kind) == kind)
    waiting = select(Job.args).where(*theirs, col(Job.state).in_((JobState.READY, JobState.RUNNING)))
    return {args[0] for args in session.exec(waiting)}


def _free(session: Session, employee_id: UUID, now: datetime) -> bool:
    """Whether something of a held person is to be kept for longer although no hold covers it any more."""
    for due in stores.DUE:
        rows = SQLModel.metadata.tables[due.table]
        mine = (rows.c.tenant_id == tenant_of(session), rows.c.employee_id == employee_id, rows.c.due_at > now)
        uncovered = select(rows.c.id).where(*mine, free(due.table, due.cls, now))
        if session.exec(uncovered.limit(1)).first() is not None:
            return True
    return False
