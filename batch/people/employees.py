"""A person on the roster, who they are, and how they are found again."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, func, literal, or_
from sqlmodel import Session, col, select

from batch.mailbox import email_identity
from batch.models import Employee
from batch.people import departments, funnel
from batch.people.departments import Grouping
from batch.people.funnel import Stage as Stage
from batch.people.queries import GROUPED
from batch.reading import places
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Gone, NotFound, Unauthorized, Unprocessable
from likeness.identity import Caller, stands
from likeness.jobs import jobs
from likeness.kernel import Kernel
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, KeyRef, blind_index
from likeness.locale.languages import LANGUAGES, first_of
from likeness.locale.words import Words
from likeness.locale.words import words as words_for
from likeness.locale.words import zone as zone_named
from likeness.mail import letters, mail
from likeness.mail.mail import Letter
from tenants import tenants
from tenants.models import Tenant
from tenants.webhooks import deliveries
from tenants.webhooks.events import OUTLIVES, Event

CONTEXT, READS = "employee/profile", "employee/language"
INDEXED_AT_ONCE = 5_000
"""Of one company, for which one of them takes about two seconds."""


class EmployeeMissing(NotFound):
    """Nobody of this company has this id."""

    title = "This person is not on the list"


class LanguageUnknown(Unprocessable):
    """Nothing is written in this language."""

    title = "Nothing is written in this language"


@dataclass(frozen=True)
class EmployeeProfile:
    full_name: str
    email: str
    employee_key: str | None = None
    department: str | None = None
    site: str | None = None
    manager_email: str | None = None
    language: str | None = None
    receipt: str | None = None
    """Opens the certificate of what this person had deleted; for their own page, never from the company's list."""
    directory: str | None = None
    """The user as the company's directory last said it, as JSON; None for who is none of its users."""
    known_as: str | None = None
    """The name under which somebody first came to their page, where the list has called them otherwise since."""

    def sealed(self, key: DataKey) -> bytes:
        return key.seal(json.dumps(vars(self), ensure_ascii=False).encode(), CONTEXT)

    @staticmethod
    def opened(key: DataKey, sealed: bytes) -> EmployeeProfile:
        return EmployeeProfile(**json.loads(key.open(sealed, CONTEXT)))


def get(session: Session, employee_id: UUID) -> Employee:
    """Raises `EmployeeMissing`, also for somebody of another company."""
    return _one(session, col(Employee.id) == employee_id)


def on_roster(session: Session, roster_id: UUID) -> Employee:
    """The person behind a line of HR's list. Raises `EmployeeMissing`, also for somebody of a department that the caller
    does not work for."""
    return _one(session, col(Employee.roster_id) == roster_id)


def _one(session: Session, which: ColumnElement[bool]) -> Employee:
    employee = session.exec(
        select(Employee).where(col(Employee.tenant_id) == tenant_of(session), which, departments.within(session))
    ).one_or_none()
    if employee is None:
        raise EmployeeMissing
    return employee


def speaking(session: Session, caller: Caller) -> Employee:
    """The person who is signed in, held until the transaction ends, for what they say about themselves.

    A request that was let in may find that their address was corrected meanwhile: then whoever sent it speaks for nobody
    any more, and says nothing for the next. Raises `EmployeeMissing` and `Unauthorized`.
    """
    employee = get(session, caller.id)
    session.refresh(employee, with_for_update={"key_share": True})
    if not stands(session, caller):
        raise Unauthorized(
            "You were signed out meanwhile, and this was not stored. Open the link in the newest mail that you got."
        )
    return employee


def how_many(session: Session) -> int:
    """Everybody of the company, whoever asks and wherever they stand."""
    return session.exec(select(func.count()).where(col(Employee.tenant_id) == tenant_of(session))).one()


