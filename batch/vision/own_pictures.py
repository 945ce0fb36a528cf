"""What a company's logo and its backdrops have in common: HR hands a picture in, a child opens it, words refuse it."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from batch.vision import pictures
from likeness.ground.errors import Unavailable, Unprocessable
from likeness.sandbox.child import ChildFailed, Children, Limits

Act = Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]]


def children(module: str, act: str, *, file_bytes: int) -> Children:
    """Those that do `act`, a function of this module beside its `warm_up`, once each."""
    limits = Limits(memory=1024 * 2**20, processor_seconds=10, wall_seconds=25, file_bytes=file_bytes)
    return Children(module, act, warm="warm_up", limits=limits, keep=False)


def ask(
    asked: Children, data: bytes, refused: type[Unprocessable], unread: type[Unavailable], why: Mapping[str, str],
    smallest: int,
) -> tuple[dict[str, Any], bytes]:
    """What the child found and made. Raises `refused` with the sentence of its code, in which `{n}` is `smallest`, or of
    "", and `unread` where this machine is at fault."""
    try:
        facts, picture = asked.run({}, data)
    except ChildFailed as failure:
        if failure.machine:
            raise unread("Please try again in a minute.") from None
        raise refused(why[""], n=smallest) from None
    if code := facts.get("code"):
        raise refused(why.get(code, why[""]), n=smallest)
    return facts, picture


def decoded(data: bytes, smallest: int) -> Image.Image | str:
    """In the child: the picture, or the code of why there is none."""
    try:
        image = pictures.decode(data).image
    except pictures.Undecodable as error:
        return error.code
    return "too_small" if min(image.size) < smallest else image


def load_codecs(act: Act, side: int) -> None:
    """Each once, with a picture of `side` pixels: a child may not open files later."""
    sample = Image.new("RGB", (side, side), "grey")
    for kind, mode in (("PNG", "RGBA"), ("WEBP", "RGB"), ("JPEG", "CMYK")):
        file = io.BytesIO()
        sample.convert(mode).save(file, kind)
        act({}, file.getvalue())
    pictures.decode((Path(__file__).parent / "warm.heic").read_bytes())
