"""Who stays after all: the deletion that their leaving began is withdrawn, as long as nothing of it was carried out.

The directory takes the person's last day back and knows nothing of erasures; who is found here without a last day stays.
"""

from __future__ import annotations

from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Employee
from compliance import requests
from compliance.models import BY_STOPPING, Erasure, ErasureState, Trigger
from likeness import ledger
from likeness.evidence.outside import Act
from likeness.ground.db import tenant_of
from likeness.kernel import Kernel

WAITING = (ErasureState.REQUESTED, ErasureState.HELD)


def withdrawable(session: Session) -> set[UUID]:
    """Erasures of leavers who stay. One with a receipt is somebody's own wish as well, and goes on."""
    query = select(Erasure.id).join(
        Employee, (col(Employee.tenant_id) == col(Erasure.tenant_id)) & (col(Employee.id) == col(Erasure.employee_id))
    )
    return set(
        session.exec(
            query.where(
                col(Erasure.tenant_id) == tenant_of(session),
                col(Erasure.trigger) == Trigger.LEAVER,
                col(Erasure.state).in_(WAITING),
                col(Erasure.receipt_hash).is_(None),
                col(Employee.leaves_at).is_(None),
            )
        )
    )


def withdraw(session: Session, person: Employee, erasure: Erasure) -> None:
    """Their photos may be used again, unless they asked themselves that nothing be done with them. The log keeps that there
    was an erasure; the person is locked."""
    _undo(session, person, erasure)
    ledger.record(session, "erasure.withdrawn", subject=person.id, objects=[erasure.id])


def repeat(session: Session, kernel: Kernel, act: Act) -> None:
    """Who stays after all is not deleted because a restored backup still knows that they were to go."""
    mine = (col(Erasure.tenant_id) == act.tenant, col(Erasure.id).in_([UUID(one) for one in act.objects]))
    waiting = (col(Erasure.state).in_(WAITING), col(Erasure.receipt_hash).is_(None))
    for erasure in session.exec(select(Erasure).where(*mine, *waiting)).all():
        if (person := session.get(Employee, (erasure.employee_id, act.tenant))) is not None:
            _undo(session, person, erasure)


def _undo(session: Session, person: Employee, erasure: Erasure) -> None:
    if not _wants_it_stopped(session, person, erasure):
        person.restricted_at = None
        session.add(person)
    session.delete(erasure)
    session.flush()


def _wants_it_stopped(session: Session, person: Employee, erasure: Erasure) -> bool:
    entries = ledger.entries(session, subject=person.id)
    # After a restore the person's word is there as an act that was repeated.
    events = [one.objects[0].partition(":")[0] if one.event == "act.repeated" else one.event for one in entries]
    said = [one for one in events if one in ("processing.stopped", "processing.resumed")]
    if said[-1:] == ["processing.stopped"]:
        return True
    # What came while use was stopped anyway has no entry of its own.
    return any(
        case.kind in BY_STOPPING and case.refusal is None and (case.dispatched_at or case.done_at) is not None
        and case.received_at >= erasure.requested_at
        for case in requests.of(session, person.id)
    )  # fmt: skip
