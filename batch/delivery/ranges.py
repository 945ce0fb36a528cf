"""Parts of a file, as RFC 9110 section 14 has them: which bytes a download that broke still wants.

One span is served. Several at once, or what cannot be read, are answered with the whole file, as the RFC allows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from likeness.ground.errors import Conflict, LikenessError

SPAN = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class DownloadChanged(Conflict):
    """The file is not the one that was begun."""

    status, title = 412, "What people released has changed"


class BeyondTheEnd(LikenessError):
    status, title = 416, "The file is shorter than that"


def wanted(headers: Mapping[str, str], tag: str) -> str:
    """The span that is asked for of this very file; empty for all of it. Raises `DownloadChanged` for `If-Match`."""
    given = f'"{tag}"'
    match = headers.get("if-match", "")
    if match and match != "*" and given not in [one.strip() for one in match.split(",")]:
        raise DownloadChanged("It is not the file any more that this download began with. Please start it again.")
    if headers.get("if-range", given) != given:
        return ""
    span = headers.get("range", "").strip()
    found = SPAN.fullmatch(span)
    return span if found and (found[1] or found[2]) else ""


def goes_on_blindly(headers: Mapping[str, str], span: str) -> bool:
    """Whether somebody asks for the rest of a file without saying which file they have the beginning of, as curl does."""
    told = headers.get("if-range") or headers.get("if-match")
    return bool(span) and not span.startswith("bytes=0-") and not told


def bounds(span: str, length: int) -> tuple[int, int]:
    """The first byte, and the one behind the last. Raises `BeyondTheEnd`."""
    found = SPAN.fullmatch(span)
    first, last = (found[1], found[2]) if found else ("", "")
    if not first:
        begin, stop = max(0, length - int(last or 0)), length
    else:
        begin, stop = int(first), min(length, int(last) + 1 if last else length)
    if begin >= length or stop <= begin:
        raise BeyondTheEnd("The file has {length} bytes, and the rest of it was asked for from {begin} on.",
                           length=length, begin=begin)  # fmt: skip
    return begin, stop
