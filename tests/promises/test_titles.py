"""What goes wrong at the desk or on a visit has a title that a colleague would say, and not only a kind of error's."""

from __future__ import annotations

from collections.abc import Iterator

from likeness.ground import errors
from likeness.ground.errors import LikenessError, NotFound
from likeness.run import app

PLACES = ("batch.", "tenants.", "dashboard.desk", "likeness.identity")
UNTITLED = {
    "AmountRefused": "operators grant credits",
    "DepartureUnknown": "a receipt that nobody has",
    "DomainRefused": "operators and owners connect a provider, and the sentence says which part is wrong",
    "DomainTaken": "operators and owners connect a provider, and the sentence says which part is wrong",
    "LanguageUnknown": "pages offer the languages that there are, and no other",
    "LeadsNowhere": "a kind of error",
    "NobodyToTell": "operators alone",
    "Overtaken": "a job tries again, nobody reads it",
    "ReasonMissing": "operators alone",
    "SecondOperatorNeeded": "operators alone",
    "SuspendedAlready": "operators alone",
    "TooManyTries": "the kind's own title says it",
}


def kinds(kind: type[LikenessError] = LikenessError) -> Iterator[type[LikenessError]]:
    for one in kind.__subclasses__():
        yield one
        yield from kinds(one)


def test_errors_of_the_desk_and_of_a_visit_have_titles_of_their_own() -> None:
    assert app.create_app, "whatever the program raises is imported"
    general = {one.title for one in vars(errors).values() if isinstance(one, type) and issubclass(one, LikenessError)}
    untitled = {
        one.__name__
        for one in kinds()
        if one.__module__.startswith(PLACES) and not issubclass(one, NotFound) and one.title in general
    }
    assert untitled - UNTITLED.keys() == set(), "an error says only of which kind it is"
