"""One cell of a roster: what its text means, and what is wrong with it.

A check returns the value that is kept and the faults it found; a fault is data, so that all of them can be shown.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import idna

from likeness.locale.marks import Told
from tenants.plain import mail_domain

# The longest address that mail servers accept (RFC 5321), and a generous length for a name.
LONGEST_EMAIL = 254
LONGEST_TEXT = 200


class Fault(NamedTuple):
    code: str
    message: str
    severity: str = "error"


class Cell(NamedTuple):
    """A cell as the file holds it; `kind` is text, number, date, truth, error, or a formula without a stored value."""

    text: str
    kind: str = "text"
    counted: bool = False
    """A formula stands in it; the text is the value that the program stored beside it, where there is one."""


# Characters that nobody sees: Cc and Cf, except the two joiners that Persian, Indic scripts and emoji need.
JOINERS = "\u200c\u200d"


def clean(text: str) -> tuple[str, bool]:
    """NFC without invisible characters and with single spaces; True when something invisible was removed.

    Nothing else changes: no letter is re-cased, no name is split or put in another order.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.split()), False
    text = unicodedata.normalize("NFC", text.replace("_x000D_", " "))
    kept: list[str] = []
    removed = False
    for at, sign in enumerate(text):
        if sign.isspace():
            kept.append(" ")
        elif unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Cn", "Co") or _joins(text, at):
            kept.append(sign)
        else:
            removed = True
    return " ".join("".join(kept).split()), removed


def _joins(text: str, at: int) -> bool:
    if text[at] not in JOINERS or not 0 < at < len(text) - 1:
        return False
    return all(unicodedata.category(sign) in ("Lo", "Mn", "Mc", "So", "Sk") for sign in (text[at - 1], text[at + 1]))


def plain_text(cell: Cell, *, named: str, longest: int = LONGEST_TEXT) -> tuple[str, list[Fault]]:
    """The text of a cell that a person typed; empty when it cannot be used."""
    if cell.kind == "formula":
        return "", [Fault("formula", Told("This is a formula without a stored value; type the value."))]
    if cell.text.lstrip().startswith(("=", "\uff1d")):
        return "", [Fault("formula", Told("This is a formula; type the value."))]
    if cell.kind == "error":
        return "", [Fault("excel_error", Told("This is the error {error}; type the value.", error=cell.text[:20]))]
    if cell.kind == "date":
        return "", [Fault("date", Told("This is a date; format the cell as text and type the {name}.", name=named))]
    if len(cell.text) > 4 * longest:
        return "", [Fault("too_long", Told("This is longer than {n} characters.", n=longest))]
    text, removed = clean(cell.text)
    faults = [Fault("hidden_characters", Told("Invisible characters were removed."), "warning")] if removed else []
    if len(text) > longest:
        return "", [*faults, Fault("too_long", Told("This is longer than {n} characters.", n=longest))]
    return text, faults


def employee_key(cell: Cell) -> tuple[str, list[Fault]]:
    """A personnel number as text: 1042.0, which spreadsheets make of 1042, is 1042 again."""
    text, faults = plain_text(cell, named=Told("employee number"))
    if re.fullmatch(r"\d+\.0+", text):
        text = text.partition(".")[0]
    # Spreadsheets keep 15 digits of a number and replace the rest with zeros.
    if cell.kind == "number" and len(text.lstrip("-0").replace(".", "")) > 15:
        return "", [Fault("long_number", Told("Excel loses digits after the 15th; format the cell as text."))]
    return text, faults


def full_name(cell: Cell) -> tuple[str, list[Fault]]:
    text, faults = plain_text(cell, named=Told("name"))
    if "@" in text:
        faults.append(Fault("name_is_address", Told("A name is expected here, not an address.")))
    elif text and not any(sign.isalpha() for sign in text):
        faults.append(Fault("name_without_letters", Told("A name is expected here.")))
    return text, faults


def email(cell: Cell) -> tuple[str, list[Fault]]:
    """An address as it was typed; plus signs and international domains are fine."""
    text, faults = plain_text(cell, named=Told("address"), longest=LONGEST_EMAIL)
    if not text:
        return "", faults
    text = text.removeprefix("mailto:")
    if text.count("@") > 1 and re.search(r"[;,/\s]", text):
        return "", [*faults, Fault("several_addresses", Told("Type one address only."))]
    domain = mail_domain(text)
    if domain is None:
        return "", [*faults, Fault("not_an_address", Told("This is not an e-mail address."))]
    likely = lookalike(domain)
    if likely:
        faults.append(Fault("lookalike_domain", likely, "warning"))
    if text.partition("@")[0].casefold() in ROLES:
        faults.append(Fault("role_address", Told("This looks like a shared mailbox, not one person's."), "warning"))
    return text, faults


