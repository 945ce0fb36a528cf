"""`make calibrate PHOTOS=folder`: how the judge tells people apart, on photographs that somebody has labelled.

    python -m benchmarks.calibrate --photos FOLDER [--groups groups.csv] --out calibration.json

FOLDER has one sub-folder a person, who is not named in what is printed. `groups.csv` (by default the one in FOLDER) has
two columns with a heading: the sub-folder's name and a group of your own choice, such as an age or an origin. Without it
people are grouped by their skin's typology angle, as it was photographed.

Genuine are pairs of one person's photos, impostor pairs of two people's; of a group, two people's of that group. Every
photo is measured once, which is what takes the time, and compared as often as there are people. It is also judged as a
headshot is, against the person's other photos (a ratio under 0.70 is refused), and against the photos of somebody else
(the highest ratio there is what must never be reached). No measure of a face is written down.

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
from gpu_cluster.engine.faces import Faces
from gpu_cluster.engine.judge import PAIRS_FOR_A_THRESHOLD, PASS_RATIO, Judge, JudgeVerdict, PictureMeasures, ita
from likeness.run import folder

TARGET_RATIO = 0.85
LARGEST = 1600
"""Pixels of a photo's longer side; the judge looks at no more."""
STRANGERS = 3
"""Photos of each stranger that are judged as if they were headshots of the person."""


@dataclass
class FolderPerson:
    """One person of the folder, with what the judge measures of each photo that shows a face."""

    name: str
    photos: list[PictureMeasures]
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
        measured = [PictureMeasures.of(_opened(path), faces) for path in folder.photos(place)]
        if found := [one for one in measured if one]:
            angle = median(ita(one.skin) for one in found)
            people.append(FolderPerson(place.name, found, angle, len(measured) - len(found)))
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
    genuine = [_apart(a, b) for one in people for a, b in combinations(one.photos, 2)]
    impostor = [_apart(a, b) for one, other in combinations(people, 2) for a, b in product(one.photos, other.photos)]
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


@dataclass(frozen=True)
class PersonJudged:
    """Each photo of one person as a headshot of theirs, and some of everybody else's as if they were."""

    own: list[JudgeVerdict]
    strangers: list[JudgeVerdict]


def judge(one: FolderPerson, everybody: Sequence[FolderPerson], faces: Faces) -> PersonJudged:
    """A single photo has no other to be compared with, and gives nothing."""
    if len(one.photos) < 2:
        return PersonJudged([], [])
    others = [other for other in everybody if other is not one]
    embeddings = [photo.embedding for other in others for photo in other.photos]
    own = [
        Judge([kept for kept in one.photos if kept is not photo], (), embeddings, faces=faces).look(photo)
        for photo in one.photos
    ]
    with_all = Judge(one.photos, (), embeddings, faces=faces)
    return PersonJudged(own, [with_all.look(photo) for other in others for photo in other.photos[:STRANGERS]])


def verdicts(people: Sequence[PersonJudged]) -> dict[str, Any]:
    own, strangers = ([one for person in people for one in getattr(person, side)] for side in ("own", "strangers"))
    ratios = [one.likeness_ratio for one in own]
    return {
        "judged": len(own),
        "ratio_mean": _round(np.mean(ratios)) if own else None,
        "ratio_spread": _round(np.std(ratios)) if own else None,
        "under_0.85": _share(sum(ratio < TARGET_RATIO for ratio in ratios), len(own)),
        "under_0.70": _share(sum(ratio < PASS_RATIO for ratio in ratios), len(own)),
        "refused": _share(sum(not one.passed for one in own), len(own)),
        "refused_for": dict(Counter(reason for one in own for reason in one.reasons).most_common()),
        "strangers_judged": len(strangers),
        "strangers_ratio_most": _round(max(one.likeness_ratio for one in strangers)) if strangers else None,
        "strangers_passed": sum(one.passed for one in strangers),
    }


def measure(photos: Path, groups: Path | None = None) -> dict[str, Any]:
    """Raises TooLittle."""
    faces = Faces()
    people = read(photos, faces)
    table = groups or photos / "groups.csv"
    named = read_groups(table) if table.is_file() else None
    looked = [judge(one, people, faces) for one in people]
    figures: dict[str, Any] = distances(people) | verdicts(looked)
    figures["grouped_by"] = "groups.csv" if named is not None else "skin, by typology angle"
    groups_of = [named.get(one.name, "not named") if named is not None else of_skin(one.angle) for one in people]
    figures["groups"] = {
        name: distances([one for one, group in zip(people, groups_of, strict=True) if group == name])
        | verdicts([one for one, group in zip(looked, groups_of, strict=True) if group == name])
        for name in sorted(set(groups_of))
    }
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


def _apart(one: PictureMeasures, other: PictureMeasures) -> float:
    return float(np.linalg.norm(one.embedding - other.embedding))


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
