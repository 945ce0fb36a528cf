"""What goes wrong has a title that a colleague would say, and not only a kind of error's."""

from __future__ import annotations

from collections.abc import Iterator

from likeness.ground import errors
from likeness.ground.errors import LikenessError
from likeness.run import app

UNTITLED = {
    "AskedToWait": "a job tries again, nobody reads it",
    "LaneBlocked": "a job tries again, nobody reads it",
    "LeadsNowhere": "a kind of error",
    "LostLease": "a job tries again, nobody reads it",
    "MailServerAway": "a job tries again, nobody reads it",
    "Overtaken": "a job tries again, nobody reads it",
    "TooManyTries": "the kind's own title says it",
}


def kinds(kind: type[LikenessError] = LikenessError) -> Iterator[type[LikenessError]]:
    for one in kind.__subclasses__():
        yield one
        yield from kinds(one)


def test_every_error_of_every_floor_has_a_title_of_its_own() -> None:
    assert app.create_app, "whatever the program raises is imported"
    general = {one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, LikenessError)}
    titles = {one.title for one in general}
    concrete = {one for one in kinds() if one not in general and one.__module__.split(".")[0] != "tests"}
    assert len(concrete) > 200
    untitled = {one.__name__ for one in concrete if one.title in titles}
    assert untitled - UNTITLED.keys() == set(), "an error says only of which kind it is"
    assert UNTITLED.keys() - untitled == set(), "these have a title by now"
