"""Of pictures that were mixed here the parts and the colours are found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from batch.vision.views import Bools, Floats
from gpu_cluster.cutout import matting

SIDE = 300


def smooth(seed: int, low: float, high: float) -> Floats:
    """Colours that change slowly, as those of a wall and of hair do."""
    noise = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE, 3))
    even = ndimage.gaussian_filter(noise, (30, 30, 0))
    even = (even - even.min()) / (even.max() - even.min())
    return np.asarray(low + (high - low) * even, np.float32)


def haired(seed: int = 3) -> Floats:
    """A head with hairs that are one to three pixels wide and partly seen through."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    far, turn = np.hypot(rows, columns), np.arctan2(rows, columns)
    random = np.random.default_rng(seed)
    hairs = sum(np.sin(turn * often + random.uniform(0, 6)) for often in (23, 41, 67)) / 3
    return np.asarray(np.clip((95 + 22 * hairs - far) / 9, 0, 1), np.float32)


@pytest.fixture(scope="module")
def mixed() -> tuple[Floats, Floats, Floats, Floats]:
    """A picture, the part of each pixel that is the person, the person's colours, and those behind."""
    part, front, back = haired(), smooth(1, 0.0, 0.35), smooth(2, 0.6, 1.0)
    return part[..., None] * front + (1 - part[..., None]) * back, part, front, back


def band(part: Floats) -> Bools:
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    return np.asarray(abs(np.hypot(rows, columns) - 95) < 45)


def test_hair_is_found_in_a_band_that_says_nothing(mixed: tuple[Floats, ...]) -> None:
    picture, part, _, _ = mixed
    unknown = band(part)
    known = np.where(unknown, 0.5, part)
    guess = ndimage.gaussian_filter((part > 0.5).astype(np.float32), 12)
    found = matting.closed_form(picture, known, guess, 0.0001)
    off, guessed = abs(found - part)[unknown], abs(guess - part)[unknown]
    assert off.mean() < 0.03 < 0.1 < guessed.mean()
    assert np.quantile(off, 0.99) < 0.1
    assert np.array_equal(found[~unknown], part[~unknown])


def test_where_colours_say_nothing_the_mask_is_heeded(mixed: tuple[Floats, ...]) -> None:
    """A grey picture: there is no edge in it."""
    _, part, _, _ = mixed
    known = np.where(band(part), 0.5, part)
    grey = np.full((SIDE, SIDE, 3), 0.5, np.float32)
    low, high = (
        matting.closed_form(grey, known, np.full_like(part, says), 1.0)[band(part)].mean() for says in (0.2, 0.8)
    )
    assert (low, high) == (pytest.approx(0.2, abs=0.05), pytest.approx(0.8, abs=0.05))


def test_colours_lose_what_shines_through(mixed: tuple[Floats, ...]) -> None:
    picture, part, front, _ = mixed
    found = matting.foreground(picture, part)
    edge = (part > 0.15) & (part < 1)
    off, seen = abs(found - front)[edge], abs(picture - front)[edge]
    assert off.mean() < 0.02 < 0.1 < seen.mean()
    whole = (part == 1) & ~ndimage.binary_dilation(part < 1, iterations=8)
    assert np.array_equal(found[whole], picture[whole])
    # Beside the person colours go on as theirs, so that sharpening draws no rim.
    beside = (part == 0) & ndimage.binary_dilation(part > 0, iterations=3)
    assert abs(found - front)[beside].mean() < 0.05


@pytest.mark.parametrize("value", [0, 1])
def test_a_picture_of_one_thing_alone_keeps_its_colours(value: int) -> None:
    picture = smooth(4, 0.2, 0.8)
    found = matting.foreground(picture, np.full((SIDE, SIDE), value, np.float32))
    assert found.shape == picture.shape
    assert np.isfinite(found).all()
    if value:
        assert np.array_equal(found, picture)


def test_it_is_the_same_each_time(mixed: tuple[Floats, ...]) -> None:
    picture, part, _, _ = mixed
    known = np.where(band(part), 0.5, part)
    one, again = (matting.closed_form(picture, known, part, 0.01) for _ in range(2))
    assert np.array_equal(one, again)
    one, again = (matting.foreground(picture, part) for _ in range(2))
    assert np.array_equal(one, again)
