"""The face and what grows on it, or sits on it."""

from collections.abc import Callable
from dataclasses import dataclass
from math import pi

import numpy as np

from gpu_cluster.drawn.people.canvas import Canvas, Colour, Field, Frame, Shape, arc, ellipse, rounded, segment
from gpu_cluster.drawn.people.person import FRAME_COLOURS, IRISES, DrawnPerson
from gpu_cluster.drawn.people.scene import EXPRESSIONS, Scene

HEAD = (-1.5, -1.8, 1.5, 1.4)
LONG = (-1.8, -1.8, 1.8, 2.7)


@dataclass(frozen=True)
class Head:
    """A person's head in one scene: where each feature lands when the head turns and nods."""

    person: DrawnPerson
    scene: Scene
    frame: Frame

    def at(self, x: float, y: float, depth: float) -> tuple[float, float]:
        """`depth` is how far a point lies before the axis on which the head turns."""
        turn, nod = self.scene.turn, self.scene.nod
        far = 1.0 - 0.30 * turn * float(np.sign(x)) - 0.10 * abs(turn)
        return x * far + turn * depth, y + nod * depth * 1.4

    def outline(self, grow: Callable[[Field], Field] | float = 0.0) -> Shape:
        """The skull and jaw seen from the front; `grow` widens it, by angle from the chin, for hair."""
        angles = np.linspace(0.0, pi, 65)
        person = self.person
        wide = person.face_width
        radius = wide / np.sqrt(np.sin(angles) ** 2 + (wide * np.cos(angles)) ** 2)
        radius *= 1.0 + person.jaw * _bump(angles, 44, 17) + person.chin * _bump(angles, 0, 16)
        radius *= 1.0 + person.cheeks * _bump(angles, 82, 24) + 0.085 * _bump(angles, 138, 30)
        turn = self.scene.turn

        def distance(u: Field, v: Field) -> Field:
            x = u - turn * 0.16 * np.clip(v + 0.2, -1.0, 1.2)
            angle = np.arctan2(np.abs(x), v)
            edge = np.interp(angle, angles, radius).astype(np.float32)
            if callable(grow):
                edge = edge * (1.0 + grow(np.arctan2(x, v)))
            elif grow:
                edge = edge * np.float32(1.0 + grow)
            result: Field = np.hypot(x, v) - edge
            return result

        return distance


def _bump(angles: Field, centre: float, width: float) -> Field:
    result: Field = np.exp(-(((angles - np.radians(centre)) / np.radians(width)) ** 2))
    return result


def _times(colour: Colour, factor: float) -> Colour:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _mix(one: Colour, other: Colour, part: float) -> Colour:
    red, green, blue = (a + (b - a) * part for a, b in zip(one, other, strict=True))
    return red, green, blue


def paint_face(canvas: Canvas, head: Head, ambient: float, light: tuple[float, float, float]) -> None:
    person, frame = head.person, head.frame
    skin = person.skin_colour
    _paint_ears(canvas, head)
    outline = head.outline()

    def lit(u: Field, v: Field) -> Field:
        """A ball's shading, flattened, since a face is flatter than a ball."""
        x, y = (u - 0.1 * head.scene.turn) / person.face_width, v / 1.05
        away = np.minimum(np.hypot(x, y), 0.985)
        towards = np.sqrt(1.0 - away**2)
        facing = np.maximum(0.0, 0.80 * (x * light[0] + y * light[1]) + towards * light[2])
        shade = ambient + (1.06 - ambient) * facing
        warm = np.stack([shade**0.9, shade, shade**1.08], axis=-1)
        result: Field = np.asarray(skin, np.float32) * warm
        return result

    canvas.paint(frame, HEAD, outline, lit)
    inside = np.zeros((canvas.size, canvas.size), np.float32)
    covered = canvas.cover(frame, HEAD, outline)
    if covered is None:
        return
    inside[covered[0]] = covered[1]
    _paint_skin(canvas, head, inside)
    _paint_beard(canvas, head, inside)
    _paint_nose(canvas, head, inside, light)
    _paint_mouth(canvas, head, inside)
    for side in (-1.0, 1.0):
        _paint_eye(canvas, head, side, inside)


