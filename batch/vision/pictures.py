"""Turns a file that anybody may have made into a plain upright sRGB picture, and back into a clean JPEG.

Everything here runs in a limited child process. What leaves is made from the pixels alone: no EXIF, GPS, thumbnail,
profile, comment or trailing bytes of the file survive.
"""

import io
import warnings
from typing import Any, NamedTuple

import numpy as np
import pi_heif
from PIL import Image, ImageCms, PngImagePlugin, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from batch.vision import colours

LARGEST_FILE = 25 * 2**20
# What is limited is what stands in memory once decoded. A JPEG is decoded at a half, a quarter or an eighth of its size.
MOST_PIXELS, MOST_JPEG_PIXELS = 50_000_000, 200_000_000
# A progressive JPEG stands in memory as a whole before it is scaled: 200 megapixels as phones write them take 600 MB.
MOST_PROGRESSIVE_BYTES = 800_000_000
# Work happens on at most this side: enough to cut a face of 256 px out of a 16th of the picture.
WORKING_SIDE = 4_096
# What is kept; training uses 1,024.
KEPT_SIDE = 2_048

# A picture of this part of the side is as good, and making a larger one smaller costs more than all the rest.
ENOUGH = 0.65

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
# MPO is the JPEG that many phones write, with a second picture behind the first.
ACCEPTED = {"JPEG", "MPO", "PNG", "WEBP", "HEIF"}

# The size is checked here, as an error; Pillow's own limit only warns up to 179 million pixels.
Image.MAX_IMAGE_PIXELS = None
# Camera profiles are up to 4 MB; the default limit of 1 MB would refuse the whole picture.
PngImagePlugin.MAX_TEXT_CHUNK = 8 * 2**20
pi_heif.register_heif_opener(thumbnails=False)
pi_heif.options.DECODE_THREADS = 1
SRGB = ImageCms.createProfile("sRGB")
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
ORIENTATION = 0x0112


class Undecodable(Exception):
    """The file is no picture that we take; the code says which sentence the person reads."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Decoded(NamedTuple):
    """`shrunk` is how many times larger the picture in the file is."""

    image: Image.Image
    turned: bool
    heic: bool
    shrunk: float


def decode(data: bytes, side: int = WORKING_SIDE) -> Decoded:
    """The first frame of a JPEG, PNG, WebP or HEIC as an upright 8-bit sRGB picture, at most so long.

    Raises Undecodable.
    """
    if len(data) > LARGEST_FILE:
        raise Undecodable("too_large")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, side)
    except (Undecodable, MemoryError):
        raise
    except Exception:
        # Decoders raise OSError, SyntaxError, ValueError, struct.error and more on damaged files.
        raise Undecodable("damaged") from None


def _decode(data: bytes, side: int) -> Decoded:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise Undecodable("not_a_picture") from None
    if image.format not in ACCEPTED:
        raise Undecodable("not_a_picture")
    _check_pixels(image)
    heic = image.format == "HEIF"
    profile = image.info.get("icc_profile")
    if heic and not profile and (nclx := image.info.get("nclx_profile")):
        profile = colours.profile(nclx)
    # libheif turns the picture itself.
    orientation = 1 if heic else _orientation(image)
    longest = max(image.size)
    # A JPEG decodes at a half, a quarter or an eighth of its size for free, if that is still large enough.
    part = min(1.0, side * ENOUGH / longest)
    image.draft(image.mode, (round(image.width * part), round(image.height * part)))
    image.load()
    picture = _plain(image, profile, side)
    for turn in TURNS.get(orientation, ()):
        picture = picture.transpose(turn)
    return Decoded(picture, orientation in TURNS, heic, longest / max(picture.size))


def _check_pixels(image: Image.Image) -> None:
    pixels = image.width * image.height
    if not isinstance(image, JpegImageFile):
        if pixels > MOST_PIXELS:
            raise Undecodable("too_many_pixels")
        return
    if pixels > MOST_JPEG_PIXELS:
        raise Undecodable("too_many_jpeg_pixels")
    if image.info.get("progressive"):
        # Two bytes for each number, and colours at a half or a quarter of the points where the file says so.
        parts = [wide * high for _, wide, high, _ in image.layer]
        if 2 * pixels * sum(parts) / max(parts) > MOST_PROGRESSIVE_BYTES:
            raise Undecodable("too_much_memory")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # A damaged EXIF block is no reason to refuse the picture.
        return 1


def _plain(image: Image.Image, profile: bytes | None, side: int) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image, profile = _eight_bits(image), None
    if image.mode in ("P", "PA", "LA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if max(image.size) > side:
        image.thumbnail((side, side), reducing_gap=2.0)
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    if alpha is not None:
        image = image.convert("RGB")
    image = _to_srgb(image, profile)
    if alpha is not None:
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=alpha)
        image = white
    # A new picture from the pixels: what the file said about itself stays behind.
    return Image.frombytes("RGB", image.size, image.tobytes())


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, dtype=np.float64)
    most = 65_535.0 if values.max(initial=0) > 255 else 255.0
    return Image.fromarray((np.clip(values / most, 0, 1) * 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            changed: Any = ImageCms.profileToProfile(image, source, SRGB, outputMode="RGB")
            return changed if isinstance(changed, Image.Image) else image.convert("RGB")
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # A damaged profile: the numbers themselves are close to sRGB in nearly every file.
    return image.convert("RGB")


def shrink(image: Image.Image, side: int) -> Image.Image:
    """The picture with its longest side at most so long; never enlarged."""
    longest = max(image.size)
    if longest <= side:
        return image
    size = (max(1, round(image.width * side / longest)), max(1, round(image.height * side / longest)))
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def encode(image: Image.Image) -> bytes:
    """A JPEG without metadata; 92 with full colour resolution shows no loss at training size."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=92, subsampling=0, optimize=False)
    return out.getvalue()
