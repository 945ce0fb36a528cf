"""What stands behind a studio portrait, as pages paint it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from likeness.locale.marks import N_
from tenants.backdrops import PREFIX

OFFICE = "/static/sample/office.webp"
GREY = "#d5d9d2"
STEPS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Wall:
    """A colour, stops of a gradient (share of the way out, colour), or the address of a picture.

    `words` is a sentence of the catalogue, in which `{colour}` is `base`.
    """

    words: str
    base: str = ""
    colour: str = ""
    stops: tuple[tuple[float, str], ...] = ()
    picture: str = ""
    own: bool = False
    """The company's own picture, which is shown out of focus; without an address it is one that is only chosen yet."""


def wall(words: str, pictures: str = "/api/v1/looks/backdrops/") -> Wall:
    """As `gpu_cluster/cutout/backdrop.py` paints it. `pictures` is where the reader gets the company's own."""
    if words == "office":
        return Wall(N_("the drawn office"), picture=OFFICE)
    if words.startswith(PREFIX):
        one = words.removeprefix(PREFIX)
        return Wall(N_("your picture"), colour=GREY, picture=f"{pictures}{one}" if one else "", own=True)
    if words.startswith("gradient:"):
        colour = words.removeprefix("gradient:")
        return Wall(N_("{colour}, lighter behind the head"), colour, stops=_lamp(colour))
    return Wall("{colour}", words, colour=words)


def _lamp(colour: str) -> tuple[tuple[float, str], ...]:
    """Lightest behind the head: 0.62 + 0.46 exp(-(r / 0.575)^2) of the colour, r in parts of the picture, to 0.75."""
    parts = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]

    def at(share: float) -> str:
        strength = 0.62 + 0.46 * math.exp(-((share * 0.75 / 0.575) ** 2))
        return "#" + "".join(f"{min(255, round(part * strength)):02x}" for part in parts)

    return tuple((share, at(share)) for share in STEPS)
