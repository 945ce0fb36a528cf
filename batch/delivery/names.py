"""Names of the files that HR gets: a pattern of HR's own, filled with what the list says of a person.

No path, nothing a system refuses, and none twice even where case does not count.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from batch.people.employees import EmployeeProfile
from likeness.ground.errors import Unprocessable

USUAL = "{department}/{name}"
FIELDS = ("name", "number", "email", "department", "site", "look", "batch")
LONGEST_PATTERN, LONGEST_NAME = 120, 80
FOLDERS = 3
# What Windows refuses in names, and what means something to some system or program.
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f]')
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
PLACE = re.compile(r"\{([a-z]*)\}")


class PatternRefused(Unprocessable):
    title = "Files cannot be named like this"


@dataclass(frozen=True)
class Pattern:
    """What stands in `{}` is a field; a slash begins a folder."""

    text: str

    def fill(self, values: Mapping[str, str]) -> str:
        """The name without its ending; a folder whose fields are all empty is left out."""
        parts = [plain_name(PLACE.sub(lambda found: values[found[1]], part)) for part in self.text.split("/")]
        *folders, name = parts
        return "/".join([*(part for part in folders if part), name or "headshot"])


def pattern(text: str) -> Pattern:
    """Raises `PatternRefused`."""
    text = text.strip() or USUAL
    unknown = [name for name in PLACE.findall(text) if name not in FIELDS]
    if unknown:
        raise PatternRefused(
            "There is no field {{{unknown}}}. Choose from {names}.", unknown=unknown[0],
            names=", ".join(f"{{{name}}}" for name in FIELDS),
        )  # fmt: skip
    if re.search(r"[{}]", PLACE.sub("", text)):
        raise PatternRefused(
            "A bracket {open} or {close} stands alone. A field looks like {field}.", open="{", close="}", field="{name}"
        )
    if len(text) > LONGEST_PATTERN or text.count("/") > FOLDERS:
        raise PatternRefused(
            "Use at most {longest} characters and {folders} folders.", longest=LONGEST_PATTERN, folders=FOLDERS
        )
    if not PLACE.search(text.rpartition("/")[2]):
        raise PatternRefused("Without a field every file would have the same name. Use {name} or {number} in it.")
    return Pattern(text)


def values(who: EmployeeProfile, look: str, batch: str) -> dict[str, str]:
    return {
        "name": who.full_name, "number": who.employee_key or "", "email": who.email, "department": who.department or "",
        "site": who.site or "", "look": look, "batch": batch,
    }  # fmt: skip


class TakenNames:
    """The names that are taken; what would be the same is numbered."""

    def __init__(self) -> None:
        self._given = set[str]()

    def give(self, stem: str) -> str:
        number, given = 1, stem
        while given.casefold() in self._given:
            number += 1
            given = f"{stem}-{number}"
        self._given.add(given.casefold())
        return given


def plain_name(text: str) -> str:
    """One part of a path: letters of every script stay, spaces become hyphens."""
    text = unicodedata.normalize("NFC", text)
    shown = "".join(sign for sign in text if sign.isspace() or unicodedata.category(sign) not in ("Cc", "Cf", "Cs"))
    name = "-".join(REFUSED.sub(" ", shown).split()).strip(".-")[:LONGEST_NAME].rstrip(".-")
    return f"{name}-" if DEVICES.fullmatch(name) else name
