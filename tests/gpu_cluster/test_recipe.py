from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import torch

from gpu_cluster.bases import LicenceNotAccepted, load
from gpu_cluster.recipe import Recipe, named, recipes
from gpu_cluster.recipes.base import Base


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_survives_its_run_row(name: str) -> None:
    recipe = named(name)
    assert Recipe.from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe
    assert recipe.name == name


def test_a_recipe_is_frozen_and_knows_its_words() -> None:
    with pytest.raises(FrozenInstanceError):
        named("sdxl").steps = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="flavour"):
        Recipe.from_dict({**named("sdxl").as_dict(), "flavour": "mint"})


def test_a_licence_with_conditions_has_to_be_accepted(tiny_recipe: Recipe) -> None:
    bound = replace(tiny_recipe, licence="OpenRAIL++")
    with pytest.raises(LicenceNotAccepted, match=r"OpenRAIL\+\+"):
        load(bound)
    with pytest.raises(LicenceNotAccepted):
        load(bound, accepted=("MIT",))
    load(bound, accepted=("OpenRAIL++",))


def test_the_licence_is_asked_before_anything_is_read() -> None:
    with pytest.raises(LicenceNotAccepted):
        load(replace(named("sdxl"), base="/nowhere"))


def test_pickled_weights_are_not_opened(tiny_recipe: Recipe, tiny_folder: Path, tmp_path: Path) -> None:
    base = load(tiny_recipe)
    base.pipeline.save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(OSError, match="safetensors"):
        load(replace(tiny_recipe, base=str(tmp_path)))


def test_only_wanted_layers_get_adapters(tiny_base: Base) -> None:
    attention, everything = tiny_base.lora_targets("attention"), tiny_base.lora_targets("all")
    assert set(attention) < set(everything)
    assert all(".attn" in name for name in attention)
    assert any(name.endswith("resnets.0.conv1") for name in everything)
    assert not any("time_emb" in name or "samplers" in name for name in everything)


def test_noise_and_target_are_those_of_diffusers(tiny_base: Base) -> None:
    from diffusers import DDPMScheduler

    theirs = DDPMScheduler.from_config(tiny_base.pipeline.scheduler.config)
    latents, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    t = tiny_base.sample_t(torch.tensor([0.0, 0.4, 0.9999]))
    assert t.tolist() == [0, 400, 999]
    torch.testing.assert_close(tiny_base.noisy(latents, noise, t), theirs.add_noise(latents, noise, t))
    torch.testing.assert_close(tiny_base.target(latents, noise, t), theirs.get_velocity(latents, noise, t))
