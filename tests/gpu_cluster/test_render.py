from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gpu_cluster.bases import load
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base
from gpu_cluster.render import Shot, render
from gpu_cluster.train import Cancelled, Subject, train

SHOTS = [Shot(f"a photo {word}", seed=i) for i, word in enumerate(("a", "b", "c", "d", "e"))]


def test_a_picture_depends_on_its_own_shot_only(tiny_base: Base, tiny_recipe: Recipe) -> None:
    pictures = dict(render(tiny_base, tiny_recipe, None, SHOTS))
    assert list(pictures) == [0, 1, 2, 3, 4]
    for size, skip in ((1, ()), (3, (1,)), (5, (0, 2))):
        again = dict(render(tiny_base, replace(tiny_recipe, render_batch=size), None, SHOTS, skip=skip))
        assert again.keys() == set(range(5)) - set(skip)
        for index, picture in again.items():
            off = np.abs(np.asarray(picture, int) - np.asarray(pictures[index], int))
            assert off.max() <= 1  # sums in another order round differently
    assert np.abs(np.asarray(pictures[0], int) - np.asarray(pictures[1], int)).max() > 5


def test_the_person_comes_and_goes(tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject]) -> None:
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

    def cramped(prompts: list[str], *rest: object, **options: object) -> object:
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise torch.OutOfMemoryError
        return generate(prompts, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(tiny_base, "generate", cramped)
    made: list[tuple[int, int]] = []
    pictures = list(render(tiny_base, tiny_recipe, None, SHOTS[:3], progress=lambda *now: made.append(now)))
    assert len(pictures) == 3
    assert sizes == [2, 1, 1, 1]
    assert made == [(1, 3), (2, 3), (3, 3)]


def test_a_neighbours_negative_words_change_nothing(tiny_base: Base, tiny_recipe: Recipe) -> None:
    recipe = replace(tiny_recipe, render_batch=3, guidance=3.0)
    plain, unlike = Shot("a photo b", 1), Shot("a photo c", 2, negative="a hat")
    alone = {shot: next(render(tiny_base, recipe, None, [shot]))[1] for shot in (plain, unlike)}
    together = dict(render(tiny_base, recipe, None, [unlike, plain, unlike]))
    for index, shot in enumerate((unlike, plain, unlike)):
        off = np.abs(np.asarray(together[index], int) - np.asarray(alone[shot], int))
        assert off.max() <= 1  # sums in another order round differently
    free = next(render(tiny_base, recipe, None, [replace(unlike, negative="")]))[1]
    assert np.abs(np.asarray(free, int) - np.asarray(alone[unlike], int)).max() > 1


def test_the_autoencoder_keeps_full_precision_beside_a_network_in_half(tiny_recipe: Recipe) -> None:
    base = load(replace(tiny_recipe, dtype="bfloat16"))
    assert base.dtype == torch.bfloat16
    assert base.pipeline.vae.dtype == torch.float32
    assert base.encode_image([Image.new("RGB", (16, 16))]).dtype == torch.bfloat16
    assert next(render(base, tiny_recipe, None, SHOTS[:1]))[1].size == (16, 16)
