"""One language's words: sentences of the catalogue, and dates, numbers and lists as that language writes them."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale, dates, lists, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from likeness.ground.errors import LikenessError
from likeness.locale.languages import ENGLISH, LANGUAGES, direction, first_of
from likeness.locale.marks import NN_, Term, Told

# English of this project is British: the day comes before the month.
LOCALES = {ENGLISH: "en_GB"}
OPEN, CLOSE = "\u2068", "\u2069"
"""Around a value of unknown direction (UAX 9), so that a name in Latin letters does not turn an Arabic sentence about."""
SPANS = (
    (86400, *NN_("{n} day", "{n} days")),
    (3600, *NN_("{n} hour", "{n} hours")),
    (60, *NN_("{n} min", "{n} min")),
    (1, *NN_("{n} s", "{n} s")),
)
SINCE = (
    (86400, *NN_("{n} day ago", "{n} days ago")),
    (3600, *NN_("{n} hour ago", "{n} hours ago")),
    (60, *NN_("{n} min ago", "{n} min ago")),
    (1, *NN_("{n} s ago", "{n} s ago")),
)
SENTENCES = re.compile(r"(?<=[.!?]) ")


@dataclass(frozen=True)
class TranslatedError:
    """An error in somebody's language."""

    title: str
    detail: str
    code: str


