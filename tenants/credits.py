"""Credits: granted to a company, reserved when somebody is invited, given back when nothing comes of it.

A movement is never changed. Each reservation has a cause of its own, `<employee>:<count>`, which its release or refund
repeats; the constraint on (reason, cause) makes every movement happen once, whoever tries how often.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID, uuid4

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, select

from likeness import ledger
from likeness.db import tenant_of, utc_now
from likeness.errors import Conflict, Unprocessable
from tenants.models import Credit, CreditReason


class NoCredits(Conflict):
    """The company has fewer credits than people it wants to invite."""


class AmountRefused(Unprocessable):
    """Credits are granted in whole numbers above zero."""


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
    past = _reservations(session, wanted)
    open_ones = {one for one, causes in past.items() if any(is_open for is_open in causes.values())}
    missing = [one for one in wanted if one not in open_ones]
    have = balance(session)
    if len(missing) > have:
        raise NoCredits(f"This needs {len(missing)} credits, and {have} are left.")
    _move(session, CreditReason.RESERVE, [(f"{one}:{len(past.get(one, {})) + 1}", -1) for one in missing])


def release(session: Session, employee_id: UUID) -> bool:
    """Gives the reservation back, because the person declined or left; False when there was none."""
    return _return(session, CreditReason.RELEASE, employee_id)


def release_all(session: Session, employee_ids: Iterable[UUID]) -> int:
    """The same for many; returns how many credits came back."""
    open_ones = [
        (cause, 1)
        for causes in _reservations(session, list(employee_ids)).values()
        for cause, is_open in causes.items()
        if is_open
    ]
    return len(_move(session, CreditReason.RELEASE, open_ones))


def refund(session: Session, employee_id: UUID) -> bool:
    """Gives the credit back, because no headshot came out; False when there was none."""
    return _return(session, CreditReason.REFUND, employee_id)


def held(session: Session, employee_id: UUID) -> bool:
    return any(_reservations(session, [employee_id]).get(employee_id, {}).values())


def movements(session: Session) -> list[Credit]:
    """Newest first."""
    return list(
        session.exec(select(Credit).where(col(Credit.tenant_id) == tenant_of(session)).order_by(col(Credit.at).desc()))
    )


def _return(session: Session, reason: CreditReason, employee_id: UUID) -> bool:
    causes = _reservations(session, [employee_id]).get(employee_id, {})
    open_ones = [(cause, 1) for cause, is_open in causes.items() if is_open]
    returned = bool(_move(session, reason, open_ones))
    if returned:
        verb = "released" if reason == CreditReason.RELEASE else "refunded"
        ledger.record(session, f"credit.{verb}", subject=employee_id)
    return returned


def _reservations(session: Session, employee_ids: list[UUID]) -> dict[UUID, dict[str, bool]]:
    """The reservations of each person by cause, and whether each is still open."""
    wanted = set(employee_ids)
    query = select(Credit.reason, Credit.cause).where(
        col(Credit.tenant_id) == tenant_of(session), col(Credit.reason) != CreditReason.GRANT
    )
    if len(wanted) == 1:
        query = query.where(func.starts_with(Credit.cause, f"{employee_ids[0]}:"))
    found: dict[UUID, dict[str, bool]] = {}
    for reason, cause in session.exec(query):
        person = UUID(cause.partition(":")[0])
        if person in wanted:
            causes = found.setdefault(person, {})
            causes[cause] = causes.get(cause, True) and reason == CreditReason.RESERVE
    return found


def _move(session: Session, reason: CreditReason, moves: list[tuple[str, int]]) -> list[UUID]:
    if not moves:
        return []
    tenant, at = tenant_of(session), utc_now()
    rows = [
        {"id": uuid4(), "tenant_id": tenant, "amount": amount, "reason": reason, "cause": cause, "at": at}
        for cause, amount in moves
    ]
    made = session.execute(insert(Credit).on_conflict_do_nothing().returning(col(Credit.id)), rows)
    return list(made.scalars())
