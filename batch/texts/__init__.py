"""What Likeness writes to people, one file a text and language; the first line of a mail is its subject."""

from __future__ import annotations

import re
import textwrap
from functools import cache
from importlib.resources import files

from likeness.mail import Letter

LANGUAGES = ("en", "de")
LONGEST_LINE = 120


def language_for(wish: str | None) -> str:
    """The language we have for one that somebody prefers, such as `de-AT`; English otherwise."""
    first = (wish or "").partition("-")[0].lower()
    return first if first in LANGUAGES else "en"


def render(name: str, language: str, /, **values: str) -> str:
    return _wrapped(_template(name, language_for(language)).format(**values))


def letter(name: str, language: str, to: str, /, **values: str) -> Letter:
    """A plain-text mail. The subject comes before the values are put in, so that nothing personal can get into it."""
    subject, _, text = _template(name, language_for(language)).partition("\n")
    return Letter(to=to, subject=subject.removeprefix("Subject: "), text=_wrapped(text.strip().format(**values)) + "\n")


@cache
def _template(name: str, language: str) -> str:
    return (files(__name__) / f"{name}.{language}.txt").read_text(encoding="utf-8")


def _wrapped(text: str) -> str:
    """Long values make long lines; their paragraphs and list items are laid out anew, everything else stays."""
    return "\n\n".join("\n".join(_items(block.split("\n"))) for block in text.split("\n\n"))


def _items(lines: list[str]) -> list[str]:
    items: list[list[str]] = []
    for line in lines:
        heading = bool(items) and re.match(r"\d+\. ", items[-1][0])
        if not items or heading or re.match(r"\* |\([a-z]\) |\d+\. ", line):
            items.append([line])
        else:
            items[-1].append(line)
    return [_laid_out(item) if max(map(len, item)) > LONGEST_LINE else "\n".join(item) for item in items]


def _laid_out(item: list[str]) -> str:
    mark = re.match(r"\* |\([a-z]\) |", item[0])
    return textwrap.fill(
        " ".join(line.strip() for line in item),
        width=LONGEST_LINE,
        subsequent_indent=" " * (mark.end() if mark else 0),
        break_long_words=False,
        break_on_hyphens=False,
    )
