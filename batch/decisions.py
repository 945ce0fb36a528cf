"""What people say to photos: the person overrules advice, taps their face, says which photos show them, deletes; HR
waves through without seeing."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

from sqlmodel import Session

from batch import employees, photos, sets
from batch.employees import EmployeeMissing
from batch.models import Photo, PhotoState
from batch.ways import MODEL
from likeness import jobs
from likeness.db import after_commit
from likeness.errors import Conflict, Unprocessable
from likeness.lanes import Lane
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
    """The person overrules what was said: a photo that was set aside shows them after all, and one with advice, or the
    second of one moment, counts. Raises `PhotoMissing`, `NoAdvice` and `OverruledOften`."""
    photos.permitted(session, employee_id)
    photo = photos.get(session, employee_id, photo_id)
    if photo.state == PhotoState.ACCEPTED:
        return photo
    if photo.state == PhotoState.ASIDE:
        _say(session, employee_id, [photo.id], [])
        return photo
    if photo.state not in (PhotoState.ADVISED, PhotoState.SPARE):
        raise NoAdvice("This photo cannot be used as it is. Please take another one.")
    if sum(other.used_anyway for other in photos.of(session, employee_id)) >= USED_ANYWAY:
        raise OverruledOften(f"{USED_ANYWAY} photos are used against our advice already. Please take a better one.")
    photo.used_anyway = True
    sets.settle(photos.of(session, employee_id))
    photos.record(session, "photo.overruled", photo, caller=f"employee:{employee_id}")
    return photo


class NothingSaid(Unprocessable):
    """At least one photo is named, and none as both."""

    title = "Say which photos show you"


def say_who(session: Session, employee_id: UUID, mine: Collection[UUID], not_mine: Collection[UUID]) -> None:
    """The person's answer to "which of these are you?"; it can be given again, and no comparison overrules it.

    Raises `PhotoMissing`, `NothingSaid`, and what `photos.permitted` raises.
    """
    photos.permitted(session, employee_id)
    if not (mine or not_mine) or set(mine) & set(not_mine):
        raise NothingSaid("Please choose the photos that show you.")
    for photo_id in {*mine, *not_mine}:
        photos.get(session, employee_id, photo_id)
    _say(session, employee_id, mine, not_mine)


def _say(session: Session, employee_id: UUID, mine: Collection[UUID], not_mine: Collection[UUID]) -> None:
    handed_in = photos.of(session, employee_id)
    sets.say(handed_in, mine, not_mine)
    for photo in handed_in:
        if photo.id in mine or photo.id in not_mine:
            event = "photo.claimed" if photo.id in mine else "photo.disowned"
            photos.record(session, event, photo, caller=f"employee:{employee_id}")
    # What was said parts the photos anew, and that needs their measures.
    jobs.send(session, photos.compare, str(employee_id), key=f"{employee_id}:{uuid4()}")


class WhoMissing(Conflict):
    """The photos show several people, and the person has not said which of them they are."""

    title = "Your photos show more than one person"


def hand_over(session: Session, employee_id: UUID) -> None:
    """The set as it is goes to be worked with. What counts is the person by their own word from here on; photos that
    were set aside are of no use any more and are deleted, and can be handed in again. Raises `WhoMissing`.
    """
    handed_in = photos.of(session, employee_id)
    if sets.must_ask(handed_in):
        raise WhoMissing("Please say first which of them you are. All your photos are kept until then.")
    for photo in sets.compared(handed_in):
        if photo.state != PhotoState.ASIDE and photo.is_me is None:
            photo.is_me = True
    if any(photo.state == PhotoState.ASIDE for photo in handed_in):
        jobs.send(session, drop_aside, str(employee_id), key=f"{employee_id}:{uuid4()}")


@jobs.actor(lane=Lane.PHOTOS)
def drop_aside(attempt: jobs.Attempt, employee_id: str) -> None:
    """Deletes what was set aside when a set was handed over, if it still is: its row stays and says why."""
    with attempt.finishing() as session:
        with contextlib.suppress(EmployeeMissing):
            photos.hold(session, UUID(employee_id))
        for photo in photos.of(session, UUID(employee_id)):
            if photo.state == PhotoState.ASIDE:
                photo.state, photo.bytes = PhotoState.REJECTED, 0
                photo.width = photo.height = 0
                after_commit(session, partial(attempt.kernel.objects.delete, photo.path))
                photos.record(session, "photo.rejected", photo)


@dataclass(frozen=True)
class Trouble:
    """What HR may know of somebody who does not get on: counts and reasons, never a photo."""

    uploads: int
    accepted: int
    advised: int
    aside: int
    reasons: dict[str, int]

    @property
    def helpable(self) -> bool:
        """Twelve uploads without eight good ones: then somebody at HR can wave through what is usable."""
        return self.uploads >= MANY_UPLOADS and self.accepted < MODEL.asked and self.advised + self.aside > 0


def trouble(session: Session, employee_id: UUID) -> Trouble:
    """Raises `EmployeeMissing`."""
    employees.get(session, employee_id)
    handed_in = photos.of(session, employee_id)
    states = Counter(photo.state for photo in handed_in)
    shown = (PhotoState.ADVISED, PhotoState.ASIDE, PhotoState.REJECTED)
    codes = (finding["code"] for photo in handed_in if photo.state in shown for finding in photo.findings)
    return Trouble(
        uploads=len(handed_in),
        accepted=states[PhotoState.ACCEPTED],
        advised=states[PhotoState.ADVISED],
        aside=sum(_may_be_waved(photo) for photo in handed_in if photo.state == PhotoState.ASIDE),
        reasons=dict(Counter(codes)),
    )


def _may_be_waved(photo: Photo) -> bool:
    """Not what the person said shows somebody else: their own word stands."""
    return photo.state in (PhotoState.ADVISED, PhotoState.ASIDE) and photo.is_me is not False


class NothingToWave(Conflict):
    """Twelve uploads without eight good ones come first, and at least one that is usable."""

    title = "There is nothing to wave through"


def wave_through(session: Session, employee_id: UUID, *, caller: str) -> int:
    """HR lets every usable photo of somebody count, without seeing one; returns how many. Those that were set aside
    count too, unless the person said themselves that somebody else is on them.

    Raises `EmployeeMissing`, `Restricted`, `ConsentMissing` and `NothingToWave`.
    """
    photos.permitted(session, employee_id)
    if not trouble(session, employee_id).helpable:
        raise NothingToWave("This person can still help themselves, or none of their photos is usable.")
    handed_in = photos.of(session, employee_id)
    usable = [photo for photo in handed_in if _may_be_waved(photo)]
    # Those that count already stay so: a word about the others must not turn the set around.
    for photo in handed_in:
        photo.waved = photo.waved or photo in usable or photo.state == PhotoState.ACCEPTED
    sets.settle(handed_in)
    for photo in usable:
        photos.record(session, "photo.waved", photo, caller=caller)
    return len(usable)


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
    sets.settle(photos.of(session, employee_id))
    jobs.send(session, photos.compare, str(employee_id), key=f"{employee_id}:{uuid4()}")
    after_commit(session, lambda: objects.delete(path))
    photos.record(session, "photo.removed", photo, caller=f"employee:{employee_id}")
