"""`make calibrate PHOTOS=folder`: how the judge tells people apart, on photographs that somebody has labelled.

    python -m benchmarks.calibrate --photos FOLDER [--groups groups.csv] --out calibration.json

FOLDER has one sub-folder a person, who is not named in what is printed. `groups.csv` (by default the one in FOLDER) has
two columns with a heading: the sub-folder's name and a group of your own choice, such as an age or an origin. Without it
people are grouped by their skin's typology angle, as it was photographed.

Genuine are pairs of one person's photos, impostor pairs of two people's; of a group, two people's of that group. Every
photo is also judged as a headshot is, against the person's other photos (a ratio under 0.70 is refused), and against the
photos of somebody else (the highest ratio there is what must never be reached). No measure of a face is written down.

The names at the top level are those of `judge.json`: such a file in the folder of a base takes the place of the figures
that the product comes with. One false match in a thousand cannot be read off fewer than a thousand pairs, and is then null.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from benchmarks.portraits import group as of_skin
from gpu_cluster.engine.faces import Embedding, Faces
from gpu_cluster.engine.judge import PAIRS_FOR_A_THRESHOLD, PASS_RATIO, Judge, ita, skin
from likeness.run import folder

TARGET_RATIO = 0.85
LARGEST = 1600
"""Pixels of a photo's longer side; the judge looks at no more."""
STRANGERS = 3
"""Photos of each stranger that are judged as if they were headshots of the person."""


@dataclass
class FolderPerson:
    """One person of the folder: photos that show a face, and what the judge measures of each."""

    name: str
    photos: list[Image.Image]
    embeddings: list[Embedding]
    angle: float
    """Median typology angle of the skin, in degrees."""
    unseen: int
    """Photos in which no face was found."""


class TooLittle(ValueError):
    """There are not enough people or photos to compare."""


def read(photos: Path, faces: Faces) -> list[FolderPerson]:
    """Raises TooLittle for fewer than two people with two photos each."""
    people = []
    for place in sorted(path for path in photos.iterdir() if path.is_dir()):
        one = FolderPerson(place.name, [], [], 0.0, 0)
        angles = []
        for path in folder.photos(place):
            photo = _opened(path)
            found = faces.find(photo)
            if not found:
                one.unseen += 1
                continue
            one.photos.append(photo)
            one.embeddings.append(faces.embed(photo, found[0]))
            angles.append(ita(skin(photo, found[0])))
        if one.photos:
            one.angle = median(angles)
            people.append(one)
    if sum(len(one.photos) > 1 for one in people) < 2:
        raise TooLittle(f"{photos} needs at least two sub-folders, one a person, with two photos each.")
    return people


def _opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    upright.thumbnail((LARGEST, LARGEST))
    return upright


def read_groups(path: Path) -> dict[str, str]:
    """Group by sub-folder."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    return {row[0].strip(): row[1].strip() for row in rows[1:] if len(row) > 1}


def distances(people: Sequence[FolderPerson]) -> dict[str, Any]:
    genuine = [_apart(a, b) for one in people for a, b in combinations(one.embeddings, 2)]
    impostor = [
        _apart(a, b) for one, other in combinations(people, 2) for a, b in product(one.embeddings, other.embeddings)
    ]
    many = len(impostor) >= PAIRS_FOR_A_THRESHOLD
    return {
        "people": len(people),
        "photos": sum(len(one.photos) for one in people),
        "without_a_face": sum(one.unseen for one in people),
        "genuine_pairs": len(genuine),
        "genuine_distance_mean": _round(np.mean(genuine)) if genuine else None,
        "genuine_p95": _round(np.percentile(genuine, 95)) if genuine else None,
        "impostor_pairs": len(impostor),
        "impostor_distance_mean": _round(np.mean(impostor)) if impostor else None,
        "impostor_p001": _round(np.percentile(impostor, 0.1)) if many else None,
        "impostor_least": _round(min(impostor)) if impostor else None,
    }


def judged(people: Sequence[FolderPerson], everybody: Sequence[FolderPerson], faces: Faces) -> dict[str, Any]:
    """Each photo of these people as a headshot of theirs, and some of everybody else's as if they were."""
    ratios, strangers = [], []
    reasons: Counter[str] = Counter()
    passed = wrongly = 0
    for one in (one for one in people if len(one.photos) > 1):
        others = [embedding for other in everybody if other is not one for embedding in other.embeddings]
        for at, photo in enumerate(one.photos):
            rest = [kept for place, kept in enumerate(one.photos) if place != at]
            verdict = Judge(rest, (), others, faces=faces).look(photo)
            ratios.append(verdict.likeness_ratio)
            reasons.update(verdict.reasons)
            passed += verdict.passed
        judge = Judge(one.photos, (), others, faces=faces)
        for other in (other for other in everybody if other is not one):
            for photo in other.photos[:STRANGERS]:
                verdict = judge.look(photo)
                strangers.append(verdict.likeness_ratio)
                wrongly += verdict.passed
    return {
        "judged": len(ratios),
        "ratio_mean": _round(np.mean(ratios)) if ratios else None,
        "ratio_spread": _round(np.std(ratios)) if ratios else None,
        "under_0.85": _share(sum(ratio < TARGET_RATIO for ratio in ratios), len(ratios)),
        "under_0.70": _share(sum(ratio < PASS_RATIO for ratio in ratios), len(ratios)),
        "refused": _share(len(ratios) - passed, len(ratios)),
        "refused_for": dict(reasons.most_common()),
        "strangers_judged": len(strangers),
        "strangers_ratio_most": _round(max(strangers)) if strangers else None,
        "strangers_passed": wrongly,
    }


def measure(photos: Path, groups: Path | None = None) -> dict[str, Any]:
    """Raises TooLittle."""
    faces = Faces()
    people = read(photos, faces)
    table = groups or photos / "groups.csv"
    named = read_groups(table) if table.is_file() else None
    figures: dict[str, Any] = distances(people) | judged(people, people, faces)
    figures["grouped_by"] = "groups.csv" if named is not None else "skin, by typology angle"
    parts: dict[str, list[FolderPerson]] = {}
    for one in people:
        parts.setdefault(named.get(one.name, "not named") if named is not None else of_skin(one.angle), []).append(one)
    figures["groups"] = {name: distances(part) | judged(part, people, faces) for name, part in sorted(parts.items())}
    return figures


def table(figures: dict[str, Any]) -> str:
    """One line a group, the whole first."""
    columns = {
        "people": "people", "photos": "photos", "genuine": "genuine_distance_mean", "p95": "genuine_p95",
        "impostor": "impostor_distance_mean", "0.1 %": "impostor_p001", "least": "impostor_least",
        "ratio": "ratio_mean", "< 0.70": "under_0.70", "refused": "refused", "stranger": "strangers_ratio_most",
    }  # fmt: skip
    rows = [("group", *columns)]
    for name, part in (("all", figures), *figures["groups"].items()):
        rows.append((name, *("-" if part[key] is None else str(part[key]) for key in columns.values())))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    )


def _apart(one: Embedding, other: Embedding) -> float:
    return float(np.linalg.norm(one - other))


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _round(figure: Any) -> float:
    return round(float(figure), 4)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--groups", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        figures = measure(arguments.photos, arguments.groups)
    except (TooLittle, folder.NoPhotos, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2), table(figures), sep="\n\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
