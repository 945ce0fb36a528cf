"""What one photo shows, as facts. Runs in a limited child process; `inspection` turns the codes into sentences.

Judged are only things that the models can honestly tell. Blur and light are measured inside the face and relative to
its own contrast, so that a dark skin in good light is not "too dark".
"""

import io
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from batch import faces, pictures
from batch.faces import Box, Face, Found, Pixels

# The edge energy (variance of the Laplacian) of a face of 150 px, divided by the variance of its brightness. A sharp
# photograph has 0.04; 0.004 is a blur of about 1 % of the face's width, where the recognition numbers begin to drift.
BLURRED = 0.004
# Even the brightest twentieth of face and picture (eyes, teeth, walls) is this dark, of 255: nothing was lit.
DARK = 70
# More than this part of the face is burnt out to white.
BURNT = 0.2
# About 9 and 37 degrees: the base of the nose stands about 0.8 of half the eye distance before the eyes. Of drawn
# people who look at the camera, 98 % are below 0.13.
SIDE, FAR_SIDE = 0.13, 0.6
# A whole photo is kept if its face keeps this many pixels, half of what training uses; else the face is cut out.
WHOLE = 512
# Sides of the cut, in widths of the detector's box: head, shoulders and some chest, or less next to other people.
CUTS = (6.0, 5.0, 4.0, 3.0, 2.5, 2.0, 1.6)


def warm_up() -> None:
    """Loads models and codecs and walks every path once: a child may not open files later, not even to import."""
    sample = Image.new("RGB", (300, 300), "grey")
    for kind, mode in (("PNG", "RGBA"), ("PNG", "I;16"), ("WEBP", "RGB"), ("JPEG", "CMYK"), ("HEIF", "RGB")):
        file = io.BytesIO()
        sample.convert("L" if mode == "I;16" else mode).convert(mode).save(file, kind, icc_profile=PROFILE)
        judge({}, file.getvalue())
    face = faces.face_at(sample, (100, 100, 200, 200))
    _one_face(Found(sample, [face], turned=False), face, [], 256)
    faces.embedding(faces.chip(sample, face))


# A profile like those in photos, so that converting from one is also walked once.
PROFILE = ImageCms.ImageCmsProfile(pictures.SRGB).tobytes()


