"""A base that grows, or whose code is put in order, is, to begin with, the base that it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from gpu_cluster.drawn.learning import grow, model, pretrain, spectrum

pytestmark = pytest.mark.engine
SCENE = "a photo of sks person in a navy suit, on a white backdrop, soft light, close-up, smiling, facing the camera"


def test_a_wider_code_first_draws_the_same_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    with monkeypatch.context() as narrow:
        narrow.setattr(model, "LATENT_CHANNELS", 8)
        old = model.autoencoder()
    new = model.autoencoder()
    sample = torch.rand(4, 3, 32, 32) * 2 - 1
    grow.grow_autoencoder(new, old, sample)
    with torch.no_grad():
        before, after = old.encode(sample).latent_dist.mode(), new.encode(sample).latent_dist.mode()
        assert torch.allclose(after[:, :8], before, atol=1e-4)
        assert after[:, 8:].std() > 0.1  # The new channels carry something, to which the decoder does not listen yet.
        assert torch.allclose(new.decode(after).sample, old.decode(before).sample, atol=1e-4)


def test_a_narrower_code_keeps_its_first_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    with monkeypatch.context() as wide:
        wide.setattr(model, "LATENT_CHANNELS", 24)
        old = model.autoencoder()
        learned = pretrain.Denoiser(model.tokenizer())
        pipeline = model.pipeline(old, learned.unet, learned.first, learned.second, learned.words)
    # Zeros around a picture of the code are not what a bias there would have said.
    torch.nn.init.zeros_(old.post_quant_conv.bias)
    new, goes_on = model.autoencoder(), pretrain.Denoiser(learned.words)
    grow.narrow_autoencoder(new, old)
    grow.grow_denoiser(goes_on, pipeline)
    sample, moment = torch.rand(2, 3, 64, 64) * 2 - 1, torch.tensor([500])
    with torch.no_grad():
        before, after = old.encode(sample).latent_dist.mode(), new.encode(sample).latent_dist.mode()
        kept = after.shape[1]
        assert kept == model.LATENT_CHANNELS
        assert torch.allclose(after, before[:, :kept], atol=1e-4)
        silent = torch.cat([after, torch.zeros_like(before[:, kept:])], dim=1)
        assert torch.allclose(new.decode(after).sample, old.decode(silent).sample, atol=1e-4)
        words = learned.read([SCENE, SCENE])
        assert torch.allclose(goes_on(after, moment, *words), learned(silent, moment, *words)[:, :kept], atol=1e-4)


def test_a_wider_autoencoder_draws_nearly_the_same() -> None:
    torch.manual_seed(0)
    new = model.autoencoder()
    _, _, *deeper = new.config.block_out_channels
    old = AutoencoderKL.from_config({**new.config, "block_out_channels": (16, 32, *deeper)})
    sample = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        wanted, before = (vae.decode(vae.encode(sample).latent_dist.mode()).sample for vae in (old, new))
        grow.widen_autoencoder(new, old)
        after = new.decode(new.encode(sample).latent_dist.mode()).sample
    # Groups of channels are normed together, and what was doubled weighs more in its group.
    assert (after - wanted).square().mean() < 0.1 * (before - wanted).square().mean()


def test_a_training_that_goes_on_reads_words_as_before(tmp_path: Path) -> None:
    first = pretrain.vocabulary(tmp_path)
    code = """
