"""The training of the small base, for some steps only."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from gpu_cluster.bases.recipe import named
from gpu_cluster.drawn.learning import model, pretrain
from gpu_cluster.drawn.people import pictures
from gpu_cluster.drawn.people.person import DrawnPerson

pytestmark = pytest.mark.engine

BASE = Path(named("portrait-small").source())


def _weights(folder: Path, part: str, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / part / f"{name}.safetensors")


def test_a_base_goes_on_learning_and_keeps_its_autoencoder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    order = [
        *(sys.executable, "-m", "gpu_cluster.drawn.learning.pretrain", "--start", str(BASE), "--out", str(out)),
        *("--scratch", str(tmp_path / "scratch"), "--autoencoder", "0", "--people", "64", "--minutes", "0.05"),
    ]
    ended = subprocess.run(order, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    for part, name in (
        ("vae", "diffusion_pytorch_model"),
        ("unet", "diffusion_pytorch_model"),
        ("text_encoder", "model"),
    ):
        before, after = _weights(BASE, part, name), _weights(out, part, name)
        assert before.keys() == after.keys()
        same = all(torch.equal(before[key], after[key]) for key in before)
        assert same == (part == "vae"), part
    assert sum(file.stat().st_size for file in out.rglob("*.safetensors")) < 24e6


def test_the_word_for_a_person_says_whom_and_nothing_else_does() -> None:
    torch.manual_seed(0)
    whole = pretrain.Denoiser(model.tokenizer())
    torch.nn.init.normal_(whole.whom.weight)
    ada, bob = (torch.from_numpy(DrawnPerson.drawn(seed).features()) for seed in (1, 2))
    lines = ["a photo of sks person in a garden", "a photo of a person in a garden"]
    with torch.no_grad():
        plain = whole.read(lines)
        nobody = whole.read(lines, torch.zeros(2, len(ada)))
        states, pooled = whole.read(lines, torch.stack([ada, ada]))
        others, _ = whole.read(lines, torch.stack([bob, bob]))
    assert all(torch.equal(one, other) for one, other in zip(plain, nobody, strict=True))
    changed = (states - plain[0]).abs().amax(2) > 0
    assert changed.sum() == 1
    assert changed[0, whole.words(lines[0]).input_ids.index(whole.subject)]
    assert not torch.equal(states, others)
    assert [bool(row.any()) for row in pooled - plain[1]] == [True, False]


def test_a_persons_features_tell_everything_that_is_drawn() -> None:
    person = replace(DrawnPerson.drawn(0), glasses="round glasses", beard="stubble")
    features = person.features()
    assert np.abs(np.stack([DrawnPerson.drawn(seed).features() for seed in range(60)])).max() <= 1.0
    other = replace(DrawnPerson.drawn(23), glasses="square glasses", beard="goatee")
    changed = []
    for field in fields(DrawnPerson):
        value = getattr(other, field.name)
        assert value != getattr(person, field.name), f"{field.name} is the same in both people, so nothing is tried"
        changed.append(bool((replace(person, **{field.name: value}).features() != features).any()))
    assert all(changed), [field.name for field, told in zip(fields(DrawnPerson), changed, strict=True) if not told]


@pytest.mark.parametrize("channels", [8, 16, 24])
def test_an_autoencoder_goes_on_from_one_of_another_size(channels: int) -> None:
    torch.manual_seed(0)
    new = model.autoencoder()
    _, _, *deeper = new.config.block_out_channels
    narrow = {**model.autoencoder(channels).config, "block_out_channels": (16, 32, *deeper)}
    start = SimpleNamespace(vae=AutoencoderKL.from_config(narrow))
    torch.nn.init.zeros_(start.vae.post_quant_conv.bias)
    sample = torch.rand(4, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        code = start.vae.encode(sample).latent_dist.mode()
        both = min(channels, model.LATENT_CHANNELS)
        code[:, both:] = 0.0
        wanted, before = start.vae.decode(code).sample, new.decode(new.encode(sample).latent_dist.mode()).sample
        pretrain._begin_autoencoder(new, start, sample)
        after = new.decode(new.encode(sample).latent_dist.mode()).sample
    assert (after - wanted).square().mean() < 0.1 * (before - wanted).square().mean()


def test_a_picture_is_told_with_its_own_person(tmp_path: Path) -> None:
    pictures.draw_all(tmp_path, 6)
    torch.save(torch.arange(6.0).view(6, 1, 1, 1), tmp_path / "latents.pt")
    supply = pretrain.Supply(tmp_path, None)
    latents, lines, people = supply.draw(200, np.random.default_rng(0))
    numbers = latents.flatten().long().tolist()
    assert all(line in supply.captions[number] for line, number in zip(lines, numbers, strict=True))
    named = people.abs().amax(1) > 0
    assert 0.6 < named.float().mean() < 0.9
    everybody = torch.stack(
        [torch.from_numpy(DrawnPerson.drawn(pictures.FIRST_PERSON + number).features()) for number in numbers]
    )
    assert torch.equal(people[named], everybody[named])
