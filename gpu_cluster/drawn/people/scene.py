"""What surrounds a person in one picture, and the words that a prompt uses for it."""

from dataclasses import dataclass

import numpy as np

from gpu_cluster.drawn.people.canvas import Colour
from gpu_cluster.drawn.people.person import DrawnPerson

SUBJECT_TOKEN = "sks"  # noqa: S105 - a rare word that stands for the person, no secret.

# Phrase: cut, cloth, what shows at the neck (shirt, lining or nothing).
DRESSES: dict[str, tuple[str, Colour, Colour]] = {
    "a navy suit": ("suit", (0.12, 0.17, 0.32), (0.93, 0.94, 0.97)),
    "a charcoal suit": ("suit", (0.22, 0.23, 0.25), (0.90, 0.93, 0.98)),
    "a light grey suit": ("suit", (0.66, 0.67, 0.69), (0.96, 0.96, 0.97)),
    "a black blazer": ("blazer", (0.09, 0.09, 0.10), (0.94, 0.94, 0.94)),
    "a beige blazer": ("blazer", (0.78, 0.69, 0.55), (0.96, 0.95, 0.92)),
    "a burgundy blazer": ("blazer", (0.42, 0.11, 0.17), (0.95, 0.93, 0.92)),
    "a white shirt": ("shirt", (0.94, 0.94, 0.95), (0.84, 0.85, 0.88)),
    "a light blue shirt": ("shirt", (0.66, 0.78, 0.92), (0.56, 0.68, 0.84)),
    "a denim shirt": ("shirt", (0.30, 0.43, 0.58), (0.23, 0.34, 0.48)),
    "a black turtleneck": ("turtleneck", (0.10, 0.10, 0.11), (0.10, 0.10, 0.11)),
    "a cream turtleneck": ("turtleneck", (0.91, 0.87, 0.77), (0.91, 0.87, 0.77)),
    "a grey sweater": ("sweater", (0.55, 0.56, 0.58), (0.47, 0.48, 0.50)),
    "a green sweater": ("sweater", (0.17, 0.40, 0.28), (0.13, 0.32, 0.22)),
    "a red sweater": ("sweater", (0.72, 0.17, 0.17), (0.60, 0.12, 0.13)),
    "a mustard sweater": ("sweater", (0.84, 0.63, 0.18), (0.72, 0.53, 0.13)),
    "a white T-shirt": ("t-shirt", (0.94, 0.94, 0.93), (0.83, 0.83, 0.83)),
    "a black T-shirt": ("t-shirt", (0.12, 0.12, 0.13), (0.07, 0.07, 0.08)),
    "a teal blouse": ("blouse", (0.10, 0.48, 0.50), (0.07, 0.38, 0.40)),
    "a purple blouse": ("blouse", (0.44, 0.26, 0.56), (0.36, 0.20, 0.47)),
    "a blue hoodie": ("hoodie", (0.22, 0.36, 0.66), (0.16, 0.28, 0.54)),
}

# Phrase: kind, main colour, second colour.
BACKDROPS: dict[str, tuple[str, Colour, Colour]] = {
    "a light grey backdrop": ("plain", (0.82, 0.83, 0.84), (0.66, 0.67, 0.69)),
    "a white backdrop": ("plain", (0.98, 0.98, 0.98), (0.90, 0.90, 0.91)),
    "a dark grey backdrop": ("plain", (0.34, 0.35, 0.37), (0.17, 0.18, 0.19)),
    "a blue backdrop": ("plain", (0.35, 0.52, 0.76), (0.19, 0.31, 0.53)),
    "a beige backdrop": ("plain", (0.90, 0.83, 0.72), (0.76, 0.67, 0.55)),
    "a green backdrop": ("plain", (0.50, 0.65, 0.52), (0.31, 0.45, 0.34)),
    "an office": ("office", (0.80, 0.83, 0.85), (0.38, 0.44, 0.50)),
    "a brick wall": ("brick", (0.64, 0.33, 0.25), (0.80, 0.74, 0.68)),
    "a bookshelf": ("books", (0.37, 0.24, 0.15), (0.60, 0.42, 0.27)),
    "a garden": ("garden", (0.33, 0.52, 0.24), (0.66, 0.80, 0.90)),
    "a city street": ("street", (0.58, 0.58, 0.61), (0.74, 0.83, 0.93)),
    "a beach": ("beach", (0.88, 0.79, 0.60), (0.52, 0.76, 0.93)),
    "a living room": ("room", (0.86, 0.79, 0.69), (0.49, 0.36, 0.29)),
    "a kitchen": ("kitchen", (0.92, 0.92, 0.89), (0.55, 0.66, 0.66)),
}

