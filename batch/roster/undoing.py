"""What HR does with several people at once: it waits ten seconds before it begins, and can be taken back until then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import Text, cast, func, select
from sqlmodel import Session, col

from batch.models import Employee
from batch.people import employees, funnel
from batch.people.funnel import FunnelLine, Stage
from batch.roster import batches
from batch.visit import invitations
from likeness import ledger
from likeness.ground.db import tenant_of, utc_now
from likeness.ground.errors import Unprocessable
from likeness.ground.lanes import Lane
from likeness.jobs import held, jobs
from likeness.jobs.jobs import Job
from likeness.keys.keys import KeyFolder
from likeness.ledger import LedgerEntry
from tenants import bounds, credits, suspension, tenants
from tenants.members import members


def _invite(session: Session, keys: KeyFolder, one: Employee, now: datetime, caller: str) -> None:
    """Who was not invited yet; who may be asked again is asked again."""
    invitations.invite(session, one, now)


def _invite_later(session: Session, keys: KeyFolder, one: Employee, now: datetime, caller: str) -> None:
    invitations.invite(session, one, now, send_at=employees.nine(now, tenants.get(session).time_zone), keys=keys)


def _remind(session: Session, keys: KeyFolder, one: Employee, now: datetime, caller: str) -> None:
    invitations.resend(session, one.id, now, caller=caller)


def _revoke(session: Session, keys: KeyFolder, one: Employee, now: datetime, caller: str) -> None:
    batches.revoke_one(session, one.id, now)


MOST_TICKED = 100
TOGETHER = 40
"""People of one job where there are more: their ids make up its key, of which an index holds 2,700 bytes."""


class NobodyTicked(Unprocessable):
    title = "Tick somebody first"


class TooManyTicked(Unprocessable):
    """More people than a page shows."""

    title = "Too many people are ticked"


ACTS: dict[str, tuple[str, Callable[[Session, KeyFolder, Employee, datetime, str], None]]] = {
    "invite": ("invitation", _invite),
    "later": ("invitation", _invite_later),
    "remind": ("reminder", _remind),
    "revoke": ("revocation", _revoke),
}
"""By the name of the act: what the log calls it, and what is done with each person."""
LEAVES_OUT = (invitations.AlreadyInvited, invitations.HasOptedOut, invitations.NotInvited, invitations.SentJustNow,
              batches.AnsweredAlready)  # fmt: skip
"""Whom an act leaves as they are; any other refusal is one of the whole act."""
REFUSED = "{}.refused"
AT_ONCE = "0"
"""In the place of the second at which mails leave."""


def ticked(session: Session, typed: object) -> list[Employee]:
    """The people behind the ticks of a form. Raises `NobodyTicked`, `TooManyTicked`, and `EmployeeMissing` for a line
    that is not there, before anything is done."""
    wanted = typed if isinstance(typed, list) else [typed] if typed else []
    if not wanted:
        raise NobodyTicked("Nobody is ticked, so nothing was changed.")
    if len(wanted) > MOST_TICKED:
        raise TooManyTicked("At most {n} people can be ticked at once. Nothing was changed.", n=MOST_TICKED)
    try:
        return [employees.on_roster(session, UUID(str(one))) for one in dict.fromkeys(wanted)]
    except ValueError:
        raise employees.EmployeeMissing from None


def carried_out(
    session: Session, keys: KeyFolder, act: str, people: Sequence[Employee], now: datetime, *, caller: str
) -> list[UUID]:
    """Does it, and returns whose stage allowed it. The page tries an act this way and rolls the transaction back, so that
    what it promises is what follows. Raises `NoCredits` and `CompanySuspended`."""
    done = []
    for one in people:
        # Each of these is refused before anything is written.
        with suppress(*LEAVES_OUT):
            ACTS[act][1](session, keys, one, now, caller)
            done.append(one.id)
    return done


def _together(
    session: Session, keys: KeyFolder, act: str, people: Sequence[UUID], now: datetime, caller: str
) -> set[UUID]:
    """Who was not invited yet is invited, or who is invited gets a link, all of them in a dozen statements: one by one ten
    thousand take minutes. Nobody where there are too few credits for all, or the company is suspended: then each is tried,
    and what refuses it is on record."""
    stages = {one.employee_id: one.stage for one in funnel.lines(session, now, among=people)}
    added = [one for one in people if stages.get(one) == Stage.ADDED]
    invited = [one for one in people if stages.get(one) not in (None, Stage.ADDED, Stage.OPTED_OUT)]
    with suppress(credits.NoCredits, suspension.CompanySuspended), session.begin_nested():
        if act == "remind":
            return invitations.resend_all(session, invited, now, caller=caller)
        if act in ("invite", "later"):
            send_at = employees.nine(now, tenants.get(session).time_zone) if act == "later" else None
            invitations.invite_all(session, added, now, send_at=send_at, keys=keys if send_at else None)
            return set(added)
    return set()


def able(session: Session, act: str, found: Sequence[FunnelLine], now: datetime) -> list[UUID]:
    """Of so many that they are not tried one by one: with whom it will be done, by what HR sees of them."""
    if act == "revoke":
        return [one.employee_id for one in found if one.stage in batches.UNANSWERED]
    if act == "remind":
        return [one.employee_id for one in found if one.invitation_id and one.stage != Stage.OPTED_OUT]
    rested = funnel.again_from(session, [one.employee_id for one in found if one.stage == Stage.OPTED_OUT])
    today = now.astimezone(UTC).date()
    return [
        one.employee_id
        for one in found
        if one.stage == Stage.ADDED or rested.get(one.employee_id, date.max) <= today
    ]


def afford(session: Session, act: str, people: Sequence[UUID]) -> None:
    """Raises `NoCredits` and `CompanySuspended` where the act itself would."""
    suspension.check(session)
    if act in ("invite", "later"):
        credits.needed(session, people)


def by_own_clock(session: Session, keys: KeyFolder, act: str, people: Sequence[UUID], now: datetime) -> int:
    """Of how many the mail of this act waits for the hour of their own site, and not of the company."""
    return len(employees.zones_of(session, keys, people, now)) if act == "later" else 0


def by_own_clock_of_batch(
    session: Session, keys: KeyFolder, batch_id: UUID, send_at: datetime, now: datetime
) -> int:
    """The same of those of a batch who were not invited yet."""
    added = [one.employee_id for one in batches.lines(session, batch_id, now) if one.stage == Stage.ADDED]
    return len(employees.zones_of(session, keys, added, send_at))


def with_batch(
    session: Session, act: str, batch_id: UUID, now: datetime, *, caller: str, send_at: datetime | None = None,
    keys: KeyFolder | None = None,
) -> int:  # fmt: skip
    """`invite` or `revoke` with everybody of a batch whose stage allows it, whom the transaction may see; returns with how
    many. Mails leave at `send_at`, with `keys` at that hour where each person is. Raises `BatchMissing`, `NoCredits` and
    `CompanySuspended`."""
    if act == "invite":
        return batches.invite(session, batch_id, now, send_at=send_at, keys=keys)
    return batches.revoke(session, batch_id, now, caller=caller)


def ask_with_batch(
    session: Session, act: str, batch_id: UUID, member_id: UUID, now: datetime, *, caller: str,
    send_at: datetime | None = None,
) -> UUID:  # fmt: skip
    """Leaves it to begin in ten seconds; returns the act's id."""
    about = (act, caller, str(member_id), str(batch_id), str(int(send_at.timestamp())) if send_at else AT_ONCE)
    held_act = held.hold(session, begin_with_batch, [about], now)
    ledger.record(session, f"{ACTS[act][0]}.asked", caller=caller, objects=[held_act, batch_id])
    return held_act


