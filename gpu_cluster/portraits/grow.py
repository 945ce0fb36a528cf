"""Goes on from an earlier, narrower base: what both have is taken over, and what is new begins where it does no harm.

Days of small trainings then add up: a wider code or a longer vocabulary does not send the whole base back to noise.
"""

from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor, nn

from gpu_cluster.portraits.model import Diffusers


def load(folder: Path) -> Diffusers:
    return StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)  # type: ignore[no-untyped-call]


@torch.no_grad()
def grow_autoencoder(new: Diffusers, old: Diffusers, sample: Tensor) -> None:
    """Makes `new` the code of `old`, and lets its further channels carry what the old code leaves out of `sample`.

    `sample` are pictures (n, 3, height, width) in -1..1. The decoder does not listen to the new channels yet.
    """
    had, has = old.config.latent_channels, new.config.latent_channels
    features: list[Tensor] = []
    hook = old.encoder.conv_out.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    codes = torch.cat([old.encode(part).latent_dist.mode() for part in torch.split(sample, 16)])
    hook.remove()
    seen, told = _rows(torch.cat(features)), _rows(codes)
    mean = seen.mean(0)
    told = torch.cat([told, torch.ones(len(told), 1)], dim=1)
    left = seen - told @ torch.linalg.lstsq(told, seen).solution
    powers, axes = torch.linalg.eigh((left.T @ left / len(left)).double())
    axes, spread = axes.flip(1)[:, : has - had].float(), powers.flip(0)[: has - had].clamp_min(1e-8).sqrt().float()

    _take(new, old)
    # Both heads give means first and log-variances behind them; in the new one these lie further apart.
    theirs = torch.cat([torch.arange(had), torch.arange(had) + has])
    head = new.encoder.conv_out
    head.weight.zero_()
    head.bias[has:] = -6.0
    head.weight[theirs], head.bias[theirs] = old.encoder.conv_out.weight, old.encoder.conv_out.bias
    weight = axes.T / spread[:, None]
    head.weight[had:has, :, 1, 1], head.bias[had:has] = weight, -(weight @ mean)
    for part, before, places in (
        (new.quant_conv, old.quant_conv, theirs),
        (new.post_quant_conv, old.post_quant_conv, torch.arange(had)),
    ):
        part.weight[:, :, 0, 0], part.bias[:] = torch.eye(part.out_channels), 0.0
        part.weight[places[:, None], places], part.bias[places] = before.weight, before.bias
    first = new.decoder.conv_in
    first.weight.zero_()
    first.weight[:, :had], first.bias[:] = old.decoder.conv_in.weight, old.decoder.conv_in.bias


@torch.no_grad()
def grow_denoiser(new: Diffusers, old: Diffusers) -> None:
    """`new` is the pretraining's Denoiser, `old` a pipeline; words that both know keep their meaning."""
    _take(new.unet, old.unet)
    for layer, before in ((new.unet.conv_in, old.unet.conv_in), (new.unet.conv_out, old.unet.conv_out)):
        had_out, had_in = before.weight.shape[:2]
        if layer.weight.shape != before.weight.shape:
            layer.weight.zero_()
            layer.bias.zero_()
            layer.weight[:had_out, :had_in], layer.bias[:had_out] = before.weight, before.bias
    known = old.tokenizer.get_vocab()
    for encoder, before in ((new.first, old.text_encoder), (new.second, old.text_encoder_2)):
        _take(encoder, before)
        embeddings = {name: part for name, part in encoder.named_modules() if isinstance(part, nn.Embedding)}
        for name, part in embeddings.items():
            earlier = before.get_submodule(name).weight
            if "position" in name:
                part.weight[: len(earlier)] = earlier
            else:
                for word, number in new.words.get_vocab().items():
                    if word in known:
                        part.weight[number] = earlier[known[word]]


@torch.no_grad()
def turn_denoiser(unet: Diffusers, turn: Tensor) -> None:
    """Follows a turn (new channels, old channels) of the code. Sizes that changed with it are left to be learned."""
    first, last = unet.conv_in, unet.conv_out
    first.weight.copy_(torch.einsum("koxy,no->knxy", first.weight, turn))
    last.weight.copy_(torch.einsum("no,ocxy->ncxy", turn, last.weight))
    last.bias.copy_(turn @ last.bias)


def _take(new: nn.Module, old: nn.Module) -> None:
    """Weights of the same name and shape."""
    before = old.state_dict()
    for name, weight in new.state_dict().items():
        if name in before and before[name].shape == weight.shape:
            weight.copy_(before[name])


def _rows(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])
