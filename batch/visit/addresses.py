"""The address at which somebody is reached, and how it changes. It is never who they are.

Until a person has consented their address is the company's to correct: old links end, and nothing carries over. Where a
link had gone to the old one, it is told of the change, and again when somebody agrees at the new one: so nobody can be
answered for unseen by a list that names another mailbox. From
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

from sqlalchemy import Uuid, any_, literal, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Session, col, select

from batch.mailbox import email_identity
from batch.models import AddressChange, Employee, Invitation
from batch.people import employees, lines
from batch.people.employees import EmployeeProfile
from batch.visit import concerns, invitations, notices
from likeness import ledger
from likeness.ground.db import row_of, rows_of, tenant_of
from likeness.ground.errors import Conflict, Gone
from likeness.ground.lanes import Lane
from likeness.ground.settings import Settings
from likeness.identity import LeadsNowhere, new_token, token_hash
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, blind_index
from likeness.ledger import LedgerEntry
from likeness.mail import letters, mail
from tenants import tenants

PATIENCE = timedelta(days=14)
"""As long as an invitation lasts: somebody on holiday comes back to a mail that still works."""
REMIND_AFTER = (timedelta(days=7), timedelta(days=12))
"""Both addresses hear of it again, before silence deletes anything."""
CONTEXT, TOKEN = "address/new", "address/token"
CONFIRMED, REFUSED, REPLACED, TAKEN_BACK = "confirmed", "refused", "replaced", "taken back"
CORRECTED = "corrected"
"""By the company, before the first consent: the row holds the address as it was before."""
RAN_OUT, WITHDREW = "ran out", "withdrew"


class ChangeUnknown(Gone):
    """No such question waits for an answer any more."""

    title = "This was answered already"


class AddressLinkUnknown(LeadsNowhere, ChangeUnknown):
    """No mail of ours holds this link, or what it asked about is gone."""

    title = "This link does not lead anywhere"


class AddressTaken(Conflict):
    """Meanwhile somebody else on the list has this address."""

    title = "Somebody else has this address"


def pending(session: Session, employee_ids: Collection[UUID] | None = None) -> dict[UUID, AddressChange]:
    """The questions that wait for an answer, by person: of the whole company, or of these people."""
    query = select(AddressChange).where(
        col(AddressChange.tenant_id) == tenant_of(session), col(AddressChange.ended_at).is_(None)
    )
    if employee_ids is not None:
        query = query.where(col(AddressChange.employee_id) == any_(literal(list(employee_ids), ARRAY(Uuid()))))
    return {change.employee_id: change for change in session.exec(query)}


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
    return key.open(change.sealed, CONTEXT).decode().partition("\n")[0]


def correct(
    session: Session, keys: KeyFolder, profiles: Mapping[UUID, EmployeeProfile], now: datetime, *, caller: str
) -> set[UUID]:
    """Lets the company's list say these things of people who are on it: the one way in which it can.

    Returns the people whose new address waits for their own word; the rest of their lines is corrected. An address as
    it was takes a question back that waits.
    """
    known = employees.locked(session, profiles.keys())
    # Asked under the locks, because somebody may have consented since the file was looked at.
    theirs, waiting, held = lines.protected(session, known), pending(session, known), lines.kept(session, now, known)
    tenant, asked, moved = tenant_of(session), set[UUID](), set[UUID]()
    opened = keys.open_all(tenant, known, KeyClass.PROFILE)
    for employee_id, profile in profiles.items():
        employee, key = known.get(employee_id), opened.get(employee_id)
        if employee is None or key is None:  # Erased since.
            continue
        old = EmployeeProfile.opened(key, employee.profile)
        moves = email_identity(old.email) != email_identity(profile.email)
        profile = lines.named(session, old, profile, caller, employee_id, kept=employee_id in held)
        if employee_id in waiting and not moves:
            _end(session, waiting[employee_id], TAKEN_BACK, now)
            _record(session, "address.taken-back", employee_id, waiting[employee_id].id, caller)
        if moves and employee_id in theirs:
            _ask(session, keys, employee, profile.email, waiting.get(employee_id), now, caller)
            asked.add(employee_id)
            profile = replace(profile, email=old.email)
        elif moves:
            profile = replace(profile, receipt=None, known_as=None)
        other = not lines.any_name_in_common(old.full_name, profile.full_name)
        reached = (moves or other) and _reached(session, employee_id)
        if profile.full_name != old.full_name and (employee_id in held or (other and reached and not moves)):
            employees.tell_renamed(session, keys, employee, old, profile.full_name, now, caller=caller)
        _write(session, key, keys.index_key(tenant), employee, profile)
        if moves and employee_id not in theirs:
            moved.add(employee_id)
            # What becomes of who withdrew is told to the address at which they did, so it is kept.
            if invitations.readdress(session, employee_id, now) or reached or employee.opted_out_at is not None:
                _remember(session, keys, employee, old, now, caller)
            ledger.record(session, "address.corrected", caller=caller, subject=employee_id)
    if moved:
        concerns.pass_on(session, moved)
    return asked


def _reached(session: Session, employee_id: UUID) -> bool:
    """Whether a link went out since the person has this address: the log keeps it, also of an invitation that was taken
    back and whose links are gone."""
    last = session.exec(
        select(LedgerEntry.event)
        .where(
            col(LedgerEntry.tenant_id) == tenant_of(session),
            col(LedgerEntry.subject) == str(employee_id),
            col(LedgerEntry.event).in_(["invitation.sent", "address.corrected"]),
        )
        .order_by(col(LedgerEntry.sequence).desc())
        .limit(1)
    ).first()
    if last is None:  # A line that went on after a withdrawal took its invitation along, and the log is of the one before.
        opened = (col(Invitation.employee_id) == employee_id, col(Invitation.opened_at).is_not(None))
        mine = (col(Invitation.tenant_id) == tenant_of(session), *opened)
        return session.exec(select(Invitation.id).where(*mine).limit(1)).first() is not None
    return last == "invitation.sent"


def _remember(
    session: Session, keys: KeyFolder, employee: Employee, old: EmployeeProfile, now: datetime, caller: str
) -> None:
    """A link had gone to the old address, so somebody there may be the person. The name goes with it: the line may have
    become somebody else's, of whom they learn nothing."""
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    change = AddressChange(
        tenant_id=employee.tenant_id, employee_id=employee.id, asked_by=caller, asked_at=now, until=now, ended_at=now,
        outcome=CORRECTED, email_index=employees.email_index(keys.index_key(employee.tenant_id), old.email),
        sealed=key.seal(f"{old.email}\n{old.full_name}".encode(), CONTEXT),
    )  # fmt: skip
    session.add(change)
    session.flush()
    jobs.send(session, tell_corrected, str(change.id))


