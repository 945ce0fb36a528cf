"""Which pixels of the canvas are the person. MediaPipe's selfie segmenter answers at 256 px; it is asked several times."""

from functools import cache

import numpy as np
from PIL import Image
from scipy import ndimage

from batch.vision.landmarks import Network
from batch.vision.presets import CANVAS, EYE_LINE, FACE
from batch.vision.views import Bools, Floats


@cache
def network() -> Network:
    return Network("selfie_segmentation.tflite")


def person(canvas: Floats) -> tuple[Floats, float]:
    """The chance (0 to 1) that each pixel of the canvas is a person, and how far the looks disagree on average.

    The whole canvas is looked at, and the head once more at twice the size, each with its mirror image: errors of one
    look are rarely those of the other. Alone the first look has errors that are a quarter larger. 30 ms.
    """
    mask = scaled(_looked(canvas)[0], CANVAS)
    size = int(FACE * 2.1)
    left, top = CANVAS // 2 - size // 2, int(CANVAS * EYE_LINE - FACE * 1.05)
    area = slice(top, top + size), slice(left, left + size)
    head, apart = _looked(canvas[area])
    head = scaled(head, size)
    # The second look counts fully in its middle only: at its edges it sees half of things.
    steps = np.minimum(np.arange(size), np.arange(size)[::-1]) / size
    weight = np.minimum.outer(np.minimum(1, steps / 0.22), np.minimum(1, steps / 0.14)).astype(np.float32)
    part = mask[area]
    apart = max(apart, float(np.abs(part - head)[weight > 0.5].mean()))
    mask[area] = part + (0.65 * weight) * (head - part)
    return mask, apart


def _looked(view: Floats) -> tuple[Floats, float]:
    side = network().side
    seen = scaled(view, side, Image.Resampling.BOX if view.shape[0] > 2 * side else Image.Resampling.BILINEAR)
    straight = network()(seen)[0][..., 0]
    mirrored = network()(seen[:, ::-1])[0][:, ::-1, 0]
    return (straight + mirrored) / 2, float(np.abs(straight - mirrored).mean())


def one_person(mask: Floats, face: Bools) -> tuple[Floats, float]:
    """The mask without what does not hang together with the face, and the part of the people's area that was left out."""
    step = 3  # A third of the size is exact enough and nine times as fast.
    sure = ndimage.binary_erosion(mask[::step, ::step] > 0.5, iterations=2)
    labels, _ = ndimage.label(sure)
    under_face = labels[face[::step, ::step]]
    under_face = under_face[under_face > 0]
    if not under_face.size:
        return mask, 1.0
    mine = labels == np.bincount(under_face).argmax()
    others = (labels > 0) & ~mine
    if not others.any():
        return mask, 0.0
    nearer = ndimage.distance_transform_edt(~others) < ndimage.distance_transform_edt(~mine)
    keep = 1 - scaled(ndimage.gaussian_filter(nearer.astype(np.float32), 1), mask.shape[0], Image.Resampling.BILINEAR)
    return mask * keep, float(others.sum() / (mine.sum() + others.sum()))


def scaled(values: Floats, side: int, how: Image.Resampling = Image.Resampling.BICUBIC) -> Floats:
    """A square of numbers from 0 to 1, or of colours, at another size."""
    if values.ndim == 2:
        resized = np.asarray(Image.fromarray(values.astype(np.float32)).resize((side, side), how))
        return np.asarray(np.clip(resized, 0, 1))
    return np.asarray(drawn(values).resize((side, side), how), np.float32) / 255


def drawn(values: Floats) -> Image.Image:
    """Colours from 0 to 1 as a picture."""
    return Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))


def blurred(values: Floats, sigma: float) -> Floats:
    """A wide Gaussian blur at a quarter of the size, which nobody can tell from the slow one. Numbers from 0 to 1."""
    side = values.shape[0]
    small = scaled(values, side // 4, Image.Resampling.BOX)
    spread = (sigma / 4, sigma / 4, 0)[: values.ndim]
    return scaled(ndimage.gaussian_filter(small, spread), side, Image.Resampling.BILINEAR)
