"""Digests of photos, by which the same picture is known again.

They are made with a key that comes from the person's source key and goes with it: once that is destroyed, nobody who has
the picture and an old copy of the database can tell that the one was in the other.
"""

from __future__ import annotations

import hmac
from secrets import token_bytes
from uuid import UUID

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, select

from batch.models import Photo, Upload
from batch.photos import photos
from likeness.ground.db import tenant_of
from likeness.keys.keys import KeyDestroyed, KeyFolder

MARK = "s."
"""What digests of this kind begin with; those of older versions are hexadecimal."""
PURPOSE = "photo digest"
BOTH: tuple[type[Photo] | type[Upload], ...] = (Photo, Upload)


def of(keys: KeyFolder, tenant: UUID, employee_id: UUID, sha: bytes) -> str:
    """Different for each person. Raises `KeyDestroyed` and `KeyUnavailable`."""
    older = hmac.digest(keys.index_key(tenant), b"photo" + employee_id.bytes + sha, "sha256").hex()
    return _under_source_key(keys, tenant, employee_id, older)


def of_none() -> str:
    """Of a row that no picture is to be known by any more."""
    return MARK + token_bytes(32).hex()


def unsealed(session: Session) -> list[UUID]:
    """People with a digest of an older version, which only the company's key stands before."""
    found: set[UUID] = set()
    for table in BOTH:
        found.update(session.exec(select(table.employee_id).where(*_older(session, table)).distinct()))
    return sorted(found)


def seal_clear(session: Session, keys: KeyFolder, employee_id: UUID) -> int:
    """Puts a person's older digests under their source key, without the pictures; returns how many.

    Raises `KeyUnavailable`.
    """
    older_photos = (*_older(session, Photo), col(Photo.employee_id) == employee_id)
    older_uploads = (*_older(session, Upload), col(Upload.employee_id) == employee_id)
    rows: list[Photo | Upload] = [
        *session.exec(select(Photo).where(*older_photos).order_by(col(Photo.id)).with_for_update()),
        *session.exec(select(Upload).where(*older_uploads).order_by(col(Upload.id)).with_for_update()),
    ]
    for row in rows:
        try:
            row.digest = _under_source_key(keys, row.tenant_id, row.employee_id, row.digest)
        except KeyDestroyed:  # The picture cannot be opened either; the row only has to differ from others.
            row.digest = of_none()
        session.add(row)
    session.flush()
    return len(rows)


def _older(session: Session, table: type[Photo] | type[Upload]) -> tuple[ColumnElement[bool], ...]:
    digest = col(table.digest)
    return col(table.tenant_id) == tenant_of(session), digest != "", digest.not_like(f"{MARK}%")


def _under_source_key(keys: KeyFolder, tenant: UUID, employee_id: UUID, older: str) -> str:
    key = keys.open_or_create(photos.source_key(tenant, employee_id))
    return MARK + key.digest(older.encode(), PURPOSE).hex()
