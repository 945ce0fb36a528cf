"""Stable Diffusion XL and everything of its shape, such as the small base that ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.bases.base import Base, Drawing, NoReferences, Text, named

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
# On a small UNet attention alone learns a quarter of a face; the rest comes from the layers around it.
EVERYTHING = (*ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2", "conv_shortcut")


class Sdxl(Base):
    network_name = "unet"
    # Its autoencoder overflows in float16 and loses fine skin in bfloat16 (SimpleTuner's issue 394).
    exact = ("vae",)

    def lora_targets(self, which: str) -> list[str]:
        return named(self.network, ATTENTION if which == "attention" else EVERYTHING)

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> Text:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompt=list(captions), device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"embeds": embeds, "pooled": pooled}

    @torch.no_grad()
    def encode_image(self, images: Sequence[Image.Image], side: int | None = None) -> Tensor:
        vae = self.pipeline.vae
        latents: Tensor = vae.encode(self.pixels(images, side)).latent_dist.mode()
        scaled: Tensor = latents * vae.config.scaling_factor
        return scaled.to(self.dtype)

    def sample_t(self, uniform: Tensor, side: int | None = None) -> Tensor:
        moments: int = self.pipeline.scheduler.config.num_train_timesteps
        return (uniform * moments).long().clamp_(max=moments - 1)

    def noisy(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        signal, spread = self._levels(latents, t)
        return signal * latents + spread * noise

    def target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        kind = self.pipeline.scheduler.config.prediction_type
        if kind == "epsilon":
            return noise
        if kind == "v_prediction":
            signal, spread = self._levels(latents, t)
            return signal * noise - spread * latents
        raise ValueError(f"no training target is known for the prediction type {kind}")

    def predict(self, noisy: Tensor, t: Tensor, text: Text) -> Tensor:
        # The picture's original size, crop corner and wanted size: SDXL is told all three.
        side = float(noisy.shape[-1] * self.pipeline.vae_scale_factor)
        sizes = torch.tensor([side, side, 0.0, 0.0, side, side], device=noisy.device, dtype=noisy.dtype)
        answer: Tensor = self.network(
            noisy,
            t,
            encoder_hidden_states=text["embeds"],
            added_cond_kwargs={"text_embeds": text["pooled"], "time_ids": sizes.expand(len(noisy), 6)},
            return_dict=False,
        )[0]
        return answer

    def generate(self, asked: Drawing) -> list[Image.Image]:
        if asked.references:
            raise NoReferences("Stable Diffusion XL draws from words only")
        # Without a negative prompt the base sees the zeros that it was trained to take for "no caption".
        latents = self._run(asked, prompt=list(asked.prompts), output_type="latent")
        return self._decoded(self._finished(latents, asked.prompts, asked.seeds, asked.after_step))

    def _finished(
        self, latents: Tensor, prompts: Sequence[str], seeds: Sequence[int], before_each: Callable[[], None]
    ) -> Tensor:
        """What is still to be done to drawn latents; nothing, for most bases."""
        return latents

    def _decoded(self, latents: Tensor) -> list[Image.Image]:
        """In the autoencoder's own precision, which may be finer than the network's."""
        vae = self.pipeline.vae
        code = (latents / vae.config.scaling_factor).to(vae.dtype)
        images: list[Image.Image] = self.pipeline.image_processor.postprocess(
            vae.decode(code, return_dict=False)[0], output_type="pil"
        )
        return images

    def _levels(self, like: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """How much signal and how much noise there is at t, each (n, 1, 1, 1)."""
        kept = self.pipeline.scheduler.alphas_cumprod.to(like.device)[t].to(like.dtype).view(-1, 1, 1, 1)
        return kept.sqrt(), (1 - kept).sqrt()
