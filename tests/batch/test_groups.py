"""Who is who: by numbers that stand for people, so that thousands of sets in every order can be replayed."""

from __future__ import annotations

import io
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from batch.models import Photo, PhotoState
from batch.photos import groups, sets
from batch.photos.measures import Measure, Measures
from batch.vision import faces, verdict
from gpu_cluster.drawn.people.draw import DrawnPerson, Scene, draw
from tests.pictures import astronaut, jpeg
from tests.waiting import until

# Two photographs of one person lie 0.41 apart in the mean, of two people 0.87: what dlib's network gives for real faces.
OWN, OTHERS = 0.41, 0.87


class Somebody:
    """A person of 128 numbers; every photo of them lies beside the middle, in a direction of its own."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        middle = rng.normal(size=128)
        # Two middles at right angles are as far apart as two people's photos, less what both lie beside them.
        self._middle = middle / np.linalg.norm(middle) * np.sqrt(OTHERS**2 - OWN**2) / np.sqrt(2)

    def photo(self, far: float = 1.0) -> Measure:
        beside = self._rng.normal(size=128)
        beside = beside / np.linalg.norm(beside) * OWN / np.sqrt(2) * far
        return Measure(tuple(self._middle + beside), pixels=500)


class Album:
    """A person's set without a database: photos come, the set is compared, the person answers when they are asked."""

    def __init__(self) -> None:
        self.photos: list[Photo] = []
        self.measures: dict[UUID, Measure] = {}

    def add(self, measure: Measure) -> UUID:
        photo = Photo(id=uuid4(), tenant_id=uuid4(), employee_id=uuid4(), consent_id=uuid4(), path="", digest="",
                      state=PhotoState.ACCEPTED, due_at=datetime.max)  # fmt: skip
        self.photos.append(photo)
        self.measures[photo.id] = measure
        sets.arrange(self.photos, self.measures)
        return photo.id

    def answer(self, mine: Iterable[UUID]) -> int:
        """Taps the people that are oneself, until nothing is asked any more; returns how many taps it took."""
        own, taps = set(mine), 0
        while asked := sets.unclear(self.photos):
            # One tap is about one group; the others that are shown beside it are said to be somebody else.
            me = [one for one in asked if any(photo.id in own for photo in one.photos)][:1]
            rest = [photo.id for one in asked if one not in me for photo in one.photos if photo.id not in own]
            sets.say(self.photos, [photo.id for one in me for photo in one.photos], rest)
            sets.arrange(self.photos, self.measures)
            taps += 1
            assert taps < 10
        return taps

    def counted(self) -> set[UUID]:
        return {photo.id for photo in self.photos if photo.state == PhotoState.ACCEPTED}


def play(rng: np.random.Generator, order: Sequence[str], *, answering: str) -> tuple[Album, set[UUID]]:
    people = {name: Somebody(rng) for name in dict.fromkeys(order)}
    album, own = Album(), set()
    for name in order:
        photo_id = album.add(people[name].photo())
        if name == "me":
            own.add(photo_id)
        if answering == "at once":
            album.answer(own)
    if answering != "never":
        album.answer(own)
    return album, own


def test_nobody_is_locked_out_in_any_order() -> None:
    """250 sets of 6 to 12 own photos among up to 8 of up to three strangers, in random orders and strangers first."""
    rng, dice = np.random.default_rng(17), random.Random(17)
    locked_out, taps = 0, []
    for number in range(250):
        strangers = [f"stranger {dice.randrange(3)}" for _ in range(dice.randrange(9))]
        order = ["me"] * dice.randrange(6, 13) + strangers
        if number % 3 == 0:
            order = strangers + ["me"] * order.count("me")
        else:
            dice.shuffle(order)
        album, own = play(rng, order, answering="never")
        taps.append(album.answer(own))
        locked_out += album.counted() != own
    assert locked_out == 0
    assert np.mean(taps) < 2


def test_one_stranger_first_then_22_of_oneself_without_any_answer() -> None:
    album, own = play(np.random.default_rng(1), ["stranger"] + ["me"] * 22, answering="never")
    assert album.counted() == own
    assert sets.must_ask(album.photos)


def test_two_people_four_each_are_asked_about_once() -> None:
    rng = np.random.default_rng(2)
    album, own = play(rng, ["me", "you"] * 4, answering="never")
    asked = sets.unclear(album.photos)
    assert [len(one.photos) for one in asked] == [4, 4]
    assert album.answer(own) == 1
    assert album.counted() == own
    assert not sets.must_ask(album.photos)


@pytest.mark.parametrize("answering", ["at once", "at the end"])
def test_a_majority_never_overrules_the_persons_own_answer(answering: str) -> None:
    """Two own photos, and then twenty of somebody else."""
    album, own = play(np.random.default_rng(3), ["me", "me"] + ["you"] * 20, answering=answering)
    assert album.counted() == own
    album.add(Somebody(np.random.default_rng(9)).photo())
    assert album.counted() == own


