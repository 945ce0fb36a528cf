"""The certificate as one page of paper: made by typst as accessible PDF (PDF/UA-1), with the signed text attached."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import segno
from pyhanko.pdf_utils.reader import PdfFileReader

from compliance.proof import departures
from compliance.proof.paper import company, typeset, words
from likeness.locale.languages import ENGLISH
from likeness.locale.words import Words
from likeness.locale.words import words as words_for

TEMPLATE = Path(__file__).with_name("certificate.typ")
FONTS = ["Libertinus Serif", "Noto Serif CJK JP", "IPAexGothic", "Noto Naskh Arabic", "Amiri", "DejaVu Sans"]
"""The first comes with typst; a name in a script that it lacks is set in what the machine has."""
ONE_LINE = 160
SIZES = (10.0, 9.0, 8.0)
"""Points; a smaller one only where the page would not hold everything."""


def render(document: Mapping[str, Any], jws: str, language: str, *, fingerprint: str) -> bytes:
    """Not sealed yet. In English where this machine has no font that writes the language: that can at least be read."""
    reads = words_for(language if typeset.writes(language) else ENGLISH)
    say = reads.gettext
    instance = str(document["instance"])
    address = f"{instance}/verify"
    drawn = io.BytesIO()
    # What follows the # stays in the browser: the page there learns what to expect, the server nothing.
    expected = urlencode({"certificate": document["id"], "key": fingerprint})
    segno.make(f"{address}#{expected}", error="m", micro=False).save(drawn, kind="svg", border=2, scale=4)
    logged = document["ledger"]
    about = company if document.get("certificate") == departures.KIND else words
    data = about.page(_shortened(document), reads) | {
        "qr": drawn.getvalue().decode(),
        "jws": jws,
        "fonts": FONTS,
        "verify": [
            say(about.VERIFY, address=address),
        ],
        "facts": [
            [say("Number"), document["id"]],
            [say("Issued"), words.clock(document["issued_at"], reads)],
            [say("Issued by"), f"{instance}, {document['software']}"],
            [say("Key's fingerprint"), fingerprint],
            *([[say("Place in the log"), _place(logged, reads)]] if "checkpoint" in logged else []),
        ],
    }
    for size in SIZES:
        pdf = typeset.compiled(TEMPLATE.read_text(encoding="utf-8"), json.dumps(data | {"size": size}))
        if PdfFileReader(io.BytesIO(pdf)).root["/Pages"]["/Count"] == 1:
            break
    return pdf


def _place(logged: Mapping[str, Any], reads: Words) -> str:
    moment = next(line for line in logged["checkpoint"].splitlines() if line.startswith("time ")).removeprefix("time ")
    return reads.gettext(
        "entry {number} of {size}, checkpoint of {moment}",
        number=logged["position"] + 1,
        size=int(logged["checkpoint"].splitlines()[1]),
        moment=words.clock(moment, reads),
    )


def _shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    """A company and its processor may have names of any length; the page has one."""
    names = {who: " ".join(str(document[who]).split()) for who in ("controller", "processor")}
    return {**document, **{who: one if len(one) <= ONE_LINE else f"{one[:ONE_LINE]}…" for who, one in names.items()}}
