"""What stands behind the person: a colour, a gradient, a drawn office, or the company's own picture."""

import re
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from scipy import ndimage

from batch.vision.presets import CANVAS
from batch.vision.views import Floats
from gpu_cluster.cutout.segment import blurred, drawn

COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class NoBackdrop(ValueError):
    """The words name no backdrop."""


@lru_cache(maxsize=4)
def backdrop(words: str) -> Floats:
    """`#rrggbb`, `gradient:#rrggbb` or `office` as a canvas; raises NoBackdrop. Not to be written to."""
    kind, _, colour = words.partition(":")
    if COLOUR.fullmatch(words):
        return np.broadcast_to(_colour(words), (CANVAS, CANVAS, 3)).astype(np.float32)
    if kind == "gradient" and COLOUR.fullmatch(colour):
        return _gradient(_colour(colour))
    if words == "office":
        return _office(CANVAS)
    raise NoBackdrop(f"{words!r} is no backdrop: write #rrggbb, gradient:#rrggbb or office")


def of_picture(picture: Image.Image) -> Floats:
    """The company's own picture, filling the canvas, as far out of focus as a room behind somebody is."""
    fitted = ImageOps.fit(picture.convert("RGB"), (CANVAS, CANVAS), Image.Resampling.LANCZOS)
    return np.asarray(ndimage.gaussian_filter(np.asarray(fitted, np.float32) / 255, (CANVAS / 90, CANVAS / 90, 0)))


def _colour(words: str) -> Floats:
    return np.array([int(words[at : at + 2], 16) for at in (1, 3, 5)], np.float32) / 255


def _gradient(colour: Floats) -> Floats:
    """A wall with a lamp on it: lightest behind the head."""
    y, x = np.mgrid[0:CANVAS, 0:CANVAS].astype(np.float32) / CANVAS
    glow = np.exp(-(((x - 0.5) / 0.55) ** 2 + ((y - 0.40) / 0.60) ** 2))
    return np.asarray(np.clip(colour * (0.62 + 0.46 * glow[..., None]), 0, 1))


def _office(side: int) -> Floats:
    """A bright room out of focus: windows, a shelf with books, a plant, lamps. Drawn from one fixed seed."""
    random = np.random.default_rng(7)
    picture = Image.new("RGB", (side, side), (198, 200, 200))
    pen = ImageDraw.Draw(picture)

    def box(left: float, top: float, right: float, bottom: float, fill: tuple[int, int, int]) -> None:
        pen.rectangle((int(side * left), int(side * top), int(side * right), int(side * bottom)), fill=fill)

    def colour(low: tuple[int, int, int], high: tuple[int, int, int]) -> tuple[int, int, int]:
        red, green, blue = (int(value) for value in random.uniform(low, high))
        return red, green, blue

    box(0, 0.80, 1, 1, (150, 140, 128))
    for window in range(4):
        left = 0.02 + 0.155 * window
        box(left, 0.06, left + 0.135, 0.72, (233, 240, 246))
        box(left, 0.45, left + 0.135, 0.72, (196, 212, 214))
        for _ in range(5):
            bottom, height, start = random.uniform(0.42, 0.7), random.uniform(0.03, 0.1), random.uniform(0, 0.09)
            box(left + start, bottom - height, left + 0.12, bottom, colour((140, 155, 160), (185, 200, 205)))
    box(0.70, 0, 0.80, 0.80, (176, 170, 162))
    for shelf in range(4):
        level, place = 0.18 + 0.15 * shelf, 0.75
        box(0.74, level, 0.98, level + 0.012, (118, 98, 80))
        while place < 0.96:
            width, height = random.uniform(0.012, 0.03), random.uniform(0.05, 0.11)
            box(place, level - height, place + width, level, colour((90, 90, 95), (205, 195, 185)))
            place += width + (0.03 if random.random() < 0.2 else 0.002)
    for _ in range(26):
        x, y, reach = random.uniform(0.60, 0.74), random.uniform(0.42, 0.78), random.uniform(0.015, 0.045)
        edges = (x - reach, y - reach * 0.6, x + reach, y + reach * 0.6)
        pen.ellipse([side * edge for edge in edges], fill=colour((70, 105, 75), (120, 150, 105)))
    room = np.asarray(picture.filter(ImageFilter.GaussianBlur(side * 0.022)), np.float32) / 255
    y, x = np.mgrid[0:side, 0:side] / side
    for across, down, reach in ((0.80, 0.06, 0.035), (0.90, 0.09, 0.03), (0.66, 0.05, 0.028)):
        lamp = np.clip((reach - np.hypot(x - across, y - down)) / 0.008, 0, 1)[..., None]
        room = room + lamp * np.array([0.176, 0.16, 0.112])
    return np.clip(room, 0, 1).astype(np.float32)


@cache
def _grain() -> Floats:
    return np.asarray(ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 1, (CANVAS, CANVAS)), 0.7), np.float32)


def composed(colour: Floats, alpha: Floats, behind: Floats, noise: float) -> Image.Image:
    """The person on the backdrop. The backdrop gets the photo's grain, so that it is of one camera with the person and
    a clean gradient does not show steps; a little of its light falls around the edges."""
    strength = min(0.02, max(0.0035, noise)) * 1.6
    back = np.clip(behind + _grain()[..., None] * strength, 0, 1)
    part = alpha[..., None]
    edge = (blurred(alpha, 5) < 0.97)[..., None]
    wrap = blurred(back * (1 - part), 9) * edge
    lit = 1 - (1 - colour) * (1 - 0.05 * wrap)
    return drawn(lit * part + back * (1 - part))
