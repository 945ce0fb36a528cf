"""The page of an access package: what the law asks for, section by section, and then everything that is on record. The
paper (`paper.py`) says the same.

It stands alone: no script, no picture, nothing from a network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from html import escape
from typing import Any

from compliance.rights import labels
from compliance.rights.contents import CONTENTS, REASONS, TITLES, PackageSection
from compliance.rights.labels import LABELS
from compliance.rights.reading import PersonRecords
from likeness.locale.marks import N_
from likeness.locale.words import Words
from tenants.models import Tenant

ANSWERS = (
    ("15(1)", N_("Confirmation"),
     N_("Data about you is processed; this package holds all of it, but for what is named below.")),
    ("15(1)(a)", N_("Purposes"),
     N_("To make headshots of you that you choose from, and to check that they look like you.")),
    ("15(1)(b)", N_("Categories"),
     N_("Who you are at work; your photos, a model of your face and headshots (biometric data); your consents; what was"
        " done with all of this.")),
    ("15(1)(c)", N_("Recipients"),
     N_("They stand below, each with the day. Your employer gets only what you release.")),
    ("15(1)(d)", N_("Retention"),
     N_("Photos and the model are deleted {source} days after they came, headshots after {headshots} days; the day of each"
        " stands below.")),
    ("15(1)(e)", N_("Your rights"),
     N_("You may have data corrected, deleted or restricted, object, and withdraw your consent at any time, on your own"
        " page or through {contact}.")),
    ("15(1)(f)", N_("Complaint"), N_("You may complain to {authority}.")),
    ("15(1)(g)", N_("Source"), N_("Your name and address come from your employer's list; the photos from you.")),
    ("15(1)(h)", N_("Automated decisions"),
     N_("No decision about you is made by a machine alone; a program checks photos and headshots, and you overrule or"
        " choose.")),
    ("15(2)", N_("Transfers"), N_("Nothing is transferred to another country by this program.")),
    ("15(3)", N_("Copy"),
     N_("The files beside this page are the copy. A list of them with their fingerprints is signed, and a program that"
        " checks it is in the folder “verify”.")),
)  # fmt: skip
MADE = N_("Made on {moment}. Responsible for it: {company}. Likeness and its operator are the processor.")
PROCESSORS = N_("Who works on it for the operator")
ABROAD = N_("What goes to another country is named below, with what the transfer rests on.")
FAITHFUL = N_(
    "Your headshots are in this package with every pixel as it is kept. Each file says of itself, in its metadata, whether"
    " the picture was made by AI; please leave that in if you publish it."
)
NAMED = LABELS.keys() | labels.NESTED.keys()
NUMBER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SEEN = frozenset({"release.downloaded", "headshot.viewed", "person.viewed", "person.found"})
NOBODY = N_("your personnel department")
AUTHORITY = N_("the data protection supervisory authority where you live or work")
STYLE = (
    "body{font:1rem/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}"
    "h1,h2,h3{line-height:1.25}small{color:#555}dl{display:grid;grid-template-columns:minmax(8rem,1fr) 2fr;gap:.25rem 1rem;"
    "border-top:1px solid #bbb;padding-top:.5rem}dt{font-weight:600}dd{margin:0;overflow-wrap:anywhere;"
    "white-space:pre-wrap}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}small{color:#bbb}a{color:#9cf}}"
)


@dataclass(frozen=True)
class PageSection:
    """One section: what is said, then records, each a list of what is named and what it is."""

    name: str
    title: str
    article: str = ""
    said: Sequence[str] = ()
    records: Sequence[tuple[str, Sequence[Sequence[tuple[str, str]]]]] = ()


def parts(
    tenant: Tenant, words: Words, read: PersonRecords, omitted: Sequence[Mapping[str, str]], now: datetime
) -> Iterator[PageSection]:
    """Everything that page and paper say, one section after the other: both are made of this alone."""
    say = words.gettext
    yield PageSection("made", say(N_("Your data at {company}"), company=tenant.name),
               said=[say(MADE, moment=words.moment(now), company=tenant.name)])  # fmt: skip
    terms = {
        "source": tenant.source_days,
        "headshots": tenant.headshot_days,
        "contact": tenant.contact or say(NOBODY),
        "authority": tenant.authority or say(AUTHORITY),
    }
    for article, title, said in ANSWERS:
        abroad = article == "15(2)" and any(one["safeguards"] for one in read.processors)
        answer = ABROAD if abroad else said
        used = {one: terms[one] for one in terms if f"{{{one}}}" in answer}
        named = say(N_("Article {article} GDPR"), article=article)
        yield PageSection(f"article-{article}", say(title), named, [say(answer, **used)])
    for section in PackageSection:
        yield _section(section, words, read)
    why = {reason: _named(whats, words) for reason, whats in _by_reason(omitted).items()}
    missing = [(say(reason), [[("", named)]] if named else []) for reason, named in why.items()]
    yield PageSection("missing", say(N_("What is not in this package, and why")), records=missing)


def _section(section: PackageSection, words: Words, read: PersonRecords) -> PageSection:
    say = words.gettext
    there: dict[str, list[dict[str, Any]]] = {table: rows for table, rows in read.of(section).items() if rows}
    if section == PackageSection.RECEIVED:
        there |= {"ledger_entry": received(read), "sub_processor": read.processors}
    records = [
        (say(CONTENTS[table].title if table in CONTENTS else PROCESSORS), [list(_facts(row, words)) for row in rows])
        for table, rows in there.items()
        if rows
    ]
    if not records:
        said = [say(N_("Nothing of this kind is on record."))]
    else:
        said = [say(FAITHFUL)] if section == PackageSection.HEADSHOTS else []
    return PageSection(str(section), say(TITLES[section]), said=said, records=records)


def start(of: Iterator[PageSection], words: Words) -> Iterator[str]:
    """The page, piece by piece."""
    say, top = words.gettext, next(of)
    yield (
        f'<!doctype html>\n<html lang="{words.language}" dir="{words.direction}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="content-security-policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'; form-action 'none'\">"
        f"<title>{escape(say(N_('Your data')))}</title><style>{STYLE}</style></head><body><main>\n"
        f"<h1>{escape(top.title)}</h1>\n{_paragraphs(top.said)}\n"
    )
    for part in of:
        article = f" <small>{escape(part.article)}</small>" if part.article else ""
        yield f'<section id="{part.name}"><h2>{escape(part.title)}{article}</h2>{_paragraphs(part.said)}'
        for title, rows in part.records:
            yield f"<h3>{escape(title)}</h3>\n"
            for row in rows:
                if [name for name, _ in row] == [""]:
                    yield _paragraphs([row[0][1]])
                else:
                    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in row)
                    yield f"<dl>{listed}</dl>\n"
        yield "</section>\n"
    yield "</main></body></html>\n"


def _paragraphs(said: Sequence[str]) -> str:
    return "".join(f"<p>{escape(one)}</p>" for one in said)


def received(read: PersonRecords) -> list[dict[str, Any]]:
    """The entries of the log that say who saw or took something, and when."""
    return [one for one in read.records["ledger_entry"] if one["event"] in SEEN]


def _facts(row: Mapping[str, Any], words: Words) -> Iterator[tuple[str, str]]:
    for column, value in row.items():
        if isinstance(value, dict) and value and set(value) <= NAMED and column not in SHORT:
            yield from _facts(value, words)
        elif value not in (None, [], {}, "") and (said := _said(column, value, words)):
            yield words.gettext(LABELS.get(column) or labels.NESTED[column]), said


def _said(column: str, value: Any, words: Words) -> str:
    """In the person's words; the files for programs keep what a program reads."""
    if column in SHORT and not isinstance(value, int):
        return SHORT[column](value, words)
    if isinstance(value, bool):
        return words.gettext(N_("yes")) if value else words.gettext(N_("no"))
    if isinstance(value, int | float):
        return words.number(value)
    if isinstance(value, str):
        sentence = labels.meaning(column, value)
        return words.gettext(sentence) if sentence else _moment(value, words)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return words.enumerated([_said(column, one, words) for one in value])
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        return "\n".join(_nested(one, words) for one in value)
    return json.dumps(value, ensure_ascii=False)


