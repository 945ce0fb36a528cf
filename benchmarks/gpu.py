"""`make bench-gpu`: what a GPU makes of an SDXL: training packed and alone beside diffusers' script, rendering, waiting.

    python -m benchmarks.gpu --out gpu.json [--peer DIFFUSERS] [--peer-path EXTRA_PACKAGES] [--packs 1,2,4,8,12]

No weights are needed: speed does not depend on their values, so a base of SDXL's shape is built with random ones and
saved as a diffusers folder (7 GB beside --out's folder, removed at the end). Every contender is a process of its own and
runs twice, in the order A B C C B A:

* the script as its documentation has it (bf16, gradient checkpointing), and at its best (bf16, TF32, no checkpointing);
* this trainer with one person and with packs, blocks compiled, and the largest pack not compiled;
* rendering: pictures of one person at several batch sizes, with their adapter merged;
* waiting: how long a training stands still for a checkpoint that is kept, and how long loading the base takes, which the
  second order of a company does not pay.

A contender that fails, for want of memory for instance, keeps its row with its error. On a machine without a GPU nothing
is measured: the report says so, with the protocol, and the exit status is 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import training
from gpu_cluster.bases.recipe import Recipe, named

STEPS, WARM_AFTER = 60, 20
"""The first steps compile, allocate and choose kernels."""
PICTURES, BATCHES = 16, (1, 4, 8)
PHOTOS = 8
TRAIN_TFLOP_1024 = 14.19
"""Of one sample-step of SDXL's adapters at 1,024 pixels, counted on meta tensors."""
PEERS = {
    "script, as documented": {"mixed_precision": "bf16", "gradient_checkpointing": None},
    "script, at its best": {"mixed_precision": "bf16", "allow_tf32": None},
}


def protocol(packs: list[int]) -> list[str]:
    """The rows of the report, in the order of the first round."""
    trained = [f"pack of {people}" for people in packs]
    return [*PEERS, *trained, f"pack of {packs[-1]}, not compiled", *(f"rendered by {size}" for size in BATCHES)]


def build(folder: Path, *, tiny: bool) -> None:
    """A base of SDXL's shape with random weights in bfloat16; `tiny` is for trying the protocol on a processor."""
    import torch
    from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

    words = Path(named("portrait-small").source())
    tokenizers = [CLIPTokenizer.from_pretrained(words / name, model_max_length=77) for name in ("tokenizer", "tokenizer_2")]
    torch.manual_seed(0)
    shared = {"vocab_size": max(len(one) for one in tokenizers), "eos_token_id": tokenizers[0].eos_token_id}
    small, large = ((16, 2, 2), (16, 2, 2)) if tiny else ((768, 12, 12), (1280, 32, 20))
    configs = [
        CLIPTextConfig(
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads,
            projection_dim=width, max_position_embeddings=77, **shared,
        )
        for width, layers, heads in (small, large)
    ]  # fmt: skip
    channels = (8, 16, 16) if tiny else (320, 640, 1280)
    unet = UNet2DConditionModel(
        sample_size=8 if tiny else 128, in_channels=4, out_channels=4, block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), layers_per_block=1 if tiny else 2,
        transformer_layers_per_block=1 if tiny else (1, 2, 10), cross_attention_dim=small[0] + large[0],
        attention_head_dim=2 if tiny else (5, 10, 20), use_linear_projection=True, norm_num_groups=4 if tiny else 32,
        addition_embed_type="text_time", addition_time_embed_dim=8 if tiny else 256,
        projection_class_embeddings_input_dim=large[0] + 6 * (8 if tiny else 256),
    )  # fmt: skip
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4,
        block_out_channels=(4,) * 4 if tiny else (128, 256, 512, 512), layers_per_block=1 if tiny else 2,
        norm_num_groups=4 if tiny else 32, sample_size=1024, scaling_factor=0.13025,
    )  # fmt: skip
    StableDiffusionXLPipeline(
        vae=vae, text_encoder=CLIPTextModel(configs[0]), text_encoder_2=CLIPTextModelWithProjection(configs[1]),
        tokenizer=tokenizers[0], tokenizer_2=tokenizers[1], unet=unet, add_watermarker=False,
        scheduler=EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"),
        force_zeros_for_empty_prompt=True,
    ).to(torch.bfloat16).save_pretrained(folder)  # fmt: skip


