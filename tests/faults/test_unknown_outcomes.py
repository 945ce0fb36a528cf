"""The answer to COMMIT is lost: nothing that may have been stored is deleted, and nothing is claimed that is not so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from batch.models import Employee, Photo, PhotoState, SittingState
from batch.photos import intake, photos
from batch.sittings import headshots, sittings
from batch.sittings.runs import Run, RunState
from compliance.erasure import certifying
from compliance.models import ErasureState
from gpu_cluster.cluster import scheduling
from gpu_cluster.engine.orders import Order, Outcome, PersonOrder, Picture
from likeness import ledger
from likeness.ground.db import FailureSwallowed, after_commit, on_rollback, utc_now
from likeness.ground.errors import OutcomeUnknown, Unavailable
from likeness.ground.lanes import Lane
from likeness.jobs import claims, jobs
from likeness.kernel import Kernel
from likeness.keys.keys import KeyClass, KeyRef
from likeness.run.postgres import EmbeddedPostgres
from likeness.store.objects import person_path
from tenants import looks
from tenants.models import Tenant
from tests import pictures
from tests.browser.world import served
from tests.compliance.people import erase, full_person, reread, rows_naming
from tests.compliance.people import readable as readable_person
from tests.factories import run_jobs
from tests.factories import sign_in_employee as sign_in
from tests.handed_in import make_person, make_sitting
from tests.lossy import Loss, LossyProxy, behind_a_lossy_proxy
from tests.waiting import PATIENCE


@pytest.fixture
def alice(kernel: Kernel) -> Employee:
    return make_person(kernel)


@pytest.fixture
def lossy(kernel: Kernel, postgres: EmbeddedPostgres) -> Iterator[tuple[Kernel, LossyProxy]]:
    with behind_a_lossy_proxy(kernel, postgres) as pair:
        yield pair


def stored(kernel: Kernel, person: Employee, cls: str = "source") -> list[str]:
    return [found.path for found in kernel.objects.list(f"tenants/{person.tenant_id}/employees/{person.id}/{cls}")]


def mine(kernel: Kernel, person: Employee) -> list[Photo]:
    with kernel.db.transaction(person.tenant_id) as session:
        return photos.of(session, person.id)


def readable(kernel: Kernel, photo: Photo) -> bytes:
    return kernel.objects.get(photo.path, kernel.keys.open(KeyRef(photo.tenant_id, photo.employee_id, KeyClass.SOURCE)))


def run_later(kernel: Kernel, person: Employee) -> None:
    """Works what waits for a later time as well."""
    with kernel.db.transaction(person.tenant_id) as session:
        session.execute(text("update job set due = now() where due is not null"))
    run_jobs(kernel, tenant=person.tenant_id)


def lose(proxy: LossyProxy, words: str, committed: bool) -> Loss:
    return proxy.lose_answer(words) if committed else proxy.lose_commit(words)


def sweep(kernel: Kernel) -> None:
    intake.sweep_orphans(kernel, utc_now() + timedelta(days=2))


@pytest.mark.parametrize("committed", [True, False])
def test_a_transaction_whose_answer_is_lost_is_neither_failed_nor_done(
    kernel: Kernel, alice: Employee, lossy: tuple[Kernel, LossyProxy], committed: bool
) -> None:
    unsure, proxy = lossy
    followed: list[str] = []
    loss = lose(proxy, "update employee set row", committed)
    with pytest.raises(OutcomeUnknown), unsure.db.transaction(alice.tenant_id) as session:
        after_commit(session, lambda: followed.append("committed"))
        on_rollback(session, lambda: followed.append("rolled back"))
        session.execute(text("update employee set row = 77 where id = :id"), {"id": alice.id})
    assert loss.happened.wait(5)
    assert followed == []
    with kernel.db.transaction(alice.tenant_id) as session:
        row = session.execute(text("select row from employee where id = :id"), {"id": alice.id}).scalar_one()
    assert (row == 77) is committed
    with unsure.db.transaction(alice.tenant_id) as session:  # The pool goes on with a fresh connection.
        assert session.execute(text("select 1")).scalar_one() == 1


def test_a_failure_that_was_swallowed_is_no_commit(kernel: Kernel, alice: Employee) -> None:
    """PostgreSQL answers the COMMIT of a failed transaction with a rollback, and without an error."""
    undone: list[str] = []
    with (
        pytest.raises(FailureSwallowed),
        kernel.db.transaction(alice.tenant_id, lambda: undone.append("undone")) as session,
    ):
        session.execute(text("update employee set row = 78 where id = :id"), {"id": alice.id})
        with suppress(DBAPIError):
            session.execute(text("select 1 / 0"))
    assert undone == ["undone"]


def test_what_follows_a_commit_cannot_turn_it_into_a_failure(kernel: Kernel, alice: Employee) -> None:
    def away() -> None:
        raise Unavailable("The object store is away.")

    followed: list[str] = []
    with kernel.db.transaction(alice.tenant_id) as session:
        after_commit(session, away)
        after_commit(session, lambda: followed.append("the next"))
    assert followed == ["the next"]


def test_a_photo_whose_answer_was_lost_is_taken_and_the_phones_retry_finds_it(
    kernel: Kernel, alice: Employee, lossy: tuple[Kernel, LossyProxy]
) -> None:
    unsure, proxy = lossy
    data = pictures.drawn(1)[0]
    loss = proxy.lose_answer("insert into photo")
    with served(unsure) as address, httpx.Client(base_url=address, timeout=PATIENCE) as phone:
        sign_in(phone, kernel, alice)  # type: ignore[arg-type]
        first = phone.post("/api/v1/visit/photos", files={"photo": ("a.jpg", data)})
        again = phone.post("/api/v1/visit/photos", files={"photo": ("a.jpg", data)})
    assert loss.happened.is_set()
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    sweep(kernel)
    (photo,) = mine(kernel, alice)
    assert readable(kernel, photo) == data


def test_a_photo_whose_commit_was_lost_is_not_taken_and_leaves_nothing(
    kernel: Kernel, alice: Employee, lossy: tuple[Kernel, LossyProxy]
) -> None:
    unsure, proxy = lossy
    loss = proxy.lose_commit("insert into photo")
    with served(unsure) as address, httpx.Client(base_url=address, timeout=PATIENCE) as phone:
        sign_in(phone, kernel, alice)  # type: ignore[arg-type]
        first = phone.post("/api/v1/visit/photos", files={"photo": ("a.jpg", b"a photo")})
        assert loss.happened.is_set()
        assert first.status_code == 503
        assert first.headers["retry-after"]
        assert "not stored" in first.json()["detail"]
        assert (mine(kernel, alice), stored(kernel, alice)) == ([], [])
        assert phone.post("/api/v1/visit/photos", files={"photo": ("a.jpg", b"a photo")}).status_code == 201


@pytest.mark.parametrize("committed", [True, False])
def test_a_verdict_whose_answer_was_lost_keeps_the_picture(
    kernel: Kernel, alice: Employee, lossy: tuple[Kernel, LossyProxy], committed: bool
) -> None:
    unsure, proxy = lossy
    intake.add(kernel, alice.tenant_id, alice.id, pictures.drawn(1)[0], utc_now())
    loss = lose(proxy, "update photo set state", committed)
    run_jobs(unsure, tenant=alice.tenant_id)
    assert loss.happened.is_set()
    sweep(kernel)
    (photo,) = mine(kernel, alice)
    assert photo.state == (PhotoState.ACCEPTED if committed else PhotoState.CHECKING)
    assert readable(kernel, photo)
    run_later(kernel, alice)
    sweep(kernel)
    (photo,) = mine(kernel, alice)
    assert photo.state == PhotoState.ACCEPTED
    assert readable(kernel, photo)
    assert stored(kernel, alice) == [photo.path]


@pytest.mark.parametrize("checked", [True, False])
def test_bytes_that_are_known_but_lost_are_taken_again(kernel: Kernel, alice: Employee, checked: bool) -> None:
    data = pictures.drawn(1)[0]
    intake.add(kernel, alice.tenant_id, alice.id, data, utc_now())
    if checked:
        run_jobs(kernel, tenant=alice.tenant_id)
    (photo,) = mine(kernel, alice)
    kernel.objects.delete(photo.path)
    again = intake.add(kernel, alice.tenant_id, alice.id, data, utc_now())
    assert again.id == photo.id
    assert readable(kernel, again) == data
    run_jobs(kernel, tenant=alice.tenant_id)
    (photo,) = mine(kernel, alice)
    assert photo.state == PhotoState.ACCEPTED
    assert stored(kernel, alice) == [photo.path]


@pytest.mark.parametrize("at_commit", [False, True])
def test_a_full_database_is_said_and_leaves_no_object(
    kernel: Kernel, postgres: EmbeddedPostgres, alice: Employee, at_commit: bool
) -> None:
    """The server itself says `disk_full`, to the insert or to the COMMIT."""
    with (
        served(kernel) as address, httpx.Client(base_url=address, timeout=PATIENCE) as phone,
        disk_full(postgres, alice, at_commit),
    ):  # fmt: skip
        sign_in(phone, kernel, alice)  # type: ignore[arg-type]
        for _ in range(3):
            answer = phone.post("/api/v1/visit/photos", files={"photo": ("a.jpg", b"a photo")})
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            assert answer.json()["type"] == "urn:likeness:database-full"
            page = phone.post("/visit/photos", files={"photo": ("a.jpg", b"a photo")}, headers={"accept": "text/html"})
            assert page.status_code == 503
            assert "no room left" in page.text
        assert stored(kernel, alice) == []


@contextmanager
def disk_full(postgres: EmbeddedPostgres, person: Employee, at_commit: bool) -> Iterator[None]:
    kind = "constraint trigger full_up after" if at_commit else "trigger full_up before"
    late = "deferrable initially deferred" if at_commit else ""
    with create_engine(postgres.url("likeness_owner")).connect() as owner:
        try:
            owner.execute(text(
                "create function full_up() returns trigger language plpgsql as $$ begin"
                f" if new.employee_id = '{person.id}' then raise exception 'no space' using errcode = '53100'; end if;"
                " return new; end $$"
            ))  # fmt: skip
            owner.execute(text(f"create {kind} insert on photo {late} for each row execute function full_up()"))
            owner.commit()
            yield
        finally:
            owner.rollback()
            owner.execute(text("drop trigger if exists full_up on photo"))
            owner.execute(text("drop function if exists full_up"))
            owner.commit()


@jobs.actor(lane=Lane.GENERAL, attempts=3)
def note(attempt: jobs.Attempt, name: str) -> None:
    with attempt.finishing() as session:
        session.execute(text("update tenant set contact = contact || '!' where id = :id"), {"id": attempt.tenant})


@pytest.mark.parametrize("committed", [True, False])
def test_a_job_whose_answer_was_lost_has_its_effect_once(
    kernel: Kernel, alice: Employee, lossy: tuple[Kernel, LossyProxy], committed: bool
) -> None:
    unsure, proxy = lossy
    with kernel.db.transaction(alice.tenant_id) as session:
        job_id = jobs.send(session, note, "one")
    assert job_id
    loss = lose(proxy, "update tenant set contact", committed)
    assert claims.work(unsure, job_id)
    assert loss.happened.is_set()
    run_later(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        assert session.exec(select(Tenant.contact)).one() == "privacy@zebra.example!"
        assert session.exec(select(jobs.Job.state).where(jobs.Job.id == job_id)).one() == jobs.JobState.DONE


STEPS = (
    "update erasure set counts", "delete from employee", "insert into certificate", "update erasure set traces",
)  # fmt: skip
"""A statement of each transaction of an erasure, in their order."""


@pytest.mark.parametrize("committed", [True, False])
def test_an_erasure_whose_answers_are_lost_at_every_step_ends_in_its_certificate(
    kernel: Kernel, lossy: tuple[Kernel, LossyProxy], committed: bool
) -> None:
    unsure, proxy = lossy
    alice, bob = full_person(kernel), full_person(kernel)
    run_jobs(kernel, tenant=alice.tenant_id)
    erasure = erase(kernel, alice)
    losses = [lose(proxy, words, committed) for words in STEPS]
    for _ in range(6):
        run_later(unsure, alice)
    assert [loss.happened.is_set() for loss in losses] == [True] * len(STEPS)
    ended = reread(kernel, erasure)
    assert (ended.state, ended.failures) == (ErasureState.CERTIFIED, 0)
    assert ended.looked_again_at is not None
    with kernel.db.transaction(alice.tenant_id) as session:
        left = {table for table, count in rows_naming(session, alice.id).items() if count}
        assert left <= {"ledger_entry", "credit", "erasure", "request"}
        assert len(certifying.by_erasure(session, [erasure.id])) == 1
        ledger.verify(session)
    assert kernel.objects.list(f"tenants/{alice.tenant_id}/employees/{alice.id}") == []
    assert readable_person(kernel, bob)


@pytest.mark.parametrize("committed", [True, False])
def test_headshots_whose_answer_was_lost_are_written_once_and_stay(
    kernel: Kernel, alice: Employee, lossy: tuple[Kernel, LossyProxy], committed: bool
) -> None:
    unsure, proxy = lossy
    order, person, outcome = made(kernel, alice)
    loss = lose(proxy, "insert into headshot", committed)
    scheduling.settle(unsure, order, person, outcome)
    assert loss.happened.is_set()
    assert stored(kernel, alice, "headshot") == sorted(picture.path for picture in outcome.pictures)
    assert stored(kernel, alice, "model") == [outcome.adapter_path]
    with kernel.db.transaction(alice.tenant_id) as session:
        assert len(headshots.of(session, alice.id, utc_now())) == 2
        assert session.exec(select(Run.state)).all() == [RunState.SUCCEEDED]


def test_headshots_of_a_sitting_that_was_taken_over_are_removed(kernel: Kernel, alice: Employee) -> None:
    order, person, outcome = made(kernel, alice)
    scheduling.settle(kernel, order, replace(person, fence=person.fence + 1), outcome)
    assert stored(kernel, alice, "headshot") == stored(kernel, alice, "model") == []


def made(kernel: Kernel, alice: Employee) -> tuple[Order, PersonOrder, Outcome]:
    """What a studio hands over: sealed objects, and nothing in the database yet."""
    sitting = make_sitting(kernel, alice)
    with kernel.db.transaction(alice.tenant_id) as session:
        fence = sittings.claim(session, sitting.id, utc_now())
        assert fence is not None
        assert sittings.advance(session, sitting.id, fence, SittingState.TRAINING, SittingState.RENDERING)
        session.add(Run(tenant_id=alice.tenant_id, employee_id=alice.id, sitting_id=sitting.id, fence=fence, recipe={}))
        look = looks.list_looks(session)[0].id
    paths = []
    for cls, count in ((KeyClass.MODEL, 1), (KeyClass.HEADSHOT, 2)):
        key = kernel.keys.open_or_create(KeyRef(alice.tenant_id, alice.id, cls))
        for _ in range(count):
            paths.append(person_path(alice.tenant_id, alice.id, cls, uuid4()))
            kernel.objects.put(paths[-1], b"sealed", key)
    shots = [Picture(look, number, path, 6, 1.1) for number, path in enumerate(paths[1:])]
    outcome = Outcome(sitting=sitting.id, pictures=shots, adapter_path=paths[0], adapter_bytes=6)
    person = PersonOrder(sitting.id, alice.id, fence, 1, ())
    return Order(uuid4(), alice.tenant_id, (person,), (), {}), person, outcome
