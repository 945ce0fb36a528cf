"""The words for looks that the drawn world was taught, without what a prompt puts around them."""

from __future__ import annotations

from gpu_cluster.bases.words import PromptWords
from gpu_cluster.drawn.people.canvas import Colour
from gpu_cluster.drawn.people.scene import BACKDROPS, DRESSES, FRAMINGS, LIGHTS


def _plain(phrase: str) -> str:
    """`a light grey backdrop` as a look names it: `light grey`."""
    return phrase.removeprefix("a ").removeprefix("an ").removesuffix(" backdrop")


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{round(min(1.0, max(0.0, part)) * 255):02x}" for part in colour)


WORDS = PromptWords(
    backdrops={_plain(phrase): (_hex(bright), _hex(dim)) for phrase, (_, bright, dim) in BACKDROPS.items()},
    dresses={_plain(phrase): _hex(colour) for phrase, (_, colour, _) in DRESSES.items()},
    framings=tuple(FRAMINGS),
    lights=tuple(LIGHTS),
)
