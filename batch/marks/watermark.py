"""A mark in the pixels that nobody sees and a program finds again: this picture was made by a model.

It survives what takes a file's metadata away: another format, a crop, another size, a screenshot. It says one thing, the
same in every picture, and nothing of a person, a company or a day: there is no number in it that could be followed.

The scheme is spread spectrum (Cox, Kilian, Leighton, Shamoon: Secure Spread Spectrum Watermarking for Multimedia, 1997) on
a tile that repeats (Kalker, Depovere, Haitsma, Maes: A Video Watermarking System for Broadcast Monitoring, 1999):

    w(x, y) = sum over k of cos(2 pi (k1 x + k2 y) / 64 + phase(k)),  LOWEST <= |k| <= HIGHEST, phases from SHAKE-256
    picture'(x, y) = picture(x, y) + strength(x, y) w(x mod 64, y mod 64)

alike in red, green and blue; the strength grows with what is going on around a pixel, where the eye sees less and where
JPEG keeps more. The pattern is public, so everybody can look for it, and whoever wants to remove it can.

All of it is whole numbers, so that the same picture becomes the same file on every processor.
"""

from __future__ import annotations

from functools import cache
from hashlib import shake_256

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter

TILE = 64
"""Pixels. Small enough that a portrait of 200 pixels holds nine of them."""
LOWEST, HIGHEST = 3, 13
"""Waves in a tile: 0.05 to 0.2 in a pixel. Slower ones are seen on a plain wall, faster ones are lost when a picture is
made half as large, and JPEG spends fewer bits on them."""
SEED = b"Likeness: made by a model, edition 1"
UNIT = 64
"""The pattern's deviation, as a whole number."""
REACH = 4
"""Pixels around one that tell what is going on there."""
QUIET, SLOPE, LOUD = 14, 2, 40
"""In sixteenths of a grey level: the deviation where nothing goes on, what each level of difference adds, the most."""
SHIFT = 10
"""Of the product: UNIT is 6 bits, sixteenths are 4."""


def waves() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """How often each wave fits across and down a tile, and its phase; one of each pair that only differs in sign."""
    numbers = [
        (across, down)
        for across in range(HIGHEST + 1)
        for down in range(-HIGHEST, HIGHEST + 1)
        if (across > 0 or down > 0) and LOWEST**2 <= across**2 + down**2 <= HIGHEST**2
    ]
    drawn = np.frombuffer(shake_256(SEED).digest(2 * len(numbers)), ">u2")
    across, down = np.array(numbers, np.int64).T
    return across, down, drawn * (2 * np.pi / 2**16)


@cache
def pattern() -> NDArray[np.int16]:
    across, down, phases = waves()
    spectrum = np.zeros((TILE, TILE), complex)
    spectrum[down % TILE, across] = np.exp(1j * phases)
    tile = np.fft.ifft2(spectrum).real
    whole: NDArray[np.int16] = np.rint(tile * (UNIT / tile.std())).astype(np.int16)
    return whole


def laid(picture: Image.Image) -> Image.Image:
    """The same picture, RGB or RGBA, with the mark. What is transparent stays so."""
    grey = picture.convert("L")
    around = grey.filter(ImageFilter.BoxBlur(REACH))
    busy = np.asarray(ImageChops.difference(grey, around).filter(ImageFilter.BoxBlur(REACH))).astype(np.int16)
    high, wide = busy.shape
    tiles = np.tile(pattern(), (-(-high // TILE), -(-wide // TILE)))[:high, :wide]
    change = (np.minimum(QUIET + SLOPE * busy, LOUD) * tiles + (1 << SHIFT - 1)) >> SHIFT
    more, less = (Image.fromarray(np.maximum(one, 0).astype(np.uint8)) for one in (change, -change))
    colours = ImageChops.add(picture.convert("RGB"), Image.merge("RGB", [more] * 3))
    made = ImageChops.subtract(colours, Image.merge("RGB", [less] * 3))
    if picture.mode == "RGBA":
        made.putalpha(picture.getchannel("A"))
    return made
