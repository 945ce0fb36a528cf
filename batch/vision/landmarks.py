"""Where faces are in a photo and where their points lie: the ruler for sizes, poses and open eyes.

Three small networks of MediaPipe, which lie in `face_models/` with their licence and source, are run by LiteRT on one
thread: BlazeFace-back finds faces, the mesh network gives 468 points of one, the iris network the lids of an eye. All
of them work on pictures in memory, read their files once, when `networks` is first called, and afterwards open no
file, start no thread and use no network: call `warm_up()` before a process is confined.

All coordinates are pixels of the photo, with (0, 0) at the outer corner of its first pixel, x to the right, y down.
"Right" and "left" of a face are its own: its right eye is left in the picture.
"""

import hashlib
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from batch.vision.views import Bools, Floats, View, placed

FOLDER = Path(__file__).parent / "face_models"
# What was looked at is what runs: a file that differs is not loaded.
DIGESTS = {
    "face_detection_back.tflite": "e376cf6b168d5ece8a3cedb94acc4eb168a136aede125ccc3d903ef38f5beda8",
    "face_landmark.tflite": "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
    "iris_landmark.tflite": "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
    "palm_detection_full.tflite": "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    "selfie_segmentation.tflite": "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
}

# A detection counts from this certainty on; MediaPipe's own examples take 0.5, where folds of cloth begin to be faces.
CERTAIN = 0.6
# A largest face under this part of the photo's longer side: the photo is looked at in tiles as well.
SMALL = 0.12
# Two boxes that overlap by more than this part of their union are one face.
SAME = 0.3
# The lids' distance by the eye's width: a closed eye has 0.06 or less, an open one 0.18 or more.
CLOSED, OPEN = 0.06, 0.18

# Points of the mesh: hairline, chin, base of the nose, corners of the eyes, the face's sides, inner lips and their corners.
HAIRLINE, CHIN, NOSE_BASE = 10, 152, 2
RIGHT_OUTER, RIGHT_INNER, LEFT_INNER, LEFT_OUTER = 33, 133, 362, 263
RIGHT_SIDE, LEFT_SIDE = 234, 454
UPPER_LIP, LOWER_LIP = 13, 14
RIGHT_CORNER, LEFT_CORNER = 78, 308
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
        136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip


class ModelChanged(Exception):
    """A model file is not the one that was examined."""


class Network:
    """One network from its file; `side` is the side of the square that it looks at."""

    def __init__(self, name: str) -> None:
        content = (FOLDER / name).read_bytes()
        if hashlib.sha256(content).hexdigest() != DIGESTS[name]:
            raise ModelChanged(f"{name} is not the file that this version was made with; install Likeness again")
        self._run = Interpreter(model_content=content, num_threads=1)
        self._run.allocate_tensors()
        self._input = self._run.get_input_details()[0]["index"]
        self._outputs = [output["index"] for output in self._run.get_output_details()]
        self.side = int(self._run.get_input_details()[0]["shape"][1])

    def __call__(self, pixels: Floats) -> list[NDArray[np.float32]]:
        """The network's answers for side x side x 3 numbers."""
        self._run.set_tensor(self._input, np.ascontiguousarray(pixels[None], dtype=np.float32))
        self._run.invoke()
        return [self._run.get_tensor(index)[0] for index in self._outputs]


class Networks(NamedTuple):
    detector: Network
    mesh: Network
    iris: Network


@cache
def networks() -> Networks:
    """Loads the three networks; raises ModelChanged, or OSError where a file is missing."""
    return Networks(*(Network(f"{name}.tflite") for name in ("face_detection_back", "face_landmark", "iris_landmark")))


def warm_up() -> None:
    """Loads the networks and walks every path once, for a process that may not open files later, not even to import."""
    plain = Image.new("RGB", (64, 64), "grey")
    detections(plain)
    square = np.array([16.0, 16.0, 48.0, 48.0])
    mesh(plain, Detection(square, 1.0, np.array([(24.0, 28.0), (40.0, 28.0)])))
    _openness(plain, np.array([20.0, 28.0]), np.array([28.0, 28.0]), mirrored=False)


class Detection(NamedTuple):
    """`box` is left, top, right, bottom, from the brows to the chin; `keys` are right eye, left eye, nose, mouth, right
    ear, left ear (6 x 2). A box may reach beyond the photo."""

    box: Floats
    score: float
    keys: Floats

    @property
    def height(self) -> float:
        return float(self.box[3] - self.box[1])


