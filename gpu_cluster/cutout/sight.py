"""The cheap look at a photo (60 ms), enough to choose among somebody's photos and to know their own tone."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from batch.vision import landmarks
from batch.vision.landmarks import Detection, FacePoints
from batch.vision.presets import CANVAS, FACE, PRESETS
from batch.vision.views import Floats, View
from gpu_cluster.cutout import light
from gpu_cluster.cutout.frame import placing
from gpu_cluster.cutout.limits import LIMITS

# A portrait needs no more than this; larger photos only cost time.
LONGEST = 2400
# Eyes open by less than this look closed; one so nearly shut beside one wide open is a wink.
SHUT, WINK, WIDE = 0.08, 0.02, 0.2
# A mouth open wider than this part of the eyes' distance is a laugh, a word or a grimace.
LAUGH = 0.22
# Two photos that are more alike than this (of 1.2) are of one moment: the person would choose between two of a kind.
ONE_MOMENT = 1.12
# The person's own tone is the median over at least this many photos: one photo has no say against itself.
TONES = 3


@dataclass(frozen=True)
class Sight:
    """What one photo shows. `photo` is RGB and upright; `others` holds every detection, the person's own included."""

    photo: Image.Image
    others: tuple[Detection, ...]
    face: FacePoints
    view: View
    eyes: tuple[float, float]
    sharpness: float
    tone: Floats | None
    thumbnail: Floats

    @property
    def enlarged(self) -> float:
        return FACE / self.face.height

    @property
    def shut(self) -> bool:
        return max(self.eyes) < SHUT or (min(self.eyes) < WINK and max(self.eyes) > WIDE)


def look(photo: Image.Image) -> Sight | None:
    """None when there is no face in the photo."""
    photo = photo.convert("RGB")
    photo.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS, reducing_gap=3.0)
    found = landmarks.detections(photo)
    for detection in sorted(found, key=lambda one: -_weight(one, photo.size)):
        face = landmarks.mesh(photo, detection)
        if face is not None:
            break
    else:
        return None
    view = placing(face)
    # A quarter of the canvas is enough to see a tone.
    quarter = View(view.matrix * np.array([4, 4, 1.0]), CANVAS // 4)
    small = photo.convert("L").resize((16, 16), Image.Resampling.BOX)
    thumbnail = np.asarray(small, np.float32) / 255
    return Sight(
        photo,
        tuple(found),
        face,
        view,
        landmarks.openness(photo, face),
        _sharpness(photo, face),
        light.tone(quarter.take(photo), landmarks.seen(quarter, face)),
        thumbnail - thumbnail.mean(),
    )


def _weight(found: Detection, size: tuple[int, int]) -> float:
    """Large and central: a selfie's own face."""
    x, y = (found.box[:2] + found.box[2:]) / 2 / np.array(size)
    return found.height * (1 - 0.7 * min(0.5, math.hypot(float(x) - 0.5, (float(y) - 0.45) * 0.7)))


def _sharpness(photo: Image.Image, face: FacePoints) -> float:
    """Edge strength on the face by its contrast: about 0.5 for a sharp selfie."""
    left, top, right, bottom = (round(edge) for edge in face.box)
    grey = photo.crop((left, top, max(right, left + 1), max(bottom, top + 1))).convert("L").resize((192, 224))
    values = np.asarray(grey, np.float32) / 255
    return float(np.std(ndimage.gaussian_laplace(values, 1.2)) / (np.std(values) + 0.02))


def own_tone(sights: list[Sight]) -> Floats | None:
    """The person's own tone: the median over their photos, black-and-white ones left out."""
    tones = [sight.tone for sight in sights if sight.tone is not None and light.chroma(sight.tone) > light.GREY]
    if len(tones) < TONES:
        return None
    own: Floats = np.median(tones, 0)
    return own


def ranked(sights: list[Sight]) -> list[int]:
    """The places of the photos, best first and varied: sharp, large, looking at the camera, with an expression that the
    person often has; each counts for less the more it is like one before it. Hopeless ones are left out."""
    usual = _usual(sights)
    worth = {at: _worth(sight, usual) for at, sight in enumerate(sights) if _usable(sight)}
    order: list[int] = []
    while worth:
        like = {at: max((_alike(sights[at], sights[other]) for other in order), default=0.0) for at in worth}
        best = max(worth, key=lambda at: worth[at] - like[at])
        if like[best] < ONE_MOMENT:
            order.append(best)
        del worth[best]
    return order


def _usable(sight: Sight) -> bool:
    return sight.enlarged <= LIMITS["too_small"].refuse and abs(sight.face.yaw) <= LIMITS["turned"].refuse


def _expression(sight: Sight) -> Floats:
    return np.array([sight.face.mouth_open / 0.1, sight.face.pitch / 15, min(sight.eyes) / 0.1])


def _usual(sights: list[Sight]) -> Floats | None:
    if len(sights) < TONES:
        return None
    usual: Floats = np.median([_expression(sight) for sight in sights], 0)
    return usual


def _worth(sight: Sight, usual: Floats | None) -> float:
    left, top, right, bottom = PRESETS["square"].box()
    corners = sight.view.to_photo(np.array([(left, top), (right, top), (left, bottom), (right, bottom)]))
    size = np.array(sight.photo.size)
    short = float(np.maximum(0, np.maximum(-corners, corners - size)).max()) / (
        sight.face.height * PRESETS["square"].faces
    )
    near = sum(one is not sight.face.found and one.height > 0.3 * sight.face.found.height for one in sight.others)
    grimace = max(0.0, sight.face.mouth_open - LAUGH) * 4 + (1.5 if sight.shut else 0.0)
    if usual is not None:
        # Sharp, frontal and varied alone let grimaces win: a face that the person seldom makes counts for less.
        grimace += 0.25 * min(4.0, float(np.linalg.norm(_expression(sight) - usual)))
    return (
        min(1.0, sight.face.height / 300)
        + 1.2 * min(1.0, sight.sharpness / 0.5)
        + 1.5 * min(1.0, max(0.0, min(sight.eyes)) / 0.16)
        - abs(sight.face.yaw) / 30
        - abs(sight.face.pitch) / 50
        - 4 * max(0.0, short - 0.04)
        - 1.5 * min(1, near)
        - grimace
    )


def _alike(one: Sight, other: Sight) -> float:
    """Up to 1.2 for two photos of one moment."""
    kinds = [
        np.array([sight.face.yaw / 15, sight.face.pitch / 15, sight.face.mouth_open * 4]) for sight in (one, other)
    ]
    scene = float((one.thumbnail * other.thumbnail).sum())
    scene /= float(np.linalg.norm(one.thumbnail) * np.linalg.norm(other.thumbnail)) + 1e-6
    return 0.6 * math.exp(-float(np.sum((kinds[0] - kinds[1]) ** 2))) + 0.6 * max(0.0, scene)
