"""Lanes: what waits in one holds up no other, companies take turns, and no message is sent twice for the same need."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import create_engine, text
from sqlmodel import select

from likeness.ground.db import PLATFORM, utc_now
from likeness.ground.errors import Unavailable
from likeness.ground.lanes import Lane, Lanes
from likeness.jobs import claims, jobs
from likeness.jobs.jobs import Attempt, Job, JobState
from likeness.jobs.notify import Notifier, broker_for, queue_of
from likeness.kernel import Kernel
from likeness.migrations import migrate
from likeness.run.postgres import EmbeddedPostgres
from tests.factories import make_tenant
from tests.kernel.rabbit import installed, rabbit
from tests.waiting import PATIENCE, until

ONE_EACH = dict.fromkeys(Lane, 1)
order: list[str] = []
gate = threading.Event()
away = threading.Event()


class Worked(threading.local):
    """How long this thread was at work on jobs that look."""

    seconds = 0.0


worked = Worked()


@jobs.actor(lane=Lane.MAIL)
def wait(attempt: Attempt, word: str) -> None:
    gate.wait(2 * PATIENCE)


@jobs.actor(lane=Lane.PRIVACY)
def erase(attempt: Attempt, word: str) -> None:
    order.append(word)


@jobs.actor(lane=Lane.PHOTOS)
def look(attempt: Attempt, word: str) -> None:
    order.append(word)
    time.sleep(0.01)
    worked.seconds += 0.01


@jobs.actor(lane=Lane.PHOTOS, attempts=2)
def need(attempt: Attempt, word: str) -> None:
    if away.is_set():
        raise Unavailable
    order.append(word)


@jobs.actor(lane=Lane.MAIL, attempts=2)
def call(attempt: Attempt, word: str) -> None:
    if away.is_set():
        raise jobs.LaneBlocked
    order.append(word)


@pytest.fixture(autouse=True)
def fresh(kernel: Kernel) -> Iterator[None]:
    with kernel.db.transaction(PLATFORM) as session:  # What other tests left would take turns as well.
        session.execute(text("update job set state = 'done', due = null, finished_at = now() where due is not null"))
    order.clear()
    gate.clear()
    away.clear()
    yield
    gate.set()
    kernel.db.notify = lambda lane: None


@pytest.fixture
def by_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job counts for as long as it works, and not for as long as its thread waits for a processor."""
    monkeypatch.setattr(claims, "time", SimpleNamespace(monotonic=lambda: worked.seconds))


@pytest.fixture
def alice(kernel: Kernel) -> UUID:
    return make_tenant(kernel)


@pytest.fixture
def bob(kernel: Kernel) -> UUID:
    return make_tenant(kernel)


def send(kernel: Kernel, tenant: UUID, function: object, word: str, number: int = 1) -> None:
    with kernel.db.transaction(tenant) as session:
        jobs.send_all(session, function, [(f"{word}{one}",) for one in range(number)])  # type: ignore[arg-type]


def states(kernel: Kernel, tenant: UUID) -> list[Job]:
    with kernel.db.transaction(tenant) as session:
        return list(session.exec(select(Job).where(Job.tenant_id == tenant).order_by(Job.key)))


def make_due(kernel: Kernel) -> None:
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(text("update job set due = now() where state = 'ready'"))


def test_what_waits_in_one_lane_holds_up_no_other(kernel: Kernel, alice: UUID, bob: UUID) -> None:
    notifier = Notifier(kernel, broker_for(""))
    notifier.start()
    notifier.answer(ONE_EACH)
    send(kernel, alice, wait, "mail", 20)
    until(lambda: any(job.state == JobState.RUNNING for job in states(kernel, alice)))
    send(kernel, bob, erase, "gone")
    until(lambda: order == ["gone0"])
    assert sum(job.state == JobState.DONE for job in states(kernel, alice)) == 0
    gate.set()
    notifier.stop()


