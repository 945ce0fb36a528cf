"""The languages that pages, mails and notices exist in, and which of them somebody is addressed in."""

from __future__ import annotations

LANGUAGES = {"en": "English", "de": "Deutsch", "fr": "Français", "es": "Español", "ja": "日本語", "ar": "العربية"}
"""By code, each under its own name, in the order in which they are offered."""
ENGLISH = "en"
RIGHT_TO_LEFT = frozenset({"ar"})


def known(wish: str | None) -> str | None:
    """The language we have for a tag such as `de-AT`; None where there is none."""
    first = (wish or "").strip().replace("_", "-").partition("-")[0].lower()
    return first if first in LANGUAGES else None


def first_of(*wishes: str | None) -> str:
    """The first of these wishes that can be met; English otherwise."""
    return next((code for wish in wishes if (code := known(wish))), ENGLISH)


def accepted(header: str) -> str | None:
    """The language that a browser likes best of those we have, by its `Accept-Language` (RFC 9110, 12.5.4)."""
    liked: list[tuple[float, int, str]] = []
    for place, part in enumerate(header.split(",")[:20]):
        tag, _, weight = part.partition(";")
        code = known(tag)
        if code:
            liked.append((-_weight(weight), place, code))
    best = min(liked, default=None)
    return best[2] if best and best[0] < 0 else None


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if not name:
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0


def direction(language: str) -> str:
    return "rtl" if language in RIGHT_TO_LEFT else "ltr"
