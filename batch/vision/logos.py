"""A company's logo for its mails: decoded in a child, made small, and made anew from its pixels."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from batch.vision import pictures
from likeness.ground.errors import Unavailable, Unprocessable
from likeness.mail.logos import LARGEST_SENT
from likeness.sandbox.child import ChildFailed, Children, Limits

LARGEST = 5 * 2**20
WIDEST, HIGHEST = 480, 120
"""Pixels that are kept: twice those that are shown, for sharp screens."""
SMALLEST = 16

WHY = {
    "too_small": f"The picture is smaller than {SMALLEST} pixels on one side. Hand in a larger one.",
    "too_large": "The picture has more pixels than this program takes. Hand in a smaller one.",
    "too_rich": "The picture is too large for a mail even when it is made small. Hand in a simpler one.",
}
UNREADABLE = "This file is no picture that can be read. Hand in a PNG, JPEG or WebP."


class LogoRefused(Unprocessable):
    title = "The logo cannot be used"


class LogoUnread(Unavailable):
    title = "The logo could not be looked at just now"


_children = Children(
    "batch.vision.logos",
    "shrink",
    warm="warm_up",
    limits=Limits(memory=1024 * 2**20, processor_seconds=10, wall_seconds=25, file_bytes=2**20),
    keep=False,
)


def small(data: bytes) -> tuple[bytes, int, int]:
    """A PNG with its width and height. Raises `LogoRefused` and `LogoUnread`."""
    try:
        facts, picture = _children.run({}, data)
    except ChildFailed as failure:
        if failure.machine:
            raise LogoUnread("Please try again in a minute.") from None
        raise LogoRefused(UNREADABLE) from None
    if code := facts.get("code"):
        raise LogoRefused(WHY.get(code, UNREADABLE))
    return picture, facts["width"], facts["height"]


def shrink(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """In the child. What was transparent is white, because nobody knows what colour a mail is shown on."""
    try:
        image = pictures.decode(data).image
    except pictures.Undecodable as error:
        return {"code": error.code}, b""
    if min(image.size) < SMALLEST:
        return {"code": "too_small"}, b""
    image.thumbnail((WIDEST, HIGHEST), Image.Resampling.LANCZOS)
    for colours in (0, 128, 32):
        out = io.BytesIO()
        (image.quantize(colours) if colours else image).save(out, "PNG", optimize=True)
        if out.tell() <= LARGEST_SENT:
            return {"width": image.width, "height": image.height}, out.getvalue()
    return {"code": "too_rich"}, b""


def warm_up() -> None:
    """Loads every codec once: a child may not open files later."""
    sample = Image.new("RGB", (64, 64), "grey")
    for kind, mode in (("PNG", "RGBA"), ("WEBP", "RGB"), ("JPEG", "CMYK")):
        file = io.BytesIO()
        sample.convert(mode).save(file, kind)
        shrink({}, file.getvalue())
    pictures.decode((Path(__file__).parent / "warm.heic").read_bytes())
