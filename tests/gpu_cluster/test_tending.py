"""Sittings through a real Ray on this machine: taken fairly, watched, cancelled, and taken up again after a kill."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import count
from uuid import UUID, uuid4

import psutil
import pytest
from sqlmodel import select

from batch import sittings
from batch.models import Headshot, Photo, PhotoState, Sitting, SittingState
from gpu_cluster import fleet, tending
from gpu_cluster.fleet import Loss
from gpu_cluster.models import Run, RunState, Weights
from gpu_cluster.orders import Order, Outcome
from gpu_cluster.portraits.draw import selfies
from gpu_cluster.recipe import named, recipes
from likeness.db import utc_now
from likeness.kernel import Kernel
from likeness.keys import KeyClass, KeyRef
from likeness.objects import person_path
from tenants import looks
from tests.factories import give_consent, make_employee, make_tenant

# Nothing can pass after so little, so each person is trained twice; one picture a step makes nobody wait for that.
QUICK = replace(
    named("portrait-small"), name="quick", longest_pause=1, steps=24, batch=1, checkpoint_every=5, pictures=2, shown=2,
    render_steps=2,
)


@pytest.fixture(scope="module")
def cluster(kernel: Kernel) -> Iterator[Kernel]:
    recipes()["quick"] = QUICK  # type: ignore[index]
    quick = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": "quick"}))
    yield quick
    tending.close(quick)
    del recipes()["quick"]  # type: ignore[attr-defined]


def sit(kernel: Kernel, tenant: UUID, seed: int) -> tuple[UUID, UUID]:
    """A person of the tenant with six accepted photos who has handed in; returns employee and sitting."""
    now = utc_now()
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel)
        consent = give_consent(session, kernel, employee)[0]
        if not looks.list_looks(session):
            looks.add(session, "Studio", "light grey", "navy suit", "close-up", "soft light")
        key = kernel.keys.open_or_create(KeyRef(tenant, employee.id, KeyClass.SOURCE))
        for number, (image, _) in enumerate(selfies(seed, 6, 512)):
            buffer = io.BytesIO()
            image.save(buffer, "JPEG")
            path = person_path(tenant, employee.id, KeyClass.SOURCE, uuid4())
            kernel.objects.put(path, buffer.getvalue(), key)
            session.add(
                Photo(
                    tenant_id=tenant, employee_id=employee.id, consent_id=consent.id, state=PhotoState.ACCEPTED,
                    path=path, digest=str(number), due_at=now + timedelta(days=3),
                )
            )  # fmt: skip
        session.flush()
        sitting = sittings.submit(session, employee.id, now)
    return employee.id, sitting.id


def wait_for_cluster(kernel: Kernel, tenant: UUID) -> UUID:
    """A sitting of somebody who has handed in, without photos, which nobody opens; returns its id."""
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel)
        give_consent(session, kernel, employee)
        kernel.keys.open_or_create(KeyRef(tenant, employee.id, KeyClass.SOURCE))
        if not looks.list_looks(session):
            looks.add(session, "Studio", "light grey", "navy suit", "close-up", "soft light")
        sitting = Sitting(tenant_id=tenant, employee_id=employee.id, seed=1, created_at=utc_now() - timedelta(hours=1))
        session.add(sitting)
        return sitting.id


def state(kernel: Kernel, tenant: UUID, sitting_id: UUID) -> str:
    with kernel.db.transaction(tenant) as session:
        return session.exec(select(Sitting.state).where(Sitting.id == sitting_id)).one()


def runs(kernel: Kernel, tenant: UUID, sitting_id: UUID) -> list[Run]:
    with kernel.db.transaction(tenant) as session:
        return list(session.exec(select(Run).where(Run.sitting_id == sitting_id).order_by(Run.fence)))  # type: ignore[arg-type]


def tend_until(kernel: Kernel, condition: object, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        tending.tend(kernel, utc_now())
        time.sleep(0.3)


ENDED = {SittingState.DONE, SittingState.FAILED, SittingState.CANCELLED}


def end_all(kernel: Kernel, tenant: UUID, answer: Callable[[Order], Outcome | Loss]) -> list[int]:
    """Takes and ends the tenant's orders until none is left; the sizes of the orders."""
    sizes = []
    while (order := tending.take(kernel, [], utc_now(), portraits=True)) is not None:
        if order.tenant == tenant:
            sizes.append(len(order.people))
        for person in order.people:
            lost = answer(order) if order.tenant == tenant else Outcome(person.sitting)
            tending.settle(kernel, order, person, lost if isinstance(lost, Loss) else Outcome(person.sitting))
        assert len(sizes) < 30, "it never ends"
    return sizes


