"""Text that somebody typed into a form: one line, trimmed, of a bearable length, and storable."""

from __future__ import annotations

import unicodedata

from likeness.errors import Unprocessable


class TextRefused(Unprocessable):
    """Empty, too long, or not text."""


def one_line(text: str, longest: int, name: str, *, needed: bool = True) -> str:
    """NFC with single spaces. Raises `TextRefused` for control characters and lone surrogates, which nobody types."""
    if len(text) > longest * 4:
        raise TextRefused(f"The {name} is longer than {longest} characters.")
    text = " ".join(unicodedata.normalize("NFC", text).split(" ")).strip()
    text = " ".join(part for part in text.split(" ") if part)
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
        raise TextRefused(f"The {name} holds characters that are not text.")
    if needed and not text:
        raise TextRefused(f"The {name} is missing.")
    if len(text) > longest:
        raise TextRefused(f"The {name} is longer than {longest} characters.")
    return text