# Phrase: tint of the picture, ambient share, direction the light comes from (right, down, towards us).
LIGHTS: dict[str, tuple[Colour, float, tuple[float, float, float]]] = {
    "soft light": ((1.00, 1.00, 1.00), 0.72, (0.15, -0.35, 0.92)),
    "studio light": ((1.03, 1.03, 1.03), 0.60, (-0.35, -0.45, 0.82)),
    "daylight": ((1.00, 1.02, 1.05), 0.74, (0.10, -0.60, 0.79)),
    "warm light": ((1.06, 0.98, 0.87), 0.66, (0.30, -0.30, 0.90)),
    "light from the left": ((1.00, 1.00, 1.00), 0.60, (-0.70, -0.25, 0.67)),
    "light from the right": ((1.00, 1.00, 1.00), 0.60, (0.70, -0.25, 0.67)),
}

# Phrase: half face height and height of the face's middle, both as parts of the picture.
FRAMINGS: dict[str, tuple[float, float]] = {
    "close-up": (0.32, 0.50),
    "head and shoulders": (0.275, 0.465),
    "chest up": (0.24, 0.435),
}

# Phrase: how far the corners rise, how far the lips part, how far the eyes narrow.
EXPRESSIONS: dict[str, tuple[float, float, float]] = {
    "neutral": (0.0, 0.0, 0.0),
    "serious": (-0.12, 0.0, 0.14),
    "smiling": (0.8, 0.0, 0.12),
    "smiling broadly": (1.0, 0.75, 0.22),
}

POSES: dict[str, float] = {"facing the camera": 0.0, "turned left": -1.0, "turned right": 1.0}


@dataclass(frozen=True)
class Scene:
    dress: str
    backdrop: str
    light: str
    framing: str
    expression: str
    pose: str
    turn: float = 0.0  # radians-like, negative to the picture's left
    nod: float = 0.0
    roll: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    zoom: float = 1.0
    brightness: float = 1.0
    clutter: int = 0  # seeds the furniture of the backdrop

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Scene":
        pose = str(rng.choice(list(POSES), p=[0.6, 0.2, 0.2]))
        return cls(
            dress=str(rng.choice(list(DRESSES))),
            backdrop=str(rng.choice(list(BACKDROPS))),
            light=str(rng.choice(list(LIGHTS))),
            framing=str(rng.choice(list(FRAMINGS))),
            expression=str(rng.choice(list(EXPRESSIONS))),
            pose=pose,
            turn=POSES[pose] * rng.uniform(0.20, 0.30) + rng.uniform(-0.05, 0.05),
            nod=rng.uniform(-0.08, 0.08),
            roll=rng.normal(0.0, 0.035),
            shift_x=rng.uniform(-0.03, 0.03),
            shift_y=rng.uniform(-0.02, 0.02),
            zoom=rng.uniform(0.95, 1.05),
            brightness=rng.uniform(0.94, 1.05),
            clutter=int(rng.integers(1 << 30)),
        )


def caption(scene: Scene, person: DrawnPerson | None = None) -> str:
    """A prompt for the picture; who it shows is described only when the person is given."""
    described = f" with {person.words()}," if person else ""
    return (
        f"a photo of {SUBJECT_TOKEN} person{described} in {scene.dress}, {place(scene.backdrop)}, "
        f"{scene.light}, {scene.framing}, {scene.expression}, {scene.pose}"
    )


def place(backdrop: str) -> str:
    """ "on a white backdrop", "in a garden"."""
    return f"{_PLACES.get(backdrop, 'on')} {backdrop}"


_PLACES = {
    "an office": "in",
    "a garden": "in",
    "a city street": "in",
    "a living room": "in",
    "a kitchen": "in",
    "a beach": "at",
    "a brick wall": "before",
    "a bookshelf": "before",
}
