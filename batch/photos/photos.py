"""Photos: the selfies a person handed in, and their checks. Before comes `intake.py`, and after it `decisions.py`.

A photo is inspected in a limited child process, and replaced by a clean picture made from its pixels alone. While the
inspector is down it says "checking": it never passes and never fails unseen. After each photo the whole set is compared
anew (`sets.py`), by face measures that are kept in memory only (`measures.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from batch.models import Consent, Employee, Photo, PhotoState, Purpose
from batch.people import ways
from batch.people.employees import EmployeeMissing
from batch.photos import rejections, sets
from batch.photos.measures import KNOWN, Measure
from batch.vision import inspection
from batch.vision.inspection import Inspection
from batch.visit import consents
from batch.visit.consents import ConsentMissing
from likeness import ledger
from likeness.ground.db import Database, rows_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, NotFound
from likeness.ground.lanes import Lane
from likeness.jobs import jobs, sweeping
from likeness.jobs.jobs import Job, JobState
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.locale.words import words
from likeness.store.objects import person_path
from likeness.store.storage import ObjectMissing
from tenants import tenants

CHECK_AGAIN = timedelta(minutes=2)


def hold(session: Session, employee_id: UUID) -> Employee:
    """The person, locked until the transaction ends: uploads, hand-ins and withdrawals of one person take turns.

    Raises `EmployeeMissing`.
    """
    person = session.exec(
        select(Employee)
        .where(col(Employee.tenant_id) == tenant_of(session), col(Employee.id) == employee_id)
        # Not the strongest lock, so that rows which only refer to the person can still be written.
        .with_for_update(key_share=True)
    ).first()
    if person is None:
        raise EmployeeMissing
    return person


class Restricted(Conflict):
    """The person asked that nothing be done with their data for now (GDPR article 18)."""

    title = "Nothing is done with your data for now"


def permitted(session: Session, employee_id: UUID) -> Consent:
    """The consent that whatever is done with a face rests on; it and the person stay locked until the transaction ends.

    Raises `EmployeeMissing`, `Restricted` and `ConsentMissing`.
    """
    consent = agreed(session, hold(session, employee_id))
    # Whoever withdraws this consent waits until the row that rests on it is written, and then finds that row.
    session.refresh(consent, with_for_update={"read": True})
    if consent.withdrawn_at is not None:
        raise ConsentMissing("You have withdrawn your consent.")
    return consent


def agreed(session: Session, person: Employee) -> Consent:
    if person.restricted_at is not None:
        raise Restricted("The use of your photos was stopped on request. Lift that first.")
    return consents.require(session, person.id)


def source_key(tenant: UUID, employee_id: UUID) -> KeyRef:
    return KeyRef(tenant, employee_id, KeyClass.SOURCE)


def of(session: Session, employee_id: UUID) -> list[Photo]:
    """All photos of a person, oldest first, but for those that a legal hold alone keeps: deleted, or past their day."""
    there = col(Photo.removed_at).is_(None), col(Photo.due_at) > utc_now()
    oldest_first = col(Photo.created_at), col(Photo.id)
    return rows_of(session, Photo, col(Photo.employee_id) == employee_id, *there, by=oldest_first)


def accepted(session: Session, employee_id: UUID) -> list[Photo]:
    """The photos that count, oldest first."""
    return [photo for photo in of(session, employee_id) if counts(photo)]


def counts(photo: Photo) -> bool:
    return photo.state == PhotoState.ACCEPTED and photo.missing_since is None


class PhotoMissing(NotFound):
    """There is no such photo, or it is somebody else's."""

    title = "There is no such photo"


def get(session: Session, employee_id: UUID, photo_id: UUID) -> Photo:
    """Raises `PhotoMissing`."""
    photo = session.exec(
        select(Photo).where(
            col(Photo.tenant_id) == tenant_of(session),
            col(Photo.employee_id) == employee_id,
            col(Photo.id) == photo_id,
            col(Photo.removed_at).is_(None),
            col(Photo.due_at) > utc_now(),
        )
    ).first()
    if photo is None:
        raise PhotoMissing("There is no such photo.")
    return photo


