"""What stands on a page in another language as it does in English, and is neither a name nor said alike in both: a leak."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser

from likeness.locale import update
from likeness.locale.languages import LANGUAGES

OTHERS = [language for language in LANGUAGES if language != "en"]
# What the company, its people and the program are called, and what is meant to be read by programs.
NAMES = re.compile(
    r"Zqx Works|Zuqi Aqx|Likeness|[\w.+-]+@[\w.-]+|Qx (?:said|answers|\d+)|English|Deutsch|Français|Español|JPEG|PNG"
    r"|WebP|HEIC|MB|UTC|20\d\d-\d\d\.[0-9a-f]{12}|https?://\S+|[0-9a-f-]{32,}|R-20\d\d-[0-9a-f]{8}|\b[0-9a-f]{8}\b"
    r"|LKP-[\w-]+|12 O 34/26"
)
WORD = re.compile(r"[A-Za-z]{3,}")


class Texts(HTMLParser):
    """What is read or heard on a page; what is marked as being in a language or for programs stands apart."""

    SILENT = ("script", "style", "svg")
    SPOKEN = ("alt", "title", "aria-label", "placeholder")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.stack: list[str] = []
        self.skipping = self.foreign = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        foreign = tag != "html" and "lang" in about
        for name, value in about.items():
            spoken = name in self.SPOKEN or (name.startswith("data-") and " " in (value or ""))
            if spoken and not (foreign or self.foreign):
                self.found.add(" ".join((value or "").split()))
        if tag not in ("input", "img", "br", "meta", "link", "path", "circle", "rect", "ellipse"):
            self.skipping += bool(self.skipping) or tag in self.SILENT or foreign or about.get("translate") == "no"
            self.foreign += bool(self.foreign) or foreign

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("input", "img", "br", "meta", "link"):
            self.skipping -= bool(self.skipping)
            self.foreign -= bool(self.foreign)

    def handle_data(self, data: str) -> None:
        if not self.skipping:
            self.found.add(" ".join(data.split()))


def leaks(english: set[str], other: set[str], catalogue: dict[str, str]) -> list[str]:
    return sorted(
        text for text in english & other
        if WORD.search(NAMES.sub("", text)) and catalogue.get(as_said(text)) != as_said(text)
    )  # fmt: skip


def as_said(text: str) -> str:
    """As the catalogue has it."""
    return re.sub(r"\d+", "{n}", text.removesuffix(" · Likeness").removeprefix("(").removesuffix(")"))


@cache
def catalogue_of(language: str) -> dict[str, str]:
    """A language may say something as English does: French has photos and selfies too."""
    said: dict[str, str] = {}
    for message in update.catalogue_of(language):
        one_and_many = isinstance(message.id, tuple)
        ids = message.id if one_and_many else (message.id,)
        forms = message.string if isinstance(message.string, tuple) else (message.string,)
        said |= {ids[0]: forms[0], ids[-1]: forms[-1]}
    return said
