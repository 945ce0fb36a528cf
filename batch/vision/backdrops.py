"""A picture of a company's own for behind its people: decoded in a child, cut square, and made anew from its pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from batch.vision import pictures
from likeness.ground.errors import Unavailable, Unprocessable
from likeness.sandbox.child import ChildFailed, Children, Limits

LARGEST = 12 * 2**20
SIDE = 1152
"""Pixels of the square, as many as the canvas that people are set on."""
SMALLEST = 600

WHY = {
    "too_small": f"The picture is smaller than {SMALLEST} pixels on one side. Hand in a larger one.",
    "too_large": "The picture has more pixels than this program takes. Hand in a smaller one.",
}
UNREADABLE = "This file is no picture that can be read. Hand in a JPEG, PNG, WebP or HEIC."


class BackdropRefused(Unprocessable):
    title = "The picture cannot be used"


class BackdropUnread(Unavailable):
    title = "The picture could not be looked at just now"


_children = Children(
    "batch.vision.backdrops",
    "cut",
    warm="warm_up",
    limits=Limits(memory=1024 * 2**20, processor_seconds=10, wall_seconds=25, file_bytes=16 * 2**20),
    keep=False,
)


def square(data: bytes) -> bytes:
    """The middle of the picture as a JPEG of `SIDE` pixels. Raises `BackdropRefused` and `BackdropUnread`."""
    try:
        facts, picture = _children.run({}, data)
    except ChildFailed as failure:
        if failure.machine:
            raise BackdropUnread("Please try again in a minute.") from None
        raise BackdropRefused(UNREADABLE) from None
    if code := facts.get("code"):
        raise BackdropRefused(WHY.get(code, UNREADABLE))
    return picture


def cut(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """In the child."""
    try:
        image = pictures.decode(data).image
    except pictures.Undecodable as error:
        return {"code": error.code}, b""
    if min(image.size) < SMALLEST:
        return {"code": "too_small"}, b""
    out = io.BytesIO()
    ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS).save(out, "JPEG", quality=88)
    return {}, out.getvalue()


def warm_up() -> None:
    """Loads every codec once: a child may not open files later."""
    sample = Image.new("RGB", (SMALLEST, SMALLEST), "grey")
    for kind, mode in (("PNG", "RGBA"), ("WEBP", "RGB"), ("JPEG", "CMYK")):
        file = io.BytesIO()
        sample.convert(mode).save(file, kind)
        cut({}, file.getvalue())
    pictures.decode((Path(__file__).parent / "warm.heic").read_bytes())
