"""A picture of a company's own for behind its people: decoded in a child, cut square, and made anew from its pixels."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageOps

from batch.vision import own_pictures
from likeness.ground.errors import Unavailable, Unprocessable
from likeness.locale.marks import N_

LARGEST = 12 * 2**20
SIDE = 1152
"""Pixels of the square, as many as the canvas that people are set on."""
SMALLEST = 600

WHY = {
    "": N_("This file is no picture that can be read. Hand in a JPEG, PNG, WebP or HEIC."),
    "too_small": N_("The picture is smaller than {n} pixels on one side. Hand in a larger one."),
    "too_large": N_("The picture has more pixels than this program takes. Hand in a smaller one."),
}


class BackdropRefused(Unprocessable):
    title = "The picture cannot be used"


class BackdropUnread(Unavailable):
    title = "The picture could not be looked at just now"


_children = own_pictures.children("batch.vision.backdrops", "cut", file_bytes=16 * 2**20)


def square(data: bytes) -> bytes:
    """The middle of the picture as a JPEG of `SIDE` pixels. Raises `BackdropRefused` and `BackdropUnread`."""
    _, picture = own_pictures.ask(_children, data, BackdropRefused, BackdropUnread, WHY, SMALLEST)
    return picture


def cut(about: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
    """In the child."""
    image = own_pictures.decoded(data, SMALLEST)
    if isinstance(image, str):
        return {"code": image}, b""
    out = io.BytesIO()
    ImageOps.fit(image, (SIDE, SIDE), Image.Resampling.LANCZOS).save(out, "JPEG", quality=88)
    return {}, out.getvalue()


def warm_up() -> None:
    own_pictures.load_codecs(cut, SMALLEST)
