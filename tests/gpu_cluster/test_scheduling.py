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

from batch.models import Headshot, Photo, PhotoState, Sitting, SittingState
from batch.sittings import sittings
from batch.sittings.runs import Run, RunState, Weights
from gpu_cluster.bases.recipe import named, recipes
from gpu_cluster.cluster import claiming, fleet, scheduling
from gpu_cluster.cluster.fleet import Loss
from gpu_cluster.drawn.people.draw import selfies
from gpu_cluster.engine.orders import Order, Outcome, PersonOrder, Progress
from likeness.ground.db import utc_now
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.store.objects import person_path
from tenants import looks
from tenants.models import CUTOUT
from tests.factories import give_consent, make_employee, make_tenant
from tests.handed_in import get_sitting
from tests.processes import below, ended

pytestmark = pytest.mark.timeout(1200)

# Nothing can pass after so little, so each person is trained twice; one picture a step makes nobody wait for that.
QUICK = replace(
    named("portrait-small"),
    name="quick",
    loading_seconds=1,
    step_seconds=1,
    picture_seconds=1,
    steps=12,
    batch=1,
    checkpoint_every=4,
    pictures=1,
    shown=2,
    render_steps=2,
)


DRAWN = "flux2-klein-4b-reference"
OWN = scheduling.Cluster()


@pytest.fixture(scope="module")
def cluster(kernel: Kernel) -> Iterator[Kernel]:
    recipes()["quick"] = QUICK  # type: ignore[index]
    quick = replace(kernel, settings=kernel.settings.model_copy(update={"recipe": "quick"}))
    yield quick
    OWN.close(quick)
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


def wait_for_cluster(kernel: Kernel, tenant: UUID, recipe: str = CUTOUT) -> UUID:
    """A sitting of somebody who has handed in, without photos, which nobody opens; returns its id."""
    with kernel.db.transaction(tenant) as session:
        employee = make_employee(session, kernel)
        give_consent(session, kernel, employee)
        kernel.keys.open_or_create(KeyRef(tenant, employee.id, KeyClass.SOURCE))
        if not looks.list_looks(session):
            looks.add(session, "Studio", "light grey", "navy suit", "close-up", "soft light")
        sitting = Sitting(tenant_id=tenant, employee_id=employee.id, seed=1, created_at=utc_now() - timedelta(hours=1),
                          recipe=recipe)  # fmt: skip
        session.add(sitting)
        return sitting.id


def state(kernel: Kernel, tenant: UUID, sitting_id: UUID) -> str:
    with kernel.db.transaction(tenant) as session:
        return session.exec(select(Sitting.state).where(Sitting.id == sitting_id)).one()


def runs(kernel: Kernel, tenant: UUID, sitting_id: UUID) -> list[Run]:
    with kernel.db.transaction(tenant) as session:
        return list(session.exec(select(Run).where(Run.sitting_id == sitting_id).order_by(Run.fence)))  # type: ignore[arg-type]


def tend_until(kernel: Kernel, condition: object, seconds: float = 280) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        OWN.run(kernel, utc_now())
        time.sleep(0.3)


ENDED = {SittingState.DONE, SittingState.FAILED, SittingState.CANCELLED}


def end_all(kernel: Kernel, tenant: UUID, answer: Callable[[Order], Outcome | Loss]) -> list[int]:
    """Takes and ends the tenant's orders until none is left; the sizes of the orders."""
    sizes = []
    while (order := claiming.take(kernel, [], utc_now(), portraits=True)) is not None:
        if order.tenant == tenant:
            sizes.append(len(order.people))
        for person in order.people:
            lost = answer(order) if order.tenant == tenant else Outcome(person.sitting)
            scheduling.settle(kernel, order, person, lost if isinstance(lost, Loss) else Outcome(person.sitting))
        assert len(sizes) < 30, "it never ends"
    return sizes


