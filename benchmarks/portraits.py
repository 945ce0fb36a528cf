"""`make quality PHOTOS=folder`: what studio portraits of photographs are like, one sub-folder a person.

Every photo goes through the product's own inspection, then through `cutout`. Beside the JSON lie contact sheets of what
ships, what the person is asked to look at, and what is refused: whether an edge is flawless is seen by eye only. Figures
by group of skin (individual typology angle of the photo): pictures, how they ended, and by how much tone moved. Eyes and
heads are measured again in what was made, by the ruler of `landmarks`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from batch.vision import landmarks
from batch.vision.presets import CANVAS, EYE_LINE, FACE, PRESETS, cut
from gpu_cluster.cutout.backdrop import backdrop
from likeness.run import folder

# Bounds of the typology angle between groups, in degrees (Chardin, del Bino).
GROUPS = ((55, "very light"), (41, "light"), (28, "intermediate"), (10, "tan"), (-30, "brown"), (-180, "dark"))
SIDE, COLUMNS, ON_A_SHEET = 256, 6, 36


def group(angle: float) -> str:
    return next(name for least, name in GROUPS if angle >= least)


def run(photos: Path, out: Path, words: str) -> dict[str, Any]:
    people = sorted(path for path in photos.iterdir() if path.is_dir()) or [photos]
    wall, rows = backdrop(words), []
    pictures: dict[str, list[tuple[str, Image.Image]]] = {"ship": [], "look": [], "refuse": []}
    for person in people:
        try:
            cuts = list(folder.cut_out(person, most=10_000))
        except folder.NoPhotos:
            continue
        for one in cuts:
            row: dict[str, Any] = {
                "photo": f"{person.name}/{one.photo.name}",
                "verdict": one.verdict,
                "why": one.reasons,
            }
            if one.portrait is not None:
                canvas = one.portrait.on(wall)
                row |= {name: round(value, 4) for name, value in one.portrait.measures.items()}
                row |= _ruled(canvas)
                label = f"{row['photo']} {','.join(one.reasons)}"
                pictures[one.verdict].append((label, cut(canvas, PRESETS["square"]).resize((SIDE, SIDE))))
            rows.append(row)
    for verdict, shown in pictures.items():
        for number in range(0, len(shown), ON_A_SHEET):
            _sheet(shown[number : number + ON_A_SHEET]).save(
                out.with_name(f"{out.stem}-{verdict}-{number // ON_A_SHEET}.png")
            )
    return {"people": len(people), **_figures(rows), "photos": rows}


def _ruled(canvas: Image.Image) -> dict[str, float]:
    faces = landmarks.faces(canvas)
    if not faces:
        return {}
    face = max(faces, key=lambda one: one.height)
    eyes = float((face.right_eye + face.left_eye)[1]) / 2
    return {"eye_line_off": round(eyes / CANVAS - EYE_LINE, 5), "head_size": round(face.height / FACE, 4)}


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    def share(some: list[dict[str, Any]]) -> dict[str, int]:
        return {verdict: sum(row["verdict"] == verdict for row in some) for verdict in ("ship", "look", "refuse")}

    made = [row for row in rows if row["verdict"] != "refuse" and "head_size" in row]
    groups: dict[str, Any] = {}
    for _, name in GROUPS:
        here = [row for row in rows if "ita" in row and group(row["ita"]) == name]
        drifts = [row["drift"] for row in here if row["verdict"] != "refuse"]
        if here:
            groups[name] = share(here) | {
                "drift_mean": round(mean(drifts), 2) if drifts else None,
                "drift_most": round(max(abs(value) for value in drifts), 2) if drifts else None,
            }
    off = [abs(row["eye_line_off"]) for row in made]
    sizes = [abs(row["head_size"] - 1) for row in made]
    return {
        "pictures": len(rows),
        **share(rows),
        "eye_line_off_p95": round(float(np.percentile(off, 95)), 4) if off else None,
        "head_size_off_p95": round(float(np.percentile(sizes, 95)), 4) if sizes else None,
        "by_group": groups,
    }


def _sheet(shown: list[tuple[str, Image.Image]]) -> Image.Image:
    lines = -(-len(shown) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + 4), lines * (SIDE + 18)), "white")
    for place, (label, picture) in enumerate(shown):
        left, top = place % COLUMNS * (SIDE + 4), place // COLUMNS * (SIDE + 18)
        sheet.paste(picture, (left, top))
        ImageDraw.Draw(sheet).text((left + 2, top + SIDE + 2), label[:42], fill="black")
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--backdrop", default="gradient:#c3cad2")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    figures = run(arguments.photos, arguments.out, arguments.backdrop)
    arguments.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps({name: value for name, value in figures.items() if name != "photos"}, indent=2))


if __name__ == "__main__":
    main()
