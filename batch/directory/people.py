"""Joiners, changes and leavers as the company's directory tells them.

Nothing here moves somebody: an address of who has consented is asked about like every other (`visit/addresses.py`), and
what would turn one person into another is refused, whichever way the directory says it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from scim2_models import Context, InvalidValueException
from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from batch.directory import groups
from batch.directory.resources import POLICY, DirectoryUser, User, address_in, profile_in
from batch.models import Batch, Employee, Invitation
from batch.people import employees
from batch.people.employees import EmployeeProfile
from batch.roster import naming
from batch.roster.person import check_same_person
from batch.visit import addresses, invitations, notices
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict, NotFound
from likeness.ground.lanes import Lane
from likeness.jobs import jobs
from likeness.keys.keys import KeyFolder, blind_index
from likeness.mail import letters, mail
from tenants import credits, suspension, tenants

NAME, DIGEST = "Your directory", "directory"
LONGEST = 16 * 1024
"""Characters of what is kept of a user as the directory said it. Of a megabyte each a page of 200 took 200 in memory."""
SOONEST = timedelta(minutes=15)
"""Between the mail that says so and the deletion, also where the company's rule says at once."""


class UserMissing(NotFound):
    """The company's directory has put no such person on the list, or they are gone."""

    title = "There is no such user"


class UserTaken(Conflict):
    """Another person has what must be one person's alone."""

    title = "Somebody else has this"


class GoneAlready(Conflict):
    """The days of the company's rule were over before the directory said that they stay."""

    title = "This person is being deleted"


def get(session: Session, line: str) -> Employee:
    """Raises `UserMissing`."""
    try:
        wanted = UUID(line)
    except ValueError:
        raise UserMissing("There is no such user.") from None
    found = session.exec(_linked().where(col(Employee.tenant_id) == tenant_of(session), col(Employee.roster_id) == wanted))
    employee: Employee | None = found.one_or_none()
    if employee is None:
        raise UserMissing("There is no such user.")
    return employee


def listed(session: Session, *, user_name: bytes | None = None, external: bytes | None = None) -> list[Employee]:
    """Everybody whom the directory put on the list, or who has this name or id in it."""
    query = _linked().where(col(Employee.tenant_id) == tenant_of(session))
    if user_name is not None:
        query = query.where(col(Employee.user_name_index) == user_name)
    if external is not None:
        query = query.where(col(Employee.external_index) == external)
    return list(session.exec(query.order_by(col(Employee.created_at), col(Employee.roster_id))))


def _linked() -> Any:
    return select(Employee).where(col(Employee.user_name_index).is_not(None))


def shown(keys: KeyFolder, employee: Employee) -> User[Any]:
    """The user as the directory last said it. Raises `KeyDestroyed` when the person was erased."""
    said = json.loads(employees.profile(keys, employee).directory or "{}")
    user: User[Any] = DirectoryUser.model_validate(said, scim_policy=POLICY)
    user.id = str(employee.roster_id)
    return user


def user_name_index(keys: KeyFolder, tenant: UUID, name: str) -> bytes:
    return blind_index(keys.index_key(tenant), f"directory|{name.casefold()}")


def external_index(keys: KeyFolder, tenant: UUID, external: str) -> bytes:
    return blind_index(keys.index_key(tenant), f"directory-id|{external}")


def join(session: Session, keys: KeyFolder, user: User[Any], now: datetime, *, caller: str, maker: UUID) -> Employee:
    """Puts somebody on the list, or ties the line to the directory that a workbook made of the same person.

    Raises `UserTaken`, `OtherPerson`, `GoneAlready` and, for somebody new, `CompanySuspended` and `QuotaExceeded`.
    """
    _one_at_a_time(session)
    profile = profile_in(user, None, _document(user), None)
    known = _known(session, keys, profile)
    if known is not None:
        if known.user_name_index is not None:
            raise UserTaken("A user with this address or employee number exists.")
        return change(session, keys, known, user, now, caller=caller, by_number=True)
    suspension.check(session)
    tenant = tenant_of(session)
    _check_free(session, keys, user, profile, None)
    tenants.check_quota(session, there=employees.how_many(session), adding=1)
    person, batch = uuid4(), _batch(session, keys, maker, now)
    key = keys.open_or_create(employees.profile_ref(tenant, person))
    index_key = keys.index_key(tenant)
    employee = Employee(
        id=person,
        tenant_id=tenant,
        batch_id=batch,
        row=0,
        email_index=employees.email_index(index_key, profile.email),
        key_index=blind_index(index_key, profile.employee_key) if profile.employee_key else None,
        **employees.digests(index_key, profile),
        profile=profile.sealed(key),
        created_at=now,
        user_name_index=user_name_index(keys, tenant, str(user.user_name)),
        external_index=external_index(keys, tenant, user.external_id) if user.external_id else None,
    )
    session.add(employee)
    session.flush()
    ledger.record(session, "directory.joined", caller=caller, objects=[employee.roster_id])
    if user.active is False:
        leave(session, employee, now, caller=caller)
    elif tenants.get(session).invite_joiners and credits.balance(session) > 0:
        invitations.invite_all(session, [employee.id], now)
    return employee