def test_an_order_is_of_people_with_the_same_looks_and_has_those_they_began_with(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel, recipes=[CUTOUT]), make_tenant(kernel, recipes=[CUTOUT])
    mine, theirs = [wait_for_cluster(kernel, tenant) for _ in range(3)], wait_for_cluster(kernel, other)
    with kernel.db.transaction(tenant) as session:
        general = looks.list_looks(session)[0]
        lobby = looks.add(session, "Lobby", "white", "navy suit", "close-up", "soft light")
        for sitting, look in zip(mine, (general, lobby, general), strict=True):
            get_sitting(session, sitting).looks = [look.id]
        looks.retire(session, general.id)
    orders: list[Order] = []
    while (order := claiming.take(kernel, orders, utc_now(), portraits=True)) is not None:
        orders.append(order)
    made = [
        (sorted(person.sitting for person in one.people), [look.look for look in one.looks])
        for one in orders if one.tenant == tenant
    ]  # fmt: skip
    assert made == [(sorted([mine[0], mine[2]]), [general.id]), ([mine[1]], [lobby.id])]
    with kernel.db.transaction(other) as session:
        now = [look.id for look in looks.list_looks(session)]
        assert get_sitting(session, theirs).looks == now, "where an older version said none, those of this moment"
        assert [[look.look for look in one.looks] for one in orders if one.tenant == other] == [now]


@pytest.mark.parametrize(("agreed", "installed"), [(DRAWN, "sdxl"), ("sdxl", DRAWN), (DRAWN, CUTOUT)])
def test_nobody_is_made_with_what_they_did_not_agree_to(kernel: Kernel, agreed: str, installed: str) -> None:
    """The operator moves from a base that draws after selfies to one that trains a model of each person, or the other
    way round: who waits for the first is not given to the second, and who agreed to the second is."""
    before, after = (
        replace(kernel, settings=kernel.settings.model_copy(update={"recipe": base})) for base in (agreed, installed)
    )
    tenant, other = make_tenant(before), make_tenant(after)
    mine, theirs = wait_for_cluster(before, tenant, agreed), wait_for_cluster(after, other, installed)
    taken = []
    for portraits in (True, False):
        while (order := claiming.take(after, [], utc_now(), portraits=portraits)) is not None:
            taken += [(order.recipe["name"], person.sitting) for person in order.people]
    assert (installed, theirs) in taken
    assert mine not in {sitting for _, sitting in taken}
    assert state(kernel, tenant, mine) == SittingState.READY


def test_a_recipe_whose_purpose_was_not_agreed_to_is_not_made(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, recipes=[CUTOUT])
    sitting = wait_for_cluster(kernel, tenant, kernel.settings.recipe)
    while claiming.take(kernel, [], utc_now(), portraits=False) is not None:
        pass
    assert state(kernel, tenant, sitting) == SittingState.CANCELLED


@pytest.mark.parametrize("loss", [Loss.STUDIO_DIED, Loss.HUNG])
@pytest.mark.parametrize("place", [0, 3])
def test_only_who_takes_studios_down_alone_is_failed(kernel: Kernel, loss: Loss, place: int) -> None:
    tenant, other = make_tenant(kernel, recipes=[CUTOUT]), make_tenant(kernel, recipes=[CUTOUT])
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
    tenant = make_tenant(kernel, recipes=[CUTOUT])
    people, answers = [wait_for_cluster(kernel, tenant) for _ in range(3)], count()
    sizes = end_all(kernel, tenant, lambda order: loss if next(answers) < 24 else Outcome(people[0]))
    assert set(sizes) == {3}
    assert len(sizes) > 7
    assert {state(kernel, tenant, sitting) for sitting in people} == {SittingState.DONE}


def test_keys_or_objects_that_are_away_cost_a_sitting_nothing(kernel: Kernel) -> None:
    tenant, other = make_tenant(kernel, recipes=[CUTOUT]), make_tenant(kernel, recipes=[CUTOUT])
    sitting, neighbour, answers = wait_for_cluster(kernel, tenant), wait_for_cluster(kernel, other), count()
    while (order := scheduling.take(kernel, [], utc_now(), portraits=True)) is not None:
        for person in order.people:
            away = person.sitting == sitting and next(answers) < 7
            scheduling.settle(kernel, order, person, Outcome(person.sitting, away=away))
            if away:
                assert state(kernel, tenant, sitting) == SittingState.READY
    assert state(kernel, tenant, sitting) == state(kernel, other, neighbour) == SittingState.DONE
    tries = [(run.state, run.error) for run in runs(kernel, tenant, sitting)]
    assert tries == [(RunState.LOST, Loss.AWAY)] * 7 + [(RunState.SUCCEEDED, None)]


def studio_in(stage: str, recipe: str, *, others: str = "loading") -> fleet.Working:
    """A studio with two people, of whom the second gave the last sign, in this stage."""
    one, two = uuid4(), uuid4()
    people = tuple(PersonOrder(sitting, uuid4(), 1, 1, ()) for sitting in (one, two))
    about = named(recipe).as_dict() if recipe != CUTOUT else {"name": CUTOUT}
    work = fleet.Working(Order(uuid4(), uuid4(), people, (), about), None, None, None, result="handed over")
    work.saw({one: Progress(others, signs=1), two: Progress("loading", signs=1)})
    work.saw({one: Progress(others, signs=1), two: Progress(stage, signs=2)})
    return work


