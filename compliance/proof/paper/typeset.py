"""Sets a PDF with typst, in this process or in one of its own.

typst remembers what it has set for the next ten documents. For one page that is nothing; everything that is held about
somebody is set in a process whose memory ends with it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import typst

SECONDS = 120.0


FONTS_OF = {
    "ja": {"IPAexGothic", "IPAexMincho", "Noto Sans CJK JP", "Noto Serif CJK JP", "VL Gothic", "TakaoPGothic"},
    "ar": {"Amiri", "Noto Naskh Arabic", "Noto Sans Arabic", "DejaVu Sans"},
}
"""Families of which one is needed to write a language; what is not named here is written with what comes with typst."""


@cache
def writes(language: str) -> bool:
    """Whether this machine has a font that writes the language, instead of rows of empty boxes."""
    needed = FONTS_OF.get(language)
    return needed is None or not needed.isdisjoint(typst.Fonts().families())


class NotSet(RuntimeError):
    """The process that sets a page ended badly; what it said may hold words of the page, and is not kept."""


def compiled(template: str, data: str) -> bytes:
    """As PDF/UA-1; tagged all the same, but without that name, where no font of this machine has a letter of somebody's
    name: the standard refuses such a page, and the person is to have theirs.
    """
    try:
        return typst.compile(template.encode(), format="pdf", sys_inputs={"data": data}, pdf_standards=["ua-1"])
    except typst.TypstError:
        return typst.compile(template.encode(), format="pdf", sys_inputs={"data": data})


def apart(template: str, data: str) -> bytes:
    """The same, in a process of its own. Raises `NotSet`."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", __file__], input=json.dumps([template, data]).encode(), stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, timeout=SECONDS, check=True,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NotSet(f"status {getattr(error, 'returncode', 'none')}") from None
    return done.stdout


if __name__ == "__main__":
    sys.stdout.buffer.write(compiled(*json.load(sys.stdin)))
