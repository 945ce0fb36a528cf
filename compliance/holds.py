"""Legal holds: a person's things are kept past their day because a court said so, in the sight of two people.

One member of the legal role places a hold, another confirms it, and it ends on a day that was set at the start; lifting
it earlier takes two as well. Two means two who could not have made each other (`tenants/members/chains.py`), and who
both worked for legal before it was asked for. Only a confirmed hold that stands keeps anything; retention and erasure
ask here before they delete. Its reference and reason are words about a person, so they are sealed under a key of the
hold's own, for legal alone; the key goes when everything of the person is erased.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func
from sqlmodel import Session, col, select

from batch.models import Employee
from batch.people import employees
from compliance.models import Basis, ErasureState, Hold
from likeness import ledger
from likeness.ground.db import newest_first, on_rollback, row_of, rows_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, NotFound, Unprocessable
from likeness.keys.keys import KeyClass, KeyDestroyed, KeyFolder, KeyRef
from likeness.locale.marks import N_, Term, Told
from tenants.members import chains
from tenants.models import Member, Role
from tenants.plain import one_line

LONGEST = timedelta(days=366)
CONTEXT = "hold"
NAMES: Mapping[str, str] = {
    KeyClass.SOURCE: N_("your selfies"),
    KeyClass.MODEL: N_("the model of you"),
    KeyClass.HEADSHOT: N_("your headshots"),
}
"""What a hold may cover, as the person reads it."""
EVERYTHING = N_("everything that is held about you")


class HoldMissing(NotFound):
    """The company has no such hold."""

    title = "There is no such hold"


class HoldRefused(Unprocessable):
    """A hold needs a warrant or a subpoena, its reference, a reason, and a day on which it ends."""

    title = "Something is missing for a hold"


class SamePerson(Conflict):
    """Who placed the hold cannot be the one who confirms it."""

    title = "Somebody else has to confirm"


class NotApart(Conflict):
    """The two could be one: one of them invited the other or gave them their role, directly or through others."""

    title = "One of you brought the other in"


class NotThereBefore(Conflict):
    """Who is to be the second of two did not work for legal yet when the first one asked."""

    title = "You came to legal after this was asked"


class HoldEnded(Conflict):
    """The hold was lifted or has run out."""

    title = "This hold has ended"


@dataclass(frozen=True)
class HoldWords:
    reference: str
    reason: str


LOST = HoldWords(*[Told("lost with a restored backup; the hold itself stands")] * 2)
ERASED = HoldWords(*[Told("deleted with everything else of the person")] * 2)
FOR_LEGAL = HoldWords(*[Told("for legal alone")] * 2)


def place(
    session: Session,
    keys: KeyFolder,
    employee_id: UUID,
    *,
    basis: str,
    reference: str,
    reason: str,
    expires_at: datetime,
    placed_by: UUID,
    now: datetime,
    classes: Collection[str] = (),
    made_from: datetime | None = None,
    made_until: datetime | None = None,
    barred: bool = False,
) -> Hold:
    """It keeps nothing until a second person confirms it. Without classes and a period it covers everything of the person.

    Raises `HoldRefused` and `EmployeeMissing`.
    """
    employees.get(session, employee_id)
    if basis not in set(Basis):
        raise HoldRefused("Faces are kept past their day for a warrant or a subpoena only. Say which of the two it is.")
    if not reference.strip() or not reason.strip():
        raise HoldRefused("Please give the reference of the warrant or subpoena, and the reason.")
    if expires_at.tzinfo is None or not now < expires_at <= now + LONGEST:
        raise HoldRefused("A hold ends on a day within a year; it can be placed anew then.")
    if not set(classes) <= set(NAMES):
        raise HoldRefused("A hold covers some of: {names}; or everything, where none is named.", names=", ".join(NAMES))
    if made_from and made_until and made_until <= made_from:
        raise HoldRefused("The period of what is held ends before it begins.")
    hold = Hold(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        basis=basis,
        placed_by=placed_by,
        placed_at=now,
        expires_at=expires_at,
        classes=sorted(set(classes)),
        made_from=made_from,
        made_until=made_until,
        barred=barred,
    )
    ref = key_ref(hold)
    on_rollback(session, lambda: keys.destroy(ref, now))
    seal(keys, hold, HoldWords(one_line(reference, 200, N_("reference")), one_line(reason, 500, N_("reason"))))
    session.add(hold)
    session.flush()
    _record(session, "hold.placed", hold, placed_by)
    return hold


def key_ref(hold: Hold) -> KeyRef:
    return KeyRef(hold.tenant_id, hold.id, KeyClass.PROFILE)


def seal(keys: KeyFolder, hold: Hold, words: HoldWords) -> None:
    hold.sealed = keys.open_or_create(key_ref(hold)).seal(json.dumps(asdict(words)).encode(), CONTEXT)
    hold.unsealed_reference = hold.unsealed_reason = None


def words(keys: KeyFolder, hold: Hold) -> HoldWords:
    """What legal wrote, or why it is not there any more. Raises `KeyUnavailable`."""
    if hold.unsealed_reference is not None:
        return HoldWords(hold.unsealed_reference, hold.unsealed_reason or "")
    if hold.sealed is None:
        return LOST
    try:
        return HoldWords(**json.loads(keys.open(key_ref(hold)).open(hold.sealed, CONTEXT)))
    except KeyDestroyed:
        return ERASED


def forget_words(session: Session, keys: KeyFolder, employee_id: UUID, now: datetime) -> None:
    """Destroys the keys of what was written about somebody; that they were held, since when and by whom stays.

    Raises `KeyUnavailable`.
    """
    for hold in of(session, employee_id):
        keys.destroy(key_ref(hold), now)
        if hold.unsealed_reference is not None:
            hold.sealed, hold.unsealed_reference, hold.unsealed_reason = b"", None, None
            session.add(hold)


def seal_clear(session: Session, keys: KeyFolder) -> int:
    """Seals what an older version wrote in clear; returns of how many holds. What was written about people who are
    erased by now is deleted. Raises `KeyUnavailable`."""
    mine = (col(Hold.tenant_id) == tenant_of(session), col(Hold.unsealed_reference).is_not(None))
    clear = session.exec(select(Hold).where(*mine).order_by(col(Hold.id)).with_for_update()).all()
    there = set(
        session.exec(
            select(Employee.id).where(
                col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_([one.employee_id for one in clear])
            )
        )
    )
    for hold in clear:
        if hold.employee_id in there:
            seal(keys, hold, words(keys, hold))
        else:
            forget_words(session, keys, hold.employee_id, utc_now())
        session.add(hold)
    session.flush()
    return len(clear)


def confirm(session: Session, hold_id: UUID, *, confirmed_by: UUID, now: datetime) -> Hold:
    """Raises `HoldMissing`, `HoldEnded`, `SamePerson`, `NotApart` and `NotThereBefore`."""
    hold = _locked(session, hold_id)
    if hold.lifted_at is not None or hold.expires_at <= now:
        raise HoldEnded("This hold has ended already.")
    if hold.confirmed_by is None:
        _check_second(session, hold.placed_by, hold.placed_at, confirmed_by, N_("confirm a hold"))
        hold.confirmed_by, hold.confirmed_at = confirmed_by, now
        session.add(hold)
        facts = {
            "basis": str(hold.basis), "placed_by": str(hold.placed_by), "placed_at": hold.placed_at.isoformat(),
            "confirmed_by": str(confirmed_by), "expires_at": hold.expires_at.isoformat(), **scope_facts(hold),
        }  # fmt: skip
        _record(session, "hold.confirmed", hold, confirmed_by, facts)
    return hold


def lift(session: Session, hold_id: UUID, *, lifted_by: UUID, now: datetime) -> Hold:
    """The first of two asks for it, the second lifts it, and deletion resumes within a minute. One that nobody confirmed
    keeps nothing, so one person takes it back.

    Raises `HoldMissing`, `SamePerson`, `NotApart` and `NotThereBefore`.
    """
    hold = _locked(session, hold_id)
    if hold.lifted_at is not None:
        return hold
    if hold.confirmed_at is None or hold.expires_at <= now:
        hold.lifted_at = now
        _record(session, "hold.lifted", hold, lifted_by)
    elif (asked := lift_asked(chains.desk(session), hold)) is None:
        hold.lift_asked_by, hold.lift_asked_at = lifted_by, now
        _record(session, "hold.lift-asked", hold, lifted_by)
    else:
        _check_second(session, *asked, lifted_by, N_("lift a hold"))
        hold.lifted_by, hold.lifted_at = lifted_by, now
        _record(session, "hold.lifted", hold, lifted_by)
    session.add(hold)
    return hold


def seconds(everybody: Mapping[UUID, Member], hold: Hold) -> list[UUID]:
    """Who may finish what one of two asked for: to confirm this hold, or to lift it."""
    asked = (hold.placed_by, hold.placed_at) if hold.confirmed_at is None else lift_asked(everybody, hold)
    return [one for one in everybody if asked and _may_be_second(everybody, *asked, one)]


def lift_asked(everybody: Mapping[UUID, Member], hold: Hold) -> tuple[UUID, datetime] | None:
    """Who is the first of two to lift it, and since when; a wish of somebody who no longer works for legal is void."""
    member = everybody.get(hold.lift_asked_by) if hold.lift_asked_by else None
    if member is None or hold.lift_asked_at is None or member.disabled_at is not None or Role.LEGAL not in member.roles:
        return None
    return member.id, hold.lift_asked_at


def _may_be_second(everybody: Mapping[UUID, Member], first: UUID, asked_at: datetime, second: UUID) -> bool:
    return chains.apart(everybody, first, second) and chains.held_before(everybody[second], Role.LEGAL, asked_at)


def _check_second(session: Session, first: UUID, asked_at: datetime, second: UUID, what: str) -> None:
    if first == second:
        raise SamePerson("It takes a second person to {what}: you were the first.", what=Term(what))
    everybody = chains.desk(session)
    if not chains.apart(everybody, first, second):
        raise NotApart(
            "It takes two to {what} who did not invite each other or give each other their roles, directly or through"
            " others. You and the first one stand in such a chain. Ask somebody else of legal.",
            what=Term(what),
        )
    if not _may_be_second(everybody, first, asked_at, second):
        raise NotThereBefore(
            "To {what}, the second person must have worked for legal, and signed in, before the first one asked. Ask"
            " somebody who had.",
            what=Term(what),
        )


def of(session: Session, employee_id: UUID) -> list[Hold]:
    """Every hold there was, oldest first. The person sees those of `told`."""
    return rows_of(session, Hold, col(Hold.employee_id) == employee_id, by=col(Hold.placed_at))


def told(session: Session, employee_id: UUID) -> list[Hold]:
    """Those that the person may know of."""
    return [one for one in of(session, employee_id) if not one.barred]


def told_at(session: Session, employee_id: UUID, at: datetime) -> bool:
    """Whether one stood at that moment that the person may know of; what was held then without one is not told either."""
    return any(
        one.confirmed_at is not None and one.confirmed_at <= at < min(one.lifted_at or one.expires_at, one.expires_at)
        for one in told(session, employee_id)
    )


def state_told(session: Session, employee_id: UUID, state: str) -> str:
    """The state of an erasure as the person may know it: to them one that only a barred hold keeps is requested."""
    quiet = state == ErasureState.HELD and not told_at(session, employee_id, utc_now())
    return ErasureState.REQUESTED.value if quiet else state


def held_now(session: Session, employee_id: UUID, now: datetime) -> bool:
    mine = select(Hold.id).where(standing(session, now), col(Hold.employee_id) == employee_id)
    return session.exec(mine.limit(1)).first() is not None


def barred_entries(session: Session, employee_id: UUID) -> list[str]:
    """As the log's entries name them in `objects`: holds of which the person must not learn."""
    return [json.dumps([str(one.id)]) for one in of(session, employee_id) if one.barred]


