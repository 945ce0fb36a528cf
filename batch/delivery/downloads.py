"""What the company took with it, and when: one row for each archive, however often it had to go on."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from batch.delivery.delivery import DeliveryChoice, Plan
from likeness.ground.db import Moment, TenantRow, newest_first, of_tenant, tenant_of
from tenants.bounds import bound_to


class Download(TenantRow, table=True):
    """An archive of released headshots that somebody of the company took with them: how many, as what, and when. Whose they
    were stands beside each release."""

    __table_args__ = (of_tenant(),)

    member_id: UUID
    batch_id: UUID | None = None
    """None for all batches. No foreign key: what was taken stays on record when a batch is undone."""
    which: str
    """`all`, `new` for what nobody had downloaded before, or `chosen` for people who were ticked,
    `found` for a department or a search."""
    preset: str
    people: int
    headshots: int
    tag: str
    """Of the archive, so that a download which goes on is the same one."""
    begun_at: datetime = Moment(index=True)
    continued: int = 0
    """How often it went on where it had broken."""
    ended_at: datetime | None = Moment(default=None, nullable=True)


def begin(
    session: Session, member_id: UUID, planned: Plan, asked: DeliveryChoice, now: datetime, *, goes_on: bool = False
) -> Download:
    """A new one, or the one that broke."""
    if goes_on and (found := _broken(session, member_id, planned.tag)) is not None:
        found.continued += 1
        session.add(found)
        return found
    sought = "found" if asked.words or asked.department else "all"
    which = "chosen" if asked.people else "new" if asked.not_fetched_before is not None else sought
    made = Download(
        tenant_id=tenant_of(session),
        member_id=member_id,
        batch_id=asked.batch_id,
        which=which,
        preset=planned.called,
        people=planned.people,
        headshots=len(planned.items),
        tag=planned.tag,
        begun_at=now,
    )
    session.add(made)
    return made


def began(session: Session, member_id: UUID, tag: str) -> bool:
    """Whether this member has begun to download this very file."""
    return _broken(session, member_id, tag) is not None


def _broken(session: Session, member_id: UUID, tag: str) -> Download | None:
    return session.exec(
        select(Download)
        .where(
            col(Download.tenant_id) == tenant_of(session),
            col(Download.member_id) == member_id,
            col(Download.tag) == tag,
        )
        .order_by(col(Download.begun_at).desc())
        .limit(1)
        .with_for_update()
    ).first()


def end(session: Session, download_id: UUID, now: datetime) -> None:
    found = session.exec(
        select(Download)
        .where(col(Download.tenant_id) == tenant_of(session), col(Download.id) == download_id)
        .with_for_update()
    ).first()
    if found is not None:
        found.ended_at = now
        session.add(found)


def of_company(
    session: Session, member_id: UUID, most: int, *, before: tuple[datetime, UUID] | None = None
) -> list[Download]:
    """Newest first; those `before` the moment and the id of one. Who works for some departments reads of their own:
    those of others are about other departments' people."""
    query = select(Download).where(col(Download.tenant_id) == tenant_of(session))
    if bound_to(session) is not None:
        query = query.where(col(Download.member_id) == member_id)
    return list(session.exec(newest_first(query, col(Download.begun_at), col(Download.id), most, before)))
