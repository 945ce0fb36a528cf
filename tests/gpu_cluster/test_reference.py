"""A whole order of the strategy "reference": nothing is trained, and the person's own selfies are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import uuid4

import numpy as np
import pytest
import torch
from PIL import Image

from batch.people import ways
from gpu_cluster.bases.base import Drawing
from gpu_cluster.bases.flux2 import Flux2Klein
from gpu_cluster.bases.recipe import Recipe, recipes
from gpu_cluster.cluster.studio import Studio
from gpu_cluster.engine.judge import Judge, JudgeVerdict
from gpu_cluster.engine.making import REFERENCES
from tests.gpu_cluster.test_families import _klein
from tests.gpu_cluster.test_studio import Stores, stores

__all__ = ["stores"]
TENANT = uuid4()


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    torch.manual_seed(0)
    # As small a code as the real one's, or a selfie would be thousands of tokens.
    pipeline, folder = _klein(4), tmp_path_factory.mktemp("klein")
    for parameter in pipeline.transformer.parameters():
        # Some of its layers start at zero, and would hide what they are shown.
        torch.nn.init.normal_(parameter, std=0.2)
    pipeline.save_pretrained(folder, safe_serialization=True)
    recipe = Recipe(
        name="tiny-reference", base=str(folder), licence="Apache-2.0", resolution=32, steps=0, learning_rate=0.0,
        strategy="reference", fewest_photos=1, guidance=1.0, render_steps=2, render_batch=2, pictures=4, shown=2,
    )  # fmt: skip
    return Studio(recipe.as_dict(), ())


@pytest.fixture
def drawn_from(monkeypatch: pytest.MonkeyPatch) -> list[list[Image.Image]]:
    """The references of each call of the base. What it makes of them passes, because nothing tiny looks like anybody."""
    seen: list[list[Image.Image]] = []
    generate: Callable[..., list[Image.Image]] = Flux2Klein.generate

    def watched(base: Flux2Klein, asked: Drawing) -> list[Image.Image]:
        seen.append(list(asked.references))
        return generate(base, asked)

    monkeypatch.setattr(Flux2Klein, "generate", watched)
    monkeypatch.setattr(Judge, "look", lambda judge, image: JudgeVerdict(True, 0.9))
    return seen


@pytest.mark.parametrize(("photos", "shown"), [(1, 1), (3, 2), (8, REFERENCES)])
def test_headshots_are_drawn_from_the_persons_own_selfies(
    studio: Studio, stores: Stores, drawn_from: list[list[Image.Image]], photos: int, shown: int
) -> None:
    person, other = stores.person(TENANT, 41, photos), stores.person(TENANT, 42, photos)
    order = replace(stores.order(TENANT, person, other), recipe=studio.equipment.recipe.as_dict())
    outcomes = {outcome.sitting: outcome for outcome in stores.work(studio, order)}
    for one in (person, other):
        outcome = outcomes[one.sitting]
        assert outcome.failure == ""
        assert 1 <= len(outcome.pictures) <= min(2, outcome.passed)
        assert outcome.adapter_path == "", "nothing is trained"
        assert "train" not in outcome.seconds
        assert studio.progress()[one.sitting].checkpoint == ""
    # One of three and two of eight are kept for the judge, and more than three add nothing.
    assert {len(references) for references in drawn_from} == {shown}
    mine, theirs = drawn_from[0], drawn_from[-1]
    assert not np.array_equal(np.asarray(mine[0]), np.asarray(theirs[0]))
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(mine, drawn_from[1], strict=True))


def test_whoever_draws_from_references_starts_below_six_photos() -> None:
    for recipe in recipes().values():
        least = ways.photos_for(recipe.name).needed
        assert least >= recipe.fewest_photos
        assert (least < ways.MODEL.needed) == (recipe.strategy == "reference"), recipe.name