# Shared mailboxes: a personal link must not go to them.
ROLES = frozenset(
    re.findall(
        r"\S+",
        """
        abuse admin administrator all billing career careers contact empfang everyone finance hello help helpdesk
        hostmaster hr human.resources humanresources info it jobs kontakt mail marketing newsletter no-reply noreply
        office personal personalabteilung postmaster press presse reception recruiting rh root sales security service
        shop staff support team verwaltung webmaster
        """,
    )
)

# Mail providers whose names people misspell; all are long enough for one wrong letter to mean a typing error.
PROVIDERS = (
    "gmail.com", "googlemail.com", "hotmail.com", "outlook.com", "yahoo.com", "icloud.com", "protonmail.com",
    "fastmail.com", "hotmail.fr", "hotmail.de", "hotmail.co.uk", "yahoo.co.uk", "yahoo.fr", "yahoo.de", "outlook.de",
    "outlook.fr", "orange.fr", "wanadoo.fr", "t-online.de", "freenet.de", "libero.it", "yandex.ru",
)  # fmt: skip
TYPED_ENDINGS = {"con": "com", "cmo": "com", "ocm": "com", "comm": "com", "ner": "net", "nte": "net", "ogr": "org"}


@lru_cache(maxsize=1000)
def lookalike(domain: str, known: tuple[str, ...] = PROVIDERS) -> str:
    """A sentence when a domain (A-label) looks like a misspelt or imitated one, else nothing.

    Remembered, because a list of 10,000 people has a handful of domains: comparing each took a quarter of its reading.
    """
    if domain in known or domain in PROVIDERS:
        return ""
    start, _, ending = domain.rpartition(".")
    if ending in TYPED_ENDINGS:
        return Told("Did you mean {domain}?", domain=f"{start}.{TYPED_ENDINGS[ending]}")
    for right in known:
        if apart(domain, right, 1) <= 1:
            return Told("Did you mean {domain}?", domain=right)
    if "xn--" in domain and any(_mixed(label) for label in domain.split(".")):
        return Told("This domain mixes letters of several scripts.")
    return ""


def _mixed(label: str) -> bool:
    try:
        letters = [sign for sign in idna.decode(label) if sign.isalpha()]
    except idna.IDNAError:
        return False
    scripts = {unicodedata.name(sign, "").partition(" ")[0] for sign in letters}
    return len(scripts & {"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}) > 1


def apart(one: str, other: str, most: int) -> int:
    """How many letters to add, drop, replace or swap with the next; stops counting above `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, left in enumerate(one, 1):
        line = [row]
        for column, right in enumerate(other, 1):
            steps = min(above[column] + 1, line[-1] + 1, above[column - 1] + (left != right))
            if row > 1 and column > 1 and left == other[column - 2] and one[row - 2] == right:
                steps = min(steps, before[column - 2] + 1)
            line.append(steps)
        if min(line) > most:
            return most + 1
        before, above = above, line
    return above[-1]


LANGUAGES = {
    "ar": "arabic arabisch arabe árabe العربية عربي", "cs": "czech tschechisch čeština", "da": "danish dänisch dansk",
    "de": "german deutsch allemand alemán alemão tedesco duits", "el": "greek griechisch ελληνικά",
    "en": "english englisch anglais inglés inglês inglese engels", "es": "spanish spanisch espagnol español espanhol",
    "fa": "persian farsi persisch فارسی", "fi": "finnish finnisch suomi", "fr": "french französisch français francés",
    "he": "hebrew hebräisch hébreu עברית", "hi": "hindi हिन्दी", "hu": "hungarian ungarisch magyar",
    "it": "italian italienisch italien italiano", "ja": "japanese japanisch japonais 日本語",
    "ko": "korean koreanisch coréen 한국어", "nl": "dutch niederländisch néerlandais nederlands",
    "no": "norwegian norwegisch norsk", "pl": "polish polnisch polonais polski",
    "pt": "portuguese portugiesisch portugais portugués português", "ro": "romanian rumänisch română",
    "ru": "russian russisch russe русский", "sv": "swedish schwedisch svenska", "tr": "turkish türkisch türkçe",
    "uk": "ukrainian ukrainisch українська", "vi": "vietnamese vietnamesisch", "zh": "chinese chinesisch chinois 中文",
}  # fmt: skip
LANGUAGE_NAMES = {name: code for code, names in LANGUAGES.items() for name in names.split()}


def language(cell: Cell) -> tuple[str, list[Fault]]:
    """A language tag such as "de" or "pt-BR", from a tag or from the language's name in several languages."""
    text, faults = plain_text(cell, named=Told("language"))
    if not text:
        return "", faults
    code = LANGUAGE_NAMES.get(text.casefold())
    if code:
        return code, faults
    tag = re.fullmatch(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{2}|[A-Za-z]{4}))?", text)
    if tag is None:
        return "", [*faults, Fault("unknown_language", Told("Type a language such as en, de or fr."), "warning")]
    first, rest = tag[1].lower(), tag[2]
    if rest is None:
        return first, faults
    return f"{first}-{rest.upper() if len(rest) == 2 else rest.capitalize()}", faults
