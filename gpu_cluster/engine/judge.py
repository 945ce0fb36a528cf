"""Decides whether a headshot shows the person, against selfies that the training has never seen.

    similarity = max(0, 1 - distance / impostor_distance)

`distance` is dlib's between two faces, `impostor_distance` the mean one between different people: the same picture
has 1, a stranger about 0. `genuine` is the mean similarity of a held-out selfie to the person's other selfies, and
the likeness ratio of a headshot is its mean similarity to the held-out selfies, divided by `genuine`.
Embeddings live in the judge's memory and nowhere else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_cluster.engine.faces import Embedding, Faces, MarkedFace

PASS_RATIO = 0.70
"""Of 97 photographs that 26 people had taken of themselves, 14 % have a ratio under 0.85 and 1 % under 0.70, while 900
looks at strangers reached 0.53: with two held-out selfies the ratio is noisy, and ranks better than it gates."""
# With fewer pairs of different people, one in a thousand is not to be seen, and the calibration's figure is taken.
PAIRS_FOR_A_THRESHOLD = 1000
SMALLEST_FACE = 0.15
"""Of the picture's width; a headshot shows more."""
LEAST_SHARPNESS = 0.25
"""Of the selfies' own; below it the eyes have no edges. A picture of 128 pixels, enlarged, has 0.35 to 0.5."""
ODD_DRIFT = 12.0
"""CIE76 units from the nearest selfie's skin, from which a headshot says so. Lamps move skin by five to ten, and of
people's own photographs one in ten lies beyond this, so it is no reason to refuse one."""
LARGEST_DRIFT = 25.0
"""Another skin lies beyond twenty, and no lamp in use takes skin this far."""
A_COPY = 0.985
"""Correlation of two 32 x 32 grey thumbnails; selfies of one sitting reach 0.95."""
MAKE_MORE_FROM = 0.25
"""Share of passing pictures from which further ones are cheaper than further training."""

Decision = Literal["enough", "make more", "train on", "ask for photos"]


class NoFace(ValueError):
    """None of the held-out selfies shows a face that could be measured."""


@dataclass(frozen=True)
class Calibration:
    """dlib's distances in one kind of picture."""

    impostor_distance: float
    """Mean between different people."""
    genuine_distance: float
    """Mean between pictures of one person; used when there is only one selfie to measure by."""
    false_match_distance: float
    """Under which one pair of different people in a thousand falls."""

    @classmethod
    def of(cls, base: str | Path) -> Calibration:
        """What the base's folder says in judge.json, else PHOTOGRAPHS."""
        path = Path(base) / "judge.json"
        if not path.is_file():
            return PHOTOGRAPHS
        values = json.loads(path.read_text())
        return cls(
            impostor_distance=float(values["impostor_distance_mean"]),
            genuine_distance=float(values["genuine_distance_mean"]),
            false_match_distance=float(values["impostor_p001"]),
        )


# Measured on 116 photographs of 26 people, 6,432 pairs of strangers. dlib's model card has 0.6 as what separates best.
PHOTOGRAPHS = Calibration(impostor_distance=0.867, genuine_distance=0.408, false_match_distance=0.593)


@dataclass(frozen=True)
class JudgeVerdict:
    passed: bool
    likeness_ratio: float
    reasons: tuple[str, ...] = ()
    """Why it did not pass: names of `doubts.DOUBTS`."""
    advice: tuple[str, ...] = ()
    """What is odd, by the same names, and no reason to refuse it: others of the same look are shown first."""


@dataclass(frozen=True)
class PictureMeasures:
    """What one picture shows, whoever it is compared with. As short-lived as its embedding."""

    faces: int
    embedding: Embedding
    """Of the largest face, as all that follows."""
    size: float
    """The face's width as a part of the picture's."""
    sharpness: float
    brightness: float
    skin: NDArray[np.float64]
    thumb: NDArray[np.float64]

    @classmethod
    def of(cls, image: Image.Image, faces: Faces) -> PictureMeasures | None:
        """None where no face is found."""
        found = faces.find(image)
        if not found:
            return None
        face = found[0]
        return cls(
            faces=len(found),
            embedding=faces.embed(image, face),
            size=face.width / image.width,
            sharpness=_sharpness(image, face),
            brightness=_brightness(image, face),
            skin=skin(image, face),
            thumb=thumb(image),
        )


