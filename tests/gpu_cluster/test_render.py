from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import EulerDiscreteScheduler
from numpy.typing import NDArray
from PIL import Image

from gpu_cluster import render as module
from gpu_cluster.adapters import Lora
from gpu_cluster.faces import Faces
from gpu_cluster.portraits.draw import selfie
from gpu_cluster.recipe import Recipe
from gpu_cluster.recipes.base import Base, Held
from gpu_cluster.recipes.sdxl import FITTED_AT
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


def test_the_base_draws_first(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject]
) -> None:
    lora = train(tiny_base, replace(tiny_recipe, learning_rate=0.1), [make_subject("ada")])["ada"]
    recipe = replace(tiny_recipe, render_steps=6)

    def pictures(base_first: float, lora: Lora | None = lora, size: int = 4) -> list[NDArray[np.int64]]:
        made = render(tiny_base, replace(recipe, base_first=base_first, render_batch=size), lora, SHOTS)
        return [np.asarray(image, np.int64) for _, image in made]

    def off(some: list[NDArray[np.int64]], others: list[NDArray[np.int64]]) -> int:
        return max(int(np.abs(one - other).max()) for one, other in zip(some, others, strict=True))

    nobody, person, half = pictures(0.0, None), pictures(0.0), pictures(0.5)
    assert off(pictures(1.0), nobody) == 0
    assert off(person, nobody) > 1
    assert off(half, nobody) > 1 < off(half, person)
    # The second batch begins with the base again, and afterwards nothing of the person is left in it.
    assert off(pictures(0.5, size=2), half) <= 1
    assert off(pictures(0.0, None), nobody) == 0


def test_small_pictures_are_enlarged(tiny_base: Base, tiny_recipe: Recipe) -> None:
    _, picture = next(render(tiny_base, replace(tiny_recipe, smallest=48), None, SHOTS[:1]))
    assert picture.size == (48, 48)