def locked(session: Session, employee_ids: Collection[UUID]) -> dict[UUID, Employee]:
    """By id, with the strongest lock, so that a consent which is being given comes before or after, never in between."""
    rows = session.exec(
        select(Employee)
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(list(employee_ids)))
        .order_by(col(Employee.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {employee.id: employee for employee in rows}


def find(session: Session, keys: KeyFolder, email: str) -> Employee | None:
    """The person with this address, in whichever spelling."""
    return session.exec(
        select(Employee).where(
            col(Employee.tenant_id) == tenant_of(session),
            col(Employee.email_index) == email_index(keys.index_key(tenant_of(session)), email),
        )
    ).one_or_none()


def profile(keys: KeyFolder, employee: Employee) -> EmployeeProfile:
    """Raises `KeyDestroyed` when the person was erased."""
    return EmployeeProfile.opened(keys.open(profile_ref(employee.tenant_id, employee.id)), employee.profile)


def profiles(session: Session, keys: KeyFolder, people: Collection[UUID]) -> dict[UUID, EmployeeProfile]:
    """Of whom this transaction's member may see; an empty one once the person's key was destroyed."""
    tenant = tenant_of(session)
    lines = select(Employee.id, Employee.profile).where(
        col(Employee.tenant_id) == tenant, col(Employee.id) == any_(literal(list(people), ARRAY(Uuid()))),
        departments.within(session),
    )  # fmt: skip
    sealed = dict(session.exec(lines).all())
    opened = keys.open_all(tenant, sealed, KeyClass.PROFILE)
    gone = EmployeeProfile(full_name="", email="")
    return {one: EmployeeProfile.opened(opened[one], line) if one in opened else gone for one, line in sealed.items()}


def letter(template: str, reads: Words, who: EmployeeProfile, tenant: Tenant, /, **values: str) -> Letter:
    """What Likeness writes to somebody for their employer."""
    about = {"name": who.full_name, "controller": tenant.name}
    return letters.letter(template, reads, who.email, colour=tenant.colour, **about | values)


def tell_renamed(
    session: Session, keys: KeyFolder, employee: Employee, old: EmployeeProfile, name: str, now: datetime, *, caller: str
) -> None:
    """Whoever reads this address learns that the list calls them otherwise from now on."""
    ledger.record(session, "name.corrected", caller=caller, subject=employee.id)
    if employee.opted_out_at is None:
        tenant, reads = tenants.get(session), words(keys, employee, tenants.get(session))
        told = letter("name-corrected", reads, old, tenant, new=name, date=reads.day(now))
        mail.post(session, keys, employee.id, told, template="name-corrected", campaign=f"{now:%Y%m%d%H%M%S%f}")


def words(keys: KeyFolder, employee: Employee, tenant: Tenant) -> Words:
    """What the person reads: the language they chose themselves, else the one in the list, else their company's."""
    language = first_of(chosen_language(keys, employee), profile(keys, employee).language, tenant.language)
    return words_for(language, tenant.time_zone)


def zones_of(session: Session, keys: KeyFolder, people: Collection[UUID], at: datetime) -> dict[UUID, str]:
    """Of whose site says one; their lines are opened."""
    tenant, found = tenant_of(session), dict[UUID, str]()
    lines = select(Employee).where(col(Employee.tenant_id) == tenant, col(Employee.id).in_(people))
    for person in session.exec(lines):
        with suppress(Gone):
            if name := places.zone_of(profile(keys, person).site, at):
                found[person.id] = name
    return found


def own_hours(
    session: Session, keys: KeyFolder, people: Collection[UUID], at: datetime, now: datetime
) -> dict[UUID, datetime]:
    """The same hour of the same day as `at` is for the company, by the clock of each whose site says where they are; a day
    later where that is over."""
    here = at.astimezone(zone_named(tenants.get(session).time_zone)).replace(tzinfo=None)
    hours = {}
    for person, name in zones_of(session, keys, people, at).items():
        there = here.replace(tzinfo=zone_named(name))
        if there <= now:
            there = (here + timedelta(days=1)).replace(tzinfo=zone_named(name))
        hours[person] = there.astimezone(UTC)
    return hours


def nine(now: datetime, zone: str, day: date | None = None) -> datetime:
    """At nine of that day, or of tomorrow, where the company's people are."""
    day = day or now.astimezone(ZoneInfo(zone)).date() + timedelta(days=1)
    return datetime.combine(day, time(9), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def chosen_language(keys: KeyFolder, employee: Employee) -> str | None:
    """What the person chose themselves; None as long as they did not."""
    if employee.reads is None:
        return None
    return keys.open(profile_ref(employee.tenant_id, employee.id)).open(employee.reads, READS).decode()


def choose_language(session: Session, keys: KeyFolder, employee_id: UUID, language: str) -> None:
    """Kept for the person, whatever list comes later. Raises `LanguageUnknown` and `EmployeeMissing`."""
    if language not in LANGUAGES:
        raise LanguageUnknown("Choose one of the languages on this page.")
    employee = get(session, employee_id)
    key = keys.open(profile_ref(employee.tenant_id, employee.id))
    employee.reads = key.seal(language.encode(), READS)
    session.add(employee)


def tell_programs(session: Session, event: Event, employee_id: UUID, now: datetime, **ids: UUID) -> None:
    """Webhooks name the person by their line of the list, as HR does."""
    batch_id, roster_id = session.exec(
        select(Employee.batch_id, Employee.roster_id).where(
            col(Employee.tenant_id) == tenant_of(session), col(Employee.id) == employee_id
        )
    ).one()
    line = {"batch_id": batch_id, "person_id": roster_id}
    deliveries.happened(session, event, line | ids, now, about=None if event in OUTLIVES else employee_id)


def enter_again(
    session: Session,
    keys: KeyFolder,
    again: UUID,
    before: Employee,
    who: EmployeeProfile,
    *,
    language: str | None,
    opted_out_at: datetime | None,
) -> None:
    """The company's own line about somebody whose row is gone, under the new id `again` and a new key.

    `language` is what the person had chosen.
    """
    key = keys.open_or_create(profile_ref(before.tenant_id, again))
    session.add(
        Employee(
            id=again,
            roster_id=before.roster_id,
            tenant_id=before.tenant_id,
            batch_id=before.batch_id,
            row=before.row,
            email_index=email_index(keys.index_key(before.tenant_id), who.email),
            key_index=before.key_index,
            **digests(keys.index_key(before.tenant_id), who),
            profile=who.sealed(key),
            reads=key.seal(language.encode(), READS) if language else None,
            created_at=before.created_at,
            pilot_at=before.pilot_at,
            user_name_index=before.user_name_index,
            external_index=before.external_index,
            leaves_at=before.leaves_at,
            opted_out_at=opted_out_at,
        )
    )
    session.flush()


def digests(index_key: bytes, who: EmployeeProfile) -> dict[str, Any]:
    """The columns by which somebody is found without being opened."""
    return departments.digests(index_key, who.department, who.site, who.manager_email)


@jobs.every(timedelta(minutes=10))
def index_groups(kernel: Kernel, now: datetime) -> None:
    """People who were on the list before departments, sites or managers had an index; until then nobody who is bound to a
    department sees them, and they are found by no site and no manager."""
    columns = (col(Employee.department_index), col(Employee.site_index), col(Employee.manager_index))

    def of_company(session: Session) -> None:
        tenant = tenant_of(session)
        unknown = select(Employee).where(col(Employee.tenant_id) == tenant, or_(*(one.is_(None) for one in columns)))
        for person in session.exec(unknown.limit(INDEXED_AT_ONCE)).all():
            who = EmployeeProfile("", "")
            with suppress(Gone):
                who = profile(kernel.keys, person)
            for column, value in digests(kernel.keys.index_key(tenant), who).items():
                setattr(person, column, value)
            session.add(person)

    tenants.for_each(kernel, of_company)


@dataclass(frozen=True)
class PeopleGroup:
    """Of one department, site or manager, as the list has it; `name` is empty for those of whom it names none."""

    index: bytes | None
    name: str
    people: int


def groups(
    session: Session, keys: KeyFolder, by: Grouping, *, batch_id: UUID | None = None, most: int | None = None
) -> list[PeopleGroup]:
    """At most so many, the largest, of whom this transaction may see, by name. Names are sealed, so one line of each is
    opened, the first that still can be."""
    asked = {"tenant": tenant_of(session), "batch": batch_id, "most": most} | departments.values(session)
    found = session.execute(GROUPED[by], asked).all()
    sealed = select(Employee.id, Employee.profile).where(
        col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_([one for line in found for one in line.some])
    )
    lines = dict(session.exec(sealed).all())
    named = [PeopleGroup(line.digest, _named(session, keys, by, line.some, lines), line.people) for line in found]
    return sorted(named, key=lambda one: one.name.casefold())


def _named(session: Session, keys: KeyFolder, by: Grouping, some: Sequence[UUID], lines: Mapping[UUID, bytes]) -> str:
    for one in some:
        with suppress(Gone, KeyError):
            who = EmployeeProfile.opened(keys.open(profile_ref(tenant_of(session), one)), lines[one])
            found = {Grouping.DEPARTMENT: who.department, Grouping.SITE: who.site, Grouping.MANAGER: who.manager_email}
            return found[by] or ""
    return ""


def profile_ref(tenant: UUID, employee_id: UUID) -> KeyRef:
    return KeyRef(tenant, employee_id, KeyClass.PROFILE)


def email_index(index_key: bytes, email: str) -> bytes:
    return blind_index(index_key, email_identity(email))


def stage(session: Session, employee_id: UUID, now: datetime | None = None) -> Stage:
    """Raises `EmployeeMissing`."""
    found = funnel.lines(session, now or utc_now(), employee_id=employee_id)
    if not found:
        raise EmployeeMissing
    return found[0].stage
