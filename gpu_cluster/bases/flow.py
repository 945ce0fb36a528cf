"""What transformers that learn a straight flow from noise to picture have in common."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpu_cluster.bases.base import Base

TOKEN = 16
"""Pixels of a picture token's side: the autoencoder's eight, two by two."""


class Flow(Base):
    """t is the share of noise, 0..1; the target is the direction from picture to noise."""

    network_name = "transformer"

    def sample_t(self, uniform: Tensor, side: int | None = None) -> Tensor:
        # Logit-normal, as these bases were trained: both ends are easy, and rare.
        normal = math.sqrt(2) * torch.erfinv(2 * uniform.clamp(1e-4, 1 - 1e-4) - 1)
        t = torch.sigmoid(normal)
        # Larger pictures need more noise before their outlines are open again; the sampler shifts its own steps alike.
        shift = self._shift(side or self.resolution)
        return shift * t / (1 + (shift - 1) * t)

    def _shift(self, side: int) -> float:
        """The sampler's own shift of its steps for a picture of this side (Stable Diffusion 3, arXiv:2403.03206, 5.3.2).

        Where it depends on the resolution, its logarithm runs straight between two numbers of picture tokens.
        """
        config = self.pipeline.scheduler.config
        if not config.use_dynamic_shifting:
            return float(config.shift)
        tokens = (side // TOKEN) ** 2
        slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
        return math.exp(config.base_shift + slope * (tokens - config.base_image_seq_len))

    def noisy(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        share = t.to(latents.dtype).view(-1, 1, 1, 1)
        return (1 - share) * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise - latents
