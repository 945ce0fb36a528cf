"""Something is wrong, says a person: it reaches somebody at their company, who has promised an answer by a day.

The words of both sides are sealed under the person's own key and go with the person. Who reads them is the person's choice:
HR, which knows them by name, or legal, which sees an id and what was written. What HR was written stays as long as the line
on its list: gone with a withdrawal, it would tell HR of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, and_, update
from sqlmodel import Field, Session, col, func, select

from batch.models import Employee
from batch.people import departments, employees
from likeness import ledger
from likeness.ground.db import Moment, TenantRow, belongs_to, tenant_of, waiting_first
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.keys.keys import KeyFolder
from likeness.locale.words import words as words_for
from likeness.locale.words import zone
from likeness.mail import letters, mail
from tenants import tenants
from tenants.members import members, permissions
from tenants.members.permissions import Permission
from tenants.models import Member, Role

DESKS = {"hr": Role.HR, "legal": Role.LEGAL}
WORKING_DAYS = 2
"""Until an answer is given; the page says the day before anything is sent."""
CLOSES = time(17)
LONGEST = 2000
MOST_OPEN = 3
TOLD_THE_PAGE = ("legal",)
"""Whoever sees names is not told the page: there are some that only who said no, or asked for a deletion, comes to."""
PAGE = re.compile(r"/visit/([a-z-]{1,20})")
ASKED, ANSWERED = "concern/asked", "concern/answered"


class ConcernMissing(NotFound):
    """There is no such message, or it was answered already."""

    title = "This message is not open any more"


class WordsMissing(Unprocessable):
    """Nothing was written, or it is too long."""

    title = "Your message is empty or too long"


class TooManyOpen(Conflict):
    """What the person wrote before is not answered yet."""

    title = "Your earlier messages wait for an answer"


class Concern(TenantRow, table=True):
    """What a person wrote, and what they were answered."""

    __table_args__ = (
        belongs_to("employee", "employee_id"),
        CheckConstraint("(answered_at is null) = (answer is null)", name="concern_answered"),
    )

    employee_id: UUID = Field(index=True)
    desk: str
    """Who reads it: `hr` or `legal`."""
    page: str
    """Where they were when they wrote to legal, as the path of a page without any id."""
    sealed: bytes
    asked_at: datetime = Moment()
    promised_at: datetime = Moment()
    answered_at: datetime | None = Moment(default=None, nullable=True)
    answered_by: UUID | None = None
    answer: bytes | None = None
    passed_on: bool = False
    """The line's address was corrected since: whoever reads the new one neither sees this nor is answered."""


@dataclass(frozen=True)
class ReadConcern:
    """A message in clear, for those who may read it."""

    row: Concern
    words: str
    answer: str


def page_of(path: str) -> str:
    """The page of the visit without any id; nothing for what is none."""
    found = PAGE.match(path)
    return found[0] if found else ""


def desk_of(member: Member) -> str:
    """Nobody reads both: whoever sees names does not read what was written to legal."""
    return "hr" if Permission.PEOPLE_READ in permissions.of(member.roles) else "legal"


def answer_by(now: datetime, time_zone: str) -> datetime:
    """The end of the second working day after today where the company is."""
    here = now.astimezone(zone(time_zone))
    day, left = here.date(), WORKING_DAYS
    while left:
        day += timedelta(days=1)
        left -= day.weekday() < 5
    return datetime.combine(day, CLOSES, here.tzinfo).astimezone(UTC)


def readers(session: Session, employee: Employee) -> dict[str, list[Member]]:
    """Who can read what this person writes, by desk; a desk without anybody is not in it. Whoever is bound to
    departments reads of nobody else."""
    mine = employee.department_index.hex() if employee.department_index else None
    there = [
        one
        for one in members.all(session)
        if one.joined_at and not one.disabled_at and (one.departments is None or mine in one.departments)
    ]
    by_desk = {desk: [one for one in there if role in one.roles] for desk, role in DESKS.items()}
    return {desk: found for desk, found in by_desk.items() if found}


def write(
    session: Session, keys: KeyFolder, employee_id: UUID, desk: str, page: str, words: str, address: str, now: datetime
) -> Concern:
    """Kept, and everybody of that desk who may read it gets a mail that names nobody; `address` is of this installation.

    Raises `WordsMissing` and `TooManyOpen`.
    """
    employee = employees.get(session, employee_id)
    told = readers(session, employee).get(desk)
    if not told:
        raise WordsMissing("Choose who reads it.")
    text = _plain(words)
    session.refresh(employee, with_for_update={"key_share": True})
    if sum(one.answered_at is None and not one.passed_on for one in _of(session, employee_id)) >= MOST_OPEN:
        raise TooManyOpen("Please wait until one of them is answered.")
    tenant = tenants.get(session)
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    concern = Concern(
        tenant_id=tenant_of(session), employee_id=employee_id, desk=desk, page=page if desk in TOLD_THE_PAGE else "",
        sealed=key.seal(text.encode(), ASKED),
        asked_at=now, promised_at=answer_by(now, tenant.time_zone),
    )  # fmt: skip
    session.add(concern)
    session.flush()
    _record(session, "concern.written", concern, f"employee:{employee_id}")
    reads = words_for(tenant.language, tenant.time_zone)
    for member in told:
        letter = letters.letter(
            "concern", reads, members.profile(keys, member).email, brand=tenant.name, colour=tenant.colour,
            day=reads.moment(concern.promised_at), link=f"{address.rstrip('/')}/questions", controller=tenant.name,
        )  # fmt: skip
        mail.post(session, keys, member.id, letter, template="concern", campaign=str(concern.id))
    return concern


