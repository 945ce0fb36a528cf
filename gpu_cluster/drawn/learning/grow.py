"""Goes on from an earlier base: what both have is taken over, and what is new begins where it does no harm.

Days of small trainings then add up: another width or a longer vocabulary does not send the whole base back to noise.
"""

from pathlib import Path

import torch
from diffusers import StableDiffusionXLPipeline
from torch import Tensor, nn

from gpu_cluster.drawn.learning.model import Diffusers


def load(folder: Path) -> Diffusers:
    return StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)


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
def narrow_autoencoder(new: Diffusers, old: Diffusers) -> None:
    """Makes `new` the first channels of the code of `old`, and drops the rest.

    In a code in order (spectrum.py) these change a picture most, and the mean of the others is 0, so the decoder draws what
    it drew where they say nothing.
    """
    has = new.config.latent_channels
    _take(new, old)
    into, out_of = old.quant_conv, old.post_quant_conv
    head, last = new.encoder.conv_out, old.encoder.conv_out
    head.weight.zero_()
    head.bias[has:] = -6.0
    head.weight[:has] = torch.einsum("ko,oixy->kixy", into.weight[:has, :, 0, 0], last.weight)
    head.bias[:has] = into.weight[:has, :, 0, 0] @ last.bias + into.bias[:has]
    first = old.decoder.conv_in
    new.decoder.conv_in.weight.copy_(torch.einsum("oixy,ik->okxy", first.weight, out_of.weight[:, :has, 0, 0]))
    new.decoder.conv_in.bias.copy_(first.bias + torch.einsum("oixy,i->o", first.weight, out_of.bias))
    for part in (new.quant_conv, new.post_quant_conv):
        part.weight[:, :, 0, 0], part.bias[:] = torch.eye(part.out_channels), 0.0


@torch.no_grad()
def widen_autoencoder(new: Diffusers, old: Diffusers) -> None:
    """Where only widths differ: levels that are half as wide again draw nearly what they drew."""
    _take(new, old)
    _widen(new, old)


@torch.no_grad()
def grow_denoiser(new: Diffusers, old: Diffusers) -> None:
    """`new` is the pretraining's Denoiser, `old` a pipeline; words that both know keep their meaning.

    Levels that are half as wide again, and levels that no longer read words, draw nearly what they drew.
    """
    _take(new.unet, old.unet)
    _widen(new.unet, old.unet)
    # One side of these is as wide as the finest level, the other as the code. Channels that are new say nothing yet; of a
    # code that became narrower, the first channels stay.
    first, last = new.unet.conv_in, new.unet.conv_out
    for layer in (first, last):
        layer.weight.zero_()
        layer.bias.zero_()
    both = min(old.unet.config.in_channels, first.in_channels)
    first.weight[:, :both] = _outputs(old.unet.conv_in.weight[:, :both], first.out_channels)
    first.bias.copy_(_outputs(old.unet.conv_in.bias, first.out_channels))
    last.weight[:both] = _inputs(old.unet.conv_out.weight[:both], last.in_channels)
    last.bias[:both] = old.unet.conv_out.bias[:both]
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


def _widen(new: nn.Module, old: nn.Module) -> None:
    """Every second channel of a level that is half as wide again becomes two (Net2Net, arXiv:1511.05641).

    Whoever reads the two reads unequal shares of each, so that they part as they learn.
    """
    before = old.state_dict()
    for name, weight in new.state_dict().items():
        earlier = before.get(name)
        if earlier is None or earlier.shape == weight.shape or name.startswith(("conv_in", "conv_out")):
            continue
        grown = _outputs(earlier, len(weight))
        if name.endswith("to_q.weight"):
            # Queries meet keys twice at what was doubled, and are divided by the root of a longer length.
            grown = _inputs(earlier.T, len(weight)).T * (len(weight) / len(earlier)) ** 0.5
        weight.copy_(_inputs(grown, weight.shape[1]) if grown.dim() > 1 else grown)


def _outputs(weight: Tensor, has: int) -> Tensor:
    return weight[_origins(len(weight), has)[0]]


def _inputs(weight: Tensor, has: int) -> Tensor:
    parts, shares = _origins(weight.shape[1], has)
    return weight[:, parts] * shares.view(-1, *[1] * (weight.dim() - 2))


def _origins(had: int, has: int) -> tuple[Tensor, Tensor]:
    """For each new channel, the old one that it comes from and its share in it; the last channels are those that grow."""
    growing = 2 * (has - had)
    start = had - growing
    grown = start + torch.arange(growing).view(-1, 2)[:, [0, 1, 1]].flatten()
    share = 0.3 + 0.4 * torch.rand(growing // 2)
    shares = torch.stack([torch.ones_like(share), share, 1 - share], dim=1).flatten()
    return torch.cat([torch.arange(start), grown]), torch.cat([torch.ones(start), shares])


def _rows(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])