class FacePoints(NamedTuple):
    """One face with its 468 points (468 x 3; z grows away from the camera, in the same pixels)."""

    found: Detection
    points: Floats

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the points: hairline to chin, without ears and hair."""
        (left, top), (right, bottom) = self.points[:, :2].min(0), self.points[:, :2].max(0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def right_eye(self) -> Floats:
        middle: Floats = self.points[[RIGHT_OUTER, RIGHT_INNER], :2].mean(0)
        return middle

    @property
    def left_eye(self) -> Floats:
        middle: Floats = self.points[[LEFT_OUTER, LEFT_INNER], :2].mean(0)
        return middle

    @property
    def interocular(self) -> float:
        """Pixels between the outer corners of the eyes, in three dimensions: a turned head has no smaller one."""
        return self._apart(RIGHT_OUTER, LEFT_OUTER)

    @property
    def height(self) -> float:
        """Pixels from hairline to chin, for a ruler: it stays as it is when the head turns, when the mouth opens and
        when the photo is cut closer. Two lengths that no expression moves are brought to the mean face's height."""
        return math.sqrt(self._apart(HAIRLINE, NOSE_BASE) * 1.62 * self.interocular * 1.98)

    @property
    def roll(self) -> float:
        """Degrees that the line of the eyes is turned clockwise in the picture."""
        across = self.left_eye - self.right_eye
        return math.degrees(math.atan2(across[1], across[0]))

    @property
    def yaw(self) -> float:
        """Degrees that the head is turned; positive when the nose points to the right edge of the picture."""
        across = self.points[LEFT_SIDE] - self.points[RIGHT_SIDE]
        return math.degrees(math.atan2(across[2], math.hypot(across[0], across[1])))

    @property
    def pitch(self) -> float:
        """Degrees that the head is nodded; positive when the chin is farther from the camera than the hairline."""
        down = self.points[CHIN] - self.points[HAIRLINE]
        return math.degrees(math.atan2(down[2], math.hypot(down[0], down[1])))

    @property
    def mouth_open(self) -> float:
        """The distance of the inner lips by that of the eyes: 0 closed, 0.1 a smile with teeth, 0.4 wide open."""
        return self._apart(UPPER_LIP, LOWER_LIP) / self.interocular

    @property
    def mouth_round(self) -> float:
        """The distance of the inner lips by the width between the mouth's corners, which a smile draws apart: up to 0.39 in
        the widest of smiles, from about 0.43 in a shout, and less where the points lag behind a mouth that is wide open."""
        return self._apart(UPPER_LIP, LOWER_LIP) / max(self._apart(RIGHT_CORNER, LEFT_CORNER), 1e-6)

    def oval(self, size: tuple[int, int], shrunk: float = 1.0) -> Bools:
        """Which pixels (height x width) of a photo of this width and height lie in the face, hairline to chin.

        `shrunk` draws the outline in towards its middle; 0.86 leaves hair, ears and beards' edges out for certain.
        """
        return filled(self.points[list(OVAL), :2], size, shrunk)

    def _apart(self, one: int, other: int) -> float:
        return float(np.linalg.norm(self.points[one] - self.points[other]))


def filled(outline: Floats, size: tuple[int, int], shrunk: float = 1.0) -> Bools:
    """The inside of an outline of points (n x 2) as height x width."""
    middle = outline.mean(0)
    drawn = Image.new("1", size)
    ImageDraw.Draw(drawn).polygon([(float(x), float(y)) for x, y in middle + (outline - middle) * shrunk], fill=1)
    return np.asarray(drawn).copy()


def faces(photo: Image.Image) -> list[FacePoints]:
    """All faces of an RGB photo that stand upright or tilted by up to about 45 degrees, the most certain first."""
    found = []
    for detection in detections(photo):
        face = mesh(photo, detection)
        if face is not None:
            found.append(face)
    return found