def contend(what: str, recipe: Recipe, device: str, report: Path) -> None:
    """One contender of ours, in its own process."""
    import torch

    from gpu_cluster.bases.loading import load
    from gpu_cluster.drawn.people.draw import selfies
    from gpu_cluster.engine.render import Shot, render
    from gpu_cluster.engine.train import Trainee, train

    started = time.perf_counter()
    base = load(recipe, device)
    loaded = time.perf_counter() - started
    trace: list[tuple[int, float, float]] = []

    kept: list[int] = []

    def keep(states: dict[str, Any]) -> None:
        """The copy to the processor's memory, which the training waits for, is made before; sealing goes on beside."""
        kept.append(len(states))

    people = recipe.pack if what == "train" else 1
    subjects = [
        Trainee(str(seed), [picture for picture, _ in selfies(seed, PHOTOS, 512)], ["a photo of a person"] * PHOTOS)
        for seed in range(people)
    ]
    adapters = train(
        base, recipe if what == "train" else replace(recipe, steps=5), subjects,
        progress=lambda step, steps, loss: trace.append((step, time.perf_counter(), loss)), keep=keep,
    )  # fmt: skip
    figures: dict[str, Any] = {"load_seconds": round(loaded, 1), "states_kept": sum(kept)}
    if what == "train":
        warm = [row for row in trace if row[0] >= min(WARM_AFTER, recipe.steps // 2)]
        seconds = warm[-1][1] - warm[0][1]
        rate = people * recipe.batch * (warm[-1][0] - warm[0][0]) / seconds
        figures |= {"sample_steps_per_s": round(rate, 3), "tflop_per_s": round(rate * TRAIN_TFLOP_1024, 1)}
        gaps = [after[1] - before[1] for before, after in pairwise(warm)]
        # Among these steps is one after which the states were kept.
        figures["pause_for_a_checkpoint_seconds"] = round(max(gaps) - median(gaps), 3)
    else:
        shots = [
            Shot(base.prompt("light grey", "navy suit", "close-up", "soft light"), seed) for seed in range(PICTURES)
        ]
        list(render(base, recipe, adapters["0"], shots[: recipe.render_batch]))
        begun = time.perf_counter()
        made = len(list(render(base, recipe, adapters["0"], shots)))
        figures["seconds_a_picture"] = round((time.perf_counter() - begun) / made, 3)
    if device == "cuda":
        figures["peak_gpu_mb"] = torch.cuda.max_memory_allocated() // 2**20
    report.write_text(json.dumps(figures))


def measured(row: str, recipe: Recipe, device: str, peer: Path | None, extra: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="likeness-benchmark-") as folder:
        if row in PEERS:
            if peer is None:
                return {"error": "not measured"}
            return training.run_peer(recipe, peer / training.SCRIPT, extra, Path(folder), PEERS[row])
        if row.startswith("rendered"):
            what, chosen = "render", replace(recipe, render_batch=int(row.split()[-1]))
        else:
            people = int(row.split()[2].strip(","))
            what, chosen = "train", replace(recipe, pack=people, compiled=recipe.compiled and "not" not in row)
        report = Path(folder) / "report.json"
        order = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu", "--contender", what, "--device", device]
        order += ["--as", json.dumps(chosen.as_dict()), "--out", str(report)]
        _, memory, code, said = training.process(order, {})
        if code != 0:
            return {"error": training.last_line(said)}
        return json.loads(report.read_text()) | {"peak_memory_mb": memory}


def run(recipe: Recipe, device: str, packs: list[int], peer: Path | None, extra: str, rounds: int) -> dict[str, Any]:
    rows = protocol(packs)
    runs: dict[str, list[dict[str, Any]]] = {row: [] for row in rows}
    for turn in range(rounds):
        for row in rows if turn % 2 == 0 else reversed(rows):
            runs[row].append(measured(row, recipe, device, peer, extra))
            print(row, {name: value for name, value in runs[row][-1].items() if name != "loss"}, flush=True)
    speeds = {row: training.speed(found) for row, found in runs.items() if not row.startswith("rendered")}
    theirs = speeds[list(PEERS)[1]]
    ours = [speed for row, speed in speeds.items() if row not in PEERS and speed]
    return {
        "sample_steps_per_s": speeds,
        "ratio_best": round(max(ours) / theirs, 2) if ours and theirs else None,
        "contenders": runs,
    }


def gpu() -> dict[str, str] | None:
    """Name, driver, clocks and memory of the first one; None where there is none that torch can use."""
    import torch

    if not torch.cuda.is_available():
        return None
    asked = ("name", "driver_version", "clocks.max.sm", "clocks.sm", "memory.total", "power.limit")
    order = ["nvidia-smi", f"--query-gpu={','.join(asked)}", "--format=csv,noheader"]
    try:
        said = subprocess.run(order, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {"name": torch.cuda.get_device_name()}
    return dict(zip(asked, (part.strip() for part in said.splitlines()[0].split(",")), strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--peer", type=Path, help="a checkout of diffusers")
    parser.add_argument("--peer-path", default="", help="further packages for the peer, such as torchvision")
    parser.add_argument("--packs", default="1,2,4,8,12")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--device", default="cuda", choices=("cuda", "cpu"), help="cpu: a tiny base, to try the protocol"
    )
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="values", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        recipe = Recipe.from_dict(json.loads(arguments.values))
        contend(arguments.contender, recipe, arguments.device, arguments.out)
        return
    from benchmarks.quality import machine

    packs, card = sorted({1, *map(int, arguments.packs.split(","))}), gpu()
    figures: dict[str, Any] = {"machine": machine(), "gpu": card, "protocol": protocol(packs)}
    if arguments.device == "cuda" and card is None:
        figures |= {"measured": False, "why": "not measured: this machine has no GPU that torch can use"}
    else:
        tiny = arguments.device == "cpu"
        with tempfile.TemporaryDirectory(prefix="sdxl-", dir=arguments.out.resolve().parent) as folder:
            build(Path(folder), tiny=tiny)
            recipe = replace(
                named("sdxl"), base=folder, licence="Apache-2.0", steps=arguments.steps,
                # diffusers' script knows one side, and steps are compared with its own.
                also_at=(), checkpoint_every=arguments.steps // 2,
            )  # fmt: skip
            if tiny:
                recipe = replace(recipe, dtype="float32", resolution=64, compiled=False, render_steps=2, rank=2)
            figures["recipe"] = recipe.as_dict() | {"base": "built with random weights"}
            figures |= {"measured": True} | run(
                recipe, arguments.device, packs, arguments.peer, arguments.peer_path, arguments.rounds
            )
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps({name: value for name, value in figures.items() if name != "contenders"}, indent=2))


if __name__ == "__main__":
    main()