def change(
    session: Session,
    keys: KeyFolder,
    employee: Employee,
    user: User[Any],
    now: datetime,
    *,
    caller: str,
    by_number: bool = False,
) -> Employee:
    """What the directory says of somebody now; `by_number` of a line that it did not name itself.

    Raises `UserTaken`, `OtherPerson` and `GoneAlready`; then nothing is changed.
    """
    _one_at_a_time(session)
    tenant, old = tenant_of(session), employees.profile(keys, employee)
    profile = profile_in(user, old, _document(user), groups.department_of(session, employee.roster_id))
    if old.directory is not None and address_in(shown(keys, employee)) == profile.email:
        # It repeats an address that it said before: what was asked about still is, and what was answered stays answered.
        waiting = addresses.pending_of(session, employee.id)
        profile = replace(profile, email=addresses.new_address(keys, waiting) if waiting else old.email)
    _check_free(session, keys, user, profile, employee)
    check_same_person(session, keys, employee, old, profile, now, by_number=by_number)
    addresses.correct(session, keys, {employee.id: profile}, now, caller=caller)
    session.execute(
        update(Employee)
        .where(col(Employee.tenant_id) == tenant, col(Employee.id) == employee.id)
        .values(
            user_name_index=user_name_index(keys, tenant, str(user.user_name)),
            external_index=external_index(keys, tenant, user.external_id) if user.external_id else None,
            **({} if profile.employee_key else {"key_index": None}),
        )
    )
    session.refresh(employee)
    if user.active is False:
        leave(session, employee, now, caller=caller)
    else:
        stay(session, employee, caller=caller)
    return employee


def remove(session: Session, keys: KeyFolder, employee: Employee, now: datetime, *, caller: str) -> None:
    """The directory knows them no more: they leave, and are no user from now on."""
    leave(session, employee, now, caller=caller)
    groups.forget(session, employee.roster_id)
    profile = replace(employees.profile(keys, employee), directory=None)
    employee.profile = profile.sealed(keys.open(employees.profile_ref(employee.tenant_id, employee.id)))
    employee.user_name_index = employee.external_index = None
    session.add(employee)
    session.flush()


def leave(session: Session, employee: Employee, now: datetime, *, caller: str) -> None:
    """Begins the company's rule: everything is deleted after so many days, and the person is told."""
    if employee.leaves_at is not None:
        return
    employee.leaves_at = now + max(timedelta(days=tenants.get(session).leaver_days), SOONEST)
    session.add(employee)
    session.flush()
    facts = {"leaves_at": employee.leaves_at.isoformat()}
    ledger.record(session, "directory.left", caller=caller, subject=employee.id, facts=facts)
    if knows_us(session, employee):
        jobs.send(session, tell, str(employee.roster_id), "leaver", key=f"{employee.roster_id}:{uuid4()}")


def stay(session: Session, employee: Employee, *, caller: str) -> None:
    """They are back in time: nothing is deleted because of it, and they are told. Raises `GoneAlready`.

    A deletion that waits is withdrawn by the floor above, which finds the person without a last day.
    """
    if employee.leaves_at is None:
        return
    _check_in_time(session, employee)
    employee.leaves_at = None
    session.add(employee)
    session.flush()
    ledger.record(session, "directory.back", caller=caller, subject=employee.id)
    if knows_us(session, employee):
        jobs.send(session, tell, str(employee.roster_id), "leaver-stays", key=f"{employee.roster_id}:{uuid4()}")


def _check_in_time(session: Session, employee: Employee) -> None:
    """Erasures are on the floor above, so their rows are asked for by name. The person stays locked, so none begins."""
    mine = (col(Employee.tenant_id) == employee.tenant_id, col(Employee.id) == employee.id)
    session.exec(select(Employee.id).where(*mine).with_for_update()).one_or_none()
    runs = session.execute(
        text(
            "select 1 from erasure where tenant_id = :tenant and employee_id = :person and trigger = 'leaver'"
            " and scope = 'everything' and state not in ('requested', 'held')"
        ),
        {"tenant": employee.tenant_id, "person": employee.id},
    ).first()
    if runs is not None:
        raise GoneAlready(
            "The last day that you gave this person is over, and everything of theirs is being deleted. Add them anew once"
            " this user is gone."
        )


def due(session: Session, now: datetime) -> list[UUID]:
    """Whose last day came."""
    query = select(Employee.id).where(col(Employee.tenant_id) == tenant_of(session), col(Employee.leaves_at) <= now)
    return list(session.exec(query.order_by(col(Employee.leaves_at))))


def settle_departments(session: Session, keys: KeyFolder, lines: Iterable[str]) -> None:
    """After a group changed: the department of those of whom the directory names none."""
    for line in sorted(lines):
        try:
            employee = get(session, line)
        except UserMissing:
            continue
        user, profile = shown(keys, employee), employees.profile(keys, employee)
        wanted = profile_in(user, profile, profile.directory or "", groups.department_of(session, employee.roster_id))
        if wanted.department != profile.department:
            values: dict[str, Any] = {
                **employees.digests(keys.index_key(employee.tenant_id), replace(profile, department=wanted.department)),
                "profile": replace(profile, department=wanted.department).sealed(
                    keys.open(employees.profile_ref(employee.tenant_id, employee.id))
                ),
            }
            session.execute(
                update(Employee)
                .where(col(Employee.tenant_id) == employee.tenant_id, col(Employee.id) == employee.id)
                .values(**values)
            )
            session.refresh(employee)