@pytest.mark.usefixtures("by_work")
def test_ten_jobs_do_not_wait_behind_hundreds(kernel: Kernel, alice: UUID, bob: UUID) -> None:
    notifier = Notifier(kernel, broker_for(""))
    notifier.start()
    notifier.answer({Lane.PHOTOS: 2})
    send(kernel, alice, look, "a", 600)
    until(lambda: len(order) > 50)
    send(kernel, bob, look, "b", 10)
    before = len(order)
    until(lambda: sum(word.startswith("b") for word in order) == 10)
    notifier.stop()
    last = max(place for place, word in enumerate(order) if word.startswith("b"))
    assert last - before <= 20, "at most as many of the other company's jobs as of one's own"


@pytest.mark.usefixtures("by_work")
def test_two_companies_that_begin_together_take_turns(kernel: Kernel, alice: UUID, bob: UUID) -> None:
    send(kernel, alice, look, "a", 40)
    send(kernel, bob, look, "b", 40)
    while claims.work_next(kernel, Lane.PHOTOS):
        pass
    assert abs(sum(word.startswith("a") for word in order[:40]) - 20) <= 2


def test_who_had_a_rush_waits_shortly_and_not_for_ever() -> None:
    now = [0.0]
    lanes, one, other = Lanes(lambda: now[0]), uuid4(), uuid4()
    for _ in range(1000):
        lanes.end(Lane.PHOTOS, one, lanes.begin(Lane.PHOTOS, one), 1.0)
    assert lanes.order(Lane.PHOTOS, [one, other]) == [other, one]
    turns = 0
    while lanes.order(Lane.PHOTOS, [one, other])[0] == other:
        now[0] += 1
        lanes.end(Lane.PHOTOS, other, lanes.begin(Lane.PHOTOS, other), 1.0)
        turns += 1
    assert turns < 120


@pytest.mark.parametrize("where", ["in-process", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)])
def test_sixty_due_jobs_are_one_message_however_often_the_sweep_rings(kernel: Kernel, alice: UUID, where: str) -> None:
    if where == "rabbitmq" and not installed():
        pytest.skip("RabbitMQ is not installed: apt-get install rabbitmq-server")
    if where == "in-process":
        _one_message(kernel, alice, "")
    else:
        with rabbit() as server:
            _one_message(kernel, alice, server.url)


def _one_message(kernel: Kernel, tenant: UUID, url: str) -> None:
    notifier = Notifier(kernel, broker_for(url))
    sent: list[str] = []
    notifier.broker.add_middleware(_Counting(sent))
    notifier.start()
    send(kernel, tenant, look, "x", 60)
    until(lambda: sent)
    for _ in range(55):
        claims.notify_due(kernel, utc_now())
        time.sleep(0.02)
    assert sent == [queue_of(Lane.PHOTOS)]
    notifier.answer({Lane.PHOTOS: 2})
    until(lambda: len(order) == 60)
    assert len(sent) <= 6, "each thread that found something wakes one more"
    notifier.stop()


class _Counting:
    """A dramatiq middleware that notes where messages go."""

    actor_options: frozenset[str] = frozenset()
    forks: tuple[()] = ()

    def __init__(self, sent: list[str]) -> None:
        self._sent = sent

    def after_enqueue(self, broker: object, message: object, delay: object) -> None:
        self._sent.append(message.queue_name)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        if name.startswith(("before_", "after_")):
            return lambda *args, **options: None
        raise AttributeError(name)


def test_a_job_waits_for_what_is_away_and_that_never_counts(kernel: Kernel, alice: UUID) -> None:
    away.set()
    send(kernel, alice, need, "it")
    for _ in range(5):
        make_due(kernel)
        claims.work_next(kernel, Lane.PHOTOS)
    (job,) = states(kernel, alice)
    assert (job.state, job.attempt, job.excused, job.error) == (JobState.READY, 5, 5, "Unavailable")
    assert job.due is not None
    assert utc_now() < job.due <= utc_now() + timedelta(minutes=1)
    away.clear()
    make_due(kernel)
    claims.work_next(kernel, Lane.PHOTOS)
    assert order == ["it0"]


