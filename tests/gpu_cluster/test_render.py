from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gpu_cluster.bases.base import Base, Drawing
from gpu_cluster.bases.loading import load
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.engine.render import Shot, render
from gpu_cluster.engine.train import Cancelled, Trainee, train

SHOTS = [Shot(f"a photo {word}", seed=i) for i, word in enumerate(("a", "b", "c", "d", "e"))]


def test_a_picture_depends_on_its_own_shot_only(tiny_base: Base, tiny_recipe: Recipe) -> None:
    pictures = dict(render(tiny_base, tiny_recipe, None, SHOTS))
    assert list(pictures) == [0, 1, 2, 3, 4]
    for size in (1, 3, 5):
        again = dict(render(tiny_base, replace(tiny_recipe, render_batch=size), None, SHOTS))
        assert list(again) == list(range(5))
        for index, picture in again.items():
            off = np.abs(np.asarray(picture, int) - np.asarray(pictures[index], int))
            assert off.max() <= 1  # sums in another order round differently
    assert np.abs(np.asarray(pictures[0], int) - np.asarray(pictures[1], int)).max() > 5


def test_the_person_comes_and_goes(tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Trainee]) -> None:
    lora = train(tiny_base, replace(tiny_recipe, learning_rate=0.1), [make_subject("ada")])["ada"]
    nobody = next(render(tiny_base, tiny_recipe, None, SHOTS))[1]
    person = next(render(tiny_base, tiny_recipe, lora, SHOTS))[1]
    again = next(render(tiny_base, tiny_recipe, None, SHOTS))[1]
    assert np.array_equal(np.asarray(nobody), np.asarray(again))
    assert not np.array_equal(np.asarray(nobody), np.asarray(person))


def test_small_pictures_are_enlarged(tiny_base: Base, tiny_recipe: Recipe) -> None:
    _, picture = next(render(tiny_base, replace(tiny_recipe, smallest=48), None, SHOTS[:1]))
    assert picture.size == (48, 48)


def test_it_stops_within_a_step(tiny_base: Base, tiny_recipe: Recipe) -> None:
    asked = 0

    def soon() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(Cancelled):
        list(render(tiny_base, tiny_recipe, None, SHOTS, cancelled=soon))
    assert asked == 3


def test_too_little_memory_means_smaller_batches(
    tiny_base: Base, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, sizes = tiny_base.generate, []

    def cramped(wanted: Drawing) -> object:
        sizes.append(len(wanted.prompts))
        if len(wanted.prompts) > 1:
            raise torch.OutOfMemoryError
        return generate(wanted)

    monkeypatch.setattr(tiny_base, "generate", cramped)
    pictures = list(render(tiny_base, tiny_recipe, None, SHOTS[:3]))
    assert len(pictures) == 3
    assert sizes == [2, 1, 1, 1]


def test_the_autoencoder_keeps_full_precision_beside_a_network_in_half(tiny_recipe: Recipe) -> None:
    """To the last bit of what is in the file."""
    base = load(replace(tiny_recipe, dtype="bfloat16"))
    assert base.dtype == torch.bfloat16
    assert base.pipeline.vae.dtype == torch.float32
    held, kept = base.pipeline.vae.state_dict(), load_file(next(Path(tiny_recipe.base, "vae").glob("*.safetensors")))
    assert held.keys() == kept.keys()
    assert all(torch.equal(held[name], kept[name]) for name in kept)
    assert base.encode_image([Image.new("RGB", (16, 16))]).dtype == torch.bfloat16
    assert next(render(base, tiny_recipe, None, SHOTS[:1]))[1].size == (16, 16)
