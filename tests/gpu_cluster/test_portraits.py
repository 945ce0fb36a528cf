import importlib.util
from pathlib import Path

import dlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gpu_cluster.drawn.people.draw import DRESSES, SUBJECT_TOKEN, DrawnPerson, Scene, caption, draw, selfies

PEOPLE, PICTURES = 12, 4


class Eye:
    """dlib's detector, five landmarks and recogniser: what the bundled judge sees with."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("face_recognition_models")
        assert found is not None
        assert found.submodule_search_locations is not None
        models = Path(next(iter(found.submodule_search_locations))) / "models"
        self.detect = dlib.get_frontal_face_detector()
        self.landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self.recogniser = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def vector(self, picture: Image.Image) -> NDArray[np.float64] | None:
        pixels = np.asarray(picture)
        faces = self.detect(pixels, 0) or self.detect(pixels, 1)
        if len(faces) != 1:
            return None
        return np.array(self.recogniser.compute_face_descriptor(pixels, self.landmarks(pixels, faces[0])))


def _seen(small: bool) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    eye, vectors, owners = Eye(), [], []
    for seed in range(PEOPLE):
        rng = np.random.default_rng((17, seed))
        for _ in range(PICTURES):
            picture = draw(DrawnPerson.drawn(seed), Scene.drawn(rng), 128 if small else 512)
            vector = eye.vector(picture.resize((512, 512), Image.Resampling.LANCZOS))
            if vector is not None:
                vectors.append(vector)
                owners.append(seed)
    return np.array(vectors), np.array(owners), len(vectors) / (PEOPLE * PICTURES)


@pytest.mark.parametrize("small", [False, True], ids=["512", "128 enlarged"])
def test_a_face_is_found_and_belongs_to_one_person(small: bool) -> None:
    vectors, owners, found = _seen(small)
    assert found >= 0.95
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)
    pairs = np.triu_indices(len(vectors), 1)
    same = (owners[:, None] == owners[None])[pairs]
    genuine, impostor = distances[pairs][same], distances[pairs][~same]
    assert impostor.mean() > genuine.mean() + 0.2
    assert np.percentile(genuine, 95) < np.percentile(impostor, 5)


def test_the_same_seed_gives_the_same_pixels() -> None:
    first, second = selfies(5, 3, 128), selfies(5, 3, 128)
    for (one, words), (other, same_words) in zip(first, second, strict=True):
        assert words == same_words
        assert one.tobytes() == other.tobytes()
    assert selfies(6, 1, 128)[0][0].tobytes() != first[0][0].tobytes()


def test_a_picture_looks_the_same_at_every_size() -> None:
    person, scene = DrawnPerson.drawn(3), Scene.drawn(np.random.default_rng(3))
    large = draw(person, scene, 512).resize((128, 128), Image.Resampling.BOX)
    difference = np.asarray(large, float) - np.asarray(draw(person, scene, 128), float)
    assert np.abs(difference).mean() < 3.0


def test_captions_name_the_scene_and_traits_only_when_asked() -> None:
    person = DrawnPerson.drawn(1)
    for _, words in selfies(1, 8, 64):
        assert SUBJECT_TOKEN in words
        assert any(dress in words for dress in DRESSES)
        assert "skin" not in words
        assert "hair" not in words
    scene = Scene.drawn(np.random.default_rng(0))
    assert person.words() in caption(scene, person)


@pytest.mark.parametrize("seed", range(40))
def test_no_person_breaks_the_brush(seed: int) -> None:
    picture = draw(DrawnPerson.drawn(seed), Scene.drawn(np.random.default_rng(seed)), 96)
    pixels = np.asarray(picture)
    assert pixels.shape == (96, 96, 3)
    assert pixels.std() > 10
