"""The employee pages in the employee's own language. The English sentence is the key; what is missing stays English."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

GERMAN: dict[str, str] = json.loads((Path(__file__).parent / "german.json").read_text(encoding="utf-8"))


def translator(language: str) -> Callable[..., str]:
    """A function for templates: `_("{n} of {m} photos", n=6, m=8)`."""
    known = {"de": GERMAN}.get(language, {})

    def translated(sentence: str, **values: object) -> str:
        found = known.get(sentence, sentence)
        return found.format(**values) if values else found

    return translated


METER = (
    (" of ", " von "),
    ("one more from the side", "noch eines von der Seite"),
    ("one from the side", "eines von der Seite"),
    ("one from the front", "eines von vorn"),
    ("one in other clothes", "eines in anderer Kleidung"),
    ("more, however you like", "weitere, ganz wie Sie mögen"),
    ("complete", "vollständig"),
)


def meter(hint: str, language: str) -> str:
    """The meter's sentence, such as `6 of 8: one more from the side`, which is put together from few pieces."""
    if language == "de":
        for english, german in METER:
            hint = hint.replace(english, german)
    return hint