@dataclass(frozen=True)
class Words:
    """What is said to one person: in their language, with times in their company's zone."""

    language: str = ENGLISH
    zone: str = "UTC"

    @property
    def direction(self) -> str:
        return direction(self.language)

    @property
    def locale(self) -> Locale:
        return _locale(self.language)

    def gettext(self, sentence: str, /, **values: object) -> str:
        return self._filled(_catalogue(self.language).gettext(sentence) if sentence else "", values)

    def ngettext(self, one: str, many: str, n: int, /, **values: object) -> str:
        """In the form for this number, which the sentence has as `{n}`."""
        return self._filled(_catalogue(self.language).ngettext(one, many, n), {"n": n, **values})

    def sentences(self, text: str) -> str:
        """Sentences of the catalogue that stand one after the other, as a stored reason does."""
        catalogue = _catalogue(self.language)
        whole = catalogue.gettext(text) if text else ""
        return whole if whole != text else " ".join(catalogue.gettext(one) for one in SENTENCES.split(text))

    def told(self, text: str) -> str:
        """What was said in English, if it is known of which sentence; anything else as it is."""
        if not isinstance(text, Told) or self.language == ENGLISH:
            return text
        n = text.values.get("n")
        if text.many and isinstance(n, int):
            return self.ngettext(text.sentence, text.many, n, **{name: v for name, v in text.values.items() if name != "n"})
        return self.gettext(text.sentence, **text.values)

    def error(self, error: LikenessError) -> TranslatedError:
        if self.language == ENGLISH:
            return TranslatedError(error.title, str(error), error.code)
        title = self.gettext(error.title)
        if error.many:
            n = error.values["n"]
            detail = self.ngettext(error.sentence, error.many, n if isinstance(n, int) else 0, **error.values)
            return TranslatedError(title, detail, error.code)
        return TranslatedError(title, self.gettext(error.sentence, **error.values), error.code)

    def number(self, number: float) -> str:
        return _number(number, self.language)

    def percent(self, share: float) -> str:
        return numbers.format_percent(share, "#,##0.#%" if 0 < share < 0.1 else None, locale=self.locale)

    def day(self, moment: date) -> str:
        return _day(self.date_of(moment) if isinstance(moment, datetime) else moment, self.language)

    def weekday(self, moment: datetime) -> str:
        """A day that is near: with the day of the week, and without the year."""
        return str(dates.format_skeleton("MMMEd", moment, tzinfo=self._zone, locale=self.locale))

    def date_of(self, moment: datetime) -> date:
        """The day that it is in the company's zone."""
        return moment.astimezone(self._zone).date()

    def moment(self, moment: datetime) -> str:
        """Day and time with the name of the zone, which somebody elsewhere needs."""
        at = moment.astimezone(self._zone)
        glue = dates.get_datetime_format("medium", locale=self.locale)
        time = dates.format_time(at, "HH:mm", tzinfo=self._zone, locale=self.locale)
        return f"{str(glue).format(time, self.day(at))} {self._zone_name(at)}"

    def span(self, length: timedelta | float) -> str:
        """How long something lasts, in its largest unit, as `3 days` or `12 min`."""
        return self._in_unit(length, SPANS)

    def since(self, length: timedelta | float) -> str:
        """How long ago something was, as `3 days ago`."""
        return self._in_unit(length, SINCE)

    def _in_unit(self, length: timedelta | float, units: Sequence[tuple[int, str, str]]) -> str:
        seconds = length.total_seconds() if isinstance(length, timedelta) else length
        size, one, many = next((unit for unit in units if seconds >= unit[0]), units[-1])
        return self.ngettext(one, many, int(seconds // size))

    def listed(self, items: Sequence[str]) -> str:
        return lists.format_list(list(items), style="standard", locale=self.locale)

    def enumerated(self, items: Sequence[str]) -> str:
        """With nothing but the language's comma between them."""
        comma = {"ar": "، ", "ja": "、"}.get(self.language, ", ")
        return comma.join(items)

    def stop(self, *sentences: str) -> str:
        """These as sentences, one after the other, each with its full stop."""
        end, space = ("。", "") if self.language == "ja" else (".", " ")
        return space.join(sentence + end for sentence in sentences)

    def isolated(self, value: str) -> str:
        return f"{OPEN}{value}{CLOSE}" if self.direction == "rtl" and value else value

    @property
    def _zone(self) -> ZoneInfo:
        return zone(self.zone)

    def _zone_name(self, at: datetime) -> str:
        if self._zone.key in ("UTC", "Etc/UTC"):
            return "UTC"
        name = dates.get_timezone_name(at, width="short", locale=self.locale)
        # Where a language has no short name for the zone, its distance from Greenwich says more than bare digits.
        return name if name[:1].isalpha() else dates.get_timezone_gmt(at, width="long", locale=self.locale)

    def _filled(self, found: str, values: Mapping[str, object]) -> str:
        said = {name: self._value(value) for name, value in values.items()}
        for name, value in said.items():
            # "12 Min." and "Acme Inc." bring the full stop of the sentence that they end.
            if isinstance(value, str) and value.rstrip(CLOSE).endswith("."):
                found = found.replace(f"{{{name}}}.", f"{{{name}}}")
        return found.format(**said) if said else found

    def _value(self, value: object) -> object:
        if isinstance(value, Term):
            return _catalogue(self.language).gettext(value)
        if isinstance(value, Told):
            return self.told(value)
        if isinstance(value, int):
            return self.number(value)
        if isinstance(value, datetime | date):
            return self.day(value)
        return self.isolated(value) if isinstance(value, str) else value


@lru_cache(maxsize=1000)
def words(language: str | None, zone: str = "UTC") -> Words:
    return Words(first_of(language), zone)


@lru_cache(maxsize=1000)
def zone(name: str) -> ZoneInfo:
    """UTC for a name that this machine's list of zones no longer has."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return bool(name)


@cache
def _locale(language: str) -> Locale:
    return Locale.parse(LOCALES.get(language, language))


# The rows of a list say the same few numbers and days over and over.
@lru_cache(maxsize=10_000, typed=True)
def _number(number: float, language: str) -> str:
    return numbers.format_decimal(number, locale=_locale(language))


@lru_cache(maxsize=10_000)
def _day(day: date, language: str) -> str:
    return dates.format_date(day, "long" if language in ("ja", "ar") else "medium", locale=_locale(language))


@cache
def _catalogue(language: str) -> NullTranslations:
    """Read by the program that needs it: there is no step of the build that could be forgotten."""
    if language == ENGLISH:
        return NullTranslations()
    written = io.BytesIO((files("likeness.locale") / language / "LC_MESSAGES" / "likeness.po").read_bytes())
    compiled = io.BytesIO()
    write_mo(compiled, read_po(written, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


def read_all() -> None:
    """For a server as it starts: else whoever is the first to read a language waits for it, and for all six on a page that
    shows each."""
    for language in LANGUAGES:
        _catalogue(language)
