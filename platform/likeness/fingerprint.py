"""Which master key a database was sealed under: noted once, and asked at every start, by `/readyz` and by `likeness check`.

An empty or a foreign key folder beside a full database is told before anybody is served, and no second master key is made.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint, select, text
from sqlmodel import Session

from likeness.db import PLATFORM, Database, Moment, TenantRow, of_tenant, utc_now
from likeness.keys import KeyFolder, MasterKeyForeign

ONE_AT_A_TIME = 7465741
"""Several processes may start together over a new database."""


class KeyFingerprint(TenantRow, table=True):
    """One row, of the operators' own tenant."""

    __tablename__ = "key_fingerprint"
    __table_args__ = (UniqueConstraint("tenant_id"), of_tenant())

    fingerprint: str
    noted_at: datetime = Moment(default_factory=utc_now)


def settle(db: Database, keys: KeyFolder) -> None:
    """To be called at every start. Makes the master key of a new database, and holds the folder to what was noted.

    Raises `MasterKeyMissing` and `MasterKeyForeign`.
    """
    with db.transaction(PLATFORM) as session:
        session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
        known = _noted(session)
        if known is None:
            _begin(session, keys)
            known = keys.fingerprint()
            session.add(KeyFingerprint(tenant_id=PLATFORM, fingerprint=known))
    keys.expect(known)
    keys.fingerprint()


def check(db: Database, keys: KeyFolder) -> None:
    """Raises `MasterKeyMissing` and `MasterKeyForeign`."""
    known = noted(db)
    if keys.fingerprint() != known and known is not None:
        raise MasterKeyForeign("The key folder holds another master key than this database was sealed under.")


def noted(db: Database) -> str | None:
    """None before the first start over this database."""
    with db.transaction(PLATFORM) as session:
        return _noted(session)


def _noted(session: Session) -> str | None:
    return session.execute(
        select(KeyFingerprint.fingerprint).where(KeyFingerprint.tenant_id == PLATFORM)  # type: ignore[call-overload]
    ).scalar_one_or_none()


def _begin(session: Session, keys: KeyFolder) -> None:
    """The first start over this database, or the first of a version that notes the fingerprint.

    What an older version left is taken as it is, if the folder opens any company's key. Which of its keys had been lost
    by then nobody can tell: they have no marker, so they count as away and never as destroyed.
    """
    companies = list(session.execute(text("select id from tenant where id <> :own"), {"own": PLATFORM}).scalars())
    operators = session.execute(text("select 1 from member where tenant_id = :own limit 1"), {"own": PLATFORM}).first()
    sealed: list[UUID] = [*companies, *([PLATFORM] if operators else [])]
    if not sealed:
        keys.begin()
    elif not any(keys.opens(tenant) for tenant in sealed):
        keys.fingerprint()
        raise MasterKeyForeign("The key folder opens nothing of this database. Mount the folder that belongs to it.")
    if not operators:
        keys.begin_tenant(PLATFORM)
    keys.mark_made()


