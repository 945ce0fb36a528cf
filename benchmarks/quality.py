"""How much the headshots of the small base look like their people, on drawn people it has never seen.

    python -m benchmarks.quality --people 8 --seed 1 --out quality.json

Every person hands in eight selfies, of which two are kept from the training and judged by, exactly as in the product.
The prompts are headshots that none of the selfies shows: near, mostly before a plain wall and facing the camera. Beside
the JSON lies a contact sheet. Figures:

* `likeness_ratio_*`: similarity to the held-out selfies over that of the selfies among themselves (see `judge.py`);
  `real_ratio_mean` is what new, truthful drawings of the person get, `base_ratio_mean` the base without an adapter.
* `false_match_rate`: share of headshots that would pass as each other person of the run.
* `prompt_followed`: share of pictures in which the probe that ships with the base reads both the dress and the backdrop
  that were asked for; `prompt_followed_dress` and `_backdrop` each alone, and `prompt_followed_ceiling` both for
  truthful drawings.
* `by_group`: people, likeness ratio and share that passed, by skin, glasses and beard, with `real_ratio_mean` beside them:
  what the judge itself makes of truthful drawings of the group.

Trainings run to their last step here; in the product, a recipe with `look_every` may end one early.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw

from gpu_cluster.bases.base import Base
from gpu_cluster.bases.loading import load
from gpu_cluster.bases.recipe import Recipe, named, recipes
from gpu_cluster.drawn.learning.probe import Probe
from gpu_cluster.drawn.people.draw import DrawnPerson, Scene, caption, draw, selfies
from gpu_cluster.drawn.people.pictures import headshot
from gpu_cluster.engine.faces import Faces
from gpu_cluster.engine.judge import Calibration, Judge, JudgeVerdict, alike, split_held_out
from gpu_cluster.engine.render import Shot, render
from gpu_cluster.engine.train import Trainee, train

SELFIES = 8


def run(
    recipe: Recipe,
    people: int,
    seed: int,
    shots: int,
    captions: str,
    sheet: Path | None = None,
    base: Base | None = None,
) -> dict[str, Any]:
    """Trains, renders and judges `people` drawn people in packs.

    `captions` is "read" (by the base's reader, as in the product) or "scene" (the truth).
    """
    started = time.perf_counter()
    base = base or load(recipe)
    faces, calibration = Faces(), Calibration.of(recipe.source())
    clock = {"load": time.perf_counter() - started, "train": 0.0, "render": 0.0, "judge": 0.0}
    seeds = [1000 * seed + i for i in range(people)]
    photos, told, kept = {}, {}, {}
    for person in seeds:
        handed_in = [(picture, faces.find(picture), said) for picture, said in selfies(person, SELFIES, 512)]
        # As in the product, what shows no face is left out: some two in a hundred drawings.
        drawn = [(faces.crop(picture, found[0]), said) for picture, found, said in handed_in if found]
        training, held_out = split_held_out([picture for picture, _ in drawn])
        photos[person] = [drawn[i][0] for i in training]
        told[person] = [drawn[i][1] if captions == "scene" else base.caption(drawn[i][0]) for i in training]
        kept[person] = [drawn[i][0] for i in held_out]
    heads = {person: [faces.head(photo) for photo in photos[person]] for person in seeds}
    fronts = {person: [faces.front(photo) for photo in photos[person]] for person in seeds}

    marked = time.perf_counter()
    losses: list[tuple[int, float]] = []
    adapters = train(
        base,
        recipe,
        [Trainee(str(p), photos[p], told[p], heads[p], fronts[p]) for p in seeds],
        seed=seed,
        progress=lambda step, steps, loss: losses.append((step, round(loss, 4))),
    )
    clock["train"] = time.perf_counter() - marked

    marked = time.perf_counter()
    judges = {person: Judge(kept[person], photos[person], calibration=calibration, faces=faces) for person in seeds}
    clock["judge"] += time.perf_counter() - marked
    scenes = {person: [_scene(seed, person, i) for i in range(shots)] for person in seeds}
    wanted = {p: [Shot(caption(scene), 100 * p + i) for i, scene in enumerate(scenes[p])] for p in seeds}
    images: dict[int, list[Image.Image]] = {}
    verdicts: dict[int, list[JudgeVerdict]] = {}
    for person in seeds:
        marked = time.perf_counter()
        lora = adapters[str(person)]
        images[person] = [image for _, image in render(base, recipe, lora, wanted[person])]
        clock["render"] += time.perf_counter() - marked
        marked = time.perf_counter()
        verdicts[person] = [judges[person].look(image) for image in images[person]]
        clock["judge"] += time.perf_counter() - marked

    without = [image for p in seeds for _, image in render(base, recipe, None, wanted[p][:1])]
    real = {person: [draw(DrawnPerson.drawn(person), scene, 512) for scene in scenes[person][:4]] for person in seeds}
    real_ratios = {person: [judges[person].look(image).likeness_ratio for image in real[person]] for person in seeds}
    ratios = {person: [verdict.likeness_ratio for verdict in verdicts[person]] for person in seeds}
    everything = [verdict for person in seeds for verdict in verdicts[person]]
    strangers = [
        judges[other].look(image).passed
        for person in seeds
        for other in seeds
        if other != person
        for image in images[person][:2]
    ]
    probe = Probe.load(Path(recipe.source()) / "probe.safetensors")
    followed = [_read(probe, scene, image) for p in seeds for scene, image in zip(scenes[p], images[p], strict=True)]
    drawn_right = [_read(probe, scene, image) for p in seeds for scene, image in zip(scenes[p], real[p], strict=False)]
    figures = {
        "people": people,
        "seed": seed,
        "headshots_each": shots,
        "captions": captions,
        "recipe": recipe.as_dict(),
        "base_ratio_mean": _mean(judges[p].look(image).likeness_ratio for p, image in zip(seeds, without, strict=True)),
        "real_ratio_mean": _mean(ratio for person in seeds for ratio in real_ratios[person]),
        "likeness_ratio_mean": _mean(ratio for person in seeds for ratio in ratios[person]),
        "likeness_ratio_worst": round(min(float(np.mean(ratios[person])) for person in seeds), 4),
        "likeness_ratio_of_passed": _mean(verdict.likeness_ratio for verdict in everything if verdict.passed),
        "passed": _mean(verdict.passed for verdict in everything),
        "false_match_rate": _mean(strangers) if strangers else None,
        "prompt_followed": _mean(all(one) for one in followed),
        "prompt_followed_dress": _mean(dress for dress, _ in followed),
        "prompt_followed_backdrop": _mean(backdrop for _, backdrop in followed),
        "prompt_followed_ceiling": _mean(all(one) for one in drawn_right),
        "alike": _mean(alike(images[person]) for person in seeds),
        "alike_real": _mean(alike(real[person]) for person in seeds),
        "reasons": _count(reason for verdict in everything for reason in verdict.reasons),
        "by_group": by_group(verdicts, real_ratios),
        "by_person": {str(person): round(float(np.mean(ratios[person])), 4) for person in seeds},
        "seconds": {stage: round(seconds, 1) for stage, seconds in clock.items()},
        "seconds_per_person": round(sum(clock.values()) / people, 1),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "machine": machine(),
        "loss": losses,
    }
    if sheet is not None:
        contact_sheet([(kept[p] + photos[p][:1], images[p], ratios[p]) for p in seeds], without).save(sheet)
    return figures


def by_group(verdicts: Mapping[int, list[JudgeVerdict]], real: Mapping[int, list[float]]) -> dict[str, dict[str, float]]:
    """Figures of each group of which anybody is there; `real` are the judge's ratios of truthful drawings."""
    members: dict[str, list[int]] = {}
    for seed in verdicts:
        person = DrawnPerson.drawn(seed)
        skin = ("the fairest third of skins", "the middle third", "the deepest third")[min(2, int(person.skin / 2))]
        for group in (skin, person.glasses, person.beard):
            members.setdefault(group, []).append(seed)
    return {
        group: {
            "people": len(seeds),
            "likeness_ratio_mean": _mean(verdict.likeness_ratio for seed in seeds for verdict in verdicts[seed]),
            "real_ratio_mean": _mean(ratio for seed in seeds for ratio in real[seed]),
            "passed": _mean(verdict.passed for seed in seeds for verdict in verdicts[seed]),
        }
        for group, seeds in sorted(members.items())
    }


def machine() -> dict[str, Any]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "torch": torch.__version__,
    }


