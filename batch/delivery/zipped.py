"""The format of an archive whose every byte has a place before it is made, so that a broken download can go on.

Entries are stored as they are: pictures do not compress. `zipfile` writes sizes behind the entries when it cannot seek, and
cannot begin in the middle; this writes what it reads. The format is PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

MOST_32, MOST_16 = 0xFFFFFFFF, 0xFFFF
UTF8 = 0x800
STORED = 0
PLAIN, LARGE = 20, 45
"""The version that is needed to extract, times ten: 2.0, or 4.5 for places beyond 4 GiB."""
MODE = 0o100644 << 16


@dataclass(frozen=True)
class Entry:
    """One file: all of it that stands in the archive beside its bytes."""

    name: str
    at: datetime
    size: int
    crc: int

    @property
    def length(self) -> int:
        """With its header, in bytes."""
        return 30 + len(self.name.encode()) + self.size


def entry(name: str, at: datetime, data: bytes) -> Entry:
    return Entry(name, at, len(data), crc32(data))


def header(one: Entry) -> bytes:
    name = one.name.encode()
    return struct.pack(
        "<4s5H3L2H", b"PK\x03\x04", PLAIN, UTF8, STORED, *_dos(one.at), one.crc, one.size, one.size, len(name), 0
    ) + name  # fmt: skip


def directory(entries: Sequence[Entry]) -> bytes:
    """The end of the archive: where each entry begins."""
    out, place = bytearray(), 0
    for one in entries:
        out += _listed(one, place)
        place += one.length
    return bytes(out) + _end(len(entries), len(out), place)


def _listed(one: Entry, place: int) -> bytes:
    name = one.name.encode()
    extra = struct.pack("<2HQ", 1, 8, place) if place >= MOST_32 else b""
    return struct.pack(
        "<4s2B5H3L5H2L", b"PK\x01\x02", LARGE if extra else PLAIN, 3, LARGE if extra else PLAIN, UTF8, STORED,
        *_dos(one.at), one.crc, one.size, one.size, len(name), len(extra), 0, 0, 0, MODE, min(place, MOST_32),
    ) + name + extra  # fmt: skip


def _end(count: int, size: int, place: int) -> bytes:
    out = b""
    if count >= MOST_16 or place >= MOST_32 or size >= MOST_32:
        out += struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, LARGE, LARGE, 0, 0, count, count, size, place)
        out += struct.pack("<4sLQL", b"PK\x06\x07", 0, place + size, 1)
    return out + struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, min(count, MOST_16), min(count, MOST_16), min(size, MOST_32),
        min(place, MOST_32), 0,
    )  # fmt: skip


def _dos(at: datetime) -> tuple[int, int]:
    """Time and day in steps of two seconds, from 1980 on."""
    return at.hour << 11 | at.minute << 5 | at.second // 2, max(0, at.year - 1980) << 9 | at.month << 5 | at.day
