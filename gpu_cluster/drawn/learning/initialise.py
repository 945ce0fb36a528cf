"""A start for the autoencoder that beats ten minutes of training: principal components in, least squares out.

All residual branches begin silent, so what is left is a chain of resampling convolutions. On the way in they take the
picture apart into the principal components of ever larger blocks; on the way out each is fitted, one after the other,
to the picture that the next finer level should hold. About 25 dB stand before the first step; random weights needed
hundreds of steps to get there and confused colours on the way.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gpu_cluster.drawn.learning.model import LATENT_CHANNELS, Diffusers

# A constant this large, beside signals of spread 1, makes a group norm nearly linear.
ANCHOR = 8.0


@torch.no_grad()
def initialise(vae: Diffusers, sample: Tensor) -> None:
    """`sample` holds a few hundred pictures (n, 3, 128, 128) in -1..1; the weights are changed in place."""
    for name, parameter in vae.named_parameters():
        if "norm" not in name:
            parameter.mul_(0.5 if ".conv1." in name else 0.0)
    for part in (vae.quant_conv, vae.post_quant_conv):
        _pass_on(part)
    _initialise_encoder(vae.encoder, sample)
    latents = torch.cat([vae.encode(some).latent_dist.mode() for some in _parts(sample)])
    _initialise_decoder(vae.decoder, latents, sample)


def _parts(images: Tensor) -> list[Tensor]:
    """Sixteen pictures at a time: activations at full resolution would not fit the memory otherwise."""
    return [images[start : start + 16] for start in range(0, len(images), 16)]


def _pass_on(convolution: torch.nn.Conv2d, channels: int | None = None) -> None:
    """The middle tap copies channel i to channel i."""
    middle = convolution.kernel_size[0] // 2
    for i in range(channels or min(convolution.in_channels, convolution.out_channels)):
        convolution.weight[i, i, middle, middle] = 1.0


def _principal(values: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, directions (as columns) and spreads of the columns of `values`."""
    mean = values.mean(0)
    powers, directions = torch.linalg.eigh(torch.cov((values - mean).T.double()))
    return mean, directions.flip(1)[:, :count].float(), powers.flip(0)[:count].clamp_min(1e-8).sqrt().float()


