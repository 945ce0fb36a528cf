"""The page of an access package as paper: the same sections and the same words, as accessible PDF (PDF/UA-1).

Its fingerprint stands in the signed list of the package's files, like that of every other file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from compliance.proof.paper import typeset
from compliance.proof.paper.page import FONTS
from compliance.rights.page import PageSection
from likeness.locale.marks import N_
from likeness.locale.words import Words

TEMPLATE = Path(__file__).with_name("package.typ")
PAGE = N_("Page")


def render(parts: Iterable[PageSection], words: Words) -> bytes:
    top, *rest = (asdict(part) for part in parts)
    data = {
        "language": words.language, "direction": words.direction, "fonts": FONTS, "top": top, "parts": rest,
        "page": words.gettext(PAGE),
    }  # fmt: skip
    return typeset.apart(TEMPLATE.read_text(encoding="utf-8"), json.dumps(data))
