"""Portraits of people who do not exist: the whole world that the small base model knows.

Every picture is a function of a Person and a Scene, so the same seed gives the same pixels, and tests know who is who.
"""

import numpy as np
from PIL import Image

from gpu_cluster.drawn.people.backdrop import backdrop
from gpu_cluster.drawn.people.canvas import Canvas, Frame
from gpu_cluster.drawn.people.clothes import paint_body
from gpu_cluster.drawn.people.hair import paint_behind, paint_front
from gpu_cluster.drawn.people.head import Head, paint_face, paint_glasses
from gpu_cluster.drawn.people.person import DrawnPerson
from gpu_cluster.drawn.people.scene import (
    BACKDROPS,
    DRESSES,
    EXPRESSIONS,
    FRAMINGS,
    LIGHTS,
    POSES,
    SUBJECT_TOKEN,
    Scene,
    caption,
)

__all__ = [
    "BACKDROPS",
    "DRESSES",
    "EXPRESSIONS",
    "FRAMINGS",
    "LIGHTS",
    "POSES",
    "SUBJECT_TOKEN",
    "DrawnPerson",
    "Scene",
    "caption",
    "draw",
    "selfie",
    "selfies",
]


def draw(person: DrawnPerson, scene: Scene, size: int = 512) -> Image.Image:
    half_face, height = FRAMINGS[scene.framing]
    unit = half_face * size * scene.zoom
    x, y = size * (0.5 + scene.shift_x), size * (height + scene.shift_y)
    canvas = Canvas(size)
    canvas.pixels[:] = backdrop(scene, size)
    tint, ambient, light = LIGHTS[scene.light]
    head = Head(person, scene, Frame(x, y, unit, scene.roll))
    # The body stays upright and follows the head only a little.
    body = Frame(x - 0.10 * unit * scene.turn, y, unit)
    paint_behind(canvas, head)
    paint_body(canvas, body, person, scene, light)
    paint_face(canvas, head, ambient, light)
    paint_front(canvas, head)
    paint_glasses(canvas, head)
    graded = np.clip(canvas.pixels * np.asarray(tint, np.float32) * np.float32(scene.brightness), 0.0, 1.0)
    return Image.fromarray((graded * 255.0 + 0.5).astype(np.uint8))


def selfie(seed: int, number: int, size: int = 512) -> tuple[Image.Image, str]:
    """One of a person's pictures; the caption names the scene and never the person's traits."""
    rng = np.random.default_rng((104_729, seed))
    scene = [Scene.drawn(rng) for _ in range(number + 1)][number]
    return draw(DrawnPerson.drawn(seed), scene, size), caption(scene)


def selfies(seed: int, count: int = 8, size: int = 512) -> list[tuple[Image.Image, str]]:
    """Pictures of one person in as many scenes."""
    return [selfie(seed, number, size) for number in range(count)]
