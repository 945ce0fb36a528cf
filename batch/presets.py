"""The frame that every studio portrait of a company shares: where the eyes are, how large the face is, and what is
cut from the one picture that is kept for each download.

A kept picture is a square, the canvas, that is three face heights wide, with the eyes on one line. A preset only cuts
from it, so that nobody's head is larger than a colleague's, and a company's frame can be loosened later for all.
"""

import io
from dataclasses import dataclass

from PIL import Image, ImageDraw

# One face height is the distance from hairline to chin, see `landmarks.Face.height`.
CANVAS = 1152  # px, square
CANVAS_FACES = 3.0
EYE_LINE = 0.44  # the eyes' height on the canvas, from the top
FACE = CANVAS / CANVAS_FACES  # px


@dataclass(frozen=True)
class Preset:
    """`faces` is the width in face heights, `ratio` the height by the width, `eye_line` the eyes' height in the frame."""

    name: str
    faces: float
    ratio: float
    eye_line: float
    pixels: int
    round: bool = False

    def box(self, loosened: float = 1.0) -> tuple[float, float, float, float]:
        """What is cut from the canvas, in its pixels: left, top, right, bottom. `loosened` widens the frame; it never
        reaches beyond the canvas."""
        width = min(self.faces * loosened, CANVAS_FACES, CANVAS_FACES / self.ratio) * FACE
        height = width * self.ratio
        left = (CANVAS - width) / 2
        top = min(max(0.0, CANVAS * EYE_LINE - height * self.eye_line), CANVAS - height)
        return left, top, left + width, top + height


# A square for pages, a portrait for print, a circle for chat programs, and what company directories take: 648 px.
PRESETS = {
    preset.name: preset
    for preset in (
        Preset("square", 2.25, 1.0, 0.45, 1024),
        Preset("portrait", 2.1, 1.25, 0.42, 1024),
        Preset("circle", 2.5, 1.0, 0.46, 1024, round=True),
        Preset("directory", 2.25, 1.0, 0.45, 648),
    )
}
# The widest that a company's frame becomes, so that an afro of 0.74 face heights over the hairline fits whole.
LOOSEST = 2.75 / 2.25


def cut(canvas: Image.Image, preset: Preset, loosened: float = 1.0) -> Image.Image:
    """The preset's picture. A circle is a square with nothing in its corners."""
    size = (preset.pixels, round(preset.pixels * preset.ratio))
    scale = canvas.width / CANVAS
    left, top, right, bottom = preset.box(loosened)
    box = (left * scale, top * scale, right * scale, bottom * scale)
    picture = canvas.convert("RGB").resize(size, Image.Resampling.LANCZOS, box=box)
    if not preset.round:
        return picture
    # Drawn four times as large and made smaller, which is how Pillow comes to a soft edge.
    large = Image.new("L", (size[0] * 4, size[1] * 4))
    ImageDraw.Draw(large).ellipse((0, 0, large.width - 1, large.height - 1), fill=255)
    picture.putalpha(large.resize(size, Image.Resampling.BOX))
    return picture


def encoded(picture: Image.Image) -> tuple[bytes, str]:
    """The file and its ending: JPEG, or PNG where corners are empty. Nothing but pixels is in it."""
    out = io.BytesIO()
    if picture.mode == "RGBA":
        picture.save(out, "PNG")
        return out.getvalue(), "png"
    picture.save(out, "JPEG", quality=94, subsampling=0)
    return out.getvalue(), "jpg"
