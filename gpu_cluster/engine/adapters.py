"""Low-rank adapters of several people over one frozen network.

A pack of E people trains in one step. Every adapted layer holds A (E, rank, in) and B (E, out, rank); the batch is
employee-major, the first batch/E samples belong to the first person and so on. Nothing else in these networks looks
across samples, so each person gets the weights that training alone would have given.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Lora = dict[str, Tensor]
"""peft's names under the pipeline's name of the network: unet.….lora_A.weight (rank, in), ….lora_B.weight."""


class PackedLinear(nn.Module):
    """A frozen Linear and the low-rank paths of E people."""

    def __init__(self, frozen: nn.Linear, a: nn.Parameter, b: nn.Parameter) -> None:
        super().__init__()
        self.frozen, self.a, self.b = frozen, a, b

    def forward(self, x: Tensor) -> Tensor:
        out = self.frozen(x)
        people = len(self.a)
        low = torch.bmm(x.reshape(people, -1, x.shape[-1]), self.a.to(x.dtype).transpose(1, 2))
        # One call adds the low-rank path to the frozen one.
        both = torch.baddbmm(out.reshape(people, -1, out.shape[-1]), low, self.b.to(x.dtype).transpose(1, 2))
        return both.view_as(out)


class PackedConv(nn.Module):
    """A frozen Conv2d and the low-rank paths of E people: a narrow convolution, then a mixing of its channels."""

    def __init__(self, frozen: nn.Conv2d, a: nn.Parameter, b: nn.Parameter) -> None:
        super().__init__()
        self.frozen, self.a, self.b = frozen, a, b

    def forward(self, x: Tensor) -> Tensor:
        out = self.frozen(x)
        a, b = self.a.to(x.dtype), self.b.to(x.dtype)
        people = len(a)
        # Each person's samples lie together, so slices cost nothing; groups of one convolution would need a transpose.
        lows = [
            functional.conv2d(part, a[i], None, self.frozen.stride, self.frozen.padding, self.frozen.dilation)
            for i, part in enumerate(x.chunk(people))
        ]
        low = torch.stack(lows).flatten(3)  # (E, samples, rank, pixels)
        both: Tensor = out + torch.matmul(b[:, None], low).view_as(out)
        return both


class Pack:
    """The adapters of E people as one matrix `theta` (E, numbers); the layers' A and B are windows into it.

    One matrix means one optimizer call, one norm per person, one tensor in a checkpoint, and that a pack is split by
    taking rows.
    """

    def __init__(self, network: nn.Module, targets: Sequence[str], rank: int, people: int, dtype: torch.dtype) -> None:
        device = next(network.parameters()).device
        self.network = network
        self.shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        for name in targets:
            self.shapes[name] = _shapes(network.get_submodule(name), rank)
        numbers = sum(math.prod(a) + math.prod(b) for a, b in self.shapes.values())
        self.theta = torch.zeros(people, numbers, device=device, dtype=dtype)
        self.grad = torch.zeros_like(self.theta)

    def reset(self, row: int, generator: torch.Generator) -> None:
        """peft's start for one person: A uniform as a Linear's weight, B zero, so the network begins unchanged."""
        start = 0
        for a, b in self.shapes.values():
            size = math.prod(a)
            bound = 1 / math.sqrt(math.prod(a[1:]))
            drawn = torch.rand(size, generator=generator) * 2 - 1
            self.theta[row, start : start + size] = (drawn * bound).to(self.theta)
            start += size + math.prod(b)

    def rates(self, a_rate: float) -> Tensor:
        """(numbers,), multiples of a learning rate: `a_rate` for the numbers of A and 1 for those of B."""
        rates = torch.ones_like(self.theta[0])
        start = 0
        for a, b in self.shapes.values():
            rates[start : start + math.prod(a)] = a_rate
            start += math.prod(a) + math.prod(b)
        return rates

    def load(self, row: int, lora: Mapping[str, Tensor], prefix: str) -> None:
        """Goes on from an adapter that `export` wrote. Raises KeyError for one of other layers."""
        start = 0
        for name, shapes in self.shapes.items():
            for kind, shape in zip("AB", shapes, strict=True):
                end = start + math.prod(shape)
                self.theta[row, start:end] = lora[f"{prefix}.{name}.lora_{kind}.weight"].flatten().to(self.theta)
                start = end

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The network with this pack in it. Gradients land in `grad`, which the caller sets to zero."""
        frozen = {name: self.network.get_submodule(name) for name in self.shapes}
        try:
            start = 0
            for name, (a, b) in self.shapes.items():
                windows = []
                for shape in (a, b):
                    end = start + math.prod(shape)
                    window = nn.Parameter(self.theta[:, start:end].view(-1, *shape))
                    window.grad = self.grad[:, start:end].view(-1, *shape)
                    windows.append(window)
                    start = end
                layer = frozen[name]
                if isinstance(layer, nn.Linear):
                    _put(self.network, name, PackedLinear(layer, *windows))
                elif isinstance(layer, nn.Conv2d):
                    _put(self.network, name, PackedConv(layer, *windows))
            with warnings.catch_warnings():
                # Windows into one matrix have gaps between people, which torch mentions and handles.
                warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout")
                yield
        finally:
            for name, layer in frozen.items():
                _put(self.network, name, layer)

    def export(self, row: int, prefix: str) -> Lora:
        """One person's adapter, on the CPU, in the names that diffusers' load_lora_weights takes."""
        weights: Lora = {}
        start = 0
        for name, shapes in self.shapes.items():
            for kind, shape in zip("AB", shapes, strict=True):
                end = start + math.prod(shape)
                value = self.theta[row, start:end].reshape(shape).detach().cpu().clone()
                # B of a convolution is a convolution of one pixel.
                conv = isinstance(self.network.get_submodule(name), nn.Conv2d)
                weights[f"{prefix}.{name}.lora_{kind}.weight"] = (
                    value[..., None, None] if kind == "B" and conv else value
                )
                start = end
        return weights


@contextmanager
def merged(network: nn.Module, lora: Mapping[str, Tensor], prefix: str) -> Iterator[None]:
    """The network with one person's adapter added into its weights, which costs nothing per step; put back after."""
    originals: list[tuple[Any, Tensor]] = []
    try:
        for key, a in lora.items():
            if not key.endswith(".lora_A.weight"):
                continue
            stem = key.removesuffix(".lora_A.weight")
            layer: Any = network.get_submodule(stem.removeprefix(prefix + "."))
            weight = layer.weight.data
            b = lora[stem + ".lora_B.weight"].to(weight.device, torch.float32)
            change = b.flatten(1) @ a.to(weight.device, torch.float32).flatten(1)
            originals.append((layer, weight))
            layer.weight.data = (weight + change.view_as(weight)).to(weight.dtype)
        yield
    finally:
        for layer, weight in originals:
            layer.weight.data = weight


def _shapes(layer: nn.Module, rank: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if isinstance(layer, nn.Linear):
        return (rank, layer.in_features), (layer.out_features, rank)
    if isinstance(layer, nn.Conv2d) and layer.groups == 1:
        return (rank, layer.in_channels, *layer.kernel_size), (layer.out_channels, rank)
    raise TypeError(f"no adapter is known for {type(layer).__name__}")


def _put(network: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, layer)
