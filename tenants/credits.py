"""Credits: granted to a company, reserved when somebody is invited, charged when their headshots are there to choose from,
given back when nothing comes of it.

A movement is never changed. Each reservation has a cause of its own, `<employee>:<count>`, which its charge, release or
refund repeats; the constraint on (reason, cause) makes every movement happen once, whoever tries how often. A reservation
takes the credit from what is left, so a charge moves nothing more: its amount is 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import func, text, update
from sqlmodel import Session, col, select

from likeness import ledger
from likeness.ground.db import insert_new, tenant_of, utc_now
from likeness.ground.errors import Conflict, Unprocessable
from tenants.models import Credit, CreditReason


class NoCredits(Conflict):
    """The company has fewer credits than people it wants to invite."""

    title = "There are not enough credits"


class AmountRefused(Unprocessable):
    """Credits are granted in whole numbers above zero."""

    title = "Credits are whole numbers above zero"


def balance(session: Session) -> int:
    return int(
        session.exec(
            select(func.coalesce(func.sum(Credit.amount), 0)).where(col(Credit.tenant_id) == tenant_of(session))
        ).one()
    )


def grant(session: Session, amount: int, cause: str, *, caller: str = ledger.SYSTEM) -> bool:
    """Credits for one order; False when this order was granted before."""
    if not 0 < amount <= 1_000_000:
        raise AmountRefused("Grant between 1 and 1,000,000 credits.")
    new = _move(session, CreditReason.GRANT, [(cause, amount)])
    if new:
        ledger.record(session, "credit.granted", caller=caller)
    return bool(new)


def reserve(session: Session, employee_id: UUID) -> None:
    """One credit for this person; nothing happens while they hold one. Raises `NoCredits`."""
    reserve_all(session, [employee_id])


def reserve_all(session: Session, employee_ids: Iterable[UUID]) -> None:
    """One credit each, or none at all. Raises `NoCredits`."""
    wanted = list(employee_ids)
    # Reservations of a company wait for each other, or two could spend the last credit.
    session.execute(text("select pg_advisory_xact_lock(hashtextextended(:key, 8))"), {"key": str(tenant_of(session))})
    _move(session, CreditReason.RESERVE, [(f"{one}:{number}", -1) for one, number in needed(session, wanted).items()])


def needed(session: Session, employee_ids: Collection[UUID]) -> dict[UUID, int]:
    """Who of these holds no credit yet, and which of theirs it would be. Raises `NoCredits` where too few are left."""
    past = _reservations(session, list(employee_ids))
    open_ones = {one for one, causes in past.items() if any(not BACK & reasons for reasons in causes.values())}
    missing = {one: len(past.get(one, {})) + 1 for one in employee_ids if one not in open_ones}
    have = balance(session)
    if len(missing) > have:
        raise NoCredits("Credits needed: {n}. Credits left: {left}.", n=len(missing), left=have)
    return missing


def charge(session: Session, employee_id: UUID) -> bool:
    """Headshots of this person are there: the credit is used from now on. False when none is held, or it is charged."""
    open_ones = [(cause, 0) for cause, reasons in _open(session, [employee_id]) if CreditReason.CHARGE not in reasons]
    return bool(_move(session, CreditReason.CHARGE, open_ones))


def release(session: Session, employee_id: UUID) -> bool:
    """Gives the reservation back, because the person declined or left; False when there was none, or it is charged."""
    returned = bool(release_all(session, [employee_id]))
    if returned:
        ledger.record(session, "credit.released", subject=employee_id)
    return returned


def release_all(session: Session, employee_ids: Iterable[UUID]) -> int:
    """The same for many; returns how many credits came back."""
    found = _open(session, list(employee_ids))
    open_ones = [(cause, 1) for cause, reasons in found if CreditReason.CHARGE not in reasons]
    return _move(session, CreditReason.RELEASE, open_ones)


def refund(session: Session, employee_id: UUID) -> bool:
    """Gives the credit back, charged or not, because no headshot was right; False when there was none."""
    open_ones = [(cause, 1) for cause, _ in _open(session, [employee_id])]
    returned = bool(_move(session, CreditReason.REFUND, open_ones))
    if returned:
        ledger.record(session, "credit.refunded", subject=employee_id)
    return returned


def hand_over(session: Session, employee_id: UUID, again: UUID) -> None:
    """The same person under another id: what is set aside for them stays so. Nothing else of a movement is ever changed."""
    for cause, reasons in _open(session, [employee_id]):
        if CreditReason.CHARGE not in reasons:
            session.execute(
                update(Credit)
                .where(col(Credit.tenant_id) == tenant_of(session), col(Credit.cause) == cause)
                .values(cause=f"{again}:1")
            )


class CreditState(StrEnum):
    NONE = "none"
    RESERVED = "reserved"
    CHARGED = "charged"
    RELEASED = "released"
    REFUNDED = "refunded"


@dataclass(frozen=True)
class NewestCredit:
    """Where somebody's newest credit stands, and since when."""

    standing: CreditState
    since: datetime | None


