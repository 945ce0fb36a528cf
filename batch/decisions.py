"""What people say to photos: the person overrules advice, taps their face, deletes; HR waves through without seeing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlmodel import Session

from batch import employees, photos
from batch.models import Photo, PhotoState
from batch.ways import MODEL
from likeness import jobs
from likeness.db import after_commit
from likeness.errors import Conflict, Unprocessable
from likeness.objects import Objects

MANY_UPLOADS = 12
USED_ANYWAY = 2
"""How often a person may overrule advice; more poor photos than that make poor headshots."""


class NoAdvice(Conflict):
    """Only a photo with advice can be used anyway."""

    title = "There is nothing to overrule on this photo"


class OverruledOften(Conflict):
    """Two photos may be used against the advice."""

    title = "Two photos are used against advice already"


def use_anyway(session: Session, employee_id: UUID, photo_id: UUID) -> Photo:
    """The person overrules the advice; the photo counts. Raises `PhotoMissing`, `NoAdvice` and `OverruledOften`."""
    photos.permitted(session, employee_id)
    photo = photos.get(session, employee_id, photo_id)
    if photo.state == PhotoState.ACCEPTED:
        return photo
    if photo.state != PhotoState.ADVISED:
        raise NoAdvice("This photo cannot be used as it is. Please take another one.")
    if sum(other.used_anyway for other in photos.of(session, employee_id)) >= USED_ANYWAY:
        raise OverruledOften(f"{USED_ANYWAY} photos are used against our advice already. Please take a better one.")
    photo.state, photo.used_anyway = PhotoState.ACCEPTED, True
    session.add(photo)
    photos.record(session, "photo.overruled", photo, caller=f"employee:{employee_id}")
    return photo


@dataclass(frozen=True)
class Trouble:
    """What HR may know of somebody who does not get on: counts and reasons, never a photo."""

    uploads: int
    accepted: int
    advised: int
    reasons: dict[str, int]

    @property
    def helpable(self) -> bool:
        """Twelve uploads without eight good ones: then somebody at HR can wave through what is usable."""
        return self.uploads >= MANY_UPLOADS and self.accepted < MODEL.asked and self.advised > 0


def trouble(session: Session, employee_id: UUID) -> Trouble:
    """Raises `EmployeeMissing`."""
    employees.get(session, employee_id)
    handed_in = photos.of(session, employee_id)
    states = Counter(photo.state for photo in handed_in)
    shown = (PhotoState.ADVISED, PhotoState.REJECTED)
    codes = (finding["code"] for photo in handed_in if photo.state in shown for finding in photo.findings)
    return Trouble(len(handed_in), states[PhotoState.ACCEPTED], states[PhotoState.ADVISED], dict(Counter(codes)))


class NothingToWave(Conflict):
    """Twelve uploads without eight good ones come first, and at least one that is usable."""

    title = "There is nothing to wave through"


def wave_through(session: Session, employee_id: UUID, *, caller: str) -> int:
    """HR lets every usable photo of somebody count, without seeing one; returns how many.

    Raises `EmployeeMissing`, `Restricted`, `ConsentMissing` and `NothingToWave`.
    """
    photos.permitted(session, employee_id)
    if not trouble(session, employee_id).helpable:
        raise NothingToWave("This person can still help themselves, or none of their photos is usable.")
    advised = [photo for photo in photos.of(session, employee_id) if photo.state == PhotoState.ADVISED]
    for photo in advised:
        photo.state = PhotoState.ACCEPTED
        session.add(photo)
        photos.record(session, "photo.waved", photo, caller=caller)
    return len(advised)


class NothingToChoose(Conflict):
    """Only a photo of several people asks which of them it is about."""

    title = "There is no choice of faces on this photo"


class NoSuchFace(Unprocessable):
    title = "There is no such face in this photo"


def choose_face(session: Session, employee_id: UUID, photo_id: UUID, index: int) -> Photo:
    """The person tapped their own face, which is cut out and checked.

    Raises `PhotoMissing`, `NothingToChoose` and `NoSuchFace`.
    """
    photos.permitted(session, employee_id)
    photo = photos.get(session, employee_id, photo_id)
    if photo.state != PhotoState.CHOOSING:
        raise NothingToChoose("This photo does not ask which face is yours.")
    if not 0 <= index < len(photo.faces):
        raise NoSuchFace(f"Please choose one of the {len(photo.faces)} faces.")
    photo.state, photo.face = PhotoState.CHECKING, index
    session.add(photo)
    jobs.send(session, photos.check, str(photo.id), key=f"{photo.id}:{uuid4()}")
    photos.record(session, "photo.chosen", photo, caller=f"employee:{employee_id}")
    return photo


def remove(session: Session, objects: Objects, employee_id: UUID, photo_id: UUID) -> None:
    """The person deletes a photo; its object goes once this is committed. Raises `PhotoMissing`."""
    photos.hold(session, employee_id)
    photo = photos.get(session, employee_id, photo_id)
    path = photo.path
    session.delete(photo)
    session.flush()
    after_commit(session, lambda: objects.delete(path))
    photos.record(session, "photo.removed", photo, caller=f"employee:{employee_id}")
