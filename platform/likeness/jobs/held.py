"""Acts that wait a few seconds before they begin, so that whoever asked for them can take them back.

Nothing of what was asked is done while it waits: what cannot be taken back, such as a deletion, has not begun. An act on
several people is a job for each, and they share the act's id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Concatenate, ParamSpec
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Text, cast, delete, func, or_, select
from sqlmodel import Session, col

from likeness.ground.db import tenant_of
from likeness.ground.errors import Gone
from likeness.jobs import jobs
from likeness.jobs.jobs import Attempt, Job, JobState

P = ParamSpec("P")
Act = Callable[Concatenate[Attempt, P], None]

WAITS = timedelta(seconds=10)
"""Long enough to notice a wrong tick, short enough that nobody waits for it."""


_ABOUT_OTHERS: set[str] = set()


def about_others(function: Act[P]) -> Act[P]:
    """Marks what somebody asks about others. After a restore it does not begin: it may have been taken back since the
    backup, and whoever wants it still asks again."""
    _ABOUT_OTHERS.add(jobs.name_of(function))
    return function


def forget(session: Session) -> None:
    """After a restore: see `about_others`."""
    mine = (col(Job.tenant_id) == tenant_of(session), col(Job.kind).in_(_ABOUT_OTHERS))
    session.execute(delete(Job).where(*mine, col(Job.state) == JobState.READY))


def forget_of(session: Session, callers: Collection[str]) -> set[str]:
    """What they asked about others does not begin: who may do nothing here any more may not by an act that waits either.
    Returns the acts."""
    said = cast(col(Job.args), Text)
    mine = (col(Job.tenant_id) == tenant_of(session), col(Job.kind).in_(_ABOUT_OTHERS), col(Job.state) == JobState.READY)
    by_them = or_(*(said.contains(f'"{caller}"') for caller in callers))
    return {args[0] for (args,) in session.execute(delete(Job).where(*mine, by_them).returning(col(Job.args)))}


class TooLateToTakeBack(Gone):
    """The act has begun."""

    title = "It is too late to undo this"


class HeldState(StrEnum):
    WAITING = "waiting"
    BEGUN = "begun"
    DONE = "done"


def hold(
    session: Session, function: Act[P], about: Sequence[Sequence[str]], now: datetime, *, waits: timedelta = WAITS
) -> UUID:
    """Leaves the act for later; each of `about` are the arguments of one job after the act's id."""
    act = uuid4()
    jobs.send_all(session, function, [(str(act), *args) for args in about], due=now + waits)
    return act


def call_off(session: Session, function: Act[P], act: UUID, now: datetime) -> list[list[str]]:
    """Takes back an act that waits, whole; returns the arguments of its jobs. Raises `TooLateToTakeBack`."""
    gone = session.execute(delete(Job).where(*_of(session, function, act), *_waits(now)).returning(col(Job.args))).all()
    # Another worker may have taken one of them a moment ago; then all of them go on.
    if not gone or session.execute(select(func.count()).select_from(Job).where(*_of(session, function, act))).scalar():
        raise TooLateToTakeBack("It has begun, or was taken back already. The page shows how everybody is now.")
    return [list(args) for (args,) in gone]


def waiting(session: Session, function: Act[P], about: UUID, now: datetime) -> list[list[str]]:
    """The arguments of every job that waits and has this as its first argument after the act's id."""
    return _about(session, function, about, *_waits(now))


def undone(session: Session, function: Act[P], about: UUID) -> list[list[str]]:
    """The same of every job that was not carried out yet, whether it can be taken back or not."""
    return _about(session, function, about, col(Job.finished_at).is_(None))


def all_undone(session: Session, function: Act[P]) -> list[list[str]]:
    """The same of every job of such acts, whomever they are about."""
    mine = (col(Job.tenant_id) == tenant_of(session), col(Job.kind) == jobs.name_of(function))
    found = session.execute(select(col(Job.args)).where(*mine, col(Job.finished_at).is_(None))).scalars()
    return [list(args) for args in found]


def _about(session: Session, function: Act[P], about: UUID, *states: ColumnElement[bool]) -> list[list[str]]:
    mine = (col(Job.tenant_id) == tenant_of(session), col(Job.kind) == jobs.name_of(function), *states)
    found = session.execute(select(col(Job.args)).where(*mine, col(Job.key).contains(f":{about}:"))).scalars()
    return [list(args) for args in found if args[1] == str(about)]


def standing(session: Session, function: Act[P], act: UUID, now: datetime) -> HeldState:
    mine = _of(session, function, act)
    if session.execute(select(col(Job.id)).where(*mine, *_waits(now)).limit(1)).first():
        return HeldState.WAITING
    unfinished = select(col(Job.id)).where(*mine, col(Job.finished_at).is_(None)).limit(1)
    return HeldState.BEGUN if session.execute(unfinished).first() else HeldState.DONE


def progress(session: Session, function: Act[P], act: UUID) -> tuple[int, int]:
    """How many of an act's jobs are over, and of how many."""
    over = select(func.count(col(Job.finished_at)), func.count()).where(*_of(session, function, act))
    finished, total = session.execute(over).one()
    return int(finished), int(total)


def _of(session: Session, function: Act[P], act: UUID) -> tuple[ColumnElement[bool], ...]:
    key = col(Job.key)
    return (
        col(Job.tenant_id) == tenant_of(session),
        col(Job.kind) == jobs.name_of(function),
        (key == str(act)) | key.startswith(f"{act}:"),
    )


def _waits(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(Job.state) == JobState.READY, col(Job.due) > now
