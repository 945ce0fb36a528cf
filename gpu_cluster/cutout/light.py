"""Light and colour of a face: measured, and moved a little towards the person's own.

The aim is the person's own tone over all their photos and never a norm. A picture moves by at most MOST (dE of Lab) and
its tone by at most MOST_ITA degrees, whichever way, so that nobody becomes lighter or darker than they are; without
that limit drifts of +15 and -11 degrees were seen. Tones are Lab (lightness 0 to 100, a, b) under D65.
"""

import math

import numpy as np
from scipy import ndimage

from batch.vision.landmarks import FacePoints
from batch.vision.views import Bools, Floats

MOST, MOST_ITA = 6.0, 4.0
# Under white light the hue of skin of any tone lies between these angles; chroma above the third number is a cast.
LEAST_HUE, MOST_HUE, MOST_CHROMA = 36.0, 78.0, 32.0
# Less chroma than this is a black-and-white photo, which is left as it is.
GREY = 4.0
# Points of cheeks and forehead, and the part of a tone's pixels left out at either end: shine, shadow, fringe, glasses.
PLACES = (
    (50, 101, 118, 117, 123, 147, 187, 205),
    (280, 330, 347, 346, 352, 376, 411, 425),
    (151, 108, 69, 104, 68, 9, 337, 299, 333, 298),
)
LEFT_OUT = 20
# Pixels of each place at most: the forehead's area is the largest, and a fringe on it must not outweigh both cheeks.
SAMPLES = 600

TO_XYZ = np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]], np.float32)
FROM_XYZ = np.array([[3.2406, -0.9689, 0.0557], [-1.5372, 1.8758, -0.2040], [-0.4986, 0.0415, 1.0570]], np.float32)
WHITE = np.array([0.95047, 1, 1.08883], np.float32)


def to_lab(rgb: Floats) -> Floats:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ TO_XYZ / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def from_lab(lab: Floats) -> Floats:
    middle = (lab[..., 0] + 16) / 116
    f = np.stack([middle + lab[..., 1] / 500, middle, middle - lab[..., 2] / 200], -1)
    cube = f * f * f
    xyz = np.where(cube > 0.008856, cube, (f - 16 / 116) / 7.787) * WHITE
    linear = np.clip(xyz @ FROM_XYZ, 0, 1)
    rgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(rgb, np.float32)


