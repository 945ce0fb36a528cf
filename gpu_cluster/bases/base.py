"""What a trainer needs to know of a base model, whatever its family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn

Text = dict[str, Tensor]
"""Encoded captions: named tensors whose first axis is the caption."""


Box = tuple[float, float, float, float]
"""Left, top, right and bottom as parts of a photo's sides, 0..1."""


PERSON = "a person"
"""The class noun; an adapter narrows what it means to the one person it was trained on."""


class NoReferences(ValueError):
    """This family cannot look at pictures of a person while it draws."""


@dataclass(frozen=True)
class Drawing:
    """What to draw: one picture per prompt."""

    prompts: Sequence[str]
    seeds: Sequence[int]
    steps: int
    guidance: float
    after_step: Callable[[], None]
    """Called between steps; stops the work by raising."""
    references: Sequence[Image.Image] = ()
    """Pictures of the person to draw from."""


class Base(ABC):
    """A frozen base model, warm on one device.

    Everything that differs between families lies behind these methods, so that the training loop reads the same for
    a UNet that predicts v and for a transformer that predicts a flow.
    """

    network_name: ClassVar[str]
    """The pipeline's name for the network that carries adapters; LoRA keys begin with it."""
    exact: ClassVar[tuple[str, ...]] = ()
    """The pipeline's names of parts that are read and kept in float32, whatever the network is in."""

    def __init__(self, pipeline: Any, resolution: int) -> None:
        self.pipeline = pipeline
        self.resolution = resolution
        self.network: nn.Module = getattr(pipeline, self.network_name)
        for part in pipeline.components.values():
            if isinstance(part, nn.Module):
                part.requires_grad_(False).eval()
        pipeline.set_progress_bar_config(disable=True)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    def caption(self, photo: Image.Image) -> str:
        """What a selfie is said to show while its person is learned: the class noun that headshots ask for as well.

        No rare token stands for the person, because a large base knows most of them as something else, and no clothes or
        room are named, because nothing here reads them; outside the head, pixels count little in the loss instead.
        """
        return f"a photo of {PERSON}"

    def prompt(self, backdrop: str, dress: str, framing: str, light: str) -> str:
        """What the base is asked for in a company's look, in the words of its own captions."""
        return (
            f"a professional headshot photo of {PERSON} in {with_article(dress)}, {framing},"
            f" before {with_article(backdrop)} backdrop, {light}, smiling, facing the camera"
        )

    def pixels(self, images: Sequence[Image.Image], side: int | None = None) -> Tensor:
        """Square centre crops, (n, 3, side, side) in -1..1; at the recipe's resolution where no side is named."""
        side = side or self.resolution
        arrays = [np.asarray(square(image).resize((side, side), Image.Resampling.LANCZOS)) for image in images]
        stacked = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)
        return (stacked.to(torch.float32) / 127.5 - 1).to(self.device, self.pipeline.vae.dtype)

    @abstractmethod
    def lora_targets(self, which: str) -> list[str]:
        """Names of the network's layers that get an adapter; `which` is "attention" or "all"."""

    @abstractmethod
    def encode_text(self, captions: Sequence[str]) -> Text:
        """What the network is told of each caption; computed once and kept."""

    @abstractmethod
    def encode_image(self, images: Sequence[Image.Image], side: int | None = None) -> Tensor:
        """Normalised latents of `pixels`, (n, channels, height, width); the mode of the encoder, so that it repeats."""

    @abstractmethod
    def sample_t(self, uniform: Tensor, side: int | None = None) -> Tensor:
        """Turns numbers in 0..1 into the moments of noising that the network is trained at, on pictures of this side."""

    @abstractmethod
    def noisy(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Latents on their way to noise."""

    @abstractmethod
    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What `predict` ought to answer."""

    @abstractmethod
    def predict(self, noisy: Tensor, t: Tensor, text: Text) -> Tensor:
        """The network's answer, of the shape of `noisy` and in the sign of `target`."""

    def weight(self, t: Tensor) -> Tensor:
        """How much each moment counts in the loss, (n,)."""
        return torch.ones(len(t), device=t.device)

    @abstractmethod
    def generate(self, asked: Drawing) -> list[Image.Image]:
        """Raises NoReferences where the family cannot draw from pictures."""

    def _run(self, asked: Drawing, **words: Any) -> Any:
        """What the pipeline made: pictures, unless `words` ask for another kind of output.

        Each picture's noise comes from its own generator, whatever batch it is made in.
        """

        def step_ended(pipeline: Any, step: int, moment: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            asked.after_step()
            return tensors

        result = self.pipeline(
            **words,
            generator=[torch.Generator("cpu").manual_seed(seed) for seed in asked.seeds],
            height=self.resolution,
            width=self.resolution,
            num_inference_steps=asked.steps,
            guidance_scale=asked.guidance,
            callback_on_step_end=step_ended,
        )
        return result.images


def named(network: nn.Module, endings: Sequence[str], inside: Sequence[str] = ("",)) -> list[str]:
    """Layers whose dotted name ends in one of `endings` and has one of `inside` in it, in the network's order."""
    suffixes = tuple("." + ending for ending in endings)
    return [
        name
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and name.endswith(suffixes) and any(word in name for word in inside)
    ]


def with_article(words: str) -> str:
    """ "navy suit" becomes "a navy suit"; what has an article keeps it."""
    if words.split(" ", 1)[0].lower() in ("a", "an", "the"):
        return words
    return f"{'an' if words[:1].lower() in tuple('aeiou') else 'a'} {words}"


def oval(photo: Image.Image, box: Box, height: int, width: int) -> Tensor:
    """(1, height, width) of what a base is shown of the photo: 1 inside the ellipse that fills the box, else 0."""
    mask = Image.new("L", photo.size)
    sides = (photo.width, photo.height, photo.width, photo.height)
    ImageDraw.Draw(mask).ellipse([part * side for part, side in zip(box, sides, strict=True)], fill=255)
    small = square(mask).convert("L").resize((width, height), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small, dtype=np.float32)[None] / 255)


def square(image: Image.Image) -> Image.Image:
    """The largest square in the middle, which is what a base is shown of a picture."""
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
