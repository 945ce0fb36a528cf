"""FLUX.2 [klein]: a transformer over picture and text tokens, and over reference pictures when there are some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.bases.base import Drawing, Text, named
from gpu_cluster.bases.flow import Flow

ATTENTION = (
    *("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"),
    # The single-stream blocks have attention and feed-forward in one projection.
    *("to_qkv_mlp_proj", "attn.to_out"),
)
EVERYTHING = (*ATTENTION, "linear_in", "linear_out")


class Flux2Klein(Flow):
    def lora_targets(self, which: str) -> list[str]:
        return named(self.network, ATTENTION if which == "attention" else EVERYTHING)

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> Text:
        embeds, places = self.pipeline.encode_prompt(prompt=list(captions), device=self.device)
        return {"embeds": embeds, "places": places}

    @torch.no_grad()
    def encode_image(self, images: Sequence[Image.Image], side: int | None = None) -> Tensor:
        latents: Tensor = self.pipeline._encode_vae_image(image=self.pixels(images, side), generator=None)
        return latents.to(self.dtype)

    def predict(self, noisy: Tensor, t: Tensor, text: Text) -> Tensor:
        answer: Tensor = self.network(
            hidden_states=self.pipeline._pack_latents(noisy),
            timestep=t.to(noisy.dtype),
            guidance=None,
            encoder_hidden_states=text["embeds"],
            txt_ids=text["places"],
            img_ids=self.pipeline._prepare_latent_ids(noisy).to(noisy.device),
            return_dict=False,
        )[0]
        return answer.transpose(1, 2).reshape(noisy.shape)

    def generate(self, asked: Drawing) -> list[Image.Image]:
        words: dict[str, Any] = {"prompt": list(asked.prompts)}
        if asked.references:
            words["image"] = [image.convert("RGB") for image in asked.references]
        images: list[Image.Image] = self._run(asked, **words)
        return images