def test_a_face_is_held_to_its_anchor(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_subject("ada", 1).photos[0].resize((16, 16))
    held = replace(tiny_recipe, anchor=1.0, render_steps=8)
    shots = [Shot("a photo", 4), Shot("a photo", 5)]
    whole, nothing = (-1.0, -1.0, 2.0, 2.0), (1.0, 1.0, 1.0, 1.0)
    everything = [Anchor(photo, whole, whole)]
    latents = tiny_base.encode_image([photo])
    plain = tiny_base.pipeline.vae.decode(latents / tiny_base.pipeline.vae.config.scaling_factor).sample
    wanted = np.asarray(tiny_base.pipeline.image_processor.postprocess(plain.detach())[0], int)

    def off(recipe: Recipe, anchors: list[Anchor]) -> float:
        pictures = [image for _, image in render(tiny_base, recipe, None, shots, anchors=anchors)]
        return float(np.mean([np.abs(np.asarray(picture, int) - wanted).mean() for picture in pictures]))

    # Held to the end, all of it is the anchor.
    assert off(held, everything) < 1.5 < off(held, [])
    assert off(replace(held, anchor=0.0), everything) == off(held, [])
    # The head is held for a part of the steps only.
    assert off(held, [Anchor(photo, nothing, whole)]) > 1.5
    monkeypatch.setattr(module, "HEAD_UNTIL", 1.0)
    assert off(held, [Anchor(photo, nothing, whole)]) < 1.5


def test_anchors_are_the_typical_selfies_and_know_their_places(faces: Faces) -> None:
    own, wall = [selfie(4_212, number, 256)[0] for number in range(3)], Image.new("RGB", (256, 256), "grey")
    anchors = Anchor.among([wall, *own], faces)
    assert [anchor.photo for anchor in anchors] == faces.typical(own)
    assert [anchor.face for anchor in anchors] == [faces.front(anchor.photo) for anchor in anchors]
    assert [anchor.head for anchor in anchors] == [faces.head(anchor.photo) for anchor in anchors]
    assert Anchor.among([wall], faces) == []


def test_a_held_head_ends_where_its_face_does(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    generate, until, around = tiny_base.generate, [], []

    def watched(*arguments: Any, **others: Any) -> list[Image.Image]:
        until.append(others["held"].until[0, 0])
        around.append(others["held"].around[0, 0])
        return generate(*arguments, **others)

    monkeypatch.setattr(tiny_base, "generate", watched)
    photo = make_subject("ada", 1).photos[0].resize((16, 16))
    anchor = Anchor(photo, face=(1.0, 0.5, 1.0, 0.5), head=(-1.0, -1.0, 2.0, 2.0))
    list(render(tiny_base, replace(tiny_recipe, anchor=1.0), None, SHOTS[:1], anchors=[anchor]))
    middle = len(until[0]) // 2
    assert until[0][:middle].flatten().tolist() == pytest.approx([module.HEAD_UNTIL] * until[0][:middle].numel())
    # The zero-sized face touches one place at the rim.
    assert bool((until[0][middle + 1 :] == 0).all())
    # So does what is drawn anew, one place higher.
    assert bool((around[0][: middle - 1] == 1).all())
    assert bool((around[0][middle - 1 :] == 0).all())
    # Beside the head, all stays as it was drawn.
    small = Anchor(photo, face=(0.4, 0.6, 0.6, 0.9), head=(0.3, 0.2, 0.7, 1.0))
    list(render(tiny_base, replace(tiny_recipe, anchor=1.0), None, SHOTS[:1], anchors=[small]))
    assert float(around[1][middle, middle]) == 1.0
    assert float(around[1][:, 0].max()) == float(around[1][0].max()) == 0.0


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


def test_a_held_face_is_let_go_from_its_rim(tiny_recipe: Recipe, make_subject: Callable[..., Subject]) -> None:
    photo = make_subject("ada", 1).photos[0].resize((64, 64))
    anchor = Anchor(photo, face := (0.2, 0.2, 0.8, 0.8), face)
    until = module._until(replace(tiny_recipe, anchor=1.0), anchor, torch.zeros(1, 32, 32))[0]
    assert until[16, 16] == 1.0
    outwards = until[16, 16:]
    assert (outwards[1:] <= outwards[:-1]).all()
    assert ((outwards > 0.1) & (outwards < 0.9)).sum() >= 2
    assert until[:, 0].max() == 0.0
    assert until[0].max() == 0.0


def test_the_wall_of_the_selfie_is_not_held(tiny_recipe: Recipe, make_subject: Callable[..., Subject]) -> None:
    photo = make_subject("ada", 1).photos[0].resize((64, 64))
    anchor = Anchor(photo, face=(0.3, 0.3, 0.7, 0.7), head=(0.0, 0.0, 1.0, 1.0))
    recipe = replace(tiny_recipe, anchor=1.0)
    everywhere = module._until(recipe, anchor, torch.zeros(1, 32, 32))[0]
    behind = torch.zeros(1, 32, 32)
    behind[..., :12] = 0.3
    behind[..., 18:] = 1.0
    until = module._until(recipe, anchor, behind)[0]
    # A third of a place of wall: the face is held for half of its time, and the head a little less than its own.
    assert float(until[12, 11]) == pytest.approx(0.5 * float(everywhere[12, 11]))
    assert float(until[6, 11]) == pytest.approx(0.9 * module.HEAD_UNTIL)
    assert float(until[6, 22]) == 0.0
    # Whatever is thought to be wall, the middle of the face is none.
    assert float(until[16, 18]) == 1.0
    assert torch.equal(until[:, 12:18], everywhere[:, 12:18])


def test_what_is_wall_reaches_the_picture_and_is_asked_of_the_base_alone(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = make_subject("ada", 1)
    lora = train(tiny_base, tiny_recipe, [subject])["ada"]
    layer = next(name for name in lora if name.endswith(".lora_A.weight")).removesuffix(".lora_A.weight")
    weight = tiny_base.network.get_submodule(layer.removeprefix("unet.")).weight.clone()
    photo, face, head = subject.photos[0].resize((16, 16)), (0.3, 0.3, 0.7, 0.7), (0.0, 0.0, 1.0, 1.0)
    asked, until = [], []

    def told(base: Base, *about: object) -> torch.Tensor:
        assert torch.equal(base.network.get_submodule(layer.removeprefix("unet.")).weight, weight)
        asked.append(about)
        behind = torch.zeros(1, *base.encode_image([photo]).shape[-2:])
        behind[..., : behind.shape[-1] // 2] = 1.0
        return behind

    generate = tiny_base.generate

    def watched(*arguments: Any, **others: Any) -> list[Image.Image]:
        until.append(others["held"].until[0, 0])
        return generate(*arguments, **others)

    monkeypatch.setattr(module, "wall", told)
    monkeypatch.setattr(tiny_base, "generate", watched)
    recipe, other = replace(tiny_recipe, anchor=1.0), Anchor(photo, head, head)
    # Even seeds choose the first anchor; nobody asks about the second.
    even = [Shot("a photo", 2), Shot("a photo", 4), Shot("a photo", 6)]
    list(render(tiny_base, recipe, lora, even, anchors=[Anchor(photo, face, head), other]))
    assert asked == [(photo, face, head)]
    top = until[0][1]
    assert float(top[: len(top) // 2].max()) == 0.0
    assert float(top[len(top) // 2]) > 0.0


def test_a_cancelled_picture_asks_for_no_wall(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "wall", lambda *_: pytest.fail("asked"))
    anchor = Anchor(make_subject("ada", 1).photos[0], (0.3, 0.3, 0.7, 0.7), (0.0, 0.0, 1.0, 1.0))
    with pytest.raises(Cancelled):
        list(render(tiny_base, replace(tiny_recipe, anchor=1.0), None, SHOTS, anchors=[anchor], cancelled=lambda: True))


def test_a_drawn_picture_is_fitted_to_the_face_it_was_held_to(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = make_subject("ada", 1).photos[0].resize((16, 16))
    latents = tiny_base.encode_image([photo])
    places = latents.shape[-1]
    until, around = torch.zeros(1, 1, places, places), torch.zeros(1, 1, places, places)
    until[..., : places // 2], around[..., 1:-1] = 1.0, 1.0
    seen: list[torch.Tensor] = []
    decode = tiny_base.pipeline.vae.decode

    def watched(code: torch.Tensor, *arguments: Any, **others: Any) -> Any:
        seen.append(code)
        return decode(code, *arguments, **others)

    monkeypatch.setattr(tiny_base.pipeline.vae, "decode", watched)
    asked: list[None] = []

    def drawn(held: Held) -> torch.Tensor:
        asked.clear()
        tiny_base.generate(
            ["a photo"], [""], [3], steps=2, guidance=1.0, after_step=lambda: asked.append(None), held=held
        )
        return seen.pop()[0] * tiny_base.pipeline.vae.config.scaling_factor

    alone = drawn(Held(latents, until, torch.zeros_like(around)))
    fitted = drawn(Held(latents, until, around))
    # What lies outside stays as it was drawn, and what was held to the end is the selfie's.
    assert torch.equal(fitted[..., -1:], alone[..., -1:])
    assert torch.allclose(fitted[..., 1 : places // 2], latents[0, ..., 1 : places // 2], atol=1e-5)
    assert float((fitted - alone)[..., places // 2 : -1].abs().mean()) > 0.01
    # Fitting can be stopped as drawing can.
    assert len(asked) == 2 + len(FITTED_AT)


def test_a_headshot_is_fitted_by_its_own_shot_only(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Callable[..., Subject]
) -> None:
    photos = [photo.resize((16, 16)) for photo in make_subject("ada", 2).photos]
    anchors = [Anchor(photo, (0.3, 0.3, 0.7, 0.7), (-1.0, -1.0, 2.0, 2.0)) for photo in photos]
    held = replace(tiny_recipe, anchor=1.0)
    together = dict(render(tiny_base, replace(held, render_batch=5), None, SHOTS, anchors=anchors))
    alone = dict(render(tiny_base, replace(held, render_batch=1), None, SHOTS, anchors=anchors))
    for index, picture in alone.items():
        assert np.abs(np.asarray(picture, int) - np.asarray(together[index], int)).max() <= 1
    assert np.abs(np.asarray(alone[0], int) - np.asarray(alone[2], int)).max() > 5


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon"])
def test_the_right_answer_means_the_picture(exact_base: Base, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    other = EulerDiscreteScheduler.from_config(exact_base.pipeline.scheduler.config, prediction_type=kind)
    monkeypatch.setattr(exact_base.pipeline, "scheduler", other)
    assert exact_base.pipeline.scheduler.config.prediction_type == kind
    latents, noise = torch.randn(2, 2, 4, 8, 8, dtype=torch.float64)
    t = exact_base.sample_t(torch.tensor([0.1, 0.4]))
    monkeypatch.setattr(exact_base, "predict", lambda *_: exact_base.target(latents, noise, t))
    clean = exact_base._clean(exact_base.noisy(latents, noise, t), t, {})  # type: ignore[attr-defined]
    torch.testing.assert_close(clean, latents)


@torch.no_grad()
def test_a_disturbed_rim_around_a_held_face_is_drawn_again(small_base: Base) -> None:
    picture, caption = selfie(4_211, 0, 256)
    latents = small_base.encode_image([picture])
    until, around = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    until[..., 6:10, 6:10], around[..., 3:13, 3:13] = 1.0, 1.0
    rim = (around > until).expand_as(latents)
    noise = 0.5 * torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
    # The picture as drawn is the truth with a disturbed rim around the face.
    held = Held(latents, until, around)
    fitted = small_base._fitted(latents + noise * rim, held, [caption], [5], lambda: None)
    assert float((fitted - latents)[rim].square().mean()) < 0.5 * float(noise[rim].square().mean())