@pytest.mark.parametrize("loss", [Loss.STUDIO_DIED, Loss.HUNG])
@pytest.mark.parametrize("place", [0, 3])
def test_only_who_takes_studios_down_alone_is_failed(kernel: Kernel, loss: Loss, place: int) -> None:
    tenant, other = make_tenant(kernel), make_tenant(kernel)
    people = [wait_for_cluster(kernel, tenant) for _ in range(4)]
    neighbour, bad = wait_for_cluster(kernel, other), people[place]

    def answer(order: Order) -> Outcome | Loss:
        return loss if bad in {person.sitting for person in order.people} else Outcome(bad)

    sizes = end_all(kernel, tenant, answer)
    ended = {sitting: state(kernel, tenant, sitting) for sitting in people}
    assert ended == {s: SittingState.FAILED if s == bad else SittingState.DONE for s in people}
    assert sizes[0] == 4
    assert sizes.count(1) >= 2
    assert [run.pack for run in runs(kernel, tenant, bad)] == [4, 2, 1, 1]
    assert state(kernel, other, neighbour) == SittingState.DONE


@pytest.mark.parametrize("loss", [Loss.NODE_LOST, Loss.RESTARTED, Loss.NEVER_STARTED])
def test_what_the_cluster_loses_is_nobodys_fault(kernel: Kernel, loss: Loss) -> None:
    tenant = make_tenant(kernel)
    people, answers = [wait_for_cluster(kernel, tenant) for _ in range(3)], count()
    sizes = end_all(kernel, tenant, lambda order: loss if next(answers) < 24 else Outcome(people[0]))
    assert set(sizes) == {3}
    assert len(sizes) > 7
    assert {state(kernel, tenant, sitting) for sitting in people} == {SittingState.DONE}


def test_an_answer_that_is_written_twice_is_written_once(kernel: Kernel) -> None:
    tenant = make_tenant(kernel)
    sitting = wait_for_cluster(kernel, tenant)
    order = tending.take(kernel, [], utc_now(), portraits=True)
    while order is not None and order.tenant != tenant:
        order = tending.take(kernel, [], utc_now(), portraits=True)
    assert order is not None
    for _ in range(2):
        tending.settle(kernel, order, order.people[0], Outcome(sitting))
    (run,) = runs(kernel, tenant, sitting)
    assert run.state == RunState.SUCCEEDED


def test_sittings_of_two_companies_are_done_and_kept_apart(cluster: Kernel) -> None:
    alice, bob = make_tenant(cluster), make_tenant(cluster)
    first = [(alice, *sit(cluster, alice, 51)), (bob, *sit(cluster, bob, 52))]
    # Ray's start and two studios one after the other: a minute on two cores of which one is busy with something else.
    tend_until(cluster, lambda: all(state(cluster, t, s) in ENDED for t, _, s in first), seconds=200)
    for tenant, employee, sitting in first:
        (run,) = runs(cluster, tenant, sitting)
        assert run.state in {RunState.SUCCEEDED, RunState.FAILED}
        assert run.made >= QUICK.pictures
        assert run.error in {None, "NothingPassed"}
        with cluster.db.transaction(tenant) as session:
            weights = session.exec(select(Weights)).all()
            shots = session.exec(select(Headshot)).all()
        assert {row.employee_id for row in [*weights, *shots]} <= {employee}
        if state(cluster, tenant, sitting) == SittingState.DONE:
            assert [row.kind for row in weights] == ["adapter"]
            # Weights go with the first of the photos they were made of.
            assert weights[0].due_at < utc_now() + timedelta(days=3, minutes=1)