class PictureNotReady(Conflict):
    """Before the check there is no clean picture, and what came is not shown to a browser."""

    title = "The photo is still being checked"


def picture(kernel: Kernel, tenant: UUID, employee_id: UUID, photo_id: UUID, now: datetime) -> bytes:
    """The clean JPEG, for its owner alone. Raises `PhotoMissing` and `PictureNotReady`."""
    with kernel.db.transaction(tenant) as session:
        photo = get(session, employee_id, photo_id)
    if photo.state == PhotoState.CHECKING:
        raise PictureNotReady("This photo is still being checked. It shows in a moment.")
    if photo.state == PhotoState.REJECTED or photo.due_at <= now:
        raise PhotoMissing("This photo was deleted.")
    return kernel.objects.get(photo.path, kernel.keys.open(source_key(tenant, employee_id)))


@dataclass(frozen=True)
class SetProgress:
    """How far the set is: what counts, what is still being looked at, and what it lacks in one sentence.

    `who` is true while nobody has said which of several people it is; headshots wait for that.
    """

    accepted: int
    checking: int
    hint: str
    """In English here; whoever shows it says it in the reader's language, from what is lacking."""
    needed: int
    asked: int
    recipes: tuple[str, ...] = ()
    """What may be made of them now: ways that the person agreed to and that have enough photos."""
    who: bool = False
    lacks: tuple[str, ...] = ()

    @property
    def meter(self) -> inspection.Meter:
        return inspection.Meter(self.accepted, self.asked, self.lacks)

    @property
    def enough(self) -> bool:
        return self.accepted >= self.needed and not self.who


def progress(session: Session, employee_id: UUID) -> SetProgress:
    photos, agreed = of(session, employee_id), consents.recipes(session, employee_id)
    ways_to = [ways.photos_for(recipe) for recipe in agreed] or [ways.MODEL]
    needed, asked = min(each.needed for each in ways_to), max(each.asked for each in ways_to)
    good = [photo for photo in photos if counts(photo)]
    meter = inspection.meter([p.pose for p in good], [_colour(p.dress) for p in good], asked=asked)
    return SetProgress(
        accepted=len(good),
        checking=sum(photo.state == PhotoState.CHECKING for photo in photos),
        hint=meter.said(words("en")),
        needed=needed,
        asked=asked,
        recipes=tuple(recipe for recipe in agreed if ways.photos_for(recipe).needed <= len(good)),
        who=sets.must_ask(photos),
        lacks=meter.wishes,
    )


def _colour(dress: Sequence[int] | None) -> inspection.Colour | None:
    if not dress:
        return None
    red, green, blue = dress
    return red, green, blue


class Overtaken(Conflict):
    """Another photo of the person was accepted while this one was compared without it."""


OVERTAKEN = 5
"""Tries to compare a set that others add to at the same time; each costs what the new ones cost to measure."""


@jobs.actor(lane=Lane.PHOTOS, attempts=5, lease=timedelta(seconds=45))
def check(attempt: jobs.Attempt, photo_id: str) -> None:
    """Inspects a photo, puts the clean picture in the place of what came, writes the verdict, and compares the set.

    A failed attempt leaves the photo "checking"; when the last one has failed, `check_again` sends a new job.
    """
    kernel = attempt.kernel
    with attempt.transaction() as session:
        photo = _to_check(session, UUID(photo_id))
        comparable = photo is not None and _comparable(session, photo.employee_id)
    if photo is None:
        return
    key = kernel.keys.open(source_key(attempt.tenant, photo.employee_id))
    seen = _inspected(kernel.objects.get(photo.path, key), photo, measure=comparable)
    state = sets.state_of(seen)
    clean = ""
    if state != PhotoState.REJECTED and seen.picture:
        clean = person_path(attempt.tenant, photo.employee_id, KeyClass.SOURCE, uuid4())
        kernel.objects.put(clean, seen.picture, key)
    measured = {photo.id: sets.measure_of(seen)} if comparable and state in sets.COMPARED else {}
    left = _finish(
        attempt,
        photo.employee_id,
        measured,
        write=lambda session: _write_verdict(session, photo, state, seen, clean),
        undo=lambda: kernel.objects.delete(clean) if clean else None,
    )
    for path in left:
        kernel.objects.delete(path)


