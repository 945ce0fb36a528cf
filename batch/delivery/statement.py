"""Credits as a statement: what happened on each day, and where the credit of each person who takes part stands.

Of who does not take part it says nothing but how many they are: a day on which one person's credit came back would tell a
no from no answer. While an invitation waits, everybody who was asked stands alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from batch.models import Batch, Employee, Invitation
from batch.people import departments, funnel
from batch.people.funnel import Stage
from batch.people.queries import STAGES_OF_A_BATCH
from batch.reading import workbook
from batch.roster import batches, listings, naming, searching
from batch.roster.batches import RosterLine
from batch.roster.searching import PeopleSearch
from batch.sittings import retakes
from batch.sittings.retakes import Retakes
from likeness.ground.db import newest_first, tenant_of
from likeness.keys.keys import KeyFolder
from likeness.locale.marks import N_
from tenants import credits
from tenants.credits import LATEST, CreditState, NewestCredit

ASKED = frozenset({Stage.INVITED, Stage.DELIVERED, Stage.OPENED, Stage.BOUNCED})
NO_ANSWER = ASKED | {Stage.ADDED}
IN_ONE_GO = 500
WORDS = {
    CreditState.NONE: N_("no credit"),
    CreditState.RESERVED: N_("set aside"),
    CreditState.CHARGED: N_("charged"),
    CreditState.RELEASED: N_("given back"),
    CreditState.REFUNDED: N_("refunded"),
}
KINDS = {
    "grant": N_("granted"),
    "reserve": N_("set aside"),
    "charge": N_("charged"),
    "release": N_("given back"),
    "refund": N_("refunded"),
}


@dataclass(frozen=True)
class Account:
    """Where one person's credit stands; `since` is a day."""

    id: UUID
    """Of the line."""
    batch_id: UUID
    name: str
    stage: Stage
    standing: CreditState
    since: date | None
    row: int = 0
    """Of the list, for the order."""


@dataclass(frozen=True)
class OfBatch:
    batch_id: UUID
    created_at: datetime
    set_aside: int = 0
    charged: int = 0
    given_back: int = 0
    refunded: int = 0
    aside: int = 0
    """People who do not take part: what became of their credits is not said one by one."""


def accounts(
    session: Session, keys: KeyFolder, asked: PeopleSearch, now: datetime, most: int, *, skip: int = 0,
    after: tuple[UUID, int, UUID] | None = None,
) -> list[Account]:  # fmt: skip
    """A page of the people who take part, in the order of the lists, after a batch, a row and a line."""
    stages = asked.stages or tuple(stage for stage in Stage if stage != Stage.OPTED_OUT)
    narrowed = PeopleSearch(asked.words, stages, asked.department, asked.batch_id)
    found = searching.people(session, keys, narrowed, now, most, skip=skip, after=after)
    return list(_accounts(session, found))


def _accounts(session: Session, found: Collection[tuple[UUID, RosterLine]]) -> Iterable[Account]:
    ids = _ids(session, [line.id for _, line in found])
    held = credits.standings(session, list(ids.values()))
    invited = _invited(session, list(ids.values()))
    for batch_id, line in found:
        person = ids.get(line.id)
        credit = _shown(line.stage, held.get(person) if person else None, invited.get(person) if person else None)
        since = credit.since.date() if credit.since else None
        yield Account(line.id, batch_id, line.name, line.stage, credit.standing, since, line.row)


@dataclass(frozen=True)
class OfPerson:
    account: Account
    retakes: Retakes | None
    """None of who does not take part, or stands with those who have not answered or are not invited."""


def of_person(session: Session, keys: KeyFolder, employee: Employee, now: datetime) -> OfPerson:
    line = batches.seen(session, keys, funnel.lines(session, now, employee_id=employee.id))[0]
    if line.stage == Stage.OPTED_OUT:
        nothing = Account(line.id, employee.batch_id, line.name, line.stage, CreditState.NONE, None)
        return OfPerson(nothing, None)
    (account,) = _accounts(session, [(employee.batch_id, line)])
    return OfPerson(account, None if line.stage in NO_ANSWER else retakes.of(session, employee.id))


def _shown(stage: Stage, held: NewestCredit | None, asked: Asked | None) -> NewestCredit:
    """Of whose answer does not show only what follows from the invitation."""
    if stage in ASKED:
        return NewestCredit(CreditState.RESERVED, asked.at if asked else None)
    if stage == Stage.ADDED and asked is not None:
        return NewestCredit(CreditState.RELEASED, asked.revoked_at)
    return held or NewestCredit(CreditState.NONE, None)


def _ids(session: Session, lines: Collection[UUID]) -> dict[UUID, UUID]:
    found = session.execute(
        select(col(Employee.roster_id), col(Employee.id)).where(
            col(Employee.tenant_id) == tenant_of(session),
            col(Employee.roster_id).in_(lines),
            departments.within(session),
        )
    )
    return {line: person for line, person in found}