def judge(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """The facts of one photo, and its clean JPEG."""
    try:
        picture, turned, heic = pictures.decode(data)
    except pictures.Undecodable as error:
        return {"codes": [error.code]}, b""
    found = faces.find(picture)
    codes = [code for code, mended in (("turned", turned or found.turned), ("heic", heic)) if mended]
    face = _chosen(found.faces, about.get("choose_face"))
    if face is None:
        return _nobody_chosen(found, codes)
    facts, clean = _one_face(found, face, codes, about.get("min_face_pixels", 256))
    if about.get("measure", True):
        facts["embedding"] = faces.embedding(faces.chip(found.image, face))
    return facts, clean


def _nobody_chosen(found: Found, codes: list[str]) -> tuple[dict[str, Any], bytes]:
    kept = pictures.shrink(found.image, pictures.KEPT_SIDE)
    scale = kept.width / found.image.width
    boxes = [_moved(one.box, 0, 0, scale) for one in found.faces]
    if not boxes:
        return _facts(kept, [*codes, "no_face"], boxes)
    # The person taps a face in the clean picture, and that one is inspected next: its boxes are those that count.
    again = faces.find(pictures.decode(pictures.encode(kept)).image)
    if len(again.faces) > 1 and not again.turned:
        boxes = [one.box for one in again.faces]
    return _facts(kept, [*codes, "several_faces"], boxes)


def _one_face(found: Found, face: Face, codes: list[str], least: int) -> tuple[dict[str, Any], bytes]:
    others = [_head(one.box) for one in found.faces if one is not face]
    cut = _cut(found.image.size, face, others)
    kept = pictures.shrink(found.image.crop(cut), pictures.KEPT_SIDE)
    if cut != (0, 0, *found.image.size):
        codes = [*codes, "cropped"]
    scale = kept.width / (cut[2] - cut[0])
    chip = faces.chip(found.image, face)
    pixels = round(face.pixels * scale)
    codes = [*codes, *_advice(found.image, face, chip, pixels, least)]
    facts, data = _facts(kept, codes, [_moved(face.box, cut[0], cut[1], scale)])
    facts |= {
        "face_pixels": pixels,
        "pose": "front" if abs(face.turn) <= SIDE else "left" if face.turn < 0 else "right",
        "dress": _dress(found.image, face.box),
    }
    return facts, data


def _chosen(found: list[Face], number: int | None) -> Face | None:
    if number is None:
        return found[0] if len(found) == 1 else None
    return found[number] if 0 <= number < len(found) else None


def _facts(kept: Image.Image, codes: list[str], boxes: list[Box]) -> tuple[dict[str, Any], bytes]:
    facts = {
        "codes": codes,
        "width": kept.width,
        "height": kept.height,
        "boxes": boxes,
        "fingerprint": pictures.fingerprint(kept),
    }
    return facts, pictures.encode(kept)


def _moved(box: Box, left: int, top: int, scale: float) -> Box:
    x0, y0, x1, y1 = box
    return round((x0 - left) * scale), round((y0 - top) * scale), round((x1 - left) * scale), round((y1 - top) * scale)


def _cut(size: tuple[int, int], face: Face, others: list[Box]) -> Box:
    """The part of the picture to keep: all of it, or a square around the face that leaves other people out."""
    whole = (0, 0, *size)
    if not others and face.pixels * min(1.0, pictures.KEPT_SIDE / max(size)) >= WHOLE:
        return whole
    if not others and max(size) <= pictures.KEPT_SIDE:
        return whole
    x0, y0, x1, y1 = face.box
    middle, centre = (x0 + x1) / 2, (y0 + y1) / 2
    box = whole
    for widths in CUTS:
        half = widths * (x1 - x0) / 2
        box = (
            max(0, round(middle - half)),
            max(0, round(centre - half)),
            min(size[0], round(middle + half)),
            min(size[1], round(centre + half)),
        )
        if not any(_overlap(box, other) for other in others):
            break
    return box


def _head(box: Box) -> Box:
    """The whole head of somebody else, hair and ears included: half the box's side more on each side."""
    more = (box[2] - box[0]) // 2
    return box[0] - more, box[1] - more, box[2] + more, box[3] + more


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _advice(image: Image.Image, face: Face, chip: Pixels, pixels: int, least: int) -> list[str]:
    grey = chip.astype(np.float64) @ (0.299, 0.587, 0.114)
    bright = float(np.percentile(grey, 95))
    all_bright = float(np.percentile(np.asarray(image.convert("L").resize((64, 64), Image.Resampling.BOX)), 95))
    facts = {
        "small_face": pixels < least,
        "too_dark": max(bright, all_bright) < DARK,
        "too_bright": float((chip.min(axis=2) >= 250).mean()) > BURNT,
        "blurred": _edges(grey) < BLURRED * max(1.0, float(grey.var())),
        "far_side": abs(face.turn) > FAR_SIDE,
    }
    return [code for code, true in facts.items() if true]


def _edges(grey: Any) -> float:
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * inner).var())


def _dress(image: Image.Image, box: Box) -> tuple[int, ...] | None:
    """The middle colour of what is worn below the chin, where the picture goes that far down."""
    x0, _, x1, y1 = box
    side = x1 - x0
    top, bottom = y1 + round(0.7 * side), min(image.height, y1 + round(1.3 * side))
    if bottom - top < 0.2 * side:
        return None
    part = image.crop((x0, top, x1, bottom)).resize((16, 16), Image.Resampling.BOX)
    return tuple(int(value) for value in np.median(np.asarray(part).reshape(-1, 3), axis=0))
