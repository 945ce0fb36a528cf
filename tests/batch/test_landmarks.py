"""Faces and their points: on a real photograph, whatever its size, frame and turn, and inside the limited child."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps

from batch.vision import landmarks
from likeness.sandbox.child import Children, Limits


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    """Eileen Collins, NASA, public domain; somebody with open eyes who smiles."""
    return Image.fromarray(skimage.data.astronaut())


def only(photo: Image.Image) -> landmarks.FacePoints:
    (face,) = landmarks.faces(photo)
    return face


def test_the_ruler_does_not_move_with_the_frame(photo: Image.Image) -> None:
    """One face in wide and tight frames, larger and smaller photos, tilted and in the mirror: one height within 2 %."""
    whole = only(photo)
    large = photo.resize((2048, 2048), Image.Resampling.LANCZOS)
    frames = [
        photo.crop((150, 50, 300, 220)),
        photo.crop((100, 0, 400, 300)),
        photo.rotate(20, Image.Resampling.BICUBIC),
        ImageOps.mirror(photo),
        ImageOps.expand(photo, 900, "grey"),
    ]
    for framed in frames:
        assert only(framed).height == pytest.approx(whole.height, rel=0.02)
    assert only(large).height == pytest.approx(4 * whole.height, rel=0.02)


def test_points_follow_the_photo(photo: Image.Image) -> None:
    face, mirrored, tilted = only(photo), only(ImageOps.mirror(photo)), only(photo.rotate(20))
    assert face.roll == pytest.approx(-mirrored.roll, abs=1.5)
    assert tilted.roll == pytest.approx(face.roll - 20, abs=1.5)
    assert mirrored.left_eye == pytest.approx([photo.width - face.right_eye[0], face.right_eye[1]], abs=2)
    assert abs(face.yaw) < 5
    assert 0.05 < face.mouth_open < 0.25
    left, top, right, bottom = face.box
    assert left < face.right_eye[0] < face.left_eye[0] < right
    assert top < face.left_eye[1] < bottom


def test_a_head_that_turns_has_a_sign() -> None:
    """Seen by the points alone: the side that is farther away is the one that the nose points to."""
    points = np.zeros((468, 3))
    points[landmarks.RIGHT_SIDE], points[landmarks.LEFT_SIDE] = (0, 0, -30), (80, 0, 30)
    face = landmarks.FacePoints(landmarks.Detection(np.zeros(4), 1.0, np.zeros((6, 2))), points)
    assert face.yaw == pytest.approx(math.degrees(math.atan2(60, 80)))


def test_closed_eyes_are_seen(photo: Image.Image) -> None:
    """The open eyes of the photograph, and the same with skin drawn over them from the cheek below."""
    face = only(photo)
    assert min(landmarks.openness(photo, face)) > landmarks.OPEN
    shut = photo.copy()
    for eye in (face.right_eye, face.left_eye):
        x, y = (round(float(value)) for value in eye)
        lid = shut.crop((x - 12, y + 10, x + 12, y + 19)).resize((24, 14))
        shut.paste(lid, (x - 12, y - 9))
    assert max(landmarks.openness(shut, face)) < min(landmarks.openness(photo, face)) * 0.6


def test_a_small_face_is_found_in_tiles_and_two_faces_are_two(photo: Image.Image) -> None:
    wide = Image.new("RGB", (3000, 2400), "grey")
    wide.paste(photo.resize((400, 400)), (2300, 1500))
    assert only(wide).box[0] > 2300
    pair = Image.new("RGB", (1024, 512))
    pair.paste(photo, (0, 0))
    pair.paste(ImageOps.mirror(photo), (512, 0))
    assert len(landmarks.faces(pair)) == 2


def test_a_face_that_fills_the_photo_is_found(photo: Image.Image) -> None:
    assert only(photo.crop((172, 60, 277, 180)).resize((1200, 1371))).height == pytest.approx(
        1371 / 120 * 114, rel=0.06
    )


def test_nobody_is_nobody() -> None:
    assert landmarks.faces(Image.fromarray(skimage.data.coffee())) == []
    assert landmarks.faces(Image.new("RGB", (1, 1))) == []


def test_the_oval_is_the_face_and_nothing_else(photo: Image.Image) -> None:
    face = only(photo)
    oval, inner = face.oval(photo.size), face.oval(photo.size, 0.86)
    assert oval.shape == (photo.height, photo.width)
    assert inner.sum() == pytest.approx(oval.sum() * 0.86**2, rel=0.03)
    assert oval[round(float(face.right_eye[1])), round(float(face.right_eye[0]))]
    assert not oval[:60].any()


def test_a_changed_file_is_not_loaded(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iris_landmark.tflite").write_bytes(b"something else")
    monkeypatch.setattr(landmarks, "FOLDER", tmp_path)
    with pytest.raises(landmarks.ModelChanged):
        landmarks.Network("iris_landmark.tflite")


def warm() -> None:
    Image.init()
    landmarks.warm_up()


def measured(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """Runs in the limited child."""
    photo = Image.open(io.BytesIO(data))
    face = only(photo)
    return {"height": face.height, "eyes": landmarks.openness(photo, face)}, b""


def test_it_runs_where_nothing_may_be_opened(photo: Image.Image) -> None:
    """The same figures come from the process that meets hostile files: no files, no network, no threads."""
    children = Children(
        __name__, "measured", warm="warm", limits=Limits(memory=1024 * 2**20, processor_seconds=10), size=1
    )
    file = io.BytesIO()
    photo.save(file, "PNG")
    try:
        answer, _ = children.run({}, file.getvalue())
    finally:
        children.close()
    assert answer["height"] == pytest.approx(only(photo).height, abs=1e-6)
    assert answer["eyes"] == pytest.approx(landmarks.openness(photo, only(photo)), abs=1e-6)
