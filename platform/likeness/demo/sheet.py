"""The contact sheet: each person's photos beside the headshots that were made, and which world each line is of."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from likeness.demo.visit import Visitor
from tenants.models import CUTOUT

SIDE, GAP, NAME, SHOWN = 150, 8, 230, 6
PAPER, INK, FAINT = (250, 249, 247), (32, 33, 36), (110, 112, 118)


def contact_sheet(visitors: Sequence[Visitor], path: Path) -> Path:
    """Writes a PNG: a line a person, photos on the left, headshots on the right."""
    photos_at, headshots_at = NAME, NAME + SHOWN * (SIDE + GAP) + 3 * GAP
    width, top = headshots_at + SHOWN * (SIDE + GAP) + GAP, 64
    sheet = Image.new("RGB", (width, top + len(visitors) * (SIDE + GAP) + GAP), PAPER)
    pen, font, small = ImageDraw.Draw(sheet), ImageFont.load_default(18), ImageFont.load_default(13)
    pen.text((photos_at, 22), "Photos they sent", INK, font)
    pen.text((headshots_at, 22), "Headshots that were made of them", INK, font)
    for row, visitor in enumerate(visitors):
        y = top + row * (SIDE + GAP)
        pen.text((GAP, y + 40), visitor.player.name, INK, font)
        pen.text((GAP, y + 66), visitor.company.name, FAINT, small)
        pen.text((GAP, y + 86), "a photograph" if visitor.player.photographs else "a drawn person", FAINT, small)
        pen.text((GAP, y + 106), _how(visitor), FAINT, small)
        if visitor.ratios:
            pen.text((GAP, y + 126), f"likeness {sum(visitor.ratios) / len(visitor.ratios):.2f}", FAINT, small)
        for at, pictures in ((photos_at, visitor.photos_shown()), (headshots_at, visitor.headshots_shown())):
            for column, data in enumerate(pictures[:SHOWN]):
                with Image.open(io.BytesIO(data)) as picture:
                    square = ImageOps.fit(picture.convert("RGB"), (SIDE, SIDE), centering=(0.5, 0.3))
                sheet.paste(square, (at + column * (SIDE + GAP), y))
    sheet.save(path)
    return path


def _how(visitor: Visitor) -> str:
    if visitor.already_left():
        return "forgotten in an earlier run, at their wish"
    return "cut out, nothing generated" if visitor.recipe == CUTOUT else "made by a model of them"