def silent(session: Session, employee_id: UUID, now: datetime) -> bool:
    """Whether a standing hold is one that the person must not learn of."""
    mine = select(Hold.id).where(
        standing(session, now), col(Hold.employee_id) == employee_id, col(Hold.barred).is_(True)
    )
    return session.exec(mine.limit(1)).first() is not None


def scope_facts(hold: Hold) -> dict[str, str]:
    """As words, for what is kept outside the database."""
    period = {"made_from": hold.made_from, "made_until": hold.made_until}
    facts = {"classes": " ".join(hold.classes), "barred": "yes" if hold.barred else ""}
    return facts | {name: at.isoformat() if at else "" for name, at in period.items()}


def scope_of(facts: Mapping[str, str]) -> dict[str, Any]:
    """Of `scope_facts`; everything, for a hold of before there were scopes."""
    return {
        "classes": facts.get("classes", "").split(),
        "barred": bool(facts.get("barred")),
        **{name: datetime.fromisoformat(facts[name]) if facts.get(name) else None for name in ("made_from", "made_until")},
    }


def all_holds(
    session: Session, most: int | None = None, *, before: tuple[datetime, UUID] | None = None
) -> list[Hold]:
    """Newest first; at most so many, those `before` the moment and the id of one."""
    query = select(Hold).where(col(Hold.tenant_id) == tenant_of(session))
    return list(session.exec(newest_first(query, col(Hold.placed_at), col(Hold.id), most, before)))


