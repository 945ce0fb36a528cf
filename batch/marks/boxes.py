"""Where a mark stands in a JPEG or PNG, and the boxes that one of them is packed in: JUMBF, ISO/IEC 19566-5.

A mark is laid into the file as it is. No pixel is coded anew, and the same picture stays the same to the byte.
"""

from __future__ import annotations

import struct
from zlib import crc32

JPEG, PNG = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
JFIF = b"\xff\xe0"
HEADER = len(PNG) + 25
"""Where the first chunk of a PNG ends, which has to be its header."""
NO_PICTURE = "this is no JPEG or PNG"
LABELLED = 0x03
"""A box that may be asked for by its label."""


class NoPicture(ValueError):
    """A file of a kind that carries no such mark."""


def place(picture: bytes) -> int:
    """Behind the header, which readers want first, and before every pixel. Raises `NoPicture`."""
    if picture.startswith(PNG):
        return HEADER
    if picture.startswith(JPEG):
        return 4 + int.from_bytes(picture[4:6]) if picture[2:4] == JFIF else 2
    raise NoPicture(NO_PICTURE)


def piece(picture: bytes, marker: int, segment: bytes, name: bytes, chunk: bytes) -> bytes:
    """A segment with this marker for a JPEG, or a chunk of this name for a PNG. Raises `NoPicture`."""
    if picture.startswith(PNG):
        named = name + chunk
        return struct.pack(">I", len(chunk)) + named + struct.pack(">I", crc32(named))
    if picture.startswith(JPEG):
        return struct.pack(">BBH", 0xFF, marker, len(segment) + 2) + segment
    raise NoPicture(NO_PICTURE)


def laid(picture: bytes, mark: bytes) -> bytes:
    at = place(picture)
    return picture[:at] + mark + picture[at:]


def box(kind: bytes, held: bytes) -> bytes:
    return struct.pack(">I", len(held) + 8) + kind + held


def described(kind: bytes, label: str, *held: bytes) -> bytes:
    """What is in a superbox: of which kind it is, four letters of C2PA or JUMBF, its label, and what it holds."""
    uuid = kind + bytes.fromhex("00110010800000aa00389b71")
    return box(b"jumd", uuid + bytes([LABELLED]) + label.encode() + b"\0") + b"".join(held)


def superbox(kind: bytes, label: str, *held: bytes) -> bytes:
    return box(b"jumb", described(kind, label, *held))
