"""Makes the studio portraits of an order: on a processor, without a GPU, without torch, and without training anything.

It has the same face towards the fleet as a studio. A process serves one order of one company and is ended afterwards.
"""

from __future__ import annotations

import io
import logging
import math
import time

from PIL import Image

from batch.vision.views import Floats
from gpu_cluster.cluster.bench import Bench
from gpu_cluster.cutout import sight
from gpu_cluster.cutout.backdrop import backdrop, of_picture
from gpu_cluster.cutout.limits import LIMITS
from gpu_cluster.cutout.portrait import Portrait, portrait
from gpu_cluster.cutout.sight import Sight
from gpu_cluster.engine import doubts
from gpu_cluster.engine.doubts import LATER, NO_WALL
from gpu_cluster.engine.lease import Lease
from gpu_cluster.engine.orders import PORTRAITS_SHOWN, LookShot, Order, Outcome, PersonOrder, Picture
from likeness.ground.errors import Unavailable
from likeness.keys.keys import KeyClass
from likeness.locale.marks import N_
from likeness.sandbox.offline import offline

log = logging.getLogger(__name__)

UNFORESEEN = N_("Something went wrong while the portraits were made. Your photos are kept, and you can ask for them again.")


class Darkroom(Bench):
    """Takes one order. What is cancelled ends within one picture."""

    def work(self, order: Order, sealed: bytes) -> list[Outcome]:
        """One person's failure is that person's outcome and leaves the others alone."""
        lease = Lease.opened(sealed, order, self._recipient)
        try:
            return offline(lambda: self._all(order, lease))
        finally:
            lease.end()

    def _all(self, order: Order, lease: Lease) -> list[Outcome]:
        outcomes, usable = [], [look for look in order.looks if _can_stand_behind(look)]
        for person in order.people:
            outcome, started = Outcome(person.sitting), time.monotonic()
            try:
                self._serve(order, usable, person, lease, outcome)
            except Unavailable as error:
                outcome.away, outcome.error = True, type(error).__name__
            except Exception as error:
                outcome.failure, outcome.error = UNFORESEEN, type(error).__name__
            outcome.seconds["cut"] = round(time.monotonic() - started, 2)
            outcomes.append(outcome)
        return outcomes

    def _serve(self, order: Order, usable: list[LookShot], person: PersonOrder, lease: Lease, outcome: Outcome) -> None:
        """Of all photos and looks that can be worked on; what one of them raises costs that one alone."""
        self._tell(person, 0)
        sights: list[Sight] = []
        cut_from: list[str] = []
        for path in person.photos:
            if self._left(person, outcome):
                return
            self._tell(person, 0)
            data = lease.get(person.employee, KeyClass.SOURCE, path)
            try:
                found = sight.look(Image.open(io.BytesIO(data)))
            except Exception as error:
                _note(outcome, error, path)
                continue
            if found is None:
                outcome.unused[path] = "no_face"
            else:
                sights.append(found)
                cut_from.append(path)
        places = sight.ranked(sights)
        if person.cut_from:
            places = [at for at, path in enumerate(cut_from) if path == person.cut_from]
        portraits, refused = self._portraits(person, sights, cut_from, places, outcome)
        if outcome.cancelled:
            return
        outcome.made, outcome.passed = len(portraits) + len(refused), len(portraits)
        if not portraits or not usable:
            # Nothing is said of a photo by which only the program is at fault.
            outcome.failure = UNFORESEEN if not usable or (outcome.error and not refused) else _sentence(refused)
            return
        for number, (at, look_at) in enumerate(pairs(len(portraits), len(usable))):
            if self._left(person, outcome):
                return
            (photo_at, made), look = portraits[at], usable[look_at]
            data = _jpeg(made.on(_behind(look)))
            path, _ = lease.put(person.employee, KeyClass.HEADSHOT, data)
            question = made.reasons[0] if made.verdict == "look" else None
            outcome.pictures.append(
                Picture(look.look, number, path, len(data), None, question, made.loosening, cut_from[photo_at])
            )
        there = {picture.look for picture in outcome.pictures}
        outcome.missed = {
            look.look: LATER if look in usable else NO_WALL for look in order.looks if look.look not in there
        }

    def _portraits(
        self, person: PersonOrder, sights: list[Sight], cut_from: list[str], places: list[int], outcome: Outcome
    ) -> tuple[list[tuple[int, Portrait]], list[Portrait]]:
        """What may be shown of the photos at these places, each with the place, and what may not."""
        own = sight.own_tone(sights)
        shown: list[tuple[int, Portrait]] = []
        refused: list[Portrait] = []
        for at in places:
            if self._left(person, outcome) or len(shown) == PORTRAITS_SHOWN:
                break
            try:
                made = portrait(sights[at], own)
            except Exception as error:
                _note(outcome, error, cut_from[at])
                continue
            if made.verdict == "refuse":
                refused.append(made)
                outcome.unused[cut_from[at]] = made.reasons[0]
            else:
                shown.append((at, made))
            self._tell(person, len(shown) + len(refused), passed=len(shown))
        # What needs no question comes first; among those, the better photo.
        return sorted(shown, key=lambda one: one[1].verdict == "look"), refused

    def _left(self, person: PersonOrder, outcome: Outcome) -> bool:
        outcome.cancelled = outcome.cancelled or self._board.is_cancelled(person.sitting)
        return outcome.cancelled

    def _tell(self, person: PersonOrder, step: int, passed: int = 0) -> None:
        self._board.tell(person.sitting, stage="rendering", step=step, made=step, passed=passed)


def pairs(portraits: int, looks: int, most: int = PORTRAITS_SHOWN) -> list[tuple[int, int]]:
    """Which portraits are shown on which looks: both in turns, so that each look is shown once before any is shown twice.

    The best portrait is on the company's first look, and no pair comes again.
    """
    again = math.lcm(portraits, looks)
    return [((at + at // again) % portraits, at % looks) for at in range(min(most, portraits * looks))]


def _note(outcome: Outcome, error: Exception, photo: str) -> None:
    """One photo that cannot be worked on is told to operators and its person, who keeps what is made of the others."""
    outcome.unused[photo] = doubts.UNFORESEEN
    log.warning("a photo could not be cut out", extra={"error": type(error).__name__})
    outcome.error = type(error).__name__


def _can_stand_behind(look: LookShot) -> bool:
    try:
        _behind(look)
    except Exception as error:
        log.warning("a look has no backdrop", extra={"look": str(look.look), "error": type(error).__name__})
        return False
    return True


def _behind(look: LookShot) -> Floats:
    return of_picture(Image.open(io.BytesIO(look.picture))) if look.picture else backdrop(look.wall)


def _sentence(refused: list[Portrait]) -> str:
    """What is wrong with the photo that came nearest, and what to do about it."""
    nearest = min(refused, key=lambda made: len(made.reasons), default=None)
    limit = LIMITS[nearest.reasons[0] if nearest else "no_face"]
    return f"{limit.sentence} {limit.action}"


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()
