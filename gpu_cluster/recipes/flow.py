"""What transformers that learn a straight flow from noise to picture have in common."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gpu_cluster.recipes.base import Base


class Flow(Base):
    """t is the share of noise, 0..1; the target is the direction from picture to noise."""

    network_name = "transformer"

    def sample_t(self, uniform: Tensor) -> Tensor:
        # Logit-normal, as these bases were trained: both ends are easy, and rare.
        normal = math.sqrt(2) * torch.erfinv(2 * uniform.clamp(1e-4, 1 - 1e-4) - 1)
        return torch.sigmoid(normal)

    def noisy(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        share = t.to(latents.dtype).view(-1, 1, 1, 1)
        return (1 - share) * latents + share * noise

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise - latents
