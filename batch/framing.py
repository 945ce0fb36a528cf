"""One frame for a company: how much of a studio portrait's canvas is shown, alike for everybody.

As soon as somebody's hair needs it, everybody's frame is loosened, so that no head is smaller than a colleague's. A
picture that a model made comes framed already and is left as it is.
"""

from __future__ import annotations

import io

from PIL import Image
from sqlmodel import Session, col, func, select

from batch import presets
from batch.models import Headshot
from batch.presets import PRESETS, Preset
from likeness.db import tenant_of
from likeness.errors import Unprocessable


class PresetUnknown(Unprocessable):
    title = "There is no such format"


def preset(name: str) -> Preset:
    """Raises `PresetUnknown`."""
    found = PRESETS.get(name)
    if found is None:
        raise PresetUnknown(f"Choose one of: {', '.join(PRESETS)}.")
    return found


def of_company(session: Session) -> float:
    """By how much this company's frames are loosened, 1 to `presets.LOOSEST`."""
    query = select(func.max(Headshot.loosening)).where(col(Headshot.tenant_id) == tenant_of(session))
    most: float | None = session.exec(query).one()
    return min(max(most or 1.0, 1.0), presets.LOOSEST)


def framed(picture: bytes, headshot: Headshot, chosen: Preset, loosened: float) -> bytes:
    """The file that somebody gets of this headshot's picture."""
    if headshot.loosening is None:
        return picture
    with Image.open(io.BytesIO(picture)) as canvas:
        return presets.encoded(presets.cut(canvas, chosen, loosened))[0]
