"""Which process serves whom, on a real Ray of this machine. The orders have nobody in them: what is looked at is who
takes them, and that is told by the key which a process makes for itself when it starts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import psutil
import pytest
from ray.exceptions import RayTaskError

from gpu_cluster.bases.recipe import Recipe, named
from gpu_cluster.bases.weights import WeightsChanged
from gpu_cluster.cluster import fleet as module
from gpu_cluster.cluster.fleet import Finished, Fleet, Loss
from gpu_cluster.engine.lease import Terms
from gpu_cluster.engine.orders import Order, Outcome
from tests.processes import ended
from tests.waiting import until

pytestmark = pytest.mark.timeout(1200)

RECIPE: Recipe = replace(named("portrait-small"), steps=1)
ALICE, BOB = uuid4(), uuid4()


def order(tenant: UUID) -> Order:
    return Order(uuid4(), tenant, (), (), RECIPE.as_dict())


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    fleet = Fleet("", RECIPE.as_dict(), ())
    yield fleet
    fleet.close()


def served(fleet: Fleet, one: Order) -> tuple[bytes, int]:
    """The key and the id of the process that took this order, after it has ended."""
    met: list[bytes] = []

    def grant(taken: Order, public: bytes) -> bytes:
        met.append(public)
        return Terms(str(taken.id), 3600.0, {}, {}, {}).sealed_to(public)

    fleet.start(one)
    process = fleet._working[one.id].process
    deadline = time.monotonic() + 280
    while not (over := fleet.finished()):
        assert time.monotonic() < deadline, "it did not happen in time"
        fleet.hand_over(grant)
        time.sleep(0.05)
    assert [(done.order.id, done.outcomes) for done in over] == [(one.id, [])]
    fleet.rest()
    return met[0], module.ray.get(process)


def test_a_studio_serves_one_company_as_long_as_its_orders_follow_each_other(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WARM_SECONDS", 600.0)
    first, again = served(fleet, order(ALICE)), served(fleet, order(ALICE))
    assert again == first, "the same company finds its base warm"
    assert psutil.pid_exists(first[1])
    other = served(fleet, order(BOB))
    assert other[0] != first[0], "another company meets a fresh process"
    until(lambda: ended(first[1]))


def test_a_studio_that_waits_too_long_is_ended(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM_SECONDS", 600.0)
    _, process = served(fleet, order(BOB))
    monkeypatch.setattr(module, "WARM_SECONDS", 0.0)
    fleet.rest()
    until(lambda: ended(process))
    assert fleet._kept == []


def test_a_kept_studio_that_died_is_nobodys_fault(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM_SECONDS", 600.0)
    _, process = served(fleet, order(ALICE))
    psutil.Process(process).kill()
    one = order(ALICE)
    fleet.start(one)
    deadline = time.monotonic() + 280
    while not (over := fleet.finished()):
        assert time.monotonic() < deadline, "it did not happen in time"
        fleet.hand_over(lambda taken, public: b"")
        time.sleep(0.05)
    assert over[0].loss == Loss.NEVER_STARTED


def test_a_node_with_other_weights_is_told_apart_from_one_that_did_not_start() -> None:
    work = module.Working(order(ALICE), None, b"", None)
    work.result = work.public_key
    refused = RayTaskError("public_key", "", WeightsChanged("other weights")).as_instanceof_cause()
    assert module._loss(work, refused) == Loss.WEIGHTS_CHANGED
    assert module._loss(work, RayTaskError("public_key", "", OSError()).as_instanceof_cause()) == Loss.NEVER_STARTED


def test_after_something_unforeseen_a_studio_is_not_used_again() -> None:
    fine, odd = Outcome(uuid4(), error="NothingPassed", failure="nothing"), Outcome(uuid4(), unforeseen=True)
    assert Finished(order(ALICE), [fine]).well
    assert not Finished(order(ALICE), [fine, odd]).well
    assert not Finished(order(ALICE), None, Loss.HUNG).well