@jobs.actor(lane=Lane.PRIVACY)
def tell(attempt: jobs.Attempt, line: str, template: str) -> None:
    """The person hears that the company says they left, or that they did not."""
    kernel = attempt.kernel
    with attempt.finishing() as session:
        employee = session.exec(
            select(Employee).where(col(Employee.tenant_id) == attempt.tenant, col(Employee.roster_id) == UUID(line))
        ).one_or_none()
        # What was so when the job was left may not be so any more; then another job says it.
        if employee is None or (template == "leaver") != (employee.leaves_at is not None):
            return
        who, tenant = employees.profile(kernel.keys, employee), tenants.get(session)
        reads = employees.words(kernel.keys, employee, tenant)
        words = {"name": who.full_name, "colour": tenant.colour} | notices.terms(tenant, reads)
        if employee.leaves_at is not None:
            words["until"] = reads.day(employee.leaves_at)
        letter = letters.letter(template, reads, who.email, **words)
        mail.post(session, kernel.keys, employee.id, letter, template=template, campaign=str(attempt.job_id))


def knows_us(session: Session, employee: Employee) -> bool:
    """Whoever was never asked has handed in nothing, and would not know what a mail of ours is about."""
    asked = select(Invitation.id).where(
        col(Invitation.tenant_id) == employee.tenant_id, col(Invitation.employee_id) == employee.id
    )
    return session.exec(asked.limit(1)).first() is not None


def _document(user: User[Any]) -> str:
    """Raises `InvalidValueException` for one that is too long to be opened with everybody's."""
    document = json.dumps(
        user.model_dump(scim_ctx=Context.RESOURCE_CREATION_REQUEST, exclude={"id", "meta"}), ensure_ascii=False
    )
    if len(document) > LONGEST:
        raise InvalidValueException(detail=f"What is said of a user has {LONGEST} characters at most, with its names.")
    return document


def _one_at_a_time(session: Session) -> None:
    """As imports do, so that two of a company never add the same person."""
    key = {"key": str(tenant_of(session))}
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 9))"), key)


def _batch(session: Session, keys: KeyFolder, maker: UUID, now: datetime) -> UUID:
    """Whoever the directory adds is of one batch."""
    tenant = tenant_of(session)
    session.execute(
        insert(Batch)
        .values(
            id=uuid4(), tenant_id=tenant, created_by=maker, created_at=now, imported_at=now, workbook_digest=DIGEST,
            mapping={},
        )
        .on_conflict_do_nothing()
    )  # fmt: skip
    batch = session.exec(
        select(Batch).where(col(Batch.tenant_id) == tenant, col(Batch.workbook_digest) == DIGEST)
    ).one()
    if batch.sealed_name is None:
        naming.first(session, keys, batch, NAME, now)
    return batch.id


def _known(session: Session, keys: KeyFolder, profile: EmployeeProfile) -> Employee | None:
    """Who on the list has this number or address already, or was asked about the address. Raises `UserTaken`."""
    by_key, by_address = _with_number(session, keys, profile), _with_address(session, keys, profile.email)
    if by_key is not None and by_address is not None and by_key.id != by_address.id:
        raise UserTaken("The employee number is one person's on the list, and the address is another's.")
    known = by_key or by_address
    if known is not None and by_key is None and known.key_index is not None and profile.employee_key:
        raise UserTaken("On the list this address has another employee number.")
    return known


def _with_number(session: Session, keys: KeyFolder, profile: EmployeeProfile) -> Employee | None:
    if not profile.employee_key:
        return None
    wanted = blind_index(keys.index_key(tenant_of(session)), profile.employee_key)
    return session.exec(
        select(Employee).where(col(Employee.tenant_id) == tenant_of(session), col(Employee.key_index) == wanted)
    ).one_or_none()


def _with_address(session: Session, keys: KeyFolder, email: str) -> Employee | None:
    found = employees.find(session, keys, email)
    if found is not None:
        return found
    wanted = employees.email_index(keys.index_key(tenant_of(session)), email)
    asked = next((one for one in addresses.pending(session).values() if one.email_index == wanted), None)
    return employees.get(session, asked.employee_id) if asked else None


def _check_free(
    session: Session, keys: KeyFolder, user: User[Any], profile: EmployeeProfile, mine: Employee | None
) -> None:
    name = user_name_index(keys, tenant_of(session), str(user.user_name))
    others = [
        *listed(session, user_name=name),
        *[one for one in (_with_number(session, keys, profile), _with_address(session, keys, profile.email)) if one],
    ]
    if any(mine is None or one.id != mine.id for one in others):
        raise UserTaken("Another person has this user name, address or employee number.")
