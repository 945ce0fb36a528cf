"""Plain text of fixed width: its paragraphs and list items, laid out anew where a long value made a long line."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

LONGEST_LINE = 120
RIGHT_TO_LEFT = "\u200f"
"""A mark without width, before a line that begins with letters of the other direction."""
MARK = re.compile(r"\* |> |\(\w\) ")
HEADING = re.compile(r"\d+\. ")
ENDS = "、。，．」』）：；？！ー)"
PIECE = re.compile(r"[\u2000-\u206f]*[!-\u1fff]+[\u2000-\u206f]* ?|.", re.DOTALL)
"""What stays on one line: a word of a script that has spaces, its marks of direction and its space; else a single sign."""


def joined(lines: Sequence[str]) -> str:
    """Lines of one paragraph as one line: with a space between, but none in scripts that are written without."""
    text = ""
    for line in lines:
        tight = bool(text) and bool(line) and _wide(text[-1]) and _wide(line[0])
        text += line if tight or not text else f" {line}"
    return text


def _wide(sign: str) -> bool:
    return unicodedata.east_asian_width(sign) in "WF"


def wrapped(text: str) -> str:
    """Long values make long lines; their paragraphs and list items are laid out anew, everything else stays."""
    return "\n\n".join("\n".join(_items(block.split("\n"))) for block in text.split("\n\n"))


def _items(lines: list[str]) -> list[str]:
    items: list[list[str]] = []
    for line in lines:
        heading = bool(items) and HEADING.match(items[-1][0])
        if not items or heading or MARK.match(line) or HEADING.match(line):
            items.append([line])
        else:
            items[-1].append(line)
    return [_laid_out(item) if max(map(_width, item)) > LONGEST_LINE else "\n".join(item) for item in items]


def _width(line: str) -> int:
    return len(line) + sum(map(_wide, line))


def _laid_out(item: list[str]) -> str:
    mark = MARK.match(item[0])
    indent = " " * (mark.end() if mark else 0)
    whole = joined([line.strip() for line in item])
    if sum(map(_wide, whole)) > len(whole) / 3:
        return f"\n{indent}".join(_broken(whole, LONGEST_LINE - len(indent)))
    return textwrap.fill(
        whole, width=LONGEST_LINE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _broken(text: str, width: int) -> list[str]:
    """Scripts without spaces break anywhere, but not before a sign that ends something, nor within words and addresses
    of scripts that have spaces: joined again they would have one in the middle."""
    lines, line = [], ""
    for piece in PIECE.findall(text):
        if line and _width(line + piece.rstrip()) > width and piece not in ENDS:
            lines.append(line.rstrip())
            line = piece.lstrip()
        else:
            line += piece
    return [*lines, line]
