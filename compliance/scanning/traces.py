"""What a look recognises somebody by: a random id in every spelling, and keyed digests of name and address.

The look never learns the name: it computes the same digest of every run of words that it meets, and compares.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from quopri import decodestring
from typing import TypedDict
from urllib.parse import unquote
from uuid import UUID

from batch.mailbox import email_identity
from likeness.keys.keys import blind_index

EAST = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff"
WORD = re.compile(rf"[{EAST}]|[^\W\d_{EAST}]{{2,}}")
"""Chinese, Japanese and Korean set no spaces, so each of their signs is a word."""
ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
PERCENT, QUOTED, ENTITY = re.compile(r"%[0-9a-fA-F]{2}"), re.compile(r"=[0-9A-F]{2}|=\r?\n"), re.compile(r"&#?\w{2,8};")
PACKED = re.compile(r"[A-Za-z0-9+/_-]{12,}(?:\r?\n[A-Za-z0-9+/_-]+)*")
"""What may be base64, over several lines too."""
HEX = re.compile(r"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}){8,}(?![0-9a-fA-F])")
ADDRESS = re.compile(r"[^\s\"'<>,;:()\[\]\\]{1,64}@[^\s\"'<>,;:()\[\]\\]{1,255}")
MOST_KNOWN = 200_000
"""Words whose digest is remembered at once; a log says few different ones."""


@dataclass
class Traces:
    employee: UUID
    index_key: bytes = b""
    email_index: bytes | None = None
    name_index: str = ""
    """The sum of its words' digests, so that "Last, First" is the same name."""
    name_words: int = 0
    _known: dict[str, int] = field(default_factory=dict, repr=False)

    @cached_property
    def ids(self) -> list[str]:
        """As text, and as it looks in the hexadecimal form of bytes."""
        plain = str(self.employee)
        return [plain, self.employee.hex, plain.encode().hex()]

    @cached_property
    def id_bytes(self) -> list[bytes]:
        words = [str(self.employee), self.employee.hex]
        words += [one.upper() for one in words]
        return [*(one.encode() for one in words), *(one.encode("utf-16-le") for one in words), self.employee.bytes]

    @property
    def knows_words(self) -> bool:
        return bool(self.index_key) and (self.email_index is not None or bool(self.name_index))

    def in_bytes(self, data: bytes) -> bool:
        if any(one in data for one in self.id_bytes) or self.in_text(data.decode("utf-8", "replace")):
            return True
        # Every second byte of a Latin text in UTF-16 is nought.
        wide = data.count(0) > len(data) // 4 and self.knows_words
        return wide and any(self.in_words(data.decode(one, "ignore")) for one in ("utf-16-le", "utf-16-be"))

    def in_words(self, text: str) -> bool:
        return any(self._says(one) for one in spellings(text))

    def in_text(self, text: str) -> bool:
        return any(self._has_id(one) or (self.knows_words and self._says(one)) for one in spellings(text))

    def _has_id(self, text: str) -> bool:
        folded = text.casefold()
        return any(one in folded for one in self.ids)

    def _says(self, text: str) -> bool:
        return self._has_address(text) or self._has_name(text)

    def _has_address(self, text: str) -> bool:
        if self.email_index is None or "@" not in text:
            return False
        return any(self._is_address(one) for one in set(ADDRESS.findall(text)))

    def _is_address(self, written: str) -> bool:
        return blind_index(self.index_key, email_identity(written.strip("."))) == self.email_index

    def masked(self, text: str) -> str:
        """With dots in the place of the name and the address; of all of it where they cannot be told from the rest."""
        spans = [one.span() for one in ADDRESS.finditer(text) if self.email_index and self._is_address(one[0])]
        found = list(WORD.finditer(text))
        for last in range(self.name_words, len(found) + 1) if self.name_index else ():
            run = found[last - self.name_words : last]
            if self._has_name(" ".join(one[0] for one in run)):
                spans.append((run[0].start(), run[-1].end()))
        for start, end in sorted(spans, reverse=True):
            text = f"{text[:start]}…{text[end:]}"
        return "…" if self.in_words(text) else text

    def _has_name(self, text: str) -> bool:
        if not self.name_index:
            return False
        wanted, many = int(self.name_index, 16), self.name_words
        digests: list[int] = []
        total = 0
        for word in words(text):
            digest = self._digest(word)
            digests.append(digest)
            total += digest
            if len(digests) > many:
                total -= digests[-many - 1]
            if len(digests) >= many and total == wanted:
                return True
        return False

    def _digest(self, word: str) -> int:
        known = self._known.get(word)
        if known is None:
            known = _digest(self.index_key, word)
            if len(self._known) < MOST_KNOWN:
                self._known[word] = known
        return known


def spellings(text: str) -> Iterator[str]:
    """The text, and what it says where letters were spelled otherwise: by JSON (`\\u00d3`), addresses of the web
    (`%C3%93`), mails (`=C3=93`, base64), HTML (`&Oacute;`), or as hexadecimal. What is sealed or random is no text, and is
    left out, as is a block of bytes that are no text."""
    yield ESCAPED.sub(lambda one: chr(int(one[1], 16)), text) if "\\u" in text else text
    if text.count("\ufffd") > len(text) // 20:
        return
    for pattern, plain in ((PERCENT, unquote), (ENTITY, unescape)):
        if pattern.search(text):
            yield plain("\n".join(line for line in text.splitlines() if pattern.search(line)))
    if QUOTED.search(text):
        yield decodestring(text.encode()).decode("utf-8", "replace")
    for digits in HEX.findall(text):
        with suppress(ValueError):  # No text: a digest.
            yield bytes.fromhex(digits).decode()
    yield from (one for packed in PACKED.findall(text) for one in _unpacked(packed))


def _unpacked(packed: str) -> Iterator[str]:
    """Of all lines together, or of each where something follows that is none of it."""
    for piece in (packed, *packed.splitlines()):
        plain = "".join(piece.split()).replace("-", "+").replace("_", "/")
        with suppress(ValueError):
            yield b64decode(plain + "=" * (-len(plain) % 4)).decode()
            return


def words(text: str) -> Iterable[str]:
    """In lower case and without accents: who is "Ümit" in a workbook is "umit" in the name of a file."""
    if text.isascii():
        return WORD.findall(text.casefold())
    spread = unicodedata.normalize("NFKD", text.replace("ß", "ss")).casefold()
    plain = "".join(one for one in spread if not unicodedata.combining(one) and unicodedata.category(one) != "Cf")
    return WORD.findall(unicodedata.normalize("NFC", plain))


class NameTraces(TypedDict, total=False):
    name_index: str
    name_words: int


def name_traces(index_key: bytes, full_name: str) -> NameTraces:
    """What a look needs to recognise the name later, when nobody can read it any more. A single word is no trace: who is
    called May would be found in every calendar."""
    found = list(words(full_name))
    if len(found) < 2:
        return {}
    return {"name_index": f"{sum(_digest(index_key, one) for one in found):x}", "name_words": len(found)}


def _digest(index_key: bytes, word: str) -> int:
    return int.from_bytes(hmac.digest(index_key, b"a word of a name|" + word.encode(), "sha256"))


def blocks(pieces: Iterator[bytes], overlap: int = 512) -> Iterator[bytes]:
    """Each begins with the end of the one before, so that nothing hides on a border."""
    tail = b""
    for piece in pieces:
        yield tail + piece
        tail = piece[-overlap:]