def _paint_ears(canvas: Canvas, head: Head) -> None:
    person = head.person
    if person.style in ("bob", "long", "wavy", "afro"):
        return
    for side in (-1.0, 1.0):
        x = side * (person.face_width + 0.02) + head.scene.turn * -0.10
        y = person.eye_line + 0.16
        box = (x - 0.3, y - 0.5, x + 0.3, y + 0.5)
        canvas.paint(head.frame, box, ellipse(x, y, 0.105, person.ears), _times(person.skin_colour, 0.90))
        canvas.shade(head.frame, (x - side * 0.01, y), (0.055, person.ears * 0.55), (0.72, 0.64, 0.62))


def _paint_skin(canvas: Canvas, head: Head, inside: Field) -> None:
    person, frame = head.person, head.frame
    rosy = 1.0 - 0.10 * (1.0 - person.skin / 6.0)
    for side in (-1.0, 1.0):
        cheek = head.at(side * person.face_width * 0.56, 0.32, 0.22)
        canvas.shade(frame, cheek, (0.17, 0.14), (1.02, rosy, rosy), inside)
        socket = head.at(side * person.eye_gap, person.eye_line - 0.02, 0.24)
        canvas.shade(frame, socket, (person.eye_width * 1.35, 0.13), (0.83, 0.77, 0.76), inside)
        temple = head.at(side * person.face_width * 0.92, -0.15, 0.1)
        canvas.shade(frame, temple, (0.12, 0.4), 0.93, inside)
        if person.age > 0.55:
            x0, y0 = head.at(side * (person.nose_width + 0.05), person.eye_line + person.nose_length, 0.27)
            x1, y1 = head.at(side * (person.mouth_width + 0.06), person.mouth_line, 0.24)
            fold = segment(x0, y0, x1, y1, 0.012)
            box = (min(x0, x1) - 0.1, y0 - 0.1, max(x0, x1) + 0.1, y1 + 0.1)
            canvas.paint(
                frame, box, fold, _times(person.skin_colour, 0.66), (person.age - 0.45) * 0.9, soft=0.04, clip=inside
            )
    canvas.shade(frame, head.at(0.0, -0.50, 0.2), (0.36, 0.16), 1.05, inside)
    canvas.shade(frame, head.at(0.0, 0.90, 0.2), (0.14, 0.08), 1.06, inside)
    if person.freckles > 0.2:
        rng = np.random.default_rng(int(person.texture * 1000))
        for _ in range(16):
            x, y = head.at(rng.uniform(-0.42, 0.42), rng.uniform(0.10, 0.34), 0.26)
            canvas.shade(frame, (x, y), (0.018, 0.018), (0.87, 0.79, 0.73), inside)


def _almond(x: float, y: float, half: float, upper: float, lower: float, tilt: float) -> Shape:
    def distance(u: Field, v: Field) -> Field:
        p, q = u - x, v - y - tilt * (u - x)
        bow = 1.0 - (p / half) ** 2
        result: Field = np.maximum(-upper * bow - q, q - lower * bow) * 0.86
        return result

    return distance