def of(session: Session, keys: KeyFolder, employee_id: UUID) -> list[ReadConcern]:
    """The person's own, newest first."""
    return [_said(keys, one) for one in _of(session, employee_id) if not one.passed_on]


def pass_on(session: Session, employee_ids: Collection[UUID]) -> None:
    """Their lines have other addresses from now on, and nobody asked whoever was there before."""
    theirs = (col(Concern.tenant_id) == tenant_of(session), col(Concern.employee_id).in_(employee_ids))
    session.execute(update(Concern).where(*theirs).values(passed_on=True))


def with_line(session: Session, keys: KeyFolder, employee_id: UUID) -> list[ReadConcern]:
    """What goes on with the company's line when its person's own things go, read while their key is there."""
    kept = [_said(keys, one) for one in _of(session, employee_id) if one.desk == "hr"]
    for one in kept:
        session.expunge(one.row)  # Its row goes, and one of the same id comes.
    return kept


def enter_again(session: Session, keys: KeyFolder, employee: Employee, kept: Sequence[ReadConcern]) -> None:
    """Under the line's new id and key, and to HR the same message as before."""
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    for one in kept:
        facts = one.row.model_dump(exclude={"employee_id", "sealed", "answer"})
        answer = key.seal(one.answer.encode(), ANSWERED) if one.row.answer is not None else None
        session.add(Concern(employee_id=employee.id, sealed=key.seal(one.words.encode(), ASKED), answer=answer, **facts))


def for_desk(
    session: Session, keys: KeyFolder, desk: str, most: int, *, after: tuple[bool, datetime, UUID] | None = None
) -> list[tuple[ReadConcern, Employee]]:
    """What this desk was written: open ones first, the soonest due; then the answered ones, newest first. At most so many,
    those `after` one: whether it was answered, when or by when, and its id."""
    query = (
        select(Concern, Employee)
        .join(Employee, _same_person())
        .where(col(Concern.tenant_id) == tenant_of(session), col(Concern.desk) == desk, departments.within(session))
    )
    in_turn = waiting_first(query, col(Concern.promised_at), col(Concern.answered_at), col(Concern.id), most, after)
    return [(_said(keys, concern), employee) for concern, employee in session.exec(in_turn)]


def open_for(session: Session, desk: str) -> int:
    """How many wait for an answer of this desk."""
    return session.exec(
        select(func.count())
        .select_from(Concern)
        .join(Employee, _same_person())
        .where(
            col(Concern.tenant_id) == tenant_of(session),
            col(Concern.desk) == desk,
            col(Concern.answered_at).is_(None),
            departments.within(session),
        )
    ).one()


def answer(
    session: Session, keys: KeyFolder, concern_id: UUID, desk: str, member_id: UUID, words: str, now: datetime
) -> None:
    """The person gets it by mail and reads it on their page, unless their line has another address since.

    Raises `ConcernMissing` and `WordsMissing`.
    """
    text = _plain(words)
    concern = session.exec(
        select(Concern)
        .join(Employee, _same_person())
        .where(
            col(Concern.tenant_id) == tenant_of(session),
            col(Concern.id) == concern_id,
            col(Concern.desk) == desk,
            col(Concern.answered_at).is_(None),
            departments.within(session),
        )
        .with_for_update(of=Concern)
    ).one_or_none()
    if concern is None:
        raise ConcernMissing("There is no such message, or somebody has answered it meanwhile.")
    employee, tenant = employees.get(session, concern.employee_id), tenants.get(session)
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    concern.answer, concern.answered_at, concern.answered_by = key.seal(text.encode(), ANSWERED), now, member_id
    session.add(concern)
    _record(session, "concern.answered", concern, f"member:{member_id}")
    if concern.passed_on:
        return
    who, reads = employees.profile(keys, employee), employees.words(keys, employee, tenant)
    letter = employees.letter(
        "answered", reads, who, tenant, asked=reads.day(concern.asked_at), answer=text, contact=tenant.contact,
    )  # fmt: skip
    mail.post(session, keys, employee.id, letter, template="answered", campaign=str(concern.id))


def _same_person() -> ColumnElement[bool]:
    return and_(col(Employee.tenant_id) == col(Concern.tenant_id), col(Employee.id) == col(Concern.employee_id))


def _of(session: Session, employee_id: UUID) -> Sequence[Concern]:
    return session.exec(
        select(Concern)
        .where(col(Concern.tenant_id) == tenant_of(session), col(Concern.employee_id) == employee_id)
        .order_by(col(Concern.asked_at).desc())
    ).all()


def _said(keys: KeyFolder, concern: Concern) -> ReadConcern:
    key = keys.open(employees.profile_ref(concern.tenant_id, concern.employee_id))
    answered = key.open(concern.answer, ANSWERED).decode() if concern.answer else ""
    return ReadConcern(concern, key.open(concern.sealed, ASKED).decode(), answered)


def _plain(words: str) -> str:
    """Text of several lines, in NFC and without what nobody types."""
    if len(words) > LONGEST * 2:
        raise WordsMissing("Write at most {n} characters.", n=LONGEST)
    lines = unicodedata.normalize("NFC", words).replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(sign for sign in lines if sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cs")).strip()
    if not text:
        raise WordsMissing("Write a few words first.")
    if len(text) > LONGEST:
        raise WordsMissing("Write at most {n} characters.", n=LONGEST)
    return text


def _record(session: Session, event: str, concern: Concern, caller: str) -> None:
    # The log names no message that may go on with the line: it would lead from one of a person's ids to the other.
    objects = [concern.id] if concern.desk == "legal" else []
    ledger.record(session, event, caller=caller, subject=concern.employee_id, objects=objects)