def test_a_blocked_lane_rests_and_wakes(kernel: Kernel, alice: UUID) -> None:
    now = [0.0]
    kernel = Kernel(kernel.settings, kernel.db, kernel.objects, kernel.keys, Lanes(lambda: now[0]))
    away.set()
    send(kernel, alice, call, "mail", 5)
    assert claims.work_next(kernel, Lane.MAIL) == 1
    assert claims.work_next(kernel, Lane.MAIL) == 0, "one try found the server away; the others wait"
    assert sum(job.attempt for job in states(kernel, alice)) == 1
    away.clear()
    make_due(kernel)
    now[0] += 3
    while claims.work_next(kernel, Lane.MAIL):
        pass
    assert len(order) == 5


def test_who_was_claimed_with_a_killer_is_not_blamed_with_it(kernel: Kernel, alice: UUID) -> None:
    send(kernel, alice, look, "x", 8)
    assert len(claims._claim_next(kernel, Lane.PHOTOS, 8)) == 8  # And then the worker was killed.
    claims.release_leases(kernel)
    assert len(claims._claim_next(kernel, Lane.PHOTOS, 8)) == 1


def test_a_claim_reads_as_little_in_a_deep_backlog(kernel: Kernel, alice: UUID, bob: UUID) -> None:
    for tenant in (alice, bob):
        with kernel.db.transaction(tenant) as session:
            session.execute(
                text(
                    "insert into job (id, tenant_id, kind, lane, key, args, state, attempt, due, created_at)"
                    " select gen_random_uuid(), :tenant, :kind, 'photos', 'deep' || n, '[\"x\"]', 'ready', 0, now(), now()"
                    " from generate_series(1, 20000) n"
                ),
                {"tenant": tenant, "kind": jobs.name_of(look)},
            )
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(claims.BY_INDEX)
        plan = session.execute(
            text(f"explain (analyze, buffers, format json) {claims.WAITING.text}"),
            {"lane": Lane.PHOTOS, "now": utc_now(), "kinds": list(jobs.KINDS)},
        ).scalar_one()[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 200
    with kernel.db.transaction(PLATFORM) as session:
        session.execute(text("delete from job where key like 'deep%'"))


def test_jobs_of_the_version_before_find_their_lane(postgres: EmbeddedPostgres) -> None:
    with create_engine(postgres.url("postgres"), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("create database lanes owner likeness_owner"))
    url = postgres.url("likeness_owner").replace("/likeness?", "/lanes?")
    assert "/lanes?" in url
    migrate(url, "0002")
    tenant = uuid4()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
        connection.execute(
            text(
                "insert into tenant (id, name, contact, authority, source_days, headshot_days, employee_quota, created_at)"
                " values (:tenant, 'Old', '', '', 7, 30, 10, now())"
            ),
            {"tenant": tenant},
        )
        for kind in ("likeness.mail.deliver", "batch.photos.check", "compliance.erasures.execute", "batch.x.y"):
            connection.execute(
                text(
                    "insert into job (id, tenant_id, kind, key, args, state, attempt, due, created_at)"
                    " values (gen_random_uuid(), :tenant, :kind, 'k', '[]', 'ready', 1, now(), now())"
                ),
                {"tenant": tenant, "kind": kind},
            )
    migrate(url)
    with engine.begin() as connection:
        connection.execute(text("select set_config('app.tenant_id', :tenant, true)"), {"tenant": str(tenant)})
        found = {kind: lane for kind, lane in connection.execute(text("select kind, lane from job"))}
    engine.dispose()
    assert found == {
        "likeness.mail.deliver": "mail",
        "batch.photos.check": "photos",
        "compliance.erasures.execute": "privacy",
        "batch.x.y": "general",
    }