def _paint_eye(canvas: Canvas, head: Head, side: float, inside: Field) -> None:
    person, frame = head.person, head.frame
    _, _, narrow = EXPRESSIONS[head.scene.expression]
    x, y = head.at(side * person.eye_gap, person.eye_line, 0.24)
    half = person.eye_width * (1.0 - 0.25 * side * head.scene.turn)
    upper, lower = person.eye_height * (1.0 - 0.6 * narrow), person.eye_height * 0.72 * (1.0 - 1.4 * narrow)
    tilt = -side * person.eye_tilt
    box = (x - half - 0.08, y - 0.3, x + half + 0.08, y + 0.3)
    almond = _almond(x, y, half, upper, lower, tilt)
    white = canvas.cover(frame, box, almond)
    canvas.paint(frame, box, almond, (0.95, 0.94, 0.93))
    if white is not None:
        opening = np.zeros_like(inside)
        opening[white[0]] = white[1]
        reach = min(0.085, person.eye_height * 0.98)
        gaze = x + head.scene.turn * 0.05
        from_person = IRISES[person.iris]
        canvas.paint(frame, box, ellipse(gaze, y - 0.008, reach, reach), _times(from_person, 0.55), clip=opening)
        canvas.paint(
            frame, box, ellipse(gaze, y - 0.004, reach * 0.82, reach * 0.82), from_person, soft=0.02, clip=opening
        )
        canvas.paint(frame, box, ellipse(gaze, y - 0.008, reach * 0.46, reach * 0.46), (0.03, 0.03, 0.04), clip=opening)
        canvas.shade(frame, (x, y - upper), (half, upper * 0.7), 0.70, opening)
        glint = ellipse(gaze - 0.28 * reach, y - 0.42 * reach, reach * 0.22, reach * 0.22)
        canvas.paint(frame, box, glint, (1.0, 1.0, 1.0), clip=opening)
    lashes = 0.017 + 0.012 * person.lip_colour

    def lid(rise: float, lift: float, width: float) -> Shape:
        stroke = arc(0.0, 0.0, half, rise, width, taper=0.35)

        def distance(u: Field, v: Field) -> Field:
            return stroke(u - x, v - y + lift - tilt * (u - x))

        return distance

    canvas.paint(frame, box, lid(upper, 0.006, lashes), (0.10, 0.07, 0.06))
    canvas.paint(frame, box, lid(-lower, 0.0, 0.009), _times(person.skin_colour, 0.55), alpha=0.7)
    crease = _times(person.skin_colour, 0.60)
    canvas.paint(frame, box, lid(upper * 1.1, 0.045, 0.009), crease, alpha=0.65, soft=0.015)
    if person.age > 0.6:
        canvas.paint(
            frame, box, lid(-lower * 1.2, -0.06, 0.008), crease, alpha=0.5 * person.age, soft=0.02, clip=inside
        )
    _paint_brow(canvas, head, side)


def _paint_brow(canvas: Canvas, head: Head, side: float) -> None:
    person, frame = head.person, head.frame
    lift, _, _ = EXPRESSIONS[head.scene.expression]
    x, y = head.at(side * (person.eye_gap + 0.01), person.eye_line - person.brow_height + 0.04 * min(0, -lift), 0.25)
    half = person.eye_width * 1.28
    slope = -side * (person.brow_slope * 0.5 + 0.12 * min(0.0, lift))
    stroke = arc(0.0, 0.0, half, person.brow_arch, person.brow_thickness, taper=0.55)

    def brow(u: Field, v: Field) -> Field:
        return stroke(u - x, v - y - slope * (u - x))

    pale = person.hair in ("platinum", "white", "blond", "grey")
    colour = _mix(_times(person.hair_colour, 0.72), person.skin_colour, 0.25 if pale else 0.06)
    canvas.paint(frame, (x - half - 0.1, y - 0.3, x + half + 0.1, y + 0.3), brow, colour, alpha=0.95, soft=0.018)


