"""A mail's text as HTML: the same words, with the company's name and colour above and its link as a button.

Only what every mail reader shows: one column, styles in the tags, no picture but the company's logo, which comes with the
mail, and nothing that is fetched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Protocol

from likeness.locale.languages import direction
from likeness.locale.words import words
from likeness.mail.paragraphs import HEADING, MARK, RIGHT_TO_LEFT, joined


class Written(Protocol):
    """What is written: `likeness.mail.mail.Letter`."""

    @property
    def to(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def language(self) -> str: ...
    @property
    def brand(self) -> str: ...
    @property
    def colour(self) -> str: ...


OWN_COLOUR = "#1f5a56"
LINK = re.compile(r"https?://\S+")
# Fonts that come with phones and desks; the second half writes Japanese and Arabic.
FONTS = (
    "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Noto Sans', 'Hiragino Sans', 'Yu Gothic',"
    " 'Geeza Pro', sans-serif"
)
PAGE = """\
<!doctype html>
<html lang="{language}" dir="{direction}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>{subject}</title></head>
<body style="margin:0;padding:0">
<div lang="{language}" dir="{direction}"
 style="max-width:600px;margin:0 auto;padding:24px 20px;overflow-wrap:anywhere;font:16px/1.55 {fonts}">
{logo}
<p style="margin:0 0 24px;padding:0 0 10px;border-bottom:3px solid {colour};font-weight:600;font-size:18px">{brand}</p>
{body}
</div>
</body>
</html>
"""


@dataclass(frozen=True)
class Pictured:
    """A picture that comes with the mail, by the id of its part; it is shown at half its size."""

    cid: str
    width: int
    height: int


def html_of(letter: Written, logo: Pictured | None = None) -> str:
    colour = letter.colour or OWN_COLOUR
    *above, last = letter.text.strip().split("\n\n")
    blocks = [_block(block.split("\n"), letter.language, colour) for block in above]
    blocks.append(_signed(last.split("\n")) or _block(last.split("\n"), letter.language, colour))
    return PAGE.format(
        language=escape(letter.language), direction=direction(letter.language), subject=escape(letter.subject),
        fonts=FONTS, colour=escape(colour), brand=escape(letter.brand or "Likeness"), body="\n".join(blocks),
        logo=_picture(logo) if logo else "",
    )  # fmt: skip


def _picture(logo: Pictured) -> str:
    # Without words: the company's name stands below it anyway.
    return (
        f'<img src="cid:{escape(logo.cid)}" alt="" width="{logo.width // 2 or 1}" height="{logo.height // 2 or 1}"'
        ' style="display:block;margin:0 0 12px;max-width:100%;background:#ffffff">'
    )


def _block(lines: list[str], language: str, colour: str) -> str:
    # HTML says by itself which way it runs; the mark of plain text would hide what a line begins with.
    lines = [line.removeprefix(RIGHT_TO_LEFT) for line in lines]
    if len(lines) == 1 and LINK.fullmatch(lines[0].strip()):
        return _button(lines[0].strip(), language, colour)
    shown: list[str] = []
    for paragraph in _paragraphs(lines):
        heading = HEADING.match(paragraph) and len(shown) == 0 and len(lines) > 1
        item = MARK.match(paragraph)
        style = "margin:0 0 8px;font-weight:600" if heading else "margin:0 0 10px"
        quote = paragraph.startswith("> ")
        style += ";padding-inline-start:18px;text-indent:-12px" if item else ""
        style += f";border-inline-start:3px solid {colour}" if quote else ""
        text = f"• {paragraph[2:]}" if paragraph.startswith("* ") else paragraph[2 * quote :]
        # What somebody at the company wrote may be in another language than the letter.
        own = ' dir="auto"' if quote else ""
        shown.append(f'<p{own} style="{style}">{_linked(text)}</p>')
    return f'<div style="margin:0 0 18px">{"".join(shown)}</div>'


def _signed(lines: list[str]) -> str:
    """How a letter ends, line by line; empty for another last block."""
    if len(lines) > 2 or "Likeness" not in lines[-1] or LINK.search(lines[-1]):
        return ""
    return f'<p style="margin:0 0 18px">{"<br>".join(map(escape, lines))}</p>'


def _paragraphs(lines: list[str]) -> list[str]:
    """Lines of fixed width, put together again where they belong together."""
    found: list[list[str]] = []
    for line in lines:
        after_heading = len(found) == 1 and HEADING.match(found[0][0])
        after_item = bool(found) and MARK.match(found[-1][0]) and not line.startswith(" ")
        if not found or MARK.match(line) or after_heading or after_item:
            found.append([line.strip()])
        else:
            found[-1].append(line.strip())
    return [joined(one) for one in found]


def _button(link: str, language: str, colour: str) -> str:
    label = escape(words(language).gettext("Open the link"))
    address = escape(link)
    return (
        f'<p style="margin:0 0 6px"><a href="{address}" style="display:inline-block;padding:12px 22px;border-radius:8px;'
        f'background:{escape(colour)};color:{ink(colour)};text-decoration:none;font-weight:600">{label}</a></p>'
        f'<p dir="ltr" style="margin:0 0 20px;font-size:13px;word-break:break-all;text-align:start">'
        f'<a href="{address}" style="color:inherit">{address}</a></p>'
    )


def _linked(text: str) -> str:
    """Escaped, with addresses as links; the sign that ends a sentence belongs to none."""
    parts: list[str] = []
    end = 0
    for found in LINK.finditer(text):
        link = found[0].rstrip(".,;:!?)。、")
        parts += [escape(text[end : found.start()]), f'<a href="{escape(link)}" style="color:inherit">{escape(link)}</a>']
        end = found.start() + len(link)
    return "".join([*parts, escape(text[end:])])


def ink(colour: str) -> str:
    """White or black, whichever stands out better on this colour (WCAG 2, relative luminance)."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    parts = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in (red, green, blue)]
    light = 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    return "#ffffff" if 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 else "#000000"
