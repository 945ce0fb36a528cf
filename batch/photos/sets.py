"""The set: all photos of one person together, who they show and which of them count.

Who somebody is follows from the whole set and from what they said themselves, never from the order in which photos
came, and no verdict about it is final: photos of somebody else are set aside, sealed like the others, until the set is
handed in. A majority decides only as long as the person has said nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

from batch.models import Photo, PhotoState
from batch.photos import groups
from batch.photos.measures import Measure
from batch.vision import inspection
from batch.vision.inspection import Inspection
from likeness.ground.db import utc_now

COMPARED = (PhotoState.ADVISED, PhotoState.ACCEPTED, PhotoState.ASIDE, PhotoState.SPARE)
"""Photos of one face that can be used; the rest has no part in who is who."""
STANDING = {PhotoState.ASIDE: inspection.ANOTHER_PERSON, PhotoState.SPARE: inspection.NEAR_DUPLICATE}


def compared(photos: Iterable[Photo]) -> list[Photo]:
    return [photo for photo in photos if photo.state in COMPARED]


def state_of(seen: Inspection) -> PhotoState:
    """What a photo is worth by itself."""
    kinds = {finding.kind for finding in seen.findings}
    if "reject" in kinds:
        return PhotoState.REJECTED
    if seen.needs_choice:
        return PhotoState.CHOOSING
    if not seen.accepted:
        return PhotoState.REJECTED
    return PhotoState.ADVISED if "advice" in kinds else PhotoState.ACCEPTED


def measure_of(seen: Inspection) -> Measure:
    return Measure(seen.embedding or (), seen.look, seen.face_pixels)


def standing(seen: Sequence[Inspection]) -> list[PhotoState]:
    """What each of several photos of one person is worth beside the others, without any of them being stored."""
    nobody = UUID(int=0)
    photos = [
        Photo(tenant_id=nobody, employee_id=nobody, consent_id=nobody, path="", digest="", due_at=utc_now(),
              state=state_of(one), findings=[asdict(finding) for finding in one.findings])
        for one in seen
    ]  # fmt: skip
    arrange(photos, {photo.id: measure_of(one) for photo, one in zip(photos, seen, strict=True)})
    return [PhotoState(photo.state) for photo in photos]


def arrange(photos: Sequence[Photo], measured: Mapping[UUID, Measure]) -> list[Photo]:
    """Compares a whole set, which changes the rows; returns the photos whose state has changed.

    `photos` come oldest first. A photo that shows no measurable face stands by itself and is left as it is.
    """
    mine = compared(photos)
    known = {photo.id: measured[photo.id] for photo in mine if photo.id in measured}
    number_of = {
        photo_id: number
        for number, group in enumerate(groups.people(known, {photo.id: photo.is_me for photo in mine}), start=1)
        for photo_id in group
    }
    for photo in mine:
        photo.person = number_of.get(photo.id)
        photo.twin_of = None
    _pair(mine, known)
    return settle(photos)


def _pair(mine: Sequence[Photo], known: Mapping[UUID, Measure]) -> None:
    """Of nearly equal photos of one person the better one stays: without advice, with the larger face, the older."""
    standing: list[Photo] = []
    order = sorted(mine, key=lambda photo: (_advised(photo), -known[photo.id].pixels if photo.id in known else 0))
    for photo in order:
        if photo.person is None or photo.used_anyway:
            continue
        twin = next(
            (
                other
                for other in standing
                if other.person == photo.person and groups.same_look(known[photo.id], known[other.id])
            ),
            None,
        )
        if twin:
            photo.twin_of = twin.id
        else:
            standing.append(photo)


def settle(photos: Sequence[Photo]) -> list[Photo]:
    """What each photo is worth, from who is on it and what was said; returns those whose state has changed."""
    mine = compared(photos)
    counted, there = _who_counts(mine), {photo.id for photo in mine}
    changed = []
    for photo in mine:
        state = _worth(photo, counted, there)
        findings = [finding for finding in photo.findings if finding["kind"] != "set"]
        if state in STANDING:
            findings.append(asdict(STANDING[state]))
        if photo.state != state:
            photo.state = state
            changed.append(photo)
        if photo.findings != findings:
            photo.findings = findings
    return changed


def _worth(photo: Photo, counted: Collection[int], there: Collection[UUID]) -> PhotoState:
    if photo.is_me is False:
        return PhotoState.ASIDE
    if not (photo.is_me or photo.waved or photo.person is None or photo.person in counted):
        return PhotoState.ASIDE
    if photo.twin_of in there and not photo.used_anyway:
        return PhotoState.SPARE
    return PhotoState.ADVISED if _advised(photo) and not photo.waved else PhotoState.ACCEPTED


def _advised(photo: Photo) -> bool:
    return not photo.used_anyway and any(finding["kind"] == "advice" for finding in photo.findings)


def _who_counts(mine: Sequence[Photo]) -> set[int]:
    told = _told(mine)
    if told:
        return told
    unsaid = [photo.person for photo in mine if photo.person and photo.person not in _strangers(mine)]
    # Of as many photos the older one's person: people are numbered so.
    return {max(set(unsaid), key=lambda person: (unsaid.count(person), -person))} if unsaid else set()


def _told(mine: Iterable[Photo]) -> set[int]:
    """The people that somebody said are the person: themselves, or HR, which let photos through without seeing them."""
    return {photo.person for photo in mine if photo.person and (photo.is_me or (photo.waved and photo.is_me is None))}


def _strangers(mine: Iterable[Photo]) -> set[int]:
    return {photo.person for photo in mine if photo.person and photo.is_me is False}


@dataclass(frozen=True)
class Somebody:
    """One of the people on the photos, as far as it is not known who it is."""

    person: int
    photos: tuple[Photo, ...]
    counts: bool


def unclear(photos: Sequence[Photo]) -> list[Somebody]:
    """Whom the person is asked about: "which of these are you?". Empty when there is nothing to ask."""
    mine = compared(photos)
    told, strangers, counted = _told(mine), _strangers(mine), _who_counts(mine)
    numbers = {photo.person for photo in mine if photo.person}
    asked = sorted(numbers - told - strangers)
    if not asked or (not told and len(asked) == 1):
        return []
    return [
        Somebody(number, tuple(photo for photo in mine if photo.person == number), number in counted)
        for number in asked
    ]


def must_ask(photos: Sequence[Photo]) -> bool:
    """Whether headshots wait for the answer: nobody has said yet which of several people it is."""
    return bool(unclear(photos)) and not _told(compared(photos))


def say(photos: Sequence[Photo], mine: Collection[UUID], not_mine: Collection[UUID]) -> list[Photo]:
    """The person's own answer, which stands against every comparison; returns the photos whose state has changed."""
    for photo in compared(photos):
        if photo.id in mine:
            photo.is_me = True
        elif photo.id in not_mine:
            photo.is_me = False
    return settle(photos)
