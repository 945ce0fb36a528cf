"""Looks for the mark that `watermark.py` lays into a picture, at every place, and at every size from a third to double.

The picture's waves are read at the places where the mark's would be if its tile were so many pixels wide; each wave counts
with its phase alone, as a symmetrical phase-only matched filter has it (Kalker and others, 1999). In a picture without the
mark these phases fit the mark's by chance: their mean follows a normal law whatever is in the picture. `score` says how
many standard deviations the best of all places and sizes lies above that, which is why chance alone gives about 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from batch.marks.watermark import HIGHEST, TILE, waves

FOUND = 7.0
"""A normal law is above this once in 8e11. With 676 places that differ, and at most 1,100 sizes, which differ in part,
chance reaches it about once in a million pictures."""
SIDE = 1_024
"""Larger pictures are made so small first."""
LEAST = 128
"""Pixels; a smaller picture does not say enough."""
NARROWEST, WIDEST = 21.0, 130.0
"""Pixels of a tile."""
FASTEST = 0.45
"""Waves in a pixel that a picture still holds."""
FINE = 0.5
"""Of the width of a wave's line in the spectrum: how far one size is from the next."""
AT_ONCE = 256


@dataclass(frozen=True)
class MarkFound:
    score: float
    scale: float
    """How large the picture is beside the one that was marked, if it is."""

    @property
    def there(self) -> bool:
        return self.score >= FOUND


def look(picture: Image.Image) -> MarkFound | None:
    """None where the picture is too small to say."""
    grey = picture.convert("L")
    large = max(grey.size)
    grey.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    if min(grey.size) < LEAST:
        return None
    size = fft.next_fast_len(2 * max(grey.size), real=True)
    size += size % 2
    spectrum = _spectrum(np.asarray(grey, np.float32), size)
    # Sizes lie evenly in waves per pixel, because that is how they are told apart.
    step = FINE / (HIGHEST * max(grey.size))
    rates = np.arange(1 / WIDEST, 1 / NARROWEST, step)
    best = MarkFound(0.0, 1.0)
    for start in range(0, len(rates), AT_ONCE):
        some = rates[start : start + AT_ONCE]
        scores = _scores(spectrum, size, some)
        at = int(scores.argmax())
        if scores[at] > best.score:
            best = MarkFound(float(scores[at]), float(1 / some[at]) / TILE * large / max(grey.size))
    return best


def _spectrum(grey: NDArray[np.float32], size: int) -> NDArray[np.complex64]:
    """Of what stands out from its surroundings, by how much things stand out there: no edge outweighs the rest."""
    rest = grey - ndimage.uniform_filter(grey, 9)
    # The filter adds and takes away as it goes, and ends a little below nothing where there is nothing.
    loud = np.sqrt(np.maximum(ndimage.uniform_filter(rest * rest, 17), 0))
    rest = np.clip(rest / (loud + 1.5), -3, 3)
    high, wide = rest.shape
    framed = np.zeros((size, size), np.float32)
    framed[:high, :wide] = rest
    # Its middle becomes the origin, so that neighbours in the spectrum are alike and a value between them can be read.
    framed = np.roll(framed, (-(high // 2), -(wide // 2)), (0, 1))
    found: NDArray[np.complex64] = fft.rfft2(framed)
    return found


def _scores(spectrum: NDArray[np.complex64], size: int, rates: NDArray[np.float64]) -> NDArray[np.float64]:
    across, down, phases = waves()
    read = _between(spectrum, down * rates[:, None] * size, across * rates[:, None] * size)
    held = np.hypot(across, down) * rates[:, None] <= FASTEST
    fits = np.where(held, read / (np.abs(read) + 1e-9) * np.exp(-1j * phases), 0)
    planes = np.zeros((len(rates), TILE, TILE), np.complex64)
    planes[:, down % TILE, across] = fits
    # All shifts of the tile at once; the mean of so many cosines has half of a deviation of one.
    best = fft.ifft2(planes).real.max(axis=(1, 2)) * TILE**2
    scores: NDArray[np.float64] = best / np.sqrt(held.sum(axis=1) / 2)
    return scores


def _between(
    spectrum: NDArray[np.complex64], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.complex64]:
    high, wide = spectrum.shape
    top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
    below, right = (rows - top).astype(np.float32), (columns - left).astype(np.float32)
    left, next_ = np.minimum(left, wide - 1), np.minimum(left + 1, wide - 1)
    upper = spectrum[top % high, left] * (1 - right) + spectrum[top % high, next_] * right
    lower = spectrum[(top + 1) % high, left] * (1 - right) + spectrum[(top + 1) % high, next_] * right
    found: NDArray[np.complex64] = upper * (1 - below) + lower * below
    return found
