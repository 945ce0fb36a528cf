from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gpu_cluster import render as module
from gpu_cluster.adapters import Lora, beside, merged
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base
from gpu_cluster.render import Anchor, Shot, render
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


def test_nobody_beside_the_person(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject]
) -> None:
    lora = train(tiny_base, replace(tiny_recipe, learning_rate=0.1), [make_subject("ada")])["ada"]
    text = tiny_base.encode_text(["a photo"] * 4)
    noisy, t = torch.randn(4, *tiny_base.encode_image(make_subject("ada", 1).photos).shape[1:]), torch.full((4,), 500)

    @torch.no_grad()
    def answer() -> Tensor:
        return tiny_base.predict(noisy, t, text)

    nobody = answer()
    with merged(tiny_base.network, lora, "unet"):
        person = answer()
    with beside(tiny_base.network, lora, "unet") as put:
        both = answer()
        put(False)
        without = answer()
        put(True)
        assert torch.equal(answer(), both)
    assert not torch.allclose(nobody, person, atol=1e-3)
    torch.testing.assert_close(both, torch.cat([nobody[:2], person[2:]]), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(without, nobody, atol=1e-4, rtol=1e-4)
    assert torch.equal(answer(), nobody)


def test_guidance_away_from_the_base(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = train(tiny_base, replace(tiny_recipe, learning_rate=0.1), [make_subject("ada")])["ada"]
    recipe = replace(tiny_recipe, guidance=2.0, away_from_base=True, render_steps=6)

    def pictures(recipe: Recipe, lora: Lora | None = lora) -> list[np.ndarray]:
        return [np.asarray(image, int) for _, image in render(tiny_base, recipe, lora, SHOTS)]

    def off(some: list[np.ndarray], others: list[np.ndarray]) -> int:
        return max(int(np.abs(one - other).max()) for one, other in zip(some, others, strict=True))

    away, nobody = pictures(recipe), pictures(recipe, None)
    # As long as the base draws alone, it draws what it draws without anybody; every further step is the person's.
    assert off(pictures(replace(recipe, base_first=1.0)), nobody) <= 1
    assert off(away, nobody) > 1
    assert off(away, pictures(replace(recipe, away_from_base=False))) > 1
    half = pictures(replace(recipe, base_first=0.5))
    assert off(half, nobody) > 1 < off(half, away)
    assert off(pictures(replace(recipe, render_batch=2)), away) <= 1
    monkeypatch.setattr(type(tiny_base), "guides_in_one_batch", False)
    for unfit in (recipe, replace(recipe, guidance=1.0)):
        with pytest.raises(ValueError, match="in one batch"):
            pictures(unfit)
        monkeypatch.undo()


def test_small_pictures_are_enlarged(tiny_base: Base, tiny_recipe: Recipe) -> None:
    _, picture = next(render(tiny_base, replace(tiny_recipe, smallest=48), None, SHOTS[:1]))
    assert picture.size == (48, 48)


def test_a_face_is_held_to_its_anchor(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject]
) -> None:
    photo = make_subject("ada", 1).photos[0].resize((16, 16))
    held = replace(tiny_recipe, anchor=1.0, render_steps=8)
    shots = [Shot("a photo", 4), Shot("a photo", 5)]
    everything = [Anchor(photo, (-1.0, -1.0, 2.0, 2.0))]
    latents = tiny_base.encode_image([photo])
    plain = tiny_base.pipeline.vae.decode(latents / tiny_base.pipeline.vae.config.scaling_factor).sample
    wanted = np.asarray(tiny_base.pipeline.image_processor.postprocess(plain.detach())[0], int)

    def off(recipe: Recipe, anchors: list[Anchor]) -> float:
        pictures = [image for _, image in render(tiny_base, recipe, None, shots, anchors=anchors)]
        return float(np.mean([np.abs(np.asarray(picture, int) - wanted).mean() for picture in pictures]))

    # Held to the end, all of it is the anchor.
    assert off(held, everything) < 1.5 < off(held, [])
    assert off(replace(held, anchor=0.0), everything) == off(held, [])


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


def test_a_held_face_is_let_go_from_its_rim(make_subject: Callable[..., Subject]) -> None:
    photo = make_subject("ada", 1).photos[0].resize((64, 64))
    until = module._until(Anchor(photo, (0.2, 0.2, 0.8, 0.8)), 32, 32)[0]
    assert until[16, 16] == 1.0
    outwards = until[16, 16:]
    assert (outwards[1:] <= outwards[:-1]).all()
    assert ((outwards > 0.1) & (outwards < 0.9)).sum() >= 2
    assert until[:, 0].max() == 0.0
    assert until[0].max() == 0.0