def detections(photo: Image.Image) -> list[Detection]:
    """Boxes of faces, the most certain first. The whole photo is looked at, in tiles too if its faces are small, and
    with room around it if there are none: a face that fills the photo is found only so. 5 to 40 ms."""
    side = max(photo.size)
    found = _detected(photo, (0, 0, side))
    if max((one.height for one in found), default=0.0) < SMALL * side:
        tile = min(side, max(min(photo.size) * 3 // 4, side // 2))
        for x in sorted({0, max(0, (photo.width - tile) // 2), max(0, photo.width - tile)}):
            for y in sorted({0, max(0, (photo.height - tile) // 2), max(0, photo.height - tile)}):
                found += _detected(photo, (x, y, tile))
    if not found:
        found = _detected(photo, (-side // 3, -side // 3, side * 5 // 3))
    kept: list[Detection] = []
    for one in sorted(found, key=lambda one: -one.score):
        if all(overlap(one.box, other.box) < SAME for other in kept):
            kept.append(one)
    return kept


def _anchors() -> Floats:
    """The 896 places that the detector answers for, as parts of its picture: 16 x 16 twice, 8 x 8 six times."""
    return np.array(
        [
            ((x + 0.5) / n, (y + 0.5) / n)
            for n, k in ((16, 2), (8, 6))
            for y in range(n)
            for x in range(n)
            for _ in range(k)
        ]
    )


ANCHORS = _anchors()


def _detected(photo: Image.Image, square: tuple[int, int, int]) -> list[Detection]:
    left, top, side = square
    network = networks().detector
    n = network.side
    # What lies beyond the photo is black here, as the network was trained.
    if (left, top) == (0, 0) and side >= max(photo.size):
        fit = max(1, round(photo.width * n / side)), max(1, round(photo.height * n / side))
        seen = Image.new("RGB", (n, n))
        seen.paste(photo.resize(fit, Image.Resampling.BILINEAR, reducing_gap=2.0), (0, 0))
    else:
        part = photo.crop((left, top, left + side, top + side))
        seen = part.resize((n, n), Image.Resampling.BILINEAR, reducing_gap=2.0)
    answers = network(np.asarray(seen, np.float32) / 127.5 - 1)
    numbers, logits = sorted(answers, key=lambda answer: -answer.shape[-1])
    points = numbers.reshape(-1, 8, 2) / n
    centre, half = points[:, 0] + ANCHORS, points[:, 1] / 2
    keys = points[:, 2:] + ANCHORS[:, None]
    boxes = np.hstack([centre - half, centre + half])
    score = 1 / (1 + np.exp(-np.clip(logits[:, 0], -80, 80)))
    offset = np.array([left, top])
    found = []
    rest = [int(at) for at in np.argsort(-score) if score[at] > CERTAIN]
    while rest:
        # Answers for one face are averaged by their certainty, which is steadier than the best one alone.
        same = [at for at in rest if at == rest[0] or overlap(boxes[rest[0]], boxes[at]) > SAME]
        weights = score[same] / score[same].sum()
        box = (boxes[same] * weights[:, None]).sum(0)
        found.append(
            Detection(
                box * side + np.tile(offset, 2),
                float(score[rest[0]]),
                (keys[same] * weights[:, None, None]).sum(0) * side + offset,
            )
        )
        rest = [at for at in rest if at not in same]
    return found


def overlap(one: Any, other: Any) -> float:
    """The part of two boxes' union that both cover."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or high <= 0:
        return 0.0
    both = wide * high
    return float(both / ((one[2] - one[0]) * (one[3] - one[1]) + (other[2] - other[0]) * (other[3] - other[1]) - both))


def mesh(photo: Image.Image, found: Detection) -> FacePoints | None:
    """The 468 points of one detection, or None if there is no face after all. Two more looks, each framed by the points
    of the one before: heights of one face in different frames differ by 2.1 % after two looks, by 1.3 % after three. 10 ms.
    """
    network = networks().mesh
    n = network.side
    right, left = found.keys[0], found.keys[1]
    centre, size = (found.box[:2] + found.box[2:]) / 2, float(max(found.box[2:] - found.box[:2])) * 1.5
    for _ in range(3):
        roll = math.atan2(left[1] - right[1], left[0] - right[0])
        view = placed(centre, roll, max(size, 1.0) / n, n)
        points, certain = sorted(network(view.take(photo)), key=lambda answer: -answer.size)[:2]
        cube = points.reshape(468, 3).astype(np.float64)
        face = FacePoints(found, np.hstack([view.to_photo(cube[:, :2]), cube[:, 2:] * view.scale]))
        right, left = face.right_eye, face.left_eye
        x0, y0, x1, y1 = face.box
        centre, size = np.array([(x0 + x1) / 2, (y0 + y1) / 2]), max(x1 - x0, y1 - y0) * 1.5
    return face if certain.ravel()[0] > 0 else None  # A logit: more likely a face than not.


def openness(photo: Image.Image, face: FacePoints) -> tuple[float, float]:
    """How far the right and the left eye are open: the lids' distance by the eye's width, see CLOSED and OPEN. The iris
    network's lids follow a closing eye, which the 468 points do not. 8 ms."""
    return (
        _openness(photo, face.points[RIGHT_OUTER, :2], face.points[RIGHT_INNER, :2], mirrored=False),
        _openness(photo, face.points[LEFT_INNER, :2], face.points[LEFT_OUTER, :2], mirrored=True),
    )


def _openness(photo: Image.Image, start: Floats, end: Floats, *, mirrored: bool) -> float:
    network = networks().iris
    across = end - start
    eye = placed((start + end) / 2, math.atan2(across[1], across[0]), max(1.0, math.hypot(*across)) * 2.3 / network.side,
                 network.side)  # fmt: skip
    pixels = eye.take(photo)
    # The network knows right eyes; a left one is shown to it in the mirror.
    answers = network(pixels[:, ::-1] if mirrored else pixels)
    lids = max(answers, key=lambda answer: answer.size).reshape(71, 3)[:, :2]
    wide = float(np.linalg.norm(lids[8] - lids[0]))
    return float(lids[2:7, 1].mean() - lids[10:15, 1].mean()) / max(wide, 1e-6)


def seen(view: View, face: FacePoints) -> FacePoints:
    """The same face with its coordinates in a view of the photo."""
    box = view.from_photo(face.found.box.reshape(2, 2)).ravel()
    found = Detection(box, face.found.score, view.from_photo(face.found.keys))
    return FacePoints(found, np.hstack([view.from_photo(face.points[:, :2]), face.points[:, 2:] / view.scale]))
