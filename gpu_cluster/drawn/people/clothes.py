"""Neck, shoulders and what is worn on them."""

import numpy as np

from gpu_cluster.drawn.people.canvas import Canvas, Colour, Field, Frame, Shape, arc, ellipse, rounded, segment
from gpu_cluster.drawn.people.person import DrawnPerson
from gpu_cluster.drawn.people.scene import DRESSES, Scene

BODY = (-2.9, 0.9, 2.9, 5.4)
TIES: tuple[Colour, ...] = ((0.55, 0.12, 0.16), (0.16, 0.24, 0.44), (0.20, 0.36, 0.30), (0.30, 0.30, 0.33))


def paint_body(canvas: Canvas, frame: Frame, person: DrawnPerson, scene: Scene, light: tuple[float, float, float]) -> None:
    cut, cloth, inner = DRESSES[scene.dress]
    neck = 0.36 + 0.18 * (person.face_width - 0.62) + 0.4 * max(0.0, person.jaw)
    if cut == "hoodie":
        canvas.paint(frame, (-1.3, 0.5, 1.3, 2.2), ellipse(0.0, 1.30, 1.0, 0.52), _lit(inner, light))
    canvas.paint(frame, (-0.8, 0.3, 0.8, 1.9), rounded(0.0, 1.05, neck, 0.75, 0.15), _lit(person.skin_colour, light))
    throat = np.zeros((canvas.size, canvas.size), np.float32)
    covered = canvas.cover(frame, (-0.8, 0.3, 0.8, 1.9), rounded(0.0, 1.05, neck, 0.75, 0.15))
    if covered is not None:
        throat[covered[0]] = covered[1]
    canvas.shade(frame, (0.0, 0.95), (0.70, 0.34), (0.60, 0.54, 0.52), throat)
    canvas.paint(frame, BODY, _shoulders(neck), _lit(cloth, light))
    for side in (-1.0, 1.0):
        canvas.shade(frame, (side * 1.22, 2.75), (0.13, 0.9), 0.86)
    _CUTS[cut](canvas, frame, person, cloth, inner, neck, scene)


def _lit(colour: Colour, light: tuple[float, float, float]) -> "Painter":
    return Painter(colour, light)


class Painter:
    """Cloth and neck are lit as an upright cylinder would be."""

    def __init__(self, colour: Colour, light: tuple[float, float, float]) -> None:
        self.colour = np.asarray(colour, np.float32)
        self.light = light

    def __call__(self, u: Field, v: Field) -> Field:
        glow = 1.0 + 0.22 * self.light[0] * np.clip(u / 1.8, -1.0, 1.0) - 0.05 * np.clip(v - 1.5, 0.0, 2.0)
        result: Field = glow[..., None] * self.colour
        return result


def _shoulders(neck: float) -> Shape:
    def distance(u: Field, v: Field) -> Field:
        x = np.abs(u)
        out = np.clip((x - neck) / (1.86 - neck), 0.0, 1.4)
        top = 1.20 + 0.34 * out + 0.55 * out**7
        slope = (0.34 + 3.85 * out**6) / (1.86 - neck)
        rise = np.where(x < neck, 0.14 * (1.0 - (x / neck) ** 2), 0.0)
        result: Field = (top + rise - v) / np.hypot(1.0, slope)
        return result

    return distance


def _vee(half: float, top: float, bottom: float) -> Shape:
    def distance(u: Field, v: Field) -> Field:
        edge = half * (bottom - v) / (bottom - top)
        result: Field = np.maximum((np.abs(u) - edge) / np.hypot(1.0, half / (bottom - top)), top - v)
        return result

    return distance


def _between(shape: Shape, width: float) -> Shape:
    """The band of the given width that lies just outside a shape."""

    def distance(u: Field, v: Field) -> Field:
        inside = shape(u, v)
        result: Field = np.maximum(-inside, inside - width)
        return result

    return distance


