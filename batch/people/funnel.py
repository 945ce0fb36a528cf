"""Where everybody of a roster stands: one query for all of them, and stages that sum to the roster."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from sqlmodel import Session, col, func, select

from batch.models import Employee, Invitation
from batch.people import departments, ways
from batch.people.queries import A_PAGE, A_PAGE_OF_A_STAGE, ATTENTION, LINES, TALLIES
from likeness.ground.db import tenant_of
from likeness.locale.marks import N_

QUEUED_TOO_LONG = timedelta(hours=24)
STEP_TOO_LONG = timedelta(hours=1)
LIFETIME = timedelta(days=14)
"""Of an invitation, from its newest link on."""
REST = timedelta(days=14)
"""After an invitation that brought no yes, for everybody alike: a no, a withdrawal and no answer rest equally long."""
SLOW = timedelta(days=3)
"""So long somebody may be short of photos before HR is told."""


class Stage(StrEnum):
    """In the order in which people pass through; then what stands beside the way."""

    ADDED = N_("added")
    """On the roster, not invited yet."""
    INVITED = N_("invited")
    DELIVERED = N_("delivered")
    OPENED = N_("opened")
    CONSENTED = N_("consented")
    UPLOADING = N_("uploading")
    QUEUED = N_("queued")
    TRAINING = N_("training")
    RENDERING = N_("rendering")
    READY = N_("ready")
    CHOSEN = N_("chosen")
    EXPORTED = N_("exported")
    OPTED_OUT = N_("opted out")
    """Declined, withdrew, or did not answer: HR sees one word for all of them, once the invitation has ended."""
    BOUNCED = N_("bounced")
    STUCK = N_("stuck")
    FAILED = N_("failed")


@dataclass(frozen=True)
class FunnelLine:
    """One person's place. `since` is when they got there; `photos` counts the accepted ones, and none of who opted out,
    `enough` from how many on they need no help: a studio portrait starts from one, but of fewer than three there is no
    choice."""

    employee_id: UUID
    roster_id: UUID
    batch_id: UUID
    row: int
    stage: Stage
    since: datetime
    photos: int
    enough: int
    invitation_id: UUID | None


@dataclass(frozen=True)
class Age:
    median: timedelta
    oldest: timedelta


@dataclass(frozen=True)
class StageTally:
    """How many people of a batch stand in one stage, and the ids of those whom `attention` names; no ages of who opted out,
    as in `shown_since`."""

    batch_id: UUID
    stage: Stage
    people: int
    age: Age | None
    needy: Sequence[UUID] = ()


def about(session: Session, now: datetime, **asked: Any) -> dict[str, Any]:
    """The parameters of a query: about whom it is, and what places people."""
    names = "batch employee among site manager after after_row from_batch from_row from_id stage most"
    return (
        dict.fromkeys(names.split())
        | {"tenant": tenant_of(session), "now": now, "skip": 0, "slow": SLOW}
        | {"enough_for_a_portrait": ways.PORTRAIT.asked, "enough_for_a_model": ways.MODEL.needed}
        | {"queued_too_long": QUEUED_TOO_LONG, "step_too_long": STEP_TOO_LONG}
        | departments.values(session)
        | asked
    )


def lines(
    session: Session, now: datetime, *, batch_id: UUID | None = None, employee_id: UUID | None = None,
    among: Collection[UUID] | None = None,
) -> list[FunnelLine]:  # fmt: skip
    """Everybody of the company, of one batch, or one person, or some, in the order of the workbook."""
    whom = about(session, now, batch=batch_id, employee=employee_id, among=None if among is None else list(among))
    return lines_of(session.execute(LINES, whom), now)


def page(
    session: Session,
    now: datetime,
    batch_id: UUID,
    most: int,
    *,
    after: tuple[int, UUID] | None = None,
    skip: int = 0,
    stage: Stage | None = None,
) -> list[FunnelLine]:
    """At most so many of a batch in the order of the workbook: after a line (its row and id) or after so many."""
    asked = about(session, now, batch=batch_id, most=most, skip=skip, stage=stage)
    if after is not None:
        asked |= {"after_row": after[0], "after": after[1]}
    return lines_of(session.execute(A_PAGE if stage is None else A_PAGE_OF_A_STAGE, asked), now)


def tallies(session: Session, now: datetime, *, batch_id: UUID | None = None) -> list[StageTally]:
    """Each batch's stages that hold anybody, of the whole company or of one batch."""
    return [
        StageTally(one.batch_id, stage := Stage(one.stage), one.people,
              None if stage == Stage.OPTED_OUT else Age(one.median, one.oldest), one.needy)
        for one in session.execute(TALLIES, about(session, now, batch=batch_id))
    ]  # fmt: skip


def in_need(
    session: Session, now: datetime, *, batch_id: UUID | None = None, most: int | None = None,
    after: tuple[UUID, int, UUID] | None = None,
) -> list[FunnelLine]:  # fmt: skip
    """Those whom `attention` names, looked for by the database: at most so many in the order of the lists, those `after` a
    batch, a row and a line."""
    asked = about(session, now, batch=batch_id, most=most)
    if after is not None:
        asked |= dict(zip(("from_batch", "from_row", "from_id"), after, strict=True))
    return lines_of(session.execute(ATTENTION, asked), now)


