"""Finds faces in a picture: where, how large, which way they look, and the 128 numbers that tell people apart.

Everything here runs in a limited child process. Only three parts of dlib are used, all free for commercial use: the
HOG detector for faces that look more or less at the camera, the 5-point landmarks (corners of the eyes, base of the
nose) and the recognition network. The 68-point landmarks that come in the same package are not: their licence forbids
commercial use.
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dlib  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]  # left, top, right, bottom

# The detector sees faces from 80 px on, and a selfie's face is a tenth of its side or more: 800 px are enough at first.
# Another scale finds some that fall between two of its steps. A face that fills the frame is found only with room
# around it, so the edges are drawn out by a quarter next. Last,
# 1,600 px find small faces. The passes cost 0.06, 0.03, 0.13 and 0.2 s.
PASSES = ((800, 0.0), (600, 0.0), (800, 0.25), (1600, 0.0))
# Faces that look at the camera score 1 to 3, folds of clothing up to 0.3. A picture's only face may be less certain
# than a second one, or one that lies on its side.
CERTAIN, SURE = 0.2, 0.5
# Next to somebody's large face, people in the background are not asked about.
BYSTANDER = 0.4
# The detector's box ends at brows and chin. The "face" whose pixels we count is the square that the recognition
# network is shown, from hair to chin: the box with a quarter of its side added on each side.
PADDING = 0.25


class Models(NamedTuple):
    detector: Any
    landmarks: Any
    recognition: Any


@cache
def models() -> Models:
    """Loads the models; raises FileNotFoundError where they are not installed."""
    # The package is found but not imported: it needs pkg_resources, which is gone from current setuptools.
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("face_recognition_models")
    folder = Path(next(iter(found.submodule_search_locations))) / "models"
    return Models(
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat")),
        dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat")),
    )


class Face(NamedTuple):
    """One face in one picture. `pixels` is the side of its square; `turn` runs from -1 (left) to 1 (right)."""

    box: Box
    score: float
    pixels: int
    turn: float
    points: Any


class Found(NamedTuple):
    """The picture, turned if its faces lay on their side, and the faces from left to right."""

    image: Image.Image
    faces: list[Face]
    turned: bool


def find(image: Image.Image) -> Found:
    # The passes shrink this one instead of the whole picture, which takes a tenth of a second each time.
    small = _shrunk(image, max(side for side, _ in PASSES))
    for side, margin in PASSES:
        boxes = _boxes(small, side, margin, CERTAIN)
        if boxes:
            return Found(image, _faces(image, small, boxes), False)
    for turn in (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180):
        turned = small.transpose(turn)
        boxes = _boxes(turned, *PASSES[0], SURE)
        if boxes:
            whole = image.transpose(turn)
            return Found(whole, _faces(whole, turned, boxes), True)
    return Found(image, [], False)


def _shrunk(image: Image.Image, side: int) -> Image.Image:
    scale = max(image.size) / side
    if scale <= 1:
        return image
    return image.resize((round(image.width / scale), round(image.height / scale)), reducing_gap=3.0)


def _boxes(image: Image.Image, side: int, margin: float, least: float) -> list[tuple[Box, float]]:
    """What the detector sees with the longest side brought to `side`, in the image's own pixels, with its score."""
    scale = max(max(image.size) / side, 0.5)  # Enlarging more than twice finds nothing new.
    seen = np.asarray(image.resize((round(image.width / scale), round(image.height / scale)), reducing_gap=3.0))
    room = round(margin * side)
    roomy = np.pad(seen, ((room, room), (room, room), (0, 0)), mode="edge")
    boxes, scores, _ = models().detector.run(np.ascontiguousarray(roomy), 0, 0.0)
    found = []
    for box, score in zip(boxes, scores, strict=True):
        left, top, right, bottom = (
            round((edge - room) * scale) for edge in (box.left(), box.top(), box.right(), box.bottom())
        )
        if score >= least:
            found.append(((left, top, right, bottom), score))
    return found


def _faces(image: Image.Image, small: Image.Image, boxes: list[tuple[Box, float]]) -> list[Face]:
    """The faces of those boxes in `small` that are somebody's who took part, in the whole picture's pixels."""
    scale = max(image.size) / max(small.size)
    found = [
        face_at(image, (round(left * scale), round(top * scale), round(right * scale), round(bottom * scale)), score)
        for (left, top, right, bottom), score in boxes
    ]
    best, largest = max(face.score for face in found), max(face.pixels for face in found)
    faces = [face for face in found if face.score == best or face.score >= SURE]
    return sorted((face for face in faces if face.pixels >= BYSTANDER * largest), key=lambda face: face.box)


def face_at(image: Image.Image, edges: Box, score: float = 0.0) -> Face:
    """The face in a box of the detector, which may reach beyond the picture."""
    points = models().landmarks(np.asarray(image), dlib.rectangle(*edges))
    side = max(edges[2] - edges[0], edges[3] - edges[1])
    inside = (max(0, edges[0]), max(0, edges[1]), min(image.width, edges[2]), min(image.height, edges[3]))
    return Face(inside, score, round(side * (1 + 2 * PADDING)), _turn(points), points)


def _turn(points: Any) -> float:
    """How far the nose stands from the middle of the eyes, along the line of the eyes: 0 front, ±1 at an eye's corner.

    Negative when the nose points to the left edge of the picture.
    """
    at = np.array([(point.x, point.y) for point in points.parts()], dtype=float)
    right, left, nose = (at[0] + at[1]) / 2, (at[2] + at[3]) / 2, at[4]
    across = right - left
    span = float(across @ across)
    return 0.0 if span == 0 else float((nose - (left + right) / 2) @ across) / span * 2


def chip(image: Image.Image, face: Face, side: int = 150) -> Pixels:
    """The face alone, upright, as the recognition network is shown it."""
    cut: Pixels = dlib.get_face_chip(np.asarray(image), face.points, size=side, padding=PADDING)
    return cut


def embedding(pixels: Pixels) -> tuple[float, ...]:
    """128 numbers; two photographs of one person lie less than 0.6 apart."""
    return tuple(round(float(number), 6) for number in models().recognition.compute_face_descriptor(pixels))
