"""What is behind the person, painted small and blown up, as a lens out of focus would show it."""

import numpy as np
from PIL import Image

from gpu_cluster.drawn.people.canvas import Colour, Field
from gpu_cluster.drawn.people.scene import BACKDROPS, LIGHTS, Scene

# So few cells across stay soft at 128 px and at 512 px alike.
CELLS = 28


def backdrop(scene: Scene, size: int) -> Field:
    kind, main, second = BACKDROPS[scene.backdrop]
    rng = np.random.default_rng((31, scene.clutter))
    cells = _plain(scene, main, second) if kind == "plain" else _SCENERY[kind](rng, main, second)
    bands = [
        np.asarray(Image.fromarray(cells[..., i]).resize((size, size), Image.Resampling.BICUBIC)) for i in range(3)
    ]
    return np.stack(bands, axis=-1)


def _plain(scene: Scene, main: Colour, second: Colour) -> Field:
    """A studio wall: brightest behind the head, on the side that the light comes from."""
    x, y, _ = LIGHTS[scene.light][2]
    u, v = _axes()
    part = np.clip(np.hypot(u - 0.5 - 0.15 * x, v - 0.40 - 0.1 * y) * 1.25, 0.0, 1.0)[..., None]
    mixed: Field = np.asarray(main, np.float32) * (1.0 - part) + np.asarray(second, np.float32) * part
    return mixed.astype(np.float32)


def _axes() -> tuple[Field, Field]:
    line = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS
    return line[None, :], line[:, None]


def _fill(colour: Colour) -> Field:
    return np.tile(np.asarray(colour, np.float32), (CELLS, CELLS, 1))


def _block(cells: Field, x: float, y: float, width: float, height: float, colour: Colour | Field) -> None:
    left, top = max(0, round(x * CELLS)), max(0, round(y * CELLS))
    right, bottom = max(left, round((x + width) * CELLS)), max(top, round((y + height) * CELLS))
    cells[top:bottom, left:right] = colour


def _near(rng: np.random.Generator, colour: Colour, spread: float = 0.08) -> Field:
    return np.clip(np.asarray(colour) * (1.0 + rng.normal(0.0, spread)), 0.0, 1.0).astype(np.float32)


def _office(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    cells = _fill(main)
    offset = rng.uniform(-0.15, 0.05)
    for i in range(4):
        _block(cells, offset + i * 0.30, 0.06, 0.25, 0.52, (0.95, 0.97, 0.99))
        _block(cells, offset + i * 0.30 + 0.12, 0.06, 0.03, 0.52, (0.72, 0.76, 0.80))
    _block(cells, 0.0, 0.66, 1.0, 0.34, second)
    _block(cells, rng.uniform(0.0, 0.1), 0.50, 0.16, 0.17, (0.16, 0.18, 0.21))
    _block(cells, rng.uniform(0.78, 0.88), 0.50, 0.16, 0.17, (0.16, 0.18, 0.21))
    return cells


def _brick(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    cells = _fill(second)
    for row in range(10):
        for column in range(-1, 6):
            x = column * 0.2 + (0.1 if row % 2 else 0.0)
            left, right = max(0.0, x), min(1.0, x + 0.175)
            if left < right:
                _block(cells, left, row * 0.1, right - left, 0.075, _near(rng, main))
    return cells


def _books(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    cells = _fill(main)
    spines: tuple[Colour, ...] = (
        (0.62, 0.20, 0.18), (0.20, 0.34, 0.52), (0.80, 0.72, 0.52), (0.22, 0.44, 0.34), (0.50, 0.32, 0.48),
    )  # fmt: skip
    for shelf in range(4):
        x = 0.0
        while x < 1.0:
            width = rng.uniform(0.08, 0.14)
            tall = rng.uniform(0.15, 0.20)
            spine = spines[int(rng.integers(len(spines)))]
            _block(cells, x, shelf * 0.26 + 0.21 - tall, width, tall, _near(rng, spine, 0.12))
            x += width
        _block(cells, 0.0, shelf * 0.26 + 0.21, 1.0, 0.04, second)
    return cells


def _garden(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    u, v = _axes()
    cells = _fill(main)
    sky = np.clip(1.4 - v * 3.2, 0.0, 1.0)[..., None]
    cells += sky * (np.asarray(second, np.float32) - cells)
    for _ in range(16):
        x, y, reach = rng.uniform(0, 1), rng.uniform(0.1, 1), rng.uniform(0.06, 0.15)
        weight = np.exp(-((u - x) ** 2 + (v - y) ** 2) / reach**2)[..., None] * 0.8
        cells += weight * (_near(rng, main, 0.30) - cells)
    return cells


def _street(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    cells = _fill(second)
    x = -0.05
    while x < 1.0:
        width, top = rng.uniform(0.16, 0.30), rng.uniform(0.02, 0.35)
        wall = _near(rng, main, 0.18)
        _block(cells, max(0.0, x), top, width + min(0.0, x), 0.85 - top, wall)
        for floor in range(6):
            for column in range(int(width / 0.09)):
                at = x + 0.025 + column * 0.09
                if at > 0.0:
                    _block(cells, at, top + 0.05 + floor * 0.12, 0.045, 0.06, wall * 0.68)
        x += width
    _block(cells, 0.0, 0.80, 1.0, 0.20, (0.42, 0.42, 0.43))
    return cells


def _beach(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    _, v = _axes()
    horizon, shore = rng.uniform(0.36, 0.46), rng.uniform(0.58, 0.68)
    sky = np.asarray(second, np.float32) + 0.25 * np.clip(v / horizon, 0.0, 1.0)[..., None]
    cells = np.where((v < horizon)[..., None], sky, np.asarray((0.16, 0.50, 0.62), np.float32))
    cells = np.where((v < shore)[..., None], cells, np.asarray(main, np.float32))
    return np.broadcast_to(np.clip(cells, 0.0, 1.0), (CELLS, CELLS, 3)).astype(np.float32)


def _room(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    cells = _fill(main)
    side = 0.06 if rng.random() < 0.5 else 0.66
    _block(cells, side, 0.08, 0.28, 0.24, second)
    _block(cells, side + 0.03, 0.11, 0.22, 0.18, _near(rng, (0.55, 0.68, 0.72), 0.2))
    _block(cells, 0.80 - side, 0.20, 0.14, 0.12, (0.99, 0.93, 0.74))
    _block(cells, 0.86 - side, 0.32, 0.025, 0.40, (0.30, 0.24, 0.20))
    _block(cells, 0.0, 0.66, 1.0, 0.34, _near(rng, (0.46, 0.52, 0.60), 0.1))
    return cells


def _kitchen(rng: np.random.Generator, main: Colour, second: Colour) -> Field:
    cells = _fill(main)
    offset = rng.uniform(-0.1, 0.1)
    for i in range(5):
        _block(cells, max(0.0, offset + i * 0.24), 0.0, 0.215, 0.26, second)
    _block(cells, 0.0, 0.26, 1.0, 0.03, np.asarray(second, np.float32) * 0.7)
    for i in range(8):
        _block(cells, max(0.0, offset + i * 0.14), 0.30, 0.015, 0.34, (0.80, 0.82, 0.81))
    _block(cells, 0.0, 0.64, 1.0, 0.05, (0.36, 0.30, 0.26))
    _block(cells, 0.0, 0.69, 1.0, 0.31, second)
    return cells


_SCENERY = {
    "office": _office,
    "brick": _brick,
    "books": _books,
    "garden": _garden,
    "street": _street,
    "beach": _beach,
    "room": _room,
    "kitchen": _kitchen,
}
