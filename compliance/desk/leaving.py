"""A company leaves: everything of it is handed back if it wishes so, then destroyed, and a certificate says that it is.

An owner asks, sees counts, and types the company's name. A day passes in which every owner can call it off, and all who
work there are told. Then each person is erased with a certificate of their own; a legal hold keeps its people, and the
departure waits for its end. When nobody is left the rest goes, the company's key is destroyed, an own look finds nothing,
the certificate is signed, and only then the company counts as gone (`left_at`): until then every sweep goes on for it.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func
from sqlmodel import Session, col, select

from batch.delivery import delivery
from batch.models import Batch, Employee
from batch.people import employees
from batch.roster import listings
from compliance import departed, holds
from compliance.desk import deleting
from compliance.desk.deleting import DeletionPreview, Going
from compliance.erasure import certifying, erasures
from compliance.models import EVERYTHING, Certificate, Departure, Erasure, ErasureState, Trigger
from compliance.proof import certificates, departures, signing, stored
from compliance.proof.departures import DepartureCase
from compliance.proof.scan import PassedScan
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Conflict, Gone, NotFound, Unprocessable
from likeness.ground.lanes import Lane
from likeness.identity import Kind, LeadsNowhere, new_token, token_hash
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.locale.words import words as words_for
from likeness.mail import letters, mail
from likeness.web.streaming import Sink
from tenants import tenants
from tenants.members import members
from tenants.models import Tenant

log = logging.getLogger(__name__)

PAUSE = timedelta(days=1)
AT_ONCE = 100
"""People whose erasure one round begins."""


class NotTheName(Unprocessable):
    """Who destroys a company types its name."""

    title = "This is not the company's name"


class LeavingAlready(Conflict):
    """The company has asked to leave."""

    title = "Your company is leaving already"


class NotLeaving(NotFound):
    """Nobody has asked that the company leaves."""

    title = "Nobody has asked to leave"


class LeavingBegun(Conflict):
    """People are being deleted already."""

    title = "The deletion has begun"


class DepartureUnknown(LeadsNowhere, NotFound):
    """No departure has this receipt."""

    title = "This receipt is not known here"


def open_of(session: Session) -> Departure | None:
    return session.exec(
        select(Departure).where(col(Departure.tenant_id) == tenant_of(session), col(Departure.called_off_at).is_(None))
    ).one_or_none()


def everybody(session: Session, now: datetime) -> Going:
    """`held` are all for whom the departure waits: an owner has to know why it does not begin."""
    return replace(_everybody(session, now), held=len(holds.held(session, now)))


def _everybody(session: Session, now: datetime) -> Going:
    people = session.exec(select(Employee.id).where(col(Employee.tenant_id) == tenant_of(session)))
    return deleting.whom(session, list(people), now)


def ask(
    session: Session, kernel: Kernel, member_id: UUID, now: datetime, *, name: str, counted: int, said: DeletionPreview,
    hand_back: bool, kind: Kind = Kind.MEMBER,
) -> tuple[Departure, str]:
    """The departure, and the receipt that leads to its certificate. `counted` are the people whom the owner was shown;
    `said` is what of them is stored, which stands in the certificate. Raises `NotTheName`, `NotAsCounted` and
    `LeavingAlready`."""
    company = tenants.get(session)
    if name.strip() != company.name:
        raise NotTheName("Type the company's name exactly as it stands in its terms. Nothing was begun.")
    if open_of(session) is not None:
        raise LeavingAlready("The company is leaving already.")
    going = _everybody(session, now)
    if not said.people + said.under_way == len(going.people) + going.under_way == counted:
        raise deleting.NotAsCounted("There are other people now than you were shown. Please look at the new numbers.")
    token = new_token(tenant_of(session))
    departure = Departure(
        tenant_id=tenant_of(session),
        asked_by=member_id,
        asked_at=now,
        begins_at=now + PAUSE,
        hand_back=hand_back,
        receipt_hash=token_hash(token),
        counts=asdict(replace(said, held=going.held)) | {"batches": _batches(session)},
        language=company.language,
    )
    session.add(departure)
    session.flush()
    ledger.record(session, "departure.asked", caller=f"{kind}:{member_id}", objects=[departure.id])
    _tell(session, kernel, departure, company, receipt_link(kernel, token))
    return departure, token


def receipt_link(kernel: Kernel, token: str) -> str:
    """The page that the receipt leads to, without a sign-in."""
    return f"{kernel.settings.public_url.rstrip('/')}/left/{token}"


def _batches(session: Session) -> int:
    return session.exec(select(func.count()).select_from(Batch).where(col(Batch.tenant_id) == tenant_of(session))).one()


def _tell(session: Session, kernel: Kernel, departure: Departure, company: Tenant, link: str) -> None:
    reads = words_for(company.language, company.time_zone)
    people = departure.counts["people"] + departure.counts["under_way"]
    for member in members.all(session):
        if member.disabled_at is None:
            who = members.profile(kernel.keys, member)
            letter = letters.letter(
                "leaving", reads, who.email, name=who.name, controller=company.name, colour=company.colour,
                day=reads.moment(departure.begins_at), people=reads.number(people),
                link=f"{link}?language={reads.language}",
            )  # fmt: skip
            mail.post(session, kernel.keys, member.id, letter, template="leaving", campaign=str(departure.id))


def call_off(session: Session, member_id: UUID, now: datetime, *, kind: Kind = Kind.MEMBER) -> Departure:
    """Raises `NotLeaving`, and `LeavingBegun` once the first person is being deleted."""
    departure = _locked(session)
    if departure.begun_at is not None:
        raise LeavingBegun("The deletion has begun and is not called back.")
    departure.called_off_at = now
    session.add(departure)
    ledger.record(session, "departure.called-off", caller=f"{kind}:{member_id}", objects=[departure.id])
    return departure


def _locked(session: Session) -> Departure:
    found = session.exec(
        select(Departure)
        .where(col(Departure.tenant_id) == tenant_of(session), col(Departure.called_off_at).is_(None))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise NotLeaving("Nobody has asked that the company leaves.")
    return found


def by_receipt(session: Session, token: str) -> Departure:
    """Raises `DepartureUnknown`."""
    found = session.exec(
        select(Departure).where(
            col(Departure.tenant_id) == tenant_of(session), col(Departure.receipt_hash) == token_hash(token)
        )
    ).one_or_none()
    if found is None:
        raise DepartureUnknown("There is no such receipt.")
    return found


# What is handed back


def pieces(kernel: Kernel, tenant: UUID, now: datetime, *, caller: str) -> Iterator[bytes]:
    """A ZIP of the list of people and the released headshots of each batch, with one picture in memory at a time.

    The log is not in it: whoever reads names beside it could tell who withdrew. Legal and audits export it themselves.
    When all of it was taken, that is on record, and the deletion no longer waits for it. Raises `NotLeaving`.
    """
    with kernel.db.transaction(tenant) as session:
        departure = open_of(session)
        if departure is None:
            raise NotLeaving("Nobody has asked that the company leaves.")
        everybody = session.exec(_people(session)).all()
        people = [_line(kernel, one) for one in everybody]
        listings.note(session, [one.roster_id for one in everybody], now, caller=caller)
        batch_ids = list(session.exec(select(Batch.id).where(col(Batch.tenant_id) == tenant)))
    sent = Sink()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr("people.json", json.dumps(people, ensure_ascii=False, indent=1))
        yield sent.take()
        for batch_id in batch_ids:
            with packed.open(f"headshots/{batch_id}.zip", "w", force_zip64=True) as inner:
                for piece in delivery.archive(kernel, tenant, batch_id, now, caller=caller):
                    inner.write(piece)
                    yield sent.take()
    yield sent.take()
    with kernel.db.transaction(tenant) as session:
        mine = _locked(session)
        mine.returned_at = mine.returned_at or utc_now()
        session.add(mine)
        ledger.record(session, "departure.handed-back", caller=caller, objects=[mine.id])


def _people(session: Session) -> Any:
    return select(Employee).where(col(Employee.tenant_id) == tenant_of(session)).order_by(col(Employee.created_at))


def _line(kernel: Kernel, person: Employee) -> dict[str, str | None]:
    try:
        who = employees.profile(kernel.keys, person)
    except Gone:
        return {"note": "deleted"}
    return {
        "full_name": who.full_name, "email": who.email, "employee_key": who.employee_key, "department": who.department,
        "site": who.site, "manager_email": who.manager_email,
    }  # fmt: skip


# The way out


@jobs.every(timedelta(seconds=30))
def attend(kernel: Kernel, now: datetime) -> None:
    """Takes each departure a step further."""
    tenants.for_each(kernel, lambda session: _step(session, kernel, now))


def _step(session: Session, kernel: Kernel, now: datetime) -> None:
    departure = open_of(session)
    if departure is None or departure.ended_at is not None or departure.begins_at > now:
        return
    if departure.hand_back and departure.returned_at is None:
        return
    if departure.begun_at is None:
        departure = _locked(session)
        departure.begun_at = now
        session.add(departure)
        ledger.record(session, "departure.begun", objects=[departure.id])
    under_way = select(Erasure.employee_id).where(
        col(Erasure.tenant_id) == tenant_of(session), col(Erasure.state) != ErasureState.CERTIFIED,
        col(Erasure.scope) == EVERYTHING,
    )  # fmt: skip
    left = select(Employee.id).where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id).not_in(under_way))
    for person in session.exec(left.limit(AT_ONCE)).all():
        erasures.ask(session, kernel, person, now, caller=ledger.SYSTEM, trigger=Trigger.TENANT_EXIT)
    if _is_empty(session):
        jobs.send(session, finish, str(departure.id), key=f"{departure.id}:{now:%Y%m%d%H%M%S%f}")


def _is_empty(session: Session) -> bool:
    """Nobody is left, and every erasure was certified and looked at once more."""
    tenant = tenant_of(session)
    if session.exec(select(Employee.id).where(col(Employee.tenant_id) == tenant).limit(1)).first() is not None:
        return False
    waiting = select(Erasure.id).where(
        col(Erasure.tenant_id) == tenant,
        (col(Erasure.state) != ErasureState.CERTIFIED)
        | ((col(Erasure.scope) == EVERYTHING) & col(Erasure.looked_again_at).is_(None)),
    )
    return session.exec(waiting.limit(1)).first() is None


@jobs.actor(lane=Lane.PRIVACY, attempts=20, lease=timedelta(minutes=5))
def finish(attempt: jobs.Attempt, departure_id: str) -> None:
    """Destroys the rest, looks for it, and signs. What is found is deleted again by the next try, within a minute."""
    kernel, now, certificate_id = attempt.kernel, utc_now(), uuid4()
    signing.sealed_by(kernel, now)
    signing.key(kernel, now)  # Nothing is destroyed whose destruction could not be certified.
    with attempt.transaction() as session:
        departure = open_of(session)
        going = departure is not None and departure.ended_at is None and _is_empty(session)
        if going:
            departed.wipe_rows(session)
    if departure is None or not going:
        with attempt.finishing():
            return
    departed.wipe(kernel, departure.tenant_id, now)
    deleted_at = utc_now()  # A backup that was made meanwhile may hold the company's key.
    scanned = departed.scan(kernel, departure.tenant_id)
    if scanned.problems():
        log.warning("a departure was not clean", extra={"departure": departure_id})
        with attempt.finishing() as session:
            ledger.record(session, "departure.incident", objects=[departure.id])
        return
    now = utc_now()
    with attempt.transaction() as session:
        ledger.record(session, certifying.PREPARED, objects=[departure.id, certificate_id])
    with attempt.transaction() as session:
        placed = certifying.logged(session, kernel, certificate_id, now)
        case = _case(session, kernel, departure, certificate_id, placed, deleted_at, now)
    made = certifying.made(
        kernel, departure.tenant_id, departures.build(case, PassedScan(scanned)), departure.language, now
    )
    with attempt.finishing() as session:
        mine = _locked(session)
        mine.ended_at = now
        session.add(mine)
        departed.leave(session, now)
        _keep(session, kernel, mine, made)
        ledger.record(session, "tenant.left", objects=[mine.id], facts=departed.facts_of(mine))


def _keep(session: Session, kernel: Kernel, departure: Departure, made: Certificate) -> None:
    made.departure_id = departure.id
    certifying.keep(session, kernel, made, {"departure": departed.facts_of(departure)})
    ledger.record(session, "certificate.issued", objects=[departure.id, made.id])


def _case(
    session: Session,
    kernel: Kernel,
    departure: Departure,
    certificate_id: UUID,
    placed: dict[str, Any],
    deleted_at: datetime,
    now: datetime,
) -> DepartureCase:
    """What the certificate says. Nothing in it names a person."""
    erased = session.exec(
        select(func.count()).select_from(Erasure).where(
            col(Erasure.tenant_id) == tenant_of(session), col(Erasure.trigger) == Trigger.TENANT_EXIT
        )
    ).one()  # fmt: skip
    return DepartureCase(
        id=str(certificate_id),
        request_ref=str(departure.id),
        issued_at=now,
        deleted_at=deleted_at,
        asked_at=departure.asked_at,
        returned_at=departure.returned_at,
        controller=tenants.get(session).name,
        processor=kernel.settings.operator or certificates.PROCESSOR,
        instance=kernel.settings.public_url,
        software=f"likeness {version('likeness')}",
        counted=departure.counts,
        people=erased,
        kept=[*departed.STAYS.values(), "the company's name, for this certificate"],
        holds=[
            {"basis": one.basis, "until": certificates.moment(one.lifted_at or one.expires_at)}
            for one in holds.all_holds(session)
            if one.confirmed_at and not one.barred
        ],
        ledger=placed,
        sealed_by=signing.sealed_by(kernel, now),
        backup_days=kernel.settings.backup_days,
    )


def certificates_of(session: Session, departure: Departure) -> list[Certificate]:
    """Oldest first."""
    mine = (col(Certificate.tenant_id) == tenant_of(session), col(Certificate.departure_id) == departure.id)
    return list(session.exec(select(Certificate).where(*mine).order_by(col(Certificate.stage))))


# The second certificate


@jobs.every(timedelta(hours=1))
def begin_second_of_companies(kernel: Kernel, now: datetime) -> None:
    """For every company that left and whose last backup, as the operator states it, has run out; tried once a day."""
    if kernel.settings.backup_days is None:
        return
    for tenant in tenants.all_ids(kernel, left=True):
        with kernel.db.transaction(tenant) as session:
            departure = open_of(session)
            if departure is not None and stored.has_run_out(kernel, certificates_of(session, departure), now):
                jobs.send(session, second_of_company, str(departure.id), key=f"{departure.id}:second:{now:%Y%m%d}")


@jobs.actor(lane=Lane.PRIVACY, attempts=10, lease=timedelta(minutes=5))
def second_of_company(attempt: jobs.Attempt, departure_id: str) -> None:
    """Looks once more, and certifies that nothing is left; while anything is, it waits for the next day's try."""
    kernel, certificate_id = attempt.kernel, uuid4()
    with attempt.transaction() as session:
        departure = open_of(session)
        issued = certificates_of(session, departure) if departure is not None else []
    if departure is None or [one.stage for one in issued] != [1]:
        with attempt.finishing():
            return
    scanned = departed.scan(kernel, departure.tenant_id)
    if scanned.problems():
        log.warning("a company's second certificate is not possible yet", extra={"departure": departure_id})
        with attempt.finishing():
            return
    before, now = stored.document(kernel, issued[0]), utc_now()
    with attempt.transaction() as session:
        ledger.record(session, certifying.PREPARED, objects=[departure.id, certificate_id])
    with attempt.transaction() as session:
        placed = certifying.logged(session, kernel, certificate_id, now)
    document = certificates.second(
        departures.as_now(before), PassedScan(scanned), id=str(certificate_id), issued_at=now, ledger=placed,
        sealed_by=signing.sealed_by(kernel, now), told=None, backup_days=kernel.settings.backup_days,
    )  # fmt: skip
    made = certifying.made(kernel, departure.tenant_id, document, departure.language, now)
    with attempt.finishing() as session:
        _keep(session, kernel, departure, made)