def _rows(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def _initialise_encoder(encoder: Diffusers, sample: Tensor) -> None:
    _pass_on(encoder.conv_in)
    signal = sample
    for block in encoder.down_blocks[:3]:
        resnet, down = block.resnets[0], block.downsamplers[0].conv
        if resnet.conv_shortcut is not None:
            _pass_on(resnet.conv_shortcut, signal.shape[1])
        split = functional.pixel_unshuffle(signal, 2)
        kept = min(split.shape[1], down.out_channels)
        if kept == split.shape[1]:
            directions = torch.eye(kept)
        else:
            _, directions, _ = _principal(_rows(split), kept)
        # Each strided convolution sees the 2x2 block it stands for at its first two taps.
        taps = directions.T.reshape(kept, signal.shape[1], 2, 2)
        down.weight[:kept, : signal.shape[1], :2, :2] = taps
        signal = torch.einsum("nchw,ck->nkhw", split, directions)
    mean, directions, spreads = _principal(_rows(signal), signal.shape[1])
    last = encoder.down_blocks[3].resnets[0].conv_shortcut
    size = last.out_channels // encoder.conv_norm_out.num_groups
    room = size - 4
    weight = (directions / spreads).T
    for i in range(signal.shape[1]):
        place = (i // room) * size + i % room
        last.weight[place, : signal.shape[1], 0, 0] = weight[i]
        last.bias[place] = -(weight[i] @ mean)
    for group in range(encoder.conv_norm_out.num_groups):
        start = group * size + room
        last.bias[start : start + 2], last.bias[start + 2 : start + 4] = ANCHOR, -ANCHOR
    encoder.conv_norm_out.weight.fill_(1.5)
    encoder.conv_norm_out.bias.fill_(3.0)
    wanted = _code(signal - mean.view(1, -1, 1, 1), sample)
    features: list[Tensor] = []
    hook = encoder.conv_out.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    for some in _parts(sample):
        encoder(some)
    hook.remove()
    fitted = _fit(torch.cat(features), wanted)
    encoder.conv_out.weight[:LATENT_CHANNELS], encoder.conv_out.bias[:LATENT_CHANNELS] = fitted
    # Latents start almost certain.
    encoder.conv_out.bias[LATENT_CHANNELS:] = -5.0


@torch.enable_grad()
def _code(signal: Tensor, sample: Tensor, steps: int = 900) -> Tensor:
    """The latents from which nearest-neighbour enlarging and one convolution restore most of the picture.

    Plain principal components are not those: a convolution after enlarging cannot draw a jump inside a block unless
    the neighbouring latents differ. So a linear coder and decoder learn together, at a thousandth of the model's cost.
    """
    wanted = functional.pixel_unshuffle(sample, 4)
    coder = torch.nn.Conv2d(signal.shape[1], LATENT_CHANNELS, 3, padding=1)
    decoder = torch.nn.Conv2d(LATENT_CHANNELS, wanted.shape[1], 3, padding=1)
    line = torch.linspace(-1.0, 1.0, wanted.shape[-1])
    # The face is in the middle, and a brow matters more than a book.
    weight = 1.0 + 4.0 * torch.exp(-((line / 0.45) ** 2)) * torch.exp(-(((line + 0.1) / 0.5) ** 2))[:, None]
    optimizer = torch.optim.Adam([*coder.parameters(), *decoder.parameters()], lr=1e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1.0 - step / steps)
        chosen = torch.randint(len(sample), (16,))
        latents = functional.batch_norm(coder(signal[chosen]), None, None, training=True)
        drawn = decoder(functional.interpolate(latents, scale_factor=2.0, mode="nearest"))
        loss = ((drawn - wanted[chosen]).square() * weight).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            print(f"code {step + 1}  {loss.item():.4f}", flush=True)
    with torch.no_grad():
        latents = torch.cat([coder(some) for some in _parts(signal)])
        return (latents - latents.mean((0, 2, 3), keepdim=True)) / latents.std((0, 2, 3), keepdim=True)


def _initialise_decoder(decoder: Diffusers, latents: Tensor, sample: Tensor) -> None:
    _pass_on(decoder.conv_in)
    signal = latents
    for block, shrink in zip(decoder.up_blocks[:3], (4, 2, 1), strict=True):
        first = block.resnets[0]
        if first.conv_shortcut is not None:
            _pass_on(first.conv_shortcut, signal.shape[1])
        wanted = functional.pixel_unshuffle(sample, shrink) if shrink > 1 else sample
        signal = functional.interpolate(signal, scale_factor=2.0, mode="nearest")
        weight, bias = _fit(signal, wanted)
        convolution = block.upsamplers[0].conv
        convolution.weight[: len(bias), : signal.shape[1]], convolution.bias[: len(bias)] = weight, bias
        signal = torch.cat([functional.conv2d(some, weight, bias, padding=1) for some in _parts(signal)])
    last = decoder.up_blocks[3].resnets[0].conv_shortcut
    size = last.out_channels // decoder.conv_norm_out.num_groups
    for place in range(0, last.out_channels, size):
        last.weight[place, (place // size) % 3, 0, 0] = 1.0
        last.bias[place + 1], last.bias[place + 2] = ANCHOR / 4, -ANCHOR / 4
    decoder.conv_norm_out.weight.fill_(2.0)
    decoder.conv_norm_out.bias.fill_(3.0)
    features: list[Tensor] = []
    hook = decoder.conv_out.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0]))
    for some in _parts(latents):
        decoder(some)
    hook.remove()
    decoder.conv_out.weight[:], decoder.conv_out.bias[:] = _fit(torch.cat(features), sample)


def _fit(given: Tensor, wanted: Tensor, seen: int = 8_000) -> tuple[Tensor, Tensor]:
    """The 3x3 convolution (weight, bias) that comes nearest to `wanted`, by ridge regression on places drawn at will."""
    channels = given.shape[1]
    gram = torch.zeros(channels * 9 + 1, channels * 9 + 1, dtype=torch.float64)
    against = torch.zeros(channels * 9 + 1, wanted.shape[1], dtype=torch.float64)
    height, width = given.shape[2:]
    padded = functional.pad(given, (1, 1, 1, 1))
    taps = torch.arange(3)
    for some, goal in zip(_parts(padded), _parts(wanted), strict=True):
        which, y, x = (torch.randint(most, (seen,)) for most in (len(some), height, width))
        rows, columns = (y[:, None] + taps)[:, :, None], (x[:, None] + taps)[:, None, :]
        patches = some[which[:, None, None], :, rows, columns].permute(0, 3, 1, 2).reshape(seen, -1)
        inputs = torch.cat([patches, torch.ones(seen, 1)], dim=1)
        gram += (inputs.T @ inputs).double()
        against += (inputs.T @ goal[which, :, y, x]).double()
    gram.diagonal().add_(1e-5 * gram.diagonal().mean())
    solved = torch.linalg.solve(gram, against).float()
    return solved[:-1].T.reshape(-1, channels, 3, 3), solved[-1]
