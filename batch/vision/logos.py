"""A company's logo for its mails: decoded in a child, made small, and made anew from its pixels."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image

from batch.vision import own_pictures
from likeness.ground.errors import Unavailable, Unprocessable
from likeness.locale.marks import N_
from likeness.mail.logos import LARGEST_SENT

LARGEST = 5 * 2**20
WIDEST, HIGHEST = 480, 120
"""Pixels that are kept: twice those that are shown, for sharp screens."""
SMALLEST = 16

WHY = {
    "": N_("This file is no picture that can be read. Hand in a PNG, JPEG or WebP."),
    "too_small": N_("The picture is smaller than {n} pixels on one side. Hand in a larger one."),
    "too_large": N_("The picture has more pixels than this program takes. Hand in a smaller one."),
    "too_rich": N_("The picture is too large for a mail even when it is made small. Hand in a simpler one."),
}


class LogoRefused(Unprocessable):
    title = "The logo cannot be used"


class LogoUnread(Unavailable):
    title = "The logo could not be looked at just now"


_children = own_pictures.children("batch.vision.logos", "shrink", file_bytes=2**20)


def small(data: bytes) -> tuple[bytes, int, int]:
    """A PNG with its width and height. Raises `LogoRefused` and `LogoUnread`."""
    facts, picture = own_pictures.ask(_children, data, LogoRefused, LogoUnread, WHY, SMALLEST)
    return picture, facts["width"], facts["height"]


def shrink(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """In the child. What was transparent is white, because nobody knows what colour a mail is shown on."""
    image = own_pictures.decoded(data, SMALLEST)
    if isinstance(image, str):
        return {"code": image}, b""
    image.thumbnail((WIDEST, HIGHEST), Image.Resampling.LANCZOS)
    for colours in (0, 128, 32):
        out = io.BytesIO()
        (image.quantize(colours) if colours else image).save(out, "PNG", optimize=True)
        if out.tell() <= LARGEST_SENT:
            return {"width": image.width, "height": image.height}, out.getvalue()
    return {"code": "too_rich"}, b""


def warm_up() -> None:
    own_pictures.load_codecs(shrink, 64)
