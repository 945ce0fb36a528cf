"""Asking people anew: who is asked as if for the first time, and of whose later mails HR is told nothing.

To who has said no nothing is sent, so nothing of it waits, fails or comes back. Whom an invitation has reached may have
said no. So of all of them HR is told nothing of what becomes of the mails of a later invitation, nor of those to an address
that it entered since, until they agree: one who waits for a mail server would be told from one who is not written to.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, any_, delete, func, text, update
from sqlmodel import Session, col, select

from batch.models import Consent, Employee, Invitation, Link
from batch.people.funnel import LIFETIME, REST
from likeness.ground.db import tenant_of


def begin(session: Session, people: ColumnElement[Any], now: datetime) -> None:
    """Whoever did not take part and has rested is asked as if for the first time, unless something of theirs is here."""
    tenant = tenant_of(session)
    mine = (col(Invitation.tenant_id) == tenant, col(Invitation.employee_id) == col(Employee.id))
    ended = func.coalesce(
        select(func.max(col(Invitation.expires_at))).where(*mine).scalar_subquery(), col(Employee.opted_out_at) + LIFETIME
    )
    kept = select(Consent.id).where(col(Consent.tenant_id) == tenant, col(Consent.employee_id) == col(Employee.id))
    rested = (col(Employee.opted_out_at).is_not(None), col(Employee.restricted_at).is_(None), ended < _rested(now))
    anew = update(Employee).where(col(Employee.tenant_id) == tenant, col(Employee.id) == any_(people), *rested)
    begun = session.execute(anew.where(~kept.exists()).values(opted_out_at=None).returning(col(Employee.id))).scalars()
    session.execute(delete(Link).where(col(Link.tenant_id) == tenant, col(Link.employee_id).in_(list(begun))))


def _rested(now: datetime) -> datetime:
    """An invitation that ended before this moment is forgotten, since the person has rested."""
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC) - REST


def reached(session: Session, people: Collection[UUID], now: datetime) -> set[UUID]:
    """Those of the people whom an invitation has reached from which they have not rested yet, and all who have said no."""
    asked = {"tenant": tenant_of(session), "people": list(people), "rested": _rested(now)}
    return set(session.execute(REACHED, asked).scalars())


# A line that goes on after a withdrawal has none of the invitations before it.
REACHED = text(
    """
    select e.id from unnest(cast(:people as uuid[])) as person (id)
    join employee e on e.tenant_id = :tenant and e.id = person.id
    where e.opted_out_at is not null or exists (
        select from invitation i where i.tenant_id = e.tenant_id and i.employee_id = e.id and i.expires_at >= :rested
          and (i.quiet or i.delivered_at is not null or i.opened_at is not null))
    """
)

# Who has said no keeps their way back to their page. What a mail server said of the old mail is of another invitation.
# From the people to what is theirs: beside a list of ten thousand ids each row would be compared with all of them.
FOLLOW = text(
    """
    update link l set invitation_id = i.id, mail_id = gen_random_uuid()
    from unnest(cast(:people as uuid[])) as person (id)
    join invitation i on i.tenant_id = :tenant and i.employee_id = person.id and i.revoked_at is null
    where l.tenant_id = i.tenant_id and l.employee_id = i.employee_id
    """
)
