"""A person's name put together from the columns that hold its parts. No part is lost, and no letter is changed."""

import unicodedata


def composed(given: str, middle: str, particle: str, family: str, second: str, *, order: str = "") -> str:
    """María José + García + Núñez; 山田 + 太郎 as it is written there, family name first.

    `order` is what the headings tell of their language: "family first", "japanese", or nothing.
    """
    last = _joined(particle, family, second)
    first = _joined(given, middle)
    if not (first and last):
        return first or last
    if holds(family, given):
        # The column of last names holds the whole name in this row.
        return _joined(particle, family, second)
    signs = [sign for sign in first + last if sign.isalpha()]
    if signs and all(_eastern(sign) for sign in signs):
        # Japanese names are written with a space between, Chinese and Korean ones without.
        space = " " if order == "japanese" or any(_kana(sign) for sign in signs) else ""
        return f"{last}{space}{first}"
    return f"{last} {first}" if order == "family first" else f"{first} {last}"


# Headings of languages in which the family name stands first, with a space between.
_FAMILY_FIRST = frozenset(("vezeteknev", "csaladnev", "ho"))


def order_of(folded_headings: list[str]) -> str:
    if _FAMILY_FIRST.intersection(folded_headings):
        return "family first"
    return "japanese" if any(_kana(sign) for heading in folded_headings for sign in heading) else ""


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def holds(whole: str, part: str) -> bool:
    """A name that begins or ends with another one and has more words: "Anna Schmidt" and "Anna"."""
    whole, part = whole.casefold(), part.casefold()
    return bool(part) and (whole.startswith(part + " ") or whole.endswith(" " + part))


def turned(name: str) -> str:
    """“Brandt, Hanna” as it is said; anything without exactly one comma in its middle stays as it is."""
    last, comma, first = (part.strip() for part in name.partition(","))
    return f"{first} {last}" if comma and last and first and "," not in first else name


def has_last_first(name: str) -> bool:
    last, comma, first = (part.strip() for part in name.partition(","))
    return bool(comma and "," not in first and _lettered(last) and _lettered(first))


def same(one: str, other: str) -> bool:
    """The second name says nothing that the first does not: other order, commas and titles apart."""
    return set(_words(other)) <= set(_words(one))


def _words(name: str) -> list[str]:
    return unicodedata.normalize("NFC", name.casefold()).replace(",", " ").split()


def _lettered(text: str) -> bool:
    return any(sign.isalpha() for sign in text)


def _eastern(sign: str) -> bool:
    return _kana(sign) or unicodedata.name(sign, "").startswith(("CJK", "HANGUL"))


def _kana(sign: str) -> bool:
    return unicodedata.name(sign, "").startswith(("HIRAGANA", "KATAKANA"))
