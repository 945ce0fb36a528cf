"""What Likeness writes to people, one file a text and language; the first line of a mail is its subject."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from likeness.mail import Letter

LANGUAGES = ("en", "de")


def language_for(wish: str | None) -> str:
    """The language we have for one that somebody prefers, such as `de-AT`; English otherwise."""
    first = (wish or "").partition("-")[0].lower()
    return first if first in LANGUAGES else "en"


def render(name: str, language: str, /, **values: str) -> str:
    return _template(name, language_for(language)).format(**values)


def letter(name: str, language: str, to: str, /, **values: str) -> Letter:
    """A plain-text mail. The subject comes before the values are put in, so that nothing personal can get into it."""
    subject, _, text = _template(name, language_for(language)).partition("\n")
    return Letter(to=to, subject=subject.removeprefix("Subject: "), text=text.strip().format(**values) + "\n")


@cache
def _template(name: str, language: str) -> str:
    return (files(__name__) / f"{name}.{language}.txt").read_text(encoding="utf-8")
