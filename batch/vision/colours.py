"""Colours that a HEIC describes by three numbers instead of a profile (nclx, ITU-T H.273), as an ICC profile.

Phones that leave the ICC profile out write these numbers only; taken for sRGB, skin in Display P3 turns pale.
"""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# x and y of red, green, blue and white, by the number of the primaries; 1 is sRGB's own.
D65 = (0.3127, 0.3290)
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}
# ICC profiles speak of light as it looks under D50; the matrix is Bradford's.
D50 = np.array((0.9642, 1.0, 0.8249))
BRADFORD = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))
# White of a PQ picture in candela a square metre, and of a HLG picture as a part of its range (ITU-R BT.2408).
PQ_WHITE, HLG_WHITE = 203.0, 0.75
STEPS = 1_024


def _srgb(value: Numbers) -> Numbers:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _pq(value: Numbers) -> Numbers:
    """SMPTE ST 2084, with everything brighter than a white page cut off."""
    root = value ** (1 / 78.84375)
    light = (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    return np.minimum(light * 10_000 / PQ_WHITE, 1)


def _hlg(value: Numbers) -> Numbers:
    """ARIB STD-B67 without the display's own gamma, with everything brighter than a white page cut off."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073

    def light(at: Numbers) -> Numbers:
        return np.where(at <= 0.5, at**2 / 3, (np.exp((at - c) / a) + b) / 12)

    return np.minimum(light(value) / light(np.array(HLG_WHITE)), 1)


# From the stored number to light. What is not named here, BT.709 and its like among it, is shown by every common
# viewer as if it were sRGB, and so it is here.
CURVES: dict[int, Callable[[Numbers], Numbers]] = {
    4: lambda value: value**2.2,
    5: lambda value: value**2.8,
    8: lambda value: value,
    16: _pq,
    18: _hlg,
}


def profile(nclx: dict[str, Any]) -> bytes | None:
    """An ICC profile that means the same; None where the picture is sRGB already or says nothing that is known."""
    primaries, curve = int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2))
    if primaries not in PRIMARIES or (primaries == 1 and curve not in CURVES):
        return None
    columns = _columns(primaries)
    steps = CURVES.get(curve, _srgb)(np.linspace(0, 1, STEPS))
    table = np.round(steps * 65_535).astype(">u2").tobytes()
    tone = b"curv" + struct.pack(">II", 0, STEPS) + table
    tags = {b"wtpt": _xyz(D50)}
    for name, column in zip((b"r", b"g", b"b"), columns.T, strict=True):
        tags |= {name + b"XYZ": _xyz(column), name + b"TRC": tone}
    return _file(tags)


def _columns(primaries: int) -> Numbers:
    """XYZ of red, green and blue as columns, under D50."""
    *colours, white = (np.array((x / y, 1, (1 - x - y) / y)) for x, y in PRIMARIES[primaries])
    unscaled = np.stack(colours, axis=1)
    columns = unscaled * np.linalg.solve(unscaled, white)
    scale = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted: Numbers = np.linalg.inv(BRADFORD) @ scale @ BRADFORD @ columns
    return adapted


def _xyz(values: Numbers) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(value) * 65_536) for value in values))


def _file(tags: dict[bytes, bytes]) -> bytes:
    """The tags behind an ICC header, version 2.4, for a display; equal tags are stored once."""
    place, body, seen = 128 + 4 + 12 * len(tags), b"", {}
    table = struct.pack(">I", len(tags))
    for name, data in tags.items():
        if data not in seen:
            seen[data] = place + len(body)
            body += data
        table += name + struct.pack(">II", seen[data], len(data))
    size = place + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    return header.ljust(68, b"\0") + _xyz(D50)[8:] + bytes(48) + table + body