def _paint_nose(canvas: Canvas, head: Head, inside: Field, light: tuple[float, float, float]) -> None:
    person, frame = head.person, head.frame
    base = person.eye_line + person.nose_length
    tip_x, tip_y = head.at(0.0, base, 0.42)
    top_x, top_y = head.at(0.0, person.eye_line - 0.06, 0.26)
    wide = person.nose_width
    dark = (0.80, 0.73, 0.71)
    shadow = 1.0 if light[0] < 0 else -1.0
    for side in (-1.0, 1.0):
        deep = 1.0 + (0.45 if side == shadow else -0.25) * min(1.0, abs(light[0]) * 2.0)
        factor = tuple(1.0 - (1.0 - part) * deep * (0.55 + 0.55 * person.nose_bridge) for part in dark)
        middle = (top_x + tip_x) / 2 + side * (wide * 0.42 + 0.03), (top_y + tip_y) / 2
        canvas.shade(frame, middle, (0.055, person.nose_length * 0.42), (factor[0], factor[1], factor[2]), inside)
        canvas.shade(frame, (tip_x + side * wide * 1.12, tip_y - 0.02), (0.05, 0.08), dark, inside)
        wing = arc(0.0, 0.0, 0.055, 0.04, 0.014, taper=0.6)
        at_x, at_y = tip_x + side * wide * 0.86, tip_y + 0.01
        nostril = ellipse(tip_x + side * wide * 0.44, tip_y + 0.035, wide * 0.24, 0.026)
        box = (tip_x - 0.4, tip_y - 0.3, tip_x + 0.4, tip_y + 0.2)
        canvas.paint(frame, box, nostril, _times(person.skin_colour, 0.34), alpha=0.85, soft=0.012)

        def wings(
            u: Field, v: Field, side: float = side, at_x: float = at_x, at_y: float = at_y, wing: Shape = wing
        ) -> Field:
            return wing(-(v - at_y), (u - at_x) * -side)

        canvas.paint(frame, box, wings, _times(person.skin_colour, 0.55), alpha=0.7, soft=0.012)
    canvas.shade(frame, ((top_x + tip_x) / 2, (top_y + tip_y) / 2), (0.045, person.nose_length * 0.5), 1.09, inside)
    canvas.shade(frame, (tip_x, tip_y - 0.045), (wide * 0.55, 0.06), 1.12, inside)
    canvas.shade(frame, (tip_x, tip_y + 0.085), (wide * 0.9, 0.045), (0.80, 0.74, 0.72), inside)


def _paint_mouth(canvas: Canvas, head: Head, inside: Field) -> None:
    person, frame = head.person, head.frame
    lift, parted, _ = EXPRESSIONS[head.scene.expression]
    x, y = head.at(0.0, person.mouth_line, 0.30)
    half = person.mouth_width * (1.0 + 0.16 * max(0.0, lift)) * (1.0 - 0.1 * abs(head.scene.turn))
    curve, gap = 0.075 * lift, 0.085 * parted
    upper, lower = person.upper_lip * (1.0 - 0.25 * parted), person.lower_lip * (1.0 - 0.2 * parted)
    skin = person.skin_colour
    natural = _mix(_times(skin, 0.80), (0.72, 0.34, 0.34), 0.40)
    lips = _mix(natural, (0.70, 0.14, 0.20), 0.75 * person.lip_colour**2)

    def between(top: Callable[[Field], Field], bottom: Callable[[Field], Field]) -> Shape:
        def distance(u: Field, v: Field) -> Field:
            t = np.clip((u - x) / half, -1.0, 1.0)
            level = y + curve * (1.0 - 2.0 * t * t)
            beyond = np.abs(u - x) - half
            result: Field = np.maximum(np.maximum(level - top(t) - v, v - level - bottom(t)) * 0.92, beyond)
            return result

        return distance

    def above(t: Field) -> Field:
        result: Field = upper * (1.0 - t * t) * (1.0 - 0.28 * np.exp(-((t / 0.18) ** 2))) + gap * 0.35 * (1.0 - t * t)
        return result

    def below(t: Field) -> Field:
        result: Field = (lower + gap * 0.65) * (1.0 - t * t) ** 0.8
        return result

    box = (x - half - 0.1, y - 0.3, x + half + 0.1, y + 0.4)
    canvas.paint(frame, box, between(above, lambda t: np.zeros_like(t)), _times(lips, 0.86), soft=0.012)
    canvas.paint(frame, box, between(lambda t: np.zeros_like(t), below), lips, soft=0.012)
    if gap > 0.0:
        hole = between(lambda t: gap * 0.35 * (1.0 - t * t), lambda t: gap * 0.65 * (1.0 - t * t))
        canvas.paint(frame, box, hole, (0.96, 0.95, 0.92))
        canvas.paint(
            frame,
            box,
            between(lambda t: -gap * 0.50 * (1 - t * t), lambda t: gap * 0.65 * (1 - t * t)),
            (0.32, 0.09, 0.10),
        )
        rim = between(lambda t: gap * 0.35 * (1 - t * t) + 0.012, lambda t: -gap * 0.35 * (1 - t * t) + 0.004)
        canvas.paint(frame, box, rim, _times(lips, 0.5), alpha=0.8)
    else:
        line = between(lambda t: np.full_like(t, 0.012), lambda t: np.full_like(t, 0.012))
        canvas.paint(frame, box, line, _times(lips, 0.42), alpha=0.9)
    canvas.shade(frame, (x, y + curve + lower * 0.55 + gap * 0.65), (half * 0.35, lower * 0.3 + 0.008), 1.12, inside)
    canvas.shade(frame, (x, y + curve + lower + gap * 0.65 + 0.045), (half * 0.6, 0.04), (0.82, 0.77, 0.75), inside)
    for side in (-1.0, 1.0):
        corner = (x + side * (half + 0.015), y - curve)
        canvas.shade(frame, corner, (0.035, 0.035), (0.72, 0.66, 0.64), inside)