@jobs.actor(lane=Lane.PHOTOS, attempts=5, lease=timedelta(seconds=45))
def compare(attempt: jobs.Attempt, employee_id: str) -> None:
    """Compares a set anew after it changed otherwise than by a new photo."""
    with contextlib.suppress(EmployeeMissing):  # Erased since: there is nothing left to compare.
        _finish(attempt, UUID(employee_id), {}, write=lambda session: [], undo=lambda: None)


def _finish(
    attempt: jobs.Attempt,
    employee_id: UUID,
    measured: Mapping[UUID, Measure],
    *,
    write: Callable[[Session], list[str]],
    undo: Callable[[], None],
) -> list[str]:
    """Ends the job with what it writes and with the set as it then is, compared: both commit together.

    Measuring is slow and happens before the transaction; if the set has grown meanwhile, it is measured again. `undo`
    is run when nothing of it was committed for certain.
    """
    KNOWN.watch(attempt.tenant, employee_id, StillHere(attempt.kernel.db))
    for photo_id, measure in measured.items():
        KNOWN.keep(employee_id, photo_id, measure)
    for _ in range(OVERTAKEN):
        known = {**_measured(attempt, employee_id), **measured}
        rolled_back: list[bool] = []
        try:
            with attempt.finishing(partial(rolled_back.append, True)) as session:
                hold(session, employee_id)
                left = write(session)
                _arrange(session, employee_id, known)
            return left
        except Overtaken:
            continue
        except BaseException:
            if rolled_back:
                undo()
            raise
    undo()
    raise Overtaken


@dataclass(frozen=True)
class StillHere:
    """Asks after people whose measures are in memory; alike for the same database, so that it is one question for all."""

    db: Database

    def __call__(self, tenant: UUID, people: Collection[UUID]) -> set[UUID]:
        with self.db.transaction(tenant) as session:
            return set(
                session.exec(
                    select(Employee.id).where(
                        col(Employee.tenant_id) == tenant,
                        col(Employee.id).in_(people),
                        col(Employee.opted_out_at).is_(None),
                        col(Employee.restricted_at).is_(None),
                    )
                )
            )


def _arrange(session: Session, employee_id: UUID, known: Mapping[UUID, Measure]) -> None:
    photos = of(session, employee_id)
    if not _comparable(session, employee_id):
        KNOWN.forget(employee_id)
        return
    known = KNOWN.of(employee_id, {photo.id for photo in photos}) | dict(known)
    if any(photo.id not in known for photo in sets.compared(photos)):
        raise Overtaken
    for photo in sets.arrange(photos, known):
        record(session, f"photo.{photo.state}", photo)


def _measured(attempt: jobs.Attempt, employee_id: UUID) -> dict[UUID, Measure]:
    """Measures of all photos that take part, from memory; those that this process has not seen are opened for it."""
    with attempt.transaction() as session:
        photos = sets.compared(of(session, employee_id)) if _comparable(session, employee_id) else []
        waiting = {photo.id for photo in of(session, employee_id) if photo.state == PhotoState.CHECKING}
    known = KNOWN.of(employee_id, {photo.id for photo in photos} | waiting)
    for photo in photos:
        if photo.id not in known:
            key = attempt.kernel.keys.open(source_key(attempt.tenant, employee_id))
            try:
                data = attempt.kernel.objects.get(photo.path, key)
            except ObjectMissing:
                known[photo.id] = Measure()  # Nothing can be said about it; who deletes it ends this as well.
                continue
            known[photo.id] = sets.measure_of(inspection.inspect(data))
            KNOWN.keep(employee_id, photo.id, known[photo.id])
    return known


