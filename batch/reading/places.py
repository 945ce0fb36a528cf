"""In which time zone somebody works, where the site in the company's list says so plainly: a country that has one time on
that day, or a city after which a zone is called, in any of our languages.

What may mean two times means none, and the company's zone holds.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import cache

from babel import Locale
from babel.core import get_global

from likeness.locale.languages import LANGUAGES
from likeness.locale.words import zone
from tenants.plain import folded

BETWEEN = re.compile(r"[,;/()|]| [-\u2013] ")
OTHERS = ("Georgia",)
"""Countries that more people know as something else."""


@cache
def _zones() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for language in LANGUAGES:
        locale = Locale.parse(language)
        for territory, name in locale.territories.items():
            found.setdefault(folded(name), set()).update(get_global("territory_zones").get(territory, ()))
        for name, words in locale.time_zones.items():
            if city := words.get("city"):
                found.setdefault(folded(city), set()).add(name)
    for name in get_global("zone_territories"):
        found.setdefault(folded(name.rpartition("/")[2].replace("_", " ")), set()).add(name)
    for name in OTHERS:
        found.pop(folded(name), None)
    return {name: frozenset(zones) for name, zones in found.items() if zones}


def zone_of(site: str | None, at: datetime) -> str | None:
    """None where the site names no place, or places that have different times then."""
    words = folded(site or "")
    named = [zones for part in (words, *BETWEEN.split(words)) if (zones := _zones().get(part.strip()))]
    if not named:
        return None
    # "Madrid, Spain" is what both say; of "Berlin / Paris" either holds, as long as they show the same time.
    meant = frozenset.intersection(*named) or frozenset.union(*named)
    times = {at.astimezone(zone(name)).utcoffset() for name in meant}
    return min(meant) if len(times) == 1 else None