def count(session: Session) -> int:
    return session.exec(select(func.count(col(Hold.id))).where(col(Hold.tenant_id) == tenant_of(session))).one()


def held(session: Session, now: datetime, cls: str | None = None) -> set[UUID]:
    """The people of whom something is kept right now; with `cls`, something of this class."""
    standing_now = session.exec(select(Hold).where(standing(session, now)))
    return {one.employee_id for one in standing_now if cls is None or not one.classes or cls in one.classes}


def held_whole(session: Session, now: datetime) -> set[UUID]:
    """The people of whom everything is kept right now, so that nothing at all can go."""
    everything = (col(Hold.made_from).is_(None), col(Hold.made_until).is_(None))
    standing_now = session.exec(select(Hold).where(standing(session, now), *everything))
    return {one.employee_id for one in standing_now if not one.classes}


def held_told(session: Session, now: datetime) -> set[UUID]:
    """The people of whom something is kept right now by a hold that they may know of: what others may count."""
    open_ones = select(Hold.employee_id).where(standing(session, now), col(Hold.barred).is_(False))
    return set(session.exec(open_ones))


def standing(session: Session, now: datetime) -> ColumnElement[bool]:
    return and_(
        col(Hold.tenant_id) == tenant_of(session),
        col(Hold.confirmed_at).is_not(None),
        col(Hold.lifted_at).is_(None),
        col(Hold.expires_at) > now,
    )


def _locked(session: Session, hold_id: UUID) -> Hold:
    hold = row_of(session, Hold, hold_id, locked=True)
    if hold is None:
        raise HoldMissing("There is no such hold.")
    return hold


def _record(
    session: Session, event: str, hold: Hold, member_id: UUID, facts: Mapping[str, str] | None = None
) -> None:
    caller = f"member:{member_id}"
    ledger.record(session, event, caller=caller, subject=hold.employee_id, objects=[hold.id], facts=facts)
