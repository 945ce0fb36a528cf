"""Which headshots are made next, and which of those that passed are shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from PIL import Image

from gpu_cluster.engine.judge import JudgeVerdict, thumb
from gpu_cluster.engine.orders import LookShot

THE_SAME = 0.985
"""Correlation of two 32 x 32 grey thumbnails from which a headshot is nearly the same as another of its look."""


@dataclass(frozen=True)
class JudgedPicture:
    """A headshot, and what the judge says of it."""

    verdict: JudgeVerdict
    look: LookShot
    image: Image.Image


class Contest:
    """Everything that was made of one person; an order keeps one for each of its people."""

    def __init__(self, looks: tuple[LookShot, ...]) -> None:
        self.looks = looks
        self.verdicts: list[JudgeVerdict] = []
        self.good: list[JudgedPicture] = []
        self._reasons: dict[UUID, Counter[str]] = {look.look: Counter() for look in looks}

    def enter(self, made: JudgedPicture) -> None:
        """What is nearly another picture of its look counts as none: a person wants a choice."""
        if made.verdict.passed and any(nearly_the_same(made, other) for other in self.good):
            made = replace(made, verdict=replace(made.verdict, passed=False, reasons=("repeated",)))
        self.verdicts.append(made.verdict)
        self._reasons[made.look.look].update(made.verdict.reasons)
        if made.verdict.passed:
            self.good.append(made)

    def turns(self, count: int) -> list[LookShot]:
        return short_looks(self.looks, self.good, count)

    def best(self, count: int) -> list[JudgedPicture]:
        return best(self.good)[:count]

    def rejected_alone(self) -> bool:
        """Whether something would have passed, had the person not said of others that they are not them."""
        return any(verdict.reasons == ("not_me",) for verdict in self.verdicts)

    def missed(self) -> dict[UUID, str]:
        """The looks of which nothing passed, each with the name in DOUBTS that most of its pictures were refused for."""
        there = {made.look.look for made in self.good}
        return {
            look: reasons.most_common(1)[0][0]
            for look, reasons in self._reasons.items()
            if reasons and look not in there
        }


def short_looks(looks: tuple[LookShot, ...], good: Sequence[JudgedPicture], count: int) -> list[LookShot]:
    """Whose turn the next `count` pictures are: always the look with the fewest, counting those already planned."""
    planned = Counter(made.look.look for made in good)
    turns = []
    for _ in range(count):
        look = min(looks, key=lambda look: planned[look.look])
        planned[look.look] += 1
        turns.append(look)
    return turns


def nearly_the_same(one: JudgedPicture, other: JudgedPicture) -> bool:
    if one.look.look != other.look.look:
        return False
    return float((thumb(one.image) * thumb(other.image)).mean()) > THE_SAME


def best(good: Sequence[JudgedPicture]) -> list[JudgedPicture]:
    """The likest of each look first, then the second of each, so that no look is crowded out by another.

    Within a look, pictures that something is odd about come last.
    """
    ranks: Counter[UUID] = Counter()
    ranked = []
    for made in sorted(good, key=lambda one: (not one.verdict.advice, one.verdict.likeness_ratio), reverse=True):
        ranked.append((ranks[made.look.look], made))
        ranks[made.look.look] += 1
    return [made for _, made in sorted(ranked, key=lambda pair: pair[0])]
