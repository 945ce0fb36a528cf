"""The small base model: StableDiffusionXLPipeline's shape at 128 px, small enough to ship with the program."""

import json
from collections.abc import Iterable
from itertools import chain, product
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from gpu_cluster.drawn.people.draw import BACKDROPS, DRESSES, EXPRESSIONS, FRAMINGS, LIGHTS, POSES, SUBJECT_TOKEN
from gpu_cluster.drawn.people.person import BEARDS, GLASSES, HAIRS, IRISES, LEVELS, MEASURES, SKIN_WORDS, STYLES

# diffusers carries no types: its models and pipelines are Any to the type checker.
Diffusers = Any

# With 48 numbers for 8x8 pixels a small denoiser spends itself on channels that hardly anybody sees, and a
# decoder that is wide enough at full size keeps as much of a face with 16.
LATENT_CHANNELS = 16
# The longest caption with all its traits and measures has 76 tokens.
TOKENS = 80
TEXT_WIDTH = 96
TIME_ID_WIDTH = 32
TIME_WIDTH = 256


def autoencoder(channels: int | None = None) -> Diffusers:
    """Eight pixels to one latent each way. Full-resolution convolutions cost the most, so they are the narrowest.

    `channels` are those of the code, if not LATENT_CHANNELS: an earlier base may have others.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(24, 48, 64, 96),
        layers_per_block=1,
        latent_channels=channels or LATENT_CHANNELS,
        norm_num_groups=4,
        sample_size=128,
        scaling_factor=1.0,
        force_upcast=False,
        mid_block_add_attention=False,
    )


def unet() -> Diffusers:
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * 3,
        # Words are read three times at the coarsest level already; the room went to the finest.
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        # Many more channels at the finest level than latents have: noise is passed on and faces need room beside it.
        block_out_channels=(96, 128, 160),
        layers_per_block=1,
        cross_attention_dim=2 * TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=16,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=TIME_ID_WIDTH,
        time_embedding_dim=TIME_WIDTH,
        projection_class_embeddings_input_dim=6 * TIME_ID_WIDTH + TEXT_WIDTH,
    )


def scheduler() -> Diffusers:
    """The cosine schedule ends in pure noise, so white and black backdrops are in reach; v keeps that end learnable."""
    return EulerDiscreteScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", timestep_spacing="trailing"
    )


def text_config(vocabulary: int, end: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=TEXT_WIDTH,
        intermediate_size=3 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        bos_token_id=end - 1,
        eos_token_id=end,
        pad_token_id=end,
    )


def tokenizer() -> CLIPTokenizer:
    """Every word of the captions is one token; any other text falls apart into bytes and never fails."""
    learner = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    learner.normalizer = normalizers.Lowercase()
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    learner.train_from_iterator(sorted(set(_words())), trainer)
    state = learner.model.__getstate__()
    vocabulary, merges = _vocabulary(state, alphabet)
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)


def _vocabulary(state: bytes, alphabet: list[str]) -> tuple[dict[str, int], list[Any]]:
    learnt = json.loads(state)
    merges = [tuple(pair) for pair in learnt["merges"]]
    order = sorted(learnt["vocab"], key=learnt["vocab"].__getitem__)
    tokens = dict.fromkeys([*alphabet, *(f"{letter}</w>" for letter in alphabet), *order])
    names = [*tokens, "<|startoftext|>", "<|endoftext|>"]
    return {name: number for number, name in enumerate(names)}, merges


def _words() -> Iterable[str]:
    lines: Iterable[str] = chain(
        DRESSES, BACKDROPS, LIGHTS, FRAMINGS, EXPRESSIONS, POSES, HAIRS, IRISES, SKIN_WORDS, STYLES, BEARDS, GLASSES,
        (word + level for word, _, _ in MEASURES.values() for level in LEVELS),
        [f"a photo portrait headshot of {SUBJECT_TOKEN} person employee in on at before with and the , .",
         "bald head skin hair eyes bob cut tied up professional business woman man wearing background"],
    )  # fmt: skip
    for line, form in product(lines, ("{}", "{},")):
        yield from form.format(line).replace(",", " , ").replace("-", " - ").lower().split()


def pipeline(
    vae: Diffusers,
    network: Diffusers,
    first: CLIPTextModel,
    second: CLIPTextModelWithProjection,
    words: CLIPTokenizer,
) -> Diffusers:
    return StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=first,
        text_encoder_2=second,
        tokenizer=words,
        tokenizer_2=words,
        unet=network,
        scheduler=scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def save(whole: Diffusers, folder: Path) -> None:
    """Half precision halves the download; float16 keeps three more bits than bfloat16 and these weights are small."""
    whole.to(dtype=torch.float16)
    whole.save_pretrained(folder, safe_serialization=True)
    # transformers loads in the precision that the configuration names, and a CPU has no use for float16 arithmetic.
    for part in ("text_encoder", "text_encoder_2"):
        config = folder / part / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2) + "\n")
