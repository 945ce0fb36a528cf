"""What one photo shows, as facts. Runs in a limited child process; `inspection` turns the codes into sentences.

Cheap tests come first: a file that is no picture is not decoded, a picture without a face is not measured, a face that
is too small gets no embedding. Judged are only things that the models can honestly tell.
"""

import base64
import io
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageDraw

from batch.vision import faces, landmarks, pictures, quality
from batch.vision.faces import Box, Face, PhotoFaces

LEAST = 256
"""Pixels of a face's square, in the picture that is kept."""
# A whole photo is kept if its face keeps this many pixels, half of what training uses; else the face is cut out.
WHOLE = 512
# Sides of the cut, in heights of the face: head, shoulders and some chest, or less next to other people.
CUTS = (5.0, 4.2, 3.4, 2.7, 2.2)
# A picture in which a face is still to be tapped is looked at again afterwards, and the ruler is exact to 1 %.
SPARE = 1.03
# Somebody else's head with hair and ears, and the own one that nothing may cover, in heights of the face.
HEAD, OWN = (0.62, 0.8), (0.45, 0.6)


def warm_up() -> None:
    """Loads models and codecs and walks every path once: a child may not open files later, not even to import."""
    sample = Image.new("RGB", (300, 300), "grey")
    for kind, mode in (("PNG", "RGBA"), ("PNG", "I;16"), ("WEBP", "RGB"), ("JPEG", "CMYK")):
        file = io.BytesIO()
        sample.convert("L" if mode == "I;16" else mode).convert(mode).save(file, kind, icc_profile=PROFILE)
        judge({}, file.getvalue())
    # A grey square: what reads HEIC here cannot write it.
    judge({}, (Path(__file__).parent / "warm.heic").read_bytes())
    landmarks.warm_up()
    square = np.array([100.0, 100.0, 200.0, 200.0])
    eyes = np.array([(130.0, 140.0), (170.0, 140.0)])
    points = np.full((468, 3), 150.0) + np.arange(468.0)[:, None] % 50
    face = faces.face_of(landmarks.FacePoints(landmarks.Detection(square, 1.0, eyes), points), sample.size)
    _one_face(PhotoFaces(sample, [face], [face], turned=False), face, [], 256)
    faces.look(sample, face)
    faces.embedding(sample, face)


# A profile like those in photos, so that converting from one is also walked once.
PROFILE = ImageCms.ImageCmsProfile(pictures.SRGB).tobytes()


