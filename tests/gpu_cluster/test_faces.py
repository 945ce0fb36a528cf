from __future__ import annotations

import numpy as np
from PIL import Image

from gpu_cluster.drawn.people.draw import selfies
from gpu_cluster.engine.faces import Faces


def test_a_drawn_face_is_found_with_its_marks(faces: Faces) -> None:
    picture = selfies(1, 1, 512)[0][0]
    (face,) = faces.find(picture)
    assert 100 < face.width < 400
    x, _ = face.centre
    assert 150 < x < 362
    assert len(face.landmarks) == 5
    assert all(face.left <= px <= face.right and face.top <= py <= face.bottom for px, py in face.landmarks)


def test_the_same_face_is_found_in_a_larger_picture(faces: Faces) -> None:
    picture = selfies(1, 1, 512)[0][0]
    small, large = faces.find(picture)[0], faces.find(picture.resize((1024, 1024)))[0]
    assert abs(2 * small.width - large.width) < 20


def test_embeddings_tell_people_apart(faces: Faces) -> None:
    ada, other = ([faces.of(picture) for picture, _ in selfies(seed, 2, 512)] for seed in (3, 4))
    first, second, stranger = ada[0], ada[1], other[0]
    assert first is not None
    assert second is not None
    assert stranger is not None
    assert first.shape == (128,)
    assert np.linalg.norm(first - second) < np.linalg.norm(first - stranger)


def test_no_face_is_no_answer(faces: Faces) -> None:
    assert faces.find(Image.new("RGB", (200, 200), "grey")) == []
    assert faces.of(Image.new("L", (200, 200))) is None


def test_a_crop_is_square_and_holds_the_face(faces: Faces) -> None:
    picture = selfies(1, 1, 512)[0][0].crop((60, 0, 512, 512))
    face = faces.find(picture)[0]
    crop = faces.crop(picture, face)
    assert crop.width == crop.height
    assert crop.width >= face.width
    assert len(faces.find(crop)) == 1


def test_a_head_holds_the_face_and_its_hair(faces: Faces) -> None:
    picture = selfies(1, 1, 512)[0][0]
    face, head = faces.find(picture)[0], faces.head(picture)
    assert head is not None
    left, top, right, bottom = (part * 512 for part in head)
    assert 0 <= left < face.left
    assert 0 <= top < face.top
    assert face.right < right <= 512
    assert face.bottom < bottom <= 512
    front = faces.front(picture)
    assert front is not None
    assert all(inner > outer for inner, outer in zip(front[:2], head[:2], strict=True))
    assert all(inner < outer for inner, outer in zip(front[2:], head[2:], strict=True))
    assert front[0] * 512 < face.left < face.right < front[2] * 512
    nothing = Image.new("RGB", (200, 200), "grey")
    assert faces.head(nothing) is None
    assert faces.front(nothing) is None
