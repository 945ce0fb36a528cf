from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import torch

from gpu_cluster.bases import weights
from gpu_cluster.bases.base import Base
from gpu_cluster.bases.loading import LicenceNotAccepted, load
from gpu_cluster.bases.recipe import Recipe, named, recipes
from gpu_cluster.cluster.fleet import RemoteStudio


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
    torch.manual_seed(0)
    latents, noise = torch.randn(3, 4, 8, 8), torch.randn(3, 4, 8, 8)
    t = tiny_base.sample_t(torch.tensor([0.0, 0.4, 0.9999]))
    assert t.tolist() == [0, 400, 999]
    torch.testing.assert_close(tiny_base.noisy(latents, noise, t), theirs.add_noise(latents, noise, t))
    torch.testing.assert_close(tiny_base.target(latents, noise, t), theirs.get_velocity(latents, noise, t))


def test_weights_that_are_fixed_are_loaded_and_no_others(tiny_recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_recipe.base, folder)
    recipe = replace(tiny_recipe, base=str(folder))
    weights.verify(recipe)
    assert weights.pin(folder) > 5
    load(recipe)
    file = folder / "vae/diffusion_pytorch_model.safetensors"
    kept = file.read_bytes()
    file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(weights.WeightsChanged, match="vae/diffusion_pytorch_model"):
        load(recipe)
    file.write_bytes(kept)
    (folder / "unet/more.safetensors").write_bytes(kept)
    with pytest.raises(weights.WeightsChanged, match="unet/more"):
        load(recipe)


def test_a_node_loads_what_was_fixed_elsewhere_whatever_is_fixed_beside_its_own_weights(
    tiny_recipe: Recipe, tmp_path: Path
) -> None:
    trusted, node = tmp_path / "trusted", tmp_path / "node"
    for folder in (trusted, node):
        shutil.copytree(tiny_recipe.base, folder)
    weights.pin(trusted, "v1.0")
    fixed, recipe = [weights.contents(trusted)], replace(tiny_recipe, base=str(node))
    load(recipe, fixed=fixed)
    read = weights._read.cache_info().misses
    load(recipe, fixed=fixed)
    assert weights._read.cache_info().misses == read, "what has not changed is read once in a process"
    file = node / "vae/diffusion_pytorch_model.safetensors"
    kept, before = file.read_bytes(), file.stat()
    file.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # As whoever changes it would.
    weights.pin(node)
    load(recipe)
    with pytest.raises(weights.WeightsChanged, match="LIKENESS_WEIGHTS"):
        load(recipe, fixed=fixed)
    remote = RemoteStudio(recipe.as_dict(), (), tuple(fixed), "cpu")
    with pytest.raises(weights.WeightsChanged, match="LIKENESS_WEIGHTS"):
        remote.public_key()
    file.unlink()
    with pytest.raises(weights.WeightsChanged, match="vae has no weights"):
        load(recipe, fixed=fixed)


def snapshot(tiny_recipe: Recipe, cache: Path, name: str) -> Path:
    """A copy of the base as Hugging Face's cache keeps one revision of it."""
    folder = cache / "snapshots" / name
    shutil.copytree(tiny_recipe.base, folder)
    return folder


def test_no_other_revision_is_loaded_than_the_one_that_was_fixed(tiny_recipe: Recipe, tmp_path: Path) -> None:
    first, second = (snapshot(tiny_recipe, tmp_path, letter * 40) for letter in "ab")
    with pytest.raises(weights.RevisionOther, match="not bb"):
        weights.pin(first, "bb")
    weights.pin(first)
    assert weights.fixed_revision(first) == "a" * 40
    checked = subprocess.run(["sha256sum", "--check", "--strict", weights.SUMS], cwd=first, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    load(replace(tiny_recipe, base=str(first)))
    # A download that came afterwards is what the hub's name leads to now.
    other = replace(tiny_recipe, base=str(second))
    assert weights.doubts(other)
    with pytest.raises(weights.WeightsChanged, match="a" * 40):
        load(other)
    weights.pin(second)
    load(other)


def test_a_folder_of_ones_own_is_fixed_with_the_revision_that_is_named(tiny_recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_recipe.base, folder)
    recipe = replace(tiny_recipe, base=str(folder))
    weights.pin(folder)
    assert (weights.fixed_revision(folder), weights.doubts(recipe)) == ("", [])
    weights.pin(folder, "v1.0")
    assert (weights.fixed_revision(folder), weights.doubts(recipe)) == ("v1.0", [])


def test_a_file_that_was_written_after_it_was_fixed_is_told_without_reading_it(tiny_recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    shutil.copytree(tiny_recipe.base, folder)
    recipe = replace(tiny_recipe, base=str(folder))
    assert weights.doubts(recipe) == [], "what nobody fixed is not doubted"
    weights.pin(folder)
    file = folder / "vae/diffusion_pytorch_model.safetensors"
    later = time.time_ns() + 10**9
    os.utime(file, ns=(later, later))
    (folder / "unet/more.safetensors").write_bytes(b"x")
    (folder / "model_index.json").unlink()
    assert [one.removeprefix(f"{folder}/") for one in weights._doubts(folder)] == [
        "model_index.json is gone", "unet/more.safetensors is new",
        "vae/diffusion_pytorch_model.safetensors was written after it was fixed",
    ]  # fmt: skip
    (folder / weights.SUMS).write_text("nonsense\n")
    (folder / "model_index.json").write_text("{}")
    with pytest.raises(weights.WeightsChanged, match="no digest"):
        weights.verify(recipe)
