"""What Likeness writes to people, one file a letter and language; its first line is the subject."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from unicodedata import bidirectional

from jinja2 import Environment, StrictUndefined, Template

from likeness.locale.words import Words
from likeness.mail.mail import Letter
from likeness.mail.paragraphs import RIGHT_TO_LEFT, wrapped

# Nothing personal gets into a subject, which stands in the logs of servers and on locked screens.
IN_SUBJECTS = ("controller", "company", "day")
# What has a direction of its own, whatever the sentence has: names, and numbers that a program made.
NAMES = ("name", "controller", "company", "inviter", "processor", "purpose", "country", "safeguards", "number", "code")

# Plain text: what looks like a tag in somebody's name is only that.
_environment = Environment(
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701
)


def render(name: str, words: Words, /, **values: str) -> str:
    return wrapped(_template(name, words.language)[1].render(_isolated(words, values)))


def letter(name: str, words: Words, to: str, /, *, brand: str = "", colour: str = "", **values: str) -> Letter:
    """Raises `jinja2.UndefinedError` where the text needs a value that is not given."""
    subject, text = _template(name, words.language)
    return Letter(
        to=to,
        subject=subject.render({name: value for name, value in values.items() if name in IN_SUBJECTS}),
        text=_directed(words, wrapped(text.render(_isolated(words, values)))) + "\n",
        language=words.language,
        brand=brand or values.get("controller", ""),
        colour=colour,
    )


def _isolated(words: Words, values: dict[str, str]) -> dict[str, str]:
    return {name: words.isolated(value) if name in NAMES else value for name, value in values.items()}


def _directed(words: Words, text: str) -> str:
    """In plain text each line takes its direction from its first letter, so that an Arabic one which begins with a name in
    Latin letters would stand the wrong way round: a mark before it says how it runs. A line that is Latin alone needs none,
    and an address has to stay what it is.
    """
    if words.direction != "rtl":
        return text
    return "\n".join(f"{RIGHT_TO_LEFT}{line}" if _turned(line) else line for line in text.split("\n"))


def _turned(line: str) -> bool:
    strong = [kind for kind in map(bidirectional, line) if kind in ("L", "R", "AL")]
    return bool(strong) and strong[0] == "L" and len(set(strong)) > 1


@cache
def _template(name: str, language: str) -> tuple[Template, Template]:
    written = (files("likeness.locale") / language / "letters" / f"{name}.txt").read_text(encoding="utf-8")
    subject, found, text = written.partition("\n") if written.startswith("Subject: ") else ("", "", written)
    subject = subject.removeprefix("Subject: ") if found else ""
    return _environment.from_string(subject), _environment.from_string(text.strip() if found else text)
