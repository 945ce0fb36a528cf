"""Whether a hand is before the person: at the chin, in the hair, around a microphone, a cup or a phone.

MediaPipe's palm detector looks at the canvas at 192 px, where a palm is some 30 px wide. It sees fists as well, and not
what is held in no hand. 9 ms.
"""

from functools import cache

import numpy as np
from PIL import Image

from batch.vision.landmarks import Network
from batch.vision.presets import CANVAS, FACE
from batch.vision.views import Bools, Floats
from gpu_cluster.cutout.segment import scaled

# The 2,016 places that the detector answers for, as parts of its picture: 24 x 24 twice, 12 x 12 six times.
PLACES = np.array(
    [
        ((x + 0.5) / n, (y + 0.5) / n)
        for n, k in ((24, 2), (12, 6))
        for y in range(n)
        for x in range(n)
        for _ in range(k)
    ]
)

FINGERS = 0.2 * FACE


@cache
def network() -> Network:
    return Network("palm_detection_full.tflite")


def before(canvas: Floats, person: Bools, box: tuple[float, float, float, float]) -> float:
    """How sure (0 to 1) the detector is of the surest palm whose middle is on the person and in the frame `box`, or so
    near to it that its fingers may be."""
    answers = network()(scaled(canvas, network().side, Image.Resampling.BOX))
    numbers, logits = sorted(answers, key=lambda answer: -answer.shape[-1])
    middles = (numbers[:, :2] / network().side + PLACES) * CANVAS
    left, top, right, bottom = box
    x, y = middles[:, 0], middles[:, 1]
    framed = (x > left - FINGERS) & (x < right + FINGERS) & (y > top - FINGERS) & (y < bottom + FINGERS)
    columns, rows = (np.clip(middles, 0, CANVAS - 1).astype(int)).T
    there = logits[framed & person[rows, columns], 0]
    return float(1 / (1 + np.exp(-there.max()))) if there.size else 0.0
