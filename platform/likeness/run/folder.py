"""One person's photos in a folder, looked at and cut out on this machine alone: no server, no database, nothing kept
but what is asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from batch.marks import iptc
from batch.photos import sets
from batch.vision import inspection, presets
from batch.vision.inspection import Finding, Inspection
from batch.vision.views import Floats
from gpu_cluster.cutout import sight
from gpu_cluster.cutout.backdrop import backdrop, of_picture
from gpu_cluster.cutout.limits import LIMITS
from gpu_cluster.cutout.portrait import Portrait, portrait

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif")
SHOWN = 6
"""Portraits of one person at most, as in the product: the person chooses among them."""


class NoPhotos(ValueError):
    """The folder holds no file with the ending of a photo."""


def photos(folder: Path) -> list[Path]:
    """The photos of a folder in the order of their names. Raises NoPhotos."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise NoPhotos(f"There is no photo in {folder}. Photos end in {', '.join(ENDINGS)}.")
    return found


def inspected(folder: Path) -> Iterator[tuple[Path, Inspection, list[Finding]]]:
    """Each photo with its verdict in the order of arrival, as the product gives it once all are there: the photo by
    itself, and what the set says about it, which shows somebody else or nearly the same moment as another one."""
    paths = photos(folder)
    seen = [inspection.inspect(path.read_bytes()) for path in paths]
    for path, one, state in zip(paths, seen, sets.standing(seen), strict=True):
        yield path, one, [*one.findings, *([sets.STANDING[state]] if state in sets.STANDING else [])]


def verdict(path: Path, seen: Inspection, findings: list[Finding]) -> dict[str, object]:
    """One photo's verdict as plain values for JSON; no measure of a face is in it."""
    return {
        "photo": path.name,
        "accepted": seen.accepted and not any(finding.kind in ("reject", "set") for finding in findings),
        "needs_choice": seen.needs_choice,
        "faces": seen.faces,
        "face_pixels": seen.face_pixels,
        "pose": seen.pose,
        "findings": [
            {"code": one.code, "kind": one.kind, "message": one.message, "action": one.action} for one in findings
        ],
    }


@dataclass(frozen=True)
class FolderPhoto:
    """What became of one photo; `portrait` is None when there is no face in it or the inspection refused it."""

    photo: Path
    verdict: str
    reasons: tuple[str, ...]
    sentence: str
    action: str
    portrait: Portrait | None = None


def cut_out(folder: Path, most: int = SHOWN) -> Iterator[FolderPhoto]:
    """The person's portraits, best first, until `most` may be shown; and what was refused, with one sentence each."""
    looked = []
    for path, seen, findings in inspected(folder):
        refused = next((finding for finding in findings if finding.kind in ("reject", "set")), None)
        if seen.needs_choice and refused is None:
            refused = next(finding for finding in findings if finding.code == "several_faces")
        if refused is not None or seen.picture is None:
            said = refused or inspection.FINDINGS["damaged"]
            yield FolderPhoto(path, "refuse", (said.code,), said.message, said.action)
            continue
        found = sight.look(Image.open(io.BytesIO(seen.picture)))
        if found is None:
            limit = LIMITS["no_face"]
            yield FolderPhoto(path, "refuse", ("no_face",), limit.sentence, limit.action)
        else:
            looked.append((path, found))
    sights = [found for _, found in looked]
    own, shown = sight.own_tone(sights), 0
    for at in sight.ranked(sights):
        if shown >= most:
            break
        made = portrait(sights[at], own)
        sentence, action = made.advice or ("", "")
        shown += made.verdict != "refuse"
        yield FolderPhoto(looked[at][0], made.verdict, made.reasons, sentence, action, made)


def behind(words: str) -> Floats:
    """The backdrop that was asked for: words of `backdrop`, or the path of a picture. Raises NoBackdrop."""
    path = Path(words)
    if path.suffix.lower() in ENDINGS and path.is_file():
        with Image.open(path) as picture:
            return of_picture(picture)
    return backdrop(words)


def write(cut: FolderPhoto, wall: Floats, out: Path, loosened: float = 1.0) -> list[Path]:
    """The presets of one portrait as files named after the photo."""
    if cut.portrait is None:
        return []
    out.mkdir(parents=True, exist_ok=True)
    canvas, written = cut.portrait.on(wall), []
    for preset in presets.PRESETS.values():
        data, ending = presets.encoded(presets.cut(canvas, preset, loosened))
        path = out / f"{cut.photo.stem}-{preset.name}.{ending}"
        path.write_bytes(iptc.marked(data, iptc.COMPOSITE))
        written.append(path)
    return written


def loosened(portraits: list[Portrait]) -> float:
    """The one frame of them all: as loose as the one with the most hair needs it."""
    return float(np.clip(max((made.loosening for made in portraits), default=1.0), 1.0, presets.LOOSEST))
