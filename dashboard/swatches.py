"""What a look will look like, roughly: the colours behind the words that the portrait model knows."""

from __future__ import annotations

from dataclasses import dataclass

from gpu_cluster.portraits.scene import BACKDROPS, DRESSES, FRAMINGS, LIGHTS
from tenants.models import Look

Colour = tuple[float, float, float]
GREY: Colour = (0.62, 0.63, 0.65)


@dataclass(frozen=True)
class Swatch:
    """A look with its colours as `#rrggbb`."""

    row: Look
    bright: str
    dim: str
    cloth: str


def plain(phrase: str) -> str:
    """`a light grey backdrop` as a look names it: `light grey`."""
    return phrase.removeprefix("a ").removeprefix("an ").removesuffix(" backdrop")


_BACKDROPS = {plain(phrase): (bright, dim) for phrase, (_, bright, dim) in BACKDROPS.items()}
_DRESSES = {plain(phrase): colour for phrase, (_, colour, _) in DRESSES.items()}

CHOICES = (
    ("backdrop", "Backdrop", tuple(_BACKDROPS)),
    ("dress", "Dress", tuple(_DRESSES)),
    ("framing", "Framing", tuple(FRAMINGS)),
    ("light", "Light", tuple(LIGHTS)),
)


def swatch(look: Look) -> Swatch:
    """Words that the model does not know are shown in grey."""
    bright, dim = _BACKDROPS.get(plain(look.backdrop), (GREY, GREY))
    return Swatch(look, _hex(bright), _hex(dim), _hex(_DRESSES.get(plain(look.dress), GREY)))


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(min(1.0, max(0.0, part)) * 255):02x}" for part in colour)
