"""Which of our sessions began with a session at the issuer, so that a sign-out there ends them here.

A logout token names no company, and row-level security hides every session from whoever names none. So this table is an
index that the platform's own transaction can see: digests of opaque ids, and the company whose sessions they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from sqlmodel import Field, Session, and_, col, delete, or_, select

from likeness.ground.db import PLATFORM, Database, Moment, TenantRow, belongs_to, of_tenant, tenant_of
from likeness.identity import WebSession
from likeness.keys.keys import DataKey, KeyClass, KeyFolder, KeyRef
from likeness.sso.tokens import Proof, SignedOut

CONTEXT = "sign-out hint"
SAME_MOMENT = timedelta(seconds=2)


class ProviderSession(TenantRow, table=True):
    __tablename__ = "provider_session"
    __table_args__ = (belongs_to("web_session", "session_id"), of_tenant())

    session_id: UUID = Field(index=True)
    session_hash: bytes = Field(index=True)
    """Of issuer and `sid`."""
    subject_hash: bytes = Field(index=True)
    """Of issuer and `sub`, for a logout token without `sid`."""
    hint: bytes
    """The ID token, sealed: it lets the person sign out there too, and says nothing but opaque ids."""
    started_at: datetime = Moment()


def note(session: Session, keys: KeyFolder, session_id: UUID, proof: Proof, token: str, now: datetime) -> None:
    session.add(
        ProviderSession(
            tenant_id=tenant_of(session),
            session_id=session_id,
            session_hash=_hash(proof.issuer, "sid", proof.session),
            subject_hash=_hash(proof.issuer, "sub", proof.subject),
            hint=_key(keys).seal(token.encode(), f"{CONTEXT}/{session_id}"),
            started_at=now,
        )
    )


def of(session: Session, session_id: UUID) -> ProviderSession | None:
    return session.exec(
        select(ProviderSession).where(
            col(ProviderSession.tenant_id) == tenant_of(session), col(ProviderSession.session_id) == session_id
        )
    ).one_or_none()


def of_person(session: Session, person_id: UUID) -> list[ProviderSession]:
    """Of all sessions in which they have a part."""
    own = (
        col(WebSession.tenant_id) == col(ProviderSession.tenant_id),
        col(WebSession.id) == col(ProviderSession.session_id),
    )
    mine = (col(WebSession.subject_id) == person_id) | (col(WebSession.other_id) == person_id)
    query = select(ProviderSession).join(WebSession, and_(*own))
    return list(session.exec(query.where(col(ProviderSession.tenant_id) == tenant_of(session), mine)))


def hint(keys: KeyFolder, row: ProviderSession) -> str:
    return _key(keys).open(row.hint, f"{CONTEXT}/{row.session_id}").decode()


def end(db: Database, said: SignedOut) -> int:
    """Ends what the issuer ended, in whichever company; returns how many sessions that were.

    Sessions that began after the token was made are not meant by it, so one that is sent again ends nothing new.
    """
    with db.transaction(PLATFORM) as session:
        meant = [
            col(ProviderSession.session_hash) == _hash(said.issuer, "sid", said.session)
            if said.session is not None
            else col(ProviderSession.subject_hash) == _hash(said.issuer, "sub", said.subject or "")
        ]
        found = session.exec(
            select(ProviderSession.tenant_id, ProviderSession.session_id).where(
                or_(*meant), col(ProviderSession.started_at) < said.at + SAME_MOMENT
            )
        ).all()
    by_tenant: dict[UUID, list[UUID]] = {}
    for tenant, session_id in found:
        by_tenant.setdefault(tenant, []).append(session_id)
    return sum(_end(db, tenant, ids) for tenant, ids in by_tenant.items())


def _end(db: Database, tenant: UUID, ids: Sequence[UUID]) -> int:
    with db.transaction(tenant) as session:
        return session.exec(
            delete(WebSession).where(col(WebSession.tenant_id) == tenant, col(WebSession.id).in_(ids))
        ).rowcount


def _key(keys: KeyFolder) -> DataKey:
    return keys.open_or_create(KeyRef(PLATFORM, PLATFORM, KeyClass.PROFILE))


def _hash(issuer: str, what: str, value: str) -> bytes:
    return sha256(f"{issuer}\n{what}\n{value}".encode()).digest()