def _paint_beard(canvas: Canvas, head: Head, inside: Field) -> None:
    person, frame = head.person, head.frame
    if person.beard == "no beard":
        return
    colour = _mix(_times(person.hair_colour, 0.86), person.skin_colour, 0.10)
    x, y = head.at(0.0, person.mouth_line, 0.30)
    jaw_x, _ = head.at(0.0, 0.0, 0.16)
    if person.beard in ("stubble", "full beard"):
        window = ellipse(jaw_x, -0.08, person.face_width * 0.84, person.mouth_line + 0.02)

        def beard(u: Field, v: Field) -> Field:
            result: Field = np.maximum(-window(u, v), 0.10 - v)
            return result

        alpha = 0.36 if person.beard == "stubble" else 0.94
        canvas.paint(frame, HEAD, beard, colour, alpha=alpha, soft=0.07, clip=inside)
    if person.beard in ("goatee", "full beard"):
        chin = ellipse(x, y + 0.26, person.mouth_width * 0.72, 0.22)
        canvas.paint(frame, HEAD, chin, colour, alpha=0.9, soft=0.06, clip=inside)
    stubbly = person.beard == "stubble"
    moustache = arc(x, y - person.upper_lip - 0.01, person.mouth_width * 1.08, 0.06, 0.05, taper=0.55)
    box = (x - 0.6, y - 0.4, x + 0.6, y + 0.3)
    canvas.paint(frame, box, moustache, colour, alpha=0.30 if stubbly else 0.95, soft=0.035, clip=inside)


def paint_glasses(canvas: Canvas, head: Head) -> None:
    person, frame = head.person, head.frame
    if person.glasses == "no glasses":
        return
    colour = FRAME_COLOURS[person.frame]
    width = 0.024
    places = []
    for side in (-1.0, 1.0):
        x, y = head.at(side * person.eye_gap, person.eye_line + 0.02, 0.30)
        a = min(person.eye_gap - 0.05, 0.25) * (1.0 - 0.2 * side * head.scene.turn)
        if person.glasses == "round glasses":
            b, lens = a * 0.92, ellipse(x, y, a, a * 0.92)
        else:
            b = a * 0.70
            lens = rounded(x, y, a, b, 0.07)
        box = (x - a - 0.1, y - b - 0.1, x + a + 0.1, y + b + 0.1)
        canvas.paint(frame, box, lens, (0.92, 0.96, 1.0), alpha=0.10)

        def rim(u: Field, v: Field, lens: Shape = lens) -> Field:
            result: Field = np.abs(lens(u, v)) - width
            return result

        canvas.paint(frame, box, rim, colour)
        places.append((x, y, a))
        edge = side * person.face_width * 0.97 - head.scene.turn * 0.05
        arm = segment(x + side * a, y - 0.04, edge, y - 0.06, width)
        canvas.paint(frame, (min(x, edge) - 0.5, y - 0.2, max(x, edge) + 0.5, y + 0.2), arm, colour)
    (left, y, a), (right, _, b) = places
    middle, half = ((left + a) + (right - b)) / 2, max(0.02, ((right - b) - (left + a)) / 2)
    bridge = arc(middle, y - 0.02, half, 0.03, width)
    canvas.paint(frame, (middle - 0.3, y - 0.2, middle + 0.3, y + 0.2), bridge, colour)
