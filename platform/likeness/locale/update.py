"""Brings the catalogues up to the sources: `python -m likeness.locale.update`.

Sentences come from templates (`_`, `ngettext`) and from Python: `N_`, `NN_`, `Term`, `Told`, `gettext` (or `say`),
`ngettext`, the titles of errors, and what the modules that serve employees and the desk raise. New ones are left empty
for a translator, what is said no more goes. `missing` and `wrong` are what a test asks.
"""

from __future__ import annotations

import ast
import builtins
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from likeness.locale.languages import ENGLISH, LANGUAGES

TREE = Path(__file__).parents[3]
TEMPLATES = ("dashboard/templates",)
# Where what is raised may reach somebody on a page.
RAISING = (
    "batch/people", "batch/photos", "batch/sittings", "batch/visit", "compliance/api.py", "compliance/erasure/erasures.py",
    "batch/pilots", "batch/roster", "compliance/desk", "compliance/holds.py", "compliance/records",
    "compliance/requests.py", "compliance/proof/stored.py",
    "dashboard/account.py", "dashboard/legal", "dashboard/operations", "platform/likeness/jobs/held.py",
    "platform/likeness/jobs/watching.py", "platform/likeness/ledger.py", "platform/likeness/sso/administering.py",
    "platform/likeness/sso/companies.py", "platform/likeness/sso/described.py",
    "compliance/rights", "dashboard/visit", "platform/likeness/checkpoints.py", "platform/likeness/ground/db.py",
    "platform/likeness/identity.py", "platform/likeness/web", "tenants/plain.py", "tenants/tries.py",
    "batch/delivery", "batch/vision/own_pictures.py", "dashboard/desk",
    "platform/likeness/mail/senders.py", "platform/likeness/outbound.py", "tenants/backdrops.py", "tenants/bounds.py",
    "tenants/accounts", "tenants/credits.py", "tenants/looks.py", "tenants/members", "tenants/packs.py", "tenants/sso",
    "tenants/suspension.py", "tenants/tenants.py", "tenants/views.py", "tenants/webhooks",
)  # fmt: skip
# Where marks and the titles of errors are looked for.
MARKING = ("batch", "compliance", "dashboard", "gpu_cluster", "platform/likeness", "tenants")
# Programs alone, and whoever works at the machine, meet the errors of these.
NOT_ON_PAGES = (
    "batch/api.py", "batch/reading", "compliance/proof", "gpu_cluster/drawn", "platform/likeness/cli",
    "platform/likeness/demo",
    "platform/likeness/keys/fingerprint.py", "platform/likeness/migrations", "platform/likeness/run",
    "platform/likeness/store", "platform/likeness/web/reporting.py",
)  # fmt: skip


# Raised there as well, but read by programs and at the machine alone.
NEVER_SHOWN = frozenset(
    {"AnnouncedAlready", "BreachRefused", "CursorWrong", "FormUnknown", "GroupMissing", "KeyRefused", "KeyReused",
     "MailboxAway", "MasterKeyForeign", "MasterKeyMissing", "NotExtendable", "ProcessorMissing",
     "StillRunning", "TooSoon", "TriggerUnknown", "UnknownSchema", "UserMissing", "AnswerTooLarge", "UnsafeRole"}
)


@dataclass
class Sentence:
    one: str
    many: str = ""
    places: list[str] = field(default_factory=list)


@cache
def sentences(tree: Path = TREE) -> dict[str, Sentence]:
    """All sentences that people may read on a page or in a mail, with where they stand."""
    found: dict[str, Sentence] = {}
    for place, one, many in [*_of_templates(tree), *_of_sources(tree)]:
        sentence = found.setdefault(one, Sentence(one))
        sentence.many = sentence.many or many
        if place not in sentence.places:
            sentence.places.append(place)
    return found


def catalogue_of(language: str) -> Catalog:
    with _path(language).open("rb") as file:
        return read_po(file, locale=language, domain="likeness")


def missing(language: str) -> list[str]:
    """Sentences that the language's catalogue does not have, or has empty, or marks as uncertain."""
    catalogue = catalogue_of(language)
    return [one for one in sentences() if (kept := catalogue.get(one)) is None or not _whole(kept) or kept.fuzzy]


def wrong(language: str) -> list[str]:
    """Sentences whose translation does not have the values of the English one.

    A form that names its number in words, as Arabic does for one and two, may leave `{n}` out; the last may not.
    """
    bad: list[str] = []
    for message in catalogue_of(language):
        if not message.id:
            continue
        ids, forms = _forms(message.id), _forms(message.string or "")
        wanted = _values(ids[-1])
        if _values(forms[-1]) != wanted or any(_values(form) | {"n"} != wanted | {"n"} for form in forms):
            bad.append(ids[0])
    return bad


