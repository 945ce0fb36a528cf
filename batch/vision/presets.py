"""The frame that every studio portrait of a company shares: where the eyes are, how large the face is, and what is
cut from the one picture that is kept for each download.

A kept picture is a square, the canvas, that is three face heights wide, with the eyes on one line. A preset only cuts
from it, so that nobody's head is larger than a colleague's, and a company's frame can be loosened later for all. Its owner
may move the crop by whole steps: by one, which is too little to tell colleagues apart by, or by three where their company
lets them.
"""

import io
from dataclasses import dataclass

import PIL
from PIL import Image, ImageDraw

EDITION = f"6 {PIL.__version__}"
"""As long as this is the same, whatever this file, `batch/marks` and Pillow make of one picture is the same to the byte."""

QUALITIES = (94, 90, 85, 78, 70, 60, 45, 30, 15)
"""Pillow's measure. Noise of 648 px, which no portrait is, takes less than 100 kB at the last of them."""
WHOLE_COLOUR = 78
"""From this quality on colours are kept as finely as brightness."""

# One face height is the distance from hairline to chin, see `landmarks.Face.height`.
CANVAS = 1152  # px, square
CANVAS_FACES = 3.0
EYE_LINE = 0.44  # the eyes' height on the canvas, from the top
FACE = CANVAS / CANVAS_FACES  # px


@dataclass(frozen=True)
class Crop:
    """By how many steps a frame is moved: `closer` makes the head larger, `raised` moves it up."""

    closer: int = 0
    raised: int = 0

    @property
    def room(self) -> float:
        """How much there is above the eyes, by what everybody has there in the square."""
        return (1 - CLOSER * self.closer) * (1 - RAISED * self.raised / PRESETS["square"].eye_line)


AS_EVERYBODY = Crop()
CLOSER = 0.04
"""Of the frame's width. A face is 78 px high in the 168 px of HR's page, so that a step is 3 px of it."""
RAISED = 0.02
"""Of the frame's height: 3 px there."""
ALIKE, FREE = 1, 3
"""The most steps each way: where a company's headshots stay alike, and where it lets people choose."""


@dataclass(frozen=True)
class Preset:
    """`faces` is the width in face heights, `ratio` the height by the width, `eye_line` the eyes' height in the frame."""

    name: str
    faces: float
    ratio: float
    eye_line: float
    pixels: int
    round: bool = False
    most_bytes: int | None = None
    """The file is encoded as finely as fits into it."""

    def box(self, loosened: float = 1.0, crop: Crop = AS_EVERYBODY) -> tuple[float, float, float, float]:
        """What is cut from the canvas, in its pixels: left, top, right, bottom. `loosened` widens the frame; it never
        reaches beyond the canvas."""
        faces = self.faces * loosened * (1 - CLOSER * crop.closer)
        width = min(faces, CANVAS_FACES, CANVAS_FACES / self.ratio) * FACE
        height = width * self.ratio
        left = (CANVAS - width) / 2
        top = CANVAS * EYE_LINE - height * (self.eye_line - RAISED * crop.raised)
        top = min(max(0.0, top), CANVAS - height)
        return left, top, left + width, top + height


# A square for pages, a portrait for print, a circle for chat programs, and what company directories take: 648 px, and at
# most 100 kB, which is the limit of Exchange and of Active Directory. They end 1.14, 1.35 and 1.25 face heights under the
# eyes: of 138 photos that people use of themselves 25 % end too early for that, and 43 % for 1.24, 1.52 and 1.35.
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("square", 2.16, 1.0, 0.47, 1024),
        Preset("portrait", 1.96, 1.25, 0.45, 1024),
        Preset("circle", 2.4, 1.0, 0.48, 1024, round=True),
        Preset("directory", 2.16, 1.0, 0.47, 648, most_bytes=100_000),
    )
}


def widest() -> tuple[float, float, float, float]:
    """What at least one preset shows of the canvas while the company's frame is not loosened."""
    left, top, right, bottom = zip(*(preset.box() for preset in PRESETS.values()), strict=True)
    return min(left), min(top), max(right), max(bottom)


# The widest that a company's frame becomes, so that an afro of 0.74 face heights over the hairline fits whole.
LOOSEST = 2.64 / 2.16


def cut(canvas: Image.Image, preset: Preset, loosened: float = 1.0, crop: Crop = AS_EVERYBODY) -> Image.Image:
    """The preset's picture. A circle is a square with nothing in its corners."""
    size = (preset.pixels, round(preset.pixels * preset.ratio))
    scale = canvas.width / CANVAS
    left, top, right, bottom = preset.box(loosened, crop)
    box = (left * scale, top * scale, right * scale, bottom * scale)
    return _shaped(canvas.convert("RGB").resize(size, Image.Resampling.LANCZOS, box=box), preset)


def trimmed(picture: Image.Image, preset: Preset) -> Image.Image:
    """The preset's shape of a picture that is framed already: trimmed alike on both sides, and below where it is too high.
    It never becomes larger than it was made."""
    width = min(picture.width, picture.height / preset.ratio)
    left = (picture.width - width) / 2
    pixels = min(preset.pixels, int(width))
    size = (pixels, round(pixels * preset.ratio))
    box = (left, 0, left + width, width * preset.ratio)
    return _shaped(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS, box=box), preset)


def _shaped(picture: Image.Image, preset: Preset) -> Image.Image:
    if not preset.round:
        return picture
    size = picture.size
    # Drawn four times as large and made smaller, which is how Pillow comes to a soft edge.
    large = Image.new("L", (size[0] * 4, size[1] * 4))
    ImageDraw.Draw(large).ellipse((0, 0, large.width - 1, large.height - 1), fill=255)
    picture.putalpha(large.resize(size, Image.Resampling.BOX))
    return picture


def encoded(picture: Image.Image, most_bytes: int | None = None, *, lossless: bool = False) -> tuple[bytes, str]:
    """The file and its ending: JPEG, or PNG where corners are empty. Nothing but pixels is in it. A JPEG is as fine as fits
    into `most_bytes`."""
    out = io.BytesIO()
    if lossless or picture.mode == "RGBA":
        # A third of the time of Pillow's usual effort, for an eighth more bytes.
        picture.save(out, "PNG", compress_level=1)
        return out.getvalue(), "png"
    for quality in QUALITIES:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality, subsampling=0 if quality >= WHOLE_COLOUR else 2)
        if most_bytes is None or out.tell() <= most_bytes:
            break
    return out.getvalue(), "jpg"
