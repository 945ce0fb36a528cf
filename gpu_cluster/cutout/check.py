"""What a portrait is measured by, for the verdict in `limits`."""

from typing import Any

import numpy as np
from scipy import ndimage

from batch.vision.landmarks import CHIN, HAIRLINE, Detection, FacePoints
from batch.vision.presets import CANVAS, FACE, LOOSEST, PRESETS
from batch.vision.views import Bools, Floats, View
from gpu_cluster.cutout.light import to_lab


def cut_quality(
    canvas: Floats, mask: Floats, alpha: Floats, inside: Bools, face: FacePoints, box: tuple[float, float, float, float]
) -> dict[str, float]:
    """Where the outline is soft, unsure, contradicted or invisible, inside the frame `box` and where there is a photo."""
    left, top, right, bottom = (int(edge) for edge in box)
    view = (slice(top, bottom), slice(left, right))
    part, colours, chance, seen = alpha[view], canvas[view], mask[view], inside[view]
    person = part > 0.5
    edge = ndimage.binary_dilation(person, iterations=2) & ~ndimage.binary_erosion(person, iterations=2) & seen
    chin = max(1, int(face.points[CHIN, 1] - top))
    # The edge is four pixels wide, so that a quarter of its area is its length.
    length, head_length = max(1.0, edge.sum() / 4), max(1.0, edge[:chin].sum() / 4)
    soft = (part > 0.1) & (part < 0.9) & seen
    unsure = (chance > 0.2) & (chance < 0.8) & seen
    holes = ndimage.binary_fill_holes(person) & ~person & seen
    rows = slice(max(0, int(face.points[HAIRLINE, 1])), max(1, int(face.points[CHIN, 1])))
    away = np.abs(np.arange(CANVAS) - CANVAS / 2) / FACE
    invisible, stretch = _invisible(colours, person, edge, seen, chin)
    beside = (away > 0.95) & (away < 1.35)
    return {
        "soft": float(soft[:chin].sum() / head_length / FACE * 100),
        "unsure": float(unsure.sum() / length / FACE * 100),
        "leak": float(((part > 0.5) & (chance < 0.25) & seen).mean() * 100),
        "lost": float(((part < 0.5) & (chance > 0.75) & seen).mean() * 100),
        "holes": float(holes.mean() * 100),
        "stray": _protruding(person | ~seen, chin),
        "beside": float(((alpha > 0.5) & inside)[rows][:, beside].mean() * 100),
        "rise": rising(person & seen, face.points[CHIN, 0] - left),
        "over_top": over_top(alpha),
        "same_colour": invisible,
        "stretch": stretch,
    }


def over_top(alpha: Floats) -> float:
    """How wide the hair is, as a part of the canvas, that even the loosest square cuts."""
    edge = round(PRESETS["square"].box(LOOSEST)[1])
    return float((alpha[:edge] > 0.5).mean(1).max())


def _protruding(person: Bools, chin: int) -> float:
    """The largest thin piece that sticks out of the outline above the chin, by its area in hundredths of a squared face
    height: a lamp's rim or a picture's frame behind the head, where the outline of hair is round."""
    step, reach = 4, 0.055 * FACE / 4
    small = person[: chin + int(0.3 * FACE) : step, ::step]
    # What a disc of this radius cannot reach from inside. The frame's own edges are no edges of the person.
    wide = np.pad(small, int(reach) + 2, mode="edge")
    inner = ndimage.distance_transform_edt(wide) > reach
    thin = (wide & (ndimage.distance_transform_edt(~inner) > reach + 1.5))[: chin // step + int(reach) + 2]
    labels, count = ndimage.label(thin)
    if not count:
        return 0.0
    return float(np.bincount(labels.ravel())[1:].max()) * (step / FACE) ** 2 * 100


def rising(person: Bools, middle: float) -> float:
    """By how many face heights the upper outline goes up again on its way from the neck outwards. Shoulders and hair only
    fall; what rises beside them is a hand, or the head of somebody behind."""
    top = np.where(person.any(0), person.argmax(0), len(person))
    start = 0.55 * FACE
    ways = (top[int(middle + start) :], top[max(0, int(middle - start)) :: -1])
    return max((float((np.maximum.accumulate(way) - way).max()) for way in ways if way.size), default=0.0) / FACE


def _invisible(colours: Floats, person: Bools, edge: Bools, seen: Bools, chin: int) -> tuple[float, float]:
    """The part of the outline where inside and outside differ by less than 8 dE: there the outline is a guess. And the
    longest such stretch above the chin, in face heights: a piece of the wall that was taken for hair has one, though most
    of the outline is plain to see."""
    beyond = ndimage.binary_dilation(person, iterations=5)
    within = ndimage.binary_erosion(person, iterations=5)
    outer = ndimage.binary_dilation(beyond, iterations=9) & ~beyond & seen
    inner = within & ~ndimage.binary_erosion(within, iterations=9) & seen
    step = 4
    lab = to_lab(colours[::step, ::step])

    def local(where: Bools) -> tuple[Any, Any]:
        weights = where[::step, ::step].astype(np.float32)
        count = ndimage.uniform_filter(weights, 13)
        sums = np.stack([ndimage.uniform_filter(lab[..., channel] * weights, 13) for channel in range(3)], -1)
        return sums / (count[..., None] + 1e-6), count

    (mine, mine_count), (other, other_count) = local(inner), local(outer)
    ring = edge[::step, ::step] & (mine_count > 0.02) & (other_count > 0.02)
    apart = np.linalg.norm(mine - other, axis=-1)[ring]
    if not apart.size:
        return 1.0, 0.0
    guessed = np.zeros(ring.shape, bool)
    guessed[ring] = apart < 8
    labels, _ = ndimage.label(guessed[: chin // step], np.ones((3, 3)))
    stretch = float(np.bincount(labels.ravel())[1:].max(initial=0)) * step / FACE
    return float((apart < 8).mean()), stretch


def others(faces: list[Detection], mine: FacePoints, view: View, mask: Floats) -> dict[str, float]:
    """Other faces on the canvas: `near` are in it, `touching` are still in this person's mask."""
    near = touching = 0
    for found in faces:
        if found is mine.found:
            continue
        x, y = view.from_photo(found.box.reshape(2, 2)).mean(0)
        size = found.height / view.scale
        if size < FACE * 0.22 or not (0 < x < CANVAS and 0 < y < CANVAS):
            continue
        near += 1
        reach = max(2, int(size * 0.3))
        area = mask[max(0, int(y) - reach) : int(y) + reach, max(0, int(x) - reach) : int(x) + reach]
        touching += bool(area.mean() > 0.3)
    return {"near": float(near), "touching": float(touching)}
