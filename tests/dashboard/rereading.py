"""A walk through pages in every language that fetches each of them once.

What a template was given in English is rendered anew in each other language: no statement, no child process, and nothing
that is pressed is pressed again. What code had said in the reader's language before the template got it stays English
then; so a page that seems to leak is fetched in that language as its reader would, and judged by what comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jinja2 import Template

from dashboard import pages
from likeness.locale.languages import direction
from likeness.locale.words import words
from tests.dashboard.leaks import OTHERS, Texts

Leaking = Callable[[set[str], set[str], str], list[str]]
"""Of the texts in English and in another language, those that leak."""


@dataclass(frozen=True)
class Rendered:
    template: Template
    values: Mapping[str, Any]

    def again(self, language: str) -> str:
        reads = words(language, self.values["reads"].zone)
        return self.template.render(dict(self.values) | {"reads": reads} | pages._said(reads))


@contextmanager
def _recorded() -> Iterator[list[Rendered]]:
    found: list[Rendered] = []
    render = Template.render

    def recording(template: Template, *args: Any, **values: Any) -> str:
        found.append(Rendered(template, dict(*args, **values)))
        return render(template, *args, **values)

    Template.render = recording  # type: ignore[method-assign, assignment]
    try:
        yield found
    finally:
        Template.render = render  # type: ignore[method-assign]


def leaking(fetched: Mapping[str, Callable[[], str]], read_in: Callable[[str], None], leaks: Leaking) -> list[str]:
    """`fetched` names each page and how its reader comes to it, after `read_in` has set their language."""
    read_in("en")
    english: dict[str, tuple[set[str], Rendered]] = {}
    with _recorded() as rendered:
        for place, fetch in fetched.items():
            html = fetch()
            last = rendered[-1]
            assert last.again("en") == html, f"{place} is not what its template makes of what it was given"
            english[place] = (_texts(html, "en"), last)
    found = []
    for language in OTHERS:
        again = {place: _texts(last.again(language), language) for place, (_, last) in english.items()}
        doubted = [place for place, (texts, _) in english.items() if leaks(texts, again[place], language)]
        if doubted:
            read_in(language)
        for place in doubted:
            said = _texts(fetched[place](), language)
            found += [f"{language} {place}: {text}" for text in leaks(english[place][0], said, language)]
    return found


def _texts(html: str, language: str) -> set[str]:
    assert f'<html lang="{language}" dir="{direction(language)}">' in html
    return Texts(html).found
