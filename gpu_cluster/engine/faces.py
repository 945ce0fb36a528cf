"""Finds faces and measures how alike two are, with dlib's models; nothing it computes is kept."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import dlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

# The detector needs faces of 80 pixels; portraits of this side have them, and larger ones only take longer.
LOOKED_AT = 512

Box = tuple[float, float, float, float]
"""Left, top, right and bottom as parts of a picture's sides, 0..1."""

Embedding = NDArray[np.float64]
"""128 numbers; the Euclidean distance between two says how little alike the faces are."""


@dataclass(frozen=True)
class MarkedFace:
    """A face's box and marks, in pixels of the image it was found in."""

    left: float
    top: float
    right: float
    bottom: float
    landmarks: tuple[tuple[float, float], ...]
    """Five points, in the picture's left and right: right eye's outer and inner corner, left eye's outer and inner
    corner (counted as dlib does: 0, 1 on the right of the picture, 2, 3 on its left), under the nose."""

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2


class Faces:
    """dlib's detector, five landmarks and 128 numbers for a face; each model is read on first use.

    The 68-point landmarks that lie in the same folder must not be used commercially, and are not.
    """

    def __init__(self) -> None:
        # dlib's objects keep scratch memory, so that one thread at a time may use them.
        self._lock = Lock()

    def find(self, image: Image.Image) -> list[MarkedFace]:
        """Faces from the largest to the smallest."""
        scale = min(1.0, LOOKED_AT / max(image.size))
        seen = image.convert("RGB")
        if scale < 1:
            seen = seen.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
        pixels = np.asarray(seen)
        with self._lock:
            boxes = self._detector(pixels, 0) or self._detector(pixels, 1)
            faces = [self._face(box, self._landmarks(pixels, box), scale) for box in boxes]
        return sorted(faces, key=lambda face: -face.width)

    def embed(self, image: Image.Image, face: MarkedFace) -> Embedding:
        """128 numbers of one face; only ever compared, in memory."""
        pixels = np.ascontiguousarray(image.convert("RGB"))
        points = [dlib.point(round(x), round(y)) for x, y in face.landmarks]
        with self._lock:
            shape = dlib.full_object_detection(_box(face), points)
            return np.asarray(self._recogniser.compute_face_descriptor(pixels, shape), dtype=np.float64)

    def of(self, image: Image.Image) -> Embedding | None:
        """The embedding of the largest face; None where no face is found."""
        found = self.find(image)
        return self.embed(image, found[0]) if found else None

    def head(self, image: Image.Image) -> Box | None:
        """Where the largest face's head is, with its hair; None where no face is found."""
        return self._around(image, 0.5, 0.7, 0.5)

    def front(self, image: Image.Image) -> Box | None:
        """Where the largest face itself is, from the brows to the chin; None where no face is found."""
        return self._around(image, 0.1, 0.15, 0.08)

    def _around(self, image: Image.Image, across: float, above: float, below: float) -> Box | None:
        """The face's box, wider and higher by these parts of its own size, within the picture."""
        found = self.find(image)
        if not found:
            return None
        face = found[0]
        width, height = face.width, face.bottom - face.top
        return (
            max(0.0, (face.left - across * width) / image.width),
            max(0.0, (face.top - above * height) / image.height),
            min(1.0, (face.right + across * width) / image.width),
            min(1.0, (face.bottom + below * height) / image.height),
        )

    def crop(self, image: Image.Image, face: MarkedFace, margin: float = 0.8) -> Image.Image:
        """The largest square around the face that has up to `margin` face widths on every side, for training."""
        x, y = face.centre
        half = min(face.width * (0.5 + margin), x, y, image.width - x, image.height - y)
        # Near an edge the square keeps its size where the picture allows, and moves instead.
        half = max(half, min(face.width * (0.5 + margin), min(image.size) / 2))
        x = min(max(x, half), image.width - half)
        y = min(max(y, half), image.height - half)
        return image.crop((round(x - half), round(y - half), round(x + half), round(y + half)))

    @cached_property
    def _detector(self) -> Any:
        return dlib.get_frontal_face_detector()

    @cached_property
    def _landmarks(self) -> Any:
        return dlib.shape_predictor(str(_models() / "shape_predictor_5_face_landmarks.dat"))

    @cached_property
    def _recogniser(self) -> Any:
        return dlib.face_recognition_model_v1(str(_models() / "dlib_face_recognition_resnet_model_v1.dat"))

    def _face(self, box: Any, shape: Any, scale: float) -> MarkedFace:
        points = tuple((shape.part(i).x / scale, shape.part(i).y / scale) for i in range(shape.num_parts))
        return MarkedFace(box.left() / scale, box.top() / scale, box.right() / scale, box.bottom() / scale, points)


def _box(face: MarkedFace) -> Any:
    return dlib.rectangle(round(face.left), round(face.top), round(face.right), round(face.bottom))


def _models() -> Path:
    # Importing the package itself would need setuptools' pkg_resources, so it is only located.
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("the package face_recognition_models is not installed")
    return Path(found.submodule_search_locations[0]) / "models"
