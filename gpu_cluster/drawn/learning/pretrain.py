"""Trains the small base model from nothing: draw the pictures, train the autoencoder, then text encoders and UNet.

    python -m gpu_cluster.drawn.learning.pretrain --out gpu_cluster/drawn/base --minutes 85

Each stage leaves its result in the scratch folder, so an interrupted run goes on with the stage it was in.
"""

import argparse
import copy
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from gpu_cluster.drawn.learning import model
from gpu_cluster.drawn.learning.grow import (
    grow_autoencoder,
    grow_denoiser,
    load,
    narrow_autoencoder,
    turn_denoiser,
    widen_autoencoder,
)
from gpu_cluster.drawn.learning.initialise import initialise
from gpu_cluster.drawn.learning.model import Diffusers
from gpu_cluster.drawn.learning.spectrum import balance
from gpu_cluster.drawn.people import pictures
from gpu_cluster.drawn.people.draw import SUBJECT_TOKEN
from gpu_cluster.drawn.people.person import DrawnPerson
from gpu_cluster.processors import Processors

# The autoencoder starts from a linear code (initialise.py), so most of a run goes to the UNet.
VAE_SHARE = 0.3
# Crops show four times as many faces as whole pictures do for the same arithmetic.
CROP = 64
VAE_BATCH = 16
VAE_RATE = 4e-4
# What a decoder that has learned before bears, while the code that it reads stays as it is.
DECODER_RATE = 2.5e-4
# Standard deviation of what is added to latents: a denoiser leaves them nearly right.
VAE_NOISE = 0.05
UNET_BATCH = 32
UNET_RATE = 1e-3
# What has been trained before bears smaller steps only.
UNET_RATE_ON = 8e-4
# A picture without its caption now and then: classifier-free guidance needs it.
CAPTION_DROPOUT = 0.10
# Captions that describe the person. Those that do teach where a face's parts go, the others are what prompts look like.
TRAITS = 0.3
# How often the base is told exactly whom a picture shows, where its caption has the word for a person that it knows.
KNOWN = 0.75
# Larger inputs move an answer further at the same learning rate, and with 1 the numbers were slow to mean anything.
FEATURE_SCALE = 3.0
# Of the weights in the moving average, about 500 steps.
AVERAGE = 0.998
# How much more an error counts where the head is.
HEAD = 6.0
SNAPSHOT_MINUTES = 10.0
# A longer step means that the machine slept or the program was paused.
LONGEST_STEP = 5.0
# Processors without these instructions compute bfloat16 in software, fifteen times slower than float32.
HALF = torch.cpu._is_avx512_bf16_supported()


class TimeBudget:
    """Training lasts for minutes of work, not for steps, so that it ends on time on a busy machine as well."""

    def __init__(self, minutes: float, spent: float = 0.0) -> None:
        self.minutes, self.used, self.seen = minutes, spent, time.monotonic()

    def tick(self) -> None:
        """Called once a step."""
        now = time.monotonic()
        self.used += min(now - self.seen, LONGEST_STEP) / 60.0
        self.seen = now

    @property
    def part(self) -> float:
        return self.used / self.minutes if self.minutes else 1.0

    def rate(self, peak: float, step: int, warm: int = 50) -> float:
        """Warm-up, then half a cosine down to a fiftieth of the peak."""
        fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, self.part)))
        return peak * min(1.0, (step + 1) / warm) * (0.02 + 0.98 * fall)


def to_unit(batch: NDArray[np.uint8]) -> Tensor:
    """(n, height, width, 3) bytes to (n, 3, height, width) in -1..1."""
    return torch.from_numpy(batch.astype(np.float32)).permute(0, 3, 1, 2) / 127.5 - 1.0


def _resume(path: Path) -> dict[str, Any] | None:
    return torch.load(path, weights_only=True) if path.exists() else None