def update(language: str) -> int:
    """Writes the catalogue anew and returns how many sentences it still lacks."""
    path = _path(language)
    old = catalogue_of(language) if path.exists() else Catalog(locale=language)
    # Without a date, so that nothing changes where no sentence did.
    new = Catalog(locale=language, domain="likeness", fuzzy=False, header_comment="# What Likeness says to people.")
    new.creation_date = new.revision_date = datetime(2026, 11, 28, tzinfo=UTC)
    for sentence in sorted(sentences().values(), key=lambda one: one.one.casefold()):
        kept = old.get(sentence.one)
        ids: str | tuple[str, str] = (sentence.one, sentence.many) if sentence.many else sentence.one
        same_kind = kept is not None and isinstance(kept.id, tuple) == isinstance(ids, tuple)
        new.add(ids, kept.string if kept is not None and same_kind else None, [(place, 0) for place in sentence.places])
    path.parent.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    write_po(written, new, width=120, include_lineno=False)
    path.write_bytes(written.getvalue())
    return len(missing(language))


def _path(language: str) -> Path:
    return Path(__file__).parent / language / "LC_MESSAGES" / "likeness.po"


def _whole(message: Message) -> bool:
    return all(message.string) if isinstance(message.string, tuple) else bool(message.string)


def _forms(text: str | Sequence[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _values(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def _of_templates(tree: Path) -> Iterator[tuple[str, str, str]]:
    keywords = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
    for start in TEMPLATES:
        for path in _files(tree / start, "*.html"):
            with path.open("rb") as file:
                for _, message, _, _ in extract("jinja2.ext:babel_extract", file, keywords=keywords):
                    one, many = message if isinstance(message, tuple) else (message, "")
                    yield str(path.relative_to(tree)), one, many


def _of_sources(tree: Path) -> Iterator[tuple[str, str, str]]:
    for start in MARKING:
        for path in _files(tree / start, "*.py"):
            name = str(path.relative_to(tree))
            titles = name in RAISING or not name.startswith(NOT_ON_PAGES)
            for one, many in _Reader(path, titles=titles, raising=name.startswith(RAISING)):
                yield name, one, many


def _files(start: Path, pattern: str) -> list[Path]:
    return [start] if start.is_file() else sorted(start.rglob(pattern))


class _Reader:
    """The sentences of one module."""

    def __init__(self, path: Path, *, titles: bool, raising: bool) -> None:
        self.path, self.titles, self.raising = path, titles, raising

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for node in ast.walk(ast.parse(self.path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                yield from self._marked(node)
            elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and self.raising:
                yield from self._raised(node.exc)
            elif isinstance(node, ast.ClassDef) and self.titles:
                yield from self._titles(node)

    def _marked(self, call: ast.Call) -> Iterator[tuple[str, str]]:
        name = _name(call.func)
        texts = [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if name in ("ngettext", "NN_") and len(texts) >= 2:
            yield texts[0], texts[1]
        elif name in ("N_", "Term", "gettext", "say", "Told") and texts:
            yield texts[0], _many(call)

    def _raised(self, call: ast.Call) -> Iterator[tuple[str, str]]:
        name = _name(call.func)
        if not call.args or hasattr(builtins, name) or name.startswith("_") or name in NEVER_SHOWN:
            return
        first = call.args[0]
        if isinstance(first, ast.JoinedStr):
            where = f"{self.path}:{first.lineno}"
            raise ValueError(f"{where}: what reaches employees names its values: Error('… {{n}} …', n=…), not f'…'.")
        if isinstance(first, ast.Constant) and isinstance(first.value, str) and " " in first.value:
            yield first.value, _many(call)

    def _titles(self, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
        if node.name in NEVER_SHOWN or not (node.bases and self._is_error(node)):
            return
        for step in node.body:
            if isinstance(step, ast.Assign) and "title" in ast.unparse(step.targets[0]):
                value = step.value.elts[-1] if isinstance(step.value, ast.Tuple) else step.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value, ""

    def _is_error(self, node: ast.ClassDef) -> bool:
        """Only an exception has a base that is not a plain table or dataclass; those have no `title` beside a status."""
        names = [_name(base) for base in node.bases]
        return any(name[:1].isupper() and name not in ("Struct", "SQLModel", "TenantRow") for name in names)


def _many(call: ast.Call) -> str:
    """The sentence for another number."""
    said = [word.value for word in call.keywords if word.arg == "many"]
    return str(said[0].value) if said and isinstance(said[0], ast.Constant) else ""


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def main() -> int:
    lacking = {language: update(language) for language in LANGUAGES if language != ENGLISH}
    for language, count in lacking.items():
        print(f"{language}: {count} to translate" if count else f"{language}: complete")
    return 1 if any(lacking.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