def test_what_is_somebody_elses_is_kept_and_can_be_taken_back() -> None:
    album, own = play(np.random.default_rng(4), ["me"] * 6 + ["you"] * 2, answering="at the end")
    others = [photo.id for photo in album.photos if photo.id not in own]
    assert all(photo.state == PhotoState.ASIDE for photo in album.photos if photo.id in others)
    sets.say(album.photos, others, [])
    sets.arrange(album.photos, album.measures)
    assert album.counted() == own | set(others)


def test_once_the_stranger_is_deleted_everything_of_oneself_counts() -> None:
    rng = np.random.default_rng(5)
    me, stranger = Somebody(rng), Somebody(rng)
    album = Album()
    theirs = [album.add(stranger.photo()) for _ in range(3)]
    own = {album.add(me.photo()), album.add(me.photo())}
    assert album.counted() == set(theirs)
    album.photos = [photo for photo in album.photos if photo.id not in theirs]
    sets.settle(album.photos)
    assert album.counted() == own
    assert sets.unclear(album.photos) == []


def test_a_person_who_looks_different_once_is_asked_and_not_refused() -> None:
    rng = np.random.default_rng(6)
    me = Somebody(rng)
    album = Album()
    own = {album.add(me.photo()) for _ in range(7)} | {album.add(me.photo(far=3.0))}
    assert len(album.counted()) == 7
    album.answer(own)
    assert album.counted() == own


def test_the_order_plays_no_part() -> None:
    rng, dice = np.random.default_rng(7), random.Random(7)
    people = [Somebody(rng) for _ in range(3)]
    photos = {uuid4(): people[number % 3].photo() for number in range(15)}
    first = {frozenset(group) for group in groups.people(photos, {})}
    assert sorted(len(group) for group in first) == [5, 5, 5]
    for _ in range(10):
        shuffled = list(photos.items())
        dice.shuffle(shuffled)
        assert {frozenset(group) for group in groups.people(dict(shuffled), {})} == first


# Nearly the same photo


def look_of(image: Image.Image) -> Measure:
    facts, _ = verdict.judge({}, jpeg(image))
    found = faces.find(image)
    return Measure(tuple(facts["embedding"]), faces.look(found.image, found.faces[0]), facts["face_pixels"])


def photograph() -> Image.Image:
    return Image.open(io.BytesIO(astronaut())).convert("RGB")


@pytest.mark.parametrize("seed", [1, 3, 4, 7, 9])
def test_four_expressions_of_one_face_are_four_photos(seed: int) -> None:
    person, scene = DrawnPerson.drawn(seed), Scene.drawn(np.random.default_rng(seed))
    neutral, smiling, broadly = (
        look_of(draw(person, replace(scene, expression=expression), 768))
        for expression in ("neutral", "smiling", "smiling broadly")
    )
    assert not groups.same_look(neutral, smiling)
    assert not groups.same_look(neutral, broadly)
    assert not groups.same_look(smiling, broadly)


def test_a_copy_is_known_by_the_face_whatever_is_around_it() -> None:
    image = photograph()
    one = look_of(image)
    wide, high = image.size
    for copy in (
        image.resize((wide * 3 // 5, high * 3 // 5)),
        image.crop((wide // 12, high // 16, wide - wide // 14, high - high // 9)),
        ImageEnhance.Brightness(image).enhance(0.75),
    ):
        assert groups.same_look(one, look_of(copy))
    assert not groups.same_look(one, look_of(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)))


def test_of_two_copies_the_one_with_the_larger_face_counts_whichever_came_first() -> None:
    small, large = look_of(photograph().resize((700, 700))), look_of(photograph())
    for order in ([small, large], [large, small]):
        album = Album()
        ids = [album.add(measure) for measure in order]
        assert album.counted() == {ids[order.index(large)]}
        spare = next(photo for photo in album.photos if photo.id == ids[order.index(small)])
        assert spare.state == PhotoState.SPARE
        assert [finding["code"] for finding in spare.findings] == ["near_duplicate"]
        album.photos = [spare]
        sets.settle(album.photos)
        assert album.counted() == {spare.id}
        assert spare.findings == []


# What is kept in memory


def test_measures_go_with_their_photo_with_their_person_and_by_themselves() -> None:
    kept = Measures(most=3)
    alice, bob = uuid4(), uuid4()
    ids = [uuid4() for _ in range(3)]
    for photo_id in ids:
        kept.keep(alice, photo_id, Measure((1.0,)))
    assert set(kept.of(alice, ids[:2])) == set(ids[:2])
    assert kept.of(alice, ids[2:]) == {}
    assert kept.of(bob, ids) == {}
    kept.keep(bob, ids[0], Measure((2.0,)))
    kept.forget(bob)
    assert len(kept) == 0
    for _ in range(5):
        kept.keep(bob, uuid4(), Measure())
    assert len(kept) == 3
    unused = Measures(idle_seconds=0.05)
    unused.keep(alice, ids[0], Measure())
    until(lambda: len(unused) == 0)
    until(lambda: unused._timer is None)