import sys
from pathlib import Path
from gpu_cluster.drawn.learning import pretrain
print(pretrain.vocabulary(Path(sys.argv[1]))(sys.argv[2]).input_ids)
"""
    order = [sys.executable, "-c", code, str(tmp_path), SCENE]
    again = subprocess.run(order, capture_output=True, text=True, check=True, timeout=120)
    assert again.stdout.strip() == str(first(SCENE).input_ids)


def test_a_longer_vocabulary_keeps_what_words_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    with monkeypatch.context() as narrow:
        narrow.setattr(model, "LATENT_CHANNELS", 8)
        narrow.setattr(model, "LEVELS", "")
        old = pretrain.Denoiser(model.tokenizer())
        pipeline = model.pipeline(model.autoencoder(), old.unet, old.first, old.second, old.words)
    new = pretrain.Denoiser(model.tokenizer())
    assert len(new.words) > len(old.words)
    grow.grow_denoiser(new, pipeline)
    noisy = torch.randn(1, model.LATENT_CHANNELS, 16, 16)
    moment = torch.tensor([500])
    with torch.no_grad():
        # The new channels are not listened to yet, and nothing is said about them.
        before = old(noisy[:, :8], moment, *old.read([SCENE]))
        after = new(noisy, moment, *new.read([SCENE]))
    assert torch.allclose(after[:, :8], before, atol=1e-4)
    assert after[:, 8:].abs().max() == 0


def test_a_code_in_order_draws_the_same_pictures() -> None:
    torch.manual_seed(0)
    vae = model.autoencoder()
    sample = torch.rand(24, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(sample).latent_dist.mode()).sample
        turn = spectrum.balance(vae, sample)
        code = vae.encode(sample).latent_dist.mode()
        assert torch.allclose(vae.decode(code).sample, before, atol=1e-4)
    rows = code.permute(0, 2, 3, 1).reshape(-1, model.LATENT_CHANNELS)
    together = torch.cov(rows.T)
    sizes = together.diag().sqrt()
    assert rows.mean(0).abs().max() < 1e-3
    assert sizes[0] == pytest.approx(spectrum.LARGEST, rel=0.01)
    assert (sizes[1:] <= sizes[:-1] * 1.001).all()
    assert (together - torch.diag(together.diag())).abs().max() < 0.01
    assert torch.allclose(turn @ turn.T, torch.eye(model.LATENT_CHANNELS), atol=1e-4)

    def change(channel: int) -> float:
        moved = code[:8].clone()
        moved[:, channel, 1, 1] += sizes[channel]
        with torch.no_grad():
            return float((vae.decode(moved).sample - vae.decode(code[:8]).sample).square().sum())

    assert change(0) > change(model.LATENT_CHANNELS // 2) > change(model.LATENT_CHANNELS - 1)


def test_a_denoiser_follows_the_turn_of_its_code() -> None:
    torch.manual_seed(0)
    one = pretrain.Denoiser(model.tokenizer())
    turn = torch.linalg.qr(torch.randn(model.LATENT_CHANNELS, model.LATENT_CHANNELS)).Q
    noisy, moment = torch.randn(1, model.LATENT_CHANNELS, 16, 16), torch.tensor([500])
    turned = torch.einsum("no,bohw->bnhw", turn, noisy)
    with torch.no_grad():
        words = one.read([SCENE])
        before = torch.einsum("no,bohw->bnhw", turn, one(noisy, moment, *words))
        grow.turn_denoiser(one.unet, turn)
        assert torch.allclose(one(turned, moment, *words), before, atol=1e-4)


def test_a_wider_level_draws_nearly_the_same() -> None:
    torch.manual_seed(0)
    new = pretrain.Denoiser(model.tokenizer())
    old = pretrain.Denoiser(new.words)
    _, *deeper = new.unet.config.block_out_channels
    old.unet = UNet2DConditionModel.from_config({**new.unet.config, "block_out_channels": (64, *deeper)})
    assert sum(part.numel() for part in old.unet.parameters()) < sum(part.numel() for part in new.unet.parameters())
    noisy, moment = torch.randn(1, model.LATENT_CHANNELS, 16, 16), torch.tensor([500])
    with torch.no_grad():
        words = new.read([SCENE])
        wanted = old(noisy, moment, *words)
        before = new(noisy, moment, *words)
        grow.grow_denoiser(new, model.pipeline(model.autoencoder(), old.unet, new.first, new.second, new.words))
        after = new(noisy, moment, *words)

    def like(one: torch.Tensor) -> float:
        return float(torch.nn.functional.cosine_similarity(one.flatten(), wanted.flatten(), dim=0))

    assert abs(like(before)) < 0.5
    assert like(after) > 0.95
