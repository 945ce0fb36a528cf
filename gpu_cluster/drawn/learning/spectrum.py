"""Orders the channels of the small base's code by what they do to a picture.

A trained code spreads over its channels as it likes: all have the same size, though one moves the whole face and another
a hundredth of an eyelid. Noise then hides all of them at the same moment, and most of the denoiser's loss is about what
hardly anybody sees. Here the channels are turned into the directions that change the picture most, then second most, and
so on, each independent of the others, and the small ones are made small. Noise hides those first, so a face is drawn from
the coarse to the fine, as it is by models that work on pixels.
"""

import torch
from torch import Tensor

from gpu_cluster.drawn.learning.model import Diffusers

# How strongly sizes follow the effect on the picture: 0 makes all channels alike, 1 gives them the size they have in
# pixels. At 1 the smallest would be a 250th of the largest, far under the last step of a picture drawn in twelve.
FOLLOW = 0.4
# Standard deviation of the largest channel.
LARGEST = 2.0
# Impulses this many places apart are sent at once. They overlap a little, all channels' alike.
APART = 4


@torch.no_grad()
def balance(vae: Diffusers, pictures: Tensor) -> Tensor:
    """Folds the turn and the sizes into the 1x1 convolutions around the code, whose mean becomes 0.

    `pictures` are some hundred (n, 3, height, width) in -1..1; twenty-four of them measure the effects. The pictures that
    the autoencoder draws stay the same. Returns the turn (new channels, old channels), by which a denoiser of the old code
    is turned as well.
    """
    codes = torch.cat([vae.encode(some).latent_dist.mode() for some in torch.split(pictures, 16)])
    rows = codes.permute(0, 2, 3, 1).reshape(-1, codes.shape[1]).double()
    mean = rows.mean(0)
    root, inverse = _roots(torch.cov((rows - mean).T))
    powers, turn = torch.linalg.eigh(root @ _effects(vae, codes[:24]) @ root)
    powers, turn = powers.flip(0).clamp_min(1e-12), turn.flip(1)
    size = LARGEST * (powers / powers[0]).pow(FOLLOW / 2)
    there, back = (size[:, None] * (turn.T @ inverse)).float(), (root @ turn / size).float()

    channels, middle = codes.shape[1], mean.float()
    into, out_of = vae.quant_conv, vae.post_quant_conv
    weight, bias = into.weight[:channels, :, 0, 0].clone(), into.bias[:channels].clone()
    into.weight[:channels, :, 0, 0], into.bias[:channels] = there @ weight, there @ (bias - middle)
    # Variances do not turn; what is drawn from the posterior is the mode in all but name.
    into.weight[channels:], into.bias[channels:] = 0.0, -9.0
    weight = out_of.weight[:, :, 0, 0].clone()
    out_of.weight[:, :, 0, 0] = weight @ back
    out_of.bias += weight @ middle
    turned: Tensor = turn.T.float()
    return turned


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Its square root and the inverse of that."""
    powers, axes = torch.linalg.eigh(covariance)
    spread = powers.clamp_min(1e-10).sqrt()
    return (axes * spread) @ axes.T, (axes / spread) @ axes.T


def _effects(vae: Diffusers, codes: Tensor) -> Tensor:
    """(channels, channels): what a unit step in one channel and one in another change in common, summed over pixels."""
    channels = codes.shape[1]
    effects = torch.zeros(channels, channels, dtype=torch.float64)
    for some in torch.split(codes, 3):
        before = vae.decode(some).sample
        changes = []
        for channel in range(channels):
            moved = some.clone()
            moved[:, channel, APART // 2 :: APART, APART // 2 :: APART] += 0.5
            changes.append((vae.decode(moved).sample - before).flatten())
        stacked = torch.stack(changes)
        effects += (stacked @ stacked.T).double()
    return effects
