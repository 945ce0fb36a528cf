"""Pictures of people for tests: drawn ones, of whom there are as many as needed, and one photograph."""

from __future__ import annotations

import io
from functools import cache

import skimage.data
from PIL import Image

from gpu_cluster.drawn.people.draw import selfies

GPS = 0x8825


@cache
def drawn(seed: int, count: int = 2, size: int = 768) -> list[bytes]:
    """Selfies of one person who does not exist, as JPEG."""
    return [jpeg(image) for image, _ in selfies(seed, count, size)]


@cache
def astronaut() -> bytes:
    """Eileen Collins, NASA, public domain; cut so that her face is large enough."""
    return jpeg(Image.fromarray(skimage.data.astronaut()).crop((100, 0, 350, 250)).resize((1000, 1000)))


@cache
def without_face() -> bytes:
    return jpeg(Image.fromarray(skimage.data.coffee()))


def beside(left: bytes, right: bytes) -> bytes:
    """Two pictures side by side: two people in one photo."""
    one, other = (Image.open(io.BytesIO(data)) for data in (left, right))
    both = Image.new("RGB", (one.width + other.width, max(one.height, other.height)), "white")
    both.paste(one, (0, 0))
    both.paste(other, (one.width, 0))
    return jpeg(both)


def located(data: bytes) -> bytes:
    """The picture with the place where it was taken in its EXIF block."""
    image = Image.open(io.BytesIO(data))
    exif = Image.Exif()
    exif[0x010E] = "Nadia at home"
    exif.get_ifd(GPS)[2] = (52.0, 31.0, 12.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95, exif=exif)
    return out.getvalue()


def smaller(data: bytes) -> bytes:
    """The same picture saved again, a little smaller."""
    image = Image.open(io.BytesIO(data))
    return jpeg(image.resize((image.width * 15 // 16, image.height * 15 // 16)), quality=80)


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=quality)
    return out.getvalue()