def _times(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _collar(canvas: Canvas, frame: Frame, colour: Colour, neck: float) -> None:
    for side in (-1.0, 1.0):
        tip, root = side * (neck * 0.42), side * (neck + 0.04)
        canvas.paint(frame, (-1, 0.9, 1, 2), segment(root, 1.16, tip, 1.50, 0.085), _times(colour, 0.72))
        canvas.paint(frame, (-1, 0.9, 1, 2), segment(root, 1.14, tip, 1.47, 0.080), colour)


def _suit(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    _jacket(canvas, frame, cloth, inner, neck)
    tie = TIES[scene.clutter % len(TIES)]
    canvas.paint(frame, (-0.3, 1.3, 0.3, 3.0), segment(0.0, 1.50, 0.0, 2.5, 0.085), tie)
    canvas.paint(frame, (-0.3, 1.2, 0.3, 1.8), ellipse(0.0, 1.44, 0.105, 0.10), _times(tie, 0.8))
    _collar(canvas, frame, inner, neck)


def _blazer(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    _jacket(canvas, frame, cloth, inner, neck)
    canvas.paint(frame, (-0.8, 1.0, 0.8, 2.0), ellipse(0.0, 1.12, neck * 0.98, 0.46), person.skin_colour)
    canvas.shade(frame, (0.0, 1.05), (0.32, 0.22), (0.74, 0.68, 0.66))


def _jacket(canvas: Canvas, frame: Frame, cloth: Colour, inner: Colour, neck: float) -> None:
    opening = _vee(neck + 0.10, 1.06, 2.75)
    canvas.paint(frame, (-1, 0.9, 1, 3), opening, inner)
    canvas.paint(frame, (-1.4, 1.0, 1.4, 3.2), _lapel(opening, 0.24), _times(cloth, 0.80))
    canvas.paint(frame, (-1.4, 1.0, 1.4, 3.2), _lapel(opening, 0.21), _lighter(cloth, 0.07))


def _lapel(opening: Shape, width: float) -> Shape:
    band = _between(opening, width)

    def distance(u: Field, v: Field) -> Field:
        result: Field = np.maximum(np.maximum(band(u, v), 1.24 - v), v - 2.9)
        return result

    return distance


def _lighter(colour: Colour, by: float) -> Colour:
    return colour[0] + by * (1 - colour[0]), colour[1] + by * (1 - colour[1]), colour[2] + by * (1 - colour[2])


def _shirt(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    canvas.paint(frame, (-0.6, 0.9, 0.6, 2.0), _vee(neck * 0.8, 1.06, 1.72), person.skin_colour)
    canvas.shade(frame, (0.0, 1.10), (0.30, 0.2), (0.74, 0.68, 0.66))
    canvas.paint(frame, (-0.2, 1.6, 0.2, 5.0), segment(0.0, 1.72, 0.0, 4.8, 0.016), _times(inner, 0.86))
    for button in (1.95, 2.40, 2.85):
        canvas.paint(frame, (-0.2, button - 0.1, 0.2, button + 0.1), ellipse(0.06, button, 0.032, 0.032), inner)
    _collar(canvas, frame, _lighter(cloth, 0.12), neck)


def _turtleneck(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    canvas.paint(frame, (-0.9, 0.7, 0.9, 1.8), rounded(0.0, 1.27, neck + 0.05, 0.25, 0.10), _times(cloth, 0.92))
    for height in (1.16, 1.32):
        stroke = arc(0.0, height, neck, -0.05, 0.016)
        canvas.paint(frame, (-0.9, 0.8, 0.9, 1.7), stroke, _times(cloth, 0.66), alpha=0.8)
    canvas.shade(frame, (0.0, 1.02), (0.5, 0.13), 0.75)


def _sweater(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    _round_neck(canvas, frame, person, inner, neck, 0.26, 0.12)


def _t_shirt(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    _round_neck(canvas, frame, person, inner, neck, 0.40, 0.065)


def _hoodie(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    _round_neck(canvas, frame, person, inner, neck, 0.34, 0.20)
    for side in (-1.0, 1.0):
        cord = segment(side * 0.22, 1.62, side * 0.24, 2.25, 0.024)
        canvas.paint(frame, (-0.5, 1.4, 0.5, 2.5), cord, (0.92, 0.92, 0.92))


def _blouse(
    canvas: Canvas, frame: Frame, person: DrawnPerson, cloth: Colour, inner: Colour, neck: float, scene: Scene
) -> None:
    opening = _vee(neck + 0.12, 1.04, 2.05)
    canvas.paint(frame, (-1, 0.9, 1, 2.4), opening, person.skin_colour)
    canvas.shade(frame, (0.0, 1.05), (0.32, 0.24), (0.74, 0.68, 0.66))
    canvas.paint(frame, (-1.1, 1.1, 1.1, 2.4), _between(opening, 0.07), inner)


def _round_neck(
    canvas: Canvas, frame: Frame, person: DrawnPerson, rim: Colour, neck: float, depth: float, width: float
) -> None:
    hole = ellipse(0.0, 1.14, neck + 0.03, depth)
    canvas.paint(frame, (-0.9, 1.02, 0.9, 1.9), hole, person.skin_colour)
    canvas.shade(frame, (0.0, 1.08), (0.30, 0.2), (0.74, 0.68, 0.66))
    band = _between(hole, width)
    canvas.paint(frame, (-0.9, 1.16, 0.9, 1.9), lambda u, v: np.maximum(band(u, v), 1.16 - v), rim)


_CUTS = {
    "suit": _suit,
    "blazer": _blazer,
    "shirt": _shirt,
    "turtleneck": _turtleneck,
    "sweater": _sweater,
    "t-shirt": _t_shirt,
    "blouse": _blouse,
    "hoodie": _hoodie,
}
