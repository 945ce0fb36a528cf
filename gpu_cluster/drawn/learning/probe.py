"""Reads back from a picture what its subject wears and what is behind: whether a headshot shows what was asked for.

python -m gpu_cluster.drawn.learning.probe --out gpu_cluster/drawn/base/probe.safetensors --pictures DIR
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from gpu_cluster.drawn.people import pictures
from gpu_cluster.drawn.people.draw import BACKDROPS, DRESSES

# Cloth, cut and wall survive at 24 px; faces hardly do, which is as it should be.
SIDE = 24
HIDDEN = 64
STEPS = 1500


@dataclass(frozen=True)
class ProbeReading:
    """Each confidence is the share, 0 to 1, that the probe gives to its answer."""

    dress: str
    dress_confidence: float
    backdrop: str
    backdrop_confidence: float


class Probe:
    def __init__(self, weights: dict[str, Tensor]) -> None:
        self._weights = {name: weight.float() for name, weight in weights.items()}

    @classmethod
    def load(cls, path: Path) -> "Probe":
        return cls(load_file(path))

    @torch.no_grad()
    def read(self, picture: Image.Image) -> ProbeReading:
        dress, backdrop = _answers(self._weights, _shrunk(picture)[None])
        worn, behind = dress.softmax(-1)[0], backdrop.softmax(-1)[0]
        return ProbeReading(
            list(DRESSES)[int(worn.argmax())],
            float(worn.max()),
            list(BACKDROPS)[int(behind.argmax())],
            float(behind.max()),
        )


def _shrunk(picture: Image.Image) -> Tensor:
    small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    return torch.from_numpy(np.asarray(small, np.float32).reshape(-1) / 127.5 - 1.0)


def _answers(weights: Mapping[str, Tensor], inputs: Tensor) -> tuple[Tensor, Tensor]:
    hidden = functional.relu(functional.linear(inputs, weights["in.weight"], weights["in.bias"]))
    both = functional.linear(hidden, weights["out.weight"], weights["out.bias"])
    return both[:, : len(DRESSES)], both[:, len(DRESSES) :]


def train(folder: Path, out: Path) -> tuple[float, float]:
    """Trains on all drawings but the last thousand; returns the shares of those read right, dress and backdrop."""
    drawn, captions = pictures.load_all(folder)
    inputs = torch.stack([_shrunk(Image.fromarray(picture)) for picture in drawn])
    dresses, backdrops = (
        torch.tensor([_found(line, words) for line, _ in captions]) for words in (tuple(DRESSES), tuple(BACKDROPS))
    )
    layers = {
        "in": torch.nn.Linear(3 * SIDE * SIDE, HIDDEN),
        "out": torch.nn.Linear(HIDDEN, len(DRESSES) + len(BACKDROPS)),
    }
    weights = {f"{name}.{part}": value for name, layer in layers.items() for part, value in layer.named_parameters()}
    optimizer = torch.optim.AdamW(weights.values(), lr=2e-3, weight_decay=0.05)
    last = len(inputs) - 1000
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1.0 - step / STEPS)
        chosen = torch.randint(last, (128,))
        # Blur and noise stand for what a denoiser gets wrong.
        seen = inputs[chosen] + 0.05 * torch.randn(128, 3 * SIDE * SIDE)
        dress, backdrop = _answers(weights, seen)
        loss = functional.cross_entropy(dress, dresses[chosen]) + functional.cross_entropy(backdrop, backdrops[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file({name: value.detach().half() for name, value in weights.items()}, out)
    with torch.no_grad():
        dress, backdrop = _answers(weights, inputs[last:])
    right = (
        (dress.argmax(-1) == dresses[last:]).float().mean(),
        (backdrop.argmax(-1) == backdrops[last:]).float().mean(),
    )
    return right[0].item(), right[1].item()


def _found(line: str, words: Sequence[str]) -> int:
    """Captions name every word between commas, so no phrase is taken for part of another."""
    return next(i for i, word in enumerate(words) if f" {word}," in line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    dress, backdrop = train(arguments.pictures, arguments.out)
    print(f"read right: dress {dress:.3f}, backdrop {backdrop:.3f}")


if __name__ == "__main__":
    main()
