"""A view: a square part of a photo, turned and scaled, with room to look beyond the photo's edges."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


class View(NamedTuple):
    """`matrix` (2 x 3) takes pixels of a square of `side` pixels to pixels of the photo."""

    matrix: Floats
    side: int

    @property
    def scale(self) -> float:
        """Pixels of the photo for one pixel of the view."""
        return math.hypot(self.matrix[0, 0], self.matrix[1, 0])

    def to_photo(self, points: Floats) -> Floats:
        """Points (n x 2) of the view, in the photo."""
        moved: Floats = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        return moved

    def from_photo(self, points: Floats) -> Floats:
        """Points (n x 2) of the photo, in the view."""
        moved: Floats = (points - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T
        return moved

    def take(self, photo: Image.Image) -> Floats:
        """The pixels as side x side x 3 numbers from 0 to 1. Beyond the photo its nearest pixels go on: a network takes
        a black bar for something in the picture."""
        matrix = np.array(self.matrix, dtype=np.float64)
        corners = self.to_photo(np.array([(0, 0), (self.side, 0), (0, self.side), (self.side, self.side)], np.float64))
        margin = math.ceil(4 * max(1.0, self.scale))  # The sampler looks at two pixels more on each side.
        left, top = (math.floor(float(edge)) - margin for edge in corners.min(0))
        right, bottom = (math.ceil(float(edge)) + margin for edge in corners.max(0))
        # Only the part that is looked at is scaled and turned; it holds at least one pixel of the photo.
        x0, x1 = _inside(left, right, photo.width)
        y0, y1 = _inside(top, bottom, photo.height)
        part = photo.crop((x0, y0, x1, y1))
        matrix[:, 2] -= (x0, y0)
        before, after = (x0 - left, y0 - top), (right - x1, bottom - y1)
        if self.scale > 1.3:  # The affine sampler does not average, so the photo is made smaller first.
            small = part.resize(
                (max(1, round(part.width / self.scale)), max(1, round(part.height / self.scale))),
                Image.Resampling.LANCZOS,
                reducing_gap=3.0,
            )
            ratio = np.array([small.width / part.width, small.height / part.height])
            matrix = ratio[:, None] * matrix
            part, before, after = small, _scaled(before, ratio), _scaled(after, ratio)
        pads = [(_room(before[axis], self.side), _room(after[axis], self.side)) for axis in (1, 0)]
        wide = np.pad(np.asarray(part), (*pads, (0, 0)), mode="edge")
        matrix[:, 2] += pads[1][0], pads[0][0]
        taken = Image.fromarray(wide).transform(
            (self.side, self.side), Image.Transform.AFFINE, tuple(matrix.ravel().tolist()), Image.Resampling.BICUBIC
        )
        return np.asarray(taken, np.float32) / 255

    def covered(self, size: tuple[int, int]) -> Bools:
        """Which pixels of the view lie in a photo of this width and height."""
        ys, xs = np.mgrid[0 : self.side, 0 : self.side].astype(np.float32) + 0.5
        x = self.matrix[0, 0] * xs + self.matrix[0, 1] * ys + self.matrix[0, 2]
        y = self.matrix[1, 0] * xs + self.matrix[1, 1] * ys + self.matrix[1, 2]
        inside: Bools = (x >= 0.5) & (y >= 0.5) & (x <= size[0] - 0.5) & (y <= size[1] - 0.5)
        return inside


def placed(centre: Floats, roll: float, scale: float, side: int, at: tuple[float, float] | None = None) -> View:
    """A view that shows `centre` (photo px) at `at` (view px; its middle unless said), turned by `roll` radians, with
    `scale` pixels of the photo for one of its own."""
    cos, sin = math.cos(roll) * scale, math.sin(roll) * scale
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    matrix[:, 2] = centre - matrix[:, :2] @ np.array(at or (side / 2, side / 2))
    return View(matrix, side)


def _inside(low: int, high: int, length: int) -> tuple[int, int]:
    first = min(max(low, 0), length - 1)
    return first, min(max(high, first + 1), length)


def _scaled(pads: tuple[int, int], ratio: Floats) -> tuple[int, int]:
    return math.ceil(pads[0] * ratio[0]), math.ceil(pads[1] * ratio[1])


def _room(pad: int, side: int) -> int:
    # A view far outside of the photo repeats an edge, however far; four sides of it are enough for any turn.
    return min(max(pad, 0), 4 * side)