def test_a_killed_studio_costs_no_sitting(cluster: Kernel) -> None:
    tenant = make_tenant(cluster)
    _, sitting = sit(cluster, tenant, 53)

    def kept() -> list[str]:
        with cluster.db.transaction(tenant) as session:
            return [row.kind for row in session.exec(select(Weights))]

    tend_until(cluster, lambda: kept() == ["checkpoint"])
    studios = [p for p in psutil.Process().children(recursive=True) if "Studio" in " ".join(p.cmdline())]
    assert studios
    for process in studios:
        process.kill()
    tend_until(cluster, lambda: state(cluster, tenant, sitting) in ENDED)
    made = runs(cluster, tenant, sitting)
    assert [run.state for run in made][:-1] == [RunState.LOST] * (len(made) - 1)
    assert len(made) >= 2
    assert made[-1].state in {RunState.SUCCEEDED, RunState.FAILED}
    assert made[-1].error in {None, "NothingPassed"}


def test_a_studio_that_hangs_is_ended_and_its_sitting_taken_up_again(
    cluster: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant(cluster)
    _, sitting = sit(cluster, tenant, 56)
    tend_until(cluster, lambda: any(run.step for run in runs(cluster, tenant, sitting)))
    studios = [p for p in psutil.Process().children(recursive=True) if "Studio" in " ".join(p.cmdline())]
    # The one that is at work is older than the one that waits for the next order.
    process = min(studios, key=lambda process: process.create_time())
    process.suspend()
    monkeypatch.setattr(fleet, "LEAST_PATIENCE", 4.0)
    tend_until(cluster, lambda: runs(cluster, tenant, sitting)[0].state == RunState.LOST)
    assert runs(cluster, tenant, sitting)[0].error == Loss.HUNG
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    monkeypatch.setattr(fleet, "LEAST_PATIENCE", 120.0)
    tend_until(cluster, lambda: state(cluster, tenant, sitting) in ENDED)


@pytest.mark.faults
@pytest.mark.parametrize("part", ["raylet", "gcs_server"])
def test_a_ray_that_was_killed_on_this_machine_is_started_again(cluster: Kernel, part: str) -> None:
    tenant = make_tenant(cluster)
    _, sitting = sit(cluster, tenant, 55)
    tend_until(cluster, lambda: bool(runs(cluster, tenant, sitting)))
    (process,) = (child for child in psutil.Process().children() if child.name() == part)
    process.kill()
    tend_until(cluster, lambda: state(cluster, tenant, sitting) in ENDED, seconds=250)
    made = runs(cluster, tenant, sitting)
    assert len(made) >= 2
    assert {run.state for run in made[:-1]} == {RunState.LOST}
    assert made[-1].error in {None, "NothingPassed"}


def test_a_cancelled_sitting_leaves_nothing_behind(cluster: Kernel) -> None:
    tenant = make_tenant(cluster)
    employee, sitting = sit(cluster, tenant, 54)
    tend_until(cluster, lambda: bool(runs(cluster, tenant, sitting)))
    with cluster.db.transaction(tenant) as session:
        sittings.cancel(session, employee)
    started = time.monotonic()
    tend_until(cluster, lambda: runs(cluster, tenant, sitting)[-1].state != RunState.RUNNING)
    assert time.monotonic() - started < 60
    assert state(cluster, tenant, sitting) == SittingState.CANCELLED
    with cluster.db.transaction(tenant) as session:
        assert session.exec(select(Headshot)).all() == []