def split_held_out(photos: Sequence[Image.Image], held_out: int = 2) -> tuple[list[int], list[int]]:
    """Indices for training and for judging. Every fourth of eight stays out, so that a series loses both ends alike.

    Fewer than four photos give up one, a single photo serves both sides.
    """
    count = len(photos)
    wanted = min(held_out, count // 4 + (1 if 1 < count < 4 else 0))
    if wanted == 0:
        return list(range(count)), list(range(count))
    judged = [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]
    return [i for i in range(count) if i not in judged], judged


class Judge:
    """Looks at one person's headshots.

    `held_out` are selfies kept out of training or their measures, `training` those in it, `others` pictures or
    embeddings of other people of the same batch. `least_ratio` is the person's own bar, which what they rejected has
    raised; it never lowers the judge's. Raises NoFace when no held-out selfie shows a face.
    """

    def __init__(
        self,
        held_out: Sequence[Image.Image | PictureMeasures],
        training: Sequence[Image.Image] = (),
        others: Sequence[Image.Image | Embedding] = (),
        *,
        calibration: Calibration = PHOTOGRAPHS,
        faces: Faces | None = None,
        least_ratio: float = 0.0,
    ) -> None:
        self.calibration, self.least_ratio = calibration, least_ratio
        self.faces = faces or Faces()
        judged = [one for one in map(self._measured, held_out) if one]
        if not judged:
            raise NoFace("no face was found in the selfies that were kept for judging")
        self.held_out = [one.embedding for one in judged]
        known = [one for one in map(self._measured, training) if one]
        self.genuine = self._genuine([one.embedding for one in known])
        self.threshold = self._threshold(others)
        self._sharp = float(np.median([one.sharpness for one in (*judged, *known)]))
        self._skins = [one.skin for one in (*judged, *known)]
        self._thumbs = [thumb(image) for image in training]

    def similarity(self, one: Embedding, other: Embedding) -> float:
        """1 for the same picture, about 0 for a stranger."""
        return max(0.0, 1 - float(np.linalg.norm(one - other)) / self.calibration.impostor_distance)

    def look(self, image: Image.Image | PictureMeasures) -> JudgeVerdict:
        """Judges one headshot of at least 256 pixels; smaller faces are not found."""
        seen = self._measured(image)
        if seen is None:
            return JudgeVerdict(False, 0.0, ("no_face",))
        similarity = self._likeness(seen.embedding)
        ratio = similarity / self.genuine
        # As a part of the selfies' own.
        sharpness = seen.sharpness / max(self._sharp, 1e-6)
        # CIE76 units to the nearest selfie's skin.
        drift = min(float(np.linalg.norm(seen.skin - kept)) for kept in self._skins)
        # Correlation with the nearest training picture.
        copying = max((float(np.mean(seen.thumb * kept)) for kept in self._thumbs), default=0.0)
        doubted = {
            "more_faces": seen.faces > 1,
            "unlike": ratio < PASS_RATIO,
            "not_me": PASS_RATIO <= ratio < self.least_ratio,
            "stranger": similarity < self.threshold,
            "small": seen.size < SMALLEST_FACE,
            "blurred": sharpness < LEAST_SHARPNESS,
            "dark": seen.brightness < 0.12,
            "bright": seen.brightness > 0.93,
            "skin": drift > LARGEST_DRIFT,
            "copied": copying > A_COPY,
        }
        reasons = tuple(name for name, holds in doubted.items() if holds)
        advice = ("skin",) if drift > ODD_DRIFT else ()
        return JudgeVerdict(not reasons, ratio, reasons, advice)

    def _measured(self, image: Image.Image | PictureMeasures) -> PictureMeasures | None:
        return image if isinstance(image, PictureMeasures) else PictureMeasures.of(image, self.faces)

    def _likeness(self, embedding: Embedding) -> float:
        return float(np.mean([self.similarity(embedding, kept) for kept in self.held_out]))

    def _genuine(self, training: list[Embedding]) -> float:
        pairs = [(kept, other) for kept in self.held_out for other in (*self.held_out, *training) if other is not kept]
        # A training picture that is also the held-out one (a single selfie) would make the bar unreachable.
        real = [self.similarity(a, b) for a, b in pairs if float(np.linalg.norm(a - b)) > 1e-9]
        if not real:
            real = [1 - self.calibration.genuine_distance / self.calibration.impostor_distance]
        return max(float(np.mean(real)), 0.05)

    def _threshold(self, others: Sequence[Image.Image | Embedding]) -> float:
        """The similarity that one stranger in a thousand reaches."""
        strangers = [other if isinstance(other, np.ndarray) else self.faces.of(other) for other in others]
        scores = [self._likeness(stranger) for stranger in strangers if stranger is not None]
        if len(scores) >= PAIRS_FOR_A_THRESHOLD:
            return float(np.quantile(scores, 0.999))
        usual = 1 - self.calibration.false_match_distance / self.calibration.impostor_distance
        # A double in the company raises the bar even when the company is small.
        return max([usual, *scores])


def decide(verdicts: Sequence[JudgeVerdict], wanted: int, most: int, *, trained_on: bool = False) -> Decision:
    """What to do when these verdicts are all there is and `wanted` pictures have to pass.

    At most `most` pictures are made before the person is trained further. With `trained_on`, the person has been trained
    a second time already and better photos are all that is left to ask for.
    """
    passed = sum(verdict.passed for verdict in verdicts)
    if passed >= wanted:
        return "enough"
    if len(verdicts) < most and passed >= MAKE_MORE_FROM * len(verdicts):
        return "make more"
    return "ask for photos" if trained_on else "train on"


def alike(images: Sequence[Image.Image]) -> float:
    """Mean correlation between different pictures; near 1 the training has collapsed into one picture."""
    thumbs = [thumb(image).ravel() for image in images]
    if len(thumbs) < 2:
        return 0.0
    between: NDArray[np.float64] = np.asarray(np.corrcoef(np.stack(thumbs)))
    return float(between[np.triu_indices(len(thumbs), 1)].mean())


def ita(skin: NDArray[np.float64]) -> float:
    """The individual typology angle of a skin in L*a*b*, in degrees: above 55 very light, under -30 dark."""
    return math.degrees(math.atan2(skin[0] - 50, skin[2]))


def _patch(image: Image.Image, face: MarkedFace, side: int) -> NDArray[np.float64]:
    """The face alone at a fixed size, (side, side, 3) in 0..1, so that pictures of any size compare."""
    box = (round(face.left), round(face.top), round(face.right), round(face.bottom))
    crop = image.convert("RGB").crop(box).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(crop, dtype=np.float64) / 255


def _brightness(image: Image.Image, face: MarkedFace) -> float:
    return float((_patch(image, face, 32) @ LUMA).mean())


def _sharpness(image: Image.Image, face: MarkedFace) -> float:
    """Spread of the Laplacian over the face at 96 pixels, which a small base can reach as well."""
    grey = _patch(image, face, 96) @ LUMA
    edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return float(edges.std())


def skin(image: Image.Image, face: MarkedFace) -> NDArray[np.float64]:
    """Median L*a*b* of both cheeks: half-way between the eyes and the point under the nose, outwards of it."""
    points = np.array(face.landmarks)
    eyes, nose = points[:4], points[4]
    reach = max(2.0, 0.10 * face.width)
    colours = []
    for corner in (eyes[np.argmin(eyes[:, 0])], eyes[np.argmax(eyes[:, 0])]):
        x, y = 0.65 * corner[0] + 0.35 * nose[0], 0.25 * corner[1] + 0.75 * nose[1]
        box = (round(x - reach), round(y - reach), round(x + reach) + 1, round(y + reach) + 1)
        colours.append(np.asarray(image.convert("RGB").crop(box), dtype=np.float64).reshape(-1, 3) / 255)
    middle: NDArray[np.float64] = np.median(np.concatenate(colours), axis=0)
    return _lab(middle)


def thumb(image: Image.Image) -> NDArray[np.float64]:
    """32 x 32 grey, mean 0 and spread 1."""
    grey = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), dtype=np.float64)
    thumb: NDArray[np.float64] = (grey - grey.mean()) / (grey.std() + 1e-6)
    return thumb


LUMA = np.array([0.2126, 0.7152, 0.0722])
# sRGB's primaries under D65, and the white they make (IEC 61966-2-1).
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.0890])


def _lab(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* of one colour in 0..1."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    share = TO_XYZ @ linear / WHITE
    root = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
