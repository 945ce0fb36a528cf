"""What only the base of drawn people does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gpu_cluster.bases.base import Base
from gpu_cluster.bases.recipe import named
from gpu_cluster.drawn.family import SETTLED_AT, Drawn
from gpu_cluster.drawn.people.draw import BACKDROPS, DRESSES, FRAMINGS, LIGHTS, selfie
from gpu_cluster.engine.render import Shot, render
from gpu_cluster.engine.train import Cancelled
from tenants import looks

RECIPE = named("portrait-small")


@pytest.fixture(scope="module")
def drawn(small_base: Base) -> Drawn:
    assert isinstance(small_base, Drawn)
    return small_base


@torch.no_grad()
def test_a_disturbed_picture_settles_towards_the_truth(drawn: Drawn) -> None:
    picture, caption = selfie(4_211, 0, 256)
    latents = drawn.encode_image([picture])
    noise = 0.5 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    settled = drawn._finished(latents + noise, [caption], [5], lambda: None)
    assert float((settled - latents).square().mean()) < 0.5 * float(noise.square().mean())


def test_a_picture_settles_by_its_own_shot_only_and_can_be_stopped(drawn: Drawn) -> None:
    shots = [Shot(drawn.prompt("white", "navy suit", "close-up", "soft light"), seed) for seed in (1, 2)]
    together = dict(render(drawn, RECIPE, None, shots))
    alone = next(render(drawn, RECIPE, None, shots[1:]))[1]
    assert np.abs(np.asarray(together[1], int) - np.asarray(alone, int)).max() <= 1
    asked: list[None] = []

    def late() -> bool:
        asked.append(None)
        return len(asked) > RECIPE.render_steps + 2

    with pytest.raises(Cancelled):
        list(render(drawn, RECIPE, None, shots, cancelled=late))
    assert len(asked) < RECIPE.render_steps + 2 + len(SETTLED_AT)


@pytest.mark.parametrize("look", looks.DEFAULT, ids=lambda look: look["name"])
def test_a_company_look_is_asked_for_in_taught_words(drawn: Drawn, look: dict[str, str]) -> None:
    prompt = drawn.prompt(look["backdrop"], look["dress"], look["framing"], look["light"])
    for phrases in (BACKDROPS, DRESSES, FRAMINGS, LIGHTS):
        assert any(f"{phrase}," in prompt for phrase in phrases)
    assert look["dress"] in prompt
    assert look["backdrop"] in prompt


def test_rooms_are_places_and_unknown_words_become_known_ones(drawn: Drawn) -> None:
    assert ", in an office, " in drawn.prompt("office", "navy suit", "close-up", "soft light")
    assert ", before a brick wall, " in drawn.prompt("a brick wall", "navy suit", "close-up", "soft light")
    unknown = drawn.prompt("the surface of the moon", "spacesuit", "from afar", "starlight")
    assert unknown == drawn.prompt(*(next(iter(phrases)) for phrases in (BACKDROPS, DRESSES, FRAMINGS, LIGHTS)))
