"""How well a face can be seen: light and sharpness, measured inside the face alone and relative to its own contrast.

A white wall, a window or a dark room around the face says nothing about it, and a dark skin in good light is not dark.
The numbers were read off photographs of five people and drawn ones, sharp, blurred and re-lit on purpose.
"""

import numpy as np
from PIL import Image

from batch.vision import faces, landmarks
from batch.vision.faces import Face
from batch.vision.views import Bools, Floats

SIDE = 192
# The oval is drawn in a little, so that hair, ears and what is beside the cheek stay outside.
INSIDE = 0.86
# Even the brightest twentieth of the face (eyes, teeth, where the light falls) is this dark, of 255: it was not lit.
DARK = 70
# Nothing of one half of the face is lit, while the other half is at least three times as bright.
HALF_DARK, HALVES = 60, 3.0
# More than this part of the face is burnt out to white.
BURNT = 0.2
# Energy of the second differences along the direction where it is least, by the variance of the brightness. Sharp
# photographs have 0.035 and more; a blur over 1 % of the face's height leaves 0.006 to 0.009.
BLURRED = 0.012
# A movement takes the detail along one direction only: of sharp photographs the least direction has 0.39 of the most.
SMEARED, UNEVEN = 0.035, 0.3
# About 7 and 37 degrees: the base of the nose stands about 0.8 of half the eye distance before the eyes. Of drawn
# people who look at the camera all are below 0.1.
FRONT, FAR_SIDE = 0.1, 0.6


def advice(image: Image.Image, face: Face) -> list[str]:
    """The codes of what a better photo of this face would change."""
    view = faces.upright(face, SIDE, 1.15)
    pixels = view.take(image)
    seen = landmarks.seen(view, face.mesh)
    inside = seen.oval((SIDE, SIDE), INSIDE) & view.covered(image.size)
    if not inside.any():
        return []
    brightness = faces.grey(pixels)
    halves = [inside & half for half in _halves(seen)]
    facts = {
        "too_dark": float(np.percentile(brightness[inside], 95)) < DARK,
        "half_dark": _half_dark(brightness, halves),
        "too_bright": float((pixels[inside].min(axis=1) >= 250 / 255).mean()) > BURNT,
        "blurred": _blurred(brightness, halves),
        "far_side": abs(face.turn) > FAR_SIDE,
    }
    if facts["too_dark"]:
        facts["half_dark"] = False
    return [code for code, true in facts.items() if true]


def pose(face: Face) -> str:
    if abs(face.turn) <= FRONT:
        return "front"
    return "left" if face.turn < 0 else "right"


def _halves(seen: landmarks.FacePoints) -> tuple[Bools, Bools]:
    """The two sides of the line from the hairline to the chin."""
    top, bottom = seen.points[landmarks.HAIRLINE, :2], seen.points[landmarks.CHIN, :2]
    ys, xs = np.mgrid[0:SIDE, 0:SIDE]
    along = bottom - top
    side: Bools = (xs - top[0]) * along[1] - (ys - top[1]) * along[0] > 0
    return side, ~side


def _half_dark(brightness: Floats, halves: list[Bools]) -> bool:
    if min(int(half.sum()) for half in halves) < 0.1 * sum(int(half.sum()) for half in halves):
        return False  # Turned so far that there is but one half to see.
    lit = sorted(float(np.percentile(brightness[half], 75)) for half in halves)
    return lit[0] < HALF_DARK and lit[1] > HALVES * lit[0]


def _blurred(brightness: Floats, halves: list[Bools]) -> bool:
    inside = halves[0] | halves[1]
    # Within each half, because light from one side is no detail.
    spread = sum(float(brightness[half].var()) * int(half.sum()) for half in halves if half.any()) / int(inside.sum())
    energies = []
    for right, down in ((1, 0), (1, 1), (0, 1), (-1, 1)):
        ahead = np.roll(brightness, (down, right), (0, 1))
        behind = np.roll(brightness, (-down, -right), (0, 1))
        differences = (2 * brightness - ahead - behind)[inside] / (right * right + down * down)
        energies.append(float((differences**2).mean()) / max(1.0, spread))
    least = min(energies)
    return least < BLURRED or (least < SMEARED and least < UNEVEN * max(energies))
