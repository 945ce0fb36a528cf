"""Hair: what hangs behind the head, what lies on it, and where the forehead shows."""

from collections.abc import Callable

import numpy as np

from gpu_cluster.drawn.people.canvas import Canvas, Field, Shape, ellipse, rounded
from gpu_cluster.drawn.people.head import HEAD, LONG, Head

HANGING = ("bob", "long", "wavy")
# How far the style stands off the skull, as a multiple of the person's volume.
FULLNESS = {
    "buzz cut": 0.16,
    "short": 0.60,
    "side-parted": 0.75,
    "swept back": 0.85,
    "curly": 1.35,
    "afro": 2.6,
    "bob": 0.95,
    "long": 0.85,
    "wavy": 1.05,
    "bun": 0.35,
}


def paint_behind(canvas: Canvas, head: Head) -> None:
    person, frame = head.person, head.frame
    dark = _locks(head, 0.70)
    if person.style in HANGING:
        length = {"bob": 0.86, "long": 2.25, "wavy": 1.95}[person.style]
        half = person.face_width * 1.02 + 0.75 * person.volume
        ripple = 0.045 if person.style == "wavy" else 0.0

        def fall(u: Field, v: Field) -> Field:
            x = np.abs(u) + ripple * np.sin(7.0 * v + person.texture) - 0.05 * np.clip(v, 0.0, 2.0)
            result: Field = rounded(0.0, length / 2 - 0.3, half, length / 2 + 0.3, 0.28)(x, v)
            return result

        canvas.paint(frame, LONG, fall, dark)
    elif person.style == "bun":
        canvas.paint(frame, HEAD, ellipse(0.08 * person.parting, -1.20, 0.30, 0.27), _locks(head, 0.88))
    elif person.style in ("curly", "afro"):
        canvas.paint(frame, LONG, head.outline(_growth(head, 1.0)), dark)


def paint_front(canvas: Canvas, head: Head) -> None:
    person = head.person
    if person.style == "bald":
        canvas.shade(head.frame, head.at(-0.15, -0.78, 0.1), (0.22, 0.13), 1.16)
        return
    outer, window = head.outline(_growth(head, 0.0)), _forehead(head)

    def cap(u: Field, v: Field) -> Field:
        result: Field = np.maximum(outer(u, v), -window(u, v))
        return result

    shaved = person.style == "buzz cut"
    # The hair's own shadow on the forehead keeps it from looking like a sticker.
    if not shaved:
        canvas.paint(
            head.frame,
            LONG,
            lambda u, v: np.maximum(outer(u, v), -window(u, v) - 0.05),
            _shadow(head),
            alpha=0.30,
            soft=0.08,
        )
    canvas.paint(head.frame, LONG, cap, _locks(head, 1.0), alpha=0.8 if shaved else 1.0, soft=0.05 if shaved else 0.012)


def _shadow(head: Head) -> tuple[float, float, float]:
    red, green, blue = head.person.skin_colour
    return red * 0.5, green * 0.42, blue * 0.40


def _growth(head: Head, behind: float) -> Callable[[Field], Field]:
    """How far hair stands off the skull at each angle; pi is the crown, 0 the chin."""
    person = head.person
    full = FULLNESS[person.style] * person.volume
    if person.style == "afro":
        full += 0.18
    curls = {"curly": 0.045, "afro": 0.02}.get(person.style, 0.0)
    lowest = {"curly": 1.15, "afro": 0.95}.get(person.style, 1.55) - 0.3 * behind

    def growth(angle: Field) -> Field:
        up = np.clip((np.abs(angle) - lowest) / (3.14159 - lowest), 0.0, 1.0)
        rise = up**0.55 if person.style in ("curly", "afro", *HANGING) else up**0.9
        result: Field = full * rise
        if person.style in ("swept back", "side-parted"):
            side = np.sign(person.parting)
            result = result + 0.35 * full * np.exp(-(((angle + side * 2.6) / 0.5) ** 2))
        if curls:
            result = result + curls * np.abs(np.sin(angle * 8.0 + person.texture)) * np.minimum(1.0, up * 4.0)
        return result

    return growth


def _forehead(head: Head) -> Shape:
    """The region left free of hair: a rounded window, slanted by a parting, that ends at the temples."""
    person = head.person
    style = person.style
    hairline = person.hairline * (1.12 if style == "swept back" else 1.0)
    middle_x, middle_y = head.at(0.0, 0.30, 0.10)
    tall = hairline + 0.30
    wide = person.face_width * {"bob": 0.87, "long": 0.86, "wavy": 0.88, "bun": 0.97}.get(style, 0.93)
    square = 3.4 if style in ("short", "buzz cut") else 2.5
    sideburns = {"bob": 9.0, "long": 9.0, "wavy": 9.0, "curly": 0.12, "afro": 0.30}.get(style, 0.05)
    part = person.parting

    def window(u: Field, v: Field) -> Field:
        x, y = np.abs(u - middle_x) / wide, (v - middle_y) / tall
        if style in ("side-parted", "bob", "wavy"):
            # Hair falls from the parting: high there, lower the farther away from it.
            y = y - 0.15 * np.clip(np.abs((u - middle_x) - part) - 0.08, 0.0, 0.8) * (y < 0)
        ring = (np.maximum(x, 1e-4) ** square + np.abs(y) ** square) ** (1.0 / square)
        free: Field = (ring - 1.0) * np.float32(min(wide, tall))
        if style in ("curly", "afro"):
            free = free - 0.025 * np.sin(16.0 * u + person.texture) * (v < 0)
        result: Field = np.minimum(free, sideburns - v) if sideburns < 5.0 else free
        return result

    return window


def _locks(head: Head, tone: float) -> Callable[[Field, Field], Field]:
    """Hair's colour: a band of light round the crown, and strands or curls that stay put from picture to picture."""
    person = head.person
    base = np.asarray(person.hair_colour, np.float32) * np.float32(tone)
    curly = person.style in ("curly", "afro")
    phase = person.texture

    def colour(u: Field, v: Field) -> Field:
        if curly:
            across, down = 2.0 * np.sin(9.0 * v + phase), 2.0 * np.sin(9.0 * u + phase)
            strands = np.sin(13.0 * u + across) * np.sin(13.0 * v + down)
        else:
            bend = 1.2 * np.sin(2.0 * v + phase) if person.style == "wavy" else 0.0
            across = (u - 0.35 * person.parting) / (1.15 + 0.35 * v.clip(-1.2, 1.0)) + 0.1 * bend
            strands = 0.5 * np.sin(17.0 * across + phase) + 0.5 * np.sin(29.0 * across + 2.0 * phase)
        away = np.hypot(u * 1.1, v + 0.1)
        gleam = np.exp(-(((away - 0.92) / 0.14) ** 2)) * (v < 0.1) * np.exp(-(((u + 0.2) / 0.5) ** 2))
        dim = 1.0 - 0.25 * np.clip(v - 0.2, 0.0, 1.0)
        shade = dim * (1.0 + 0.085 * strands) + 0.30 * gleam
        result: Field = base * shade[..., None] + (0.05 * gleam + 0.018 * strands)[..., None]
        return result

    return colour
