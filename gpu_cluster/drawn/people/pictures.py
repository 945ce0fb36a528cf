"""The training set: as many pictures as people, each in a scene of its own, with their captions."""

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gpu_cluster.drawn.people.draw import BACKDROPS, DrawnPerson, Scene, caption, draw

SIZE = 128
# Seeds of training people start here, far from those that demos, tests and measurements draw.
FIRST_PERSON = 10_000_000
CHUNK = 500

# Of ten pictures this many are headshots; the others show the whole world of scenes.
HEADSHOTS = 7
PLAIN = tuple(phrase for phrase, (kind, _, _) in BACKDROPS.items() if kind == "plain")


def headshot(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene as headshots have it: near, most often before a plain wall and facing the camera."""
    facing = rng.random() < 0.75
    pose, turn = ("facing the camera", rng.uniform(-0.06, 0.06)) if facing else (scene.pose, scene.turn)
    framing = "close-up" if rng.random() < 0.6 else "head and shoulders"
    backdrop = str(rng.choice(PLAIN)) if rng.random() < 0.75 else scene.backdrop
    return replace(scene, backdrop=backdrop, framing=framing, pose=pose, turn=turn)


def _chunk(seeds: range) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]:
    pictures, captions = [], []
    for seed in seeds:
        rng = np.random.default_rng((3, seed))
        person, scene = DrawnPerson.drawn(seed), Scene.drawn(rng)
        if seed % 10 < HEADSHOTS:
            scene = headshot(scene, rng)
        pictures.append(np.asarray(draw(person, scene, SIZE)))
        captions.append((caption(scene), caption(scene, person)))
    return np.stack(pictures), captions


def draw_all(folder: Path, count: int) -> None:
    """Writes pictures.npy (count, 128, 128, 3) and captions.txt; does nothing when they are there already."""
    done = folder / "captions.txt"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, SIZE, SIZE, 3)
    store = np.lib.format.open_memmap(folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape)
    lines: list[str] = []
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("fork")) as pool:
        starts = range(0, count, CHUNK)
        everybody = range(FIRST_PERSON, FIRST_PERSON + count)
        chunks: Iterable[range] = [everybody[start : start + CHUNK] for start in starts]
        for start, (pictures, captions) in zip(starts, pool.map(_chunk, chunks), strict=True):
            store[start : start + CHUNK] = pictures
            lines += ["\t".join(pair) for pair in captions]
            print(f"drawn {len(lines)} of {count}", flush=True)
    store.flush()
    done.write_text("\n".join(lines) + "\n")


def features(count: int) -> Tensor:
    """(count, features) of the people in the pictures, see person.py."""
    people = range(FIRST_PERSON, FIRST_PERSON + count)
    return torch.from_numpy(np.stack([DrawnPerson.drawn(seed).features() for seed in people]))


def load_all(folder: Path) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]:
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    pairs = [line.split("\t") for line in (folder / "captions.txt").read_text().splitlines()]
    return pictures, [(scene, traits) for scene, traits in pairs]
