"""A studio's whole order over real objects and keys, with the base that ships and very few steps."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image

from gpu_cluster import scratch
from gpu_cluster.board import Board
from gpu_cluster.faces import Faces
from gpu_cluster.judge import Calibration, Judge, Verdict
from gpu_cluster.making import Making, Passed, best, nearly_the_same, short_looks
from gpu_cluster.orders import LookShot, Order, Person
from gpu_cluster.portraits.draw import selfies
from gpu_cluster.recipe import named
from gpu_cluster.studio import Studio
from gpu_cluster.train import Diverged
from likeness.db import utc_now
from likeness.keys import KeyClass, KeyFolder, KeyRef
from likeness.objects import Objects, person_path

RECIPE = replace(named("portrait-small"), steps=8, checkpoint_every=4, pictures=2, shown=2, render_steps=2)
LOOK = ("light grey", "navy suit", "close-up", "soft light")


@pytest.fixture(scope="module")
def studio() -> Studio:
    return Studio(RECIPE.as_dict(), ())


class Stores:
    def __init__(self, folder: Path) -> None:
        self.url, self.keys_at = (folder / "objects").as_uri(), folder / "keys"
        self.objects, self.keys = Objects(self.url), KeyFolder(self.keys_at)
        self.keys.begin()

    def person(self, tenant: UUID, seed: int, count: int = 6) -> Person:
        employee = uuid4()
        self.keys.begin_tenant(tenant)
        self.keys.open_or_create(KeyRef(tenant, employee, KeyClass.PROFILE))
        key = self.keys.open_or_create(KeyRef(tenant, employee, KeyClass.SOURCE))
        paths = []
        for image, _ in selfies(seed, count, 512):
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=92)
            path = person_path(tenant, employee, KeyClass.SOURCE, uuid4())
            self.objects.put(path, buffer.getvalue(), key)
            paths.append(path)
        return Person(uuid4(), employee, 1, seed, tuple(paths))

    def order(self, tenant: UUID, *people: Person) -> Order:
        looks = (LookShot(uuid4(), *LOOK),)
        return Order(uuid4(), tenant, people, looks, RECIPE.as_dict(), self.url, str(self.keys_at), ())


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    return Stores(tmp_path)


class Watched(Board):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def tell(self, sitting: UUID, **changes: Any) -> None:
        self.steps.append(changes.get("step", 0))
        super().tell(sitting, **changes)


@contextmanager
def changed(studio: Studio, **numbers: Any) -> Iterator[None]:
    """The studio with other numbers in its recipe, or with another calibration."""
    before = studio.equipment
    calibration = numbers.pop("calibration", before.calibration)
    studio.equipment = replace(before, recipe=replace(before.recipe, **numbers), calibration=calibration)
    try:
        yield
    finally:
        studio.equipment = before


def test_two_people_are_trained_in_one_order_and_sealed_apart(studio: Studio, stores: Stores) -> None:
    tenant = uuid4()
    one, two = stores.person(tenant, 41), stores.person(tenant, 42)
    outcomes = {o.sitting: o for o in studio.work(stores.order(tenant, one, two))}
    assert set(outcomes) == {one.sitting, two.sitting}
    for person in (one, two):
        outcome = outcomes[person.sitting]
        assert outcome.made >= RECIPE.pictures
        assert {"load", "train", "render", "judge"} <= set(outcome.seconds)
        # Eight steps make nobody: either a picture passed, or the person is told what to do.
        assert outcome.pictures or outcome.error == "NothingPassed"
        key = stores.keys.open(KeyRef(tenant, person.employee, KeyClass.MODEL))
        assert len(stores.objects.get(outcome.adapter_path, key)) > 10_000
        assert str(person.employee) in outcome.adapter_path
        assert studio.progress()[person.sitting].checkpoint.startswith(f"tenants/{tenant}/employees/{person.employee}/")


def test_one_persons_bad_photos_leave_the_other_alone(studio: Studio, stores: Stores) -> None:
    tenant = uuid4()
    good, bad = stores.person(tenant, 43), stores.person(tenant, 44)
    stores.keys.destroy(KeyRef(tenant, bad.employee, KeyClass.SOURCE), utc_now())
    outcomes = {o.sitting: o for o in studio.work(stores.order(tenant, good, bad))}
    assert outcomes[good.sitting].adapter_path
    assert outcomes[bad.sitting].failure
    assert outcomes[bad.sitting].error == "KeyDestroyed"
    assert not outcomes[bad.sitting].adapter_path


def test_a_lost_run_goes_on_from_its_checkpoint(studio: Studio, stores: Stores) -> None:
    tenant = uuid4()
    person = stores.person(tenant, 45)
    studio.work(stores.order(tenant, person))
    checkpoint = studio.progress()[person.sitting].checkpoint
    again = replace(person, checkpoint=checkpoint)
    board = Watched()
    with scratch.scratch_folder() as folder:
        [outcome] = Making(studio.equipment, stores.order(tenant, again), board, None, folder).run()
    assert outcome.adapter_path
    assert min(step for step in board.steps if step) > RECIPE.checkpoint_every


def test_a_cancelled_sitting_ends_soon_and_leaves_nothing(studio: Studio, stores: Stores) -> None:
    tenant = uuid4()
    person = stores.person(tenant, 46)
    order = replace(stores.order(tenant, person), recipe=replace(RECIPE, steps=500).as_dict())
    before = {found.path for found in stores.objects.list(f"tenants/{tenant}/")}
    threading.Timer(3, studio.cancel, [person.sitting]).start()
    started = time.monotonic()
    with changed(studio, steps=500):
        outcome = studio.work(order)[0]
    assert time.monotonic() - started < 18
    assert outcome.cancelled
    assert not outcome.pictures
    left = {found.path for found in stores.objects.list(f"tenants/{tenant}/")} - before
    assert all("/model/" in path for path in left), "only sealed checkpoints may be left, which the erasure takes"


def test_nothing_unsealed_is_left_in_scratch(studio: Studio, stores: Stores) -> None:
    before = set(Path("/dev/shm").glob("likeness-*"))
    tenant = uuid4()
    studio.work(stores.order(tenant, stores.person(tenant, 47)))
    assert set(Path("/dev/shm").glob("likeness-*")) == before


def test_what_a_killed_studio_left_is_swept_and_a_living_one_is_spared(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(scratch, "MEMORY", tmp_path)
    dead = tmp_path / f"{scratch.PREFIX}dead"
    dead.mkdir()
    (dead / "checkpoint.safetensors").write_bytes(b"weights")
    with scratch.scratch_folder() as alive:
        (alive / "checkpoint.safetensors").write_bytes(b"weights")
        assert scratch.sweep_scratch() == 1
        assert not dead.exists()
        assert (alive / "checkpoint.safetensors").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_training_ends_early_only_when_its_pictures_would_pass(stores: Stores) -> None:
    studio = Studio(replace(RECIPE, render_steps=12, look_every=4).as_dict(), ())
    strict = studio.equipment.calibration

    def steps(calibration: Calibration, tenant: UUID) -> int:
        person = stores.person(tenant, 41, 8)
        with changed(studio, calibration=calibration):
            [outcome] = studio.work(stores.order(tenant, person))
        return outcome.steps

    # Who is like everybody passes at the first look, who is like nobody never does.
    assert steps(replace(strict, impostor_distance=9.0, false_match_distance=8.0), uuid4()) == 4
    assert steps(replace(strict, impostor_distance=0.3, false_match_distance=0.01), uuid4()) == RECIPE.steps


def test_a_checkpoint_of_another_recipe_costs_its_person_a_fresh_start(studio: Studio, stores: Stores) -> None:
    tenant = uuid4()
    person = stores.person(tenant, 45)
    [first] = studio.work(stores.order(tenant, person))
    checkpoint = studio.progress()[person.sitting].checkpoint
    assert first.steps == RECIPE.steps
    assert checkpoint
    with changed(studio, learning_rate=1e-3):
        [again] = studio.work(stores.order(tenant, replace(person, checkpoint=checkpoint)))
    assert again.steps == RECIPE.steps
    assert again.adapter_path
    assert again.error in ("", "NothingPassed")


GREY, WHITE, DARK = (LookShot(uuid4(), backdrop, *LOOK[1:]) for backdrop in ("light grey", "white", "dark grey"))


def passed(look: LookShot, ratio: float, image: Image.Image | None = None, advice: tuple[str, ...] = ()) -> Passed:
    return Passed(Verdict(True, ratio, ratio, advice=advice), look, image or Image.new("RGB", (8, 8)))


def test_no_look_is_crowded_out_by_another() -> None:
    ratios = [(GREY, 1.2), (GREY, 1.1), (WHITE, 0.9), (GREY, 1.0), (WHITE, 0.95)]
    chosen = best([passed(look, ratio) for look, ratio in ratios])
    assert [(one.look, one.verdict.likeness_ratio) for one in chosen] == [
        (GREY, 1.2), (WHITE, 0.95), (GREY, 1.1), (WHITE, 0.9), (GREY, 1.0),
    ]  # fmt: skip


def test_what_something_is_odd_about_comes_last_of_its_look() -> None:
    odd, plain = passed(GREY, 1.2, advice=("the colour of the skin differs",)), passed(GREY, 0.8)
    assert best([odd, plain]) == [plain, odd]


def test_the_look_that_is_short_gets_the_next_turns() -> None:
    looks = (GREY, WHITE, DARK)
    assert Counter(look.look for look in short_looks(looks, [], 12)) == {look.look: 4 for look in looks}
    good = [passed(GREY, 1.0) for _ in range(5)] + [passed(WHITE, 1.0)]
    assert short_looks(looks, good, 4) == [DARK, WHITE, DARK, WHITE]


def test_a_picture_that_is_nearly_another_is_noticed_within_a_look() -> None:
    [(one, _), (other, _)] = selfies(3, 2, 256)
    assert nearly_the_same(passed(GREY, 1.0, one), passed(GREY, 1.0, one.rotate(0.4)))
    assert not nearly_the_same(passed(GREY, 1.0, one), passed(GREY, 1.0, other))
    assert not nearly_the_same(passed(GREY, 1.0, one), passed(WHITE, 1.0, one))


def test_a_second_training_that_fails_keeps_what_has_passed(
    studio: Studio, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of twelve pass, which asks for a second training, and that diverges."""

    def diverges(making: Making, person: Person, lora: Any) -> Any:
        raise Diverged

    looked: list[Verdict] = []

    def two_pass(judge: Judge, image: Image.Image) -> Verdict:
        looked.append(Verdict(len(looked) < 2, 0.9, 0.9))
        return looked[-1]

    monkeypatch.setattr(Making, "_train_on", diverges)
    monkeypatch.setattr(Judge, "look", two_pass)
    tenant = uuid4()
    with changed(studio, pictures=12, shown=6):
        [outcome] = studio.work(stores.order(tenant, stores.person(tenant, 41)))
    assert (outcome.made, outcome.passed, len(outcome.pictures)) == (12, 2, 2)
    assert not outcome.failure
    assert outcome.adapter_path


