"""Where everybody of a roster stands: one query for all of them, and stages that sum to the roster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from batch import ways
from likeness.db import tenant_of

NEEDED_PHOTOS = ways.MODEL.needed
QUEUED_TOO_LONG = timedelta(hours=24)
STEP_TOO_LONG = timedelta(hours=1)


class Stage(StrEnum):
    """In the order in which people pass through; then what stands beside the way."""

    ADDED = "added"
    """On the roster, not invited yet."""
    INVITED = "invited"
    DELIVERED = "delivered"
    OPENED = "opened"
    CONSENTED = "consented"
    UPLOADING = "uploading"
    QUEUED = "queued"
    TRAINING = "training"
    RENDERING = "rendering"
    IN_REVIEW = "in review"
    READY = "ready"
    CHOSEN = "chosen"
    EXPORTED = "exported"
    OPTED_OUT = "opted out"
    """Declined, withdrew, or did not answer: HR sees one word for all of them, once the invitation has ended."""
    BOUNCED = "bounced"
    STUCK = "stuck"
    FAILED = "failed"


@dataclass(frozen=True)
class Line:
    """One person's place. `since` is when they got there; `photos` counts the accepted ones, and none of who opted out."""

    employee_id: UUID
    batch_id: UUID
    row: int
    stage: Stage
    since: datetime
    photos: int
    invitation_id: UUID | None


@dataclass(frozen=True)
class Age:
    median: timedelta
    oldest: timedelta


# Each person's newest invitation and sitting, and the counts of the rest; every lateral part is one index look-up.
LINES = text(
    """
    select e.id, e.batch_id, e.row, e.opted_out_at, e.created_at,
           i.id as invitation_id, i.created_at as invited_at, i.expires_at, i.delivered_at, i.opened_at, i.bounced_at,
           c.given_at, p.photos, p.accepted, p.first_at, s.state, s.changed_at, r.released_at, r.downloaded_at
    from employee e
    left join lateral (
        select * from invitation where tenant_id = e.tenant_id and employee_id = e.id and revoked_at is null
        order by created_at desc limit 1
    ) i on true
    left join lateral (
        select min(given_at) as given_at from consent
        where tenant_id = e.tenant_id and employee_id = e.id and withdrawn_at is null
    ) c on true
    left join lateral (
        select count(*) as photos, min(created_at) as first_at,
               count(*) filter (where state = 'accepted' and missing_since is null) as accepted
        from photo where tenant_id = e.tenant_id and employee_id = e.id
    ) p on true
    left join lateral (
        select state, changed_at from sitting where tenant_id = e.tenant_id and employee_id = e.id
        order by created_at desc limit 1
    ) s on true
    left join lateral (
        select min(at) as released_at, max(downloaded_at) as downloaded_at
        from release where tenant_id = e.tenant_id and employee_id = e.id
    ) r on true
    where e.tenant_id = :tenant
      and (cast(:batch as uuid) is null or e.batch_id = :batch)
      and (cast(:employee as uuid) is null or e.id = :employee)
    order by e.row, e.id
    """
)


def lines(
    session: Session, now: datetime, *, batch_id: UUID | None = None, employee_id: UUID | None = None
) -> list[Line]:
    """Everybody of the company, of one batch, or one person, in the order of the workbook."""
    found = session.execute(LINES, {"tenant": tenant_of(session), "batch": batch_id, "employee": employee_id})
    result = []
    for facts in found:
        stage, since = place(facts, now)
        # Photos that wait for their deletion would tell who withdrew from who declined.
        photos = 0 if facts.opted_out_at else facts.accepted
        result.append(Line(facts.id, facts.batch_id, facts.row, stage, since, photos, facts.invitation_id))
    return result


def counts(all_lines: Iterable[Line]) -> dict[Stage, int]:
    """Every stage with its number of people, zeros too."""
    counted = Counter(line.stage for line in all_lines)
    return {stage: counted[stage] for stage in Stage}


def ages(all_lines: Sequence[Line], now: datetime) -> dict[Stage, Age]:
    """For each stage that holds anybody: the median age and the oldest. Not for who opted out, as in `shown_since`."""
    waiting: dict[Stage, list[float]] = {}
    for line in all_lines:
        if (since := shown_since(line)) is not None:
            waiting.setdefault(line.stage, []).append(max(0.0, (now - since).total_seconds()))
    return {
        stage: Age(timedelta(seconds=median(ages)), timedelta(seconds=max(ages))) for stage, ages in waiting.items()
    }


def shown_since(line: Line) -> datetime | None:
    """What HR is told of `since`. Of who opted out nothing: two weeks to the minute is an invitation that ran out."""
    return None if line.stage == Stage.OPTED_OUT else line.since


def attention(all_lines: Iterable[Line], now: datetime) -> list[Line]:
    """Those whom somebody at HR could help: bounced, stuck, failed, or short of photos for three days."""
    slow = timedelta(days=3)
    return [
        line
        for line in all_lines
        if line.stage in (Stage.BOUNCED, Stage.STUCK, Stage.FAILED)
        or (line.stage == Stage.UPLOADING and line.photos < NEEDED_PHOTOS and now - line.since > slow)
    ]


def place(facts: object, now: datetime) -> tuple[Stage, datetime]:
    """The stage that one row of LINES says, and since when; what happened last counts."""
    f: _Facts = facts  # type: ignore[assignment]
    if f.opted_out_at:
        # Until the invitation ends a no looks like no answer yet, or the day alone would tell the two apart.
        running = f.expires_at is not None and f.expires_at > now
        return _invitation(f, now) if running else (Stage.OPTED_OUT, f.opted_out_at)
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
        "judging": Stage.IN_REVIEW,
        "done": Stage.READY,
        "failed": Stage.FAILED,
    }[state]
    patience = {Stage.READY: timedelta.max, Stage.FAILED: timedelta.max, Stage.QUEUED: QUEUED_TOO_LONG}
    return (Stage.STUCK if now - since > patience.get(stage, STEP_TOO_LONG) else stage), since


def _invitation(f: _Facts, now: datetime) -> tuple[Stage, datetime]:
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
class _Facts:
    """What a row of LINES holds about one person."""

    created_at: datetime
    opted_out_at: datetime | None = None
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
