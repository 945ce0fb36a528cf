"""How a photo is laid on the canvas, what the photo lacks for the frame, and how clothes go on beyond its edge."""

import math

import numpy as np
from scipy import ndimage

from batch.vision.landmarks import CHIN, HAIRLINE, LEFT_SIDE, RIGHT_SIDE, FacePoints
from batch.vision.presets import CANVAS, EYE_LINE, FACE, PRESETS
from batch.vision.views import Bools, Floats, View, placed
from gpu_cluster.cutout.segment import blurred

# A stronger tilt than this is a pose and keeps the rest of it.
MOST_ROLL = 14.0
# How far clothes go on beyond the photo before they fade, and over how much more they fade, in canvas widths. Further
# on they look painted.
GO_ON = 0.07
# Hair that ends so near to the photo's edge, in pixels, is cut by it: the mask is no more exact.
NEARLY = 0.02 * FACE
# The row of the canvas under which there are shoulders, a quarter of a face height under the eyes.
SHOULDERS = CANVAS * EYE_LINE + 0.225 * FACE


def placing(face: FacePoints) -> View:
    """The canvas on the photo: eyes level on their line, the head in the middle, every face of one height."""
    roll = math.radians(max(-MOST_ROLL, min(MOST_ROLL, face.roll)))
    eyes = (face.right_eye + face.left_eye) / 2
    along = np.array([math.cos(roll), math.sin(roll)])
    # The middle of the whole head is steadier than that of the eyes when the head is turned.
    middle = face.points[[HAIRLINE, CHIN, RIGHT_SIDE, LEFT_SIDE], :2].mean(0)
    centre = eyes + along * float((middle - eyes) @ along)
    return placed(centre, roll, face.height / FACE, CANVAS, (CANVAS / 2, CANVAS * EYE_LINE))


def lacking(alpha: Floats, inside: Bools, box: tuple[float, float, float, float]) -> dict[str, float]:
    """What the photo lacks: of the frame `box`, as parts of it, rows below and columns beside the shoulders; of the whole
    canvas, since a loosened frame shows all of it, how much of the photo's top edge cuts the head, and how many rows of its
    sides cut head or hair, above the shoulders."""
    left, top, right, bottom = (round(edge) for edge in box)
    body, seen = alpha[top:bottom, left:right] > 0.5, inside[top:bottom, left:right]
    height, width = body.shape
    lower = np.arange(top, bottom) > SHOULDERS
    rows = (~seen).mean(1) > 0.6
    side = ~seen & (lower & ~rows)[:, None]
    rim = seen & ndimage.binary_dilation(side, iterations=3) & body

    def beside(half: slice) -> float:
        # A photo that ends beside the body, not in it, lacks nothing.
        if rim[:, half].sum() <= height * 0.02:
            return 0.0
        return float(side[:, half].sum() / max(1, (lower & ~rows).sum()) / width)

    below = float((rows & lower).mean())
    return {
        **_cut(alpha > 0.5, inside),
        "gap": max(below, beside(slice(0, width // 2)), beside(slice(width // 2, width))),
    }


def _cut(body: Bools, inside: Bools) -> dict[str, float]:
    head = slice(int(CANVAS / 2 - 0.5 * FACE), int(CANVAS / 2 + 0.5 * FACE))
    # Column by column, since the edge of a levelled photo slants.
    edge, top = inside[:, head].argmax(0), body[:, head].argmax(0)
    crown = float((body[:, head].any(0) & (edge > 1) & (top - edge < NEARLY)).mean())
    # A step along a row from the photo to where there is none; the top edge of a tilted photo makes a few of them.
    ends = np.diff(inside.astype(np.int8), axis=1) != 0
    cut = (ends & body[:, 1:] & body[:, :-1])[: int(SHOULDERS)].any(1)
    return {"crown_cut": crown, "side_cut": float(cut.sum() / (PRESETS["square"].faces * FACE))}


def beyond(colour: Floats, alpha: Floats, inside: Bools) -> tuple[Floats, Floats]:
    """Below and beside the photo the clothes go on as their mirror image, ever softer, then fade into the backdrop; above
    it nothing does. The last pixels repeated, which is what the canvas has there, make stripes. The outline is not
    mirrored: shoulders would narrow again."""
    if not (alpha[~inside] > 0).any():
        return colour, alpha
    apart, nearest = ndimage.distance_transform_edt(~inside, return_indices=True)
    far = (apart / CANVAS).astype(np.float32)
    fade = np.clip(1 - (far - GO_ON) / GO_ON, 0, 1)
    first = np.where(inside.any(0), inside.argmax(0), 0)
    above = np.arange(CANVAS)[:, None] < first[None]
    keep = np.where(above, 0, fade * fade * (3 - 2 * fade)).astype(np.float32)
    outside = np.nonzero(~inside & (alpha * keep > 0))
    mirrored = tuple(np.clip(2 * at[outside] - here, 0, CANVAS - 1) for at, here in zip(nearest, outside, strict=True))
    # Only what is the person is taken over.
    part = (alpha[mirrored] * inside[mirrored])[:, None]
    went_on = colour.copy()
    went_on[outside] += part * (colour[mirrored] - colour[outside])
    weight = np.clip(far / 0.06, 0, 1)[..., None]
    return went_on + weight * (blurred(went_on, 8) - went_on), alpha * keep


def room_needed(alpha: Floats) -> float:
    """By how much the square frame has to be loosened so that all hair is in it, see presets.LOOSEST. Below 1
    the frame may be drawn closer.

    The frame grows around the eyes; hair that touches the canvas's own edge cannot be brought in by any frame.
    """
    rows = np.flatnonzero((alpha > 0.5).any(1))
    if not rows.size:
        return 1.0
    # Two hundredths of a frame of air above the hair.
    over_eyes = (CANVAS * EYE_LINE - float(rows[0])) / FACE + 0.05
    square = PRESETS["square"]
    return over_eyes / (square.faces * square.eye_line)
