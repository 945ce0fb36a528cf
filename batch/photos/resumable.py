"""Uploads that may break off: what came is kept sealed, and goes on from there within a day.

The row counts, the object holds. Each save writes all that came so far as a new object and names it in the row, if the
row still says what the save began with; so two connections of one upload cannot mix their bytes. The last byte makes it a
photo like any other, and the row stays as the answer to whoever asks again.
"""

from __future__ import annotations

import hmac
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NoReturn
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, update
from sqlmodel import Session, col, select

from batch.models import Upload
from batch.photos import intake, photos
from likeness.ground.db import after_commit, rows_of, tenant_of
from likeness.ground.errors import Conflict, Gone, LikenessError, NotFound, TooMany
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyDestroyed
from likeness.store.objects import Objects, person_path
from likeness.store.storage import ObjectMissing
from tenants import suspension

LIFE = timedelta(hours=24)
MOST_UNFINISHED = 8
MOST_BYTES = 64 * 2**20
"""Of one person's unfinished uploads together, as announced; a browser sends one photo at a time."""
IDLE = timedelta(hours=1)
"""After that an unfinished upload makes room for a new one."""


class UploadMissing(NotFound):
    """There is no such upload, or it is somebody else's."""

    title = "There is no such upload"


class UploadExpired(Gone):
    title = "This upload was not finished within a day"


class TooManyUnfinished(TooMany):
    title = "Several photos are on their way already"


class OffsetMoved(Conflict):
    """Another connection of the same upload was further, or this one begins where nothing was kept."""

    title = "The upload goes on from another place"


MOVED = "This photo is arriving over another connection. Ask how far it is, and go on from there."


class FileChanged(Conflict):
    title = "The file has changed since the upload began"


def begin(session: Session, objects: Objects, employee_id: UUID, length: int, digest: str, now: datetime) -> Upload:
    """Permission for a photo of this size, before a byte of it is taken.

    `digest` is the photo's, or empty. Raises what `intake.take` raises before it writes, and `TooManyUnfinished`.
    """
    suspension.check(session)
    consent = photos.permitted(session, employee_id)
    intake.check_size(length)
    open_ones = of(session, employee_id, now)
    intake.check_room(session, employee_id, digest, len(open_ones))
    while open_ones and open_ones[0].touched_at < now - IDLE and _crowded(open_ones, length):
        _drop(session, objects, open_ones.pop(0))
    if _crowded(open_ones, length):
        raise TooManyUnfinished("Other photos of yours are still on their way. Let them arrive, or remove one.")
    upload = Upload(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        consent_id=consent.id,
        length=length,
        digest=digest,
        created_at=now,
        touched_at=now,
        due_at=now + LIFE,
    )
    session.add(upload)
    session.flush()
    return upload


def _crowded(open_ones: list[Upload], length: int) -> bool:
    return len(open_ones) >= MOST_UNFINISHED or sum(one.length for one in open_ones) + length > MOST_BYTES


def of(session: Session, employee_id: UUID, now: datetime) -> list[Upload]:
    """The person's unfinished ones, the longest untouched first."""
    unfinished = col(Upload.photo_id).is_(None), col(Upload.due_at) > now
    return rows_of(session, Upload, col(Upload.employee_id) == employee_id, *unfinished, by=col(Upload.touched_at))


def get(session: Session, employee_id: UUID, upload_id: UUID, now: datetime) -> Upload:
    """Raises `UploadMissing` and `UploadExpired`."""
    upload = session.exec(
        select(Upload).where(
            col(Upload.tenant_id) == tenant_of(session),
            col(Upload.employee_id) == employee_id,
            col(Upload.id) == upload_id,
        )
    ).one_or_none()
    if upload is None:
        raise UploadMissing("There is no such upload.")
    if upload.due_at <= now:
        raise UploadExpired("This upload was begun more than a day ago and is deleted. Please choose the photo again.")
    return upload


def taken_up(kernel: Kernel, tenant: UUID, employee_id: UUID, upload_id: UUID, now: datetime) -> Upload:
    """An upload that may go on. Raises as `get` and `photos.permitted` do."""
    with kernel.db.transaction(tenant) as session:
        photos.permitted(session, employee_id)
        return get(session, employee_id, upload_id, now)


def save(kernel: Kernel, upload: Upload, more: bytes | bytearray, now: datetime) -> None:
    """Keeps what follows on the bytes that are kept.

    Raises `OffsetMoved`, `UploadExpired`, `PhotosClosed` and as `photos.permitted` does.
    """
    _keep(kernel, upload, _whole(kernel, upload, more), now)


