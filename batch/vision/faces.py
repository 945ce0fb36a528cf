"""Faces in a picture: where, how large, which way they look, and the numbers that tell people and looks apart.

Everything here runs in a limited child process. Faces and their points are found by `landmarks`; of dlib only the
recognition network is used, which is free for commercial use.
"""

import importlib.util
import math
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import dlib
import numpy as np
from PIL import Image

from batch.vision import landmarks
from batch.vision.landmarks import LEFT_INNER, LEFT_OUTER, NOSE_BASE, RIGHT_INNER, RIGHT_OUTER, Detection
from batch.vision.views import Floats, View, placed

Box = tuple[int, int, int, int]  # left, top, right, bottom

# Larger pictures are looked at in a copy. Making it costs more than it saves below this: the detector works on 256 px.
SEEN_SIDE = 2_048
# Points are exact to a 200th of the face: a smaller one is measured in the whole picture, not in the copy.
MEASURED = 200
# A picture's faces may lie on their side, when the phone did not write how it was held; then only sure ones count.
SURE = 0.75
ASKEW = 60.0
# What turns a face upright that lies so many quarter turns clockwise.
LYING = {1: Image.Transpose.ROTATE_90, 3: Image.Transpose.ROTATE_270, 2: Image.Transpose.ROTATE_180}
# Next to somebody's large face, people in the background are not asked about.
BYSTANDER = 0.4
# The "face" whose pixels we count is the square that the recognition network is shown, from the hair to the chin.
SQUARE = 1.27
"""Its side by the height from hairline to chin."""
PADDING = 0.25
LOOK_SIDE = 64


@cache
def recognition() -> Any:
    """Loads the network; raises FileNotFoundError where it is not installed."""
    # The package is found but not imported: it needs pkg_resources, which is gone from current setuptools.
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("face_recognition_models")
    folder = Path(next(iter(found.submodule_search_locations))) / "models"
    return dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))


class Face(NamedTuple):
    """One face in one picture, with its points in that picture's pixels."""

    box: Box
    """Hairline to chin and cheek to cheek, inside the picture."""
    mesh: landmarks.FacePoints

    @property
    def pixels(self) -> int:
        """The side of its square: the same in every frame around it, within about 1 %."""
        return round(SQUARE * self.mesh.height)

    @property
    def turn(self) -> float:
        """How far the nose stands from the middle of the eyes, along their line: 0 front, ±1 at an eye's corner;
        negative when it points to the left edge of the picture."""
        right, left = self.mesh.right_eye, self.mesh.left_eye
        across = left - right
        span = float(across @ across)
        nose = self.mesh.points[NOSE_BASE, :2]
        return float((nose - (left + right) / 2) @ across) / span * 2 if span else 0.0


class PhotoFaces(NamedTuple):
    """The picture, turned if its faces lay on their side; the people who took part from left to right, and others."""

    image: Image.Image
    faces: list[Face]
    bystanders: list[Face]
    turned: bool


def find(image: Image.Image) -> PhotoFaces:
    scale = max(1.0, max(image.size) / SEEN_SIDE)
    small = image
    if scale > 1:
        small = image.resize((round(image.width / scale), round(image.height / scale)), reducing_gap=2.0)
    seen = landmarks.detections(small)
    lies = LYING.get(_quarter(max(seen, key=lambda one: one.height))) if seen else None
    if seen and lies is None:
        return _found(image, small, seen, turned=False)
    for turn in (lies,) if lies is not None else LYING.values():
        turned = small.transpose(turn)
        sure = [one for one in landmarks.detections(turned) if one.score >= SURE]
        if sure:
            found = _found(image.transpose(turn), turned, sure, turned=True)
            if found.faces:
                return found
    return PhotoFaces(image, [], [], False)


def _quarter(seen: Detection) -> int:
    """How many quarter turns clockwise a face lies on its side; a head that is only held askew stays as it is."""
    right, left = seen.keys[0], seen.keys[1]
    roll = math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))
    return round(roll / 90) % 4 if abs(roll) > ASKEW else 0


def _found(image: Image.Image, small: Image.Image, seen: list[Detection], *, turned: bool) -> PhotoFaces:
    people = [face for one in seen if (face := _face(image, small, one))]
    largest = max((face.pixels for face in people), default=0)
    took_part = sorted((face for face in people if face.pixels >= BYSTANDER * largest), key=lambda face: face.box)
    others = [face for face in people if face.pixels < BYSTANDER * largest]
    return PhotoFaces(image, took_part, others, turned)


def _face(image: Image.Image, small: Image.Image, seen: Detection) -> Face | None:
    scale = max(image.size) / max(small.size)
    if scale > 1 and seen.height < MEASURED:
        mesh = landmarks.mesh(image, Detection(seen.box * scale, seen.score, seen.keys * scale))
    else:
        mesh = landmarks.mesh(small, seen)
        mesh = mesh and scaled(mesh, scale)
    return face_of(mesh, image.size) if mesh else None


def scaled(mesh: landmarks.FacePoints, scale: float) -> landmarks.FacePoints:
    found = Detection(mesh.found.box * scale, mesh.found.score, mesh.found.keys * scale)
    return landmarks.FacePoints(found, mesh.points * scale)


def face_of(mesh: landmarks.FacePoints, size: tuple[int, int]) -> Face:
    left, top, right, bottom = mesh.box
    return Face(
        (max(0, round(left)), max(0, round(top)), min(size[0], round(right)), min(size[1], round(bottom))), mesh
    )


def upright(face: Face, side: int, heights: float) -> View:
    """A view of the face with its eyes level, so many face heights wide. The eyes decide alone where it lies, because
    a mouth that opens moves the points around it."""
    mesh = face.mesh
    roll = math.radians(mesh.roll)
    tall = mesh.interocular * 1.98
    down = np.array([-math.sin(roll), math.cos(roll)])
    return placed((mesh.right_eye + mesh.left_eye) / 2 + 0.22 * tall * down, roll, heights * tall / side, side)


def grey(pixels: Floats) -> Floats:
    """Brightness from 0 to 255 of pixels from 0 to 1."""
    brightness: Floats = pixels @ np.array((0.299, 0.587, 0.114), np.float32) * 255
    return brightness


def look(image: Image.Image, face: Face) -> bytes:
    """The face alone, small and grey: by it two pictures of one look are known, whatever is around the face."""
    seen = grey(upright(face, LOOK_SIDE, 0.95).take(image))
    return bytes(np.clip(np.round(seen), 0, 255).astype(np.uint8).tobytes())


def embedding(image: Image.Image, face: Face) -> tuple[float, ...]:
    """128 numbers; two photographs of one person lie less than 0.6 apart."""
    corners = face.mesh.points[[LEFT_OUTER, LEFT_INNER, RIGHT_OUTER, RIGHT_INNER, NOSE_BASE], :2]
    # The network sees 150 px: of a large picture only the part around the face is given to dlib, and made small first.
    around = 0.85 * face.pixels
    left, top = (round(float(edge)) for edge in corners.mean(0) - around)
    part = image.crop((left, top, left + round(2 * around), top + round(2 * around)))
    scale = max(1, face.pixels // 300)
    part = part.reduce(scale) if scale > 1 else part
    points = [dlib.point(round(float(x)), round(float(y))) for x, y in (corners - (left, top)) / scale]
    shape = dlib.full_object_detection(dlib.rectangle(0, 0, part.width, part.height), points)
    chip = dlib.get_face_chip(np.asarray(part), shape, size=150, padding=PADDING)
    return tuple(round(float(number), 6) for number in recognition().compute_face_descriptor(chip))
