"""A CSV file that anybody may have made, in whatever encoding, as text cells."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from batch.reading import headings, sheets
from batch.reading.cells import Cell
from likeness.locale.marks import Told

# What spreadsheet programs write on Windows and on a Mac, with the words for it. The likelier stand first.
ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "cp1252": Told("Windows-1252 (Western Europe)"),
    "cp1250": Told("Windows-1250 (Central Europe)"),
    "cp1251": Told("Windows-1251 (Cyrillic)"),
    "cp1253": Told("Windows-1253 (Greek)"),
    "cp1254": Told("Windows-1254 (Turkish)"),
    "cp1255": Told("Windows-1255 (Hebrew)"),
    "cp1256": Told("Windows-1256 (Arabic)"),
    "cp932": Told("Shift-JIS (Japanese)"),
    "cp949": Told("Windows-949 (Korean)"),
    "gb18030": Told("GB 18030 (Chinese)"),
    "mac_roman": "Mac OS Roman",
    "cp850": Told("DOS 850 (Western Europe)"),
}
WORD = re.compile(r"[^\s;,\t|\"<>()]*[^\x00-\x7f][^\s;,\t|\"<>()]*")
RUN = re.compile(r"[^\t-\r\x1c-\x20;,|\"<>()]+")
"""Words are sought in runs that hold a sign beyond ASCII: in a picture that was written as text they would take minutes."""
# How the words of UTF-16 without a mark are called.
_WITHOUT_MARK = ("utf-16-le", "utf-16-be")


class Csv:
    """A file with one sheet. `encoding` is the one it was read in, `guessed` whether the file itself does not say so."""

    def __init__(self, data: bytes, encoding: str | None = None) -> None:
        text, self.encoding, self.guessed = _decoded(data, encoding)
        if re.match(r"\s*<(!doctype|html|table|\?xml|svg)", text[:200], re.IGNORECASE):
            raise sheets.WorkbookUnreadable(Told("This is a web page, not a workbook. Save the list as .xlsx or .csv."))
        named = re.match(r"sep=(.)\r?\n", text)  # Excel's own way to name the separator.
        self._delimiter = named[1] if named else _sniffed(text)
        self._skip = 1 if named else 0
        self._text = text
        self.sheets = [sheets.Sheet("CSV", False)]

    def lines(self, name: str) -> Iterator[sheets.FilledRow]:
        csv.field_size_limit(sheets.LARGEST_FILE)
        lines = csv.reader(io.StringIO(self._text, newline=""), delimiter=self._delimiter)
        try:
            for number, line in enumerate(lines, 1):
                if number > self._skip and any(text.strip() for text in line):
                    cells = [_typed(text[: sheets.LONGEST_CELL]) for text in line[: sheets.MOST_COLUMNS]]
                    yield sheets.FilledRow(number, cells, False)
        except csv.Error:
            raise sheets.WorkbookUnreadable(Told("The CSV file is damaged: a quotation mark is not closed.")) from None


def _typed(text: str) -> Cell:
    # Programs write ="00042" so that Excel keeps the zeros; it is a text and nothing to calculate.
    quoted = re.fullmatch(r'="([^"]*)"', text)
    if quoted:
        return Cell(quoted[1])
    return Cell(text, "formula") if text.startswith("=") else Cell(text)


def _decoded(data: bytes, wanted: str | None) -> tuple[str, str, bool]:
    """The text, its encoding, and whether that was a guess. UTF-8 and UTF-16 say themselves what they are."""
    if wanted is not None and wanted not in ENCODINGS:
        raise sheets.WorkbookUnreadable(Told("Nobody knows this encoding. Choose one of the list."))
    if wanted in (None, "utf-8", "utf-16"):
        for encoding in _unicode(data):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError:
                continue
            _refuse_controls(text)
            return text, "utf-16" if "16" in encoding else "utf-8", False
    if wanted is not None:
        try:
            text = data.decode(wanted, errors="strict")
        except UnicodeDecodeError:
            raise sheets.WorkbookUnreadable(
                Told("The file is not written in {encoding}. Choose another encoding, or save it as"
                     " .xlsx.", encoding=ENCODINGS[wanted])
            ) from None
        _refuse_controls(text)
        return text, wanted, False
    _refuse_controls(data.decode("latin-1"))
    likely = _guessed(data)
    if likely is None:
        raise sheets.WorkbookUnreadable(Told("The encoding of the text is not known. Save it as “CSV UTF-8” or as .xlsx."))
    return data.decode(likely), likely, True


def _unicode(data: bytes) -> list[str]:
    """Which Unicode encodings the bytes look like, the likeliest first."""
    sample = data[:2_000]
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ["utf-16"]
    if sample[1::2].count(0) > len(sample) // 8:
        return ["utf-16-le"]
    if sample[0::2].count(0) > len(sample) // 8:
        return ["utf-16-be"]
    return ["utf-8-sig"]


def _refuse_controls(text: str) -> None:
    if sum(sign < " " and sign not in "\t\r\n" for sign in text[:2_000]) > 20:
        raise sheets.WorkbookUnreadable(Told("This is not a workbook. Save the list as .xlsx or .csv."))


def _guessed(data: bytes) -> str | None:
    """The encoding in which the text looks most like words of people; the likelier one where two look the same."""
    best: tuple[float, str] | None = None
    for encoding in ENCODINGS:
        if encoding.startswith("utf"):
            continue
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # Headings that somebody knows are the best sign of all.
        lines = [re.split(r"[;,\t|]", line) for line in text[:5_000].splitlines()[:10]]
        strange = _strangeness(text) - 0.2 * max((headings.score(line) for line in lines), default=0)
        if best is None or strange < best[0]:
            best = strange, encoding
    # Where half of the foreign signs look wrong, nothing is known, and a wrong guess would spoil people's names.
    return best[1] if best and _strangeness(data.decode(best[1])) < 0.5 else None


def _strangeness(text: str) -> float:
    """How many of the signs beyond ASCII stand where no name has them: 0 is none, 1 is all."""
    wrong = total = 0.0
    for word in (one for run in RUN.findall(text[:200_000]) if not run.isascii() for one in WORD.findall(run)):
        beyond = [sign for sign in word if sign > "\x7f"]
        total += len(beyond)
        letters = [sign for sign in word if sign.isalpha()]
        kinds = {_script(sign) for sign in letters}
        if len(kinds) > 1:
            wrong += len(beyond)
            continue
        # Hardly any language writes a word mostly in letters with marks; a wrong table makes such words.
        if kinds == {"LATIN"} and len(letters) > 4 and len(beyond) > 0.6 * len(letters):
            wrong += len(beyond)
            continue
        wrong += sum(sign > "\x7f" and sign.isupper() and before.islower() for before, sign in pairwise(word))
        # Katakana of half width are what any other bytes look like in Shift-JIS.
        wrong += sum("\uff61" <= sign <= "\uff9f" or unicodedata.category(sign)[0] in "CM" for sign in beyond)
        wrong += sum(_stray(word, at) for at, sign in enumerate(word) if sign > "\x7f")
    return wrong / total if total else 0.0


def _script(sign: str) -> str:
    name = unicodedata.name(sign, "").partition(" ")[0]
    # Japanese words mix three scripts, and signs of width forms belong to them.
    return "CJK" if name in ("HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HALFWIDTH", "FULLWIDTH") else name


def _stray(word: str, at: int) -> bool:
    """A sign that is neither letter nor digit, and no apostrophe, dash or quotation mark of print."""
    sign = word[at]
    if sign.isalpha() or unicodedata.category(sign)[0] in "CM":
        return False
    if sign in "\u2019\u02bc":
        return not (0 < at < len(word) - 1 and word[at + 1].isalpha())
    return sign not in "\u2013\u2014\u00a0\u00ad\u20ac\u2026\u3000\u3001\u30fb\u00b7\u00ba\u00aa"


def _sniffed(text: str) -> str:
    """The separator that cuts most of the first filled lines into equally many columns; a title has one."""

    def worth(delimiter: str) -> tuple[int, int]:
        counts: list[int] = []
        try:
            for line in csv.reader(io.StringIO(text[:20_000], newline=""), delimiter=delimiter):
                if any(line):
                    counts.append(len(line))
        except csv.Error:
            return 0, 0
        if len(text) > 20_000:
            counts.pop()  # The last line is cut off by the sample.
        several = [count for count in counts if count > 1]
        usual = max(set(several), key=several.count, default=1)
        return several.count(usual), usual

    return max(";,\t|", key=worth)


def warm_up() -> None:
    """Loads every table of signs, because a child may not open files later."""
    for encoding in (*ENCODINGS, *_WITHOUT_MARK, "utf-8-sig", "latin-1"):
        "a".encode(encoding)
    _strangeness("Zoë")