def _whole(kernel: Kernel, upload: Upload, more: bytes | bytearray) -> bytes:
    """All that came so far, read only for as long as it is written anew: a slow connection holds none of it.

    Bytes that can no longer be read end the upload, so that the photo is sent anew: `UploadExpired`.
    """
    kept: list[bytes] = []
    try:
        if upload.path is not None:
            key = kernel.keys.open(photos.source_key(upload.tenant_id, upload.employee_id))
            kept = list(kernel.objects.stream(upload.path, key))
    except (ObjectMissing, KeyDestroyed):
        _end_unreadable(kernel, upload)
    return b"".join([*kept, more])


def _end_unreadable(kernel: Kernel, upload: Upload) -> NoReturn:
    with kernel.db.transaction(upload.tenant_id) as session:
        photos.hold(session, upload.employee_id)
        lost = session.exec(select(Upload).where(*_unmoved(session, upload))).one_or_none()
        if lost is None:  # Another connection has written it anew meanwhile.
            raise OffsetMoved(MOVED)
        _drop(session, kernel.objects, lost)
    raise UploadExpired("What came of this upload is gone. Please choose the photo again.") from None


def _keep(kernel: Kernel, upload: Upload, data: bytes, now: datetime) -> None:
    path = person_path(upload.tenant_id, upload.employee_id, KeyClass.SOURCE, uuid4())
    try:
        key = kernel.keys.open_or_create(photos.source_key(upload.tenant_id, upload.employee_id))
    except KeyDestroyed:
        raise intake.PhotosClosed(intake.CLOSED) from None
    kernel.objects.put(path, data, key)
    with kernel.db.transaction(upload.tenant_id, undo=lambda: kernel.objects.delete(path)) as session:
        photos.permitted(session, upload.employee_id)
        _step(session, upload, received=len(data), path=path, touched_at=now)
    if upload.path:
        kernel.objects.delete(upload.path)
    upload.received, upload.path = len(data), path


def finish(kernel: Kernel, upload: Upload, more: bytes | bytearray, now: datetime) -> bool:
    """The last byte came: it is a photo. Returns whether the person has handed it in before.

    Raises what `intake.take` raises, `FileChanged`, `OffsetMoved` and `UploadExpired`.

    A refusal ends the upload; while the database or the store is away it stays, and whoever asks again finishes it.
    """
    data = _whole(kernel, upload, more)
    try:
        if upload.digest and not hmac.compare_digest(upload.digest, _digest(kernel, upload, data)):
            raise FileChanged("The file has changed since its upload began. It is sent again from the start.")
        photo, known = intake.take(kernel, upload.tenant_id, upload.employee_id, data, now)
    except LikenessError as error:
        if error.status < 500:
            end(kernel, upload.tenant_id, upload.employee_id, upload.id)
        elif more:
            _keep(kernel, upload, data, now)
        raise
    with kernel.db.transaction(upload.tenant_id) as session:
        _step(session, upload, received=upload.length, path=None, photo_id=photo.id, touched_at=now)
    if upload.path:
        kernel.objects.delete(upload.path)
    upload.received, upload.path, upload.photo_id = upload.length, None, photo.id
    return known


def _digest(kernel: Kernel, upload: Upload, data: bytes) -> str:
    return intake.digest_of(kernel.keys, upload.tenant_id, upload.employee_id, sha256(data).digest())


def _step(session: Session, upload: Upload, **values: object) -> None:
    stepped = update(Upload).where(*_unmoved(session, upload)).values(**values).returning(col(Upload.id))
    if session.execute(stepped).first() is None:
        raise OffsetMoved(MOVED)


def _unmoved(session: Session, upload: Upload) -> tuple[ColumnElement[bool], ...]:
    """That the row still says what is known of it here: no other connection has gone on with it, or ended it."""
    return (
        col(Upload.tenant_id) == tenant_of(session),
        col(Upload.id) == upload.id,
        col(Upload.received) == upload.received,
        col(Upload.path).is_not_distinct_from(upload.path),
        col(Upload.photo_id).is_(None),
    )


def end(kernel: Kernel, tenant: UUID, employee_id: UUID, upload_id: UUID) -> None:
    """Deletes an upload with what came of it; the photo that one has become stays. Raises `UploadMissing`."""
    with kernel.db.transaction(tenant) as session:
        photos.hold(session, employee_id)
        upload = session.exec(
            select(Upload).where(
                col(Upload.tenant_id) == tenant, col(Upload.employee_id) == employee_id, col(Upload.id) == upload_id
            )
        ).one_or_none()
        if upload is None:
            raise UploadMissing("There is no such upload.")
        _drop(session, kernel.objects, upload)


def _drop(session: Session, objects: Objects, upload: Upload) -> None:
    path = upload.path
    session.delete(upload)
    session.flush()
    if path:
        after_commit(session, lambda: objects.delete(path))