def test_a_photo_that_raises_outside_the_training_fails_its_person_alone(
    studio: Studio, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of two people's second photo makes the search for the head raise."""
    head, asked = Faces.head, [0]

    def raises(faces: Faces, image: Image.Image) -> Any:
        asked[0] += 1
        if asked[0] == 2:
            raise RuntimeError("an image of a size that the detector does not like")
        return head(faces, image)

    monkeypatch.setattr(Faces, "head", raises)
    tenant = uuid4()
    bad, good = stores.person(tenant, 43), stores.person(tenant, 44)
    outcomes = {o.sitting: o for o in studio.work(stores.order(tenant, bad, good))}
    assert outcomes[bad.sitting].error == "RuntimeError"
    assert outcomes[good.sitting].adapter_path


def test_a_full_store_costs_the_checkpoint_and_not_the_training(
    studio: Studio, stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = Making._seal

    def full(making: Making, person: Person, kind: KeyClass, data: bytes) -> Any:
        if making.board.progress()[person.sitting].step < RECIPE.steps and kind == KeyClass.MODEL:
            raise OSError(28, "No space left on device")
        return seal(making, person, kind, data)

    monkeypatch.setattr(Making, "_seal", full)
    tenant = uuid4()
    person = stores.person(tenant, 45)
    [outcome] = studio.work(stores.order(tenant, person))
    assert outcome.adapter_path
    assert studio.progress()[person.sitting].checkpoint == ""
