"""Instead of a headshot: one's initials as a picture, for whoever takes no part. Nothing of it is stored."""

from __future__ import annotations

import unicodedata
from html import escape
from typing import Any

from litestar import Request, Response, get

from dashboard.visit.around.frame import EMPLOYEE, me_of
from likeness.mail.markup import OWN_COLOUR, ink

SIDE = 648
"""Pixels of the square that directories take."""
DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" width="{side}" height="{side}" viewBox="0 0 100 100">
<rect width="100" height="100" fill="{ground}"/>
<text x="50" y="50" dy=".36em" text-anchor="middle" font-family="Figtree, 'Segoe UI', 'Noto Sans', sans-serif"
 font-size="{size}" font-weight="600" fill="{ink}">{initials}</text>
</svg>
"""


@get("/visit/initials.svg", sync_to_thread=True, guards=EMPLOYEE)
def draw_initials(request: Request[Any, Any, Any]) -> Response[str]:
    """White or black on the company's colour."""
    me = me_of(request)[2]
    letters, ground = initials(me.profile.full_name), me.tenant.colour or OWN_COLOUR
    drawn = DRAWING.format(
        side=SIDE, ground=escape(ground), ink=ink(ground), initials=escape(letters), size=42 if len(letters) < 3 else 34
    )
    return Response(drawn, media_type="image/svg+xml")


def initials(name: str) -> str:
    """The first letter of the first and of the last word; of a name without spaces its first sign."""
    words = [word for word in name.split() if unicodedata.category(word[0])[0] in "LN"]
    if not words:
        return "•"
    chosen = [words[0], words[-1]] if len(words) > 1 else words
    return "".join(unicodedata.normalize("NFC", word)[0] for word in chosen).upper()


routes: list[Any] = [draw_initials]
