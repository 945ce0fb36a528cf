"""Taking photos in: permission, the object, its row, and what a crash leaves of a try.

A byte is taken only on a standing consent; the foreign key to it lets the database refuse the row as well. A photo that
was answered with "taken" is durable and found again after a crash at any point: the object is on the disk before its
row is committed. What a crash leaves behind the other way round, an object without a row, the sweep removes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import update
from sqlmodel import Session, SQLModel, col, select

from batch.models import Headshot, Photo, PhotoState, Upload
from batch.people import employees
from batch.photos import digests, photos
from likeness import ledger
from likeness.ground.db import tenant_of
from likeness.ground.errors import Conflict, Gone, LikenessError, OutcomeUnknown, TooLarge, Unavailable, Unprocessable
from likeness.jobs import jobs, sweeping
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyDestroyed, KeyFolder
from likeness.locale.marks import N_
from likeness.store.objects import Objects, filed, person_path
from tenants import suspension, tenants

LARGEST = 25 * 2**20
TOO_LARGE = N_("This photo is larger than 25 MB. Please send a smaller one.")
CLOSED = N_("Your photos were deleted for good, and new ones cannot be added.")
MOST = 30
"""Photos of one person, rejected ones included: a limit for scripts, nobody needs more than 12."""
ORPHAN_AGE: Mapping[str, timedelta] = {
    KeyClass.SOURCE: timedelta(hours=1), KeyClass.HEADSHOT: timedelta(hours=24), KeyClass.MODEL: timedelta(hours=24),
}  # fmt: skip
"""Spared so long without a row: a photo gets its row in seconds, what is made once its whole order is through. The re-scan
of a deletion calls whatever is older a leftover (`UNNAMED` in `compliance/scanning/files.py`)."""


class PhotoEmpty(Unprocessable):
    title = "The photo is empty"


class PhotoTooLarge(TooLarge):
    title = "The photo is larger than 25 MB"


class TooManyPhotos(Conflict):
    title = "There are too many photos"


class PhotosClosed(Gone):
    """The key of the person's photos was destroyed, so none can be taken in any more."""

    title = "Photos can no longer be added"


class Taken(NamedTuple):
    photo: Photo
    known: bool
    """The same file was among the person's photos already. They are told; it is no fault, and nothing is written of it."""


def add(kernel: Kernel, tenant: UUID, employee_id: UUID, data: bytes, now: datetime) -> Photo:
    """As `take`, for whom it is all the same whether the photo was there already."""
    return take(kernel, tenant, employee_id, data, now).photo


def take(kernel: Kernel, tenant: UUID, employee_id: UUID, data: bytes, now: datetime) -> Taken:
    """Takes a photo in; once this returns it is durable. The same bytes again give the same photo.

    Several transactions, because nothing slow happens inside one: ask for permission, look whether the photo is known,
    write the object, write its row.
    Raises `ConsentMissing`, `Restricted`, `CompanySuspended`, `PhotoEmpty`, `PhotoTooLarge`, `TooManyPhotos`,
    `PhotosClosed`, and `OutcomeUnknown` when the database went away at the very end.
    """
    admit(kernel, tenant, employee_id)
    check_size(len(data))
    digest = digest_of(kernel.keys, tenant, employee_id, sha256(data).digest())
    with kernel.db.transaction(tenant) as session:
        photos.agreed(session, employees.get(session, employee_id))
        known = _known(session, employee_id, digest)
    if known and _held(kernel.objects, known):
        return Taken(known, known=True)
    path = person_path(tenant, employee_id, KeyClass.SOURCE, uuid4())
    try:
        kernel.objects.put(path, data, kernel.keys.open_or_create(photos.source_key(tenant, employee_id)))
    except KeyDestroyed:
        raise PhotosClosed(CLOSED) from None
    try:
        with kernel.db.transaction(tenant, undo=lambda: kernel.objects.delete(path)) as session:
            photo = _write_down(session, employee_id, path, digest, data, now, lost=known)
    except OutcomeUnknown:
        photo = _look_again(kernel, tenant, employee_id, path)
    if photo.path != path:
        kernel.objects.delete(path)
    return Taken(photo, known=photo.path != path)


def _held(objects: Objects, photo: Photo) -> bool:
    """Whether a photo is known with its picture. That of a rejected one was deleted: handed in again, it is checked
    again, because a verdict may have followed from other photos that are gone, or from rules that are."""
    return photo.state != PhotoState.REJECTED and objects.exists(photo.path)


