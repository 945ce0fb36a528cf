"""`likeness check` about what can be made: nobody is promised what the configured base cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from likeness.check import makes, problems
from likeness.settings import Settings


def said(tmp_path: Path, recipe: str) -> tuple[str, list[str]]:
    settings = Settings(home=tmp_path, recipe=recipe)
    return " ".join(makes(settings)), [sentence for sentence in problems(settings) if "RECIPE" in sentence]


def test_without_a_base_there_are_studio_portraits_and_nothing_is_wrong(tmp_path: Path) -> None:
    able, wrong = said(tmp_path, "cutout")
    assert "Studio portraits of people's own photos" in able
    assert "Models of people: none" in able
    assert wrong == []


@pytest.mark.parametrize(
    ("recipe", "sentence"), [("portrait-small", "knows drawn people only"), ("sdx", "is no recipe")]
)
def test_a_base_that_cannot_do_it_is_named(tmp_path: Path, recipe: str, sentence: str) -> None:
    able, wrong = said(tmp_path, recipe)
    assert "Models of people: none" in able
    assert len(wrong) == 1
    assert sentence in wrong[0]


def test_what_cuts_people_out_is_tried(tmp_path: Path) -> None:
    assert not [sentence for sentence in problems(Settings(home=tmp_path)) if "Cutting people out" in sentence]
