from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import save
from torch._inductor import config as inductor_config

from gpu_cluster.bases.base import Base
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.engine import train as module
from gpu_cluster.engine.adapters import Pack, merged
from gpu_cluster.engine.checkpoints import OfAnotherTraining, State, dump, read
from gpu_cluster.engine.train import Cancelled, Diverged, Trainee, train

Make = Callable[..., Trainee]


def _same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=tolerance)


def test_a_pack_gives_what_each_would_get_alone(exact_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    people = [make_subject("ada", 3), make_subject("bob", 4), make_subject("cleo", 2)]
    together = train(exact_base, tiny_recipe, people)
    for person in people:
        alone = train(exact_base, tiny_recipe, [person])
        _same(together[person.key], alone[person.key], 1e-11)
    assert not torch.allclose(
        *(together[key]["unet.mid_block.resnets.0.conv1.lora_B.weight"] for key in ("ada", "bob"))
    )


def test_sdxl_is_told_the_side_of_each_step_and_a_resumed_run_takes_the_same_turns(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make
) -> None:
    recipe, people = replace(tiny_recipe, also_at=(32, 48)), [make_subject("ada"), make_subject("bob", 2)]
    told: list[tuple[int, list[float]]] = []
    handle = exact_base.network.register_forward_pre_hook(
        lambda network, args, words: told.append((args[0].shape[-1], words["added_cond_kwargs"]["time_ids"][0].tolist())),
        with_kwargs=True,
    )
    kept: dict[str, State] = {}
    whole = train(exact_base, recipe, people)
    handle.remove()
    pixels = exact_base.pipeline.vae_scale_factor
    assert [side * pixels for side, _ in told] == [16, 32, 48] * 2
    assert all(sizes == [side * pixels, side * pixels, 0, 0, side * pixels, side * pixels] for side, sizes in told)
    _same(train(exact_base, recipe, people[:1])["ada"], whole["ada"], 1e-11)
    with pytest.raises(Cancelled):
        train(exact_base, recipe, people, keep=kept.update, cancelled=lambda: bool(kept))
    again = train(exact_base, recipe, people, resume=kept)
    for key in whole:
        _same(again[key], whole[key])


@pytest.mark.engine
def test_compiled_blocks_give_the_same_adapters_and_leave_the_network_as_it_was(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make, watch_compiler: Callable[[], int]
) -> None:
    recipe, people = replace(tiny_recipe, compiled=True), [make_subject("ada", 3), make_subject("bob", 4)]
    compiled, plain = train(exact_base, recipe, people), train(exact_base, tiny_recipe, people)
    for key in plain:
        _same(compiled[key], plain[key], 1e-11)
    assert watch_compiler() > 0
    assert all(part._compiled_call_impl is None for part in exact_base.network.modules())
    # Other people in a pack of that size find the code ready.
    before = watch_compiler()
    others = [make_subject("cleo"), make_subject("dan")]
    _same(train(exact_base, recipe, others)["cleo"], train(exact_base, tiny_recipe, others)["cleo"], 1e-11)
    assert watch_compiler() == before


def test_without_a_compiler_the_blocks_run_as_they_are(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make, caplog: pytest.LogCaptureFixture
) -> None:
    recipe, people = replace(tiny_recipe, steps=2), [make_subject("ada")]
    torch.compiler.reset()
    with inductor_config.patch({"cpp.cxx": (None, "/no/such/compiler"), "force_disable_caches": True}):
        trained = train(exact_base, replace(recipe, compiled=True), people)
    assert "blocks are not compiled" in caplog.text
    torch.compiler.reset()
    _same(trained["ada"], train(exact_base, recipe, people)["ada"])


def test_who_has_settled_is_finished_early_and_the_others_go_on_as_they_would_have(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make
) -> None:
    recipe, people = replace(tiny_recipe, look_every=2), [make_subject("ada"), make_subject("bob")]
    asked: list[tuple[int, str]] = []

    def ada_will_do(key: str, step: int, lora: dict[str, torch.Tensor]) -> bool:
        asked.append((step, key))
        assert lora["unet.mid_block.resnets.0.conv1.lora_B.weight"].abs().max() > 0
        return key == "ada"

    early = train(exact_base, recipe, people, settled=ada_will_do)
    assert asked == [(2, "ada"), (2, "bob"), (4, "bob")]
    whole = train(exact_base, recipe, people)
    _same(early["bob"], whole["bob"], 1e-11)
    assert not torch.allclose(
        *(adapters["ada"]["unet.mid_block.resnets.0.conv1.lora_B.weight"] for adapters in (early, whole))
    )
    # Whoever had settled before a machine was lost is not trained any further, nor asked about again.
    steps = 0

    def lost_after_the_look() -> bool:
        nonlocal steps
        steps += 1
        return steps == 3

    kept: dict[str, State] = {}
    with pytest.raises(Cancelled):
        train(exact_base, recipe, people, settled=ada_will_do, keep=kept.update, cancelled=lost_after_the_look)
    assert {key: state.step for key, state in kept.items()} == {"ada": recipe.steps, "bob": 2}
    asked.clear()
    again = train(exact_base, recipe, people, settled=ada_will_do, resume=kept)
    assert asked == [(4, "bob")]
    for key in early:
        _same(again[key], early[key])


def test_who_settled_and_then_left_is_kept_no_more(exact_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    recipe, people = (
        replace(tiny_recipe, look_every=2),
        [make_subject("ada"), make_subject("bob"), make_subject("cleo")],
    )
    gone: set[str] = set()
    kept: list[list[str]] = []

    def settled(key: str, step: int, lora: dict[str, torch.Tensor]) -> bool:
        if step == 4:
            gone.update(("ada", "cleo"))
        return key == "ada"

    trained = train(
        exact_base, recipe, people, settled=settled, keep=lambda states: kept.append(sorted(states)), left=lambda: gone
    )
    assert set(trained) == {"bob"}
    assert kept == [["ada", "bob", "cleo"], ["bob"], ["bob"]]


def test_states_are_kept_at_looks_alone_and_at_the_end(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make
) -> None:
    """Whatever `checkpoint_every` says: who looks has stopped the GPU already. Where nobody looks, it is what counts."""
    recipe = replace(tiny_recipe, look_every=3, checkpoint_every=2)
    steps: list[int] = []

    def keep(states: dict[str, State]) -> None:
        steps.extend(state.step for state in states.values())

    train(exact_base, recipe, [make_subject("ada")], keep=keep, settled=lambda *look: False)
    assert steps == [3, 6]
    steps.clear()
    train(exact_base, recipe, [make_subject("ada")], keep=keep)
    assert steps == [2, 4, 6]


def test_a_pack_larger_than_the_recipes_is_cut(exact_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    people = [make_subject(key) for key in ("ada", "bob", "cleo")]
    whole = train(exact_base, tiny_recipe, people)
    steps: list[int] = []
    cut = train(exact_base, replace(tiny_recipe, pack=2), people, progress=lambda step, total, loss: steps.append(step))
    assert steps == sorted(steps)
    assert steps[-1] == tiny_recipe.steps
    for key in whole:
        _same(whole[key], cut[key], 1e-11)


def test_the_step_is_adamw_with_a_clip_for_each_person(exact_base: Base, tiny_recipe: Recipe) -> None:
    theta = torch.randn(2, 7, dtype=torch.float64)
    people = module._People(["a", "b"], theta.clone(), torch.zeros_like(theta), torch.zeros_like(theta))
    tiny_recipe = replace(tiny_recipe, weight_decay=0.1)
    # The first three numbers learn twice as fast as the others.
    rates = torch.tensor([2.0] * 3 + [1.0] * 4, dtype=torch.float64)
    theirs = [[torch.nn.Parameter(part.clone()) for part in row.split([3, 4])] for row in theta]
    optimizers = [torch.optim.AdamW([{"params": [part]} for part in row], weight_decay=0.1) for row in theirs]
    for step in range(tiny_recipe.steps):
        grad = torch.randn_like(theta) * torch.tensor([[10.0], [0.01]])
        warm = min(1.0, (step + 1) / tiny_recipe.warmup)
        rate = tiny_recipe.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / tiny_recipe.steps))
        for row, optimizer, part in zip(theirs, optimizers, grad, strict=True):
            for parameter, own in zip(row, part.split([3, 4]), strict=True):
                parameter.grad = own.clone()
            torch.nn.utils.clip_grad_norm_(row, tiny_recipe.clip)
            for group, more in zip(optimizer.param_groups, (2.0, 1.0), strict=True):
                group["lr"] = rate * more
            optimizer.step()
        module._step(tiny_recipe, people, grad, rates)
        people.step += 1
    torch.testing.assert_close(people.theta, torch.stack([torch.cat(row).detach() for row in theirs]))


def test_plain_diffusers_loads_the_adapter(tiny_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    lora = train(tiny_base, tiny_recipe, [make_subject("ada")])["ada"]
    plain = StableDiffusionXLPipeline.from_pretrained(tiny_recipe.base)
    plain.load_lora_weights(dict(lora))
    latents, t = torch.randn(2, 4, 8, 8), torch.tensor([100, 700])
    text = tiny_base.encode_text(["a face", "a tree"])
    with torch.no_grad():
        without = tiny_base.predict(latents, t, text)
        with merged(tiny_base.network, lora, "unet"):
            ours = tiny_base.predict(latents, t, text)
        tiny_base.network = plain.unet
        theirs = tiny_base.predict(latents, t, text)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert (ours - without).abs().max() > 1e-3


def test_training_lowers_the_loss_and_leaves_the_base_alone(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Make
) -> None:
    before = {name: value.clone() for name, value in tiny_base.network.state_dict().items()}
    recipe = replace(tiny_recipe, steps=40, batch=8, rank=4)
    person = make_subject("ada", 1)
    lora = train(tiny_base, recipe, [person])["ada"]
    latents, text = tiny_base.encode_image(person.photos * 8), tiny_base.encode_text(person.captions * 8)
    noise, t = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0)), torch.arange(50, 1000, 120)

    def error() -> float:
        answer = tiny_base.predict(tiny_base.noisy(latents, noise, t), t, text)
        return float((answer - tiny_base.target(latents, noise, t)).square().mean())

    with torch.no_grad():
        untrained = error()
        with merged(tiny_base.network, lora, "unet"):
            trained = error()
    assert trained < 0.9 * untrained
    after = tiny_base.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_that_was_killed_goes_on_where_it_was(exact_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    people, kept = [make_subject("ada"), make_subject("bob")], dict[str, bytes]()
    whole = train(exact_base, tiny_recipe, people)
    asked = 0

    def at_the_fifth_step() -> bool:
        nonlocal asked
        asked += 1
        return asked == 5

    def keep(states: dict[str, State]) -> None:
        kept.update({key: dump(state, tiny_recipe) for key, state in states.items()})

    with pytest.raises(Cancelled):
        train(exact_base, tiny_recipe, people, keep=keep, cancelled=at_the_fifth_step)
    asked = 100
    parts = {key: read(data, tiny_recipe) for key, data in kept.items()}
    resumed = train(exact_base, tiny_recipe, people, resume=parts, cancelled=at_the_fifth_step)
    assert asked == 100 + 2  # four of six steps were behind it
    for key in whole:
        _same(whole[key], resumed[key])
    for recipe, seed in ((tiny_recipe, 1), (replace(tiny_recipe, rank=3), 0)):
        with pytest.raises(OfAnotherTraining):
            read(kept["ada"], recipe, seed)
    newcomer = train(exact_base, tiny_recipe, [people[1], make_subject("cleo")], resume=parts)
    _same(newcomer["bob"], whole["bob"], 1e-11)
    assert newcomer.keys() == {"bob", "cleo"}


def test_a_checkpoint_of_an_older_program_is_one_of_another_training(tiny_recipe: Recipe) -> None:
    older = {f"0.{part}": torch.zeros(3) for part in ("theta", "first", "second")}
    with pytest.raises(OfAnotherTraining):
        read(save(older, {"recipe": "{}", "seed": "0", "people": "[]"}), tiny_recipe)
    with pytest.raises(OfAnotherTraining):
        read(save(older), tiny_recipe)


def test_what_was_kept_does_not_change_with_the_training(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make
) -> None:
    """It is sealed while the training goes on."""
    kept: list[State] = []
    train(exact_base, tiny_recipe, [make_subject("ada")], keep=lambda states: kept.append(states["ada"]))
    copies = [state.theta.clone() for state in kept]
    train(exact_base, tiny_recipe, [make_subject("ada")], resume={"ada": kept[0]})
    assert all(torch.equal(state.theta, copy) for state, copy in zip(kept, copies, strict=True))
    assert not torch.equal(kept[0].theta, kept[1].theta)


def test_a_picture_that_breaks_the_loss_breaks_its_own_person_only(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [make_subject(key) for key in ("ada", "bob", "cleo")]
    healthy = train(exact_base, tiny_recipe, people)
    encode = module._encode

    def poisoned(*everything: Any) -> module._Data:
        data = encode(*everything)
        data.latents[tiny_recipe.resolution][data.first["bob"]] = float("nan")
        return data

    monkeypatch.setattr(module, "_encode", poisoned)
    left = train(exact_base, tiny_recipe, people)
    assert left.keys() == {"ada", "cleo"}
    for key in left:
        _same(left[key], healthy[key], 1e-11)
    with pytest.raises(Diverged):
        train(exact_base, tiny_recipe, [people[1]])


@pytest.mark.engine
def test_a_pack_that_does_not_fit_is_split(
    exact_base: Base, tiny_recipe: Recipe, make_subject: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = [make_subject(key) for key in ("ada", "bob", "cleo")]
    fits = train(exact_base, tiny_recipe, people)
    predict, sizes = type(exact_base).predict, []

    def cramped(self: Base, noisy: torch.Tensor, t: torch.Tensor, text: dict[str, torch.Tensor]) -> torch.Tensor:
        sizes.append(len(noisy))
        if len(noisy) > tiny_recipe.batch:
            raise torch.OutOfMemoryError
        return predict(self, noisy, t, text)  # type: ignore[arg-type]

    monkeypatch.setattr(type(exact_base), "predict", cramped)
    split = train(exact_base, tiny_recipe, people)
    assert sizes[0] == 3 * tiny_recipe.batch
    for key in fits:
        _same(fits[key], split[key], 1e-11)


@pytest.mark.engine
def test_training_on_begins_at_the_earlier_adapter(exact_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    people = [make_subject("ada"), make_subject("bob")]
    first = train(exact_base, tiny_recipe, people)
    _same(train(exact_base, replace(tiny_recipe, steps=0), people, start=first)["bob"], first["bob"])
    second = train(exact_base, tiny_recipe, people, seed=1, start={"bob": first["bob"]})
    _same(second["ada"], train(exact_base, tiny_recipe, people[:1], seed=1)["ada"], 1e-11)
    with pytest.raises(KeyError):
        train(exact_base, replace(tiny_recipe, targets="all"), people, start={"ada": {}})


def test_who_leaves_is_dropped_and_the_others_go_on(exact_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    people = [make_subject(key) for key in ("ada", "bob", "cleo")]
    whole = train(exact_base, tiny_recipe, people)
    asked = 0

    def left() -> list[str]:
        nonlocal asked
        asked += 1
        return ["bob"] if asked > 3 else []

    stayed = train(exact_base, tiny_recipe, people, left=left)
    assert stayed.keys() == {"ada", "cleo"}
    assert train(exact_base, tiny_recipe, people, left=lambda: ["ada", "bob", "cleo"]) == {}
    for key in stayed:
        _same(stayed[key], whole[key], 1e-11)


def test_what_is_outside_the_head_counts_less(tiny_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    whole = make_subject("ada", 1)
    data = module._encode(
        tiny_base,
        replace(tiny_recipe, outside=0.0),
        [replace(whole, photos=[whole.photos[0].resize((64, 32))], heads=[(0.25, 0.0, 0.5, 1.0)])],
    )
    straight = data.weights[tiny_recipe.resolution][0, 0]
    # The middle square shows the right half of the left half as its own left half.
    assert straight[:, :4].mean() > 1.5
    assert straight[:, 4:].max() < 0.7
    assert module._encode(tiny_base, tiny_recipe, [whole]).weights[tiny_recipe.resolution].unique().tolist() == [1.0]


def test_the_face_counts_more(tiny_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    whole = make_subject("ada", 1)
    person = replace(whole, heads=[(0.0, -1.0, 1.0, 2.0)], faces=[(-0.5, 0.0, 0.5, 1.0)])
    even = module._encode(tiny_base, tiny_recipe, [person]).weights[tiny_recipe.resolution][0, 0]
    assert even[4, 0] / even[4, 5] == pytest.approx(1.0, abs=0.05)
    straight = module._encode(tiny_base, replace(tiny_recipe, face=3.0), [person]).weights[tiny_recipe.resolution][0, 0]
    assert straight[4, 0] / straight[4, 5] == pytest.approx(3.0, abs=0.3)
    assert straight.mean() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("a_rate", [1.0, 2.0])
def test_the_step_is_that_of_peft(tiny_base: Base, tiny_recipe: Recipe, make_subject: Make, a_rate: float) -> None:
    """The same draws through diffusers' own adapters and torch's own optimizer end at the same weights."""
    tiny_recipe = replace(tiny_recipe, a_rate=a_rate)
    person = make_subject("ada")
    ours = train(tiny_base, tiny_recipe, [person])["ada"]
    plain = StableDiffusionXLPipeline.from_pretrained(tiny_recipe.base)
    start = {
        name: torch.zeros_like(value) if "lora_B" in name else value
        for name, value in train(tiny_base, replace(tiny_recipe, steps=0), [person])["ada"].items()
    }
    plain.load_lora_weights(start, adapter_name="ada")
    network, tiny_base.network = tiny_base.network, plain.unet
    weights = {name: value for name, value in plain.unet.named_parameters() if "lora_" in name}
    plain.unet.requires_grad_(False)
    for value in weights.values():
        value.requires_grad_(True)
    groups = [[value for name, value in weights.items() if kind in name] for kind in ("lora_A", "lora_B")]
    optimizer = torch.optim.AdamW([{"params": group} for group in groups], weight_decay=tiny_recipe.weight_decay)
    data = module._encode(tiny_base, tiny_recipe, [person])
    latents = data.latents[tiny_recipe.resolution]
    people = module._People(["ada"], torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1))
    for step in range(tiny_recipe.steps):
        people.step = step
        index, said, moments, noise = module._draw(tiny_recipe, people, data, latents, 0)
        text, t = {name: value[said] for name, value in data.text.items()}, tiny_base.sample_t(moments)
        answer = tiny_base.predict(tiny_base.noisy(latents[index], noise, t), t, text)
        loss = torch.nn.functional.mse_loss(answer, tiny_base.target(latents[index], noise, t))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights.values(), tiny_recipe.clip)
        warm = min(1.0, (step + 1) / tiny_recipe.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * step / tiny_recipe.steps))
        for group, more in zip(optimizer.param_groups, (a_rate, 1.0), strict=True):
            group["lr"] = tiny_recipe.learning_rate * warm * cosine * more
        optimizer.step()
    tiny_base.network = network
    one = torch.cat([value.flatten() for value in ours.values()])
    theirs = {"unet." + name.replace(".ada.", "."): value.detach() for name, value in weights.items()}
    other = torch.cat([theirs[name].flatten() for name in ours])
    assert torch.nn.functional.cosine_similarity(one, other, dim=0) > 0.9999
    torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-3)


def test_moments_of_little_noise_can_be_drawn_more_often(
    tiny_base: Base, tiny_recipe: Recipe, make_subject: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, sample_t, seen = make_subject("ada"), tiny_base.sample_t, []

    def watched(moments: torch.Tensor, side: int) -> torch.Tensor:
        seen.append(moments)
        return sample_t(moments, side)

    monkeypatch.setattr(tiny_base, "sample_t", watched)
    drawn = []
    for exponent in (1.0, 2.0):
        seen.clear()
        train(tiny_base, replace(tiny_recipe, moments=exponent), [person])
        drawn.append(torch.cat(seen))
    evenly, squared = drawn
    assert evenly.numel() == tiny_recipe.steps * tiny_recipe.batch
    torch.testing.assert_close(squared, evenly.square())


def test_cancelling_puts_the_network_back(tiny_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    names = [name for name, _ in tiny_base.network.named_modules()]
    with pytest.raises(Cancelled):
        train(tiny_base, tiny_recipe, [make_subject("ada")], cancelled=lambda: True)
    assert [name for name, _ in tiny_base.network.named_modules()] == names


def test_a_caption_for_each_picture(tiny_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    with pytest.raises(ValueError, match="one caption"):
        train(tiny_base, tiny_recipe, [Trainee("ada", make_subject("ada").photos, ["one"])])


def test_a_fresh_pack_changes_nothing(tiny_base: Base, tiny_recipe: Recipe) -> None:
    latents, t, text = torch.randn(4, 4, 8, 8), torch.tensor([5, 100, 300, 900]), tiny_base.encode_text(["a"] * 4)
    pack = Pack(tiny_base.network, tiny_base.lora_targets("all"), 2, 2, torch.float32)
    for row in range(2):
        pack.reset(row, torch.Generator().manual_seed(row))
    with torch.no_grad():
        without = tiny_base.predict(latents, t, text)
        with pack.attached():
            torch.testing.assert_close(tiny_base.predict(latents, t, text), without)


def test_some_pictures_are_shown_without_their_words(tiny_base: Base, tiny_recipe: Recipe, make_subject: Make) -> None:
    recipe, person = replace(tiny_recipe, caption_dropout=0.5, batch=200), make_subject("ada")
    data = module._encode(tiny_base, recipe, [person])
    latents = data.latents[recipe.resolution]
    people = module._begin(tiny_base, recipe, ["ada"], 0, 0, {}, {})
    index, said, _, _ = module._draw(recipe, people, data, latents, 0)
    silent = said == len(latents)
    assert 0.35 < float(silent.float().mean()) < 0.65
    assert torch.equal(said[~silent], index[~silent])
    blank = tiny_base.encode_text([""])
    for name, tensor in blank.items():
        torch.testing.assert_close(data.text[name][-1:], tensor)
    # Whose words are left out depends on the person and the step alone.
    assert torch.equal(said, module._draw(recipe, people, data, latents, 0)[1])
