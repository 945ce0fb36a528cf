"""Training speed beside diffusers' own DreamBooth script, on the same machine, base, photos, rank and layers.

    python -m benchmarks.training --out training.json [--peer DIFFUSERS] [--peer-path EXTRA_PACKAGES]
        [--batch 1] [--compiled]

`--peer` is a checkout of diffusers, whose examples/dreambooth/train_dreambooth_lora_sdxl.py runs as it is, offline.
It needs torchvision, which the project does not; `--peer-path` may name a folder that has it. Without a peer its row
says "not measured".

Every contender is a process of its own and runs twice, in the order A B C C B A, so that a machine that slows down
slows all of them. Two clocks: `sample_steps_per_s` between the third step and the last (pictures times steps), and
`seconds_to_adapter` from the start of the process to the saved adapters. A contender that fails keeps its row, with
its error.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen
from types import MappingProxyType
from typing import Any

from gpu_cluster.bases.recipe import Recipe, named
from gpu_cluster.drawn.people.draw import selfies

SCRIPT = "examples/dreambooth/train_dreambooth_lora_sdxl.py"
CAPTION = "a photo of sks person"
PHOTOS = 6
WARM_AFTER = 3
"""Steps before the clock starts: the first ones allocate memory and choose kernels."""


def ours(recipe: Recipe, people: int, report: Path) -> None:
    """One contender, in its own process: writes its trace of (step, seconds since the epoch, loss)."""
    from safetensors.torch import save_file

    from gpu_cluster.bases.loading import load
    from gpu_cluster.engine import train as trainer

    trainer.READ_LOSS_EVERY = 1
    trace: list[tuple[int, float, float]] = []
    subjects = [
        trainer.Trainee(str(seed), [picture for picture, _ in selfies(seed, PHOTOS, 512)], [CAPTION] * PHOTOS)
        for seed in range(people)
    ]
    base = load(recipe)
    adapters = trainer.train(
        base, recipe, subjects, progress=lambda step, steps, loss: trace.append((step, time.time(), loss))
    )
    for key, lora in adapters.items():
        save_file(lora, report.with_name(f"{key}.safetensors"))
    report.write_text(json.dumps(trace))


def _run_ours(recipe: Recipe, people: int, folder: Path) -> dict[str, Any]:
    report = folder / "report.json"
    order = [sys.executable, "-W", "ignore", "-m", "benchmarks.training", "--contender", str(people)]
    order += ["--as", json.dumps(recipe.as_dict()), "--out", str(report)]
    started, memory, code, said = process(order, {})
    if code != 0:
        return {"error": last_line(said)}
    ended = time.time()
    return _figures(
        [tuple(row) for row in json.loads(report.read_text())], started, ended, people * recipe.batch, memory
    )


def run_peer(
    recipe: Recipe, script: Path, extra: str, folder: Path, changes: Mapping[str, str | None] = MappingProxyType({})
) -> dict[str, Any]:
    """`changes` are further options of the script; those without a value are flags."""
    photos = folder / "photos"
    photos.mkdir()
    for i, (picture, _) in enumerate(selfies(0, PHOTOS, 512)):
        picture.save(photos / f"{i}.png")
    options = {
        "pretrained_model_name_or_path": recipe.source(),
        "instance_data_dir": photos,
        "instance_prompt": CAPTION,
        "output_dir": folder / "adapter",
        "resolution": recipe.resolution,
        "rank": recipe.rank,
        "train_batch_size": recipe.batch,
        "gradient_accumulation_steps": 1,
        "max_train_steps": recipe.steps,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler": "cosine",
        "lr_warmup_steps": recipe.warmup,
        "checkpointing_steps": 10 * recipe.steps,
        "mixed_precision": "no",
        "seed": 0,
    }
    order = [sys.executable, "-W", "ignore", str(script.resolve()), "--center_crop"]
    for name, value in (options | dict(changes)).items():
        order.append(f"--{name}" if value is None else f"--{name}={value}")
    path = os.pathsep.join(part for part in (os.environ.get("PYTHONPATH", ""), extra) if part)
    trace: list[tuple[int, float, float]] = []

    def heard(text: str) -> None:
        # tqdm's line: "Steps:  25%|##   | 3/12 [00:04<00:12,  1.4s/it, loss=0.31, lr=0.003]"
        found = re.search(r"Steps:.*?(\d+)/\d+ \[.*loss=([\d.naninf]+)", text)
        if found and (not trace or trace[-1][0] != int(found[1])):
            trace.append((int(found[1]), time.time(), float(found[2])))

    offline = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": path, "TQDM_MININTERVAL": "0"}
    started, memory, code, said = process(order, offline, heard, cwd=folder)
    if code != 0 or not trace:
        return {"error": last_line(said)}
    return _figures(trace, started, time.time(), recipe.batch, memory)


def process(
    order: list[str], changes: dict[str, str], heard: Any = None, cwd: Path | None = None
) -> tuple[float, int, int, str]:
    """When it started, its largest memory in MB, its exit status and what it said."""
    started = time.time()
    process = Popen(order, stdout=PIPE, stderr=STDOUT, cwd=cwd, env={**os.environ, **changes}, bufsize=0)
    assert process.stdout is not None
    said, line = bytearray(), bytearray()
    while chunk := process.stdout.read(4096):
        said += chunk
        for byte in chunk:
            if byte in b"\r\n":
                if heard:
                    heard(line.decode(errors="replace"))
                line.clear()
            else:
                line.append(byte)
    _, status, used = os.wait4(process.pid, 0)
    return started, used.ru_maxrss // 1024, os.waitstatus_to_exitcode(status), said.decode(errors="replace")


def _figures(
    trace: list[tuple[int, float, float]], started: float, ended: float, pictures: int, memory: int
) -> dict[str, Any]:
    warm = [row for row in trace if row[0] >= WARM_AFTER]
    steps, seconds = warm[-1][0] - warm[0][0], warm[-1][1] - warm[0][1]
    return {
        "sample_steps_per_s": round(pictures * steps / seconds, 3),
        "seconds_to_adapter": round(ended - started, 1),
        "peak_memory_mb": memory,
        "loss": [[step, round(loss, 4)] for step, _, loss in trace],
    }


def last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def speed(runs: list[dict[str, Any]]) -> float | None:
    speeds = [run["sample_steps_per_s"] for run in runs if "sample_steps_per_s" in run]
    return round(sum(speeds) / len(speeds), 3) if speeds else None


def run(recipe: Recipe, packs: list[int], peer: Path | None, extra: str, rounds: int) -> dict[str, Any]:
    from benchmarks.quality import machine

    runs: dict[str, list[dict[str, Any]]] = {"peer": [], **{f"pack of {people}": [] for people in packs}}
    names = [name for name in runs if name != "peer" or peer]
    for turn in range(rounds):
        for name in names if turn % 2 == 0 else reversed(names):
            with tempfile.TemporaryDirectory(prefix="likeness-benchmark-") as folder:
                if name == "peer":
                    assert peer is not None
                    result = run_peer(recipe, peer / SCRIPT, extra, Path(folder))
                else:
                    people = int(name.split()[-1])
                    result = _run_ours(replace(recipe, pack=people), people, Path(folder))
            runs[name].append(result)
            print(name, {key: value for key, value in result.items() if key != "loss"}, flush=True)
    if peer is None:
        runs["peer"] = [{"error": "not measured"}]
    theirs, single = speed(runs["peer"]), speed(runs["pack of 1"])
    packed = {str(people): speed(runs[f"pack of {people}"]) for people in packs if people > 1}
    best = max((speed for speed in packed.values() if speed), default=None)
    memories = {name: max((r.get("peak_memory_mb", 0) for r in found), default=0) for name, found in runs.items()}
    return {
        "machine": machine(),
        "recipe": recipe.as_dict(),
        "photos_each": PHOTOS,
        "peer_sample_steps_per_s": theirs if theirs else "not measured" if peer is None else "failed",
        "single_sample_steps_per_s": single,
        "packed_sample_steps_per_s": packed,
        "ratio_single": round(single / theirs, 2) if single and theirs else None,
        "ratio_packed": round(best / theirs, 2) if best and theirs else None,
        "peak_memory_mb": memories,
        "contenders": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--peer", type=Path, help="a checkout of diffusers")
    parser.add_argument("--peer-path", default="", help="further packages for the peer, such as torchvision")
    parser.add_argument("--packs", default="1,2,4,8,12")
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--compiled", action="store_true", help="ours with the network's blocks compiled")
    parser.add_argument("--contender", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--as", dest="values", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.contender:
        ours(Recipe.from_dict(json.loads(arguments.values)), arguments.contender, arguments.out)
        return
    # The script adapts attention only, so everybody does here.
    recipe = replace(
        named("portrait-small"), steps=arguments.steps, batch=arguments.batch, targets="attention",
        checkpoint_every=10 * arguments.steps, compiled=arguments.compiled,
    )  # fmt: skip
    packs = sorted({1, *map(int, arguments.packs.split(","))})
    figures = run(recipe, packs, arguments.peer, arguments.peer_path, arguments.rounds)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    for name in ("peer_sample_steps_per_s", "single_sample_steps_per_s", "packed_sample_steps_per_s"):
        print(name, figures[name])
    print("ratio_single", figures["ratio_single"], "ratio_packed", figures["ratio_packed"])


if __name__ == "__main__":
    main()