def tone(canvas: Floats, face: FacePoints) -> Floats | None:
    """The middle Lab of cheeks and forehead of a face whose points are in the canvas; None when hardly any are in it."""
    height, width = canvas.shape[:2]
    pixels = []
    for place in PLACES:
        points = face.points[list(place), :2]
        middle = points.mean(0)
        reach = max(3.0, float(np.abs(points - middle).mean()))
        rows = slice(max(0, int(middle[1] - reach)), max(0, min(height, int(middle[1] + reach))))
        columns = slice(max(0, int(middle[0] - reach)), max(0, min(width, int(middle[0] + reach))))
        patch = canvas[rows, columns].reshape(-1, 3)
        pixels.append(patch[:: max(1, len(patch) // SAMPLES)])
    both = np.concatenate(pixels)
    if len(both) < 50:
        return None
    lab = to_lab(both)
    low, high = np.percentile(lab[:, 0], [LEFT_OUT, 100 - LEFT_OUT])
    middle_tone: Floats = np.median(lab[(lab[:, 0] >= low) & (lab[:, 0] <= high)], 0)
    return middle_tone


def ita(lab: Floats) -> float:
    """The individual typology angle of a tone in degrees: above 55 very light, under -30 very dark skin."""
    return math.degrees(math.atan2(float(lab[0]) - 50, float(lab[2])))


def chroma(lab: Floats) -> float:
    return math.hypot(float(lab[1]), float(lab[2]))


def cast(seen: Floats) -> float:
    """How far (dE in a and b) a tone lies outside of what skin can be under white light. In degrees it would say most of
    the palest skin, whose hue hardly shows."""
    if chroma(seen) < GREY:
        return 0.0
    hue = math.degrees(math.atan2(float(seen[2]), float(seen[1])))
    outside = min(90.0, max(0.0, LEAST_HUE - hue, hue - MOST_HUE))
    return chroma(seen) * math.sin(math.radians(outside))


def shift(seen: Floats, own: Floats | None) -> Floats:
    """By how much (Lab) a face with the tone `seen` is moved, given the person's own tone over several photos."""
    if chroma(seen) < GREY:
        return np.zeros(3)
    moved = np.zeros(3)
    hue = math.radians(min(max(math.degrees(math.atan2(float(seen[2]), float(seen[1]))), LEAST_HUE), MOST_HUE))
    calm = min(chroma(seen), MOST_CHROMA)
    moved[1:] = 0.7 * (np.array([calm * math.cos(hue), calm * math.sin(hue)]) - seen[1:])
    if own is not None:
        moved += (own - seen) * (0.5, 0.35, 0.35)
    # A hundredth less than allowed is aimed at: the middle of a face's many tones moves a little further than one tone.
    moved *= min(1.0, 0.99 * MOST / max(float(np.linalg.norm(moved)), 1e-6))
    # Brought within the limit by halving, since the angle is no straight line in Lab.
    while abs(ita(seen + moved) - ita(seen)) > MOST_ITA:
        moved *= 0.8
    return moved


def lit(colour: Floats, seen: Floats | None, own: Floats | None, part: float = 1.0) -> tuple[Floats, float]:
    """The picture with this part of the way gone towards the light that is aimed at, and by how much that is (dE)."""
    moved = np.zeros(3) if seen is None else shift(seen, own) * part
    size = float(np.linalg.norm(moved))
    if seen is None or size < 0.5:  # Nobody sees it.
        return colour, 0.0
    return _moved(colour, seen, moved), size


def _moved(colour: Floats, seen: Floats, by: Floats) -> Floats:
    """As a change of exposure: in proportion in the middle tones, nothing at black and at white."""
    lab = to_lab(colour)
    level = lab[..., 0] / 100
    face_level = float(seen[0]) / 100
    weight = np.minimum(1.3, np.clip(4 * level * (1 - level), 0, 1) / max(0.2, 4 * face_level * (1 - face_level)))
    lab[..., 0] += float(by[0]) * weight
    lab[..., 1:] += by[1:].astype(np.float32) * np.clip(lab[..., :1] / 30, 0, 1)
    return from_lab(lab)


def finished(
    colour: Floats, face: FacePoints, seen: Floats | None, own: Floats | None, enlarged: float
) -> tuple[Floats, float]:
    """Lit and sharpened, and by how much the light moved (dE). Less of the way is gone where the face as it comes out has
    moved further than its tone was meant to: sharpening took a very light one to 4.3 degrees. Where that does not do, the
    colours without their background were others already, and the face is moved back to the tone that was seen."""
    if seen is None:
        return sharpened(colour, enlarged), 0.0
    for part in (1.0, 0.8, 0.6, 0.4, 0.2, 0.0):
        made, moved = lit(colour, seen, own, part)
        made = sharpened(made, enlarged)
        drift = _drift(made, face, seen)
        if abs(ita(seen + drift) - ita(seen)) <= MOST_ITA and float(np.linalg.norm(drift)) <= MOST:
            return made, moved
    return _moved(made, seen, -drift), 0.0


def _drift(made: Floats, face: FacePoints, seen: Floats) -> Floats:
    """By how much (Lab) a face comes out in another tone; nothing where its tone cannot be seen."""
    after = tone(made, face)
    return np.zeros(3) if after is None else after - seen


def noise(canvas: Floats, face: Bools) -> float:
    """The photo's grain on the face, as a standard deviation of brightness from 0 to 1 (Immerkaer 1996, by the median)."""
    rows, columns = np.flatnonzero(face.any(1)), np.flatnonzero(face.any(0))
    if not rows.size:
        return 0.0
    area = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    luma = canvas[area] @ np.array([0.299, 0.587, 0.114], np.float32)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    return float(np.median(np.abs(ndimage.convolve(luma, kernel)[face[area]])) / 0.6745 / 6)


def sharpened(colour: Floats, enlarged: float) -> Floats:
    """A touch, as after any resampling; wider and stronger for a photo that was enlarged. Halos are capped."""
    radius, amount = (1.2, 0.25) if enlarged <= 1 else (min(2.6, 1.2 * enlarged), min(0.7, 0.3 * enlarged))
    detail = colour - ndimage.gaussian_filter(colour, (radius, radius, 0))
    return np.asarray(np.clip(colour + np.clip(detail * amount, -0.06, 0.06), 0, 1))
