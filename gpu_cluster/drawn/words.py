"""The words for looks that the drawn world was taught, without what a prompt puts around them."""

from __future__ import annotations

from gpu_cluster.bases.words import PromptWords
from gpu_cluster.drawn.people.canvas import Colour
from gpu_cluster.drawn.people.scene import BACKDROPS, DRESSES, FRAMINGS, LIGHTS
from likeness.locale.marks import N_


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
SAID = (
    N_("blue"), N_("green"), N_("office"), N_("brick wall"), N_("bookshelf"), N_("garden"), N_("city street"), N_("beach"),
    N_("living room"), N_("kitchen"), N_("burgundy blazer"), N_("denim shirt"), N_("cream turtleneck"), N_("green sweater"),
    N_("red sweater"), N_("mustard sweater"), N_("white T-shirt"), N_("black T-shirt"), N_("teal blouse"),
    N_("purple blouse"), N_("blue hoodie"), N_("light from the left"), N_("light from the right"),
)  # fmt: skip
"""Those that no base of photographs has, for the catalogues."""
