"""What a picture says of itself when it leaves: IPTC's digital source type, in XMP, for machines (EU AI Act, article 50).

`trainedAlgorithmicMedia` is drawn by a model, `composite` is a photograph that was cut out and set on a backdrop.
"""

from __future__ import annotations

import io
import re

from PIL import Image

from batch.marks import boxes
from batch.marks.boxes import NO_PICTURE, NoPicture

VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED, COMPOSITE = "trainedAlgorithmicMedia", "composite"
XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 Iptc4xmpExt:DigitalSourceType="{source}"/>
</rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
SAID = re.compile(rb'DigitalSourceType(?:="|>)([^"<]{1,200})')
APP1 = 0xE1
IN_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
IN_PNG = b"XML:com.adobe.xmp\0\0\0\0\0"
ROOM = 1_000
"""A mark takes less, in bytes."""


def marked(picture: bytes, source: str) -> bytes:
    """The same picture with the mark. Raises `NoPicture`."""
    said = XMP.format(source=VOCABULARY + source).encode()
    return boxes.laid(picture, boxes.piece(picture, APP1, IN_JPEG + said, b"iTXt", IN_PNG + said))


def read(data: bytes) -> str | None:
    """The source type that a picture names, without its vocabulary; None where it names none. Raises `NoPicture`."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as opened:
            about = opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp") or b""
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise NoPicture(NO_PICTURE) from error
    found = SAID.search(about.encode() if isinstance(about, str) else about)
    return found[1].decode("utf-8", "replace").rpartition("/")[2] if found else None
