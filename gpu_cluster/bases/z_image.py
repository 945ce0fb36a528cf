"""Z-Image: one stream of picture and text tokens; captions keep their own lengths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from gpu_cluster.bases.base import Drawing, NoReferences, Text, named
from gpu_cluster.bases.flow import Flow

ATTENTION = ("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0")
EVERYTHING = (*ATTENTION, "feed_forward.w1", "feed_forward.w2", "feed_forward.w3")


class ZImage(Flow):
    def lora_targets(self, which: str) -> list[str]:
        return named(self.network, ATTENTION if which == "attention" else EVERYTHING)

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> Text:
        embeds, _ = self.pipeline.encode_prompt(
            prompt=list(captions), device=self.device, do_classifier_free_guidance=False
        )
        lengths = torch.tensor([len(words) for words in embeds], device=self.device)
        return {"embeds": pad_sequence(embeds, batch_first=True), "lengths": lengths}

    @torch.no_grad()
    def encode_image(self, images: Sequence[Image.Image], side: int | None = None) -> Tensor:
        vae = self.pipeline.vae
        latents: Tensor = vae.encode(self.pixels(images, side)).latent_dist.mode()
        centred: Tensor = (latents - vae.config.shift_factor) * vae.config.scaling_factor
        return centred.to(self.dtype)

    def predict(self, noisy: Tensor, t: Tensor, text: Text) -> Tensor:
        captions = [words[:length] for words, length in zip(text["embeds"], text["lengths"].tolist(), strict=True)]
        # Pictures are films of one frame, and time runs from noise (0) to picture (1); hence the sign.
        answers = self.network(list(noisy.unsqueeze(2)), (1 - t).to(noisy.dtype), captions, return_dict=False)[0]
        return -torch.stack(list(answers)).squeeze(2)

    def generate(self, asked: Drawing) -> list[Image.Image]:
        if asked.references:
            raise NoReferences("Z-Image draws from words only")
        images: list[Image.Image] = self._run(asked, prompt=list(asked.prompts))
        return images
