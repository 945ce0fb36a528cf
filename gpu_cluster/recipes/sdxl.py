"""Stable Diffusion XL and everything of its shape, such as the small base that ships."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from PIL import Image
from torch import Tensor

from gpu_cluster.recipes.base import Base, Held, NoReferences, Text, named

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
# On a small UNet attention alone learns a quarter of a face; the rest comes from the layers around it.
EVERYTHING = (*ATTENTION, "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out", "conv1", "conv2", "conv_shortcut")

FITTED_AT = ((0.4, 0.35), (0.3, 0.4), (0.2, 0.5), (0.1, 0.6))
"""Moments of noising at which a picture is fitted to the face it was drawn around, from its outlines to its edges, each
with the share of the steps above which a held place is kept, the more the longer it was held and all of it at 1."""


class Sdxl(Base):
    network_name = "unet"

    def lora_targets(self, which: str) -> list[str]:
        return named(self.network, ATTENTION if which == "attention" else EVERYTHING)

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> Text:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompt=list(captions), device=self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"embeds": embeds, "pooled": pooled}

    @torch.no_grad()
    def encode_image(self, images: Sequence[Image.Image]) -> Tensor:
        vae = self.pipeline.vae
        latents: Tensor = vae.encode(self.pixels(images)).latent_dist.mode()
        scaled: Tensor = latents * vae.config.scaling_factor
        return scaled.to(self.dtype)

    def sample_t(self, uniform: Tensor) -> Tensor:
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
        side = float(self.resolution)
        sizes = torch.tensor([side, side, 0.0, 0.0, side, side], device=noisy.device, dtype=noisy.dtype)
        answer: Tensor = self.network(
            noisy,
            t,
            encoder_hidden_states=text["embeds"],
            added_cond_kwargs={"text_embeds": text["pooled"], "time_ids": sizes.expand(len(noisy), 6)},
            return_dict=False,
        )[0]
        return answer

    def generate(
        self,
        prompts: Sequence[str],
        negatives: Sequence[str],
        seeds: Sequence[int],
        *,
        steps: int,
        guidance: float,
        after_step: Callable[[], None],
        references: Sequence[Image.Image] = (),
        held: Held | None = None,
    ) -> list[Image.Image]:
        if references:
            raise NoReferences("Stable Diffusion XL draws from words only")
        # An empty negative prompt counts as none: the base then sees the zeros it was trained to take for "no caption".
        unlike = list(negatives) if any(negatives) else None

        def hold(step: int, latents: Tensor) -> Tensor:
            assert held is not None
            # Euler's latents are the picture plus sigma times noise; the noise is the one the picture began with.
            noise = [torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
            sigma = self.pipeline.scheduler.sigmas[step + 1].to(latents)
            kept = held.latents.to(latents) + sigma * torch.stack(noise).to(latents)
            drawn = torch.where((step + 1 <= held.until * steps).to(latents.device), kept, latents)
            last = step + 1 == self.pipeline.num_timesteps
            return self._fitted(drawn, held, prompts, seeds, after_step) if last else drawn

        return self._run(
            seeds,
            steps,
            guidance,
            after_step,
            hold if held is not None else None,
            prompt=list(prompts),
            negative_prompt=unlike,
        )

    def _fitted(
        self,
        latents: Tensor,
        held: Held,
        prompts: Sequence[str],
        seeds: Sequence[int],
        before_each: Callable[[], None],
    ) -> Tensor:
        """A finished picture, drawn anew inside `held.around` so that it goes with what was held.

        It is noised again, a little less each time, and becomes the mean of the network's answers to a noise and to its
        negative, without guidance; what was held to the end comes back each time, what was held for less a little. So ears,
        jaw and hair settle on the mean of what goes with the face (as when RePaint resamples, arXiv:2201.09865) rather than
        on one drawing of it.
        """
        text = self.encode_text(prompts)
        selfie, until, around = (part.to(latents) for part in (held.latents, held.until, held.around))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        fitted = latents
        for moment, least in FITTED_AT:
            before_each()
            t = self.sample_t(torch.full((len(seeds),), moment, device=latents.device))
            noise = torch.stack([torch.randn(latents.shape[1:], generator=own) for own in generators]).to(latents)
            both = [self._clean(self.noisy(fitted, sign * noise, t), t, text) for sign in (1, -1)]
            kept = ((until - least) / (1 - least)).clamp(0, 1)
            settled = torch.lerp(torch.stack(both).mean(0), selfie, kept)
            fitted = torch.lerp(latents, settled, around)
        return fitted

    def _clean(self, noisy: Tensor, t: Tensor, text: Text) -> Tensor:
        """The picture that the network sees in a noised one: `target` solved for the latents."""
        signal, spread = self._levels(noisy, t)
        answer = self.predict(noisy, t, text)
        kind = self.pipeline.scheduler.config.prediction_type
        if kind == "epsilon":
            return (noisy - spread * answer) / signal
        if kind == "v_prediction":
            return signal * noisy - spread * answer
        raise ValueError(f"no picture is known for the prediction type {kind}")

    def _levels(self, like: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """How much signal and how much noise there is at t, each (n, 1, 1, 1)."""
        kept = self.pipeline.scheduler.alphas_cumprod.to(like.device)[t].to(like.dtype).view(-1, 1, 1, 1)
        return kept.sqrt(), (1 - kept).sqrt()
