"""The ways of making headshots that a company may offer: a model of each person, pictures drawn after their selfies, or a
studio portrait of their own photo.

Each has a purpose of consent of its own, needs its own number of photos, and is told of in the notice only where it is
offered.
"""

from __future__ import annotations

from typing import NamedTuple

from batch.models import Purpose
from tenants.models import CUTOUT, REFERENCE, Tenant


class Photos(NamedTuple):
    """How many accepted photos a sitting starts from, and how many are asked for."""

    needed: int
    asked: int


# Of one photo there is one portrait; of three, the person has a choice, and their own tone is known.
PORTRAIT, MODEL = Photos(1, 3), Photos(6, 8)
# A base that draws from references looks at three selfies at most.
DRAWN = Photos(1, 3)


def photos_for(recipe: str) -> Photos:
    if recipe == CUTOUT:
        return PORTRAIT
    return DRAWN if recipe.endswith(REFERENCE) else MODEL


def needed(tenant: Tenant) -> int:
    """From how many photos on something can be made for this company's people."""
    return min(photos_for(recipe).needed for recipe in tenant.offered)


def purpose_of(recipe: str) -> Purpose:
    if recipe == CUTOUT:
        return Purpose.PORTRAIT
    return Purpose.DRAWN if recipe.endswith(REFERENCE) else Purpose.HEADSHOTS


def asked(tenant: Tenant) -> list[Purpose]:
    """What the company's people are asked about: each way that it offers, then the check that goes with each."""
    return [*dict.fromkeys(purpose_of(recipe) for recipe in tenant.offered), Purpose.BIOMETRIC]


def kind(tenant: Tenant) -> str:
    """Which words are true of the company: `model`, `portrait`, `both` of these, `drawn`, or `drawn or portrait`.

    An installation has one base, so that nobody is offered a model and drawing side by side.
    """
    offered = {purpose_of(recipe) for recipe in tenant.offered}
    if Purpose.DRAWN in offered:
        return "drawn or portrait" if Purpose.PORTRAIT in offered else "drawn"
    return "both" if len(offered) == 2 else "portrait" if Purpose.PORTRAIT in offered else "model"


def modelled(tenant: Tenant) -> bool:
    """Whether the company offers a model of a person at all."""
    return any(purpose_of(recipe) == Purpose.HEADSHOTS for recipe in tenant.offered)

