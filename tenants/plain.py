"""Text that somebody typed: a number, an address, one line or some, trimmed, of a bearable length, and storable."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email
from email_validator.rfc_constants import EMAIL_MAX_LENGTH
from email_validator.syntax import validate_email_local_part

from likeness.ground.errors import Unprocessable
from likeness.locale.marks import Term


class TextRefused(Unprocessable):
    """Empty, too long, or not text."""

    title = "This text cannot be used"


def whole_number(text: str, most: int) -> int | None:
    """A number from 0 to `most` in plain digits; None for anything else, however long."""
    if not text.isascii() or not text.isdecimal() or len(text) > len(str(most)):
        return None
    return number if (number := int(text)) <= most else None


def one_line(text: str, longest: int, name: str, *, needed: bool = True) -> str:
    """NFC with single spaces. Raises `TextRefused` for control characters and lone surrogates, which nobody types."""
    if len(text) > longest * 4:
        raise TextRefused("The {name} is longer than {longest} characters.", name=Term(name), longest=longest)
    text = " ".join(unicodedata.normalize("NFC", text).split(" ")).strip()
    text = " ".join(part for part in text.split(" ") if part)
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text):
        raise TextRefused("The {name} holds characters that are not text.", name=Term(name))
    if needed and not text:
        raise TextRefused("The {name} is missing.", name=Term(name))
    if len(text) > longest:
        raise TextRefused("The {name} is longer than {longest} characters.", name=Term(name), longest=longest)
    return text


def folded(words: str) -> str:
    """For comparing and sorting: Ü stands with U, and capitals with small letters."""
    if words.isascii():
        return words.casefold()
    return "".join(sign for sign in unicodedata.normalize("NFKD", words) if not unicodedata.combining(sign)).casefold()


def some_lines(text: str, longest: int, name: str) -> str:
    """Lines of one paragraph or several, as `one_line` has each; empty for nothing. Raises `TextRefused`."""
    if len(text) > longest * 4:
        raise TextRefused("The {name} is longer than {longest} characters.", name=Term(name), longest=longest)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").split("\n")
    kept = "\n".join(one_line(line, longest, name, needed=False) for line in lines).strip()
    while "\n\n\n" in kept:
        kept = kept.replace("\n\n\n", "\n\n")
    if len(kept) > longest:
        raise TextRefused("The {name} is longer than {longest} characters.", name=Term(name), longest=longest)
    return kept


def mail_domain(address: str) -> str | None:
    """The A-label domain of an address, or None when it cannot receive mail."""
    local, _, domain = address.rpartition("@")
    try:
        validate_email_local_part(local)
    except EmailNotValidError:
        return None
    return _receiving(domain) if len(address.encode(errors="replace")) <= EMAIL_MAX_LENGTH else None


@lru_cache(maxsize=1000)
def _receiving(domain: str) -> str | None:
    """Remembered, because a list of ten thousand people has a handful of domains; whose address it is, is not.

    Domains inside a company (acme.local) and for trials (acme.test) count, though the library refuses both: the
    program may run inside the company. They are checked as if they ended in "example", which is as reserved.
    """
    public = re.sub(r"\.(local|test)$", ".example", domain, flags=re.IGNORECASE)
    try:
        found = validate_email(f"a@{public}", check_deliverability=False)
    except EmailNotValidError:
        return None
    found_domain = found.ascii_domain.lower()
    return found_domain if public == domain else found_domain.removesuffix("example") + domain.rpartition(".")[2].lower()
