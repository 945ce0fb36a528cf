"""The base that ships: of SDXL's shape, and everything that only the drawn world needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.bases.sdxl import Sdxl
from gpu_cluster.drawn.learning.probe import Probe
from gpu_cluster.drawn.people.scene import BACKDROPS, DRESSES, FRAMINGS, LIGHTS, SUBJECT_TOKEN, place

SURE = 0.5
"""Share of the reader's belief under which it is not quoted."""
SETTLED_AT = (500, 400, 300, 200, 100)
"""Timesteps at which a finished picture settles, from its outlines to its edges."""


class Drawn(Sdxl):
    """Small enough that one drawing of a face is not yet the person's; the mean of several answers is nearer."""

    @cached_property
    def _probe(self) -> Probe:
        return Probe.load(Path(self.pipeline.name_or_path) / "probe.safetensors")

    def caption(self, photo: Image.Image) -> str:
        """Clothes and rooms that a caption names are not learned as part of the person."""
        words = f"a photo of {SUBJECT_TOKEN} person"
        seen = self._probe.read(photo)
        if seen.dress_confidence >= SURE:
            words += f" in {seen.dress}"
        if seen.backdrop_confidence >= SURE:
            words += f", {place(seen.backdrop)}"
        return words

    def prompt(self, backdrop: str, dress: str, framing: str, light: str) -> str:
        """In the phrases that the base was taught; a word that it does not know becomes the first of its kind."""
        return (
            f"a photo of {SUBJECT_TOKEN} person in {_taught(dress, DRESSES)}, {place(_taught(backdrop, BACKDROPS))}, "
            f"{_taught(light, LIGHTS)}, {_taught(framing, FRAMINGS)}, smiling, facing the camera"
        )

    def _finished(
        self, latents: Tensor, prompts: Sequence[str], seeds: Sequence[int], before_each: Callable[[], None]
    ) -> Tensor:
        """A drawn picture settles on the mean of what the network makes of it.

        It is noised again, a little less each time, and becomes the mean of the network's answers to two noises and to
        their negatives, without guidance (as RePaint resamples, arXiv:2201.09865).
        """
        text = self.encode_text(prompts)
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for timestep in SETTLED_AT:
            before_each()
            t = torch.full((len(seeds),), timestep, device=latents.device)
            drawn = [torch.randn(2, *latents.shape[1:], generator=own) for own in generators]
            both = torch.stack(drawn, dim=1).to(latents)
            noises = (*both, *-both)
            latents = torch.stack([self._clean(self.noisy(latents, noise, t), t, text) for noise in noises]).mean(0)
        return latents

    def _clean(self, noisy: Tensor, t: Tensor, text: dict[str, Tensor]) -> Tensor:
        """The picture that the network sees in a noised one: the v-prediction `target` solved for the latents."""
        signal, spread = self._levels(noisy, t)
        return signal * noisy - spread * self.predict(noisy, t, text)


def _taught(words: str, phrases: Mapping[str, object]) -> str:
    """The phrase that says `words`: "light grey" is "a light grey backdrop", "office" is "an office"."""
    for phrase in phrases:
        if words in (phrase, phrase.removeprefix("a ").removeprefix("an ").removesuffix(" backdrop")):
            return phrase
    return next(iter(phrases))