def contact_sheet(
    rows: Sequence[tuple[list[Image.Image], list[Image.Image], list[float]]],
    without: Sequence[Image.Image],
    side: int = 128,
) -> Image.Image:
    """A row for each person: three selfies, the base without adapter, then the headshots with their ratios."""
    columns = max(len(real) + 1 + len(made) for real, made, _ in rows)
    sheet = Image.new("RGB", (columns * (side + 4), len(rows) * (side + 18)), "white")
    for row, (real, made, ratios) in enumerate(rows):
        labels = ["selfie"] * len(real) + ["base"] + [f"{ratio:.2f}" for ratio in ratios]
        for column, (image, label) in enumerate(zip([*real, without[row], *made], labels, strict=True)):
            place = (column * (side + 4), row * (side + 18))
            sheet.paste(image.resize((side, side), Image.Resampling.LANCZOS), place)
            ImageDraw.Draw(sheet).text((place[0] + 4, place[1] + side + 2), label, fill="black")
    return sheet


def _scene(seed: int, person: int, number: int) -> Scene:
    rng = np.random.default_rng((seed, person, number))
    return headshot(Scene.drawn(rng), rng)


def _read(probe: Probe, scene: Scene, image: Image.Image) -> tuple[bool, bool]:
    """Whether dress and backdrop are those of the scene."""
    seen = probe.read(image)
    return seen.dress == scene.dress, seen.backdrop == scene.backdrop


def _mean(values: Any) -> float:
    found = [float(value) for value in values]
    return round(float(np.mean(found)), 4) if found else 0.0


def _count(words: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--headshots", type=int, default=8)
    parser.add_argument("--recipe", default="portrait-small", choices=sorted(recipes()))
    parser.add_argument("--captions", default="read", choices=("read", "scene"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=JSON", help="change one number of the recipe"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    changes = {name: json.loads(value) for name, _, value in (change.partition("=") for change in arguments.set)}
    recipe = replace(named(arguments.recipe), **changes)
    figures = run(
        recipe,
        arguments.people,
        arguments.seed,
        arguments.headshots,
        arguments.captions,
        arguments.out.with_suffix(".png"),
    )
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps({name: value for name, value in figures.items() if name not in ("recipe", "loss")}, indent=2))


if __name__ == "__main__":
    main()