def _look_again(kernel: Kernel, tenant: UUID, employee_id: UUID, path: str) -> Photo:
    """The photo, if the transaction whose answer was lost has written it. Raises `OutcomeUnknown`."""
    try:
        with kernel.db.transaction(tenant) as session:
            # That transaction holds the person until it ends: from here on it has ended, one way or the other.
            photos.hold(session, employee_id)
            photo = next((photo for photo in photos.of(session, employee_id) if photo.path == path), None)
    except LikenessError as error:
        raise OutcomeUnknown("It is not known whether this photo was stored. Please add it again.") from error
    if photo is None:
        kernel.objects.delete(path)
        raise Unavailable("The database went away for a moment, and this photo was not stored. Please add it again.")
    return photo


def _write_down(
    session: Session, employee_id: UUID, path: str, digest: str, data: bytes, now: datetime, lost: Photo | None
) -> Photo:
    """`lost` is the photo that these bytes are already, but whose picture is not there."""
    suspension.check(session)
    consent = photos.permitted(session, employee_id)
    known = _known(session, employee_id, digest)
    if known and lost and (known.id, known.path) == (lost.id, lost.path):
        return _fill(session, known, path, data, now)
    if known:
        return known
    _make_way(session, employee_id, digest)
    photo = Photo(
        tenant_id=tenant_of(session),
        employee_id=employee_id,
        consent_id=consent.id,
        path=path,
        digest=digest,
        bytes=len(data),
        created_at=now,
        due_at=now + timedelta(days=tenants.get(session).source_days),
    )
    session.add(photo)
    session.flush()
    jobs.send(session, photos.check, str(photo.id))
    ledger.record(session, "photo.added", caller=f"employee:{employee_id}", subject=employee_id, objects=[photo.id])
    return photo


def _make_way(session: Session, employee_id: UUID, digest: str) -> None:
    """The same picture past its day, which a sweep has not met yet or a hold keeps, is another photo from now on."""
    mine = (col(Photo.tenant_id) == tenant_of(session), col(Photo.employee_id) == employee_id)
    session.execute(update(Photo).where(*mine, col(Photo.digest) == digest).values(digest=digests.of_none()))


def _fill(session: Session, photo: Photo, path: str, data: bytes, now: datetime) -> Photo:
    """A photo whose picture was lost, or deleted with its rejection, gets it back and is checked like a new one."""
    if photo.state == PhotoState.REJECTED:
        photo.created_at = now  # Its picture was gone: this is another arrival, with a last day of its own.
        photo.due_at = now + timedelta(days=tenants.get(session).source_days)
    photo.path, photo.bytes, photo.state, photo.findings, photo.faces, photo.face = (
        path, len(data), PhotoState.CHECKING, [], [], None
    )  # fmt: skip
    photo.used_anyway, photo.waved, photo.missing_since, photo.checked_at = False, False, None, None
    photo.removed_at = None  # Handed in again while its deletion had not begun.
    photo.is_me, photo.person, photo.twin_of = None, None, None
    session.add(photo)
    session.flush()
    jobs.send(session, photos.check, str(photo.id), key=f"{photo.id}:{uuid4()}")
    ledger.record(
        session, "photo.restored", caller=f"employee:{photo.employee_id}", subject=photo.employee_id, objects=[photo.id]
    )
    return photo


def admit(kernel: Kernel, tenant: UUID, employee_id: UUID) -> None:
    """Asked before the first byte is read. Raises `EmployeeMissing`, `Restricted`, `ConsentMissing` and
    `CompanySuspended`."""
    with kernel.db.transaction(tenant) as session:
        suspension.check(session)
        photos.agreed(session, employees.get(session, employee_id))


def check_size(length: int) -> None:
    """Raises `PhotoEmpty` and `PhotoTooLarge`."""
    if not length:
        raise PhotoEmpty("This file is empty. Please choose the photo again.")
    if length > LARGEST:
        raise PhotoTooLarge(TOO_LARGE)


def check_room(session: Session, employee_id: UUID, digest: str, on_their_way: int) -> None:
    """Raises `TooManyPhotos`, unless it is a photo that is there already."""
    have = photos.of(session, employee_id)
    if len(have) + on_their_way >= MOST and all(photo.digest != digest for photo in have):
        raise TooManyPhotos("You have handed in {n} photos. Please delete some before you add more.", n=MOST)