def _nested(record: Mapping[str, Any], words: Words) -> str:
    named = {one: labels.NESTED.get(one) or LABELS.get(one) for one in record}
    return words.enumerated(
        [
            f"{words.gettext(name)}: {_said(one, record[one], words)}"
            for one, name in named.items()
            if name and record[one] not in (None, [], {}, "")
        ]
    )


def _days(value: Sequence[str], words: Words) -> str:
    return words.enumerated([words.day(date.fromisoformat(one)) for one in value])


def _counts(value: Mapping[str, Mapping[str, Any]], words: Words) -> str:
    """What there was of each class."""
    return "\n".join(
        f"{words.gettext(labels.CLASSES.get(cls, labels.OTHERWISE))}: {_nested(found, words)}"
        for cls, found in value.items()
    )


def _looked(value: Mapping[str, Any], words: Words) -> str:
    answers = [one["result"] for one in value.get("stores", {}).values()]
    if not answers or "finished_at" not in value:
        return ""
    return words.gettext(
        N_("{asked} places were asked on {moment}; in {clean} of them nothing was found, and {other} hold nothing of"
           " people."),
        asked=words.number(len(answers)), moment=words.moment(datetime.fromisoformat(value["finished_at"])),
        clean=words.number(answers.count("clean")), other=words.number(answers.count("not applicable")),
    )  # fmt: skip


def _findings(value: Sequence[Mapping[str, Any]], words: Words) -> str:
    return "\n".join(words.gettext(str(one["message"])) for one in value if one.get("message"))


def _sentence(value: Any, words: Words) -> str:
    """What the program wrote down as a sentence of the catalogue."""
    said = value.values() if isinstance(value, dict) else [value]
    return "\n".join(dict.fromkeys(words.gettext(str(one)) for one in said))


def _numbers(value: Sequence[str], words: Words) -> str:
    """What the log calls by number; the codes beside are for programs."""
    return words.enumerated([one for one in value if NUMBER.fullmatch(one)])


SHORT: Mapping[str, Callable[[Any, Words], str]] = {
    "days": _days, "counts": _counts, "scan": _looked, "findings": _findings, "failure": _sentence, "missed": _sentence,
    "question": _sentence, "objects": _numbers,
}  # fmt: skip
"""Columns that are said in a way of their own."""


def _moment(value: str, words: Words) -> str:
    if len(value) == 25 and value[10:11] == "T" and value.endswith("+00:00"):
        return words.moment(datetime.fromisoformat(value))
    return value


def _by_reason(omitted: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in omitted:
        found.setdefault(one["reason"], []).append(one["what"])
    return found


def _named(whats: Sequence[str], words: Words) -> str:
    """Of columns under which heading they stand, of files their path; places have their reason alone. The file
    `omissions.json` names each one."""
    tables = dict.fromkeys(CONTENTS[table].title for one in whats if (table := one.partition(".")[0]) in CONTENTS)
    files = [one for one in whats if "/" in one]
    return words.enumerated([*map(words.gettext, tables), *files])


def reason(code: str) -> str:
    return REASONS[code]
