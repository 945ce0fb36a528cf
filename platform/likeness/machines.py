"""Keys with which a program of the company calls the API: made by a member, and never able to do more than that member.

A key is `<tenant>.<secret>` like every other token, shown once and stored hashed. What it may do is decided on each call by
the tenants floor: what the key was made for, as far as the member behind it may still do it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import JSON, Column, ColumnElement, select, update
from sqlmodel import Field, Session, col

from likeness.ground.db import Database, Moment, TenantRow, newest_first, of_tenant, tenant_of
from likeness.ground.errors import NotFound
from likeness.identity import Caller, Kind, new_token, tenant_in, token_hash

NOTED = timedelta(minutes=1)
"""How exactly it is known when a key was last used: not every call writes."""
NEVER = datetime.min.replace(tzinfo=UTC)
"""When a program last proved who it is: so nothing that asks for a fresh sign-in is done with a key."""


class KeyMissing(NotFound):
    """The company has no such key, or it was revoked, or its last day is over."""

    title = "There is no such key"


class MachineKey(TenantRow, table=True):
    __tablename__ = "machine_key"
    __table_args__ = (of_tenant(),)

    name: str
    """What the company calls the program."""
    token_hash: bytes = Field(unique=True)
    member_id: UUID = Field(index=True)
    """Who made it: the key may do what they may, and ends when they are disabled."""
    scope: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """The permissions it was made for."""
    created_at: datetime = Moment()
    expires_at: datetime | None = Moment(default=None, nullable=True)
    """From then on it opens nothing; None for one that lasts until it is revoked."""
    used_at: datetime | None = Moment(default=None, nullable=True)
    revoked_at: datetime | None = Moment(default=None, nullable=True)


def make(
    session: Session, member_id: UUID, name: str, scope: list[str], now: datetime, *, expires_at: datetime | None = None
) -> tuple[MachineKey, str]:
    """The key's row, and the key itself, which nobody can read anywhere afterwards."""
    token = new_token(tenant_of(session))
    key = MachineKey(
        tenant_id=tenant_of(session),
        name=name,
        token_hash=token_hash(token),
        member_id=member_id,
        scope=scope,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(key)
    session.flush()
    return key, token


def standing(
    session: Session, now: datetime, member_id: UUID | None = None, most: int | None = None, *,
    before: tuple[datetime, UUID] | None = None,
) -> list[MachineKey]:  # fmt: skip
    """The keys that work, newest first: everybody's, or those that one member made; at most so many, those `before` the
    moment and the id of one."""
    query = select(MachineKey).where(col(MachineKey.tenant_id) == tenant_of(session), *_works(now))
    if member_id is not None:
        query = query.where(col(MachineKey.member_id) == member_id)
    return list(session.execute(newest_first(query, MachineKey.created_at, MachineKey.id, most, before)).scalars())


def _works(now: datetime) -> tuple[ColumnElement[bool], ...]:
    still = col(MachineKey.expires_at).is_(None) | (col(MachineKey.expires_at) > now)
    return col(MachineKey.revoked_at).is_(None), still


def get(session: Session, key_id: UUID, now: datetime) -> MachineKey:
    """Raises `KeyMissing`."""
    found = next((one for one in standing(session, now) if one.id == key_id), None)
    if found is None:
        raise KeyMissing("There is no such key, or it works no more.")
    return found


def maker_of(session: Session, key_id: UUID) -> UUID | None:
    """The member who made a key, also one that was revoked."""
    return session.execute(
        select(col(MachineKey.member_id)).where(
            col(MachineKey.tenant_id) == tenant_of(session), col(MachineKey.id) == key_id
        )
    ).scalar_one_or_none()


def revoke(session: Session, now: datetime, *, key_id: UUID | None = None, member_id: UUID | None = None) -> None:
    """One key, or all that a member made."""
    column, value = (col(MachineKey.id), key_id) if key_id is not None else (col(MachineKey.member_id), member_id)
    session.execute(
        update(MachineKey)
        .where(
            col(MachineKey.tenant_id) == tenant_of(session),
            column == value,
            col(MachineKey.revoked_at).is_(None),
        )
        .values(revoked_at=now)
    )


def caller_with(db: Database, token: str, now: datetime) -> Caller | None:
    """Who calls with this key; None for one that is unknown, revoked or past its last day."""
    tenant = tenant_in(token)
    if tenant is None:
        return None
    with db.transaction(tenant) as session:
        key = session.execute(
            select(MachineKey).where(
                col(MachineKey.tenant_id) == tenant,
                col(MachineKey.token_hash) == token_hash(token),
                *_works(now),
            )
        ).scalar_one_or_none()
        if key is None:
            return None
        if key.used_at is None or now - key.used_at > NOTED:
            key.used_at = now
        return Caller(tenant, Kind.MACHINE, key.id, key.id, NEVER)