def _known(session: Session, employee_id: UUID, digest: str) -> Photo | None:
    """The photo that these bytes are already. Raises `TooManyPhotos` when they would be one too many."""
    check_room(session, employee_id, digest, 0)
    return next((photo for photo in photos.of(session, employee_id) if photo.digest == digest), None)


def digest_of(keys: KeyFolder, tenant: UUID, employee_id: UUID, sha: bytes) -> str:
    """For somebody who has agreed, because it may make the key of their photos. Raises `PhotosClosed`."""
    try:
        return digests.of(keys, tenant, employee_id, sha)
    except KeyDestroyed:
        raise PhotosClosed(CLOSED) from None


@jobs.every(timedelta(minutes=15), deletes=True)
def sweep_orphans(kernel: Kernel, now: datetime) -> None:
    """Removes photos, headshots and models that a crash left without a row."""
    tenants.each_id(kernel, _sweep_orphans_of, now)


def _sweep_orphans_of(kernel: Kernel, tenant: UUID, now: datetime) -> None:
    people = f"tenants/{tenant}/employees"
    kernel.objects.delete_unfinished(people, now - ORPHAN_AGE[KeyClass.SOURCE])
    old = [
        found.path
        for found in kernel.objects.list(people)
        if (under := filed(found.path)) and (age := ORPHAN_AGE.get(under[1])) and found.modified < now - age
    ]

    for start in range(0, len(old), 1000):
        paths = old[start : start + 1000]
        with kernel.db.transaction(tenant) as session:
            named = _named(session, paths)
        sweeping.alone(kernel, "orphans", tenant, sorted(set(paths) - named), now, kernel.objects.delete)


def _named(session: Session, paths: Sequence[str]) -> set[str]:
    handed_in = select(Photo.path).where(col(Photo.tenant_id) == tenant_of(session), col(Photo.path).in_(paths))
    made = select(Headshot.path).where(col(Headshot.tenant_id) == tenant_of(session), col(Headshot.path).in_(paths))
    arriving = select(Upload.path).where(col(Upload.tenant_id) == tenant_of(session), col(Upload.path).in_(paths))
    weights = SQLModel.metadata.tables["weights"]  # Of the room above, which knows this one.
    trained = select(weights.c.path).where(weights.c.tenant_id == tenant_of(session), weights.c.path.in_(paths))
    named = {path for query in (handed_in, made, arriving) for path in session.exec(query) if path}
    return named | set(session.execute(trained).scalars())


@jobs.every(timedelta(minutes=15))
def notice_missing(kernel: Kernel, now: datetime) -> None:
    """Marks photos whose object is not there, and takes the mark from those whose object is back.

    The person is told and can add the photo again; nothing is deleted for it, because a store that was away comes back.
    """
    tenants.each_id(kernel, _notice_missing_of, now)


def _notice_missing_of(kernel: Kernel, tenant: UUID, now: datetime) -> None:
    with kernel.db.transaction(tenant) as session:
        pictured = session.exec(
            select(Photo.id, Photo.path, Photo.missing_since).where(
                col(Photo.tenant_id) == tenant,
                col(Photo.state) != PhotoState.REJECTED,
                col(Photo.due_at) > now,  # Of others the object goes a moment before the row.
            )
        ).all()
    present = {found.path for found in kernel.objects.list(f"tenants/{tenant}/employees")} if pictured else set()
    for photo_id, path, since in pictured:
        # Asked once more, because a check may have put another object in its place since the list was made.
        if (path in present) == (since is None) or kernel.objects.exists(path) == (since is None):
            continue
        with kernel.db.transaction(tenant) as session:
            _mark(session, photo_id, path, now if since is None else None)


def _mark(session: Session, photo_id: UUID, path: str, missing_since: datetime | None) -> None:
    marked = session.execute(
        update(Photo)
        .where(col(Photo.tenant_id) == tenant_of(session), col(Photo.id) == photo_id, col(Photo.path) == path)
        .values(missing_since=missing_since)
        .returning(col(Photo.employee_id))
    ).first()
    if marked is not None:
        event = "photo.missing" if missing_since else "photo.found"
        ledger.record(session, event, subject=marked.employee_id, objects=[photo_id])