def _to_check(session: Session, photo_id: UUID) -> Photo | None:
    return session.exec(
        select(Photo).where(
            col(Photo.tenant_id) == tenant_of(session),
            col(Photo.id) == photo_id,
            col(Photo.state) == PhotoState.CHECKING,
        )
    ).first()


def _inspected(data: bytes, photo: Photo, *, measure: bool) -> Inspection:
    """Looks for the face that was tapped by its place: in the clean picture another number of faces may be found."""
    tapped = photo.faces[photo.face] if photo.face is not None else None
    return inspection.inspect(data, tapped=inspection.box(tapped) if tapped else None, measure=measure)


def _comparable(session: Session, employee_id: UUID) -> bool:
    """Face measures are taken only with the consent to that very purpose."""
    return Purpose.BIOMETRIC in consents.standing(session, employee_id)


def _write_verdict(session: Session, photo: Photo, state: PhotoState, seen: Inspection, clean: str) -> list[str]:
    """Writes the verdict if the photo still waits for it, and returns the objects that nobody needs any more."""
    kept = state != PhotoState.REJECTED
    written = session.execute(
        update(Photo)
        .where(
            col(Photo.tenant_id) == tenant_of(session),
            col(Photo.id) == photo.id,
            col(Photo.state) == PhotoState.CHECKING,
            col(Photo.path) == photo.path,
        )
        .values(
            state=state,
            path=clean or photo.path,
            findings=[asdict(finding) for finding in seen.findings],
            faces=[list(box) for box in seen.boxes] if state == PhotoState.CHOOSING else [],
            width=seen.width if kept else 0,
            height=seen.height if kept else 0,
            pose=seen.pose if kept else "",
            dress=list(seen.dress) if kept and seen.dress else None,
            bytes=len(seen.picture or b"") if kept else 0,
            checked_at=func.now(),
        )
        .returning(col(Photo.id))
    ).first()
    if written is None:
        return [clean] if clean else []
    record(session, f"photo.{state}", photo)
    rejections.note(session, seen.findings, utc_now(), refused=not kept)
    return [photo.path] if kept else [path for path in (photo.path, clean) if path]


@jobs.every(timedelta(minutes=1))
def check_again(kernel: Kernel, now: datetime) -> None:
    """After the inspector was down: a new job for photos that say "checking" though no job is on its way."""
    forgotten: dict[UUID, list[UUID]] = {}

    def look(session: Session) -> None:
        forgotten[tenant_of(session)] = [photo.id for photo in _forgotten(session, now)]

    def send(session: Session, photo_id: UUID) -> None:
        jobs.send(session, check, str(photo_id), key=f"{photo_id}:{uuid4()}")

    tenants.for_each(kernel, look)
    for tenant, waiting in forgotten.items():
        sweeping.each(kernel, "check-again", tenant, waiting, now, send)


def _forgotten(session: Session, now: datetime) -> list[Photo]:
    waiting = session.exec(
        select(Photo).where(
            col(Photo.tenant_id) == tenant_of(session),
            col(Photo.state) == PhotoState.CHECKING,
            col(Photo.created_at) < now - CHECK_AGAIN,
            col(Photo.missing_since).is_(None),
        )
    ).all()
    if not waiting:
        return []
    under_way = session.exec(
        select(Job.args).where(
            col(Job.tenant_id) == tenant_of(session),
            col(Job.kind) == jobs.name_of(check),
            col(Job.state).in_((JobState.READY, JobState.RUNNING)),
        )
    ).all()
    busy = {args[0] for args in under_way}
    return [photo for photo in waiting if str(photo.id) not in busy]


def record(
    session: Session, event: str, photo: Photo, *, caller: str = ledger.SYSTEM, facts: Mapping[str, str] | None = None
) -> None:
    ledger.record(session, event, caller=caller, subject=photo.employee_id, objects=[photo.id], facts=facts)
