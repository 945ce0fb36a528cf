"""Who is who in a set of photos: which show the same person, and which are of nearly the same moment.

The order in which photos came plays no part: every photo is compared with every other, anew whenever the set changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from batch.photos.measures import Measure

TOGETHER = 0.6
"""Mean distance of two groups up to which they are one person. dlib's own rule; of photographs of one person the mean
is 0.41 and 5 % of the pairs lie over 0.54, of two people 0.1 % lie under 0.593. A question more costs one tap."""
SAME_LOOK = 0.3
"""The most that two looks of one moment differ anywhere in the face, in standard deviations of its brightness. Copies
that were made smaller, cut, turned or lightened have 0.38 at most and mostly under 0.25; a smile beside a neutral face
has 0.54 and more."""
SIDE = 64
EDGE_Y, EDGE_X, PATCH = 6, 8, 7

Numbers = NDArray[np.float64]


def people(measured: Mapping[UUID, Measure], said: Mapping[UUID, bool | None]) -> list[list[UUID]]:
    """The photos by person, the person with most photos first, and of as many whose photo comes first in `measured`.

    Groups are merged by their mean distance, nearest first, so that no single photo binds two people together. What the
    person said parts groups: a photo that is theirs (True) and one that is not (False) never come together.
    """
    ids = [photo_id for photo_id, measure in measured.items() if measure.embedding]
    if not ids:
        return []
    points = np.array([measured[photo_id].embedding for photo_id in ids])
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    words = np.array([{True: 1, False: -1, None: 0}[said.get(photo_id)] for photo_id in ids])
    ordered = sorted(_merged(apart, words), key=lambda group: (-len(group), group[0]))
    return [[ids[at] for at in group] for group in ordered]


def _merged(apart: Numbers, words: NDArray[np.int_]) -> list[list[int]]:
    """Average linkage: `apart` becomes the mean distances of groups, and a group that is taken in leaves the table."""
    groups, words = {at: [at] for at in range(len(words))}, words.copy()
    apart = apart + np.diag(np.full(len(words), np.inf))
    apart[np.outer(words, words) < 0] = np.inf
    while True:
        one, other = (int(at) for at in np.unravel_index(int(apart.argmin()), apart.shape))
        if apart[one, other] > TOGETHER:
            return [sorted(group) for group in groups.values()]
        share = len(groups[one]) / (len(groups[one]) + len(groups[other]))
        apart[one] = apart[:, one] = share * apart[one] + (1 - share) * apart[other]
        groups[one] += groups.pop(other)
        words[one] = words[one] or words[other]
        apart[other] = apart[:, other] = apart[one, one] = np.inf
        parted = words[one] * words < 0
        apart[one, parted] = apart[parted, one] = np.inf


def same_look(one: Measure, other: Measure) -> bool:
    """Whether two photos of one person are of nearly the same moment, as far as the face tells.

    Compared is the face alone, after its brightness was brought to one mean and spread, and moved by up to two of 64
    pixels. What counts is the place where it differs most: a smile changes little but the mouth.
    """
    if not one.look or not other.look or math.dist(one.embedding, other.embedding) > TOGETHER / 2:
        return False
    first, second = _soft(one.look), _soft(other.look)
    inside = slice(EDGE_Y, -EDGE_Y), slice(EDGE_X, -EDGE_X)
    still = _even(first[inside])
    moved = (
        np.abs(still - _even(np.roll(second, (down, right), (0, 1))[inside]))
        for down in range(-2, 3)
        for right in range(-2, 3)
    )
    best = min(moved, key=lambda difference: float(difference.mean()))
    return float(_averaged(best, PATCH).max()) <= SAME_LOOK


def _soft(look: bytes) -> Numbers:
    """The look with the finest grain taken away, which is the camera's and the file's."""
    pixels = np.frombuffer(look, np.uint8).reshape(SIDE, SIDE).astype(float)
    return _averaged(np.pad(pixels, 2, mode="edge"), 5) * 0.5 + _averaged(np.pad(pixels, 1, mode="edge"), 3) * 0.5


def _even(pixels: Numbers) -> Numbers:
    even: Numbers = (pixels - pixels.mean()) / max(1.0, float(pixels.std()))
    return even


def _averaged(pixels: Numbers, side: int) -> Numbers:
    """The mean of each square of so many pixels, where it lies inside."""
    means: Numbers = np.lib.stride_tricks.sliding_window_view(pixels, (side, side)).mean(axis=(2, 3))
    return means
