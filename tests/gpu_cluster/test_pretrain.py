"""The training of the small base, for some steps only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

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
