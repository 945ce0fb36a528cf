"""Measures how dlib's recogniser tells drawn people apart, and writes what the judge needs to know beside the base.

    python -m gpu_cluster.drawn.learning.calibrate --out gpu_cluster/drawn/base/judge.json

Photographs have their own figures; these hold for the drawn world alone.
"""

import argparse
import importlib.util
import json
from pathlib import Path

import dlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_cluster.drawn.people.draw import DrawnPerson, Scene, draw

# Far from the people that demos, tests and training draw.
FIRST_PERSON = 5_000_000
PICTURES = 3
JUDGED = 512


class Recogniser:
    def __init__(self) -> None:
        found = importlib.util.find_spec("face_recognition_models")
        if found is None or not found.submodule_search_locations:
            raise FileNotFoundError("the package face_recognition_models is not installed")
        models = Path(next(iter(found.submodule_search_locations))) / "models"
        self._detect = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(models / "shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(str(models / "dlib_face_recognition_resnet_model_v1.dat"))

    def vector(self, picture: Image.Image) -> NDArray[np.float64] | None:
        """128 numbers for the largest face; None when no face is found at either scale."""
        pixels = np.asarray(picture)
        faces = self._detect(pixels, 0) or self._detect(pixels, 1)
        if not faces:
            return None
        largest = max(faces, key=lambda face: int(face.area()))
        return np.array(self._network.compute_face_descriptor(pixels, self._landmarks(pixels, largest)))


def measure(recogniser: Recogniser, people: int, size: int) -> dict[str, float]:
    """Draws at `size`, enlarges to what the judge looks at, and compares every picture with every other."""
    vectors, owners = [], []
    for seed in range(FIRST_PERSON, FIRST_PERSON + people):
        rng = np.random.default_rng((41, seed))
        for _ in range(PICTURES):
            picture = draw(DrawnPerson.drawn(seed), Scene.drawn(rng), size)
            vector = recogniser.vector(picture.resize((JUDGED, JUDGED), Image.Resampling.LANCZOS))
            if vector is not None:
                vectors.append(vector)
                owners.append(seed)
    found, owner = np.array(vectors), np.array(owners)
    pairs = np.triu_indices(len(found), 1)
    distances = np.linalg.norm(found[pairs[0]] - found[pairs[1]], axis=-1)
    same = owner[pairs[0]] == owner[pairs[1]]
    genuine, impostor = distances[same], distances[~same]
    figures = {
        "detected": len(found) / (people * PICTURES),
        "genuine_distance_mean": genuine.mean(),
        "genuine_p95": np.percentile(genuine, 95),
        "impostor_distance_mean": impostor.mean(),
        "impostor_p001": np.percentile(impostor, 0.1),
    }
    return {name: round(float(figure), 4) for name, figure in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=120)
    arguments = parser.parse_args()
    recogniser = Recogniser()
    large, small = (measure(recogniser, arguments.people, size) for size in (512, 128))
    # The top level holds what headshots are judged by: they come out of the base at 128 px.
    arguments.out.write_text(json.dumps({**small, "people": arguments.people, "at_512": large}, indent=2) + "\n")


if __name__ == "__main__":
    main()
