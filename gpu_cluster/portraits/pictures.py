"""The training set: as many pictures as people, each in a scene of its own, with their captions."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gpu_cluster.portraits.draw import Person, Scene, caption, draw

SIZE = 128
# Seeds of training people start here, far from those that demos, tests and measurements draw.
FIRST_PERSON = 10_000_000
CHUNK = 500


def _chunk(start: int) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]:
    pictures, captions = [], []
    for seed in range(FIRST_PERSON + start, FIRST_PERSON + start + CHUNK):
        person, scene = Person.drawn(seed), Scene.drawn(np.random.default_rng((3, seed)))
        pictures.append(np.asarray(draw(person, scene, SIZE)))
        captions.append((caption(scene), caption(scene, person)))
    return np.stack(pictures), captions


def draw_all(folder: Path, count: int, workers: int = 2) -> None:
    """Writes pictures.npy (count, 128, 128, 3) and captions.txt; does nothing when they are there already."""
    done = folder / "captions.txt"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    shape = (count, SIZE, SIZE, 3)
    store = np.lib.format.open_memmap(folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape)
    lines: list[str] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        starts: Iterable[int] = range(0, count, CHUNK)
        for start, (pictures, captions) in zip(starts, pool.map(_chunk, starts), strict=True):
            store[start : start + CHUNK] = pictures
            lines += ["\t".join(pair) for pair in captions]
            print(f"drawn {len(lines)} of {count}", flush=True)
    store.flush()
    done.write_text("\n".join(lines) + "\n")


def load_all(folder: Path) -> tuple[NDArray[np.uint8], list[tuple[str, str]]]:
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    pairs = [line.split("\t") for line in (folder / "captions.txt").read_text().splitlines()]
    return pictures, [(scene, traits) for scene, traits in pairs]
