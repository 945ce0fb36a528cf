"""The real classes of FLUX.2 [klein] and Z-Image, tiny and with random weights, through the same interface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from gpu_cluster.bases.base import Base, NoReferences, Text
from gpu_cluster.bases.flux2 import Flux2Klein
from gpu_cluster.bases.loading import load, load_twin
from gpu_cluster.bases.recipe import Recipe
from gpu_cluster.engine.adapters import merged
from gpu_cluster.engine.render import Shot, render
from gpu_cluster.engine.train import Trainee, train

CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def _tokenizer() -> Qwen2TokenizerFast:
    letters = [chr(number) for number in range(33, 127)]
    names = [*letters, "Ġ", "<|endoftext|>", "<|im_end|>"]
    words = Qwen2TokenizerFast(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=512)
    words.chat_template = CHAT
    return words


def _qwen(layers: int) -> Qwen3Config:
    return Qwen3Config(
        vocab_size=100, hidden_size=16, intermediate_size=16, num_hidden_layers=layers, num_attention_heads=2,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=512,
    )  # fmt: skip


def _klein(halvings: int = 2) -> DiffusionPipeline:
    return Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=AutoencoderKLFlux2(
            down_block_types=("DownEncoderBlock2D",) * halvings, up_block_types=("UpDecoderBlock2D",) * halvings,
            block_out_channels=(8,) * halvings, layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=16,
            mid_block_add_attention=False,
        ),
        # Its conditions are three inner layers of the text model, the last the 27th.
        text_encoder=Qwen3ForCausalLM(_qwen(27)),
        tokenizer=_tokenizer(),
        transformer=Flux2Transformer2DModel(
            in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2,
            joint_attention_dim=48, timestep_guidance_channels=16, axes_dims_rope=(4, 4, 4, 4), guidance_embeds=False,
        ),
        is_distilled=False,
    )  # fmt: skip


def _z_image() -> DiffusionPipeline:
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=16,
            scaling_factor=0.5, shift_factor=0.1, mid_block_add_attention=False,
        ),
        text_encoder=Qwen3Model(_qwen(2)),
        tokenizer=_tokenizer(),
        transformer=ZImageTransformer2DModel(
            in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
            axes_dims=[8, 4, 4], axes_lens=[256, 32, 32],
        ),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["klein", "z-image"])
def recipe(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    torch.manual_seed(0)
    pipeline = _klein() if request.param == "klein" else _z_image()
    for parameter in pipeline.transformer.parameters():
        # Some of its layers start at zero, and would hide an adapter.
        torch.nn.init.normal_(parameter, std=0.2)
    folder = tmp_path_factory.mktemp(request.param)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return Recipe(
        name=request.param, base=str(folder), licence="Apache-2.0", resolution=16, steps=4, learning_rate=1e-2, rank=2,
        batch=2, warmup=1, render_steps=2, guidance=2.0, render_batch=2, smallest=16, also_at=(32,),
    )  # fmt: skip


@pytest.fixture
def exact(recipe: Recipe) -> Base:
    base = load(recipe)
    base.pipeline.to(torch.float64)
    return base


def test_a_pack_gives_what_each_would_get_alone(
    exact: Base, recipe: Recipe, make_subject: Callable[..., Trainee]
) -> None:
    people = [make_subject("ada"), make_subject("bob", 2)]
    together = train(exact, recipe, people)
    for person in people:
        alone = train(exact, recipe, [person])
        for name, weights in alone[person.key].items():
            torch.testing.assert_close(together[person.key][name], weights, rtol=0, atol=1e-9)
    assert any(".to_out" in name for name in together["ada"])


def test_steps_take_turns_at_the_sides_that_the_recipe_names(
    recipe: Recipe, make_subject: Callable[..., Trainee], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, seen = load(recipe), []
    predict = type(base).predict

    def watched(base: Base, noisy: torch.Tensor, t: torch.Tensor, text: Text) -> torch.Tensor:
        seen.append(noisy.shape[-1])
        return predict(base, noisy, t, text)

    monkeypatch.setattr(type(base), "predict", watched)
    train(base, recipe, [make_subject("ada")])
    pixels = 16 // base.encode_image(make_subject("ada").photos).shape[-1]
    assert [side * pixels for side in seen] == [16, 32] * 2
    small, large = (float(base.sample_t(torch.tensor([0.5]), side)) for side in (512, 1024))
    assert small <= large, "a larger picture needs more noise"


@pytest.mark.engine
def test_compiled_blocks_give_the_same_adapters(
    exact: Base, recipe: Recipe, make_subject: Callable[..., Trainee], watch_compiler: Callable[[], int]
) -> None:
    if recipe.name == "z-image":
        pytest.skip("its blocks turn places by complex numbers, for which torch writes no code (decision 0014)")
    people = [make_subject("ada")]
    plain, compiled = (train(exact, replace(recipe, compiled=on, steps=2), people) for on in (False, True))
    for name, weights in plain["ada"].items():
        torch.testing.assert_close(compiled["ada"][name], weights, rtol=0, atol=1e-9)
    assert watch_compiler() > 0


def test_plain_diffusers_loads_the_adapter(recipe: Recipe, make_subject: Callable[..., Trainee]) -> None:
    base = load(recipe)
    lora = train(base, recipe, [make_subject("ada")])["ada"]
    plain = DiffusionPipeline.from_pretrained(recipe.base)
    plain.load_lora_weights(dict(lora))
    person = make_subject("bob", 2)
    latents, text, t = base.encode_image(person.photos), base.encode_text(person.captions), torch.tensor([0.2, 0.7])
    torch.manual_seed(0)
    noisy = base.noisy(latents, torch.randn_like(latents), t)
    with torch.no_grad():
        without = base.predict(noisy, t, text)
        with merged(base.network, lora, "transformer"):
            ours = base.predict(noisy, t, text)
        base.network = plain.transformer
        theirs = base.predict(noisy, t, text)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert (ours - without).abs().max() > 1e-3


def test_it_renders_with_the_person_in_it(recipe: Recipe, make_subject: Callable[..., Trainee]) -> None:
    base = load(recipe)
    lora = train(base, replace(recipe, learning_rate=0.1), [make_subject("ada")])["ada"]
    shots = [Shot("a photo", 1), Shot("a longer photo", 2), Shot("a photo", 3)]
    nobody, person = (dict(render(base, recipe, who, shots)) for who in (None, lora))
    single = dict(render(base, replace(recipe, render_batch=1), lora, shots[:1]))
    assert person[0].size == (16, 16)
    assert not np.array_equal(np.asarray(nobody[0]), np.asarray(person[0]))
    assert np.abs(np.asarray(single[0], int) - np.asarray(person[0], int)).max() <= 1


def test_one_step_of_the_flow_is_the_pipelines(recipe: Recipe) -> None:
    """With one step from pure noise the picture is noise minus prediction: sign and time agree with the pipeline."""
    base = load(recipe)
    shot, noise = Shot("a photo", 5), {}
    network, seen = base.network, []
    handle = network.register_forward_hook(
        lambda module, args, kwargs, out: seen.append((args, kwargs, out)), with_kwargs=True
    )
    list(render(base, replace(recipe, render_steps=1, guidance=0.0), None, [shot]))
    handle.remove()
    args, kwargs, out = seen[0]
    hidden = args[0][0] if args else kwargs["hidden_states"]
    if args:
        noise["latents"] = hidden.squeeze(1)[None]
        theirs = -out[0][0].squeeze(1)[None]
    else:
        side = int(hidden.shape[1] ** 0.5)
        noise["latents"] = hidden.transpose(1, 2).reshape(1, -1, side, side)
        theirs = out[0].transpose(1, 2).reshape(1, -1, side, side)
    with torch.no_grad():
        ours = base.predict(noise["latents"], torch.ones(1), base.encode_text([shot.prompt]))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


def test_references_are_for_bases_that_can_see_them(recipe: Recipe, make_subject: Callable[..., Trainee]) -> None:
    base, shots = load(recipe), [Shot("a photo", 1), Shot("another", 2)]
    selfies = [photo.resize((64, 64)) for photo in make_subject("ada", 2).photos]
    if recipe.name == "klein":
        drawn, alone = (dict(render(base, recipe, None, shots, references=seen)) for seen in (selfies, ()))
        assert not np.array_equal(np.asarray(drawn[0]), np.asarray(alone[0]))
    else:
        with pytest.raises(NoReferences):
            list(render(base, recipe, None, shots, references=selfies))


@pytest.mark.parametrize(("dynamic", "resolution"), [(True, 512), (True, 1024), (False, 512)])
def test_timesteps_are_shifted_as_the_sampler_shifts_its_own(dynamic: bool, resolution: int) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=dynamic, shift=3.0)
    base = Flux2Klein.__new__(Flux2Klein)
    base.pipeline, base.resolution = SimpleNamespace(scheduler=scheduler), resolution
    # Half of a logit-normal lies on each side of one half, so its middle is shifted as a step in the middle is.
    tokens = (resolution // 16) ** 2
    config = scheduler.config
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    mu = config.base_shift + slope * (tokens - config.base_image_seq_len)
    wanted = scheduler.time_shift(mu, 1.0, 0.5) if dynamic else 3.0 * 0.5 / (1 + 2.0 * 0.5)
    assert float(base.sample_t(torch.tensor([0.5]))) == pytest.approx(wanted, abs=1e-5)
    drawn = base.sample_t(torch.linspace(0.01, 0.99, 50))
    assert bool((drawn[1:] > drawn[:-1]).all())


def test_a_twin_draws_what_the_base_has_learned(
    recipe: Recipe, tmp_path: Path, make_subject: Callable[..., Trainee]
) -> None:
    """Trained on the base and drawn by another of the same layers, as klein's distilled one is."""
    torch.manual_seed(1)
    other = _klein() if recipe.name == "klein" else _z_image()
    for parameter in other.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    other.save_pretrained(tmp_path, safe_serialization=True)
    base = load(recipe)
    assert load_twin(recipe, base) is base
    twin = load_twin(replace(recipe, twin=str(tmp_path)), base)
    assert twin.pipeline.text_encoder is base.pipeline.text_encoder
    assert twin.pipeline.vae is base.pipeline.vae
    lora = train(base, replace(recipe, learning_rate=0.1), [make_subject("ada")])["ada"]
    shots = [Shot("a photo", 1)]
    pictures = [
        np.asarray(dict(render(drawing, recipe, who, shots))[0], int)
        for drawing, who in ((base, lora), (twin, lora), (twin, None))
    ]
    assert not np.array_equal(pictures[0], pictures[1]), "the twin draws otherwise"
    assert not np.array_equal(pictures[1], pictures[2]), "the person is in it"
    # Plain diffusers draws the same with the twin's folder and the adapter in it.
    plain = type(base)(DiffusionPipeline.from_pretrained(tmp_path), recipe.resolution)
    plain.pipeline.text_encoder.load_state_dict(base.pipeline.text_encoder.state_dict())
    plain.pipeline.vae.load_state_dict(base.pipeline.vae.state_dict())
    theirs = np.asarray(dict(render(plain, recipe, lora, shots))[0], int)
    assert np.abs(theirs - pictures[1]).max() <= 1