@pytest.mark.parametrize("recipe", ["sdxl", "z-image", "flux2-klein-4b", "flux2-klein-4b-reference"])
def test_each_stage_has_a_deadline_of_its_own(recipe: str) -> None:
    """A base that takes minutes to load and compile does not keep a slot for as long when it hangs in a step."""
    about = named(recipe)
    found = {stage: studio_in(stage, recipe).patience() for stage in ("loading", "training", "looking", "rendering")}
    assert found["loading"] == 3 * about.loading_seconds == 900
    assert found["training"] == 3 * about.step_seconds < 300
    assert found["looking"] == found["rendering"] == 3 * about.picture_seconds < 300


def test_nobody_is_given_less_than_two_minutes_and_an_unstarted_studio_has_half_an_hour() -> None:
    assert studio_in("training", "portrait-small").patience() == studio_in("rendering", CUTOUT).patience() == 120
    waits = studio_in("training", "sdxl")
    waits.answered = False
    assert waits.patience() == fleet.UNSTARTED


def test_an_answer_that_is_written_twice_is_written_once(kernel: Kernel) -> None:
    tenant = make_tenant(kernel, recipes=[CUTOUT])
    sitting = wait_for_cluster(kernel, tenant)
    order = claiming.take(kernel, [], utc_now(), portraits=True)
    while order is not None and order.tenant != tenant:
        order = claiming.take(kernel, [], utc_now(), portraits=True)
    assert order is not None
    for _ in range(2):
        scheduling.settle(kernel, order, order.people[0], Outcome(sitting))
    (run,) = runs(kernel, tenant, sitting)
    assert run.state == RunState.SUCCEEDED


def test_sittings_of_two_companies_are_done_and_kept_apart(cluster: Kernel) -> None:
    alice, bob = make_tenant(cluster), make_tenant(cluster)
    first = [(alice, *sit(cluster, alice, 51)), (bob, *sit(cluster, bob, 52))]
    # Ray's start and two studios one after the other: a minute on two cores of which one is busy with something else.
    tend_until(cluster, lambda: all(state(cluster, t, s) in ENDED for t, _, s in first), seconds=280)
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


@pytest.mark.faults
def test_a_killed_studio_costs_no_sitting(cluster: Kernel) -> None:
    tenant = make_tenant(cluster)
    _, sitting = sit(cluster, tenant, 53)

    def kept() -> list[str]:
        with cluster.db.transaction(tenant) as session:
            return [row.kind for row in session.exec(select(Weights))]

    tend_until(cluster, lambda: kept() == ["checkpoint"])
    studios = [process for process, words in below() if "Studio" in words]
    assert studios
    for process in studios:
        process.kill()
    tend_until(cluster, lambda: state(cluster, tenant, sitting) in ENDED)
    made = runs(cluster, tenant, sitting)
    assert [run.state for run in made][:-1] == [RunState.LOST] * (len(made) - 1)
    assert len(made) >= 2
    assert made[-1].state in {RunState.SUCCEEDED, RunState.FAILED}
    assert made[-1].error in {None, "NothingPassed"}


@pytest.mark.faults
def test_a_studio_that_hangs_is_ended_and_its_sitting_taken_up_again(
    cluster: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant(cluster)
    _, sitting = sit(cluster, tenant, 56)
    tend_until(cluster, lambda: any(run.step for run in runs(cluster, tenant, sitting)))
    studios = [process for process, words in below() if "Studio" in words]
    # The one that is at work is older than the one that waits for the next order.
    process = min(studios, key=lambda process: process.create_time())
    process.suspend()
    monkeypatch.setattr(fleet, "LEAST_PATIENCE", 4.0)
    tend_until(cluster, lambda: runs(cluster, tenant, sitting)[0].state == RunState.LOST)
    assert runs(cluster, tenant, sitting)[0].error == Loss.HUNG
    assert ended(process.pid)
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
    tend_until(cluster, lambda: runs(cluster, tenant, sitting)[-1].state != RunState.RUNNING)
    assert state(cluster, tenant, sitting) == SittingState.CANCELLED
    with cluster.db.transaction(tenant) as session:
        assert session.exec(select(Headshot)).all() == []
