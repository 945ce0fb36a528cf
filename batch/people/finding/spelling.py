"""One spelling for whatever somebody types and whatever a list says: Müller is found as muller, mueller and MÜLLER, إبراهيم
as ابراهيم, ﾔﾏﾀﾞ as やまだ, and 山田 太郎 without the space."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from batch.people.employees import EmployeeProfile
from tenants.plain import folded

HIRAGANA, TO_KATAKANA = range(0x3041, 0x3097), 0x60
PLAIN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "\N{LATIN SMALL LETTER DOTLESS I}": "i"}
    | dict.fromkeys("'\u2019\u02bc\u02bb", "")  # Apostrophes: O'Neil is written in four ways, and without.
    | dict.fromkeys("\u2010\u2011\u2013", "-")
    # Final forms, Persian letters and the stretch, which Arabic writes as it likes.
    | {"\u0649": "\u064a", "\u06cc": "\u064a", "\u0629": "\u0647", "\u06a9": "\u0643", "\u0640": ""}
    | {chr(sign): chr(sign + TO_KATAKANA) for sign in HIRAGANA}
)
SPELLED_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue",
                             "Å": "Aa", "Ø": "Oe"})  # fmt: skip
WITHOUT_SPACES = "\u2e80"
"""From here on are scripts that put none between a family name and a given one."""


def plain(words: str) -> str:
    return folded(words).translate(PLAIN)


def of(who: EmployeeProfile) -> str:
    """Everything that somebody is found by, one spelling a line; empty for whom nobody can read any more."""
    name = plain(who.full_name)
    spellings = [name, plain(who.email), plain(who.employee_key or "")]
    if not who.full_name.isascii():
        spellings.append(_spelled_out(who.full_name))
        if any(sign >= WITHOUT_SPACES for sign in name):
            spellings.append(name.replace(" ", ""))
    if "-" in name:
        spellings.append(name.replace("-", " "))
    return "\n".join(f" {one}" for one in dict.fromkeys(spellings) if one)


def sought(words: str) -> Callable[[str], bool]:
    """Whether this is a part of what `of` gave; of several words each has to begin one there, in whichever order."""
    typed = words.split()
    begins = " " if len(typed) > 1 else ""
    each = [
        {begins + spelled for spelled in (plain(one), _spelled_out(one), plain(one).replace("-", " "))} for one in typed
    ]
    return lambda found: all(any(one in found for one in spellings) for spellings in each)


def _spelled_out(words: str) -> str:
    """As who has no dots on the keyboard writes it. A letter and its dots may come as two signs."""
    return plain(unicodedata.normalize("NFC", words).translate(SPELLED_OUT))
