"""Makes the studio portraits of an order: on a processor, without a GPU, without torch, and without training anything.

It has the same face towards the fleet as a studio. A process serves one order of one company and is ended afterwards.
"""

from __future__ import annotations

import io
import time
from pathlib import Path
from uuid import UUID, uuid4

from PIL import Image

from gpu_cluster.board import Board
from gpu_cluster.cutout import sight
from gpu_cluster.cutout.backdrop import backdrop
from gpu_cluster.cutout.limits import LIMITS
from gpu_cluster.cutout.portrait import Portrait, portrait
from gpu_cluster.cutout.sight import Sight
from gpu_cluster.orders import Order, Outcome, Person, Picture, Progress
from likeness.errors import Unavailable
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.objects import Objects, person_path

SHOWN = 6
"""Pictures that a person chooses among. More are work to look through, fewer let chance decide."""
UNFORESEEN = "Something went wrong while the portraits were made. Your photos are kept, and you can ask for them again."


class Darkroom:
    """Takes one order. `progress` and `cancel` are called from another thread while `work` runs."""

    def __init__(self) -> None:
        self._board = Board()

    def progress(self) -> dict[UUID, Progress]:
        return self._board.progress()

    def cancel(self, sitting: UUID) -> None:
        """Takes effect within one picture."""
        self._board.cancel(sitting)

    def work(self, order: Order) -> list[Outcome]:
        """One person's failure is that person's outcome and leaves the others alone."""
        objects = Objects(order.objects_url, plain_http=order.objects_plain_http)
        keys = KeyFolder(Path(order.key_folder))
        outcomes = []
        for person in order.people:
            outcome, started = Outcome(person.sitting), time.monotonic()
            try:
                self._serve(order, person, objects, keys, outcome)
            except Unavailable as error:
                outcome.away, outcome.error = True, type(error).__name__
            except Exception as error:
                outcome.failure, outcome.error = UNFORESEEN, type(error).__name__
            outcome.seconds["cut"] = round(time.monotonic() - started, 2)
            outcomes.append(outcome)
        return outcomes

    def _serve(self, order: Order, person: Person, objects: Objects, keys: KeyFolder, outcome: Outcome) -> None:
        self._tell(person, 0)
        key = keys.open(KeyRef(order.tenant, person.employee, KeyClass.SOURCE))
        sights = []
        for path in person.photos:
            if self._left(person, outcome):
                return
            self._tell(person, 0)
            found = sight.look(Image.open(io.BytesIO(objects.get(path, key))))
            if found is not None:
                sights.append(found)
        portraits, refused = self._portraits(person, sights, outcome)
        if outcome.cancelled:
            return
        outcome.made, outcome.passed = len(portraits) + len(refused), len(portraits)
        if not portraits:
            outcome.failure = _sentence(refused)
            return
        key = keys.open_or_create(KeyRef(order.tenant, person.employee, KeyClass.HEADSHOT))
        for number, (at, look_at) in enumerate(pairs(len(portraits), len(order.looks))):
            if self._left(person, outcome):
                return
            made, look = portraits[at], order.looks[look_at]
            data = _jpeg(made.on(backdrop(look.wall)))
            path = person_path(order.tenant, person.employee, KeyClass.HEADSHOT, uuid4())
            objects.put(path, data, key)
            question = made.reasons[0] if made.verdict == "look" else None
            outcome.pictures.append(Picture(look.look, number, path, len(data), None, question, made.loosening))

    def _portraits(
        self, person: Person, sights: list[Sight], outcome: Outcome
    ) -> tuple[list[Portrait], list[Portrait]]:
        own = sight.own_tone(sights)
        shown: list[Portrait] = []
        refused: list[Portrait] = []
        for at in sight.ranked(sights):
            if self._left(person, outcome) or len(shown) == SHOWN:
                break
            made = portrait(sights[at], own)
            (refused if made.verdict == "refuse" else shown).append(made)
            self._tell(person, len(shown) + len(refused), passed=len(shown))
        # What needs no question comes first; among those, the better photo.
        return sorted(shown, key=lambda made: made.verdict == "look"), refused

    def _left(self, person: Person, outcome: Outcome) -> bool:
        outcome.cancelled = outcome.cancelled or self._board.is_cancelled(person.sitting)
        return outcome.cancelled

    def _tell(self, person: Person, step: int, passed: int = 0) -> None:
        self._board.tell(person.sitting, stage="rendering", step=step, made=step, passed=passed)


def pairs(portraits: int, looks: int, most: int = SHOWN) -> list[tuple[int, int]]:
    """Which portraits are shown on which looks: the best on the company's first, then both go on in turns."""
    every = [(at, look) for at in range(portraits) for look in range(looks)]
    return sorted(every, key=lambda pair: (sum(pair), pair))[:most]


def _sentence(refused: list[Portrait]) -> str:
    """What is wrong with the photo that came nearest, and what to do about it."""
    nearest = min(refused, key=lambda made: len(made.reasons), default=None)
    limit = LIMITS[nearest.reasons[0] if nearest else "no_face"]
    return f"{limit.sentence} {limit.action}"


def _jpeg(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()