LATEST = """
    select distinct on (person) person, standing, since from (
        select split_part(cause, ':', 1)::uuid as person, split_part(cause, ':', 2)::int as number, max(at) as since,
               case when bool_or(reason = 'refund') then 'refunded' when bool_or(reason = 'release') then 'released'
                    when bool_or(reason = 'charge') then 'charged' else 'reserved' end as standing
        from credit
        where tenant_id = :tenant and reason <> 'grant'
          and (cast(:people as text[]) is null or split_part(cause, ':', 1) = any(:people))
        group by cause
    ) movements
    order by person, number desc
"""
"""Each person's newest reservation and what became of it, for a query that is written as text."""


def standings(session: Session, employee_ids: Collection[UUID] | None = None) -> dict[UUID, NewestCredit]:
    """Of these people, or of everybody who ever had a credit."""
    people = None if employee_ids is None else [str(one) for one in employee_ids]
    found = session.execute(text(LATEST), {"tenant": tenant_of(session), "people": people})
    return {person: NewestCredit(CreditState(standing), since) for person, standing, since in found}


def totals(session: Session) -> dict[CreditState, int]:
    """How many credits stand where, of everybody who ever had one."""
    query = text("select standing, count(*) from (" + LATEST + ") each group by standing")  # noqa: S608 - a constant
    found = session.execute(query, {"tenant": tenant_of(session), "people": None})
    return {CreditState(standing): count for standing, count in found}


@dataclass(frozen=True)
class Day:
    """What one kind of movement came to on one day; `balance` is what was left at the end of the day."""

    day: date
    reason: str
    amount: int
    count: int
    balance: int


DAYS = text("""
    with lines as (
        select day, reason, amount, count, cast(sum(total) over (order by day) as bigint) as balance from (
            select cast(at at time zone 'UTC' as date) as day, reason, cast(sum(amount) as bigint) as amount,
                   count(*) as count,
                   case when row_number() over (partition by cast(at at time zone 'UTC' as date) order by reason) = 1
                        then sum(sum(amount)) over (partition by cast(at at time zone 'UTC' as date)) else 0 end as total
            from credit where tenant_id = :tenant group by 1, 2
        ) days
    )
    select * from lines
    where cast(:after_day as date) is null or day < cast(:after_day as date)
       or (day = cast(:after_day as date) and reason > cast(:after_reason as text))
    order by day desc, reason limit cast(:most as bigint)
""")


def days(session: Session, most: int | None = None, *, after: tuple[date, str] | None = None) -> list[Day]:
    """Newest first, those after a day and a reason; times of day are left out, which would lead to single people."""
    day, reason = after or (None, None)
    asked = {"tenant": tenant_of(session), "most": most, "after_day": day, "after_reason": reason}
    found = session.execute(DAYS, asked)
    return [Day(*row) for row in found]


BACK = frozenset({CreditReason.RELEASE, CreditReason.REFUND})


def _open(session: Session, employee_ids: list[UUID]) -> list[tuple[str, set[str]]]:
    """The reservations of these people that were not given back, each with what happened to it."""
    return [
        (cause, reasons)
        for causes in _reservations(session, employee_ids).values()
        for cause, reasons in causes.items()
        if not BACK & reasons
    ]


def _reservations(session: Session, employee_ids: list[UUID]) -> dict[UUID, dict[str, set[str]]]:
    """The reservations of each person by cause, and what happened to each."""
    wanted = set(employee_ids)
    query = select(Credit.reason, Credit.cause).where(
        col(Credit.tenant_id) == tenant_of(session), col(Credit.reason) != CreditReason.GRANT
    )
    if len(wanted) == 1:
        query = query.where(func.starts_with(Credit.cause, f"{employee_ids[0]}:"))
    found: dict[UUID, dict[str, set[str]]] = {}
    for reason, cause in session.exec(query):
        person = UUID(cause.partition(":")[0])
        if person in wanted:
            found.setdefault(person, {}).setdefault(cause, set()).add(reason)
    return found


def _move(session: Session, reason: CreditReason, moves: list[tuple[str, int]]) -> int:
    """Returns how many are new."""
    if not moves:
        return 0
    tenant, at = tenant_of(session), utc_now()
    rows = [
        {"id": uuid4(), "tenant_id": tenant, "amount": amount, "reason": reason, "cause": cause, "at": at}
        for cause, amount in moves
    ]
    return insert_new(session, Credit, rows)