@dataclass(frozen=True)
class Asked:
    """When somebody was last invited, and when that was last taken back."""

    at: datetime
    revoked_at: datetime | None


def _invited(session: Session, people: Collection[UUID]) -> dict[UUID, Asked]:
    found = session.execute(
        select(col(Invitation.employee_id), func.max(Invitation.created_at), func.max(Invitation.revoked_at))
        .where(col(Invitation.tenant_id) == tenant_of(session), col(Invitation.employee_id).in_(people))
        .group_by(col(Invitation.employee_id))
    )
    return {person: Asked(at, revoked_at) for person, at, revoked_at in found}


def of_batches(
    session: Session, now: datetime, most: int | None = None, *, before: tuple[datetime, UUID] | None = None
) -> list[OfBatch]:
    """Each batch with people whom the caller may see, newest first, counted by the database; at most so many, those
    `before` the moment and the id of one."""
    found: dict[UUID, dict[str, int]] = {}
    for batch, standing, count in session.execute(OF_BATCHES, funnel.about(session, now, people=None)):
        if name := NAMES.get(standing, ""):
            found.setdefault(batch, {})[name] = count
    query = select(Batch.id, Batch.created_at).where(
        col(Batch.tenant_id) == tenant_of(session), col(Batch.id).in_(list(found))
    )
    page = newest_first(query, col(Batch.created_at), col(Batch.id), most, before)
    return [OfBatch(batch, at, **found[batch]) for batch, at in session.exec(page)]


# As `_shown` says it of one person.
OF_BATCHES = text(
    f"""{STAGES_OF_A_BATCH}
    select batch_id, standing, count(*) from (
        select p.batch_id, case
            when p.stage = 'opted out' then 'aside'
            when p.stage = any(array['invited', 'delivered', 'opened', 'bounced']) then 'reserved'
            when p.stage = 'added' then (
                select 'released' from invitation i where i.tenant_id = :tenant and i.employee_id = p.id limit 1)
            else s.standing end as standing
        from placed p left join ({LATEST}) s on s.person = p.id
    ) each group by batch_id, standing
    """  # noqa: S608 - constants only
)
NAMES = {
    CreditState.RESERVED: "set_aside",
    CreditState.CHARGED: "charged",
    CreditState.RELEASED: "given_back",
    CreditState.REFUNDED: "refunded",
    "aside": "aside",
}


@dataclass(frozen=True)
class Export:
    days: tuple[tuple[object, ...], ...]
    people: tuple[tuple[object, ...], ...]


DAYS = ("Day (UTC)", "What", "In", "Out", "People", "Balance")
PEOPLE = ("Employee ID", "Full name", "E-mail", "Department", "Batch", "Stage", "Credit", "Since (UTC)")


def exported(session: Session, keys: KeyFolder, now: datetime, *, with_people: bool, caller: str) -> Export:
    """The whole statement; people only for who may see the list."""
    days = tuple(
        (
            f"{one.day:%Y-%m-%d}",
            KINDS.get(one.reason, one.reason),
            max(0, one.amount) or None,
            max(0, -one.amount) or None,
            one.count if one.reason != "grant" else None,
            one.balance,
        )
        for one in credits.days(session)
    )
    people: list[tuple[object, ...]] = []
    if with_people:
        named = {one.id: naming.of(keys, one) for one in batches.list_batches(session)}
        lines = [line for line in funnel.lines(session, now) if line.stage != Stage.OPTED_OUT]
        listings.note(session, [line.roster_id for line in lines], now, caller=caller)
        held = credits.standings(session)
        for start in range(0, len(lines), IN_ONE_GO):
            part = lines[start : start + IN_ONE_GO]
            seen = {one.id: one for one in batches.seen(session, keys, part)}
            invited = _invited(session, [line.employee_id for line in part])
            for line in part:
                if (who := seen.get(line.roster_id)) is None:
                    continue
                credit = _shown(line.stage, held.get(line.employee_id), invited.get(line.employee_id))
                people.append((
                    who.employee_key, who.name, who.email, who.department, named.get(line.batch_id, ""), line.stage,
                    WORDS[credit.standing], f"{credit.since:%Y-%m-%d}" if credit.since else None,
                ))  # fmt: skip
    return Export(days, tuple(people))


def excel(found: Export, *, with_people: bool) -> bytes:
    sheets: dict[str, tuple[tuple[str, ...], tuple[tuple[object, ...], ...]]] = {"Credits": (DAYS, found.days)}
    if with_people:
        sheets["People"] = (PEOPLE, found.people)
    return workbook.export_sheets(sheets)


def csv(found: Export, *, people: bool) -> bytes:
    return workbook.export_csv(PEOPLE, found.people) if people else workbook.export_csv(DAYS, found.days)