def judge(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """The facts of one photo, and its clean JPEG."""
    least = int(about.get("min_face_pixels", LEAST))
    try:
        picture = pictures.decode(data, pictures.KEPT_SIDE)
        found = faces.find(picture.image)
        if picture.shrunk > 1 and any(face.pixels < WHOLE for face in found.faces):
            # A small face is cut out of the picture at more of its size than the whole is kept at.
            picture = pictures.decode(data)
            found = faces.find(picture.image)
    except pictures.Undecodable as error:
        return {"codes": [error.code]}, b""
    codes = [code for code, mended in (("turned", picture.turned or found.turned), ("heic", picture.heic)) if mended]
    face = _chosen(found.faces, about.get("tapped"))
    if face is None:
        return _nobody_chosen(found, codes, least)
    facts, clean = _one_face(found, face, codes, least)
    if about.get("measure", True) and "small_face" not in facts["codes"]:
        facts["embedding"] = faces.embedding(found.image, face)
        facts["look"] = base64.b64encode(faces.look(found.image, face)).decode()
    return facts, clean


def _chosen(found: list[Face], tapped: Box | None) -> Face | None:
    """The only face, or the one where somebody tapped: its place is known from the inspection before."""
    if tapped is None:
        return found[0] if len(found) == 1 else None
    shared = [(landmarks.overlap(tapped, face.box), number) for number, face in enumerate(found)]
    best = max(shared, default=(0.0, 0))
    return found[best[1]] if best[0] > 0 else None


def _nobody_chosen(found: PhotoFaces, codes: list[str], least: int) -> tuple[dict[str, Any], bytes]:
    longest = max(found.image.size)
    if not found.faces:
        return _facts(pictures.shrink(found.image, pictures.KEPT_SIDE), [*codes, "no_face"], [])
    # Whether a face is large enough is known before anybody is asked to tap it.
    large = [face for face in found.faces if _pixels(found, face) >= least]
    if not large:
        return _facts(pictures.shrink(found.image, pictures.KEPT_SIDE), [*codes, "small_face"], [])
    enough = max(least * SPARE / face.pixels for face in large) * longest
    kept = pictures.shrink(found.image, math.ceil(min(longest, max(pictures.KEPT_SIDE, enough))))
    scale = max(kept.size) / longest
    codes = [*codes, "several_faces", *(["some_small"] if len(large) < len(found.faces) else [])]
    return _facts(kept, codes, [_moved(face.box, 0, 0, scale) for face in large])


def _pixels(found: PhotoFaces, face: Face) -> int:
    """How large a face is in the picture that would be kept of it."""
    cut = _cut(found, face)
    return round(face.pixels * min(1.0, pictures.KEPT_SIDE / max(cut[2] - cut[0], cut[3] - cut[1])))


def _one_face(found: PhotoFaces, face: Face, codes: list[str], least: int) -> tuple[dict[str, Any], bytes]:
    cut = _cut(found, face)
    others = [one for one in (*found.faces, *found.bystanders) if one is not face and _overlap(cut, _head(one))]
    seen = _without(found.image, face, others) if others else found.image
    kept = pictures.shrink(seen.crop(cut), pictures.KEPT_SIDE)
    scale = max(kept.size) / max(cut[2] - cut[0], cut[3] - cut[1])
    pixels = round(face.pixels * scale)
    codes = [
        *codes,
        *(["cropped"] if cut != (0, 0, *found.image.size) else []),
        *(["covered"] if others else []),
        *(["small_face"] if pixels < least else []),
        *quality.advice(found.image, face),
    ]
    facts, data = _facts(kept, codes, [_moved(face.box, cut[0], cut[1], scale)])
    facts |= {"face_pixels": pixels, "pose": quality.pose(face), "dress": _dress(seen, face.box)}
    return facts, data


def _facts(kept: Image.Image, codes: list[str], boxes: list[Box]) -> tuple[dict[str, Any], bytes]:
    facts = {"codes": codes, "width": kept.width, "height": kept.height, "boxes": boxes}
    return facts, pictures.encode(kept)


def _moved(box: Box, left: int, top: int, scale: float) -> Box:
    x0, y0, x1, y1 = box
    return round((x0 - left) * scale), round((y0 - top) * scale), round((x1 - left) * scale), round((y1 - top) * scale)


def _cut(found: PhotoFaces, face: Face) -> Box:
    """The part of the picture to keep: all of it, or a square around the face that leaves other people out."""
    size = found.image.size
    whole = (0, 0, *size)
    others = [_head(one) for one in found.faces if one is not face]
    scale = min(1.0, pictures.KEPT_SIDE / max(size))
    if not others and (scale == 1 or face.pixels * scale >= WHOLE):
        return whole
    x0, y0, x1, y1 = face.box
    middle, centre = (x0 + x1) / 2, (y0 + y1) / 2
    for heights in CUTS:
        half = heights * face.mesh.height / 2
        box = (
            max(0, round(middle - half)),
            max(0, round(centre - half)),
            min(size[0], round(middle + half)),
            min(size[1], round(centre + half)),
        )
        if not any(_overlap(box, other) for other in others):
            break
    return box


def _head(face: Face) -> Box:
    """The whole head of somebody else, hair and ears included."""
    left, top, right, bottom = face.box
    middle, centre = (left + right) / 2, (top + bottom) / 2 - 0.1 * face.mesh.height
    wide, high = (part * face.mesh.height for part in HEAD)
    return round(middle - wide), round(centre - high), round(middle + wide), round(centre + high)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _without(image: Image.Image, face: Face, others: list[Face]) -> Image.Image:
    """The picture with the heads of the others painted over in one colour each: nothing of them is left to see."""
    covered = image.copy()
    for other in others:
        head = _head(other)
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).ellipse(head, fill=255)
        left, top, right, bottom = face.box
        middle, centre = (left + right) / 2, (top + bottom) / 2
        wide, high = (part * face.mesh.height for part in OWN)
        ImageDraw.Draw(mask).ellipse((middle - wide, centre - high, middle + wide, centre + high), fill=0)
        around = image.crop(head).resize((1, 1), Image.Resampling.BOX)
        covered.paste(around.resize(image.size), mask=mask)
    return covered


def _dress(image: Image.Image, box: Box) -> tuple[int, ...] | None:
    """The middle colour of what is worn below the chin, where the picture goes that far down."""
    x0, _, x1, y1 = box
    side = x1 - x0
    top, bottom = y1 + round(0.5 * side), min(image.height, y1 + round(1.1 * side))
    if bottom - top < 0.2 * side:
        return None
    part = image.crop((x0, top, x1, bottom)).resize((16, 16), Image.Resampling.BOX)
    return tuple(int(value) for value in np.median(np.asarray(part).reshape(-1, 3), axis=0))