def corrected(session: Session, employee_id: UUID) -> list[AddressChange]:
    """Addresses that the company took away before the person had agreed to anything, and to which a link had gone; the
    newest first."""
    taken = col(AddressChange.employee_id) == employee_id, col(AddressChange.outcome) == CORRECTED
    return rows_of(session, AddressChange, *taken, by=col(AddressChange.ended_at).desc())


@jobs.actor(lane=Lane.PRIVACY)
def tell_corrected(attempt: jobs.Attempt, change_id: str) -> None:
    """To the old address, which gets no more than it had: neither the new one nor a new name is told."""
    kernel = attempt.kernel
    with attempt.finishing() as session:
        change = row_of(session, AddressChange, UUID(change_id))
        if change is not None:
            employee = employees.get(session, change.employee_id)
            _tell_old(session, kernel.keys, employee, change, "address-corrected", change.asked_at)


def tell_agreed(session: Session, keys: KeyFolder, employee: Employee, now: datetime) -> None:
    """Somebody agreed for the first time, at an address that the company had put in the place of another."""
    for change in corrected(session, employee.id):
        _tell_old(session, keys, employee, change, "address-agreed", now)


def _tell_old(
    session: Session, keys: KeyFolder, employee: Employee, change: AddressChange, template: str, at: datetime
) -> None:
    tenant, who = tenants.get(session), employees.profile(keys, employee)
    key, reads = keys.open(employees.profile_ref(change.tenant_id, employee.id)), employees.words(keys, employee, tenant)
    old, _, name = key.open(change.sealed, CONTEXT).decode().partition("\n")
    if email_identity(old) == email_identity(who.email):
        return  # It was corrected back.
    words = notices.terms(tenant, reads) | {"name": name or who.full_name, "date": reads.day(at), "colour": tenant.colour}
    letter = letters.letter(template, reads, old, **words)
    mail.post(session, keys, employee.id, letter, template=template, campaign=str(change.id))


