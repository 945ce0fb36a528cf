"""Deletions on their announced day end in a certificate too: one class of one person, looked for again in its own places.

Retention leaves an erasure of that scope; here it is verified and certified while the person is still with us, so that
their name and address are tied to it at once. The code that proves it is kept under their own key, and shown to them alone.
"""

from __future__ import annotations

import logging
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import employees
from compliance.erasure import certifying, rescan
from compliance.erasure.wiping import locked_person
from compliance.models import EVERYTHING, Certificate, Erasure
from compliance.proof import whose
from compliance.proof.scan import PassedScan
from compliance.retention import endings
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Gone
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyBroken, KeyClass, KeyFolder, KeyRef, SealBroken
from tenants import tenants

log = logging.getLogger(__name__)

CONTEXT = "erasure/proof-code"


@dataclass(frozen=True)
class Mine:
    """A certificate as the person sees it who may still sign in."""

    certificate: Certificate
    scope: str
    code: str
    """Empty when it cannot be read any more."""


def certify(attempt: jobs.Attempt, erasure: Erasure) -> timedelta | None:
    """How long to wait before the next try; None when this one is over."""
    kernel = attempt.kernel
    with attempt.transaction() as session:
        mine = _tied(session, kernel, erasure.id)
    scan = rescan.scan(kernel, rescan.subject_of(mine))
    if not scan.problems():
        if mine.failures:  # Something was left: it is known to be gone since this look, and not before.
            with attempt.transaction() as session:
                mine = certifying.locked(session, erasure.id)
                mine.deleted_at = scan.started_at
                session.add(mine)
        certifying.first(
            attempt, mine, PassedScan(scan), lambda session, done: endings.write_ended(session, kernel, done, utc_now())
        )
        return None
    with attempt.transaction() as session:
        mine = certifying.locked(session, erasure.id)
        if kernel.keys.state(KeyRef(mine.tenant_id, mine.employee_id, KeyClass(mine.scope))) == "live":
            # They handed something in again meanwhile; its own last day ends in a certificate of its own.
            session.delete(mine)
            return None
        log.warning("a scheduled deletion was not clean", extra={"erasure": str(mine.id)})
        mine.failures += 1
        mine.scan = scan.as_dict()
        session.add(mine)
        ledger.record(session, "erasure.incident", subject=mine.employee_id, objects=[mine.id])
        return timedelta(seconds=min(300, 2**mine.failures))


def _tied(session: Session, kernel: Kernel, erasure_id: UUID) -> Erasure:
    """To the person's name and address, while they can still be read."""
    mine = certifying.locked(session, erasure_id)
    person = locked_person(session, mine.employee_id)
    if person is None or mine.subject_commitment:
        return mine
    with suppress(Gone, SealBroken, KeyBroken):
        who, secret = employees.profile(kernel.keys, person), token_urlsafe(24)
        key = kernel.keys.open(employees.profile_ref(person.tenant_id, person.id))
        mine.traces = {**mine.traces, "code": b64encode(key.seal(secret.encode(), CONTEXT)).decode()}
        mine.subject_commitment = whose.commitment(secret, who.full_name, who.email)
        mine.language = employees.words(kernel.keys, person, tenants.get(session)).language
        session.add(mine)
    return mine


def of(session: Session, keys: KeyFolder, person: Employee) -> list[Mine]:
    """Newest first."""
    found = session.exec(
        select(Certificate, Erasure)
        .join(
            Erasure,
            (col(Erasure.tenant_id) == col(Certificate.tenant_id)) & (col(Erasure.id) == col(Certificate.erasure_id)),
        )
        .where(
            col(Erasure.tenant_id) == tenant_of(session),
            col(Erasure.employee_id) == person.id,
            col(Erasure.scope) != EVERYTHING,
        )
        .order_by(col(Certificate.issued_at).desc())
    ).all()
    return [Mine(certificate, erasure.scope, _code(keys, person, erasure)) for certificate, erasure in found]


def _code(keys: KeyFolder, person: Employee, erasure: Erasure) -> str:
    with suppress(Gone, SealBroken, KeyBroken, KeyError):
        key = keys.open(employees.profile_ref(person.tenant_id, person.id))
        return whose.code_of(key.open(b64decode(erasure.traces["code"]), CONTEXT).decode())
    return ""
