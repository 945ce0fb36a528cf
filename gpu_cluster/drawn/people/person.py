"""Who is drawn: everything about a person that stays the same from picture to picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_cluster.drawn.people.canvas import Colour

# From the fairest to the deepest; a person lies anywhere between two neighbours.
SKINS: tuple[Colour, ...] = (
    (0.98, 0.86, 0.78),
    (0.95, 0.78, 0.66),
    (0.88, 0.68, 0.53),
    (0.78, 0.57, 0.41),
    (0.64, 0.44, 0.31),
    (0.51, 0.345, 0.25),
    (0.42, 0.285, 0.215),
)
SKIN_WORDS = ("fair", "light", "olive", "tan", "brown", "dark", "deep")

HAIRS: dict[str, Colour] = {
    "black": (0.10, 0.09, 0.10),
    "dark brown": (0.24, 0.16, 0.12),
    "brown": (0.40, 0.26, 0.17),
    "auburn": (0.50, 0.22, 0.13),
    "red": (0.72, 0.34, 0.15),
    "blond": (0.83, 0.66, 0.38),
    "platinum": (0.92, 0.86, 0.72),
    "grey": (0.58, 0.57, 0.57),
    "white": (0.87, 0.87, 0.86),
}

IRISES: dict[str, Colour] = {
    "brown": (0.30, 0.18, 0.10),
    "dark": (0.14, 0.09, 0.07),
    "blue": (0.28, 0.48, 0.70),
    "green": (0.30, 0.50, 0.34),
    "grey": (0.45, 0.51, 0.55),
    "hazel": (0.50, 0.36, 0.16),
}

STYLES = ("bald", "buzz cut", "short", "side-parted", "swept back", "curly", "afro", "bob", "long", "wavy", "bun")
BEARDS = ("no beard", "stubble", "moustache", "goatee", "full beard")
GLASSES = ("no glasses", "round glasses", "square glasses")
FRAME_COLOURS: tuple[Colour, ...] = ((0.08, 0.08, 0.09), (0.33, 0.18, 0.10), (0.55, 0.12, 0.14), (0.16, 0.24, 0.42))

# Trait: its word in captions, and the range it is drawn from. Drawing and describing read the same table.
MEASURES: dict[str, tuple[str, float, float]] = {
    "face_width": ("face", 0.68, 0.89),
    "jaw": ("jaw", -0.06, 0.13),
    "chin": ("chin", -0.08, 0.07),
    "cheeks": ("cheek", -0.04, 0.07),
    "eye_gap": ("gap", 0.26, 0.39),
    "eye_width": ("eyewidth", 0.115, 0.19),
    "eye_height": ("eyeheight", 0.050, 0.105),
    "eye_tilt": ("tilt", -0.22, 0.24),
    "eye_line": ("eyeline", -0.14, 0.0),
    "brow_height": ("brow", 0.15, 0.29),
    "brow_thickness": ("browthick", 0.018, 0.055),
    "brow_arch": ("arch", 0.01, 0.10),
    "brow_slope": ("slope", -0.25, 0.25),
    "nose_length": ("nose", 0.30, 0.52),
    "nose_width": ("nosewidth", 0.10, 0.215),
    "nose_bridge": ("bridge", 0.2, 1.0),
    "mouth_width": ("mouth", 0.19, 0.36),
    "mouth_line": ("mouthline", 0.54, 0.68),
    "upper_lip": ("upperlip", 0.025, 0.075),
    "lower_lip": ("lowerlip", 0.04, 0.10),
    "ears": ("ear", 0.12, 0.24),
    "hairline": ("hairline", 0.56, 0.78),
    "volume": ("volume", 0.06, 0.20),
    "age": ("age", 0.0, 1.0),
}
LEVELS = "abcde"
"""Steps in which a caption tells a measure: "jawa" is the narrowest fifth, "jawe" the widest. Letters, because CLIP's
tokenizer parts digits from words."""


@dataclass(frozen=True)
class DrawnPerson:
    """Lengths are in half face heights: the brow line lies near -0.3, the chin near +1."""

    skin: float  # 0 the fairest, 6 the deepest, as in SKINS
    rosy: float  # how far the skin leans to red or to yellow, -1..1
    face_width: float
    jaw: float
    chin: float
    cheeks: float
    eye_gap: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_line: float
    iris: str
    brow_height: float
    brow_thickness: float
    brow_arch: float
    brow_slope: float
    nose_length: float
    nose_width: float
    nose_bridge: float
    mouth_width: float
    mouth_line: float
    upper_lip: float
    lower_lip: float
    lip_colour: float
    ears: float
    hair: str
    style: str
    hairline: float
    volume: float
    parting: float
    beard: str
    glasses: str
    frame: int
    age: float
    freckles: float
    texture: float  # the phase of locks and curls, so that they stay where they are

    @classmethod
    def drawn(cls, seed: int) -> "DrawnPerson":
        rng = np.random.default_rng((7919, seed))
        between = rng.uniform

        def measure(trait: str) -> float:
            _, low, high = MEASURES[trait]
            return between(low, high)

        bearded = rng.random() < 0.45
        style = str(rng.choice(STYLES, p=_STYLES_OF_BEARDED if bearded else _STYLES_OF_OTHERS))
        skin = between(0.0, 6.0)
        age = measure("age")
        hair_chances = np.array([3.0, 3.0, 2.0, 1.0, 0.8, 1.5, 0.7, 0.7, 0.5])
        if skin > 3.4:
            hair_chances = np.array([5.0, 3.0, 1.0, 0.4, 0.1, 0.2, 0.2, 0.7, 0.5])
        hair = str(rng.choice(list(HAIRS), p=hair_chances / hair_chances.sum()))
        iris_chances = [3.0, 2.0, 2.0, 1.5, 1.0, 1.5] if skin < 3.2 else [3.0, 5.0, 0.2, 0.4, 0.2, 1.0]
        return cls(
            skin=skin,
            rosy=between(-1.0, 1.0),
            face_width=measure("face_width"),
            jaw=measure("jaw"),
            chin=measure("chin"),
            cheeks=measure("cheeks"),
            eye_gap=measure("eye_gap"),
            eye_width=measure("eye_width"),
            eye_height=measure("eye_height"),
            eye_tilt=measure("eye_tilt"),
            eye_line=measure("eye_line"),
            iris=str(rng.choice(list(IRISES), p=np.array(iris_chances) / sum(iris_chances))),
            brow_height=measure("brow_height"),
            brow_thickness=measure("brow_thickness"),
            brow_arch=measure("brow_arch"),
            brow_slope=measure("brow_slope"),
            nose_length=measure("nose_length"),
            nose_width=measure("nose_width"),
            nose_bridge=measure("nose_bridge"),
            mouth_width=measure("mouth_width"),
            mouth_line=measure("mouth_line"),
            upper_lip=measure("upper_lip"),
            lower_lip=measure("lower_lip"),
            lip_colour=between(0.0, 1.0) * (0.35 if bearded else 1.0),
            ears=measure("ears"),
            hair=hair,
            style=style,
            hairline=measure("hairline"),
            volume=measure("volume"),
            parting=float(rng.choice([-1.0, 1.0])) * between(0.15, 0.5),
            beard=str(rng.choice(BEARDS[1:])) if bearded else BEARDS[0],
            glasses=str(rng.choice(GLASSES, p=[0.68, 0.16, 0.16])),
            frame=int(rng.integers(len(FRAME_COLOURS))),
            age=age,
            freckles=max(0.0, between(-2.0, 1.0)) if skin < 2.0 else 0.0,
            texture=between(0.0, 100.0),
        )

    @property
    def skin_colour(self) -> Colour:
        low = min(int(self.skin), len(SKINS) - 2)
        part = self.skin - low
        red, green, blue = (a + (b - a) * part for a, b in zip(SKINS[low], SKINS[low + 1], strict=True))
        return red * (1.0 + 0.02 * self.rosy), green * (1.0 - 0.025 * self.rosy), blue * (1.0 + 0.03 * self.rosy)

    @property
    def hair_colour(self) -> Colour:
        return HAIRS[self.hair]

    def features(self) -> NDArray[np.float32]:
        """(69,), the person in numbers of -1..1: lengths by their ranges, kinds one by one; not where freckles lie."""
        lengths = [2 * (getattr(self, trait) - low) / (high - low) - 1 for trait, (_, low, high) in MEASURES.items()]
        lengths += [self.skin / 3 - 1, self.rosy, self.lip_colour, 2 * self.parting, self.freckles]
        lengths += [np.sin(self.texture), np.cos(self.texture)]
        kinds = [
            float(own == other)
            for own, others in (
                (self.iris, IRISES),
                (self.hair, HAIRS),
                (self.style, STYLES),
                (self.beard, BEARDS),
                (self.glasses, GLASSES),
                (self.frame if self.glasses != GLASSES[0] else None, range(len(FRAME_COLOURS))),
            )
            for other in others
        ]
        return np.array(lengths + kinds, np.float32)

    def words(self) -> str:
        """The traits that a caption may name, most visible first."""
        skin = SKIN_WORDS[min(6, int(self.skin * 7.0 / 6.0))]
        hair = "bald head" if self.style == "bald" else f"{self.hair} {_STYLE_WORDS.get(self.style, self.style)} hair"
        more = [word for word in (self.beard, self.glasses) if not word.startswith("no ")]
        return ", ".join([f"{skin} skin", hair, *more, f"{self.iris} eyes", self.measures()])

    def measures(self) -> str:
        """The lengths of the face in steps, which teach the base to place what most captions leave open."""
        steps = []
        for trait, (word, low, high) in MEASURES.items():
            part = (getattr(self, trait) - low) / (high - low)
            steps.append(word + LEVELS[min(len(LEVELS) - 1, int(part * len(LEVELS)))])
        return " ".join(steps)


_STYLE_WORDS = {"buzz cut": "buzz cut", "bob": "bob cut", "bun": "tied up"}
_STYLES_OF_BEARDED = (0.12, 0.13, 0.22, 0.17, 0.14, 0.09, 0.05, 0.01, 0.03, 0.02, 0.02)
_STYLES_OF_OTHERS = (0.03, 0.05, 0.12, 0.10, 0.06, 0.09, 0.08, 0.14, 0.14, 0.12, 0.07)