def _write(session: Session, key: DataKey, index_key: bytes, employee: Employee, profile: EmployeeProfile) -> None:
    """Leaves the line to the session, which writes those of a whole file at once."""
    values: dict[str, Any] = {
        "email_index": employees.email_index(index_key, profile.email),
        **employees.digests(index_key, profile),
        "profile": profile.sealed(key),
    }
    if profile.employee_key is not None:
        values["key_index"] = blind_index(index_key, profile.employee_key)
    for name, value in values.items():
        setattr(employee, name, value)
    session.add(employee)


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


@jobs.actor(lane=Lane.PRIVACY)
def tell(attempt: jobs.Attempt, change_id: str, reminder: str = "") -> None:
    """Writes to both addresses. All mails to the old one have the same link, whose token is kept sealed for them."""
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
        tenant, employee = tenants.get(session), employees.get(session, change.employee_id)
        who, reads = employees.profile(kernel.keys, employee), employees.words(kernel.keys, employee, tenant)
        token, new = _token(kernel.keys, change), new_address(kernel.keys, change)
        session.add(change)
        words = {"link": link(kernel.settings, token), "until": reads.day(change.until), "colour": tenant.colour}
        words |= notices.terms(tenant, reads)
        asks = letters.letter("address-asked", reads, who.email, name=who.full_name, address=new, **words)
        announces = letters.letter("address-announced", reads, new, **words)
        for template, letter in (("address-asked", asks), ("address-announced", announces)):
            campaign = f"{change_id}:{reminder}" if reminder else change_id
            mail.post(session, kernel.keys, change.employee_id, letter, template=template, campaign=campaign)


def _token(keys: KeyFolder, change: AddressChange) -> str:
    key = keys.open(employees.profile_ref(change.tenant_id, change.employee_id))
    if change.token_sealed is not None:
        return key.open(change.token_sealed, TOKEN).decode()
    token = new_token(change.tenant_id)
    change.token_hash, change.token_sealed = token_hash(token), key.seal(token.encode(), TOKEN)
    return token


@jobs.every(timedelta(minutes=15))
def remind(kernel: Kernel, now: datetime) -> None:
    """A mail to both addresses on the days of `REMIND_AFTER`; one where a sweep comes late for both of them."""
    due: dict[UUID, dict[UUID, int]] = {}

    def look(session: Session) -> None:
        due[tenant_of(session)] = {
            # A question of before tokens were kept is not asked again: its link would lead nowhere.
            change.employee_id: passed
            for change in pending(session).values()
            if change.token_sealed is not None
            and now < change.until
            and (passed := sum(now - change.asked_at >= after for after in REMIND_AFTER)) > change.reminders
        }

    def remind_one(session: Session, employee_id: UUID) -> None:
        change = pending_of(session, employee_id)
        if change is not None:
            change.reminders = due[change.tenant_id][employee_id]
            session.add(change)
            jobs.send(session, tell, str(change.id), str(change.reminders))

    tenants.for_each(kernel, look)
    for tenant, found in due.items():
        sweeping.each(kernel, "remind-address", tenant, found, now, remind_one)


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
        raise AddressLinkUnknown(
            "This link does not lead anywhere. Copy the whole address from the mail and try again."
        )
    if change.ended_at is not None:
        raise ChangeUnknown("This change of address was answered or taken back. Nothing more is needed from you.")
    return change


def confirm(
    session: Session, keys: KeyFolder, change: AddressChange, now: datetime, *, keep: UUID | None = None
) -> None:
    """Moves the visit and everything in it. `keep` is the session in which the person says so; all others end.

    Raises `ChangeUnknown` and `AddressTaken`.
    """
    employee = employees.locked(session, [change.employee_id]).get(change.employee_id)
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
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    _write(session, key, keys.index_key(employee.tenant_id), employee, moved)
    invitations.follow(session, employee.id, now, keep=keep)
    tenant = tenants.get(session)
    reads = employees.words(keys, employee, tenant)
    letter = employees.letter("address-moved", reads, old, tenant, address=moved.email)
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
    other = employees.find(session, keys, new_address(keys, change))
    free = other is None or other.id == change.employee_id
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


def end_question(session: Session, employee_id: UUID, now: datetime) -> None:
    """Nothing is asked of who takes no part any more. The address stays, and the company may correct it."""
    if (change := pending_of(session, employee_id)) is not None:
        _end(session, change, WITHDREW, now)


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