def lines_of(found: Iterable[Any], now: datetime) -> list[FunnelLine]:
    """Rows of facts as everybody's places."""
    result = []
    for facts in found:
        stage, since = place(facts, now)
        # Photos that wait for their deletion would tell who withdrew from who declined.
        photos = 0 if facts.opted_out_at else facts.accepted
        where = (facts.id, facts.roster_id, facts.batch_id, facts.row)
        result.append(FunnelLine(*where, stage, since, photos, facts.enough, facts.invitation_id))
    return result


def facts(session: Session, employee_id: UUID, now: datetime) -> Facts:
    """What is on record of one person, for whoever decides what of it may be told."""
    return cast("Facts", session.execute(LINES, about(session, now, employee=employee_id)).one())


def shown_since(line: FunnelLine) -> datetime | None:
    """What HR is told of `since`. Of who opted out nothing: two weeks to the minute is an invitation that ran out."""
    return None if line.stage == Stage.OPTED_OUT else line.since


def again_from(session: Session, employee_ids: Collection[UUID]) -> dict[UUID, date]:
    """The day (UTC) from which people who do not take part may be invited again, counted from the end of their last
    invitation.

    A whole day, told and kept alike: a moment would say to the second when somebody was invited or answered.
    """
    if not employee_ids:
        return {}
    rows = session.exec(
        select(Employee.id, Employee.opted_out_at, func.max(col(Invitation.expires_at)))
        .outerjoin(
            Invitation,
            (col(Invitation.tenant_id) == col(Employee.tenant_id)) & (col(Invitation.employee_id) == col(Employee.id)),
        )
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id).in_(list(employee_ids)))
        .group_by(col(Employee.id), col(Employee.opted_out_at))
    )
    found = {}
    for employee_id, opted_out_at, ended in rows:
        if ended is None and opted_out_at is not None:
            ended = opted_out_at + LIFETIME
        if ended is not None:
            found[employee_id] = (ended + REST).astimezone(UTC).date() + timedelta(days=1)
    return found


def attention(all_lines: Iterable[FunnelLine], now: datetime) -> list[FunnelLine]:
    """Those whom somebody at HR could help: bounced, stuck, failed, or short of photos for three days."""
    return [
        line
        for line in all_lines
        if line.stage in (Stage.BOUNCED, Stage.STUCK, Stage.FAILED)
        or (line.stage == Stage.UPLOADING and line.photos < line.enough and now - line.since > SLOW)
    ]


def place(facts: object, now: datetime) -> tuple[Stage, datetime]:
    """The stage that one row of LINES says, and since when; what happened last counts."""
    f = cast("Facts", facts)
    if f.opted_out_at:
        # Until the invitation ends a no looks like no answer yet, or the day alone would tell the two apart; and where the
        # company took it back before its end, nobody's answer shows at all.
        open_still = f.expires_at > now if f.expires_at is not None else f.revoked_at is not None
        return _invitation(f, now) if open_still else (Stage.OPTED_OUT, f.opted_out_at)
    if f.downloaded_at:
        return Stage.EXPORTED, f.downloaded_at
    if f.released_at:
        return Stage.CHOSEN, f.released_at
    if f.state and f.changed_at and f.state != "cancelled":
        return _sitting(f.state, f.changed_at, now)
    if f.first_at:
        return Stage.UPLOADING, f.first_at
    if f.given_at:
        return Stage.CONSENTED, f.given_at
    return _invitation(f, now)


def _sitting(state: str, since: datetime, now: datetime) -> tuple[Stage, datetime]:
    stage = {
        "ready": Stage.QUEUED,
        "training": Stage.TRAINING,
        "rendering": Stage.RENDERING,
        "done": Stage.READY,
        "failed": Stage.FAILED,
    }[state]
    patience = {Stage.READY: timedelta.max, Stage.FAILED: timedelta.max, Stage.QUEUED: QUEUED_TOO_LONG}
    return (Stage.STUCK if now - since > patience.get(stage, STEP_TOO_LONG) else stage), since


def _invitation(f: Facts, now: datetime) -> tuple[Stage, datetime]:
    if f.invited_at is None or f.expires_at is None:
        return Stage.ADDED, f.created_at
    if f.bounced_at:
        return Stage.BOUNCED, f.bounced_at
    if f.expires_at <= now:
        return Stage.OPTED_OUT, f.expires_at
    if f.opened_at:
        return Stage.OPENED, f.opened_at
    if f.delivered_at:
        return Stage.DELIVERED, f.delivered_at
    return Stage.INVITED, f.invited_at


@dataclass(frozen=True)
class Facts:
    """What a row of LINES holds about one person."""

    created_at: datetime
    opted_out_at: datetime | None = None
    revoked_at: datetime | None = None
    """When the company last took an invitation of theirs back before it had ended."""
    invited_at: datetime | None = None
    expires_at: datetime | None = None
    delivered_at: datetime | None = None
    opened_at: datetime | None = None
    bounced_at: datetime | None = None
    given_at: datetime | None = None
    first_at: datetime | None = None
    state: str | None = None
    changed_at: datetime | None = None
    released_at: datetime | None = None
    downloaded_at: datetime | None = None
    reminders: int | None = None
    reminded_at: datetime | None = None
    quiet: bool | None = None
    """Nothing is told of what becomes of the invitation's mails."""
