"""A picture painted with signed distances: every edge is smooth at every size, so nothing needs supersampling."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]
Shape = Callable[[Field, Field], Field]
Box = tuple[float, float, float, float]
Window = tuple[slice, slice]


@dataclass(frozen=True)
class Frame:
    """Local axes: `unit` pixels make 1.0, x runs right and y runs down from (x, y), turned by `roll` radians."""

    x: float
    y: float
    unit: float
    roll: float = 0.0

    def window(self, box: Box, size: int) -> Window | None:
        """The pixels that a box given in local axes can touch; None when it lies outside the picture."""
        left, top, right, bottom = box
        corners = [(left, top), (right, top), (left, bottom), (right, bottom)]
        across = [self.x + self.unit * (u * cos(self.roll) - v * sin(self.roll)) for u, v in corners]
        down = [self.y + self.unit * (u * sin(self.roll) + v * cos(self.roll)) for u, v in corners]
        x0, x1 = max(0, int(min(across)) - 2), min(size, int(max(across)) + 3)
        y0, y1 = max(0, int(min(down)) - 2), min(size, int(max(down)) + 3)
        return None if x0 >= x1 or y0 >= y1 else (slice(y0, y1), slice(x0, x1))

    def axes(self, window: Window) -> tuple[Field, Field]:
        rows, columns = window
        dx = (np.arange(columns.start, columns.stop, dtype=np.float32) + 0.5 - self.x) / self.unit
        dy = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5 - self.y)[:, None] / self.unit
        across, down = np.float32(cos(self.roll)), np.float32(sin(self.roll))
        return dx * across + dy * down, dy * across - dx * down


class Canvas:
    def __init__(self, size: int) -> None:
        self.size = size
        self.pixels: Field = np.zeros((size, size, 3), np.float32)

    def cover(
        self, frame: Frame, box: Box, shape: Shape, soft: float = 0.0, clip: Field | None = None
    ) -> tuple[Window, Field] | None:
        """How much of each pixel lies inside the shape (negative distance); `soft` widens the edge in local units."""
        window = frame.window(box, self.size)
        if window is None:
            return None
        distance = shape(*frame.axes(window))
        inside = np.clip(0.5 - distance * (frame.unit / max(1.0, soft * frame.unit)), 0.0, 1.0)
        if soft:
            inside = inside * inside * (3.0 - 2.0 * inside)
        return window, inside if clip is None else inside * clip[window]

    def paint(
        self,
        frame: Frame,
        box: Box,
        shape: Shape,
        colour: Colour | Callable[[Field, Field], Field],
        alpha: float = 1.0,
        soft: float = 0.0,
        clip: Field | None = None,
    ) -> None:
        covered = self.cover(frame, box, shape, soft, clip)
        if covered is None:
            return
        window, inside = covered
        ink = colour(*frame.axes(window)) if callable(colour) else np.asarray(colour, np.float32)
        below = self.pixels[window]
        below += (inside * np.float32(alpha))[..., None] * (ink - below)

    def shade(
        self,
        frame: Frame,
        spot: tuple[float, float],
        reach: tuple[float, float],
        factor: Colour | float,
        clip: Field | None = None,
    ) -> None:
        """Multiplies the pixels round a spot by `factor`, fading out as a Gaussian does; above 1 it lights."""
        x, y = spot
        rx, ry = reach
        window = frame.window((x - 2.6 * rx, y - 2.6 * ry, x + 2.6 * rx, y + 2.6 * ry), self.size)
        if window is None:
            return
        u, v = frame.axes(window)
        weight = np.exp(-(((u - x) / rx) ** 2) - ((v - y) / ry) ** 2)
        if clip is not None:
            weight = weight * clip[window]
        self.pixels[window] *= 1.0 + weight[..., None] * (np.asarray(factor, np.float32) - 1.0)


def ellipse(x: float, y: float, a: float, b: float) -> Shape:
    """An ellipse round (x, y); the distance is first-order exact at the edge."""

    def distance(u: Field, v: Field) -> Field:
        p, q = (u - x) / a, (v - y) / b
        k = np.sqrt(p * p + q * q) + 1e-6
        slope = np.sqrt((p / a) ** 2 + (q / b) ** 2) + 1e-6
        result: Field = k * (k - 1.0) / slope
        return result

    return distance


def rounded(x: float, y: float, a: float, b: float, corner: float) -> Shape:
    """A rectangle with half sides a and b and round corners."""

    def distance(u: Field, v: Field) -> Field:
        p, q = np.abs(u - x) - (a - corner), np.abs(v - y) - (b - corner)
        outside = np.hypot(np.maximum(p, 0.0), np.maximum(q, 0.0))
        result: Field = outside + np.minimum(np.maximum(p, q), 0.0) - corner
        return result

    return distance


def segment(x0: float, y0: float, x1: float, y1: float, width: float) -> Shape:
    """A round-ended stroke of half width `width`."""
    dx, dy = x1 - x0, y1 - y0
    length = dx * dx + dy * dy

    def distance(u: Field, v: Field) -> Field:
        along = np.clip(((u - x0) * dx + (v - y0) * dy) / length, 0.0, 1.0)
        result: Field = np.hypot(u - x0 - along * dx, v - y0 - along * dy) - width
        return result

    return distance


def arc(x: float, y: float, half: float, rise: float, width: float, taper: float = 0.0) -> Shape:
    """A stroke along the parabola that is `rise` above (x, y) in its middle and level with it `half` to each side."""

    def distance(u: Field, v: Field) -> Field:
        s = (u - x) / half
        t = np.clip(s, -1.0, 1.0)
        curve = y - rise * (1.0 - t * t)
        lean = np.hypot(1.0, 2.0 * rise / half * t)
        across = np.abs(v - curve) / lean
        beyond = (np.abs(s) - 1.0) * half
        result: Field = np.hypot(across, np.maximum(beyond, 0.0)) - width * (1.0 - taper * np.abs(t))
        return result

    return distance
