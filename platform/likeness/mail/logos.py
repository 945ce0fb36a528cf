"""A company's logo above its mails. It travels within each mail: nothing is fetched, so nobody learns who opened one."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import UniqueConstraint, delete, select
from sqlmodel import Session, col

from likeness.ground.db import Moment, TenantRow, of_tenant, tenant_of

LARGEST_SENT = 60 * 1024
"""Bytes of the picture, which every mail carries."""


class Logo(TenantRow, table=True):
    __table_args__ = (UniqueConstraint("tenant_id"), of_tenant())

    picture: bytes
    """A PNG, made anew from the pixels of what was handed in."""
    width: int
    height: int
    changed_at: datetime = Moment()


def of(session: Session) -> Logo | None:
    return session.execute(select(Logo).where(col(Logo.tenant_id) == tenant_of(session))).scalar_one_or_none()


def give(session: Session, picture: bytes, width: int, height: int, now: datetime) -> Logo:
    """Instead of the one before."""
    take_away(session)
    logo = Logo(tenant_id=tenant_of(session), picture=picture, width=width, height=height, changed_at=now)
    session.add(logo)
    session.flush()
    return logo


def take_away(session: Session) -> bool:
    gone = session.execute(delete(Logo).where(col(Logo.tenant_id) == tenant_of(session)).returning(col(Logo.id)))
    return gone.first() is not None