def take_back_with_batch(session: Session, act_id: UUID, batch_id: UUID, now: datetime, *, caller: str) -> None:
    """Raises `TooLateToTakeBack`, also for an act on another batch."""
    (gone,) = held.call_off(session, begin_with_batch, act_id, now)
    if gone[4] != str(batch_id):
        raise held.TooLateToTakeBack("It has begun, or was taken back already. The page shows how everybody is now.")
    ledger.record(session, f"{ACTS[gone[1]][0]}.undone", caller=caller, objects=[act_id, gone[4]])


def ask(session: Session, act: str, people: Sequence[UUID], now: datetime, *, caller: str) -> UUID:
    """Leaves it to begin in ten seconds; returns the act's id."""
    size = 1 if len(people) <= MOST_TICKED else TOGETHER
    parts = [people[at : at + size] for at in range(0, len(people), size)]
    held_act = held.hold(session, begin, [(act, caller, *map(str, part)) for part in parts], now)
    ledger.record(session, f"{ACTS[act][0]}.asked", caller=caller, objects=[held_act, *_named(people)])
    return held_act


def take_back(session: Session, act_id: UUID, now: datetime, *, caller: str) -> int:
    """Returns for how many people. Raises `TooLateToTakeBack`."""
    gone = held.call_off(session, begin, act_id, now)
    people = [one for args in gone for one in args[3:]]
    ledger.record(session, f"{ACTS[gone[0][1]][0]}.undone", caller=caller, objects=[act_id, *_named(people)])
    return len(people)


