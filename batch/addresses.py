"""The address at which somebody is reached, and how it changes. It is never who they are.

Until a person has consented their address is the company's to correct: old links end, and nothing carries over. From
the first consent on only they can move their visit. A new address is asked about at the old one, and at once both are
told; who is signed in may answer on their own page, for an old mailbox that is dead. Two weeks of silence leave the new
address an empty visit, after the floor above has deleted what was handed in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlmodel import Session, col, select

from batch import employees, invitations, notices, texts
from batch.cells import email_identity
from batch.employees import EmployeeProfile
from batch.models import AddressChange, Consent, Employee
from likeness import jobs, ledger, mail
from likeness.db import tenant_of
from likeness.errors import Conflict, Gone
from likeness.identity import LeadsNowhere, new_token, token_hash
from likeness.keys import KeyFolder, blind_index
from likeness.settings import Settings
from tenants import tenants

PATIENCE = timedelta(days=14)
"""As long as an invitation lasts: somebody on holiday comes back to a mail that still works."""
CONTEXT = "address/new"
CONFIRMED, REFUSED, REPLACED, TAKEN_BACK = "confirmed", "refused", "replaced", "taken back"
RAN_OUT = "ran out"


class ChangeUnknown(Gone):
    """No such question waits for an answer any more."""

    title = "This was answered already"


class AddressLinkUnknown(LeadsNowhere, ChangeUnknown):
    """No mail of ours holds this link, or what it asked about is gone."""

    title = "This link does not lead anywhere"


class AddressTaken(Conflict):
    """Meanwhile somebody else on the list has this address."""

    title = "Somebody else has this address"


def protected(session: Session) -> set[UUID]:
    """Everybody who has ever consented, those too who withdrew: what hangs under them is theirs."""
    found = select(Consent.employee_id).where(col(Consent.tenant_id) == tenant_of(session)).distinct()
    return set(session.exec(found))


def pending(session: Session) -> dict[UUID, AddressChange]:
    """The questions that wait for an answer, by person."""
    waiting = session.exec(
        select(AddressChange).where(
            col(AddressChange.tenant_id) == tenant_of(session), col(AddressChange.ended_at).is_(None)
        )
    )
    return {change.employee_id: change for change in waiting}


def pending_of(session: Session, employee_id: UUID) -> AddressChange | None:
    return session.exec(
        select(AddressChange).where(
            col(AddressChange.tenant_id) == tenant_of(session),
            col(AddressChange.employee_id) == employee_id,
            col(AddressChange.ended_at).is_(None),
        )
    ).one_or_none()


def refusals(session: Session) -> dict[tuple[UUID, bytes], datetime]:
    """When people said that an address is not theirs, by person and address."""
    said = session.exec(
        select(AddressChange).where(
            col(AddressChange.tenant_id) == tenant_of(session), col(AddressChange.outcome) == REFUSED
        )
    )
    return {(one.employee_id, one.email_index): one.ended_at for one in said if one.ended_at}


def new_address(keys: KeyFolder, change: AddressChange) -> str:
    key = keys.open(employees.profile_ref(change.tenant_id, change.employee_id))
    return key.open(change.sealed, CONTEXT).decode()


def correct(
    session: Session, keys: KeyFolder, profiles: Mapping[UUID, EmployeeProfile], now: datetime, *, caller: str
) -> set[UUID]:
    """Lets the company's list say these things of people who are on it: the one way in which it can.

    Returns the people whose new address waits for their own word; the rest of their lines is corrected. An address as
    it was takes a question back that waits.
    """
    known = _locked(session, profiles.keys())
    # Asked under the locks, because somebody may have consented since the file was looked at.
    theirs, waiting = protected(session), pending(session)
    asked: set[UUID] = set()
    for employee_id, profile in profiles.items():
        if (employee := known.get(employee_id)) is None:
            continue
        old = employees.profile(keys, employee)
        moves = email_identity(old.email) != email_identity(profile.email)
        if employee_id in waiting and not moves:
            _end(session, waiting[employee_id], TAKEN_BACK, now)
            _record(session, "address.taken-back", employee_id, waiting[employee_id].id, caller)
        if moves and employee_id in theirs:
            _ask(session, keys, employee, profile.email, waiting.get(employee_id), now, caller)
            asked.add(employee_id)
            profile = replace(profile, email=old.email)
        elif moves:
            profile = replace(profile, receipt=None)
        _write(session, keys, employee, profile)
        if moves and employee_id not in theirs:
            invitations.readdress(session, employee_id, now)
            ledger.record(session, "address.corrected", caller=caller, subject=employee_id)
    return asked


def _locked(session: Session, employee_ids: Collection[UUID]) -> dict[UUID, Employee]:
    """The strongest lock, so that a consent which is being given comes before or after, never in between."""
    rows = session.exec(
        select(Employee)
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(list(employee_ids)))
        .order_by(col(Employee.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {employee.id: employee for employee in rows}


def _write(session: Session, keys: KeyFolder, employee: Employee, profile: EmployeeProfile) -> None:
    index_key = keys.index_key(employee.tenant_id)
    values: dict[str, Any] = {
        "email_index": employees.email_index(index_key, profile.email),
        "profile": profile.sealed(keys.open(employees.profile_ref(employee.tenant_id, employee.id))),
    }
    if profile.employee_key is not None:
        values["key_index"] = blind_index(index_key, profile.employee_key)
    session.execute(
        update(Employee)
        .where(col(Employee.tenant_id) == employee.tenant_id, col(Employee.id) == employee.id)
        .values(**values)
    )


def _ask(
    session: Session,
    keys: KeyFolder,
    employee: Employee,
    address: str,
    waiting: AddressChange | None,
    now: datetime,
    caller: str,
) -> None:
    index = employees.email_index(keys.index_key(employee.tenant_id), address)
    if waiting is not None and waiting.email_index == index:
        return
    if waiting is not None:
        _end(session, waiting, REPLACED, now)
        session.flush()
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    change = AddressChange(
        tenant_id=employee.tenant_id,
        employee_id=employee.id,
        asked_by=caller,
        asked_at=now,
        until=now + PATIENCE,
        email_index=index,
        sealed=key.seal(address.encode(), CONTEXT),
    )
    session.add(change)
    session.flush()
    jobs.send(session, tell, str(change.id))
    _record(session, "address.asked", employee.id, change.id, caller)


@jobs.actor()
def tell(attempt: jobs.Attempt, change_id: str) -> None:
    """Writes to both addresses. The token in the mail to the old one is in no other place."""
    kernel = attempt.kernel
    with attempt.finishing() as session:
        change = session.exec(
            select(AddressChange)
            .where(
                col(AddressChange.tenant_id) == attempt.tenant,
                col(AddressChange.id) == UUID(change_id),
                col(AddressChange.ended_at).is_(None),
            )
            .with_for_update()
        ).one_or_none()
        if change is None:
            return
        tenant, who = tenants.get(session), employees.profile(kernel.keys, employees.get(session, change.employee_id))
        token, new = new_token(change.tenant_id), new_address(kernel.keys, change)
        change.token_hash = token_hash(token)
        session.add(change)
        language = texts.language_for(who.language)
        words = {"link": link(kernel.settings, token), "until": f"{change.until:%Y-%m-%d}"}
        words |= notices.terms(tenant, language)
        asks = texts.letter("address-asked", language, who.email, name=who.full_name, address=new, **words)
        announces = texts.letter("address-announced", language, new, **words)
        for template, letter in (("address-asked", asks), ("address-announced", announces)):
            mail.post(session, kernel.keys, change.employee_id, letter, template=template, campaign=change_id)


def link(settings: Settings, token: str) -> str:
    return f"{settings.public_url.rstrip('/')}/a/{token}"


def look_up(session: Session, token: str) -> AddressChange:
    """The question that a link is about; consumes nothing. Raises `ChangeUnknown`."""
    change = session.exec(
        select(AddressChange).where(
            col(AddressChange.tenant_id) == tenant_of(session),
            col(AddressChange.token_hash) == token_hash(token),
        )
    ).one_or_none()
    if change is None:
        raise AddressLinkUnknown("This link does not lead anywhere. Copy the whole address from the mail and try again.")
    if change.ended_at is not None:
        raise ChangeUnknown("This change of address was answered or taken back. Nothing more is needed from you.")
    return change


def confirm(
    session: Session, keys: KeyFolder, change: AddressChange, now: datetime, *, keep: UUID | None = None
) -> None:
    """Moves the visit and everything in it. `keep` is the session in which the person says so; all others end.

    Raises `ChangeUnknown` and `AddressTaken`.
    """
    employee = _locked(session, [change.employee_id]).get(change.employee_id)
    if employee is None or not _end(session, change, CONFIRMED, now):
        raise ChangeUnknown("This change of address was answered or taken back. Nothing more is needed from you.")
    other = session.exec(
        select(Employee.id).where(
            col(Employee.tenant_id) == employee.tenant_id,
            col(Employee.email_index) == change.email_index,
            col(Employee.id) != employee.id,
        )
    ).first()
    if other is not None:
        raise AddressTaken("Somebody else on the list has this address by now. Ask your personnel department.")
    old = employees.profile(keys, employee)
    moved = replace(old, email=new_address(keys, change))
    _write(session, keys, employee, moved)
    invitations.follow(session, employee.id, now, keep=keep)
    letter = texts.letter(
        "address-moved",
        texts.language_for(old.language),
        old.email,
        name=old.full_name,
        address=moved.email,
        controller=tenants.get(session).name,
    )
    mail.post(session, keys, employee.id, letter, template="address-moved", campaign=str(change.id))
    _record(session, "address.confirmed", employee.id, change.id, f"employee:{employee.id}")


def refuse(session: Session, change: AddressChange, now: datetime) -> None:
    """The person says that the address is not theirs: everything stays as it is. Raises `ChangeUnknown`."""
    if not _end(session, change, REFUSED, now):
        raise ChangeUnknown("This change of address was answered or taken back. Nothing more is needed from you.")
    _record(session, "address.refused", change.employee_id, change.id, f"employee:{change.employee_id}")


def silent(session: Session, now: datetime) -> list[AddressChange]:
    """Those that nobody answered in time, oldest first; never one about which no mail was written yet."""
    waiting = [change for change in pending(session).values() if change.until <= now and change.token_hash]
    return sorted(waiting, key=lambda change: change.until)


def run_out(session: Session, keys: KeyFolder, change: AddressChange, now: datetime) -> bool:
    """Nobody answered: from now on nobody can. False when it was answered just now, or the address is not free."""
    free = employees.find(session, keys, new_address(keys, change)) is None
    if not _end(session, change, RAN_OUT if free else REPLACED, now):
        return False
    _record(session, "address.ran-out", change.employee_id, change.id, ledger.SYSTEM)
    return free


def ran_out_of(session: Session, employee_id: UUID) -> AddressChange | None:
    """The address at which this person's visit starts anew."""
    return session.exec(
        select(AddressChange)
        .where(
            col(AddressChange.tenant_id) == tenant_of(session),
            col(AddressChange.employee_id) == employee_id,
            col(AddressChange.outcome) == RAN_OUT,
        )
        .order_by(col(AddressChange.ended_at).desc())
        .limit(1)
    ).first()


def _end(session: Session, change: AddressChange, outcome: str, now: datetime) -> bool:
    """False when somebody was first."""
    ended = session.execute(
        update(AddressChange)
        .where(
            col(AddressChange.tenant_id) == tenant_of(session),
            col(AddressChange.id) == change.id,
            col(AddressChange.ended_at).is_(None),
        )
        .values(ended_at=now, outcome=outcome)
        .returning(col(AddressChange.id))
    ).first()
    return ended is not None


def _record(session: Session, event: str, employee_id: UUID, change_id: UUID, caller: str) -> None:
    ledger.record(session, event, caller=caller, subject=employee_id, objects=[change_id])
