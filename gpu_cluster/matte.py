"""Where a photo shows its wall, told by what the base would draw there in other words."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.recipes.base import Base, Box, oval, sized

WALLS = ("a white backdrop", "a dark grey backdrop", "a blue backdrop", "a green backdrop")
"""Far apart from each other, so that what they change is seen in few answers."""
NOISES = 2
"""Drawings of noise that the answers are averaged over: 2 separate wall and person as well as 4."""
MOMENT = 0.9
"""Early enough for the words to have a say, late enough for the base to see where somebody stands."""
FACE = 0.7
"""Part of the face's box in which there is nothing but face."""


@torch.inference_mode()
def wall(base: Base, photo: Image.Image, face: Box, head: Box) -> Tensor:
    """(1, height, width) of the latents: 0 where the photo shows the person, 1 where it shows the wall behind.

    The noised photo is shown to the base with different words for the backdrop. Where the answers differ as little as in
    the middle of the face, it is the person; where they differ as much as beside the head, it is the wall (after
    DiffEdit, arXiv:2210.11427, which looks for places to change). Zeros where the head leaves no place beside it, or
    where the words change the face more than what is beside it.
    """
    latents = base.encode_image([photo])
    height, width = latents.shape[-2:]
    beside = _beside(photo, face, head, height, width).to(latents)
    inside = oval(photo, sized(face, FACE), height, width).to(latents)
    apart = _apart(base, latents)
    of_wall = (apart * beside).sum() / beside.sum().clamp_min(1.0)
    of_face = (apart * inside).sum() / inside.sum().clamp_min(1.0)
    if of_wall <= of_face:
        return torch.zeros_like(apart)
    return ((apart - of_face) / (of_wall - of_face)).clamp(0.0, 1.0)


def _apart(base: Base, latents: Tensor) -> Tensor:
    """(1, height, width), the spread of the answers over the words, root mean square over channels."""
    text = base.encode_text([f"a photo of a person, {words}" for words in WALLS])
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((NOISES, *latents.shape[1:]), generator=generator).to(latents)
    t = base.sample_t(torch.full((NOISES,), MOMENT, device=latents.device))
    noisy = base.noisy(latents.expand_as(noise), noise, t)
    # Every drawing of noise under all the words.
    each, all_words = [i for i in range(NOISES) for _ in WALLS], list(range(len(WALLS))) * NOISES
    answers = base.predict(noisy[each], t[each], {name: tensor[all_words] for name, tensor in text.items()})
    by_words = answers.view(NOISES, len(WALLS), *latents.shape[1:]).mean(0)
    return by_words.std(0).square().mean(0, keepdim=True).sqrt()


def _beside(photo: Image.Image, face: Box, head: Box, height: int, width: int) -> Tensor:
    """(1, height, width): 1 for places above the middle of the face that the head's oval does not touch, else 0."""
    outside = (oval(photo, head, height, width) == 0).float()
    outside[:, round((face[1] + face[3]) / 2 * height) :] = 0
    return outside
