"""A studio's whole order over real objects and keys, with the base that ships and very few steps."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from PIL import Image

from gpu_cluster import scratch
from gpu_cluster.judge import Calibration, Verdict
from gpu_cluster.orders import LookShot, Order, Person
from gpu_cluster.portraits.draw import selfies
from gpu_cluster.recipe import named
from gpu_cluster.studio import Studio, best
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
    studio._progress.clear()
    seen: list[int] = []
    tell = studio._tell
    studio._tell = lambda sitting, **changes: (seen.append(changes.get("step", 0)), tell(sitting, **changes))  # type: ignore[method-assign, assignment, func-returns-value]
    try:
        outcome = studio.work(stores.order(tenant, again))[0]
    finally:
        studio._tell = tell  # type: ignore[method-assign]
    assert outcome.adapter_path
    assert min(step for step in seen if step) > RECIPE.checkpoint_every


def test_a_cancelled_sitting_ends_soon_and_leaves_nothing(studio: Studio, stores: Stores) -> None:
    tenant = uuid4()
    person = stores.person(tenant, 46)
    order = replace(stores.order(tenant, person), recipe=replace(RECIPE, steps=500).as_dict())
    studio.recipe = replace(RECIPE, steps=500)
    before = {found.path for found in stores.objects.list(f"tenants/{tenant}/")}
    threading.Timer(3, studio.cancel, [person.sitting]).start()
    started = time.monotonic()
    try:
        outcome = studio.work(order)[0]
    finally:
        studio.recipe = RECIPE
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
    strict = studio.calibration

    def steps(calibration: Calibration, tenant: UUID) -> int:
        studio.calibration = calibration
        person = stores.person(tenant, 41, 8)
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
    studio.recipe, kept = replace(studio.recipe, learning_rate=1e-3), studio.recipe
    try:
        [again] = studio.work(stores.order(tenant, replace(person, checkpoint=checkpoint)))
    finally:
        studio.recipe = kept
    assert again.steps == RECIPE.steps
    assert again.adapter_path
    assert again.error in ("", "NothingPassed")


def test_no_look_is_crowded_out_by_another() -> None:
    grey, white = LookShot(uuid4(), *LOOK), LookShot(uuid4(), "white", *LOOK[1:])
    image = Image.new("RGB", (8, 8))
    ratios = [(grey, 1.2), (grey, 1.1), (white, 0.9), (grey, 1.0), (white, 0.95)]
    chosen = best([(Verdict(True, ratio, ratio), look, image) for look, ratio in ratios])
    assert [(look, verdict.likeness_ratio) for verdict, look, _ in chosen] == [
        (grey, 1.2), (white, 0.95), (grey, 1.1), (white, 0.9), (grey, 1.0),
    ]  # fmt: skip
