"""One person's photos in a folder, looked at and cut out on this machine alone: no server, no database, nothing kept
but what is asked for."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from batch.marks import iptc
from batch.photos import sets
from batch.vision import inspection, landmarks, pictures, presets
from batch.vision.inspection import Finding, Inspection
from batch.vision.views import Floats
from gpu_cluster.cutout import hands, segment, sight
from gpu_cluster.cutout.backdrop import NoBackdrop, backdrop, of_picture
from gpu_cluster.cutout.limits import LIMITS
from gpu_cluster.cutout.portrait import Portrait, portrait

ENDINGS = (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".heic", ".heif")
SHOWN = 6
"""Portraits of one person at most, as in the product: the person chooses among them."""

STARTED = b"INFO: Created TensorFlow Lite"
"""What the networks' runtime writes past Python, whatever it is asked to, when its first network is loaded."""


class NoPhotos(ValueError):
    """The folder holds no file with the ending of a photo."""


def photos(folder: Path) -> list[Path]:
    """The photos of a folder in the order of their names. Raises NoPhotos."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and path.is_file())
    if not found:
        raise NoPhotos(f"There is no photo in {folder}. Photos end in {', '.join(ENDINGS)}.")
    return found


def passed_over(folder: Path) -> list[str]:
    """The names of what else is there and nobody hid: films, texts, folders, links that lead nowhere."""
    taken = {path.name for path in photos(folder)}
    return sorted(path.name for path in folder.iterdir() if path.name not in taken and not path.name.startswith("."))


@contextmanager
def without_greeting() -> Iterator[None]:
    """Nobody reads on the error stream that the runtime has started; whatever else is written there comes out."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            os.write(2, b"".join(line for line in said if not line.startswith(STARTED)))


def load() -> None:
    """The networks that look at photos and cut people out. Raises ModelChanged, or OSError where a file is missing."""
    with without_greeting():
        landmarks.networks()
        segment.network()
        hands.network()


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
    if path.suffix.lower() not in ENDINGS:
        return backdrop(words)
    if not path.is_file():
        raise NoBackdrop(f"The picture {path} does not exist")
    try:
        return of_picture(pictures.decode(path.read_bytes()).image)
    except pictures.Undecodable as error:
        raise NoBackdrop(f"{path} is no picture that can be read") from error


def titles(photos: Sequence[Path]) -> dict[Path, str]:
    """What the portraits of each photo are called: as the photo is, and never two alike, however a disk spells names."""
    stems, used = Counter(path.stem.lower() for path in photos), Counter[str]()
    called = dict[Path, str]()
    for path in photos:
        title = path.stem if stems[path.stem.lower()] == 1 else f"{path.stem}-{path.suffix[1:]}"
        used[title.lower()] += 1
        called[path] = title if used[title.lower()] == 1 else f"{title}-{used[title.lower()]}"
    return called


def ready(out: Path) -> None:
    """Makes the folder that portraits go to. Raises OSError where they could not be written."""
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(out))


def write(cut: FolderPhoto, title: str, wall: Floats, out: Path, loosened: float = 1.0) -> list[Path]:
    """The presets of one portrait as files whose names begin with `title`, in a folder that is `ready`."""
    if cut.portrait is None:
        return []
    canvas, written = cut.portrait.on(wall), []
    for preset in presets.PRESETS.values():
        data, ending = presets.encoded(presets.cut(canvas, preset, loosened))
        path = out / f"{title}-{preset.name}.{ending}"
        path.write_bytes(iptc.marked(data, iptc.COMPOSITE))
        written.append(path)
    return written


def loosened(portraits: list[Portrait]) -> float:
    """The one frame of them all: as loose as the one with the most hair needs it."""
    return float(np.clip(max((made.loosening for made in portraits), default=1.0), 1.0, presets.LOOSEST))