def train_autoencoder(
    scratch: Path, minutes: float, seed: int, start: Diffusers = None, code_stays: bool = False
) -> Diffusers:
    """From a linear code, or from the autoencoder of the pipeline `start`.

    Where the `code_stays`, the decoder alone learns, and whatever denoiser knew the code knows it still.
    """
    done, ongoing = scratch / "vae.pt", scratch / "vae-ongoing.pt"
    vae = model.autoencoder()
    if done.exists():
        vae.load_state_dict(torch.load(done, weights_only=True))
        return vae
    drawn, _ = pictures.load_all(scratch)
    learning = [*vae.decoder.parameters(), *vae.post_quant_conv.parameters()] if code_stays else [*vae.parameters()]
    rate = DECODER_RATE if code_stays else VAE_RATE
    optimizer = torch.optim.AdamW(learning, lr=rate, betas=(0.9, 0.98), weight_decay=1e-4)
    step, clock = 0, TimeBudget(minutes)
    if not ongoing.exists():
        _begin_autoencoder(vae, start, to_unit(drawn[:240]))
    if (state := _resume(ongoing)) is not None:
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        step, clock = state["step"], TimeBudget(minutes, state["used"])
    rng, saved, said = np.random.default_rng((seed, step)), clock.used, time.monotonic()
    processors = Processors()
    while minutes > 0 and clock.part < 1.0:
        batch = _crops(drawn, rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            with torch.set_grad_enabled(not code_stays):
                latents = vae.encode(batch).latent_dist.mode()
            decoded = vae.decode(latents + VAE_NOISE * torch.randn_like(latents)).sample
        loss = _picture_loss(decoded.float(), batch)
        for group in optimizer.param_groups:
            group["lr"] = clock.rate(rate, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        torch.set_num_threads(processors.threads())
        clock.tick()
        step += 1
        if step % 50 == 0:
            quality = -10 * math.log10(functional.mse_loss(decoded.float().clamp(-1, 1), batch).item() / 4.0)
            pace = 50 / (time.monotonic() - said)
            print(f"vae {clock.used:5.1f} min  step {step}  {pace:.2f}/s  {quality:.2f} dB", flush=True)
            said = time.monotonic()
        if clock.used - saved > 3.0:
            saved = clock.used
            torch.save(
                {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "used": clock.used},
                ongoing,
            )
    torch.save(vae.state_dict(), done)
    return vae


def _begin_autoencoder(vae: Diffusers, start: Diffusers, sample: Tensor) -> None:
    """From a linear code of the `sample`, or from an earlier base with more, fewer or as many channels."""
    if start is None:
        initialise(vae, sample)
        return
    had, has = start.vae.config.latent_channels, vae.config.latent_channels
    old = model.autoencoder(had)
    widen_autoencoder(old, start.vae)
    if had > has:
        narrow_autoencoder(vae, old)
    elif had < has:
        grow_autoencoder(vae, old, sample)
    else:
        vae.load_state_dict(old.state_dict())


def settle(scratch: Path, vae: Diffusers) -> Tensor:
    """The code that the denoiser will learn, see spectrum.py; returns how it was turned."""
    done = scratch / "code.pt"
    if not done.exists():
        turn = balance(vae, to_unit(pictures.load_all(scratch)[0][:600]))
        torch.save({"vae": vae.state_dict(), "turn": turn}, done)
    state = torch.load(done, weights_only=True)
    vae.load_state_dict(state["vae"])
    settled: Tensor = state["turn"]
    return settled


def _crops(drawn: NDArray[np.uint8], rng: np.random.Generator) -> Tensor:
    """Of pictures chosen at random, the middle more often than the rim (Beta(3, 3)): that is where faces are."""
    chosen = rng.integers(len(drawn), size=VAE_BATCH)
    spare = (drawn.shape[1] - CROP) // 8
    places = np.round(rng.beta(3, 3, size=(VAE_BATCH, 2)) * spare).astype(int) * 8
    return to_unit(np.stack([drawn[i, y : y + CROP, x : x + CROP] for i, (y, x) in zip(chosen, places, strict=True)]))


def _picture_loss(decoded: Tensor, wanted: Tensor) -> Tensor:
    """Absolute and squared error, and the error of the edges: a blurred eye costs more than a tint that is off."""
    difference = decoded - wanted
    across = difference[..., 1:] - difference[..., :-1]
    down = difference[..., 1:, :] - difference[..., :-1, :]
    edges = across.abs().mean() + down.abs().mean()
    return difference.abs().mean() + 2.0 * difference.square().mean() + 0.5 * edges


@torch.no_grad()
def encode_all(vae: Diffusers, drawn: NDArray[np.uint8]) -> Tensor:
    parts = []
    for start in range(0, len(drawn), 50):
        batch = to_unit(drawn[start : start + 50])
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            parts.append(vae.encode(batch).latent_dist.mode().half())
    return torch.cat(parts)


class Denoiser(torch.nn.Module):
    """Text encoders and UNet as one module, so that one optimizer and one average hold them all."""

    def __init__(self, words: CLIPTokenizer) -> None:
        super().__init__()
        self.words = words
        config = model.text_config(len(self.words), self.words.eos_token_id)
        self.first, self.second = CLIPTextModel(config), CLIPTextModelWithProjection(copy.deepcopy(config))
        self.unet = model.unet()
        # Says in training whom a picture shows; it begins silent with each training and does not ship.
        self.whom = torch.nn.Linear(len(DrawnPerson.drawn(0).features()), 3 * model.TEXT_WIDTH, bias=False)
        torch.nn.init.zeros_(self.whom.weight)
        self.subject = words.convert_tokens_to_ids(f"{SUBJECT_TOKEN}</w>")
        if HALF:
            # On a CPU, the fused attention goes backwards so slowly in bfloat16 that a step takes a third longer with it.
            # In float32 it saves a tenth.
            self.unet.set_attn_processor(AttnProcessor())

    def read(self, captions: list[str], people: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What StableDiffusionXLPipeline.encode_prompt computes: penultimate states of both, pooled from the second.

        `people`, (captions, features), are what the word for a known person stands for, and zeros for anybody.
        """
        tokens = self.words(
            captions, padding="max_length", max_length=model.TOKENS, truncation=True, return_tensors="pt"
        ).input_ids
        first = self.first(tokens, output_hidden_states=True).hidden_states[-2]
        second = self.second(tokens, output_hidden_states=True)
        states, pooled = torch.cat([first, second.hidden_states[-2]], dim=-1), second.text_embeds
        if people is not None:
            named = (tokens == self.subject).float()
            whom = self.whom(FEATURE_SCALE * people)
            states = states + named[..., None] * whom[:, None, : states.shape[-1]]
            pooled = pooled + named.amax(1, keepdim=True) * whom[:, states.shape[-1] :]
        return states, pooled

    def forward(self, noisy: Tensor, times: Tensor, states: Tensor, pooled: Tensor) -> Tensor:
        size = torch.tensor([128.0, 128.0, 0.0, 0.0, 128.0, 128.0]).expand(len(noisy), 6)
        added = {"text_embeds": pooled, "time_ids": size}
        predicted: Tensor = self.unet(noisy, times, states, added_cond_kwargs=added).sample
        return predicted


def reword(line: str, rng: np.random.Generator) -> str:
    """Prompts in use say less than captions do, and not always in the same words."""
    head, *rest = line.split(", ")
    kept = [part for part in rest if rng.random() > 0.08]
    text = ", ".join([head, *kept])
    if rng.random() < 0.25:
        text = text.replace("a photo of", str(rng.choice(["a portrait of", "a headshot of"])))
    return text.replace(f"{SUBJECT_TOKEN} person", "a person") if rng.random() < 0.25 else text


def vocabulary(scratch: Path) -> CLIPTokenizer:
    """Made once for a training: made anew, it numbers the words in another order, and a resumed run mixes them up."""
    kept = scratch / "words"
    if not kept.exists():
        model.tokenizer().save_pretrained(kept)
    words: CLIPTokenizer = CLIPTokenizer.from_pretrained(kept)
    return words


class Supply:
    """Latents of one set of pictures, encoded once, with their captions."""

    def __init__(self, folder: Path, vae: Diffusers) -> None:
        drawn, self.captions = pictures.load_all(folder)
        kept = folder / "latents.pt"
        if not kept.exists():
            torch.save(encode_all(vae, drawn), kept)
        self.latents: Tensor = torch.load(kept, weights_only=True)
        self.people = pictures.features(len(self.latents))

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Tensor, list[str], Tensor]:
        """Latents, what captions say of them, and whom they show, or zeros (see KNOWN)."""
        chosen = rng.integers(len(self.latents), size=count)
        told = [self.captions[i][int(rng.random() < TRAITS)] for i in chosen]
        named = torch.from_numpy(rng.random((count, 1)) < KNOWN)
        return self.latents[chosen].float(), told, self.people[chosen] * named


def train_denoiser(
    scratch: Path,
    out: Path,
    vae: Diffusers,
    supply: Supply,
    minutes: float,
    seed: int,
    start: Diffusers = None,
    turn: Tensor | None = None,
) -> None:
    whole = Denoiser(vocabulary(scratch))
    if start is not None:
        grow_denoiser(whole, start)
        if turn is not None:
            turn_denoiser(whole.unet, turn)
    averaged = copy.deepcopy(whole).requires_grad_(False)
    if minutes == 0:
        export(vae, averaged, out)
        return
    optimizer = torch.optim.AdamW(whole.parameters(), lr=UNET_RATE, betas=(0.9, 0.98), weight_decay=1e-2, fused=True)
    alphas = model.scheduler().alphas_cumprod
    weight = _head_weight(HEAD)
    step, clock, ongoing = 0, TimeBudget(minutes), scratch / "denoiser-ongoing.pt"
    if (state := _resume(ongoing)) is not None:
        whole.load_state_dict(state["whole"])
        averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])
        step, clock = state["step"], TimeBudget(minutes, state["used"])
    rng, saved, said, recent = np.random.default_rng((seed, 1, step)), clock.used, time.monotonic(), 0.0
    processors = Processors()
    torch.manual_seed(seed + step)
    while clock.part < 1.0:
        clean, lines, people = supply.draw(UNET_BATCH, rng)
        states, pooled = whole.read([reword(line, rng) for line in lines], people)
        # The pipeline stands zeros for an empty prompt; so does training.
        told = torch.from_numpy(rng.random(UNET_BATCH) >= CAPTION_DROPOUT).float()
        states, pooled = states * told[:, None, None], pooled * told[:, None]
        # A wide logit-normal draw: most steps are spent where the face takes shape, and enough where its marks do.
        times = (torch.sigmoid(torch.randn(UNET_BATCH) * 1.3) * 1000).long().clamp(0, 999)
        signal = alphas[times].view(-1, 1, 1, 1)
        noise = torch.randn_like(clean)
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        wanted = signal.sqrt() * noise - (1 - signal).sqrt() * clean
        with torch.autocast("cpu", torch.bfloat16, enabled=HALF):
            predicted = whole(noisy, times, states, pooled)
        loss = ((predicted.float() - wanted).square() * weight).mean()
        for group in optimizer.param_groups:
            group["lr"] = clock.rate(UNET_RATE if start is None else UNET_RATE_ON, step, warm=150)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(whole.parameters(), 1.0)
        optimizer.step()
        torch.set_num_threads(processors.threads())
        clock.tick()
        step += 1
        _average(averaged, whole, min(AVERAGE, step / (step + 10.0)))
        recent += loss.item() / 50
        if step % 50 == 0:
            pace = 50 / (time.monotonic() - said)
            print(f"denoiser {clock.used:5.1f} min  step {step}  {pace:.2f}/s  loss {recent:.4f}", flush=True)
            said, recent = time.monotonic(), 0.0
        if clock.used - saved > SNAPSHOT_MINUTES or clock.part >= 1.0:
            saved = clock.used
            export(vae, averaged, out)
            state = {
                "whole": whole.state_dict(),
                "averaged": averaged.state_dict(),
                "optimizer": optimizer.state_dict(),
            }
            torch.save(state | {"step": step, "used": clock.used}, ongoing)
            print(f"saved {out}", flush=True)


def _head_weight(more: float) -> Tensor:
    """Of mean 1 over the latent picture, and 1 + `more` times its rim's weight where the head is."""
    line = torch.linspace(-1.0, 1.0, pictures.SIZE // 8)
    high, wide = torch.exp(-(((line + 0.02) / 0.55) ** 4)), torch.exp(-((line / 0.45) ** 4))
    weight = 1.0 + more * high[:, None] * wide
    return weight / weight.mean()


@torch.no_grad()
def _average(averaged: Denoiser, whole: Denoiser, keep: float) -> None:
    torch._foreach_lerp_(list(averaged.parameters()), list(whole.parameters()), 1.0 - keep)


def export(vae: Diffusers, denoiser: Denoiser, out: Path) -> None:
    # Copies, because saving rounds the weights to half precision in place.
    parts = copy.deepcopy(denoiser)
    whole = model.pipeline(copy.deepcopy(vae), parts.unet, parts.first, parts.second, parts.words)
    model.save(whole, out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="an earlier base to go on from")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/likeness-pretrain"))  # noqa: S108
    parser.add_argument("--people", type=int, default=16_000)
    parser.add_argument("--minutes", type=float, default=85.0)
    parser.add_argument("--autoencoder", type=float, default=VAE_SHARE, help="its share; 0 keeps that of --start")
    parser.add_argument(
        "--code-stays", action="store_true", help="of the autoencoder of --start, train the decoder alone"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.code_stays and arguments.start is None:
        parser.error("--code-stays needs --start: a new autoencoder has no code yet")
    torch.manual_seed(arguments.seed)
    scratch = arguments.scratch
    pictures.draw_all(scratch, arguments.people)
    start = load(arguments.start) if arguments.start else None
    minutes = arguments.minutes * arguments.autoencoder
    vae = train_autoencoder(scratch, minutes, arguments.seed, start, arguments.code_stays)
    keeps_code = start is not None and (minutes == 0 or arguments.code_stays)
    turn = None if keeps_code else settle(scratch, vae)
    supply = Supply(scratch, vae)
    minutes = arguments.minutes * (1.0 - arguments.autoencoder)
    train_denoiser(scratch, arguments.out, vae, supply, minutes, arguments.seed, start, turn)


if __name__ == "__main__":
    main()
