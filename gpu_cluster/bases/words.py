"""The words for looks that a base understands, each with the colours that stand for it on a page.

A base of another world than photographs declares its own as an entry point of `likeness.words`, named as its world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from gpu_cluster.bases.recipe import PHOTOGRAPHS, recipes
from likeness.locale.marks import N_


@dataclass(frozen=True)
class PromptWords:
    """Colours are `#rrggbb`: of a backdrop where it is bright and where it is dim, of a dress its cloth."""

    backdrops: Mapping[str, tuple[str, str]]
    dresses: Mapping[str, str]
    framings: tuple[str, ...]
    lights: tuple[str, ...]


OF_PHOTOGRAPHS = PromptWords(
    backdrops={
        N_("light grey"): ("#d1d4d6", "#a8abab"),
        N_("white"): ("#fafafa", "#e6e6e8"),
        N_("dark grey"): ("#575a5e", "#2b2e30"),
        N_("navy blue"): ("#3a4c6e", "#1d2942"),
        N_("beige"): ("#e6d4b8", "#c2ab8c"),
        N_("sage green"): ("#a3b09a", "#748069"),
        N_("bright modern office, out of focus"): ("#cdd4da", "#616f80"),
        N_("brick wall, out of focus"): ("#a35440", "#6d3a2d"),
        N_("bookshelves, out of focus"): ("#7d5d40", "#3f2b1b"),
        N_("garden, out of focus"): ("#a8c6a0", "#54853e"),
    },
    dresses={
        N_("navy suit"): "#1f2b52",
        N_("charcoal suit"): "#383b40",
        N_("light grey suit"): "#a8abb0",
        N_("black blazer"): "#17171a",
        N_("beige blazer"): "#c7b08c",
        N_("white shirt"): "#f0f0f2",
        N_("light blue shirt"): "#a8c7eb",
        N_("black turtleneck"): "#1a1a1c",
        N_("grey sweater"): "#8c8f94",
        N_("dark green blouse"): "#2b6647",
        N_("plain T-shirt"): "#7a7d82",
    },
    framings=(N_("close-up"), N_("head and shoulders"), N_("chest up")),
    lights=(N_("soft light"), N_("studio light"), N_("daylight"), N_("warm light")),
)
"""Plain English, which every base that knows photographs was trained on."""


@cache
def offered(recipe: str) -> PromptWords:
    """Of the base of this recipe; where there is none, plain words. Raises `LookupError` for a world without words."""
    known = recipes().get(recipe)
    if known is None or known.world == PHOTOGRAPHS:
        return OF_PHOTOGRAPHS
    for point in entry_points(group="likeness.words", name=known.world):
        words: PromptWords = point.load()
        return words
    raise LookupError(f"no words are declared for the world “{known.world}”")
