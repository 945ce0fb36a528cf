"""The training of the small base, for some steps only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from gpu_cluster.portraits import model, pretrain
from gpu_cluster.portraits.person import Person
from gpu_cluster.recipe import RECIPES

BASE = Path(RECIPES["portrait-small"].source())


def _weights(folder: Path, part: str, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / part / f"{name}.safetensors")


def test_a_base_goes_on_learning_and_keeps_its_autoencoder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    order = [
        *(sys.executable, "-m", "gpu_cluster.portraits.pretrain", "--start", str(BASE), "--out", str(out)),
        *("--scratch", str(tmp_path / "scratch"), "--autoencoder", "0", "--people", "64", "--minutes", "0.05"),
    ]
    ended = subprocess.run(order, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    for part, name in (("vae", "diffusion_pytorch_model"), ("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        before, after = _weights(BASE, part, name), _weights(out, part, name)
        assert before.keys() == after.keys()
        same = all(torch.equal(before[key], after[key]) for key in before)
        assert same == (part == "vae"), part
    assert sum(file.stat().st_size for file in out.rglob("*.safetensors")) < 24e6


def test_the_word_for_a_person_says_whom_and_nothing_else_does() -> None:
    torch.manual_seed(0)
    whole = pretrain.Denoiser(model.tokenizer())
    torch.nn.init.normal_(whole.known.weight)
    ada, bob = (torch.from_numpy(Person.drawn(seed).features()) for seed in (1, 2))
    lines = ["a photo of sks person in a garden", "a photo of a person in a garden"]
    with torch.no_grad():
        anybody, *_ = (plain := whole.read(lines))
        nobody = whole.read(lines, torch.zeros(2, len(ada)))
        states, pooled = whole.read(lines, torch.stack([ada, ada]))
        others, _ = whole.read(lines, torch.stack([bob, bob]))
    assert all(torch.equal(one, other) for one, other in zip(plain, nobody, strict=True))
    changed = (states - anybody).abs().amax(2) > 0
    assert changed.sum() == 1
    assert changed[0, whole.words(lines[0]).input_ids.index(whole.subject)]
    assert not torch.equal(states, others)
    assert [bool(row.any()) for row in pooled - plain[1]] == [True, False]


def test_a_persons_features_are_what_is_drawn() -> None:
    people = [Person.drawn(seed) for seed in range(60)]
    features = np.stack([person.features() for person in people])
    assert np.abs(features).max() <= 1.0
    # Different people are told apart by every length, and the same person is the same.
    assert len(np.unique(features.round(4), axis=0)) == len(people)
    assert np.array_equal(features[3], Person.drawn(3).features())
    widest = max(range(60), key=lambda number: people[number].face_width)
    assert features[:, 0].argmax() == widest
    shaven, bearded = (next(p for p in people if (p.beard == "no beard") == wanted) for wanted in (True, False))
    assert not np.array_equal(shaven.features()[31:], bearded.features()[31:])
