"""Who makes this request: one-time links, sessions, and the `Caller` that both lead to.

Tokens are `<tenant>.<secret>`: the tenant's opaque id says under which tenant to look, the 256-bit secret is stored
hashed only. A GET never consumes a link, because mail scanners open links; a page posts.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlmodel import Field, Session

from likeness.db import Database, Moment, TenantRow, of_tenant, tenant_of
from likeness.errors import Gone, LikenessError

SESSION_LIFETIME = timedelta(hours=12)
LINK_LIFETIME = timedelta(minutes=30)
INVITED_LIFETIME = timedelta(days=7)
"""An invitation is read when there is time for it; a link that one asked for is opened at once."""


class Kind(StrEnum):
    MEMBER = "member"
    EMPLOYEE = "employee"
    OPERATOR = "operator"


class LeadsNowhere(LikenessError):
    """A token that was never made, or whose row is gone. Only such are counted as guesses."""


class LinkUnknown(LeadsNowhere, Gone):
    """There is no such one-time link, or it ran out so long ago that it was forgotten."""


class LinkUsed(Gone):
    """The one-time link was used or ran out."""


@dataclass(frozen=True)
class Caller:
    """Who makes this request. What they may do is decided by the tenants floor."""

    tenant: UUID
    kind: Kind
    id: UUID
    session: UUID

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


class SignInLink(TenantRow, table=True):
    __tablename__ = "sign_in_link"
    __table_args__ = (of_tenant(),)

    token_hash: bytes = Field(unique=True)
    kind: str
    subject_id: UUID
    expires_at: datetime = Moment()
    used_at: datetime | None = Moment(default=None, nullable=True)


class WebSession(TenantRow, table=True):
    __tablename__ = "web_session"
    __table_args__ = (of_tenant(),)

    token_hash: bytes = Field(unique=True)
    kind: str
    subject_id: UUID = Field(index=True)
    created_at: datetime = Moment()
    expires_at: datetime = Moment()
    issuer: str | None = None
    """The identity provider and its own session id, for a logout that starts there."""
    issuer_session: str | None = Field(default=None, index=True)


def new_token(tenant: UUID) -> str:
    return f"{tenant.hex}.{secrets.token_urlsafe(32)}"


def token_hash(token: str) -> bytes:
    return sha256(token.encode()).digest()


def tenant_in(token: str) -> UUID | None:
    """The tenant a token names, None for anything that is no token."""
    try:
        return UUID(hex=token.split(".", 1)[0])
    except ValueError:
        return None


def make_link(
    session: Session, kind: Kind, subject_id: UUID, now: datetime, lasting: timedelta = LINK_LIFETIME
) -> str:
    """A token that signs `subject_id` in once, within half an hour unless another time is given."""
    token = new_token(tenant_of(session))
    keep_link(session, token, kind, subject_id, now + lasting)
    return token


def keep_link(session: Session, token: str, kind: Kind, subject_id: UUID, until: datetime) -> None:
    session.add(
        SignInLink(
            tenant_id=tenant_of(session),
            token_hash=token_hash(token),
            kind=kind,
            subject_id=subject_id,
            expires_at=until,
        )
    )


def promised(session: Session, token: str, now: datetime) -> tuple[Kind, UUID] | None:
    """Whom a link would sign in; None for one that signs nobody in. Consumes nothing."""
    found = session.execute(
        select(SignInLink.kind, SignInLink.subject_id).where(  # type: ignore[call-overload]
            SignInLink.tenant_id == tenant_of(session),
            SignInLink.token_hash == token_hash(token),
            SignInLink.used_at.is_(None),  # type: ignore[union-attr]
            SignInLink.expires_at > now,
        )
    ).first()
    return (Kind(found.kind), found.subject_id) if found else None


def redeem(session: Session, token: str, now: datetime) -> tuple[Kind, UUID]:
    """Consumes a one-time link. Raises `LinkUsed` or `LinkUnknown`."""
    used = session.execute(
        update(SignInLink)
        .where(
            SignInLink.tenant_id == tenant_of(session),  # type: ignore[arg-type]
            SignInLink.token_hash == token_hash(token),  # type: ignore[arg-type]
            SignInLink.used_at.is_(None),  # type: ignore[union-attr]
            SignInLink.expires_at > now,  # type: ignore[arg-type]
        )
        .values(used_at=now)
        .returning(SignInLink.kind, SignInLink.subject_id)  # type: ignore[call-overload]
    ).first()
    if used is None:
        known = session.execute(
            select(SignInLink.id).where(  # type: ignore[call-overload]
                SignInLink.tenant_id == tenant_of(session), SignInLink.token_hash == token_hash(token)
            )
        ).first()
        if known is None:
            raise LinkUnknown("This sign-in link leads nowhere. Copy the whole address, or ask for a new link.")
        raise LinkUsed("This sign-in link was used already or has run out. Ask for a new one.")
    return Kind(used.kind), used.subject_id


def start_session(session: Session, kind: Kind, subject_id: UUID, now: datetime) -> str:
    """A new session; returns the cookie's value."""
    token = new_token(tenant_of(session))
    session.add(
        WebSession(
            tenant_id=tenant_of(session),
            token_hash=token_hash(token),
            kind=kind,
            subject_id=subject_id,
            created_at=now,
            expires_at=now + SESSION_LIFETIME,
        )
    )
    return token


def caller_of(db: Database, cookie: str | None, now: datetime) -> Caller | None:
    """Who holds this cookie; None for no session, a foreign or an ended one."""
    tenant = tenant_in(cookie) if cookie else None
    if cookie is None or tenant is None:
        return None
    with db.transaction(tenant) as session:
        row = session.execute(
            select(WebSession).where(
                WebSession.tenant_id == tenant,  # type: ignore[arg-type]
                WebSession.token_hash == token_hash(cookie),  # type: ignore[arg-type]
                WebSession.expires_at > now,  # type: ignore[arg-type]
            )
        ).scalar_one_or_none()
    return Caller(tenant, Kind(row.kind), row.subject_id, row.id) if row else None


def end_session(session: Session, session_id: UUID) -> None:
    session.execute(
        delete(WebSession).where(WebSession.tenant_id == tenant_of(session), WebSession.id == session_id)  # type: ignore[arg-type]
    )


def end_sessions_of(session: Session, subject_id: UUID, *, keep: UUID | None = None) -> None:
    """Signs somebody out everywhere but in the session `keep`, and voids the links they have not used."""
    for table in (WebSession, SignInLink):
        statement = delete(table).where(table.tenant_id == tenant_of(session), table.subject_id == subject_id)  # type: ignore[arg-type]
        session.execute(statement if keep is None else statement.where(table.id != keep))  # type: ignore[arg-type]


def hand_over_sessions(session: Session, before: UUID, after: UUID) -> None:
    """Whoever is signed in as `before` goes on as `after`."""
    session.execute(
        update(WebSession)
        .where(WebSession.tenant_id == tenant_of(session), WebSession.subject_id == before)  # type: ignore[arg-type]
        .values(subject_id=after)
    )


def forget_ended(session: Session, now: datetime) -> None:
    """Deletes the tenant's sessions and links that ran out."""
    for table in (WebSession, SignInLink):
        session.execute(delete(table).where(table.tenant_id == tenant_of(session), table.expires_at < now))  # type: ignore[arg-type]
