"""What people say to photos: the person overrules advice, taps their face, says which photos show them, deletes; HR
waves through without seeing."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from batch.models import Photo, PhotoState
from batch.people import employees, held
from batch.people.employees import EmployeeMissing
from batch.people.ways import MODEL
from batch.photos import digests, photos, sets
from batch.photos.intake import MOST
from likeness.ground.db import after_commit, row_of, tenant_of, utc_now
from likeness.ground.errors import Conflict, Gone, Unprocessable
from likeness.ground.lanes import Lane
from likeness.jobs import held as waiting
from likeness.jobs import jobs
from likeness.store.objects import Objects

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
        raise OverruledOften("Two photos are used against our advice already. Please take a better one.")
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
    """Deletes what was set aside when a set was handed over, if it still is: its row stays and says why. One that a legal
    hold keeps is treated as one that the person deletes."""
    with attempt.finishing() as session:
        with contextlib.suppress(EmployeeMissing):
            photos.hold(session, UUID(employee_id))
        for photo in photos.of(session, UUID(employee_id)):
            if photo.state != PhotoState.ASIDE:
                continue
            if held.covers(session, "photo", photo.id, now := utc_now()):
                _keep(session, photo, now)
            else:
                photo.state, photo.bytes = PhotoState.REJECTED, 0
                photo.width = photo.height = 0
                after_commit(session, partial(attempt.kernel.objects.delete, photo.path))
            photos.record(session, "photo.rejected", photo)


def _keep(session: Session, photo: Photo, now: datetime) -> None:
    """For a hold alone: the same picture may be handed in again, and is another photo then."""
    photo.removed_at, photo.due_at = now, min(photo.due_at, now)
    photo.state, photo.digest = PhotoState.REJECTED, digests.of_none()
    session.add(photo)


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
    # Of who opted out nothing is told: what still waits for its deletion would say that they had taken part.
    opted_out = employees.get(session, employee_id).opted_out_at is not None
    handed_in = [] if opted_out else photos.of(session, employee_id)
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
    # Asked first, so that who withdrew is answered for like who declined.
    if not trouble(session, employee_id).helpable:
        raise NothingToWave("This person can still help themselves, or none of their photos is usable.")
    photos.permitted(session, employee_id)
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
        raise NoSuchFace("Please choose one of the {n} faces.", n=len(photo.faces))
    photo.state, photo.face = PhotoState.CHECKING, index
    session.add(photo)
    jobs.send(session, photos.check, str(photo.id), key=f"{photo.id}:{uuid4()}")
    photos.record(session, "photo.chosen", photo, caller=f"employee:{employee_id}")
    return photo


def remove(session: Session, objects: Objects, employee_id: UUID, photo_id: UUID) -> None:
    """The person deletes a photo; its object goes once this is committed. One that a legal hold keeps is used for nothing
    from now on, and goes when the hold ends. Raises `PhotoMissing`.
    """
    photos.hold(session, employee_id)
    photo = photos.get(session, employee_id, photo_id)
    _delete(session, objects, photo, utc_now())
    _changed(session, employee_id)
    photos.record(session, "photo.removed", photo, caller=f"employee:{employee_id}")


class TooLateToKeep(Gone):
    """The ten seconds are over, or the photo was kept already."""

    title = "This photo can no longer be kept"


def remove_soon(session: Session, objects: Objects, employee_id: UUID, photo_id: UUID, now: datetime) -> None:
    """The person deletes a photo on their page: it counts for nothing at once, and its deletion begins in ten seconds, so
    that they can keep it after all. Raises `PhotoMissing`.
    """
    photos.hold(session, employee_id)
    photo = photos.get(session, employee_id, photo_id)
    if photo.state == PhotoState.REJECTED:
        remove(session, objects, employee_id, photo_id)  # Its picture is gone already.
        return
    was = str(photo.state)
    _let_go_soon(session, photo, was, now)
    _changed(session, employee_id)
    photos.record(session, "photo.leaving", photo, caller=f"employee:{employee_id}", facts={"was": was})


def _let_go_soon(session: Session, photo: Photo, was: str, now: datetime) -> None:
    waiting.hold(session, let_go, [(str(photo.employee_id), str(photo.id), was)], now)
    photo.removed_at, photo.state = now, PhotoState.REJECTED
    session.add(photo)


def remove_again(session: Session, photo_id: UUID, was: str, now: datetime) -> None:
    """After a restore: the person had deleted it within the last seconds, and may have kept it since."""
    photo = row_of(session, Photo, photo_id, locked=True)
    if photo is not None and photo.removed_at is None and photo.state != PhotoState.REJECTED:
        _let_go_soon(session, photo, was, now)


def keep_again(session: Session, photo_id: UUID, was: str) -> None:
    """After a restore: the person had kept it after all. Its deletion finds nothing to do then."""
    photo = row_of(session, Photo, photo_id, locked=True)
    if photo is not None and photo.removed_at is not None and photo.due_at > photo.removed_at:
        photo.removed_at, photo.state = None, PhotoState(was)
        session.add(photo)
        if photo.state == PhotoState.CHECKING:
            jobs.send(session, photos.check, str(photo.id), key=f"{photo.id}:{uuid4()}")


def leaving(session: Session, employee_id: UUID, now: datetime) -> list[UUID]:
    """Photos whose deletion has not begun yet."""
    return [UUID(one[2]) for one in waiting.waiting(session, let_go, employee_id, now)]


def keep(session: Session, employee_id: UUID, photo_id: UUID, now: datetime) -> None:
    """The person keeps a photo after all. Raises `TooLateToKeep`."""
    if photos.hold(session, employee_id).opted_out_at is not None:
        raise TooLateToKeep("You have withdrawn your consent, so that no photo is kept.")
    if len(photos.of(session, employee_id)) >= MOST:
        raise TooLateToKeep("You have added others meanwhile, and there is no room for it. Delete one first.")
    mine = [one for one in waiting.waiting(session, let_go, employee_id, now) if one[2] == str(photo_id)]
    photo = _removed(session, employee_id, photo_id)
    if not mine or photo is None:
        raise TooLateToKeep("Its deletion has begun, or you have kept it already. A deleted photo can be added again.")
    try:
        ((_, _, _, state),) = waiting.call_off(session, let_go, UUID(mine[0][0]), now)
    except waiting.TooLateToTakeBack:
        raise TooLateToKeep(
            "Its deletion has begun, or you have kept it already. A deleted photo can be added again."
        ) from None
    photo.removed_at, photo.state = None, PhotoState(state)
    session.add(photo)
    if photo.state == PhotoState.CHECKING:  # Its check may have come by meanwhile, and found nothing to do.
        jobs.send(session, photos.check, str(photo.id), key=f"{photo.id}:{uuid4()}")
    _changed(session, employee_id)
    photos.record(session, "photo.kept", photo, caller=f"employee:{employee_id}", facts={"was": str(photo.state)})


@jobs.actor(lane=Lane.PRIVACY)
def let_go(attempt: jobs.Attempt, act: str, employee_id: str, photo_id: str, state: str) -> None:
    """The ten seconds are over. A photo that was handed in again within them stays."""
    person, now = UUID(employee_id), utc_now()
    with attempt.finishing() as session, contextlib.suppress(EmployeeMissing):
        photos.hold(session, person)
        photo = _removed(session, person, UUID(photo_id))
        if photo is not None:
            _delete(session, attempt.kernel.objects, photo, now)
            _changed(session, person)
            photos.record(session, "photo.removed", photo, caller=f"employee:{person}")


def _removed(session: Session, employee_id: UUID, photo_id: UUID) -> Photo | None:
    return session.exec(
        select(Photo).where(
            col(Photo.tenant_id) == tenant_of(session),
            col(Photo.employee_id) == employee_id,
            col(Photo.id) == photo_id,
            col(Photo.removed_at).is_not(None),
            col(Photo.due_at) > col(Photo.removed_at),
        )
    ).one_or_none()


def _delete(session: Session, objects: Objects, photo: Photo, now: datetime) -> None:
    """Its object goes once this is committed. One that a legal hold keeps goes when the hold ends."""
    if held.covers(session, "photo", photo.id, now):
        _keep(session, photo, now)
    else:
        path = photo.path
        session.delete(photo)
        after_commit(session, lambda: objects.delete(path))
    session.flush()


def _changed(session: Session, employee_id: UUID) -> None:
    session.flush()
    sets.settle(photos.of(session, employee_id))
    jobs.send(session, photos.compare, str(employee_id), key=f"{employee_id}:{uuid4()}")


def kept(session: Session, employee_id: UUID, now: datetime) -> int:
    """How many deleted photos a legal hold keeps until it ends; of a hold that the person may know of."""
    told = text(held.TOLD.format(table="photo", cls=held.CLASSES["photo"])).bindparams(holds_now=now)
    mine = (col(Photo.tenant_id) == tenant_of(session), col(Photo.employee_id) == employee_id, told)
    gone = (col(Photo.removed_at).is_not(None), col(Photo.due_at) <= col(Photo.removed_at))
    return session.exec(select(func.count()).select_from(Photo).where(*mine, *gone)).one()
