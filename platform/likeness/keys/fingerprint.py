"""Which master key a database was sealed under: noted once, and asked at every start, by `/readyz` and by `likeness check`.

An empty or a foreign key folder beside a full database is told before anybody is served, and no second master key is made.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint, text
from sqlmodel import Session, col, select

from likeness.ground.db import PLATFORM, Database, Moment, TenantRow, of_tenant, utc_now
from likeness.ground.errors import Conflict
from likeness.keys.custody import KeyStore
from likeness.keys.keys import KeyFolder, MasterKeyForeign
from likeness.keys.master import MasterFolder

ONE_AT_A_TIME, ONE_ROTATES = 7465741, 7465743
"""Several processes may start together over a new database."""


class RotatedElsewhere(Conflict):
    """One at a time."""

    title = "The keys are being renewed already"


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


def rotate(db: Database, keys: KeyFolder) -> int:
    """Renews the companies' keys; two at once would each forget what the other made. Returns how many companies.

    Raises `RotatedElsewhere` and `KeyUnavailable`.
    """
    with db.transaction(PLATFORM) as session:
        _alone(session)
        # A transaction in which nothing is asked for minutes is ended by the server, and the lock with it.
        return keys.rotate(lambda: session.execute(text("select 1")))


def move(db: Database, keys: KeyFolder, before: KeyStore) -> int:
    """Has the folder's key store wrap what another wrapped until now. Safe to repeat. Returns how many companies."""
    with db.transaction(PLATFORM) as session:
        _alone(session)
        moved = keys.move_from(before)
        note = session.exec(select(KeyFingerprint).where(col(KeyFingerprint.tenant_id) == PLATFORM)).one()
        note.fingerprint = keys.fingerprint()
        session.add(note)
    if isinstance(before, MasterFolder):
        before.wipe()
    return moved


def _alone(session: Session) -> None:
    if not session.execute(text("select pg_try_advisory_xact_lock(:key)"), {"key": ONE_ROTATES}).scalar():
        raise RotatedElsewhere("Another process renews the keys at this moment. Wait for it.")


def noted(db: Database) -> str | None:
    """None before the first start over this database."""
    with db.transaction(PLATFORM) as session:
        return _noted(session)


def _noted(session: Session) -> str | None:
    return session.exec(
        select(KeyFingerprint.fingerprint).where(col(KeyFingerprint.tenant_id) == PLATFORM)
    ).one_or_none()


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
