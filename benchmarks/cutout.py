"""`make bench-cutout`: seconds and memory of studio portraits, and what 500 people with six each would take.

    python -m benchmarks.cutout --photos FOLDER --out cutout.json

Without FOLDER the one photograph that comes with the test tools is used, in six frames: its figures are those of one
person. Each worker is a process with one thread, as in the product; two of them share two cores. The cold start is that
of a new process, in seconds of the clock and of the processor: the clock's say little while other programs run. Memory is
the most that one process held.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image

PEOPLE, PICTURES = 500, 6
# The figures to meet.
SECONDS, MEGABYTES, START_SECONDS, MINUTES = 1.2, 600, 2.0, 30


def _one(path: str) -> tuple[float, float, str]:
    from batch.vision.presets import PRESETS, cut, encoded
    from gpu_cluster.cutout import sight
    from gpu_cluster.cutout.backdrop import backdrop
    from gpu_cluster.cutout.portrait import portrait

    wall, cpu, clock = backdrop("gradient:#c3cad2"), time.process_time(), time.perf_counter()
    found = sight.look(Image.open(path))
    verdict = "refuse"
    if found is not None:
        made = portrait(found, None)
        verdict = made.verdict
        encoded(cut(made.on(wall), PRESETS["square"]))
    return time.process_time() - cpu, time.perf_counter() - clock, verdict


def _worker(paths: list[str], answers: Any) -> None:
    # The first picture loads the networks, which is part of the start.
    _one(paths[0])
    results = [_one(path) for path in paths]
    answers.put((results, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def measure(paths: list[str], workers: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    answers, clock = context.SimpleQueue(), time.perf_counter()
    processes = [context.Process(target=_worker, args=(paths, answers)) for _ in range(workers)]
    for process in processes:
        process.start()
    said = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    results = [result for answer, _ in said for result in answer]
    cpu = sum(result[0] for result in results) / len(results)
    wall = sum(result[1] for result in results) / len(results) / workers
    verdicts = [result[2] for result in results[: len(paths)]]
    return {
        "workers": workers,
        "pictures": len(results),
        "cpu_seconds_a_picture": round(cpu, 3),
        "seconds_a_picture": round(wall, 3),
        "peak_mb_a_process": round(max(peak for _, peak in said)),
        f"minutes_for_{PEOPLE}_people": round(wall * PEOPLE * PICTURES / 60, 1),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in ("ship", "look", "refuse")},
        "seconds_in_all": round(time.perf_counter() - clock, 1),
    }


def cold_start() -> tuple[float, float]:
    """Seconds until a new process may cut its first picture, over those of an empty one: the clock's, the processor's."""
    code = (
        "from gpu_cluster.cutout import hands, portrait, segment; from batch.vision import landmarks;"
        " landmarks.networks(); segment.network(); hands.network()"
    )
    walls, cpus = [], []
    for program in ("pass", code, code):
        before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - clock)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(walls[1:]) - walls[0], min(cpus[1:]) - cpus[0]


def frames(folder: Path) -> list[str]:
    import skimage.data

    photo = Image.fromarray(skimage.data.astronaut()).resize((2048, 2048), Image.Resampling.LANCZOS)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(PICTURES):
        path = folder / f"{number}.jpg"
        photo.crop((40 * number, 20 * number, 2048 - 30 * number, 2048 - 10 * number)).save(path, quality=95)
        paths.append(str(path))
    return paths


def main() -> None:
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.photos:
            endings = (".jpg", ".jpeg", ".png", ".webp")
            paths = [str(path) for path in sorted(arguments.photos.rglob("*")) if path.suffix.lower() in endings]
        else:
            paths = frames(Path(folder))
        if not paths:
            raise SystemExit(f"There is no photo in {arguments.photos}.")
        start, start_cpu = cold_start()
        figures = {
            "machine": {"cpus": os.cpu_count(), "load": os.getloadavg()[0]},
            "aims": {"cpu_seconds": SECONDS, "peak_mb": MEGABYTES, "start_seconds": START_SECONDS, "minutes": MINUTES},
            "start_seconds": round(start, 2),
            "start_cpu_seconds": round(start_cpu, 2),
            "alone": measure(paths, 1),
            "together": measure(paths, arguments.workers),
        }
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