def _named(people: Sequence[UUID | str]) -> Sequence[UUID | str]:
    """Of more than a page of people the log has the act alone; what is done with them is in entries of their own."""
    return people if len(people) <= MOST_TICKED else ()


def refused(session: Session, act_id: UUID) -> int:
    """With how many people nothing was done, although their stage allowed it: the last credits went to others meanwhile, or
    the company was suspended."""
    events = [REFUSED.format(noun) for noun, _ in ACTS.values()]
    mine = cast(col(LedgerEntry.objects), Text).contains(str(act_id))
    query = select(func.count()).where(
        col(LedgerEntry.tenant_id) == tenant_of(session), col(LedgerEntry.event).in_(events), mine
    )
    return int(session.execute(query).scalar_one())


@held.about_others
@jobs.actor(lane=Lane.GENERAL)
def begin(attempt: jobs.Attempt, act_id: str, act: str, caller: str, *person_ids: str) -> None:
    """Whose stage has changed within the ten seconds is left as they are. What else refuses it is on record."""
    keys, people = attempt.kernel.keys, [UUID(one) for one in person_ids]
    with attempt.finishing() as session:
        now = _asked_at(session, attempt.job_id) if act == "later" else utc_now()
        done = _together(session, keys, act, people, now, caller)
        for person_id in (one for one in people if one not in done):
            try:
                with suppress(*LEAVES_OUT, employees.EmployeeMissing), session.begin_nested():
                    ACTS[act][1](session, keys, employees.get(session, person_id), now, caller)
            except (credits.NoCredits, suspension.CompanySuspended):
                ledger.record(session, REFUSED.format(ACTS[act][0]), caller=caller, objects=[act_id, str(person_id)])


def _asked_at(session: Session, job_id: UUID) -> datetime:
    """It may be another day by now, and the page has said which one tomorrow is."""
    mine = (col(Job.tenant_id) == tenant_of(session), col(Job.id) == job_id)
    asked_at: datetime = session.execute(select(col(Job.created_at)).where(*mine)).scalar_one()
    return asked_at


@held.about_others
@jobs.actor(lane=Lane.GENERAL)
def begin_with_batch(
    attempt: jobs.Attempt, act_id: str, act: str, caller: str, member_id: str, batch_id: str, send_at: str = AT_ONCE
) -> None:
    """With whom the stage allows it by now, of those whom the member sees who asked. What refuses it is on record."""
    with attempt.finishing() as session, suppress(batches.BatchMissing):
        bounds.bind_as(session, members.get(session, UUID(member_id)).departments)
        try:
            with session.begin_nested():
                later = None if send_at == AT_ONCE else datetime.fromtimestamp(int(send_at), UTC)
                with_batch(
                    session, act, UUID(batch_id), utc_now(), caller=caller, send_at=later, keys=attempt.kernel.keys
                )
        except (credits.NoCredits, suspension.CompanySuspended):
            ledger.record(session, REFUSED.format(ACTS[act][0]), caller=caller, objects=[act_id, batch_id])
