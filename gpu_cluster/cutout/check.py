"""Whether a portrait may be shown as it is, has to be looked at by the person first, or is refused, and what they read."""

from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from batch.landmarks import CHIN, HAIRLINE, Detection, Face
from batch.presets import CANVAS, FACE
from batch.views import Bools, Floats, View
from gpu_cluster.cutout.light import to_lab

Verdict = Literal["ship", "look", "refuse"]


class Limit(NamedTuple):
    """A measure past `look` is shown with a question, past `refuse` not at all. One sentence and one action each."""

    measure: str
    look: float
    refuse: float
    sentence: str
    action: str


NEVER = float("inf")
# Found on 103 photographs that were chosen to be hard and on 95 photographs of well-known people. `stray` and `unsure`
# are as strict as they are because what they find is seldom seen on a phone and always seen in print.
LIMITS = {
    "no_face": Limit("no_face", 0.5, 0.5, "We could not find a face in this photo.", "Choose one facing the camera."),
    "other_person": Limit(
        "touching", 0.5, 0.5, "Another person is too close to you in this photo.", "Choose a photo with only you."
    ),
    "too_small": Limit(
        "enlarged", 2.4, 4.5, "Your face is small in this photo and becomes blurred.", "Move closer to the camera."
    ),
    "turned": Limit(
        "turned", 28, 42, "Your face is turned far to the side.", "Turn a little towards the camera."
    ),
    "head_cut": Limit(
        "crown_cut", 0.03, 0.10, "The photo ends above your face and cuts your head.",
        "Hold the phone further away: shoulders and all your hair in the picture.",
    ),
    "too_close": Limit(
        "gap", 0.07, 0.15, "Your shoulders are not all in the photo.",
        "Hold the phone further away: shoulders and all your hair in the picture.",
    ),
    "same_colour": Limit(
        "same_colour", 0.38, 0.60, "Your hair or clothes and the background are the same colour.",
        "Stand before a wall of another colour.",
    ),
    "beside": Limit(
        "beside", 10, 30, "Somebody or something is right beside your head.", "Choose a photo with only you."
    ),
    "outline": Limit(
        "apart", 0.045, 0.12, "We are not sure where you end and the background begins.", "Stand before a plain wall."
    ),
    "soft": Limit("soft", 4.4, 9, "The edge of your hair is not clear.", "Stand before a plain wall."),
    "unsure": Limit("unsure", 3.5, 10, "The edge of your body is not clear.", "Stand before a plain wall."),
    "leak": Limit("leak", 0.8, 3, "Part of the background may have stayed.", "Stand before a plain wall."),
    "lost": Limit("lost", 0.8, 4, "Part of you may be missing.", "Stand before a plain wall."),
    "stray": Limit(
        "stray", 0.08, NEVER, "Something behind you may have stayed at your edge.", "Stand before a plain wall."
    ),
    "holes": Limit("holes", 0.3, 1.2, "There are holes in the picture of you.", "Stand before a plain wall."),
    "cast": Limit("cast", 12, 40, "Coloured light falls on your face.", "Turn towards a window."),
    "hair_over_frame": Limit(
        "over_top", 0.06, NEVER, "Your hair goes beyond the frame.", "Hold the phone further away."
    ),
    "eyes_shut": Limit("shut", 0.5, NEVER, "An eye looks closed.", "Choose a photo with open eyes."),
    "somebody_near": Limit("near", 0.5, NEVER, "There was somebody else in the photo.", "Check that only you are left."),
}  # fmt: skip


def verdict(measures: dict[str, float]) -> tuple[Verdict, tuple[str, ...]]:
    """What is done with a portrait of these measures, and the names of the limits it is past, the worst first."""
    refused = [name for name, limit in LIMITS.items() if measures.get(limit.measure, 0.0) > limit.refuse]
    doubted = [
        name for name, limit in LIMITS.items() if name not in refused and measures.get(limit.measure, 0.0) > limit.look
    ]
    return ("refuse" if refused else "look" if doubted else "ship"), (*refused, *doubted)


def cut_quality(
    canvas: Floats, mask: Floats, alpha: Floats, inside: Bools, face: Face, box: tuple[float, float, float, float]
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
    beside = (away > 0.95) & (away < 1.35)
    return {
        "soft": float(soft[:chin].sum() / head_length / FACE * 100),
        "unsure": float(unsure.sum() / length / FACE * 100),
        "leak": float(((part > 0.5) & (chance < 0.25) & seen).mean() * 100),
        "lost": float(((part < 0.5) & (chance > 0.75) & seen).mean() * 100),
        "holes": float(holes.mean() * 100),
        "stray": _protruding(person | ~seen, chin),
        "beside": float(((alpha > 0.5) & inside)[rows][:, beside].mean() * 100),
        "over_top": float((alpha[:2] > 0.5).mean()),
        "same_colour": _invisible(colours, person, edge, seen),
    }


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


def _invisible(colours: Floats, person: Bools, edge: Bools, seen: Bools) -> float:
    """The part of the outline where inside and outside differ by less than 8 dE: there the outline is a guess."""
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
    return float((apart < 8).mean()) if apart.size else 1.0


def others(faces: list[Detection], mine: Face, view: View, mask: Floats) -> dict[str, float]:
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
