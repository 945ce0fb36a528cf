"""The replay of whole hand-ins: what it counts, played with verdicts that are made up."""

from __future__ import annotations

from math import cos, sin

import pytest

from batch.vision.inspection import FINDINGS, Inspection
from benchmarks import story
from benchmarks.story import Phone, PhoneFile, StoryFigures


def seen(person: float, moment: int, *codes: str) -> Inspection:
    """A photo of somebody, who is a place on a circle, at some moment."""
    face = (cos(person), sin(person), moment / 1000, *([0.0] * 125))
    return Inspection(
        accepted="no_face" not in codes, findings=tuple(FINDINGS[code] for code in codes), picture=b"x", width=9,
        height=9, faces=1, face_pixels=400, embedding=face, look=bytes([moment % 256] * 4096),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def moments_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look is one grey here, which says nothing about the moment: the third number of the face does."""
    monkeypatch.setattr(story.groups, "same_look", lambda one, other: one.embedding == other.embedding)


def phone(good: int, **wrong: list[PhoneFile]) -> Phone:
    return Phone("x", 8, [PhoneFile("good", True, seen(0, at)) for at in range(good)], wrong, {})


def told(somebody: Phone, mix: dict[str, float]) -> StoryFigures:
    found = StoryFigures()
    story.replay(somebody, mix, 20, found)
    return found


def test_who_has_good_photos_alone_hands_in_eight() -> None:
    found = told(phone(12), {})
    assert (set(found.uploads), found.short, found.refused) == ({8}, 0, {})
    assert told(phone(7), {}).short == 20, "seven are not eight, however they come"


def test_a_wrong_photo_costs_itself_and_nothing_else() -> None:
    strangers = [PhoneFile("stranger", False, seen(3, 50 + at)) for at in range(3)]
    found = told(phone(12, stranger=strangers), {"stranger": 0.3})
    assert found.strangers_counted == 0
    assert not found.refused
    assert 8 < max(found.uploads) <= 11
    dark = [PhoneFile("dark", True, seen(0, 60 + at, "too_dark")) for at in range(3)]
    found = told(phone(12, dark=dark), {"dark": 0.3})
    assert not found.refused
    assert 8 < max(found.uploads) <= 11


def test_copies_come_after_what_they_copy_and_false_refusals_are_named() -> None:
    somebody = phone(12)
    somebody.copies.update({at: PhoneFile("copy", True, seen(0, at)) for at in range(12)})
    found = told(somebody, {"copy": 0.4})
    assert not found.refused
    assert max(found.uploads) > 8
    somebody = phone(12)
    somebody.good[:4] = [PhoneFile("good", True, seen(0, at, "no_face")) for at in range(4)]
    found = told(somebody, {})
    assert set(found.refused) == {"no_face"}
    assert found.figures()["refused_share"] > 0.2
    assert found.figures()["uploads_p95"] <= 12
