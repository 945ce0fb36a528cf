"""One frame for a company: how much of a studio portrait's canvas is shown, alike for everybody but for the steps by which
somebody moved their own.

As soon as somebody's hair needs it, everybody's frame is loosened, so that no head is smaller than a colleague's. It stays
so when that person's headshots are gone, or later colleagues would be larger than those whose pictures are in use. The
company keeps a step of five hundredths and nobody's own number. A picture that a model made comes framed already: as a
square it is shown whole, and other shapes are trimmed from it.
"""

from __future__ import annotations

import io
import math

from PIL import Image, UnidentifiedImageError
from sqlmodel import Session, col, update

from batch.marks import claim, iptc, watermark
from batch.marks.boxes import NoPicture
from batch.marks.credential import Credential
from batch.models import Headshot
from batch.vision import presets
from batch.vision.presets import PRESETS, Crop, Preset
from likeness.ground.db import tenant_of
from likeness.ground.errors import Unprocessable
from tenants import tenants
from tenants.models import Tenant

STEP = 0.05
"""So coarse that the number says nothing of one head of hair: it outlives the person whose hair it was."""


class PresetUnknown(Unprocessable):
    title = "There is no such format"


def preset(name: str) -> Preset:
    """Raises `PresetUnknown`."""
    found = PRESETS.get(name)
    if found is None:
        raise PresetUnknown("Choose one of: {names}.", names=", ".join(PRESETS))
    return found


def of_company(session: Session) -> float:
    """By how much this company's frames are loosened, 1 to `presets.LOOSEST`."""
    return tenants.get(session).loosened


def loosen(session: Session, needed: float | None) -> None:
    """From now on everybody's frame is at least so wide. `needed` is for somebody's hair; None of a framed picture."""
    wide = stepped(needed or 1.0)
    session.execute(
        update(Tenant).where(col(Tenant.id) == tenant_of(session), col(Tenant.loosened) < wide).values(loosened=wide)
    )


def stepped(needed: float) -> float:
    """The next step that holds it, 1 to `presets.LOOSEST`."""
    steps = math.ceil(round((needed - 1) / STEP, 6))
    return min(max(1 + STEP * steps, 1.0), presets.LOOSEST)


def source_of(headshot: Headshot) -> str:
    """One that a model drew was compared with the person; their own photo needed no comparison."""
    return iptc.COMPOSITE if headshot.likeness_ratio is None else iptc.GENERATED


def framed(picture: bytes, headshot: Headshot, chosen: Preset, loosened: float, credential: Credential) -> bytes:
    """The file that somebody gets of this headshot's picture, which says of itself how it came about.

    First the pixels, then what the file says, then the statement that nothing of both was changed.
    """
    try:
        made = _framed(picture, headshot, chosen, loosened, credential)
    except UnidentifiedImageError:
        return picture
    return _said(made, source_of(headshot), credential, watermarked=source_of(headshot) == iptc.GENERATED)


def faithful(picture: bytes, headshot: Headshot, credential: Credential) -> bytes:
    """The picture as it is kept, for the person's own copy of their data: what is coded of its pixels stays the same to the
    byte, and the file around it says how it came about. The mark within the pixels would change them."""
    return _said(picture, source_of(headshot), credential, watermarked=False)


def _said(picture: bytes, source: str, credential: Credential, *, watermarked: bool) -> bytes:
    try:
        return claim.signed(iptc.marked(picture, source), source, credential, watermarked=watermarked)
    except NoPicture:  # What is kept is JPEG or PNG; nothing else stops a download.
        return picture


def _framed(picture: bytes, headshot: Headshot, chosen: Preset, loosened: float, credential: Credential) -> bytes:
    generated = source_of(headshot) == iptc.GENERATED
    whole = headshot.loosening is None and chosen is PRESETS["square"]
    if whole and not generated:
        return picture
    most = chosen.most_bytes - iptc.ROOM - claim.room(credential) if chosen.most_bytes else None
    with Image.open(io.BytesIO(picture)) as kept:
        lossless = whole and kept.format == "PNG"
        if headshot.loosening is not None:
            shown = presets.cut(kept, chosen, loosened, Crop(headshot.closer, headshot.raised))
        else:
            shown = kept.convert("RGB") if whole else presets.trimmed(kept, chosen)
    return presets.encoded(watermark.laid(shown) if generated else shown, most, lossless=lossless)[0]
