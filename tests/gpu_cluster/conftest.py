"""A base of SDXL's shape with random weights, small enough that a training step takes milliseconds."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from PIL import Image
from torch._dynamo.utils import counters
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from gpu_cluster.bases.base import Base
from gpu_cluster.bases.loading import load
from gpu_cluster.bases.recipe import Recipe, named
from gpu_cluster.engine.faces import Faces
from gpu_cluster.engine.train import Trainee

WORDS = 16


def _tokenizer() -> CLIPTokenizer:
    letters = [*string.ascii_lowercase, *(letter + "</w>" for letter in string.ascii_lowercase)]
    names = [*letters, "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={name: i for i, name in enumerate(names)}, merges=[], model_max_length=WORDS)


def _text_config() -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=54, hidden_size=16, intermediate_size=32, projection_dim=16, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=WORDS, bos_token_id=52, eos_token_id=53, pad_token_id=53,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _the_same_numbers() -> None:
    """Each time, whichever files this process ran before."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def small_base() -> Base:
    """The one that ships."""
    return load(named("portrait-small"))


@pytest.fixture(scope="session")
def faces() -> Faces:
    return Faces()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    pipeline = StableDiffusionXLPipeline(
        vae=AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(8, 16), layers_per_block=1, latent_channels=4, norm_num_groups=4, sample_size=16,
            scaling_factor=1.0, force_upcast=False, mid_block_add_attention=False,
        ),
        text_encoder=CLIPTextModel(_text_config()),
        text_encoder_2=CLIPTextModelWithProjection(_text_config()),
        tokenizer=_tokenizer(),
        tokenizer_2=_tokenizer(),
        unet=UNet2DConditionModel(
            sample_size=8, in_channels=4, out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), block_out_channels=(8, 16), layers_per_block=1,
            cross_attention_dim=32, attention_head_dim=2, norm_num_groups=4, use_linear_projection=True,
            addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=64,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing"
        ),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny-base")
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


@pytest.fixture(scope="session")
def tiny_recipe(tiny_folder: Path) -> Recipe:
    return Recipe(
        name="tiny", base=str(tiny_folder), licence="Apache-2.0", resolution=16, steps=6, learning_rate=1e-2, rank=2,
        batch=2, warmup=2, checkpoint_every=2, render_steps=3, render_batch=2, pictures=4, smallest=16,
    )  # fmt: skip


@pytest.fixture
def tiny_base(tiny_recipe: Recipe) -> Base:
    return load(tiny_recipe)


@pytest.fixture
def exact_base(tiny_recipe: Recipe) -> Base:
    """In float64, where two ways of computing the same thing differ by rounding only."""
    base = load(tiny_recipe)
    base.pipeline.to(torch.float64)
    return base


@pytest.fixture
def make_subject() -> Callable[..., Trainee]:
    def make(key: str, photos: int = 3) -> Trainee:
        rng = np.random.default_rng(sum(key.encode()))
        pictures = [Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)) for _ in range(photos)]
        return Trainee(key, pictures, [f"a photo number {'abcdefgh'[i]}" for i in range(photos)])

    return make


@pytest.fixture
def watch_compiler() -> Iterator[Callable[[], int]]:
    """How many pieces of code torch has compiled meanwhile. Fails where it gave one up, or left a part of one out."""
    torch.compiler.reset()
    counters.clear()

    def compiled() -> int:
        assert not counters["graph_break"]
        assert counters["frames"]["ok"] == counters["frames"]["total"]
        return int(counters["frames"]["ok"])

    yield compiled
    torch.compiler.reset()
